"""The pool with RabbitMQ, where the broker itself sees when a front is gone, and heartbeats count."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import celery
import kombu
import pytest
from brokers import Rabbitmq, has_rabbitmq, rabbitmq
from celery_front import Front
from load import SOURCE, Load
from test_setups import Running

Make = Callable[..., Front]

HEARTBEAT = 2  # seconds, of the connection

ENDS = """
@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def ends(self, name):
    "As hold_late, and says how it ends."
    try:
        return hold.run(name)
    except BaseException as error:
        note(f"ends {type(error).__name__}")
        raise
"""


@pytest.fixture
def broker(rabbitmq_server: Rabbitmq) -> Rabbitmq:
    with kombu.Connection(rabbitmq_server.url()) as connection:
        connection.default_channel.queue_delete("celery")
    return rabbitmq_server


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Rabbitmq]:
    """One that the test may stop."""
    if not has_rabbitmq():
        pytest.skip("there is no rabbitmq-server")
    folder = tmp_path / "rabbitmq"
    folder.mkdir()
    with rabbitmq(folder) as server:
        yield server


def waiting(server: Rabbitmq) -> int:
    """Messages in the queue. Those that a front has taken count again as soon as it is gone without
    having acknowledged them."""
    with kombu.Connection(server.url()) as connection:
        return int(connection.default_channel.queue_declare("celery", passive=True).message_count)


def test_tasks_and_results(make_front: Make, broker: Rabbitmq) -> None:
    front = make_front(broker=broker.url()).start("-c", "2")
    results = [front.send("add", number, 1) for number in range(100)]
    assert [result.get(timeout=60) for result in results] == list(range(1, 101))
    assert front.stop() == 0
    assert waiting(broker) == 0


def test_a_late_task_comes_back_when_its_worker_is_killed(make_front: Make, broker: Rabbitmq) -> None:
    source = """
@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def tells(self, name):
    note(f"redelivered {self.request.delivery_info['redelivered']}")
    return hold.run(name)
