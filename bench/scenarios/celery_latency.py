"""Celery: what a caller waits for a result."""

from __future__ import annotations

import time

from bench.case import Case
from bench.engines import Stage
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.scenarios.celery_base import PREFORK, start_worker
from bench.stats import percentile
from bench.table import Column, Table, engine_table

CALLS, QUICK_CALLS = 2000, 500
SECONDS = 30


class CeleryLatency(Scenario):
    name = "celery_latency"
    title = "Celery: one at a time"
    about = (
        f"{CALLS:,} times `task.delay(number).get()`, each when the one before has its result: through Redis "
        "to the front, to a worker, and through Redis back."
    )

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, spec, quick) for spec in (features.ours(), PREFORK)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        count = QUICK_CALLS if case.quick else CALLS
        worker = start_worker(case.spec, stage)
        worker.warm_up()
        worker.app.control.add_consumer("bench", reply=True, timeout=5)
        times = []
        for number in range(-count // 10, count):
            started = time.perf_counter()
            answer = worker.tasks.noop_with_result.delay(number).get(timeout=SECONDS)
            taken = time.perf_counter() - started
            assert answer == number
            if number >= 0:
                times.append(taken)
        return {"p50": percentile(times, 50), "p99": percentile(times, 99), "worst": max(times)}

    def tables(self, results: Results) -> list[Table]:
        columns = [
            Column("p50, ms", "p50", "ms", ratio="lower"),
            Column("p99, ms", "p99", "ms", ratio="lower"),
            Column("worst, ms", "worst", "ms"),
        ]
        return [engine_table(results, columns)]


SCENARIO = CeleryLatency()
