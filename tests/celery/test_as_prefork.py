"""What a user of prefork relies on, and what it cannot do: limits, events, inspection, causes of death."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded
from celery_front import Front

Make = Callable[..., Front]


# --- limits


def test_the_pools_own_limits(make_front: Make) -> None:
    front = make_front().start("-c", "2", "--soft-time-limit", "1", "--time-limit", "3")
    with pytest.raises(SoftTimeLimitExceeded):
        front.get("hold", "softly")
    front.until(
        lambda: "Soft time limit (1.0s) exceeded for proj.hold" in front.log(), "the soft limit's line"
    )
    stubborn = front.send("hold", "hardly", soft_time_limit=100)
    with pytest.raises(TimeLimitExceeded, match="3"):
        stubborn.get(timeout=60)
    assert front.pool()["timeouts"] == [1.0, 3.0]


def test_a_calls_limit_goes_before_its_tasks(make_front: Make) -> None:
    source = """
@app.task(time_limit=100, soft_time_limit=90)
def limited(name):
    return hold.run(name)
"""
    front = make_front(source).start("-c", "1")
    with pytest.raises(SoftTimeLimitExceeded):
        front.get("limited", "softly", soft_time_limit=1)
    with pytest.raises(TimeLimitExceeded):
        front.get("limited", "hardly", time_limit=1)


# --- revoking


def test_what_is_revoked_before_it_begins_never_does(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, _ = front.hold("one")
    waits = front.send("hold", "waits")
    later = front.send("hold", "later", countdown=300)
    front.until(lambda: later.id in front.log(), "all to be there")
    front.control("revoke", task_id=waits.id, terminate=True, signal="SIGKILL")
    front.control("revoke", task_id=later.id)
    front.release("one")
    assert one.get(timeout=60) == "one"
    with pytest.raises(TaskRevokedError):
        waits.get(timeout=60)
    assert front.get("add", 1, 2) == 3
    assert [note.split()[0] for note in front.notes()] == ["one"]


# --- what Flower and an operator see


class Events(threading.Thread):
    """Collects those of a front; from its making on."""

    def __init__(self, front: Front) -> None:
        super().__init__(daemon=True)
        self.seen: list[dict[str, Any]] = []
        self._ready = threading.Event()
        self._front = front
        self._receiver: Any = None
        self.start()
        assert self._ready.wait(60)

    def run(self) -> None:
        app = self._front.app
        with app.connection_for_read() as connection:
            self._receiver = app.events.Receiver(connection, handlers={"*": self.seen.append})
            self._receiver.on_consume_ready = lambda *_, **__: self._ready.set()
            self._receiver.capture(limit=None, timeout=None, wakeup=False)

    def of(self, result: Any) -> list[str]:
        return [event["type"] for event in self.seen if event.get("uuid") == result.id]

    def stop(self) -> None:
        self._receiver.should_stop = True
        self.join()


EVENTFUL = """
@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retries_once(self):
    if not self.request.retries:
        raise self.retry()

@app.task
def fails():
    raise KeyError("x")

@app.task
def dies():
    os.kill(os.getpid(), 9)
