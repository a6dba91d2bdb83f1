"""How a front of supervise's own leaves, with real Celery and Redis."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from brokers import Redis, redis
from celery.worker import state as worker_state
from celery_front import BINARY
from kombu.asynchronous import Hub
from served import Served

from supervise.celery.loops import HubLoop
from supervise.celery.retreat import Retreat


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., tuple[Served, Redis]]]:
    """Serves, with a broker of its own."""
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not there")
    folder = tmp_path / "served"
    folder.mkdir()
    with redis(tmp_path) as server:
        made: list[Served] = []

        def serve(**keys: Any) -> tuple[Served, Redis]:
            made.append(Served(folder, server.url(0), server.url(1), **keys).serve())
            return made[0], server

        yield serve
        for served in made:
            served.close()


def test_a_front_that_waits_for_its_broker_ends_when_it_is_told_to(make: Any) -> None:
    served, server = make(pool={"grace": "10m"})
    server.stop()
    served.until(lambda: "Trying again" in served.log(), "the front to wait for its broker")
    assert served.stop() == 0  # long before the grace is over
    assert "pool.stopping" in served.log()


def test_a_task_that_was_revoked_is_not_handed_back(make: Any) -> None:
    """Without mingle the next front would not know of it; with it, it misses what comes meanwhile."""
    served, _ = make(front={"arguments": ["--without-mingle"]})
    held = [served.hold(name)[0] for name in ("a", "b")]
    waits, later = served.send("add", 1, 2), served.send("add", 1, 3, countdown=5)
    served.until(lambda: len(re.findall("proj.add.* received", served.log())) == 2, "the first to have both")
    served.control("revoke", task_id=[waits.id, later.id])
    served.supervise_says("recycle", "work", "--front")
    served.until(lambda: later.state == waits.state == "REVOKED", "Celery to say so")
    for name in ("a", "b"):
        served.release(name)
    assert [result.get(timeout=60) for result in held] == ["a", "b"]
    served.until(lambda: len(served.fronts()) == 1, "the first to go")
    assert served.log().count("received") == 4  # by the first alone


def test_a_task_that_is_revoked_while_the_next_front_mingles_does_not_run(make: Any) -> None:
    served, _ = make()
    held = [served.hold(name)[0] for name in ("a", "b")]
    served.release("late")
    tasks = [served.send("hold", "late") for _ in range(12)]  # some of them stay with the broker
    served.supervise_says("recycle", "work", "--front")
    served.until(lambda: "sync with work-2@" in served.log(), "the first to answer the second's mingle")
    served.control("revoke", task_id=[task.id for task in tasks])
    discarded = "Discarding revoked task"
    served.until(lambda: served.log().count(discarded) == len(tasks), "all to be discarded")
    for name in ("a", "b"):
        served.release(name)
    assert [result.get(timeout=60) for result in held] == ["a", "b"]
    served.until(lambda: len(served.fronts()) == 1, "the first to go")
    assert [note.split()[0] for note in served.notes()] == ["a", "b"]


def test_a_signal_in_the_middle_of_the_hubs_own_work_does_not_hang_it() -> None:
    hub = Hub()
    loop = HubLoop(lambda: None)
    loop.register(hub)
    called: list[str] = []
    with getattr(hub, "_ready_lock", contextlib.nullcontext()):  # as in Hub._pop_ready(); no RLock
        loop.soon(lambda: called.append("retreat"))
    hub.call_later(30, lambda: None)
    hub.run_once()
    assert called == ["retreat"]
    loop.stop()
    hub.close()


def test_a_front_goes_on_leaving_when_the_brokers_connection_breaks_meanwhile() -> None:
    later: list[Callable[[], object]] = []
    queues = {"a": 1, "b": 2}

    def cancel(queue: str) -> None:
        del queues[queue]
        if queue == "a":
            raise ConnectionResetError

    consumer = SimpleNamespace(
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues))),
        cancel_task_queue=cancel,
        timer=SimpleNamespace(schedule=SimpleNamespace(queue=[])),
        task_buckets={},
    )
    desk: Any = SimpleNamespace(close=lambda: None, held=list, busy=1)
    loop: Any = SimpleNamespace(later=lambda _, function: later.append(function))
    retreat = Retreat(consumer, desk, loop, lambda: None)
    with pytest.raises(ConnectionResetError):  # Celery connects again
        retreat.begin()
    later.pop()()
    assert queues == {}
    assert later[-1] == retreat._look


@pytest.mark.parametrize(
    ("kind", "reads", "revoked", "may_go"),
    [
        ("redis", False, [], True),
        ("redis", True, [], False),
        ("amqp", True, [], True),
        ("amqp", True, ["an-id"], False),
        ("SQS", False, [], False),
    ],
)
def test_a_front_stays_only_where_a_message_may_come_or_revokes_are_to_be_told(
    kind: str, reads: bool, revoked: list[str], may_go: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervise.celery.retreat._SETTLE_SECONDS", 0)
    monkeypatch.setattr("supervise.celery.retreat._QUIET_SECONDS", 1000)
    monkeypatch.setattr(worker_state, "should_stop", None)
    monkeypatch.setattr(worker_state, "revoked", revoked)
    monkeypatch.setattr(Retreat, "_pass_revokes_on", lambda self: None)
    consumer = SimpleNamespace(
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={}))),
        connection=SimpleNamespace(transport=SimpleNamespace(driver_type=kind)),
        task_consumer=SimpleNamespace(channel=SimpleNamespace(_in_poll=reads)),
        timer=SimpleNamespace(schedule=SimpleNamespace(queue=[])),
        task_buckets={},
    )
    desk: Any = SimpleNamespace(close=lambda: None, held=list, busy=0)
    loop: Any = SimpleNamespace(later=lambda _, function: None)
    Retreat(consumer, desk, loop, lambda: None).begin()
    assert worker_state.should_stop == (0 if may_go else None)
