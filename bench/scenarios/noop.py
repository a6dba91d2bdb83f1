"""No-op jobs, as many at once as the caller can submit."""

from __future__ import annotations

import jobs

from bench import procfs
from bench.case import Case
from bench.engines import Stage
from bench.engines.base import Engine
from bench.engines.floor import rate
from bench.engines.ours import Supervise
from bench.results import Results
from bench.scenarios.base import FLOOR, PEERS, Features, Scenario, Stopwatch, warm_up
from bench.table import Column, Table, engine_table

# About a second for each; more than that would only make slow engines slow the bench.
JOBS = {"supervise": 60_000, "multiprocessing.Pool": 60_000, "billiard.Pool": 60_000, "floor": 600_000}
OTHERS = 12_000


class Noop(Scenario):
    name = "noop"
    title = "No-op jobs, pipelined"
    about = (
        "Two workers, a function that returns its argument. *submit* hands every job in and then asks "
        "for every result; *map* is the engine's lazy map with one job an item (`imap`, `map`). Processor "
        "time is that of all processes together, the caller included. The bare dispatcher has no client, no "
        "job table and no limits: its rate is what the machine's sockets and Python's workers allow."
    )

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, spec, quick) for spec in (*features.ours_for_short_jobs(), FLOOR, *PEERS)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        count = JOBS.get(case.spec.engine, OTHERS) // (4 if case.quick else 1)
        if case.spec.engine == "floor":
            return _floor(case, count)
        engine = stage.start(case.spec)
        warm_up(engine, jobs.nap10)
        values = {}
        for way in ("submit", "map"):
            before = _daemon_cpu(engine)
            with Stopwatch(engine) as watch:
                if way == "submit":
                    answers = engine.submit_all(jobs.noop, range(count))
                else:
                    answers = list(engine.map(jobs.noop, range(count)))
            assert answers == list(range(count)), f"{way}: wrong results"
            values[f"{way}_rate"] = count / watch.wall
            values[f"{way}_cpu"] = watch.cpu / count
            values[f"{way}_caller_cpu"] = watch.caller / count
            if before is not None:
                values[f"{way}_daemon_cpu"] = ((_daemon_cpu(engine) or 0.0) - before) / count
        return values

    def tables(self, results: Results) -> list[Table]:
        return [
            engine_table(
                results,
                [
                    Column("submit, jobs/s", "submit_rate", "rate", ratio="higher"),
                    Column("map, jobs/s", "map_rate", "rate", ratio="higher"),
                ],
            ),
            engine_table(
                results,
                [
                    Column("submit: all, µs a job", "submit_cpu", "us"),
                    Column("caller", "submit_caller_cpu", "us"),
                    Column("supervisor", "submit_daemon_cpu", "us"),
                    Column("map: all, µs a job", "map_cpu", "us"),
                    Column("caller", "map_caller_cpu", "us"),
                    Column("supervisor", "map_daemon_cpu", "us"),
                ],
                title="Processor time of a job",
            ),
        ]


def _floor(case: Case, count: int) -> dict[str, float]:
    seconds, cpu = rate(case.spec, count)
    # It has no second way; its rate is what both are compared with.
    return {
        "submit_rate": count / seconds,
        "map_rate": count / seconds,
        "submit_caller_cpu": cpu / count,
        "map_caller_cpu": cpu / count,
    }


def _daemon_cpu(engine: Engine) -> float | None:
    return procfs.cpu_seconds(engine.daemon.pid) if isinstance(engine, Supervise) else None


SCENARIO = Noop()
