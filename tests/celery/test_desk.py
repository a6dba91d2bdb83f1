"""What Celery is told of each task, in which order, whatever supervise says."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import NotRegistered
from fake_supervise import FAILED, FakeSupervise
from fake_supervisor import result

from supervise import _frames as frames
from supervise import _messages as m
from supervise.celery.connection import Connection, Gone
from supervise.celery.desk import Desk
from supervise.celery.errors import TaskKillsWorkers
from supervise.celery.jobs import Job
from supervise.celery.losses import Losses
from supervise.celery.payload import Call

SENT_BODY = b'[[1], {}, {"chain": null}]'


class Request:
    """Stands for Celery's; notes what it is told."""

    def __init__(self, desk: Desk, task_id: str, told: list[Any], **limits: Any) -> None:
        self.told = told
        self.id = task_id
        self.is_revoked = False
        self.expires: Optional[datetime] = None
        request = {"id": task_id, "retries": 0, "args": [1], "kwargs": {}}
        call = Call("fast_trace_task", "proj.add", task_id, request, SENT_BODY, "application/json", "utf-8")
        self.job = Job(
            call,
            desk.terminate,
            callback=self.on_success,
            accept_callback=self.on_accepted,
            timeout_callback=self.on_timeout,
            error_callback=self.on_failure,
            **limits,
        )

    def on_accepted(self, pid: int, time: float) -> None:
        self.told.append(("accepted", self.id, pid, time))

    def on_success(self, result: Any) -> None:
        self.told.append(("success", self.id, result))

    def on_timeout(self, soft: bool, timeout: float) -> None:
        self.told.append(("timeout", self.id, soft, timeout))

    def on_failure(self, info: Any) -> None:
        assert isinstance(info, ExceptionInfo)
        error = info.exception
        self.told.append(("failure", self.id, getattr(error, "exc", error)))

    def revoked(self) -> bool:
        return self.is_revoked


class Bench:
    """A desk, its supervise, and what Celery was told."""

    def __init__(self, folder: Path, size: int = 2, most_losses: int = 0) -> None:
        self.told: list[Any] = []
        self.supervise = FakeSupervise(folder)
        self.requeues = True
        self.desk = Desk(
            size,
            Losses(most_losses),
            release=lambda: self.told.append("released"),
            requeues=lambda task: self.requeues,
        )
        self.connect()

    def connect(self) -> None:
        self.connection = Connection(self.supervise.path, "celery")
        self.desk.connect(self.connection)
        self.supervise.accept()
        self.desk.read()
        assert self.desk.welcome is not None

    def submit(self, task_id: str = "t1", **limits: Any) -> Request:
        request = Request(self.desk, task_id, self.told, **limits)
        self.desk.submit(request.job)
        return request

    def begin(self, job: int = 7, task_id: str = "t1", pid: int = 4000, **limits: Any) -> Request:
        """A task that runs."""
        request = self.submit(task_id, **limits)
        call = self.supervise.call()
        assert call.key == task_id
        self.supervise.accepted(call, job)
        self.supervise.begun(job, pid)
        self.desk.read()
        assert self.told[-1] == ("accepted", task_id, pid, 1.5)
        self.told.clear()
        return request

    def error(self, at: int = 0) -> Any:
        """The exception that Celery was told of at this place."""
        what, _, error = self.told[at]
        assert what == "failure"
        return error


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.connection.close()
    one.supervise.close()


