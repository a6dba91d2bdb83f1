"""Tasks with large arguments, from a real producer by a real broker to real workers."""

from __future__ import annotations

import json

import pytest
from celery import chain, chord, group
from processes import SECONDS

BIG = "big " * 1000
BIGGER = {"rows": [{"id": n, "text": f"row {n} " * 20} for n in range(50)]}

POOLS = [("prefork", "-c", "2"), ("supervise", "-c", "2"), ("solo",), ("threads", "-c", "2")]


@pytest.fixture(params=POOLS, ids=lambda pool: pool[0])
def pool(request):
    return ("-P", *request.param)


@pytest.mark.parametrize("serializer", ["claim-json", "claim-pickle"])
def test_large_arguments_arrive_and_leave_nothing_behind(world, pool, serializer, entries, leftovers, redis):
    app = world.producer(serializer=serializer)
    results = [app.digest.delay(BIG, 5, rows=BIGGER, note="small") for _ in range(3)]
    assert len(entries()) == 6
    assert all(len(message) < 3000 for message in redis.lrange("celery", 0, -1))

    worker = world.worker(*pool)
    expected = [app.short(BIG), app.short("5"), ["note", app.short("small")], ["rows", app.short(BIGGER)]]
    assert [result.get(timeout=SECONDS) for result in results] == [expected] * 3

    assert worker.stop() == 0
    assert leftovers() == []


def test_an_acknowledged_late_task_leaves_nothing_behind(world, pool, leftovers):
    app = world.producer(conf={"task_acks_late": True})
    worker = world.worker(*pool)
    assert app.digest.delay(BIG).get(timeout=SECONDS) == [app.short(BIG)]
    worker.stop()
    assert leftovers() == []


def test_a_retried_task_has_one_entry_all_the_time_and_stores_it_once(
    world, pool, entries, leftovers, directory
):
    app = world.producer()
    result = app.succeed_at.delay(BIG, 3)
    (entry,) = entries()
    (directory / "kept").hardlink_to(directory / entry)  # so that no other file gets its number

    worker = world.worker(*pool)
    assert result.get(timeout=SECONDS) == [3, app.short(BIG), 1]
    worker.stop()
    assert leftovers() == ["kept"]


def test_a_task_that_retries_without_raising_does_not_take_the_entry_from_its_retry(world, redis, leftovers):
    app = world.producer()
    worker = world.worker("-P", "solo")
    app.retry_quietly.delay(BIG)
    assert redis.blpop("seen", timeout=SECONDS)[1].decode() == app.short(BIG)
    worker.stop()
    assert leftovers() == []


def test_an_argument_that_is_sent_on_gets_an_entry_of_its_own(world, leftovers):
    app = world.producer()
    worker = world.worker("-P", "prefork", "-c", "1")
    second = app.send_on.delay(BIG).get(timeout=SECONDS)
    assert app.app.AsyncResult(second).get(timeout=SECONDS) == [app.short(BIG), app.short("small")]
    worker.stop()
    assert leftovers() == []


def test_a_chain_carries_large_arguments_of_later_steps(world, pool, redis, entries, leftovers):
    app = world.producer()
    workflow = chain(app.append.s("a", BIG), app.append.s("b" * 2000), app.append.s(end="c" * 2000))
    result = workflow.delay()
    assert len(entries()) == 3
    assert len(redis.lrange("celery", 0, -1)[0]) < 5000

    worker = world.worker(*pool)
    assert result.get(timeout=SECONDS) == "a" + BIG + "b" * 2000 + "c" * 2000
    worker.stop()
    assert leftovers() == []


def test_callbacks_carry_large_arguments(world, redis, leftovers):
    app = world.producer()
    app.grow.apply_async((3,), link=[app.on_error_by_id.s(note=BIG), app.on_error_by_id.s(note="t" * 3000)])
    worker = world.worker("-P", "prefork", "-c", "1")
    got = sorted(json.loads(redis.blpop("errors", timeout=SECONDS)[1]) for _ in range(2))
    worker.stop()
    assert got == sorted([["xxx", app.short(BIG)], ["xxx", app.short("t" * 3000)]])
    assert leftovers() == []


def test_a_chord_joins_large_results_and_its_body_has_large_arguments(world, pool, leftovers):
    app = world.producer()
    header = [app.grow.s(3000, letter) for letter in "abc"]
    result = chord(header)(app.join.s(BIG))
    worker = world.worker(*pool)
    assert result.get(timeout=SECONDS) == [app.short(letter * 3000) for letter in "abc"] + [app.short(BIG)]
    worker.stop()
    assert leftovers() == []


