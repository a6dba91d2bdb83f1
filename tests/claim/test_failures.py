"""Entries that are gone or spoilt, workers that die, tasks that are revoked: with real workers."""

from __future__ import annotations

import json
import os
import signal

import pytest
from celery import Task
from celery.exceptions import TaskRevokedError, WorkerLostError
from kombu.exceptions import EncodeError
from processes import SECONDS

import supervise.claim
from supervise.claim import ClaimCorrupt, ClaimMissing

BIG = "big " * 1000

POOLS = [("prefork", "-c", "1"), ("supervise", "-c", "1"), ("solo",), ("threads", "-c", "1")]
with_workers = pytest.mark.parametrize("kind", ["prefork", "supervise"])


@pytest.fixture(params=POOLS, ids=lambda pool: pool[0])
def pool(request):
    return ("-P", *request.param)


@pytest.mark.parametrize("extended", [False, True], ids=["short results", "extended results"])
def test_a_missing_entry_fails_its_task_and_no_other(
    world, pool, entries, leftovers, directory, redis, extended
):
    app = world.producer(conf={"result_extended": extended, "task_acks_late": True})
    lost = app.digest.apply_async((BIG, "small"), link_error=app.on_error.s())
    (entry,) = entries()
    (directory / entry).unlink()
    worker = world.worker(*pool)
    other = app.digest.delay(BIG)
    assert other.get(timeout=SECONDS) == [app.short(BIG)]
    with pytest.raises(ClaimMissing, match=f"entry {entry} is not in the directory"):
        lost.get(timeout=SECONDS)
    assert json.loads(redis.blpop("errors", timeout=SECONDS)[1]) == [lost.id, "ClaimMissing"]
    worker.stop()
    assert leftovers() == []


def test_a_corrupt_entry_fails_its_task(world, pool, entries, leftovers, directory):
    app = world.producer(serializer="claim-pickle")
    spoilt = app.digest.delay(rows=BIG)
    (entry,) = entries()
    (directory / entry).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    worker = world.worker(*pool)
    with pytest.raises(ClaimCorrupt, match=f"entry {entry} .* is not what the producer stored"):
        spoilt.get(timeout=SECONDS)
    worker.stop()
    assert leftovers() == []


def test_children_that_load_while_they_decode_are_no_different(world, entries, leftovers, directory):
    app = world.producer(children_resolve=True)
    lost = app.digest.delay(BIG)
    (directory / entries()[0]).unlink()
    retried = app.succeed_at.delay(BIG, 2)
    (directory / "kept").hardlink_to(directory / entries()[0])
    worker = world.worker("-P", "prefork", "-c", "1")
    with pytest.raises(ClaimMissing):
        lost.get(timeout=SECONDS)
    assert retried.get(timeout=SECONDS) == [2, app.short(BIG), 1]
    worker.stop()
    assert leftovers() == ["kept"]


def test_a_store_that_is_open_to_others_fails_the_tasks_and_tells_the_producer(world, directory):
    app = world.producer()
    result = app.digest.delay(BIG)
    directory.chmod(0o755)
    with pytest.raises(EncodeError, match="open to other users"):
        app.digest.delay(BIG)
    worker = world.worker("-P", "prefork", "-c", "1")
    with pytest.raises(supervise.claim.StoreError, match="open to other users"):
        result.get(timeout=SECONDS)
    worker.stop()


@with_workers
def test_a_message_that_is_delivered_again_finds_its_entry(world, kind, redis, leftovers):
    app = world.producer()
    result = app.die_once.delay(BIG)
    worker = world.worker("-P", kind, "-c", "1")
    os.kill(int(redis.blpop("victims", timeout=SECONDS)[1]), signal.SIGKILL)
    assert result.get(timeout=SECONDS) == [2, app.short(BIG)]
    worker.stop()
    assert leftovers() == []


