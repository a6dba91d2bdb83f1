"""Recycling every 100, 10 and 1 jobs, with an application whose import takes 0.6 s."""

from __future__ import annotations

import dataclasses

import jobs

from bench.case import Case, EngineSpec
from bench.engines import Stage
from bench.engines.ours import Supervise
from bench.results import Results
from bench.scenarios.base import ClosedLoop, Features, Scenario, warm_up
from bench.stats import capacity, summarize
from bench.table import Column, Row, Table, cell, engine_table

EVERY = (0, 100, 10, 1)  # jobs of a worker; 0: no recycling
SECONDS, QUICK_SECONDS = 3.0, 1.5
OUTSTANDING = 8
JOB_SECONDS = 0.010

# Those that can recycle, each preloaded in the ways that it has. loky cannot; ProcessPoolExecutor does
# not recycle workers that it forked.
RECYCLERS = (
    EngineSpec("multiprocessing.Pool", "fork", app="slow", preload=True),
    EngineSpec("multiprocessing.Pool", "forkserver", app="slow", preload=True),
    EngineSpec("ProcessPoolExecutor", "forkserver", app="slow", preload=True),
    EngineSpec("pebble", "fork", app="slow", preload=True),
    EngineSpec("billiard.Pool", "fork", app="slow", preload=True),
)


class Recycling(Scenario):
    name = "recycling"
    title = "Recycling"
    about = (
        "Two workers, jobs of 10 ms, eight of them open at a time, an application whose import takes 0.6 s "
        "of processor time. Every engine has it preloaded: in the parent that forks, in the fork server, or "
        "in supervise's template. *Used* is the share of the workers' time that jobs had; *kept* is that "
        "over what the same engine had in the same round without recycling. loky cannot recycle by jobs, and "
        "`ProcessPoolExecutor` refuses to with fork; where it did not end, it had stopped for good when its "
        "first workers reached their limit (a known fault, cpython issue 115634), and its figure is what it "
        "did until then."
    )

    def cases(self, quick: bool, features: Features) -> list[Case]:
        specs = [features.ours("slow"), *RECYCLERS]
        return [
            Case(self.name, dataclasses.replace(spec, max_tasks=every), quick)
            for every in EVERY
            for spec in specs
        ]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        seconds = QUICK_SECONDS if case.quick else SECONDS
        engine = stage.start(case.spec)
        warm_up(engine, jobs.nap10)
        loop = ClosedLoop(engine, jobs.nap10, OUTSTANDING)
        loop.run(seconds)
        loop.wait(2)
        if loop.failed:
            raise RuntimeError(f"{loop.failed} jobs failed")
        values = {"used": capacity(loop.done, JOB_SECONDS, case.spec.workers, seconds)}
        if isinstance(engine, Supervise):
            gap = engine.pool_status()["slot_gap_seconds"]
            if gap["count"]:
                values.update(gap_p50=gap["p50"], gap_p99=gap["p99"], gaps=gap["count"])
        return values

    def tables(self, results: Results) -> list[Table]:
        return [
            _capacity_table(results, relative=True),
            _capacity_table(results, relative=False),
            engine_table(
                results.only(lambda case: case.spec.ours and case.spec.max_tasks > 0),
                [
                    Column("p50, ms", "gap_p50", "ms"),
                    Column("p99, ms", "gap_p99", "ms"),
                    Column("gaps", "gaps", "count"),
                ],
                title="supervise: a slot's time without a worker (`slot_gap_seconds` of its status)",
                label=lambda case: f"every {case.spec.max_tasks} jobs",
            ),
        ]


def kept(results: Results, spec: EngineSpec, every: int) -> dict[int, float]:
    """By round: what is left of the engine's own capacity."""
    base = results.values(lambda case: case.spec == dataclasses.replace(spec, max_tasks=0), "used")
    with_recycling = results.values(
        lambda case: case.spec == dataclasses.replace(spec, max_tasks=every), "used"
    )
    return {number: with_recycling[number] / base[number] for number in with_recycling if base.get(number)}


def _capacity_table(results: Results, *, relative: bool) -> Table:
    rows = []
    for spec in results.specs(lambda spec: dataclasses.replace(spec, max_tasks=0)):
        cells = [spec.label] if relative else [spec.label, _used(results, spec, 0)]
        for every in EVERY[1:]:
            cells.append(_kept(results, spec, every) if relative else _used(results, spec, every))
        rows.append(Row(cells, ours=spec.ours))
    heads = [f"every {every}" for every in EVERY[1:]]
    if relative:
        return Table("Kept", ["engine", *heads], rows)
    return Table("Used", ["engine", "no recycling", *heads], rows)


def _kept(results: Results, spec: EngineSpec, every: int) -> str:
    return cell(summarize(kept(results, spec, every).values()), "share") or results.trouble(
        lambda case: case.spec == dataclasses.replace(spec, max_tasks=every)
    )


def _used(results: Results, spec: EngineSpec, every: int) -> str:
    def chosen(case: Case) -> bool:
        return case.spec == dataclasses.replace(spec, max_tasks=every)

    return cell(summarize(results.values(chosen, "used").values()), "share") or results.trouble(chosen)


SCENARIO = Recycling()
