"""Jobs of 1 and of 10 ms."""

from __future__ import annotations

import jobs

from bench.case import Case
from bench.engines import Stage
from bench.engines.floor import rate
from bench.results import Results
from bench.scenarios.base import FLOOR, PEERS, Features, Scenario, Stopwatch, warm_up
from bench.stats import capacity
from bench.table import Column, Table, engine_table

COUNTS = {1: 1500, 10: 200}
TASKS = {1: jobs.nap1, 10: jobs.nap10}


class Short(Scenario):
    name = "short"
    title = "Jobs of 1 and 10 ms"
    about = (
        "Two workers, jobs that sleep, all submitted at once. The share of the workers' time that jobs "
        "had: 100 % would be no time between jobs at all (a sleep itself takes about 0.1 ms longer than "
        "asked, so that 1 ms cannot come near)."
    )

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, spec, quick) for spec in (features.ours(), FLOOR, *PEERS)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        share = 4 if case.quick else 1
        counts = {ms: count // share for ms, count in COUNTS.items()}
        workers = case.spec.workers
        if case.spec.engine == "floor":
            return {
                f"used_{ms}": capacity(count, ms / 1000, workers, rate(case.spec, count, ms).seconds)
                for ms, count in counts.items()
            }
        values = {}
        engine = stage.start(case.spec)
        warm_up(engine, jobs.nap10)
        for ms, count in counts.items():
            with Stopwatch(engine) as watch:
                engine.submit_all(TASKS[ms], range(count))
            values[f"used_{ms}"] = capacity(count, ms / 1000, workers, watch.wall)
        return values

    def tables(self, results: Results) -> list[Table]:
        columns = [
            Column("1 ms", "used_1", "share", ratio="higher"),
            Column("10 ms", "used_10", "share", ratio="higher"),
        ]
        return [engine_table(results, columns)]


SCENARIO = Short()
