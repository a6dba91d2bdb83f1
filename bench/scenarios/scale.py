"""From 1 to 64 workers."""

from __future__ import annotations

import dataclasses

import jobs

from bench.case import Case, EngineSpec
from bench.engines import Stage
from bench.engines.floor import rate
from bench.results import Results
from bench.scenarios.base import FLOOR, Features, Scenario, Stopwatch, warm_up
from bench.table import Table, grid_table

WORKERS = (1, 2, 4, 8, 16, 32, 64)
QUICK_WORKERS = (1, 8, 64)
JOBS, FLOOR_JOBS = 20_000, 200_000
MOST_ROUNDS = 3

PEERS = (EngineSpec("multiprocessing.Pool", "fork"), EngineSpec("ProcessPoolExecutor", "fork"))


class Scale(Scenario):
    name = "scale"
    title = "1 to 64 workers"
    about = "No-op jobs a second through the engine's lazy map, by the number of workers."

    def rounds(self, wanted: int) -> int:
        return min(wanted, MOST_ROUNDS)

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [
            Case(self.name, dataclasses.replace(spec, workers=workers), quick, number=workers)
            for spec in (*features.ours_for_short_jobs(), FLOOR, *PEERS)
            for workers in (QUICK_WORKERS if quick else WORKERS)
        ]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        share = 4 if case.quick else 1
        if case.spec.engine == "floor":
            count = FLOOR_JOBS // share
            return {"rate": count / rate(case.spec, count).seconds}
        count = JOBS // share // (1 if case.spec.engine != "ProcessPoolExecutor" else 4)
        engine = stage.start(case.spec)
        warm_up(engine, jobs.nap10)
        with Stopwatch(engine) as watch:
            for _ in engine.map(jobs.noop, range(count)):
                pass
        return {"rate": count / watch.wall, "cpu": watch.cpu / count}

    def tables(self, results: Results) -> list[Table]:
        return [
            grid_table(results, "rate", "rate", title="Jobs a second"),
            grid_table(results, "cpu", "us", title="Processor time of all processes, µs a job"),
        ]


SCENARIO = Scale()
