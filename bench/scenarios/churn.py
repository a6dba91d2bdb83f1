"""A thousand recycles a minute, for five minutes: nothing may grow."""

from __future__ import annotations

import math
import os
import re
import time
from pathlib import Path

import jobs

from bench import procfs
from bench.case import Case
from bench.cgroups import count_groups
from bench.engines import Stage
from bench.engines.ours import Supervise, start_ours
from bench.results import Results
from bench.scenarios.base import Features, Scenario
from bench.table import Row, Table, number

PER_MINUTE = 1000
SECONDS, QUICK_SECONDS = 300, 30
WARM_UP = 100  # recycles before the first look: caches and arenas fill once

WATCHED = (
    ("template, RSS", "template_rss", "mb"),
    ("template, anonymous memory", "template_anonymous", "mb"),
    ("template, descriptors", "template_fds", "count"),
    ("supervisor, RSS", "daemon_rss", "mb"),
    ("supervisor, anonymous memory", "daemon_anonymous", "mb"),
    ("supervisor, descriptors", "daemon_fds", "count"),
    ("supervisor's children", "children", "count"),
    ("cgroups", "cgroups", "count"),
)
_BY_MINUTE = re.compile(r"daemon_rss_\d+")


class Churn(Scenario):
    name = "churn"
    title = "A thousand recycles a minute"
    limit = SECONDS + 90
    about = (
        "Two workers with Django, Celery and NumPy from the template, recycled after every job; a job "
        f"every {60_000 // PER_MINUTE} ms for five minutes (with `--quick` half a minute). Before is after "
        f"the first {WARM_UP} recycles, after is at rest again."
    )

    def rounds(self, wanted: int) -> int:
        return 1

    def cases(self, quick: bool, features: Features) -> list[Case]:
        return [Case(self.name, features.ours("heavy", max_tasks=1), quick)] if features.template else []

    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        seconds = QUICK_SECONDS if case.quick else SECONDS
        engine = start_ours(stage, case.spec)
        for index in range(WARM_UP):
            engine.call(jobs.noop, index)
        before = _look(engine, stage)
        recycled = _recycles(engine)
        started = time.monotonic()
        late, by_minute = 0.0, {}
        for minute in range(1, math.ceil(seconds / 60) + 1):
            late = max(late, _pace(engine, min(PER_MINUTE, round(seconds * PER_MINUTE / 60))))
            by_minute[f"daemon_rss_{minute}"] = procfs.rss(engine.daemon.pid)
        minutes = (time.monotonic() - started) / 60
        recycled = _recycles(engine) - recycled
        after = _look(engine, stage)
        return {
            "per_minute": recycled / minutes,
            "recycles": recycled,
            "late": late,
            **by_minute,
            **{f"{name}_before": value for name, value in before.items()},
            **{f"{name}_after": value for name, value in after.items()},
        }

    def tables(self, results: Results) -> list[Table]:
        return [_table(run.values) for run in results.runs if not run.error]


def _table(values: dict[str, float]) -> Table:
    title = (
        f"{values['recycles']:,.0f} recycles, {values['per_minute']:,.0f} a minute; the latest job was "
        f"submitted {values['late'] * 1000:.0f} ms after its time"
    )
    rows = []
    for label, name, kind in WATCHED:
        before, after = values[f"{name}_before"], values[f"{name}_after"]
        rows.append(Row([label, number(before, kind), number(after, kind), f"{after - before:+.2f}"]))
    by_minute = [number(value, "mb") for name, value in values.items() if _BY_MINUTE.fullmatch(name)]
    rows.append(Row(["supervisor, RSS after each minute", "", ", ".join(by_minute), ""]))
    return Table(title, ["", "before", "after", "change"], rows)


def _pace(engine: Supervise, count: int) -> float:
    """Submits jobs at their times; returns by how much the worst was late, in seconds."""
    started = time.monotonic()
    late = 0.0
    for index in range(count):
        due = started + index * 60 / PER_MINUTE
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        late = max(late, -wait)
        engine.call(jobs.noop, index)
    return late


def _recycles(engine: Supervise) -> int:
    return int(engine.pool_status()["recycles"].get("max_tasks", 0))


def _look(engine: Supervise, stage: Stage) -> dict[str, float]:
    time.sleep(1.5)  # the last worker is buried, its successors are there
    daemon = engine.daemon.pid
    children = _children(daemon)
    template = next(pid for pid in children if "template" in procfs.command(pid))
    return {
        "template_rss": procfs.rss(template),
        "template_anonymous": procfs.memory(template)["anonymous"],
        "template_fds": procfs.descriptors(template),
        "daemon_rss": procfs.rss(daemon),
        "daemon_anonymous": procfs.memory(daemon)["anonymous"],
        "daemon_fds": procfs.descriptors(daemon),
        "children": len(children),
        "cgroups": count_groups(stage.place.cgroup_root),
    }


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    texts = ((tasks / task / "children").read_text() for task in os.listdir(tasks))
    return [int(child) for text in texts for child in text.split()]


SCENARIO = Churn()
