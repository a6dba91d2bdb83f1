"""From 1 to 64 clients at once."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import jobs

from bench import procfs
from bench.case import Case
from bench.engines import Stage
from bench.engines.ours import Supervise, start_ours
from bench.results import Results
from bench.scenarios.base import Features, Scenario, warm_up
from bench.table import Table, grid_table

CLIENTS = (1, 2, 4, 8, 16, 32, 64)
QUICK_CLIENTS = (1, 8, 64)
JOBS = 32_000  # of all clients together
MOST_ROUNDS = 3


class Clients(Scenario):
    name = "clients"
    title = "1 to 64 clients"
    about = (
        "Client processes that each map their share of the no-op jobs at the same time, two workers. The "
        "peers' pools belong to the process that made them, so there is nobody to compare with. *Spread* is "
        "the slowest client's time over the fastest one's."
    )

    def rounds(self, wanted: int) -> int:
        return min(wanted, MOST_ROUNDS)

    def cases(self, quick: bool, features: Features) -> list[Case]:
        numbers = QUICK_CLIENTS if quick else CLIENTS
        return [Case(self.name, features.ours(), quick, number=number) for number in numbers]

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        each = JOBS // (4 if case.quick else 1) // case.number
        context = multiprocessing.get_context("fork")
        engine = start_ours(stage, case.spec)
        warm_up(engine, jobs.nap10)
        start = context.Barrier(case.number + 1)
        times: Any = context.SimpleQueue()
        clients = [
            context.Process(target=_client, args=(engine, each, start, times)) for _ in range(case.number)
        ]
        for client in clients:
            client.start()
        daemon = procfs.cpu_seconds(engine.daemon.pid)
        start.wait()
        started = time.perf_counter()
        taken = [times.get() for _ in clients]
        wall = time.perf_counter() - started
        daemon = procfs.cpu_seconds(engine.daemon.pid) - daemon
        for client in clients:
            client.join()
        if None in taken:
            raise RuntimeError("a client failed")
        count = each * case.number
        return {"rate": count / wall, "daemon_cpu": daemon / count, "spread": max(taken) / min(taken)}

    def tables(self, results: Results) -> list[Table]:
        return [
            grid_table(results, "rate", "rate", title="Jobs a second, all clients together"),
            grid_table(results, "daemon_cpu", "us", title="The supervisor's processor time, µs a job"),
            grid_table(results, "spread", "times", title="Spread"),
        ]


def _client(engine: Supervise, count: int, start: Any, times: Any) -> None:
    """Puts its seconds in the queue, or None."""
    client = engine.new_client()
    taken = None
    try:
        start.wait()
        started = time.perf_counter()
        for _ in client.map("jobs.noop", range(count)):
            pass
        taken = time.perf_counter() - started
    finally:
        times.put(taken)
    client.close()


SCENARIO = Clients()
