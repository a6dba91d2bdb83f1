"""Fronts, supervises and workers that are killed or stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery.exceptions import TimeLimitExceeded
from celery_front import Front
from test_setups import Running

from supervise.celery.control import Control

Make = Callable[..., Front]

# How a task ends; the test reads it in the notes.
ENDS = """
@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def ends(self, name):
    try:
        return hold.run(name)
    except BaseException as error:
        note(f"ends {type(error).__name__}")
        raise
"""


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_killed_fronts_tasks_store_nothing(make_front: Make) -> None:
    """They end as prefork's children do. The broker has their messages still."""
    front = make_front(ENDS).start("-c", "2")
    one, worker = front.hold("one", "ends")
    front.signal(signal.SIGKILL)
    front.wait()
    front.until(lambda: front.supervises() == [], "its supervise to end")
    assert one.state == "PENDING"
    assert front.notes() == [f"one {worker}"]
    front.forget_client()
    front.release("one")
    front.environment["TEST_TRANSPORT"] = repr({"visibility_timeout": 0})
    front.start("-c", "2")  # what was not acknowledged comes back when it connects
    assert front.app.AsyncResult(one.id).get(timeout=60) == "one"
    assert front.stop() == 0


def test_a_killed_supervises_tasks_run_again(make_front: Make) -> None:
    front = make_front(ENDS).start("-c", "1")
    one, worker = front.hold("one", "ends")
    os.kill(front.supervise(), signal.SIGKILL)
    front.until(lambda: len(front.notes()) == 2, "it to run again")
    assert front.notes()[1].split()[1] != str(worker)
    assert not is_alive(worker)
    front.release("one")
    assert one.get(timeout=60) == "one"
    assert front.stop() == 0


def test_a_stopped_worker_is_ended_by_its_tasks_limit(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, worker = front.hold("one", time_limit=2)
    os.kill(worker, signal.SIGSTOP)
    with pytest.raises(TimeLimitExceeded):
        one.get(timeout=60)
    assert front.get("pid") != worker


def test_a_stopped_worker_holds_up_its_own_task_alone(make_front: Make) -> None:
    front = make_front().start("-c", "2")
    worker = front.get("pid")
    os.kill(worker, signal.SIGSTOP)
    results = [front.send("add", number, 0) for number in range(20)]
    front.until(lambda: sum(result.ready() for result in results) >= 19, "the others to end")
    os.kill(worker, signal.SIGCONT)
    assert [result.get(timeout=60) for result in results] == list(range(20))


# --- a supervise that stays when its front goes


@pytest.fixture
def attached(make_front: Make) -> Iterator[tuple[Front, Running]]:
    front = make_front(ENDS)
    running = Running(front, Path(front.environment["TMPDIR"]), preload=True)
    running.start()
    front.until(running.socket.exists, "the pool's socket")
    yield front.start("-c", "2", SUPERVISE_SOCKET=str(running.socket)), running
    running.stop()


def test_what_runs_for_a_vanished_front_goes_on_to_its_end(attached: tuple[Front, Running]) -> None:
    front, _ = attached
    one, worker = front.hold("one", "ends")
    front.signal(signal.SIGKILL)
    front.wait()
    front.release("one")
    assert one.get(timeout=60) == "one"
    assert os.path.exists(f"/proc/{worker}")
    assert front.notes() == [f"one {worker}"]


def test_what_had_not_begun_for_a_vanished_front_is_dropped(attached: tuple[Front, Running]) -> None:
    """The broker delivers it again, perhaps to another front."""
    front, running = attached
    control = Control(str(running.socket.parent / "control.sock"), "work")
    pool = "/pools/work"
    control._ask("POST", f"{pool}/pause")
    results = [front.send("hold", "waits") for _ in range(2)]

    def queued() -> int:
        return int(control.status()["jobs"]["queued"])

    front.until(lambda: queued() == 2, "them to wait in supervise")
    front.signal(signal.SIGKILL)
    front.wait()
    front.until(lambda: queued() == 0, "their waiting to end")
    control._ask("POST", f"{pool}/resume")
    assert control.status()["jobs"]["lost"] == 2
    front.forget_client()
    front.release("waits")
    front.environment["TEST_TRANSPORT"] = repr({"visibility_timeout": 0})
    front.start("-c", "2", SUPERVISE_SOCKET=str(running.socket))
    for result in results:
        assert front.app.AsyncResult(result.id).get(timeout=60) == "waits"
    assert [note.split()[0] for note in front.notes()] == ["waits"] * 2
    assert front.stop() == 0
