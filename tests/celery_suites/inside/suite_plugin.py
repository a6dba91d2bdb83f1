"""A pytest plugin for Celery's t/integration: the suite's one worker has the pool that SUITE_POOL names,
and each test's outcome is a line in SUITE_REPORT.

The suite itself is not changed. It starts its worker through celery.contrib.testing.worker.start_worker,
which is replaced here; a call for another pool than prefork is none of ours. SUITE_WORKER says what the
worker is: "embedded", a thread of pytest as Celery has it, or "external", a `celery worker` process.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery.contrib.testing import worker as testing_worker
from celery.result import allow_join_result
from celery.utils.nodenames import anon_nodename

START_SECONDS = 60
STOP_SECONDS = 60
TEST_SECONDS = 360  # pytest-timeout's are 300; it raises an exception, which a test may lose
_TEXT = 6000  # characters of a failure that are kept
_PR_SET_PDEATHSIG = 1  # prctl(2)

_start_embedded = testing_worker.start_worker
_app: dict[str, Any] = {}
_libc = ctypes.CDLL(None)
_stderr = os.dup(2)  # before pytest captures it


class ExternalWorker:
    """What the fixture celery_session_worker gives."""

    def __init__(self, app: Any, hostname: str) -> None:
        self.app = app
        self.hostname = hostname


@contextlib.contextmanager
def start_worker(app: Any, concurrency: int = 1, pool: Any = "solo", **options: Any) -> Iterator[Any]:
    if pool != "prefork":
        with _start_embedded(app, concurrency=concurrency, pool=pool, **options) as embedded:
            yield embedded
        return
    if os.environ["SUITE_WORKER"] == "embedded":
        app.conf.supervise_config = _supervise_config()
        options["pool"] = os.environ["SUITE_POOL"]
        with _start_embedded(app, concurrency=concurrency, **options) as embedded:
            yield embedded
        return
    hostname = anon_nodename()
    process = _spawn(hostname, concurrency)
    try:
        from celery.contrib.testing.tasks import ping

        with allow_join_result():
            assert ping.delay().get(timeout=START_SECONDS) == "pong"
        yield ExternalWorker(app, hostname)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = -signal.SIGKILL
        if status:
            raise RuntimeError(f"the worker ended with {status} after SIGTERM")


def _spawn(hostname: str, concurrency: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celery", "-A", "suite_app", "worker", "-n", hostname]
    command += ["-c", str(concurrency), "-l", "INFO"]
    command += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    with open(os.environ["SUITE_WORKER_LOG"], "ab") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, "SUITE_APP": json.dumps(_app)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )


def _supervise_config() -> dict[str, Any]:
    return {"supervisor": {"cgroup_root": os.environ["SUITE_CGROUP"]}}


testing_worker.start_worker = start_worker


@pytest.fixture(scope="session", autouse=True)
def _remember_app(celery_config: Any, celery_includes: Any, celery_class_tasks: Any) -> None:
    config = dict(celery_config, worker_pool=os.environ["SUITE_POOL"])
    config["supervise_config"] = _supervise_config()
    _app["config"] = config
    _app["includes"] = sorted(celery_includes)
    _app["class_tasks"] = [(task.__module__, task.__name__) for task in celery_class_tasks]


# --- which tests, and what became of them


_WORKER = "celery_session_worker"


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Those that SUITE_TESTS names, one a line; all of one process in the suite's own order."""
    # Some tests count on one before them in the file to have started the worker.
    files = {item.path for item in items if _WORKER in item.fixturenames}
    for item in items:
        if item.path in files and _WORKER not in item.fixturenames:
            item.fixturenames.append(_WORKER)
    path = os.environ.get("SUITE_TESTS")
    if path:
        with open(path) as file:
            wanted = set(file.read().splitlines())
        dropped = [item for item in items if item.nodeid not in wanted]
        items[:] = [item for item in items if item.nodeid in wanted]
        config.hook.pytest_deselected(items=dropped)


def pytest_runtest_logstart(nodeid: str) -> None:
    global _watchdog
    _note(test=nodeid, started=time.time())
    _watchdog.cancel()
    _watchdog = threading.Timer(TEST_SECONDS, _give_up)
    _watchdog.daemon = True
    _watchdog.start()


_watchdog = threading.Timer(0, print)  # of the test that runs


def _give_up() -> None:
    faulthandler.dump_traceback(_stderr)
    _end_all()


def pytest_unconfigure() -> None:
    if "SUITE_REPORT" in os.environ:
        _end_all()


def _end_all() -> None:
    """This process and those that tests have left: some have threads that never end."""
    sys.stdout.flush()
    os.killpg(0, signal.SIGKILL)


def pytest_runtest_logreport(report: Any) -> None:
    outcome = report.outcome
    if outcome == "skipped" and hasattr(report, "wasxfail"):
        outcome = "xfailed"
    text = str(report.longrepr or "") if outcome != "passed" else ""
    _note(
        test=report.nodeid,
        phase=report.when,
        outcome=outcome,
        part=hasattr(report, "context"),  # of a subtest
        seconds=round(report.duration, 3),
        text=text[-_TEXT:],
    )


def _note(**fields: Any) -> None:
    with open(os.environ["SUITE_REPORT"], "a") as file:
        file.write(json.dumps(fields) + "\n")
