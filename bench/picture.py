"""results.svg: the main figures as bars, drawn by hand as scripts/sawtooth does."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from bench.case import Case, Run
from bench.results import Results
from bench.scenarios.recycling import EVERY, kept
from bench.stats import summarize
from bench.table import number

COLUMNS, WIDTH, LABEL, VALUE, LINE, PANEL_GAP, HEAD = 2, 450, 205, 75, 19, 26, 30
STYLE = """
  text { font: 12.5px system-ui, sans-serif; fill: #24292f; }
  .head { font-weight: 600; }
  .value, .small { font-size: 11.5px; fill: #57606a; }
  .peer { fill: #8c959f; } .floor { fill: #d0d7de; } .ours { fill: #0969da; }
  .whisker { stroke: #24292f; stroke-width: 1; opacity: 0.6; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .value, .small { fill: #9198a1; }
    .peer { fill: #656c76; } .floor { fill: #3d444d; } .ours { fill: #4493f8; }
    .whisker { stroke: #e6edf3; }
  }
"""


class Bar(NamedTuple):
    label: str
    value: float
    low: float
    high: float
    kind: str  # ours, peer, floor: its colour
    text: str


class Panel(NamedTuple):
    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> float:
        return HEAD + LINE * len(self.bars) + PANEL_GAP


def draw(runs: Sequence[Run]) -> str:
    """The SVG, or "" when nothing that it shows was measured."""
    panels = [panel for panel in _panels(runs) if panel.bars]
    if not panels:
        return ""
    rows = [panels[index : index + COLUMNS] for index in range(0, len(panels), COLUMNS)]
    height = sum(_height(row) for row in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * COLUMNS} {height:.0f}" role="img">',
        "<title>supervise and its peers: the figures of RESULTS.md as bars</title>",
        f"<style>{STYLE}</style>",
    ]
    top = 0.0
    for row in rows:
        for column, panel in enumerate(row):
            parts.append(f'<g transform="translate({column * WIDTH} {top:.0f})">')
            parts += [*_draw_panel(panel), "</g>"]
        top += _height(row)
    return "\n".join([*parts, "</svg>\n"])


def _height(row: Sequence[Panel]) -> float:
    return max(panel.height for panel in row)


def _draw_panel(panel: Panel) -> list[str]:
    room = WIDTH - LABEL - VALUE
    longest = max(bar.high for bar in panel.bars) or 1.0
    parts = [_text(0, 18, panel.title, "head", "start")]
    for index, bar in enumerate(panel.bars):
        y = HEAD + index * LINE
        end = LABEL + room * bar.value / longest
        low, high = (LABEL + room * value / longest for value in (bar.low, bar.high))
        middle = y + LINE / 2 - 1
        parts += [
            _text(LABEL - 8, y + 13, bar.label, "small" if bar.kind != "ours" else "", "end"),
            f'<rect class="{bar.kind}" x="{LABEL}" y="{y + 2:.1f}" '
            f'width="{end - LABEL:.1f}" height="{LINE - 5}"/>',
            f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>',
            _text(max(end, high) + 6, y + 13, bar.text, "value", "start"),
        ]
    return parts


def _text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    escaped = html.escape(words)
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escaped}</text>'


def _panels(runs: Sequence[Run]) -> list[Panel]:
    by_scenario = {
        name: Results(run for run in runs if run.case.scenario == name)
        for name in ("noop", "single", "recycling", "memory")
    }
    return [
        _metric(by_scenario["noop"], "submit_rate", "rate", "No-op jobs a second, submitted singly"),
        _metric(by_scenario["noop"], "map_rate", "rate", "No-op jobs a second, lazy map"),
        _metric(by_scenario["single"], "p99", "us", "One at a time: p99, µs (shorter is better)"),
        _metric(by_scenario["memory"], "private", "mb", "Private memory, MB (shorter is better)"),
        *(_recycling(by_scenario["recycling"], every) for every in EVERY[1:]),
    ]


def _metric(results: Results, metric: str, kind: str, title: str) -> Panel:
    bars = []
    for case in results.cases():
        values = results.values(lambda other, case=case: other == case, metric)  # type: ignore[misc]
        bars += _bar(case, list(values.values()), kind)
    return Panel(title, bars)


def _recycling(results: Results, every: int) -> Panel:
    bars = []
    for case in results.cases():
        if case.spec.max_tasks == every:
            bars += _bar(case, list(kept(results, case.spec, every).values()), "share")
    job = "every job" if every == 1 else f"every {every} jobs"
    return Panel(f"Capacity kept, recycled after {job}", bars)


def _bar(case: Case, values: Sequence[float], kind: str) -> list[Bar]:
    summary = summarize(values)
    if summary is None:
        return []
    colour = "ours" if case.spec.ours else "floor" if case.spec.engine == "floor" else "peer"
    text = number(summary.median, kind)
    return [Bar(case.spec.label, summary.median, summary.low, summary.high, colour, text)]