def test_a_group_in_a_chain_becomes_a_chord_with_its_large_arguments(world, leftovers):
    app = world.producer()
    workflow = chain(
        app.append.s("a", "b"), group(app.append.s(BIG), app.append.s("t" * 3000)), app.join.s("j" * 3000)
    )
    result = workflow.delay()
    worker = world.worker("-P", "prefork", "-c", "2")
    expected = [app.short("ab" + BIG), app.short("ab" + "t" * 3000), app.short("j" * 3000)]
    assert result.get(timeout=SECONDS) == expected
    worker.stop()
    assert leftovers() == []


def test_both_kinds_of_errback_get_their_large_arguments(world, pool, redis, leftovers):
    app = world.producer()
    failed = app.fail.apply_async(
        (BIG,), link_error=[app.on_error.s(BIGGER, "e" * 3000), app.on_error_by_id.s(note="i" * 3000)]
    )
    worker = world.worker(*pool)
    with pytest.raises(RuntimeError, match=app.short(BIG)):
        failed.get(timeout=SECONDS)
    got = sorted(json.loads(redis.blpop("errors", timeout=SECONDS)[1]) for _ in range(2))
    worker.stop()
    by_call = [failed.id, "RuntimeError", app.short(BIGGER), app.short("e" * 3000)]
    assert got == sorted([by_call, [failed.id, app.short("i" * 3000)]])
    assert leftovers() == []


def test_what_a_task_ignores_is_removed_and_what_it_rejects_is_kept_for_a_dead_letter_queue(
    world, redis, entries
):
    app = world.producer()
    worker = world.worker("-P", "prefork", "-c", "1")
    app.ignored.delay(BIG)
    app.rejected.delay(BIG)
    app.digest.delay("the last one").get(timeout=SECONDS)
    worker.stop()
    assert len(entries()) == 1


def test_control_messages_travel_inline_and_show_claims_with_their_size(world, redis, entries, leftovers):
    app = world.producer()
    worker = world.worker("-P", "prefork", "-c", "1", "-n", "front@localhost")
    waiting = app.wait.delay(BIG)
    redis.blpop("began", timeout=SECONDS)
    stored = entries()

    inspect = app.app.control.inspect(destination=["front@localhost"], timeout=30, limit=1)
    (active,) = inspect.active()["front@localhost"]
    assert active["id"] == waiting.id
    assert active["args"] == [f"<claim of {len(BIG) + 2:,} bytes>"]
    reply = app.app.control.broadcast(
        "rate_limit", {"task_name": "claimapp.digest", "rate_limit": "0", "filler": BIG}, reply=True,
        destination=["front@localhost"], timeout=30, limit=1,
    )  # fmt: skip
    assert reply
    assert entries() == stored

    redis.rpush("go", 1)
    assert waiting.get(timeout=SECONDS) == app.short(BIG)
    worker.stop()
    assert leftovers() == []


@pytest.mark.parametrize("serializer", ["claim-json", "claim-pickle"])
@pytest.mark.parametrize("other", ["json", "claim-json", "claim-pickle", "pickle"])
def test_a_workflow_may_contain_tasks_with_other_serializers(world, serializer, other, entries, leftovers):
    app = world.producer(serializer=serializer, accept=["claim-json", "claim-pickle", "pickle"])
    result = chain(app.grow.s(10), app.append.s(BIG).set(serializer=other), app.append.s(BIG)).delay()
    assert len(entries()) == (2 if serializer == other else 0)
    worker = world.worker("-P", "solo")
    assert result.get(timeout=SECONDS) == "x" * 10 + BIG + BIG
    worker.stop()
    assert leftovers() == []


@pytest.mark.parametrize("other", ["json", "claim-pickle"])
def test_the_worker_loads_for_a_step_whose_serializer_the_producer_did_not_know(
    world, other, entries, leftovers
):
    app = world.producer(accept=["claim-pickle"])
    result = chain(app.grow.s(10), app.append.s(BIG)).delay()
    assert len(entries()) == 1
    world.settings["serializers"] = {"claimapp.append": other}
    worker = world.worker("-P", "prefork", "-c", "1")
    assert result.get(timeout=SECONDS) == "x" * 10 + BIG
    worker.stop()
    assert leftovers() == []


@pytest.mark.parametrize("kind", ["prefork", "supervise"])
def test_the_worker_needs_no_call_where_the_package_is_installed(
    world, kind, directory, leftovers, installed
):
    app = world.producer()
    result = app.succeed_at.delay(BIG, 2)
    world.settings.update(register=False)
    worker = world.worker(
        "-P", kind, "-c", "1", CLAIM_CHECK_STORE=str(directory), CLAIM_CHECK_THRESHOLD="1000",
        **installed,
    )  # fmt: skip
    assert result.get(timeout=SECONDS) == [2, app.short(BIG), 1]
    worker.stop()
    assert leftovers() == []