"""


def test_events(make_front: Make) -> None:
    front = make_front(EVENTFUL).start("-c", "1", "-E", "--heartbeat-interval", "1")
    events = Events(front)
    added, failed, died = (front.send(*call) for call in (("add", 1, 2), ("fails",), ("dies",)))
    retried = front.send("retries_once")
    held, worker = front.hold("one")
    front.app.control.revoke(held.id, terminate=True, signal="SIGKILL")
    expected = {
        added: ["task-received", "task-started", "task-succeeded"],
        failed: ["task-received", "task-started", "task-failed"],
        died: ["task-received", "task-started", "task-failed"],
        held: ["task-received", "task-started", "task-revoked"],
        retried: [
            *("task-received", "task-started", "task-retried"),
            *("task-received", "task-started", "task-succeeded"),
        ],
    }
    front.until(
        lambda: all(len(events.of(result)) >= len(of) for result, of in expected.items()), "the events"
    )
    front.until(lambda: any(event["type"] == "worker-heartbeat" for event in events.seen), "a heartbeat")
    events.stop()
    for result, of in expected.items():  # the next try may have come before the front heard of the first
        assert sorted(events.of(result)) == sorted(of)
    (started,) = [e for e in events.seen if e["type"] == "task-started" and e["uuid"] == held.id]
    assert started["pid"] == front.pid
    (succeeded,) = [e for e in events.seen if e["type"] == "task-succeeded" and e["uuid"] == added.id]
    assert succeeded["result"] == "3" and succeeded["runtime"] > 0
    (revoked,) = [e for e in events.seen if e["type"] == "task-revoked"]
    assert revoked["terminated"] and revoked["signum"]
    heartbeat = [e for e in events.seen if e["type"] == "worker-heartbeat"][-1]
    assert {"active", "processed", "freq"} <= set(heartbeat)


def test_inspection_shows_what_is_where(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, worker = front.hold("one")
    waits, later = front.send("hold", "waits"), front.send("hold", "later", countdown=300)
    front.until(lambda: waits.id in front.log() and later.id in front.log(), "all to be there")
    (active,) = front.control("active")
    assert (active["id"], active["worker_pid"], active["acknowledged"]) == (one.id, worker, True)
    assert [request["id"] for request in front.control("reserved")] == [waits.id]
    assert [each["request"]["id"] for each in front.control("scheduled")] == [later.id]
    stats = front.control("stats")
    assert stats["total"] == {"proj.hold": 1}  # those that have begun
    assert set(stats["pool"]) >= {
        *("implementation", "max-concurrency", "processes", "max-tasks-per-child"),
        *("put-guarded-by-semaphore", "timeouts", "writes"),
    }
    for name in ("one", "waits"):
        front.release(name)
    assert waits.get(timeout=60) == "waits"


# --- why a worker was lost


DEATHS = """
import ctypes, subprocess

app.conf.supervise_config["pool"] = {"memory": {"hard": "150M"}}

@app.task
def takes(megabytes, at_a_time, pause):
    taken = []
    for _ in range(0, megabytes, at_a_time):
        taken.append(b"x" * (at_a_time << 20))
        time.sleep(pause)

@app.task
def exits():
    sys.exit(1)

@app.task
def crashes():
    ctypes.string_at(0)

@app.task
def has_children():
    script = "setsid sleep 600 & echo $!; exec sleep 600"
    child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    note(f"child {child.pid}")
    note(f"grandchild {int(child.stdout.readline())}")
    os.kill(os.getpid(), 9)
"""


KILLED = r"signal 9 \(SIGKILL\) Job: \d+\. (Stopped by supervise|Killed by the kernel): "


@pytest.fixture
def deaths(make_front: Make) -> Iterator[Front]:
    yield make_front(DEATHS).start("-c", "1")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("exits",), r"exitcode 1 Job: \d+\. Task proj\.exits\["),
        (("crashes",), r"signal 11 \(SIGSEGV\) Job: \d+\. Task proj\.crashes\["),
        (("takes", 2000, 1000, 0), rf"{KILLED}.*memory.*; task proj\.takes\["),
        (("takes", 2000, 2, 0.05), rf"{KILLED}.* reached memory\.hard = 150 MiB; task proj\.takes\["),
    ],
    ids=["exit", "crash", "our line or the kernel's", "our line"],
)
def test_the_cause_of_a_death_is_told(deaths: Front, call: tuple[Any, ...], told: str) -> None:
    with pytest.raises(WorkerLostError) as caught:
        deaths.get(*call)
    assert re.search("Worker exited prematurely: " + told, str(caught.value))
    assert deaths.get("add", 1, 2) == 3


def test_what_a_task_has_started_ends_with_its_worker(deaths: Front) -> None:
    with pytest.raises(WorkerLostError):
        deaths.get("has_children")
    for note in deaths.notes():
        pid = int(note.split()[1])
        deaths.until(lambda pid=pid: not is_alive(pid), f"{note} to end")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
