"""The stage of tests/run: the quick rows. What prefork passes and ours does not has failed."""

from __future__ import annotations

from tests.celery_suites.comparison import BOTH_PASSED, EXPLAINED, ONLY_OURS, read_explained
from tests.celery_suites.matrix import QUICK
from tests.celery_suites.suites import Wishes, run_row
from tests.stages.tally import Tally


def run_quick(expression: str | None) -> Tally:
    tally = Tally()
    explained = read_explained(EXPLAINED)
    for row in QUICK:
        try:
            result = run_row(row, Wishes(quick=True, text=expression or "", verbose=True))
        except RuntimeError as error:
            print(error, flush=True)
            tally.fails(f"Celery {row}: its suite could not be run")
            continue
        if not result.says_something():
            tally.fails(f"Celery {row}: prefork, too, fails most tests")
        unexplained = result.unexplained(explained)
        for test in unexplained:
            tally.fails(f"Celery {row}: {test}")
        passed = result.count(BOTH_PASSED) + result.count(ONLY_OURS)
        tally.passed += passed
        tally.skipped += len(result.columns) - passed - len(unexplained)
    return tally