def payloads() -> int:
    """Descriptors of tasks and answers that are open in this process."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            count += "/memfd:supervise-" in os.readlink(f"/proc/self/fd/{descriptor}")
    return count


def test_a_task_travels_without_its_decoded_arguments(bench: Bench) -> None:
    bench.submit(soft_limit=1.5, limit=2)
    message, call = bench.supervise.receive()
    assert message == m.Call(1, 0, 1500, 2000, "proj.add", "t1")
    assert call is not None
    assert call == Call(
        "fast_trace_task",
        "proj.add",
        "t1",
        {"id": "t1", "retries": 0},
        SENT_BODY,
        "application/json",
        "utf-8",
    )


def test_a_task_that_goes_well(bench: Bench) -> None:
    request = bench.submit()
    call = bench.supervise.call()
    bench.supervise.accepted(call, 7)
    bench.desk.read()
    assert bench.told == [] and not request.job.begun
    bench.supervise.begun(7, pid=4321, time_ns=2_500_000_000)
    bench.supervise.done(7, "0.25 'a b'")
    bench.desk.read()
    assert bench.told == [("accepted", "t1", 4321, 2.5), "released", ("success", "t1", (0, "'a b'", 0.25))]
    assert bench.desk.busy == 0


def test_a_task_that_raises(bench: Bench) -> None:
    bench.begin()
    try:
        raise KeyError("k")
    except KeyError:
        info = ExceptionInfo()
    bench.supervise.answer(7, (0, (1, info, 0.5)), state=FAILED)
    bench.desk.read()
    released, (what, _, (failed, value, seconds)) = bench.told
    assert (released, what, failed, seconds) == ("released", "success", 1, 0.5)
    error = value.exception
    assert isinstance(getattr(error, "exc", error), KeyError)


def test_an_error_outside_of_the_task(bench: Bench) -> None:
    bench.begin()
    try:
        raise ValueError("no")
    except ValueError:
        info = ExceptionInfo()
    bench.supervise.answer(7, (1, info), state=FAILED)
    bench.desk.read()
    assert isinstance(bench.error(1), ValueError)


def test_an_answer_that_cannot_be_read_here_fails_its_task(bench: Bench) -> None:
    bench.begin()
    bench.supervise.answer(7, "neither this nor that")
    bench.desk.read()
    assert isinstance(bench.error(1), ValueError)


def test_a_worker_that_could_not_take_the_task_says_so(bench: Bench) -> None:
    bench.begin()
    bench.supervise.send(result((7, FAILED, 1, frames.failed_report("LookupError", "what", ""))))
    bench.desk.read()
    assert "LookupError: what" in str(bench.error(1))


def test_the_soft_limit(bench: Bench) -> None:
    bench.begin(soft_limit=1.5, limit=2.0)
    bench.supervise.soft(7)
    bench.desk.read()
    assert bench.told == [("timeout", "t1", True, 1.5)]


def test_the_hard_limit_is_an_error_first_and_then_a_timeout(bench: Bench) -> None:
    bench.begin(limit=2.0)
    bench.supervise.lost(7, "time_limit", "it ran longer than its limit of 2 s")
    bench.desk.read()
    assert isinstance(bench.error(), TimeLimitExceeded)
    assert bench.told[1:] == [("timeout", "t1", False, 2.0), "released"]


@pytest.mark.parametrize(
    ("cause", "detail", "text"),
    [
        ("signal", "signal 9 (SIGKILL), not by us", "signal 9 (SIGKILL) Job: {}. Not by us; task"),
        ("exit", "exit code 3", "exitcode 3 Job: {}. Task"),
        ("oom_worker", "killed by the kernel", "signal 9 (SIGKILL) Job: {}. Killed by the kernel; task"),
        ("memory_hard_limit", "at 1.0 GiB", "signal 9 (SIGKILL) Job: {}. At 1.0 GiB; task"),
        ("unknown", "no exit status", "for an unknown reason Job: {}. No exit status; task"),
    ],
)
def test_a_lost_workers_error_begins_as_preforks(bench: Bench, cause: str, detail: str, text: str) -> None:
    request = bench.begin()
    bench.supervise.lost(7, cause, detail)
    bench.desk.read()
    assert isinstance(bench.error(), WorkerLostError)
    begin = "Worker exited prematurely: " + text.format(request.job.number)
    assert str(bench.error()) == begin + " proj.add[t1]"
    assert bench.told[1:] == ["released"]


def test_a_revoked_task_that_runs_gets_its_signal_once(bench: Bench) -> None:
    request = bench.begin()
    job = bench.desk.job_of(4000)
    assert job is request.job
    bench.desk.terminate(job, signal.SIGTERM)  # as TaskPool.terminate_job()
    request.job.terminate(signal.SIGTERM)  # what Celery calls next
    message, _ = bench.supervise.receive()
    assert message == m.Signal(7, signal.SIGTERM)
    assert bench.supervise.nothing()
    bench.supervise.lost(7, "exit", "exit code 15")
    bench.desk.read()
    assert isinstance(bench.error(), Terminated)
    assert bench.told[1:] == ["released"]


def test_a_revoked_task_that_was_not_accepted_yet(bench: Bench) -> None:
    request = bench.submit()
    call = bench.supervise.call()
    request.job.terminate(signal.SIGKILL)
    assert bench.supervise.nothing()
    bench.supervise.accepted(call, 7)
    bench.desk.read()
    assert bench.supervise.receive()[0] == m.Signal(7, signal.SIGKILL)
    bench.supervise.lost(7, "revoked", "cancelled")
    bench.desk.read()
    assert isinstance(bench.error(), Terminated)


def test_more_tasks_than_workers_wait_here(bench: Bench) -> None:
    for number in range(4):
        bench.submit(f"t{number}")
    calls = [bench.supervise.call(), bench.supervise.call()]
    assert [call.key for call in calls] == ["t0", "t1"] and bench.supervise.nothing()
    for job, call in enumerate(calls, 1):
        bench.supervise.accepted(call, job)
        bench.supervise.begun(job)
    bench.supervise.done(2)
    bench.desk.read()
    assert bench.supervise.call().key == "t2"
    assert bench.supervise.nothing()
    bench.desk.resize(3)
    assert bench.supervise.call().key == "t3"


def test_a_task_that_was_revoked_while_it_waited_is_not_sent(bench: Bench) -> None:
    bench.begin(1, "a")
    bench.begin(2, "b")
    waiting = bench.submit("c")
    bench.submit("d")
    waiting.is_revoked = True
    bench.supervise.done(1)
    bench.desk.read()
    assert bench.supervise.call().key == "d"
    assert bench.told.count("released") == 2


def test_a_waiting_task_that_is_terminated_is_never_sent(bench: Bench) -> None:
    bench.begin(1, "a")
    bench.begin(2, "b")
    waiting = bench.submit("c")
    waiting.job.terminate(signal.SIGTERM)
    assert isinstance(bench.error(), Terminated)
    bench.supervise.done(1)
    bench.desk.read()
    assert bench.supervise.nothing()


def test_what_has_not_begun_is_dropped_when_the_broker_is_lost(bench: Bench) -> None:
    bench.begin(1, "runs")
    bench.submit("sent")
    bench.submit("waits")
    call = bench.supervise.call()
    bench.supervise.accepted(call, 2)
    bench.desk.read()
    bench.desk.drop_unbegun()
    assert bench.supervise.receive()[0] == m.Cancel(False, (2,))
    bench.supervise.lost(2, "revoked", "cancelled")
    bench.supervise.done(1)
    bench.desk.read()
    assert bench.told == ["released", ("success", "runs", (0, "'ok'", 0.5))]
    assert bench.desk.busy == 0 and bench.supervise.nothing()


def test_a_dropped_task_that_has_begun_all_the_same_is_told(bench: Bench) -> None:
    bench.submit()
    call = bench.supervise.call()
    bench.supervise.accepted(call, 7)
    bench.desk.read()
    bench.desk.drop_unbegun()
    bench.supervise.begun(7)
    bench.supervise.done(7)
    bench.desk.read()
    assert [entry[0] for entry in bench.told if entry != "released"] == ["accepted", "success"]


def test_a_full_or_stopping_supervise_is_asked_again(bench: Bench) -> None:
    bench.submit()
    bench.supervise.refused(bench.supervise.call(), "degraded", "its workers die")
    bench.desk.read()
    assert bench.desk.refused == "its workers die" and bench.told == [] and bench.supervise.nothing()
    bench.desk.ask_again()
    assert bench.supervise.call().key == "t1"


def test_what_is_refused_while_the_front_stops_is_left_to_the_broker(bench: Bench) -> None:
    bench.submit()
    bench.desk.close()
    bench.supervise.refused(bench.supervise.call(), "stopping", "supervise stops")
    bench.desk.read()
    assert bench.told == [] and bench.desk.busy == 0


def test_a_task_that_no_worker_has_fails(bench: Bench) -> None:
    bench.submit()
    bench.supervise.refused(
        bench.supervise.call(), "unknown_task", "no task proj.add; did you mean proj.sub?"
    )
    bench.desk.read()
    assert bench.told[0] == "released"
    assert isinstance(bench.error(1), NotRegistered)
    assert "did you mean" in str(bench.error(1).__cause__)


def test_when_supervise_dies_what_ran_is_lost_and_the_rest_goes_to_the_next(bench: Bench) -> None:
    bench.begin(1, "ran")
    bench.submit("sent")
    bench.submit("waited")
    call = bench.supervise.call()
    bench.supervise.accepted(call, 2)
    bench.desk.read()
    bench.supervise.hang_up()
    with pytest.raises(Gone) as gone:
        bench.desk.read()
    bench.desk.lose(str(gone.value))
    assert isinstance(bench.error(), WorkerLostError)
    assert [entry[1] for entry in bench.told if entry != "released"] == ["ran"]
    bench.connect()
    assert [bench.supervise.call().key, bench.supervise.call().key] == ["sent", "waited"]


def test_a_task_that_kills_worker_after_worker_fails_at_last(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_losses=2)
    for job, expected in ((1, WorkerLostError), (2, TaskKillsWorkers), (3, WorkerLostError)):
        bench.begin(job, "killer")
        bench.supervise.lost(job, "signal", "signal 11 (SIGSEGV)")
        bench.desk.read()
        assert type(bench.error()) is expected
    assert not issubclass(TaskKillsWorkers, WorkerLostError)  # Celery would put it back
    bench.requeues = False
    bench.begin(4, "killer")
    bench.supervise.lost(4, "signal", "signal 11 (SIGSEGV)")
    bench.desk.read()
    assert type(bench.error()) is WorkerLostError
    bench.connection.close()
    bench.supervise.close()


def test_deaths_that_a_task_did_not_cause_do_not_count(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_losses=1)
    bench.begin(1, "t")
    bench.supervise.lost(1, "shutdown", "supervise is stopping")
    bench.desk.read()
    assert type(bench.error()) is WorkerLostError
    bench.connection.close()
    bench.supervise.close()


def test_an_error_in_a_callback_goes_to_the_log_and_no_further(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    request = bench.submit()
    request.job._accept_callback = lambda pid, time: 1 / 0
    bench.supervise.accepted(bench.supervise.call(), 7)
    bench.supervise.begun(7)
    bench.supervise.done(7)
    bench.desk.read()
    assert bench.told[-1][0] == "success"
    assert "ZeroDivisionError" in caplog.text


def test_no_memory_in_a_callback_goes_on_to_celery(bench: Bench) -> None:
    request = bench.submit()

    def fails(pid: int, time: float) -> None:
        raise MemoryError

    request.job._accept_callback = fails
    bench.supervise.accepted(bench.supervise.call(), 7)
    bench.supervise.begun(7)
    with pytest.raises(MemoryError):
        bench.desk.read()


def test_a_callback_may_hand_in_the_next_task(bench: Bench) -> None:
    request = bench.submit("first")
    request.job._callback = lambda result: bench.submit("second") and None
    bench.supervise.accepted(bench.supervise.call(), 7)
    bench.supervise.begun(7)
    bench.supervise.done(7)
    bench.desk.read()
    assert bench.supervise.call().key == "second"


def test_nothing_waits_for_a_supervise_that_does_not_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path, size=2000)
    for number in range(2000):
        bench.submit(f"t{number}")
    assert bench.connection.wants_to_write and payloads() > 0
    for number in range(2000):
        message: Optional[m.Message] = bench.supervise.call()
        assert isinstance(message, m.Call) and message.key == f"t{number}"
        bench.desk.flush()
    assert not bench.connection.wants_to_write
    assert payloads() == 0
    bench.connection.close()
    bench.supervise.close()


def test_a_closed_desk_leaves_what_waits_to_the_broker(bench: Bench) -> None:
    bench.begin(1, "a")
    bench.begin(2, "b")
    bench.submit("waits")
    bench.desk.close()
    bench.supervise.done(1)
    bench.supervise.done(2)
    bench.desk.read()
    assert bench.supervise.nothing() and bench.desk.busy == 0


def test_a_message_that_cannot_be_pickled_fails_its_task(bench: Bench) -> None:
    request = Request(bench.desk, "t1", bench.told)
    assert request.job.call is not None
    request.job.call.request["headers"] = lambda: None
    bench.desk.submit(request.job)
    assert bench.told[0] == "released"
    assert "pickle" in str(bench.error(1)) and bench.supervise.nothing()


def test_no_descriptor_is_left_behind(bench: Bench) -> None:
    for job in range(1, 20):
        bench.begin(job)
        bench.supervise.answer(job, (0, (0, "x" * 300, 0.5)))
        bench.desk.read()
    assert payloads() == 0