@pytest.mark.skipif(not hasattr(Task, "retry_on_worker_lost"), reason="Celery 5.7 has it")
@with_workers
def test_a_task_that_the_front_sends_again_has_its_arguments(world, kind, redis, leftovers):
    app = world.producer()
    result = app.retried_when_lost.delay(BIG)
    worker = world.worker("-P", kind, "-c", "1")
    os.kill(int(redis.blpop("victims", timeout=SECONDS)[1]), signal.SIGKILL)
    assert result.get(timeout=SECONDS) == [1, app.short(BIG)]
    worker.stop()
    assert leftovers() == []


def test_a_killed_worker_leaves_the_entries_to_the_next(world, redis, entries, leftovers):
    # 0: the second worker takes over at its start what the first one had.
    app = world.producer(conf={"broker_transport_options": {"visibility_timeout": 0}})
    result = app.die_once.delay(BIG)
    first = world.worker("-P", "prefork", "-c", "1")
    redis.blpop("victims", timeout=SECONDS)
    first.kill()
    stored = entries()
    assert len(stored) == 1

    second = world.worker("-P", "prefork", "-c", "1")
    assert result.get(timeout=SECONDS) == [2, app.short(BIG)]
    second.stop()
    assert leftovers() == []


def test_the_front_loads_for_an_errback_that_it_calls_itself(world, redis, leftovers):
    app = world.producer()
    result = app.wait.apply_async((BIG,), link_error=app.on_error.s("e" * 3000))
    worker = world.worker("-P", "prefork", "-c", "1")
    redis.blpop("began", timeout=SECONDS)
    (child,) = worker.children()
    os.kill(child, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        result.get(timeout=SECONDS)
    got = json.loads(redis.blpop("errors", timeout=SECONDS)[1])
    assert got == [result.id, "WorkerLostError", app.short("e" * 3000)]
    worker.stop()
    assert leftovers() == []


def test_revoked_tasks_leave_nothing_behind_after_the_sweep(world, redis, entries, directory):
    app = world.producer()
    worker = world.worker("-P", "prefork", "-c", "1", "-n", "front@localhost")
    running = app.wait.delay(BIG)
    redis.blpop("began", timeout=SECONDS)
    waiting = app.digest.delay(BIG)
    inspect = app.app.control.inspect(destination=["front@localhost"], timeout=30, limit=1)
    revoke = {"reply": True, "destination": ["front@localhost"], "timeout": 30, "limit": 1}
    assert app.app.control.revoke(waiting.id, **revoke)
    assert app.app.control.revoke("never sent", **revoke)
    assert inspect.revoked()["front@localhost"]
    before = app.digest.apply_async((BIG,), task_id="never sent")
    redis.rpush("go", 1)
    assert running.get(timeout=SECONDS) == app.short(BIG)
    for revoked in (waiting, before):
        with pytest.raises(TaskRevokedError):
            revoked.get(timeout=SECONDS)
    worker.stop()

    for entry in entries():
        os.utime(directory / entry, (0, 0))
    supervise.claim.sweep()
    assert entries() == []


def test_the_front_sweeps_when_it_sees_its_first_claim(world, entries, leftovers, directory):
    app = world.producer()
    app.digest.delay(BIG)
    for entry in entries():
        os.utime(directory / entry, (0, 0))
    app.app.control.purge()
    worker = world.worker("-P", "prefork", "-c", "1")
    assert app.digest.delay(BIG).get(timeout=SECONDS) == [app.short(BIG)]
    worker.stop()
    assert leftovers() == []


def test_with_remove_off_all_is_left_to_the_sweep(world, entries):
    app = world.producer()
    worker = world.worker("-P", "prefork", "-c", "1", CLAIM_CHECK_REMOVE="0")
    assert app.digest.delay(BIG).get(timeout=SECONDS) == [app.short(BIG)]
    worker.stop()
    assert len(entries()) == 1


def test_a_store_in_redis_serves_producers_and_workers(world, redis, redis_server, pool):
    app = world.producer(store=redis_server.url, ttl=1000)
    result = app.succeed_at.delay(BIG, 2)
    (key,) = redis.keys("supervise:claim:*")
    assert 0 < redis.ttl(key) <= 1000
    worker = world.worker(*pool)
    assert result.get(timeout=SECONDS) == [2, app.short(BIG), 0]
    worker.stop()
    assert redis.keys("supervise:claim:*") == []