"""
    front = make_front(source, broker=broker.url()).start("-c", "2")
    result = front.send("tells", "one")
    front.until(lambda: len(front.notes()) == 2, "it to run")
    os.kill(int(front.notes()[1].split()[1]), signal.SIGKILL)
    front.until(lambda: len(front.notes()) == 4, "it to run again")
    front.release("one")
    assert result.get(timeout=60) == "one"
    assert [front.notes()[at] for at in (0, 2)] == ["redelivered False", "redelivered True"]
    assert front.stop() == 0
    assert waiting(broker) == 0


@pytest.mark.skipif(celery.VERSION < (5, 6), reason="Celery stops its timers before the pool is drained")
@pytest.mark.parametrize("early", [True, False])
def test_heartbeats_go_on_during_a_long_drain(make_front: Make, broker: Rabbitmq, early: bool) -> None:
    """Without them the broker would close the connection, and deliver the task again."""
    source = f"app.conf.broker_heartbeat = {HEARTBEAT}\n"
    front = make_front(source, broker=broker.url())
    front.start("-c", "1", "--without-mingle")  # there are no heartbeats while Celery mingles
    one, _ = front.hold("one", "hold" if early else "hold_late")
    front.signal(signal.SIGTERM)
    front.until(lambda: "Warm shutdown" in front.log(), "the shutdown to begin")
    time.sleep(5 * HEARTBEAT)  # it is the time itself that matters
    front.release("one")
    assert front.wait() == 0
    assert one.get(timeout=60) == "one"
    assert waiting(broker) == 0
    assert "missed heartbeats" not in broker.log()
    assert len(front.notes()) == 1


def test_no_more_is_taken_than_there_are_workers(make_front: Make, broker: Rabbitmq) -> None:
    source = "app.conf.worker_prefetch_multiplier = 1\n"
    front = make_front(source, broker=broker.url()).start("-c", "2")
    results = [front.send("hold_late", f"held-{number}") for number in range(10)]
    front.until(lambda: len(front.notes()) == 2, "two to run")
    front.until(lambda: waiting(broker) <= 8, "the others to wait")
    front.control("stats")  # a round trip later it is as it was
    assert waiting(broker) == 8
    assert front.control("pool_grow", n=1) == {"ok": "pool will grow"}
    front.until(lambda: len(front.notes()) == 3, "three to run")
    front.until(lambda: waiting(broker) <= 7, "one less to wait")
    front.control("stats")
    assert waiting(broker) == 7
    for number in range(10):
        front.release(f"held-{number}")
    assert len([result.get(timeout=60) for result in results]) == 10
    assert front.stop() == 0


def test_what_a_killed_front_held_is_run_again_by_the_next(make_front: Make, broker: Rabbitmq) -> None:
    """Its workers are killed with it, and have no time to make a failure of what they run."""
    fronts = [make_front(ENDS, broker=broker.url()) for _ in range(2)]
    front = fronts[0].start("-c", "2")
    one, worker = front.hold("one", "ends")
    others = [front.send("add", number, 1) for number in range(5)]
    two, _ = front.hold("two", "ends")
    front.signal(signal.SIGKILL)
    front.wait()
    front.until(lambda: not os.path.exists(f"/proc/{worker}"), "its worker to end")
    front.until(lambda: front.supervises() == [], "its supervise to end")
    for name in ("one", "two"):
        (fronts[1].folder / f"{name}.go").touch()
    fronts[1].start("-c", "2")
    assert (one.get(timeout=60), two.get(timeout=60)) == ("one", "two")
    assert [result.get(timeout=60) for result in others] == list(range(1, 6))
    assert [note for note in front.notes() if note.startswith("ends")] == []
    assert fronts[1].stop() == 0
    assert waiting(broker) == 0


def test_one_of_two_fronts_of_a_supervise_is_killed(
    make_front: Make, broker: Rabbitmq, tmp_path: Path
) -> None:
    """The other goes on, and takes over what had not been acknowledged."""
    load = Load(tmp_path, 600)
    killed, other = (load.serve(make_front(SOURCE, broker=broker.url())) for _ in range(2))
    running = Running(killed, Path(killed.environment["TMPDIR"]), preload=True)
    running.start()
    try:
        load.send(other)
        for front, name in ((killed, "killed@%h"), (other, "other@%h")):
            front.start("-c", "2", "-n", name, SUPERVISE_SOCKET=str(running.socket), ready=False)
        load.until_ended(other, 200)
        killed.until(lambda: "received" in killed.log(), "it to work, too")
        killed.signal(signal.SIGKILL)
        killed.wait()
        load.until_ended(other)
        assert other.stop() == 0
    finally:
        running.stop()
    assert waiting(broker) == 0
    assert len(load.repeated()) <= 2 * 4 + 2  # what it held


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_broker_that_restarts_under_load(
    make_front: Make, own_broker: Rabbitmq, tmp_path: Path, end: str
) -> None:
    """Each task runs; again run those whose acknowledgement could not be given, or that a killed
    broker had not written down yet."""
    load = Load(tmp_path, 600)
    front = load.serve(make_front(SOURCE, broker=own_broker.url()))
    load.send(front)
    front.start("-c", "2")
    load.until_ended(front, 100)
    workers = sorted(front.pool()["processes"])
    front.forget_client()
    getattr(own_broker, end)()
    front.until(lambda: "Connection to broker lost" in front.log(), "the loss to be noticed")
    unwritten = load.ended() if end == "kill" else 0
    own_broker.start()
    load.until_ended(front)
    assert sorted(front.pool()["processes"]) == workers
    front.forget_client()
    assert front.stop() == 0
    assert waiting(own_broker) == 0
    losses = front.log().count("Connection to broker lost")
    prefetched = 2 * 4 + 2
    assert len(load.repeated()) <= unwritten + losses * prefetched
    assert {run.number for run in load.runs() if run.ended} == set(range(load.count))
