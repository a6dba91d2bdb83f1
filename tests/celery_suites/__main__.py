"""Celery's own integration suite, with prefork and with our pool, test by test.

Exit status: 0 when ours passes whatever prefork passes, 1 when not, 2 when the suite could not be run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.celery_suites.comparison import EXPLAINED, Result, read_explained, table
from tests.celery_suites.environment import HOME
from tests.celery_suites.lane import BINARY
from tests.celery_suites.matrix import NEWEST, QUICK, WHOLE, Row, usual
from tests.celery_suites.suites import Wishes, run_row
from tests.stages.running import interrupt_all


def main() -> int:
    arguments = parse()
    wishes = Wishes(arguments.quick, arguments.k, arguments.lanes, arguments.verbose)
    try:
        results = [run_row(row, wishes) for row in rows(arguments)]
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        interrupt_all()
        return 130
    return conclude(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/celery_suites/run",
        description="Celery's own integration suite, with prefork and with our pool, test by test.",
    )
    parser.add_argument("--version", action="append", help="of Celery; several are allowed")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"))
    parser.add_argument(
        "--worker",
        choices=("embedded", "external"),
        help="a thread of pytest, as Celery has it, or a process",
    )
    parser.add_argument("--quick", action="store_true", help="without the tests that wait for long")
    parser.add_argument("-k", metavar="TEXT", default="", help="only tests with this in their names")
    parser.add_argument("--lanes", type=int, default=Wishes().lanes, help="processes of each pool")
    parser.add_argument("-v", "--verbose", action="store_true", help="why the differing tests failed")
    arguments = parser.parse_args()
    if not BINARY.exists():
        parser.error(f"{BINARY} is not there; build it, or name another in SUPERVISE_BINARY")
    return arguments


def rows(arguments: argparse.Namespace) -> Sequence[Row]:
    if not (arguments.version or arguments.broker or arguments.worker):
        return QUICK if arguments.quick else WHOLE
    found = [usual(version, arguments.broker or "redis") for version in arguments.version or [NEWEST]]
    return [row._replace(worker=arguments.worker or row.worker) for row in found]


def conclude(results: Sequence[Result]) -> int:
    explained = read_explained(EXPLAINED)
    print(f"\n{table(results)}\n")
    for result in results:
        for test in result.differences():
            print(f"{result.name} DIFFERENT {test}: {result.reason(test, explained) or 'not explained'}")
        for test in result.flaky():
            print(f"{result.name} flaky {test}: the second time {result.repeated[test]}")
        if not result.says_something():
            print(f"{result.name}: prefork, too, fails most tests; look into {HOME}/{result.version}/runs")
    unexplained = sum(len(result.unexplained(explained)) for result in results)
    print(f"{unexplained} unexplained differences")
    if unexplained:
        return 1
    return 0 if all(result.says_something() for result in results) else 2


if __name__ == "__main__":
    sys.exit(main())
