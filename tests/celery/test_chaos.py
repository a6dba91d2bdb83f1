"""Nothing is lost while workers and fronts come to violent and to peaceful ends.

SUPERVISE_TEST_SCALE=1 takes 20,000 tasks, the default a tenth.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from brokers import Redis
from celery_front import Front
from load import SOURCE, Kill, Killer, Load
from served import Served

Make = Callable[..., Front]

SCALE = float(os.environ.get("SUPERVISE_TEST_SCALE", "0.1"))
COUNT = max(2000, int(20_000 * SCALE))
RECYCLES = 5
KILL_SECONDS = 0.2
PATIENCE = 900


def left_in(server: Redis) -> tuple[int, int]:
    """Messages that wait, and those that a front has taken and not acknowledged."""
    import redis

    client = redis.Redis.from_url(server.url(0))
    try:
        return client.llen("celery"), client.hlen("unacked")
    finally:
        client.close()


@pytest.mark.timeout(PATIENCE)
def test_no_task_is_lost_while_workers_are_killed_and_fronts_are_replaced(
    make_front: Make, redis_server: Redis, tmp_path: Path
) -> None:
    load = Load(tmp_path, COUNT, seconds=0.01)
    fronts = [load.serve(make_front(SOURCE)) for _ in range(RECYCLES + 1)]
    names = [f"front-{number}@%h" for number in range(len(fronts))]
    load.send(fronts[0])
    killers = []
    began = time.monotonic()
    for number, front in enumerate(fronts):
        front.start("-c", "4", "-n", names[number])
        pattern = "supervise-celery-*/run/control.sock"
        killer = Killer(Path(front.environment["TMPDIR"]), pattern, "celery", KILL_SECONDS)
        killer.start()
        killers.append(killer)
        if number > 0:
            assert fronts[number - 1].stop() == 0
            killers[number - 1].stop()
        load.until_ended(front, COUNT * (number + 1) // len(fronts), PATIENCE)
    seconds = time.monotonic() - began
    killers[-1].stop()
    assert fronts[-1].stop() == 0
    kills = [kill for killer in killers for kill in killer.kills]
    check(load, kills, redis_server, seconds)


@pytest.mark.timeout(PATIENCE)
def test_no_task_is_lost_while_supervise_replaces_its_front(redis_server: Redis, tmp_path: Path) -> None:
    """As above, with a front that supervise runs, and its own hand-overs."""
    redis_server.flush()
    load = Load(tmp_path, COUNT, seconds=0.01)
    folder = tmp_path / "served"
    folder.mkdir()
    served = Served(folder, redis_server.url(0), redis_server.url(1), SOURCE, pool={"workers": 4})
    load.serve(served)
    load.send(served)
    try:
        served.serve()
        killer = Killer(served.runtime_dir, "control.sock", "work", KILL_SECONDS)
        killer.start()
        began = time.monotonic()
        for number in range(1, RECYCLES + 1):
            served.wait_for_front(number)
            load.until_ended(served, COUNT * number // (RECYCLES + 1), PATIENCE)
            served.supervise_says("recycle", "work", "--front")
        load.until_ended(served, timeout=PATIENCE)
        seconds = time.monotonic() - began
        killer.stop()
        newest = served.wait_for_front(RECYCLES + 1)
        served.until(lambda: [each["pid"] for each in served.fronts()] == [newest["pid"]], "the others to go")
        assert served.stop() == 0
    finally:
        served.close()
    check(load, killer.kills, redis_server, seconds)


def check(load: Load, kills: list[Kill], server: Redis, seconds: float) -> None:
    print(
        f"{COUNT} tasks, {RECYCLES} fronts replaced, {len(kills)} workers killed in {seconds:.1f} s, "
        f"{len(load.repeated())} tasks begun again"
    )
    assert left_in(server) == (0, 0)
    assert len(kills) > 5
    load.check_repeated_are_the_killed(kills)
