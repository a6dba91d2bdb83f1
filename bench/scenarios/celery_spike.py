"""Celery: tasks that use much memory and give it back, under max_memory_per_child."""

from __future__ import annotations

import time

from bench import procfs
from bench.case import Case
from bench.engines import Stage
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.scenarios.celery_base import PREFORK, start_worker
from bench.table import Column, Table, engine_table

TASKS, QUICK_TASKS = 30, 6
MEGABYTES = 300
LIMIT_KIB = 100_000
SECONDS = 30
SETTLE_SECONDS = 3  # in which a worker that is to be replaced is


class CelerySpike(Scenario):
    name = "celery_spike"
    title = "Celery: a spike that is given back"
    about = (
        f"{TASKS} times a task that allocates {MEGABYTES} MB in pieces of 1,000 bytes and frees them, one "
        f"at a time, with `--max-memory-per-child {LIMIT_KIB}` (KiB). Prefork compares the highest memory "
        "that the child ever had, supervise what it has after it was asked to return what is free. A worker "
        f"that ran a task and is gone {SETTLE_SECONDS} s after the last was recycled."
    )
    limit = 120

    def rounds(self, wanted: int) -> int:
        return 1  # a count, and always the same

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, spec, quick) for spec in (features.ours(), PREFORK)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        worker = start_worker(case.spec, stage, "--max-memory-per-child", str(LIMIT_KIB))
        pids = set()
        started = time.perf_counter()
        for _ in range(QUICK_TASKS if case.quick else TASKS):
            pids.add(worker.tasks.spike.delay(MEGABYTES).get(timeout=SECONDS))
        taken = time.perf_counter() - started
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not all(map(procfs.is_zombie, pids)):
            time.sleep(0.05)
        return {"recycles": float(sum(map(procfs.is_zombie, pids))), "seconds": taken}

    def tables(self, results: Results) -> list[Table]:
        columns = [Column("recycles", "recycles", "count"), Column("all tasks, s", "seconds", "count")]
        return [engine_table(results, columns)]


SCENARIO = CelerySpike()
