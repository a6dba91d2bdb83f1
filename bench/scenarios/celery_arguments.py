"""Celery: what large arguments do to the front."""

from __future__ import annotations

from bench import procfs
from bench.case import Case
from bench.engines import Stage
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.scenarios.celery_base import PREFORK, start_worker
from bench.table import Column, Table, engine_table

TASKS, QUICK_TASKS = 200, 60
MEGABYTE = 1_000_000
PREFETCH = 32
SECONDS = 60


class CeleryArguments(Scenario):
    name = "celery_arguments"
    title = "Celery: large arguments"
    about = (
        f"{TASKS} tasks with a text of 1 MB each, {PREFETCH} of them prefetched. By how much Celery's main "
        "process grows, at its peak and after the last task: prefork with JSON, supervise with the claim "
        "check ([CLAIM_CHECK.md](../docs/CLAIM_CHECK.md)) and a directory as its store."
    )
    limit = 120

    def rounds(self, wanted: int) -> int:
        return min(wanted, 2)

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, spec, quick) for spec in (features.ours(), PREFORK)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        claims = {"BENCH_CLAIMS": f"{stage.place.folder}/claims"} if case.spec.ours else {}
        multiplier = str(PREFETCH // case.spec.workers)
        worker = start_worker(case.spec, stage, BENCH_PREFETCH_MULTIPLIER=multiplier, **claims)
        size_of = worker.tasks.size_of
        # Imports, pools and buffers of the first tasks, one of them large enough to be checked in.
        for _ in range(5):
            size_of.delay("x" * 100_000).get(timeout=SECONDS)
        procfs.forget_peak(worker.pid)
        before = procfs.rss(worker.pid)
        results = [size_of.delay("x" * MEGABYTE) for _ in range(QUICK_TASKS if case.quick else TASKS)]
        sizes = [result.get(timeout=SECONDS) for result in results]
        assert set(sizes) == {MEGABYTE}, "wrong results"
        return {
            "peak": procfs.peak_rss(worker.pid) - before,
            "after": procfs.rss(worker.pid) - before,
        }

    def tables(self, results: Results) -> list[Table]:
        columns = [
            Column("the front grew by, MB", "peak", "mb", ratio="lower"),
            Column("after the last task", "after", "mb"),
        ]
        return [engine_table(results, columns)]


SCENARIO = CeleryArguments()
