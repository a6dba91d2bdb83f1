"""Celery: no-op tasks from a full queue."""

from __future__ import annotations

from bench import procfs
from bench.case import Case
from bench.engines import Stage
from bench.engines.celery_worker import CeleryWorker
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.scenarios.celery_base import PREFORK, start_worker
from bench.table import Column, Table, engine_table

TASKS, QUICK_TASKS = 8000, 2500
WAYS = (("plain", "noop"), ("result", "noop_with_result"))
DRAIN_SECONDS = 90


class CeleryRate(Scenario):
    name = "celery_rate"
    title = "Celery: no-op tasks"
    about = (
        "`celery worker -c 2` with prefork and with `supervise.celery:TaskPool`, Redis on a Unix socket. "
        f"{TASKS:,} tasks wait in the queue before the worker may look at it; the time is that from the "
        "first to the last, by the workers' own clock. Once with `ignore_result`, once with results, which "
        "the workers store in Redis with both pools. Processor time: the front is Celery's main process "
        "alone, the daemon is supervise, which prefork has no counterpart of; *all* is these and the "
        "workers, without Redis and the client."
    )
    limit = 180

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, spec, quick) for spec in (features.ours(), PREFORK)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        count = QUICK_TASKS if case.quick else TASKS
        worker = start_worker(case.spec, stage)
        worker.warm_up()
        values: dict[str, float] = {}
        for way, task in WAYS:
            worker.fill_queue(getattr(worker.tasks, task), count)
            before, begun = _cpu(worker), worker.tasks_begun()
            seconds = worker.drain_queue(DRAIN_SECONDS)
            after = _cpu(worker)
            ran = worker.tasks_begun() - begun - 1 - case.spec.workers
            if ran != count:
                raise RuntimeError(f"{ran} tasks ran of {count}")
            values[f"{way}_rate"] = count / seconds
            values.update({f"{way}_{who}": (after[who] - before[who]) / count for who in after})
        return values

    def tables(self, results: Results) -> list[Table]:
        rates = [
            Column("tasks/s", "plain_rate", "rate", ratio="higher"),
            Column("with results, tasks/s", "result_rate", "rate", ratio="higher"),
        ]
        prices = [
            Column("front, µs a task", "plain_front", "us", ratio="lower"),
            Column("daemon", "plain_daemon", "us"),
            Column("all", "plain_all", "us"),
            Column("with results: front", "result_front", "us", ratio="lower"),
            Column("daemon", "result_daemon", "us"),
            Column("all", "result_all", "us"),
        ]
        return [
            engine_table(results, rates),
            engine_table(results, prices, title="Processor time of a task"),
        ]


def _cpu(worker: CeleryWorker) -> dict[str, float]:
    daemon = worker.daemon()
    times = {
        "front": procfs.cpu_seconds(worker.pid),
        "all": procfs.family_cpu(worker.all_processes()),
    }
    return {**times, "daemon": procfs.cpu_seconds(daemon)} if daemon else times


SCENARIO = CeleryRate()
