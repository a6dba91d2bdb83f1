"""What the claim check is for: the front's memory does not follow the size of the arguments."""

from __future__ import annotations

import pytest
from processes import SECONDS

MB = 1024 * 1024
TASKS = 200
OPTIONS = ("-c", "2", "--prefetch-multiplier", "16")


def rise(world, serializer, *pool):
    """Bytes by which the worker's main process grew at most, while 200 tasks with 1 MB each went through."""
    app = world.producer(serializer=serializer, threshold=64 * 1024)
    worker = world.worker("-P", *pool)
    # Imports, pools and buffers of the first tasks count for nobody.
    assert len([app.digest.delay("x" * 70_000).get(timeout=SECONDS) for _ in range(5)]) == 5
    worker.forget_peak()
    before = worker.memory("VmRSS")
    text = "0123456789abcdef" * (MB // 16)
    results = [app.digest.delay(text, number) for number in range(TASKS)]
    for number, result in enumerate(results):
        assert result.get(timeout=SECONDS) == [app.short(text), app.short(number)]
    grown = worker.memory("VmHWM") - before
    worker.stop() if serializer != "json" else worker.kill()  # Celery 5.2 may hang at the end of that one
    print(f"{serializer} {' '.join(pool)}: the front rose by {grown / MB:.1f} MB")
    return grown


@pytest.mark.parametrize("pool", ["prefork", "supervise"])
def test_a_front_with_32_prefetched_megabytes_rises_by_less_than_5(world, pool, leftovers):
    assert rise(world, "claim-json", pool, *OPTIONS) <= 5 * MB
    assert leftovers() == []


def test_without_the_claim_check_it_rises_by_more_than_32(world):
    """Else the test above measures nothing."""
    assert rise(world, "json", "prefork", *OPTIONS) > 32 * MB


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_process_that_runs_the_tasks_itself_holds_those_that_run_only(world, pool, leftovers):
    assert rise(world, "claim-json", pool, "-c", "1", "--prefetch-multiplier", "32") <= 10 * MB
    assert leftovers() == []
