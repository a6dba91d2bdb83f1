"""A worker of a pool of kind "celery": a real process, spawned or forked, that is Celery's child."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from celery_workers import CeleryTemplate, CeleryWorker, soon
from template_process import ForkedWorker

from supervise import _frames as frames
from supervise import _messages as m

TASKS = """
@app.task
def raises(text):
    raise ValueError(text)

@app.task(bind=True)
def says(self, what):
    return str(eval(what))

@app.task
def long_text():
    return "x" * 2000

@app.task(bind=True, max_retries=3)
def retries(self):
    raise self.retry(countdown=100)

@app.task
def ignores():
    raise Ignore()

@app.task
def rejects():
    raise Reject("no", requeue=True)

class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("not me")

@app.task
def raises_unpicklable():
    raise Unpicklable("lost on the way")

@app.task
def exits(code):
    sys.exit(code)

@app.task
def waits():
    try:
        open(HERE + "/begun", "w").close()
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "soft"
    finally:
        note("cleaned up")

@signals.worker_init.connect
def on_init(sender, **_):
    note(f"worker_init {sender.hostname.partition('@')[0]} {sender.pool_cls}")

@signals.worker_process_init.connect
def on_process_init(**_):
    note("worker_process_init")

if hasattr(signals, "worker_before_create_process"):
    @signals.worker_before_create_process.connect
    def on_create_process(**_):
        note("worker_before_create_process")

@signals.worker_process_shutdown.connect
def on_process_shutdown(pid, exitcode, **_):
    note(f"worker_process_shutdown {pid == os.getpid()} {exitcode}")

@signals.task_prerun.connect
def on_prerun(task_id, **_):
    note(f"prerun {task_id}")
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[CeleryWorker]:
    with CeleryWorker(tmp_path, TASKS) as one:
        one.start()
        yield one


def exception_of(answer: Any) -> Any:
    info = answer.error if answer.result is None else answer.result[1]
    error = info.exception
    return error.exc if type(error).__name__ == "ExceptionWithTraceback" else error


def test_it_offers_all_tasks_without_limits_of_their_own(tmp_path: Path) -> None:
    with CeleryWorker(tmp_path, TASKS) as worker:
        tasks = worker.start()
    assert m.TaskInfo("proj.add", None, None, 0) in tasks
    assert m.TaskInfo("celery.chord", None, None, 0) in tasks


def test_it_runs_a_task_and_stores_its_result(worker: CeleryWorker) -> None:
    worker.begin(1, "proj.add", 1, 2)
    begun = worker.begun(1)
    assert begun.pid == worker.pid and begun.time_ns > 0
    report, answer = worker.answer(1)
    assert isinstance(report, m.Done) and isinstance(report.id, str)  # in the frame itself
    assert answer.result is not None and answer.result[:2] == (0, "3")
    stored = json.loads((worker.folder / "results" / "celery-task-meta-task-1").read_text())
    assert (stored["status"], stored["result"]) == ("SUCCESS", 3)
    assert "Task proj.add[task-1] succeeded" in worker.stderr()
    assert "ForkPoolWorker-2" in worker.stderr()  # of slot 2


def test_a_long_result_comes_in_a_descriptor(worker: CeleryWorker) -> None:
    answer = worker.run(1, "proj.long_text")
    assert answer.result is not None
    assert answer.result[0] == 0 and 300 < len(answer.result[1]) < 1100


def test_a_large_argument(worker: CeleryWorker) -> None:
    answer = worker.run(1, "proj.add", "a" * 3_000_000, "b")
    assert answer.result is not None and answer.result[0] == 0


def test_a_task_that_raises(worker: CeleryWorker) -> None:
    worker.begin(1, "proj.raises", "no such report")
    worker.begun(1)
    report, answer = worker.answer(1)
    assert isinstance(report, m.Failed)
    assert (report.error_type, report.message) == ("ValueError", "no such report")
    assert "in raises" in report.traceback
    assert answer.result is not None and answer.result[0] == 1
    assert isinstance(exception_of(answer), ValueError)
    assert "in raises" in answer.result[1].traceback
    assert worker.run(2, "proj.add", 1, 2).result is not None


@pytest.mark.parametrize(("task", "kind"), [("retries", "Retry"), ("ignores", "Ignore")])
def test_what_is_no_failure_is_done_for_supervise(worker: CeleryWorker, task: str, kind: str) -> None:
    worker.begin(1, f"proj.{task}")
    worker.begun(1)
    report, answer = worker.answer(1)
    assert report == m.Done(None)
    assert type(exception_of(answer)).__name__ == kind


def test_a_rejection_keeps_its_wish(worker: CeleryWorker) -> None:
    error = exception_of(worker.run(1, "proj.rejects"))
    assert type(error).__name__ == "Reject" and error.requeue is True


