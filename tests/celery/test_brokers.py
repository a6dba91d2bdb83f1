"""Brokers: one that has no event loop of Celery's, one that goes away, and many losses at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from brokers import Redis, redis
from celery.exceptions import TaskRevokedError
from celery_front import Front

Make = Callable[..., Front]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """One that the test may stop."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis(folder) as server:
        yield server


@pytest.fixture
def without_hub(make_front: Make, tmp_path: Path) -> Front:
    """With a broker that Celery reads in a plain loop: files in a folder."""
    for name in ("messages", "processed", "control", "results"):
        (tmp_path / name).mkdir()
    front = make_front(broker="filesystem://", backend=f"file://{tmp_path}/results")
    folder = f"{tmp_path}/messages"
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{tmp_path}/control"}
    front.environment["TEST_TRANSPORT"] = repr(options)
    return front


def test_a_broker_without_an_event_loop(without_hub: Front) -> None:
    front = without_hub.start("-c", "2")
    results = [front.send("add", number, 1) for number in range(20)]
    assert [result.get(timeout=60) for result in results] == list(range(1, 21))
    one, worker = front.hold("one", "hold_late")
    os.kill(worker, signal.SIGKILL)
    front.until(lambda: len(front.notes()) == 2, "it to be run again")
    front.release("one")
    assert one.get(timeout=60) == "one"
    two, _ = front.hold("two")
    front.signal(signal.SIGTERM)
    front.until(lambda: "Warm shutdown" in front.log(), "the shutdown to begin")
    front.release("two")
    assert front.wait() == 0
    assert two.get(timeout=60) == "two"
    assert front.supervises() == []


def test_without_an_event_loop_a_task_that_waits_can_be_revoked(without_hub: Front) -> None:
    """As with prefork no more are handed over than there are workers."""
    if kombu.VERSION < (5, 3):
        pytest.skip("its file system transport has no remote control")
    front = without_hub.start("-c", "1")
    one, _ = front.hold("one")
    waits = front.send("hold", "waits")
    front.until(lambda: waits.id in front.log(), "the second to be there")
    front.control("revoke", task_id=waits.id)
    front.release("one")
    assert one.get(timeout=60) == "one"
    with pytest.raises(TaskRevokedError):
        waits.get(timeout=60)
    assert [note.split()[0] for note in front.notes()] == ["one"]


def test_a_broker_that_restarts(make_front: Make, own_redis: Redis) -> None:
    front = make_front(broker=own_redis.url(0), backend=own_redis.url(1)).start("-c", "2")
    _, first = front.hold("one")
    workers = sorted(front.pool()["processes"])
    front.forget_client()
    own_redis.stop()
    front.until(lambda: "Connection to broker lost" in front.log(), "the loss to be noticed")
    front.release("one")
    own_redis.start()
    front.until(
        lambda: front.log().count(" ready.") + front.log().count("Connected to") >= 2, "a new connection"
    )
    assert front.get("add", 1, 2) == 3
    two, _ = front.hold("two")
    assert sorted(front.pool()["processes"]) == workers  # the same
    front.release("two")
    assert two.get(timeout=60) == "two"
    assert front.stop() == 0


COUNTS = """
@app.task(acks_late=True, reject_on_worker_lost=True)
def counts(number):
    note(f"begin {number}")
    time.sleep(0.005)
    note(f"end {number}")
"""


def test_no_task_is_lost_while_workers_are_killed(make_front: Make) -> None:
    """Run twice are those that were killed in the middle, and no other."""
    count = 300
    front = make_front(COUNTS + "app.conf.supervise_max_worker_losses = 0\n").start("-c", "2")
    results = [front.send("counts", number) for number in range(count)]
    deaths = 0
    while any(not result.ready() for result in results[-20:]):
        time.sleep(0.1)  # the pace of the murders
        workers = [worker for worker in front.pool()["workers"] if worker["state"] == "busy"]
        if workers:
            deaths += 1
            os.kill(workers[0]["pid"], signal.SIGKILL)
    for result in results:
        result.get(timeout=60)
    notes = front.notes()
    begun = [note.split()[1] for note in notes if note.startswith("begin")]
    ended = [note.split()[1] for note in notes if note.startswith("end")]
    assert set(begun) == {str(number) for number in range(count)}
    assert deaths > 0 and len(begun) - count <= deaths
    assert len(ended) - len(set(ended)) <= deaths  # killed after its last line, before its answer
    assert front.stop() == 0


def test_no_message_is_lost_when_the_pool_is_restarted_under_load(make_front: Make) -> None:
    front = make_front("app.conf.worker_pool_restarts = True\n").start("-c", "2")
    results = []
    for number in range(200):
        results.append(front.send("add", number, 0))
        if number % 70 == 20:
            assert "ok" in front.control("pool_restart")
    assert [result.get(timeout=60) for result in results] == list(range(200))


def test_hangup_starts_the_front_anew(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, worker = front.hold("one")
    starts = front.log().count(" ready.")
    front.signal(signal.SIGHUP)
    front.until(lambda: "Restarting celery worker" in front.log(), "the signal to be heard")
    front.release("one")
    front.until(lambda: front.log().count(" ready.") > starts, "the second start")
    assert one.get(timeout=60) == "one"
    assert front.get("pid") != worker
    assert front.stop() == 0
    assert front.supervises() == []


def test_memory_per_child_is_what_a_worker_has_now(make_front: Make) -> None:
    """Not its peak, as with prefork: a spike that was given back recycles nobody."""
    source = """
@app.task
def spike():
    memory = bytearray(200_000_000)
    return os.getpid()

kept = []

@app.task
def keep():
    kept.append(bytearray(200_000_000))
    return os.getpid()
"""
    front = make_front(source).start("-c", "1", "--max-memory-per-child", "150000")
    assert len({front.get("spike") for _ in range(3)}) == 1
    assert len({front.get("keep") for _ in range(3)}) == 3
    assert front.pool()["recycles"]["max_rss"] >= 2


def test_a_log_that_was_opened_by_a_shell_keeps_every_line(make_front: Make, tmp_path: Path) -> None:
    """The front and its workers write to one file, which `>` has opened without O_APPEND."""
    front = make_front()
    shell = f"exec {sys.executable} -m celery -A proj worker -l INFO -c 2 > shell.log 2>&1"
    front.run(["/bin/sh", "-c", shell], ready=False)
    front.log_file = front.folder / "shell.log"
    front.until(lambda: " ready." in front.log(), "ready")
    results: list[Any] = [front.send("add", number, 0) for number in range(50)]
    for result in results:
        result.get(timeout=60)
    front.stop()
    log = front.log()
    for result in results:
        assert f"Task proj.add[{result.id}] received" in log
        assert f"Task proj.add[{result.id}] succeeded" in log
