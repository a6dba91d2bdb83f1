"""What is run: versions, brokers, kinds of worker; and which tests are quick."""

from __future__ import annotations

from typing import NamedTuple

OLDEST, NEWEST = "5.2.7", "5.7.0"


class Row(NamedTuple):
    version: str = NEWEST
    broker: str = "redis"  # or "rabbitmq"
    worker: str = "embedded"  # a thread of pytest, as Celery's own runs have it; or "external": a process

    def __str__(self) -> str:
        return f"{self.version} {self.broker} {self.worker}"


def usual(version: str, broker: str = "redis") -> Row:
    # The embedded worker of the oldest fails at the start, with prefork, too.
    return Row(version, broker, "external" if version == OLDEST else "embedded")


WHOLE = (
    *(usual(version) for version in (OLDEST, "5.3.6", "5.4.0", "5.5.3", "5.6.3", NEWEST)),
    usual(NEWEST, "rabbitmq"),
    Row(NEWEST, worker="external"),
)
QUICK = (usual(OLDEST), usual(NEWEST))

# Where a worker with a pool runs tasks; the other files test Celery's other parts.
_FILES = ("test_canvas", "test_tasks", "test_inspect", "test_redis_backend", "test_worker", "test_security")

# Each takes longer than ten seconds, or, on a busy machine, a time-out.
_LONG = (
    "test_chain_error_handler_with_eta",
    "test_chain_to_a_chord_with_large_header",
    "test_disabling_flag_allow_error_cb_on_chord_header",
    "test_enabling_flag_allow_error_cb_on_chord_header",
    "test_error_propagates_from_chord",
    "test_expired",
    "test_flag_allow_error_cb_on_chord_header",
    "test_generator",
    "test_large_group",
    "test_large_header",
    "test_multiprocess_producer",
    "test_multithread_producer",
    "test_nested_chord_header_link_error",
    "test_redis_subscribed_channels_leak",
    "test_retry",
    "test_revoke_keeps_state_of_task_started_elsewhere",
    "test_revoked_by_headers_complex_canvas",
    "test_security_task_done",
)

# Each fails with prefork, too, after time-outs.
_HOPELESS = {
    OLDEST: (
        "test_callback_called_by_group",
        "test_errback_called_by_group_fail",
        "test_group_results_in_chain",
        "test_immutable_errback_called_by_chord",
        "test_link_error_callback_retries",
        "test_link_error_using_signature",
        "test_nested_chain_group_lone",
        "test_task_accepted",
        "test_task_retried",
    ),
}


def is_quick(version: str, test: str) -> bool:
    path, *_, name = test.split("::")
    slow = (*_LONG, *_HOPELESS.get(version, ()))
    return path.rpartition("/")[2] in {f"{file}.py" for file in _FILES} and not name.startswith(slow)
