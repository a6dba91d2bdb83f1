"""What an operator does while tasks run: nothing is lost by it, nothing hangs, nothing runs twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import Redis, redis
from celery_front import Front
from load import SOURCE, Kill, Load

Make = Callable[..., Front]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """One that the test may stop. It forgets nothing that it has answered for."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis(folder) as server:
        yield server


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(tmp_path, 600)


def until_logged(front: Front, text: str, times: int) -> None:
    front.until(lambda: front.log().count(text) >= times, f"{text}, {times} times")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_broker_that_restarts(make_front: Make, own_redis: Redis, load: Load, end: str) -> None:
    """What a front held when the connection broke comes back after the visibility time-out; Celery
    looks for such messages when it connects, and then every 100 s."""
    front = load.serve(make_front(SOURCE, broker=own_redis.url(0)))
    front.environment["TEST_TRANSPORT"] = repr({"visibility_timeout": 1})
    load.send(front)
    front.start("-c", "2")
    load.until_ended(front, 100)
    workers = sorted(front.pool()["processes"])
    front.forget_client()
    getattr(own_redis, end)()
    front.until(
        lambda: "Cannot connect to" in front.log() or ended(front), "the loss to be noticed, or it to end"
    )
    own_redis.start()  # it tries again after two seconds
    if ended(front):  # with any pool: kombu's transport stumbles over a Redis that is gone at once
        assert "no attribute 'hostname'" in front.log()
        front.start("-c", "2")
        workers = sorted(front.pool()["processes"])
    front.until(lambda: is_settled(own_redis, load, front), "all to run, or to wait for the broker", 100)
    assert sorted(front.pool()["processes"]) == workers
    losses = front.log().count("Connection to broker lost")
    front.until(lambda: load.ended() >= load.count - losses * (2 * 4 + 2), "what it holds to run")
    assert len(load.repeated()) <= losses * (2 * 4 + 2)  # prefetched, or at work
    front.forget_client()
    assert front.stop() == 0


def ended(front: Front) -> bool:
    return front.process is not None and front.process.poll() is not None


def is_settled(server: Redis, load: Load, front: Front) -> bool:
    """Whether each task has run, or is with the broker, or was lost by it: taken from its list, and
    its connection broken before Celery could note that it has it."""
    import redis

    client = redis.Redis.from_url(server.url(0))
    try:
        if client.llen("celery"):
            return False
        kept = b"".join(client.hvals("unacked"))
    finally:
        client.close()
    load.ended()
    log = front.log()
    return not any(
        f"[marks-{number}] received" in log and f'"marks-{number}"'.encode() not in kept
        for number in load.missing()
    )


def test_restarting_the_pool(make_front: Make, load: Load) -> None:
    front = load.serve(make_front(SOURCE + "app.conf.worker_pool_restarts = True\n"))
    load.send(front)
    front.start("-c", "3")
    seen = set(front.pool()["processes"])
    for turn in range(1, 6):
        load.until_ended(front, turn * 100)
        assert "ok" in front.control("pool_restart")
        seen |= set(front.pool()["processes"])
    load.until_ended(front)
    front.until(lambda: not seen & set(front.pool()["processes"]), "all of them to be others")
    load.check_repeated_are_the_killed([])
    assert front.stop() == 0


def test_growing_and_shrinking(make_front: Make, load: Load) -> None:
    front = load.serve(make_front(SOURCE))
    load.send(front)
    front.start("-c", "1")
    for turn in range(1, 6):
        load.until_ended(front, turn * 80)
        assert front.control("pool_grow", n=3) == {"ok": "pool will grow"}
        front.until(lambda: len(front.pool()["processes"]) >= 4, "four workers")
        load.until_ended(front, turn * 80 + 40)
        for _ in range(3):
            front.until(lambda: "ok" in front.control("pool_shrink", n=1), "one to be idle")
    load.until_ended(front)
    front.until(lambda: len(front.pool()["processes"]) == 1, "one worker")
    load.check_repeated_are_the_killed([])
    assert front.stop() == 0


def test_scaling_by_itself(make_front: Make, tmp_path: Path) -> None:
    """Up while there is much to do, down in the pauses, three times."""
    load = Load(tmp_path, 150, seconds=0.02)
    front = load.serve(make_front(SOURCE))
    front.start("--autoscale", "4,1", AUTOSCALE_KEEPALIVE="0.5")
    for _ in range(3):
        load.restart()
        load.send(front)
        front.until(lambda: len(front.pool()["processes"]) > 1, "more workers")
        load.until_ended(front)
        front.until(lambda: len(front.pool()["processes"]) == 1, "one worker")
        load.check_repeated_are_the_killed([])
    assert front.stop() == 0


def test_a_supervise_that_is_killed(make_front: Make, load: Load) -> None:
    """The front starts another. The workers have gone with the first, and what they ran runs again."""
    front = load.serve(make_front(SOURCE))
    load.send(front)
    front.start("-c", "3")
    kills: list[Kill] = []
    for turn in range(1, 4):
        load.until_ended(front, turn * 120)
        workers = front.pool()["processes"]
        os.kill(front.supervise(), signal.SIGKILL)
        until_logged(front, "There is a supervise again", turn)
        kills += [Kill(pid, time.monotonic_ns()) for pid in workers]
    load.until_ended(front)
    load.check_repeated_are_the_killed(kills)
    assert front.stop() == 0


def test_hangups(make_front: Make, load: Load) -> None:
    """The front executes itself anew, with the same pid, while there is much to do."""
    front = load.serve(make_front(SOURCE))
    load.send(front)
    front.start("-c", "3")
    for turn in range(1, 4):
        load.until_ended(front, turn * 120)
        front.signal(signal.SIGHUP)
        until_logged(front, " ready.", turn + 1)
    load.until_ended(front)
    load.check_repeated_are_the_killed([])
    assert front.stop() == 0
    assert front.supervises() == []
