"""Celery: no-op tasks with workers that are replaced every 100, 10 and 1 of them."""

from __future__ import annotations

import dataclasses

from bench.case import Case
from bench.engines import Stage
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.scenarios.celery_base import PREFORK, start_worker
from bench.stats import ratios, summarize
from bench.table import Row, Table, cell

# Tasks by max_tasks, of ours and of prefork: a few seconds for each, and ten recycles of each worker.
TASKS = {100: (4000, 2000), 10: (1000, 200), 1: (200, 20)}
DRAIN_SECONDS = 90


class CeleryRecycling(Scenario):
    name = "celery_recycling"
    title = "Celery: recycling"
    about = (
        "As above, without results, and with `--max-tasks-per-child`. Prefork's slot is empty from the end "
        "of a child's last task until the next child is there, which takes 0.1 to 1.5 s, depending on "
        "its version and on what else the machine does; its figures are those of fewer tasks."
    )
    limit = 180

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [
            Case(self.name, dataclasses.replace(spec, max_tasks=every), quick)
            for every in TASKS
            for spec in (features.ours(), PREFORK)
        ]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        ours, prefork = TASKS[case.spec.max_tasks]
        count = ours if case.spec.ours else prefork
        if case.quick:
            count //= 2
        worker = start_worker(case.spec, stage)
        worker.fill_queue(worker.tasks.noop, count)
        begun = worker.tasks_begun()
        seconds = worker.drain_queue(DRAIN_SECONDS)
        others = 1 + case.spec.workers
        ran = worker.tasks_begun() - begun - others
        if ran != count:
            raise RuntimeError(f"{ran} tasks ran of {count}")
        # The stamps are tasks too, and count for max_tasks.
        return {"rate": (count + others - 1) / seconds}

    def tables(self, results: Results) -> list[Table]:
        rows = []
        for engine in dict.fromkeys(case.spec.label for case in results.cases()):
            cells, ours = [engine], False
            for every in TASKS:

                def chosen(case: Case, engine: str = engine, every: int = every) -> bool:
                    return case.spec.label == engine and case.spec.max_tasks == every

                rates = results.values(chosen, "rate").values()
                cells.append(cell(summarize(rates), "rate") or results.trouble(chosen))
                ours = any(case.spec.ours for case in results.cases() if chosen(case))
            rows.append(Row(cells, ours))
        ratio = [cell(summarize(gain(results, every)), "times") for every in TASKS]
        heads = ["tasks/s, recycled every", *map(str, TASKS)]
        return [Table("", heads, [*rows, Row(["ours / prefork", *ratio])])]


def gain(results: Results, every: int) -> list[float]:
    """Ours over prefork's rate, round by round."""
    recycled = results.only(lambda case: case.spec.max_tasks == every)
    ours = recycled.values(lambda case: case.spec.ours, "rate")
    return ratios(ours, recycled.values(lambda case: not case.spec.ours, "rate"))


SCENARIO = CeleryRecycling()