def test_an_exception_that_cannot_be_pickled_is_still_told(
    worker: CeleryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(worker.folder)
    error = exception_of(worker.run(1, "proj.raises_unpicklable"))
    assert "lost on the way" in str(error) + repr(error)


def test_a_body_that_cannot_be_decoded_fails_and_the_worker_goes_on(worker: CeleryWorker) -> None:
    assert worker.run(1, "proj.add", body=b"{").error is not None
    assert worker.run(2, "proj.add", 1, 2).result is not None


@pytest.mark.parametrize(("code", "status"), [(3, 3), (None, 0)])
def test_a_task_that_exits_ends_the_worker_with_its_code(
    worker: CeleryWorker, code: Any, status: int
) -> None:
    worker.begin(1, "proj.exits", code)
    worker.begun(1)
    assert worker.exit_code() == status
    assert worker.notes()[-1] == f"worker_process_shutdown True {status}"


def test_the_soft_limit_is_celerys_exception(worker: CeleryWorker) -> None:
    worker.begin(1, "proj.waits", soft=soon(1))
    worker.begun(1)
    until_it_waits(worker)
    os.kill(worker.pid, signal.SIGUSR1)  # early: nothing
    time.sleep(1)  # what the limit is
    os.kill(worker.pid, signal.SIGUSR1)
    _, answer = worker.answer(1)
    assert answer.result is not None and answer.result[:2] == (0, "'soft'")


def test_a_soft_limit_that_passed_before_the_task_began(worker: CeleryWorker) -> None:
    error = exception_of(worker.run(1, "proj.add", 1, 2, soft=soon(0)))
    assert isinstance(error, SoftTimeLimitExceeded)


def test_a_soft_limit_that_comes_too_late_hits_nothing(worker: CeleryWorker) -> None:
    assert worker.run(1, "proj.add", 1, 2, soft=soon(20)).result is not None
    os.kill(worker.pid, signal.SIGUSR1)
    assert worker.run(2, "proj.add", 1, 2).result is not None


def test_sigterm_ends_the_task_and_its_finally_runs(worker: CeleryWorker) -> None:
    worker.begin(1, "proj.waits")
    worker.begun(1)
    until_it_waits(worker)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.exit_code() == 15
    assert worker.notes()[-2:] == ["cleaned up", "worker_process_shutdown True 15"]


def test_the_signals_of_its_life(worker: CeleryWorker) -> None:
    worker.run(1, "proj.add", 1, 2)
    worker.send(frames.RETIRE)
    assert worker.exit_code() == 0
    assert worker.notes() == [
        "worker_init celery supervise.celery.prefork:TaskPool",
        "worker_process_init",
        "prerun task-1",
        "worker_process_shutdown True 0",
    ]


def test_it_trims_and_answers_pings_between_tasks(worker: CeleryWorker) -> None:
    worker.send(frames.TRIM)
    assert isinstance(worker.receive(), m.Trimmed)
    worker.send(frames.PING, frames.U64.pack(9))
    assert worker.receive() == m.Pong(9)


def test_nothing_of_celerys_spawning_is_left_in_the_environment(worker: CeleryWorker) -> None:
    answer = worker.run(1, "proj.says", "'FORKED_BY_MULTIPROCESSING' in os.environ")
    assert answer.result is not None and answer.result[1] == "'False'"


def test_an_application_that_cannot_be_loaded(tmp_path: Path) -> None:
    with CeleryWorker(tmp_path, "import no_such_module") as worker:
        worker.welcome()
        failed = worker.receive()
        assert isinstance(failed, m.StartFailed)
        assert failed.error_type == "ModuleNotFoundError"
        assert failed.message.startswith("the Celery application proj:app could not be loaded: No module")
        assert worker.exit_code() == 1


def test_an_initialiser_that_raises_is_a_failed_start(tmp_path: Path) -> None:
    source = """
    import supervise

    @supervise.after_fork
    def broken():
        raise RuntimeError("no database")
    """
    with CeleryWorker(tmp_path, source) as worker:
        worker.welcome()
        failed = worker.receive()
        assert isinstance(failed, m.StartFailed), failed
        assert "no database" in failed.message


# --- forked


@pytest.fixture
def template(tmp_path: Path) -> Iterator[CeleryTemplate]:
    with CeleryTemplate(tmp_path, TASKS) as one:
        assert one.start_and_check() == []
        yield one


def test_a_forked_worker_is_a_child_like_any_other(template: CeleryTemplate) -> None:
    with template.fork(1) as one, template.fork(2) as two:
        for job, worker in enumerate((one, two), 1):
            worker.begin(job, "proj.add", job, 1)
            assert worker.begun(job).pid == worker.pid
            assert ForkedWorker.begun(worker) == (job, 1)  # its mark
            _, answer = worker.answer(job)
            assert answer.result is not None and answer.result[:2] == (0, str(job + 1))
            assert f"ForkPoolWorker-{job}]" in worker.stderr()
        one.send(frames.RETIRE)
        assert one.exit_code() == 0
        with template.fork(3) as three:  # in its place
            three.run(3, "proj.add", 1, 1)
            assert "ForkPoolWorker-1]" in three.stderr()
    notes = template.notes()
    assert notes.count("worker_init celery supervise.celery.prefork:TaskPool") == 1
    assert notes.count("worker_process_init") == 3
    assert notes.count("worker_before_create_process") == 1


def test_a_template_shares_no_connection_to_the_broker(tmp_path: Path) -> None:
    source = """
    import socket, threading
    server = socket.create_server(("127.0.0.1", 0))
    from kombu.pools import connections
    from kombu import Connection

    with connections[Connection("memory://")].acquire() as connection:
        connection.default_channel
    app.pool.acquire().release()
    """
    with CeleryTemplate(tmp_path, source) as template:
        assert template.start_and_check() == []
        with template.fork() as worker:
            answer = worker.run(1, "proj.add", 1, 2)
            assert answer.result is not None


def until_it_waits(worker: CeleryWorker) -> None:
    """Its sleep has begun, or is about to."""
    path, patience = worker.folder / "begun", time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < patience, worker.stderr()
        time.sleep(0.005)
