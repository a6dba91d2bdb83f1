"""From the decision to start a worker until it can take a job."""

from __future__ import annotations

import importlib
import time

import hello
import jobs

from bench.case import Case, EngineSpec
from bench.engines import Stage
from bench.engines.base import preload_by_fork, preload_modules
from bench.engines.ours import start_ours
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.stats import percentile
from bench.table import Column, Table, engine_table

RECYCLES, QUICK_RECYCLES, IMPORTS = 100, 30, 10
MOST_ROUNDS = 3

# Not pools: the least that their users could do.
PROCESSES = (
    EngineSpec("multiprocessing.Process", "fork", app="heavy", preload=True),
    EngineSpec("multiprocessing.Process", "forkserver", app="heavy", preload=True),
    EngineSpec("multiprocessing.Process", "spawn", app="heavy"),
    EngineSpec("billiard.Process", "fork", app="heavy", preload=True),
)


class Spawn(Scenario):
    name = "spawn"
    title = "Spawn to ready"
    about = (
        "An application with Django, Celery and NumPy imported. For supervise, `ms` of `worker.ready` in its "
        f"log, {RECYCLES} recycles one after the other ({IMPORTS} where each worker imports for itself): "
        "from the launch to the worker's READY, in a cgroup of its own, with its hooks run and its tasks "
        "known. Beside it what a process costs that does nothing but say that it is there: from "
        "`Process.start()` to its byte in a pipe."
    )

    def rounds(self, wanted: int) -> int:
        return min(wanted, MOST_ROUNDS)

    def cases(self, quick: bool, features: Features) -> list[Case]:
        ours = [features.ours("heavy", max_tasks=1)] if features.template else []
        spawned = EngineSpec("supervise", app="heavy", max_tasks=1)
        return [Case(self.name, spec, quick) for spec in (*ours, spawned, *PROCESSES)]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        count = QUICK_RECYCLES if case.quick else RECYCLES
        if not case.spec.preload:
            count = IMPORTS
        times = _recycle(case, stage, count) if case.spec.ours else _start(case, count)
        return {"p50": percentile(times, 50), "p99": percentile(times, 99), "count": len(times)}

    def tables(self, results: Results) -> list[Table]:
        columns = [
            Column("p50, ms", "p50", "ms"),
            Column("p99, ms", "p99", "ms"),
            Column("starts", "count", "count"),
        ]
        return [engine_table(results, columns)]


def _recycle(case: Case, stage: Stage, count: int) -> list[float]:
    """Seconds of each worker after the first ones."""
    engine = start_ours(stage, case.spec)
    first = len(engine.events("worker.ready"))
    deadline = time.monotonic() + 50
    number = 0
    while len(engine.events("worker.ready")) < first + count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {count} recycles within 50 s")
        for _ in range(5):
            number += 1
            engine.call(jobs.noop, number)
    return [float(event["ms"]) / 1000 for event in engine.events("worker.ready")[first:]]


def _start(case: Case, count: int) -> list[float]:
    preload_by_fork(case.spec)
    package = case.spec.engine.partition(".")[0]
    context = importlib.import_module(package).get_context(case.spec.method)
    if case.spec.method == "forkserver":
        context.set_forkserver_preload(preload_modules(case.spec))
    target = hello.say_ready if case.spec.preload else hello.import_and_say_ready
    times = []
    for number in range(count + 1):
        mine, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs,))
        started = time.perf_counter()
        process.start()
        mine.recv_bytes()
        if number > 0:  # the first one also starts the fork server
            times.append(time.perf_counter() - started)
        process.join()
        mine.close()
        theirs.close()
    return times


SCENARIO = Spawn()
