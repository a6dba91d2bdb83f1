"""What an idle worker costs, forked against spawned, and what jobs add."""

from __future__ import annotations

import statistics
import time

import jobs

from bench import procfs
from bench.case import Case, EngineSpec
from bench.engines import Stage
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.table import Column, Table, engine_table

WORKERS = 4
JOBS = 1000  # of each worker
MOST_ROUNDS = 2  # the figures hardly move


def _peer(engine: str, method: str = "", *, preload: bool = False) -> EngineSpec:
    return EngineSpec(engine, method, workers=WORKERS, app="heavy", preload=preload)


PEERS = (
    _peer("multiprocessing.Pool", "fork", preload=True),
    _peer("multiprocessing.Pool", "forkserver", preload=True),
    _peer("multiprocessing.Pool", "spawn"),
    _peer("ProcessPoolExecutor", "fork", preload=True),
    _peer("ProcessPoolExecutor", "spawn"),
    _peer("loky"),
    _peer("pebble", "fork", preload=True),
    _peer("billiard.Pool", "fork", preload=True),
)


class Memory(Scenario):
    name = "memory"
    title = "Memory of an idle worker"
    about = (
        f"{WORKERS} workers with Django, Celery and NumPy imported: once by the parent, the fork server or "
        "the template, or by each worker (spawn, loky). MB of 10^6 bytes, from `smaps_rollup`, the median "
        "of the workers: PSS counts a shared page by its share, private is what the worker alone has. *All "
        "processes* is the PSS of everything that the engine runs, the caller and the supervisor included. "
        f"The last column is the private memory after {JOBS} no-op jobs for each worker."
    )

    def rounds(self, wanted: int) -> int:
        return min(wanted, MOST_ROUNDS)

    def cases(self, quick: bool, features: Features) -> list[Case]:
        spawned = EngineSpec("supervise", workers=WORKERS, app="heavy")
        ours = [features.ours("heavy", workers=WORKERS)] if features.template else []
        return [Case(self.name, spec, quick) for spec in (*ours, spawned, *PEERS)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        engine = stage.start(case.spec)
        workers = set(engine.submit_all(jobs.whoami, range(WORKERS * 8)))
        if len(workers) != WORKERS:
            raise RuntimeError(f"{len(workers)} workers had jobs, not {WORKERS}")
        time.sleep(0.3)  # what the last job stirred up settles
        fresh = [procfs.memory(pid) for pid in workers]
        total = sum(procfs.memory(pid)["pss"] for pid in engine.processes())
        for _ in engine.map(jobs.noop, range(WORKERS * JOBS)):
            pass
        time.sleep(0.3)
        used = [procfs.memory(pid) for pid in workers]
        return {
            **{kind: statistics.median(sizes[kind] for sizes in fresh) for kind in ("rss", "pss", "private")},
            "total_pss": total,
            "private_after": statistics.median(sizes["private"] for sizes in used),
        }

    def tables(self, results: Results) -> list[Table]:
        columns = [
            Column("RSS, MB", "rss", "mb"),
            Column("PSS, MB", "pss", "mb"),
            Column("private, MB", "private", "mb", ratio="lower"),
            Column("all processes, MB", "total_pss", "mb"),
            Column(f"private after {JOBS} jobs", "private_after", "mb"),
        ]
        return [engine_table(results, columns)]


SCENARIO = Memory()
