"""Two runs of the same tests, prefork's and ours, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.celery_suites.lane import Outcome

BOTH_PASSED = "both passed"
BOTH_SKIPPED = "both skipped"
BOTH_FAILED = "both failed"
ONLY_PREFORK = "only prefork passed"
ONLY_OURS = "only ours passed"
COLUMNS = (BOTH_PASSED, BOTH_FAILED, ONLY_PREFORK, ONLY_OURS, BOTH_SKIPPED)

EXPLAINED = Path(__file__).resolve().parent / "explained.txt"

Outcomes = Mapping[str, Outcome]


def compare(prefork: Outcomes, ours: Outcomes) -> dict[str, str]:
    """The column of each test."""
    return {test: _column(prefork[test], ours[test]) for test in prefork}


def _column(prefork: Outcome, ours: Outcome) -> str:
    if prefork.good:
        return BOTH_PASSED if ours.good else ONLY_PREFORK
    if ours.good:
        return ONLY_OURS
    return BOTH_SKIPPED if prefork.state == ours.state == "skipped" else BOTH_FAILED


@dataclass
class Result:
    """One row of the table."""

    name: str  # version, broker, worker
    columns: dict[str, str]  # of each test
    repeated: dict[str, str] = field(default_factory=dict)  # at the second go, of those that differed
    seconds: float = 0.0

    @property
    def version(self) -> str:
        return self.name.partition(" ")[0]

    def count(self, column: str) -> int:
        return Counter(self.columns.values())[column]

    def tests(self, column: str) -> list[str]:
        return [test for test, found in self.columns.items() if found == column]

    def says_something(self) -> bool:
        """Not when prefork fails most tests: then something is wrong with the environment."""
        ran = len(self.columns) - self.count(BOTH_SKIPPED)
        return (self.count(BOTH_PASSED) + self.count(ONLY_PREFORK)) * 2 > ran or not ran

    def differences(self) -> list[str]:
        """What prefork passed and ours did not, both times."""
        return [test for test in self.tests(ONLY_PREFORK) if self.repeated.get(test) == ONLY_PREFORK]

    def unexplained(self, explained: Mapping[tuple[str, str], str]) -> list[str]:
        """Of the differences. `explained` is what read_explained() has found."""
        return [test for test in self.differences() if not self.reason(test, explained)]

    def reason(self, test: str, explained: Mapping[tuple[str, str], str]) -> str:
        return explained.get((self.version, test)) or explained.get(("*", test)) or ""

    def flaky(self) -> list[str]:
        return [test for test in self.tests(ONLY_PREFORK) if self.repeated.get(test) != ONLY_PREFORK]


def table(results: Sequence[Result]) -> str:
    header = ["Celery, broker, worker", *COLUMNS, "seconds"]
    rows = [
        [result.name, *(str(result.count(column)) for column in COLUMNS), f"{result.seconds:.0f}"]
        for result in results
    ]
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in [header, *rows]]
    return "\n".join(lines)


def read_explained(path: Path) -> dict[tuple[str, str], str]:
    """Lines of `VERSION TEST REASON`; VERSION may be `*`. Raises ValueError for a line without a reason."""
    explained = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(None, 2)
        if len(words) != 3:
            raise ValueError(f"{path}:{number}: wanted VERSION TEST REASON")
        explained[words[0], words[1]] = words[2]
    return explained
