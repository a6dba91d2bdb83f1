"""One row of the matrix: the tests with prefork and with our pool, at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

from tests.celery_suites.comparison import ONLY_OURS, ONLY_PREFORK, Result, compare
from tests.celery_suites.environment import Environment
from tests.celery_suites.lane import POOLS, Lane, Outcome, collect
from tests.celery_suites.matrix import Row, is_quick
from tests.celery_suites.servers import Rabbitmq

Outcomes = dict[str, Outcome]


class Wishes(NamedTuple):
    quick: bool = False
    text: str = ""  # in the names of the tests
    lanes: int = 8  # processes of each pool: the tests mostly wait
    verbose: bool = False  # why the differing tests failed


def run_row(row: Row, wishes: Wishes) -> Result:
    """RuntimeError when the suite cannot be had."""
    started = time.monotonic()
    environment = Environment(row.version)
    environment.prepare()
    tests = [test for test in collect(environment) if wishes.text in test]
    if wishes.quick:
        tests = [test for test in tests if is_quick(row.version, test)]
    print(f"{row}: {len(tests)} tests with either pool", flush=True)
    first = run_pools(row, environment, tests, wishes.lanes, "first")
    result = Result(str(row), compare(first["prefork"], first["supervise"]))
    again = result.tests(ONLY_PREFORK)
    if again:
        print(f"  {len(again)} passed with prefork only; again, with both:", flush=True)
        second = run_pools(row, environment, again, wishes.lanes, "again")
        result.repeated = compare(second["prefork"], second["supervise"])
    for test in again:
        print(f"    {test}: the second time {result.repeated[test]}", flush=True)
        if wishes.verbose:
            print(first["supervise"][test].text, flush=True)
    for test in result.tests(ONLY_OURS):
        print(f"  passed with ours only: {test}", flush=True)
    result.seconds = time.monotonic() - started
    return result


def run_pools(
    row: Row, environment: Environment, tests: list[str], most_lanes: int, name: str
) -> dict[str, Outcomes]:
    """All lanes of both pools at the same time, so that both have the same machine."""
    home = environment.folder / "runs" / f"{row.broker}-{row.worker}-{name}"
    home.mkdir(parents=True, exist_ok=True)
    shares = _shares(environment, tests, most_lanes)
    with ExitStack() as stack:
        rabbitmq = None
        if row.broker == "rabbitmq":
            rabbitmq = stack.enter_context(Rabbitmq(home, hosts=len(POOLS) * len(shares)))
        lanes = []
        for number, share in enumerate(shares):
            for pool in POOLS:
                url = rabbitmq.take_url() if rabbitmq else ""
                folder = home / f"{pool}-{number}"
                lanes.append(Lane(environment, pool, row.worker, share, folder, url))
        with ThreadPoolExecutor(max(len(lanes), 1)) as threads:
            list(threads.map(Lane.run, lanes))
    outcomes: dict[str, Outcomes] = {pool: {} for pool in POOLS}
    for lane in lanes:
        outcomes[lane.pool].update(lane.outcomes)
    return {pool: {test: outcomes[pool][test] for test in tests} for pool in POOLS}


def _shares(environment: Environment, tests: list[str], most: int) -> list[list[str]]:
    """The tests of each lane. Files that start workers of their own, in one process with the suite's
    worker, would stop that: each has a lane to itself."""
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    alone = [tests for file, tests in files.items() if environment.starts_workers(file)]
    shared = [test for file, tests in files.items() if tests not in alone for test in tests]
    count = min(most, len(shared))
    return alone + [shared[number::count] for number in range(count)]
