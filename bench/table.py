"""Tables of results, as Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.case import Case
from bench.results import Results
from bench.stats import Summary, ratios, summarize

FACTORS = {"rate": 1.0, "us": 1e6, "ms": 1e3, "share": 100.0, "mb": 1.0, "count": 1.0, "times": 1.0}


@dataclasses.dataclass(frozen=True)
class Row:
    cells: list[str]
    ours: bool = False  # printed bold


@dataclasses.dataclass(frozen=True)
class Table:
    title: str
    heads: list[str]
    rows: list[Row]

    def markdown(self) -> str:
        lines = [f"**{self.title}**", ""] if self.title else []
        lines += [_line(self.heads), _line(["---"] + ["---:"] * (len(self.heads) - 1))]
        for row in self.rows:
            name = f"**{row.cells[0]}**" if row.ours else row.cells[0]
            lines.append(_line([name, *row.cells[1:]]))
        return "\n".join(lines)


class Column(NamedTuple):
    head: str
    metric: str
    kind: str  # of FACTORS
    ratio: str = ""  # "higher" or "lower" is better: adds a column with ours over the best peer


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def number(value: float, kind: str) -> str:
    """With as many digits as one can rely on, in the unit of its column."""
    scaled = value * FACTORS[kind]
    if kind == "count" or abs(scaled) >= 100:
        text = f"{scaled:,.0f}"
    elif abs(scaled) >= 10 or kind in ("share", "mb"):
        text = f"{scaled:.1f}"
    else:
        text = f"{scaled:.2f}"
    return text + " %" if kind == "share" else text


def cell(summary: Summary | None, kind: str) -> str:
    """Median (min..max); "" where there is nothing."""
    if summary is None:
        return ""
    median = number(summary.median, kind)
    if summary.rounds == 1 or summary.low == summary.high:
        return median
    low, high = (number(value, kind).removesuffix(" %") for value in (summary.low, summary.high))
    return f"{median} ({low}..{high})"


def engine_table(
    results: Results,
    columns: Sequence[Column],
    *,
    title: str = "",
    label: Callable[[Case], str] = lambda case: case.spec.label,
) -> Table:
    """A row for each case."""
    heads = ["engine"]
    for column in columns:
        heads += [column.head, *(["ours / best peer"] if column.ratio else [])]
    rows = []
    for case in results.cases():
        cells = [label(case)]
        for column in columns:
            values = results.values(lambda other, case=case: other == case, column.metric)  # type: ignore[misc]
            cells.append(cell(summarize(values.values()), column.kind) or _missing(results, case))
            if column.ratio:
                best = results.best_peer(column.metric, higher_is_better=column.ratio == "higher")
                summary = summarize(ratios(values, best)) if case.spec.ours else None
                cells.append(cell(summary, "times"))
        rows.append(Row(cells, ours=case.spec.ours))
    return Table(title, heads, rows)


def _missing(results: Results, case: Case) -> str:
    return results.trouble(lambda other: other == case)


def grid_table(results: Results, metric: str, kind: str, *, title: str) -> Table:
    """A row for each engine, a column for each number that the scenario varies."""
    numbers = sorted({case.number for case in results.cases()})
    rows = []
    for label in dict.fromkeys(case.spec.label for case in results.cases()):
        cells, ours = [label], False
        for column in numbers:

            def chosen(case: Case, label: str = label, column: int = column) -> bool:
                return case.number == column and case.spec.label == label

            summary = summarize(results.values(chosen, metric).values())
            cells.append(cell(summary, kind) or results.trouble(chosen))
            ours = ours or any(chosen(case) and case.spec.ours for case in results.cases())
        if any(text != "-" for text in cells[1:]):
            rows.append(Row(cells, ours))
    return Table(title, ["engine", *map(str, numbers)], rows)
