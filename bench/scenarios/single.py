"""One job at a time: what a caller waits for."""

from __future__ import annotations

import time

import jobs

from bench.case import Case
from bench.engines import Stage
from bench.engines.floor import latency
from bench.results import Results
from bench.scenarios.base import FLOOR, PEERS, Features, Scenario, warm_up
from bench.stats import percentile
from bench.table import Column, Table, engine_table

CALLS = 3000


class Single(Scenario):
    name = "single"
    title = "One at a time"
    about = (
        f"Two workers, {CALLS} no-op jobs, each submitted when the result of the one before is there. "
        "Where the processes run decides much of it (a wake-up on the same core takes about 10 µs, on "
        "another one up to 100), and nobody is pinned here. The bare dispatcher gives its jobs to one "
        "worker after the other."
    )

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, spec, quick) for spec in (features.ours(), FLOOR, *PEERS)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        count = CALLS // (4 if case.quick else 1)
        if case.spec.engine == "floor":
            times = latency(case.spec, count)
        else:
            engine = stage.start(case.spec)
            warm_up(engine, jobs.nap10)
            for number in range(count // 10):
                engine.call(jobs.noop, number)
            times = []
            for number in range(count):
                started = time.perf_counter()
                engine.call(jobs.noop, number)
                times.append(time.perf_counter() - started)
        return {"p50": percentile(times, 50), "p99": percentile(times, 99), "worst": max(times)}

    def tables(self, results: Results) -> list[Table]:
        return [
            engine_table(
                results,
                [
                    Column("p50, µs", "p50", "us", ratio="lower"),
                    Column("p99, µs", "p99", "us", ratio="lower"),
                    Column("worst, µs", "worst", "us"),
                ],
            )
        ]


SCENARIO = Single()
