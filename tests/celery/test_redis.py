"""End to end: tasks through Redis to a `celery worker` whose workers a private supervise owns."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from billiard.exceptions import WorkerLostError
from celery.exceptions import TimeLimitExceeded
from celery_front import Front

Make = Callable[..., Front]

TASKS = """
@app.task
def raises(text):
    raise ValueError(text)

@app.task(bind=True, max_retries=2, default_retry_delay=0)
def retries(self):
    note(f"try {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry()
    return "at last"

@app.task
def kills():
    os.kill(os.getpid(), 9)

@app.task
def exits(code):
    sys.exit(code)

@app.task(acks_late=True, reject_on_worker_lost=True)
def kills_again_and_again():
    note("kills")
    os.kill(os.getpid(), 9)

@app.task(soft_time_limit=1, time_limit=60)
def soft():
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "softly"

@app.task(time_limit=1)
def hard():
    time.sleep(60)

@app.task
def total(numbers):
    return sum(numbers)

@app.task
def size(text):
    return len(text)
"""


@pytest.fixture
def front(make_front: Make) -> Front:
    return make_front(TASKS).start("-c", "2")


def test_results_errors_retries_and_canvases(front: Front) -> None:
    from celery import chain, chord

    assert front.get("add", 1, 2) == 3
    assert front.get("size", "x" * 2_000_000) == 2_000_000
    with pytest.raises(ValueError, match="no report 7"):
        front.get("raises", "no report 7")
    assert front.get("retries") == "at last"
    assert front.notes() == ["try 0", "try 1", "try 2"]
    sig = front.app.signature
    add, total = sig("proj.add", (1, 1)), sig("proj.total")
    assert chord([add, add, add], total).apply_async().get(timeout=60) == 6
    assert chain(add, sig("proj.add", (10,))).apply_async().get(timeout=60) == 12
    assert "/ForkPoolWorker-1] Task proj.add" in front.log()
    assert front.stop() == 0
    assert front.supervises() == []
    assert os.listdir(front.environment["TMPDIR"]) == []


def test_a_worker_that_dies_is_replaced_and_its_task_fails(front: Front) -> None:
    before = {worker["pid"] for worker in front.pool()["workers"]}
    with pytest.raises(WorkerLostError, match=r"Worker exited prematurely: signal 9 \(SIGKILL\) Job: \d+\."):
        front.get("kills")
    with pytest.raises(WorkerLostError, match=r"Worker exited prematurely: exitcode 3 Job: \d+\."):
        front.get("exits", 3)
    assert front.get("add", 1, 2) == 3
    front.until(lambda: len(front.pool()["workers"]) == 2, "two workers again")
    assert {worker["pid"] for worker in front.pool()["workers"]} != before


def test_a_task_that_kills_its_workers_is_put_back_three_times_at_most(front: Front) -> None:
    with pytest.raises(Exception, match="has killed 3 workers") as caught:
        front.get("kills_again_and_again")
    assert type(caught.value).__name__ == "TaskKillsWorkers"
    assert front.notes() == ["kills"] * 3
    assert front.get("add", 1, 2) == 3


def test_time_limits(front: Front) -> None:
    assert front.get("soft") == "softly"
    front.until(lambda: "Soft time limit (1s) exceeded for proj.soft" in front.log(), "the soft limit's line")
    with pytest.raises(TimeLimitExceeded):
        front.get("hard")
    front.until(lambda: "Hard time limit (1s) exceeded for proj.hard" in front.log(), "the hard limit's line")
    with pytest.raises(TimeLimitExceeded):
        front.get("hold", "limited", time_limit=1)
    assert front.get("add", 1, 2) == 3


def test_revoking_ends_a_running_task_and_no_other(front: Front) -> None:
    one, worker = front.hold("one")
    two, other = front.hold("two")
    waits = front.send("hold", "waits")
    front.app.control.revoke(waits.id)
    front.app.control.revoke(one.id, terminate=True, signal="SIGKILL")
    front.until(lambda: one.state == "REVOKED", "one to be revoked")
    front.release("two")
    assert two.get(timeout=60) == "two"
    front.until(lambda: waits.state == "REVOKED", "the waiting one to be revoked")
    assert [note.split()[0] for note in front.notes()] == ["one", "two"]
    assert front.get("add", 1, 2) == 3


def test_revoking_by_sigterm(front: Front) -> None:
    result, _ = front.hold("one")
    front.app.control.revoke(result.id, terminate=True)
    front.until(lambda: result.state == "REVOKED", "it to be revoked")
    assert front.get("add", 1, 2) == 3


def test_revoking_by_sigusr1_interrupts_the_task_and_keeps_its_worker(front: Front) -> None:
    result, worker = front.hold("one")
    front.app.control.revoke(result.id, terminate=True, signal="SIGUSR1")
    front.until(lambda: "SoftTimeLimitExceeded" in front.log(), "the task to be interrupted")
    assert worker in front.pool()["processes"]


def test_a_warm_shutdown_waits_for_what_runs(front: Front) -> None:
    result, _ = front.hold("one")
    front.signal(signal.SIGTERM)
    front.until(lambda: "Warm shutdown" in front.log(), "the shutdown to begin")
    front.release("one")
    assert front.wait() == 0
    assert result.get(timeout=60) == "one"


def test_a_cold_shutdown_leaves_a_late_task_to_the_next_worker(front: Front) -> None:
    result, worker = front.hold("one", "hold_late")
    front.signal(signal.SIGQUIT)
    front.wait()
    assert front.supervises() == []
    front.release("one")
    front.start("-c", "1")
    assert result.get(timeout=60) == "one"
    assert [note.split()[0] for note in front.notes()] == ["one", "one"]


def test_a_warm_shutdown_can_be_made_cold(front: Front) -> None:
    result, worker = front.hold("one", "hold_late")
    front.signal(signal.SIGTERM)
    front.until(lambda: "Warm shutdown" in front.log(), "the shutdown to begin")
    front.signal(signal.SIGTERM)  # changes nothing
    front.signal(signal.SIGQUIT)
    front.wait()
    assert front.supervises() == []
    front.release("one")
    front.start("-c", "1")
    assert result.get(timeout=60) == "one"
    assert [note.split()[0] for note in front.notes()] == ["one", "one"]


def test_nothing_outlives_a_front_that_is_killed(front: Front) -> None:
    front.hold("one")
    front.signal(signal.SIGKILL)
    front.wait()
    front.release("one")
    front.until(lambda: front.supervises() == [], "its workers to end")


def test_max_tasks_per_child(make_front: Make) -> None:
    front = make_front().start("-c", "1", "--max-tasks-per-child", "1")
    assert len({front.get("pid") for _ in range(5)}) == 5


def test_growing_shrinking_and_restarting(make_front: Make) -> None:
    front = make_front("app.conf.worker_pool_restarts = True\n").start("-c", "1")
    assert front.control("pool_grow", n=2) == {"ok": "pool will grow"}
    front.until(lambda: len(front.pool()["workers"]) == 3, "three workers")
    names = ["one", "two", "three"]
    for name in names:
        front.hold(name)
    assert "error" in front.control("pool_shrink", n=1)
    for name in names:
        front.release(name)
    front.until(lambda: all(w["state"] == "idle" for w in front.pool()["workers"]), "them to be idle")
    assert front.control("pool_shrink", n=2) == {"ok": "pool will shrink"}
    front.until(lambda: len(front.pool()["workers"]) == 1, "one worker")
    before = front.get("pid")
    assert "ok" in front.control("pool_restart")
    front.until(lambda: front.get("pid") != before, "another worker")


def test_autoscaling(make_front: Make) -> None:
    front = make_front().start("--autoscale", "3,1", AUTOSCALE_KEEPALIVE="1")
    results = [front.send("hold", f"held-{number}") for number in range(3)]
    front.until(lambda: len(front.notes()) == 3, "three tasks at a time")
    for number in range(3):
        front.release(f"held-{number}")
    assert [result.get(timeout=60) for result in results] == ["held-0", "held-1", "held-2"]
    front.until(lambda: len(front.pool()["workers"]) == 1, "one worker")


def test_stats_show_each_worker(front: Front) -> None:
    result, worker = front.hold("one")
    pool = front.pool()
    assert pool["implementation"] == "supervise.celery.prefork:TaskPool"
    assert pool["max-concurrency"] == 2 and worker in pool["processes"]
    (one,) = [w for w in pool["workers"] if w["pid"] == worker]
    assert (one["state"], one["task"], one["task_id"]) == ("busy", "proj.hold", result.id)
    assert one["rss_bytes"] > 1_000_000 and one["age_seconds"] > 0
    front.release("one")


def test_when_its_supervise_dies_the_front_starts_another(front: Front) -> None:
    result, _ = front.hold("one")
    late, _ = front.hold("two", "hold_late")
    waits = front.send("add", 1, 2)
    front.until(lambda: waits.id in front.log(), "the third to be there")
    front.release("two")
    os.kill(front.supervise(), signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="Its supervise is gone"):
        result.get(timeout=60)
    assert waits.get(timeout=60) == 3
    assert late.get(timeout=60) == "two"
    assert "is started again" in front.log()


def test_a_pool_that_cannot_start_says_why(make_front: Make) -> None:
    source = """
if open("/proc/self/cmdline").read().find("supervise: ") == 0:  # the template's title
    raise RuntimeError("no licence in a worker")
"""
    front = make_front(source).start(ready=False)
    front.wait()
    assert "the workers cannot start" in front.log() and "no licence in a worker" in front.log()
    assert front.supervises() == []


def test_no_program_is_a_clear_error(make_front: Make) -> None:
    front = make_front().start(ready=False, SUPERVISE_BIN="/nowhere/supervise")
    front.wait()
    assert "/nowhere/supervise cannot be started: No such file or directory ($SUPERVISE_BIN)" in front.log()


def test_another_program_of_that_name_is_a_clear_error(make_front: Make) -> None:
    front = make_front().start(ready=False, SUPERVISE_BIN="/bin/false")
    front.wait()
    assert "/bin/false ended with exit code 1 before its workers were ready" in front.log()
    assert "name the right one in $SUPERVISE_BIN" in front.log()


def test_late_tasks_one_at_a_time_are_not_slow(make_front: Make) -> None:
    """With kombu before 5.3 an acknowledgement waited for the loop's next wake-up, seconds later."""
    source = "app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)\n"
    front = make_front(source).start("-c", "1")
    front.get("add", 0, 0)
    begin = time.monotonic()
    results = [front.send("add", number, 1) for number in range(20)]
    assert [result.get(timeout=60) for result in results] == list(range(1, 21))
    assert time.monotonic() - begin < 5


def test_an_application_in_a_script(make_front: Make, tmp_path: Path) -> None:
    front = make_front()
    script = (front.folder / "proj.py").read_text()
    script += 'if __name__ == "__main__":\n    app.worker_main(["worker", "-l", "INFO", "-c", "1"])\n'
    (front.folder / "script.py").write_text(script)
    front.run([sys.executable, "script.py"])
    assert front.get("add", 1, 2) == 3


def test_settings_of_the_command_line_reach_the_workers(make_front: Make) -> None:
    source = """
@app.task
def setting(name):
    return app.conf[name]
"""
    front = make_front(source).start("-c", "1", "--", "task.send_sent_event=1", "result.expires=77")
    assert front.get("setting", "result_expires") == 77


def test_log_files_by_process(make_front: Make) -> None:
    front = make_front()
    front.start("-c", "2", "-f", "worker%I.log", ready=False)
    front.until(lambda: (front.folder / "worker.log").exists(), "the log file")
    assert front.get("add", 1, 2) == 3
    logs = [front.folder / "worker-1.log", front.folder / "worker-2.log"]
    front.until(lambda: any("succeeded" in log.read_text() for log in logs), "it to be logged")
