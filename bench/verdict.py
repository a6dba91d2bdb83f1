"""What came of one target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from bench.results import Results
from bench.stats import Summary
from bench.table import Row, cell

AllResults = Mapping[str, Results]  # by scenario


@dataclasses.dataclass(frozen=True)
class Verdict:
    target: str
    figure: str = "not measured"
    met: bool | None = None  # None: not measured

    def row(self) -> Row:
        return Row([self.target, self.figure, {True: "met", False: "**missed**", None: "-"}[self.met]])


def judge(target: str, summary: Summary | None, kind: str, met: Callable[[float], bool]) -> Verdict:
    if summary is None:
        return Verdict(target)
    return Verdict(target, cell(summary, kind), met(summary.median))
