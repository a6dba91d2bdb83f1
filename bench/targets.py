"""What supervise has promised, and what came of it. A miss stays a miss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from bench import celery_targets
from bench.case import Case, EngineSpec
from bench.results import Results
from bench.scenarios.recycling import kept
from bench.stats import ratios, summarize
from bench.table import Table, cell, number
from bench.verdict import AllResults, Verdict, judge

# Growth that is noise: a page here and there.
GROWTH_MB = 1.0


def table(results: AllResults) -> Table:
    rows = [verdict.row() for verdicts in JUDGES for verdict in verdicts(results)]
    return Table("", ["target", "figure: median (min..max)", ""], rows)


def _engine(name: str) -> Callable[[Case], bool]:
    return lambda case: case.spec.engine == name


def _fastest(results: Results) -> EngineSpec | None:
    """Of ours in a scenario: the set-up with the widest window, which short jobs are told to use."""
    return max((spec for spec in results.specs() if spec.ours), key=lambda spec: spec.window, default=None)


def _pipelined(results: AllResults) -> list[Verdict]:
    noop = results["noop"]
    spec = _fastest(noop)
    wanted = (
        ("submit", "multiprocessing.Pool", 3.0, "3 times `multiprocessing.Pool.apply_async`"),
        ("map", "multiprocessing.Pool", 2.0, "2 times `multiprocessing.Pool.imap`"),
        ("map", "floor", 0.6, "0.6 of the bare dispatcher"),
    )
    verdicts = []
    for way, engine, least, words in wanted:
        ours = noop.values(lambda case: case.spec == spec, f"{way}_rate")
        theirs = noop.values(_engine(engine), f"{way}_rate")
        found = judge(
            f"no-op jobs, {way}: at least {words}",
            summarize(ratios(ours, theirs)),
            "times",
            lambda value, least=least: value >= least,  # type: ignore[misc]
        )
        verdicts.append(_with_setup(found, spec))
    return verdicts


def _with_setup(verdict: Verdict, spec: EngineSpec | None) -> Verdict:
    """Says so where a figure is not that of the defaults."""
    if verdict.met is None or spec is None or not spec.window:
        return verdict
    return dataclasses.replace(verdict, figure=f"{verdict.figure}, with `window = {spec.window}`")


def _one_at_a_time(results: AllResults) -> list[Verdict]:
    single = results["single"]
    verdicts = []
    for metric, words, most in (("p50", "no worse than", 1.0), ("p99", "better than", 0.999)):
        ours = single.values(_engine("supervise"), metric)
        theirs = single.values(_engine("multiprocessing.Pool"), metric)
        verdicts.append(
            judge(
                f"one at a time: {metric} {words} `multiprocessing.Pool`'s (ratio)",
                summarize(ratios(ours, theirs)),
                "times",
                lambda value, most=most: value <= most,  # type: ignore[misc]
            )
        )
    return verdicts


def _capacity(results: AllResults) -> list[Verdict]:
    recycling = results["recycling"]
    spec = next((spec for spec in recycling.specs() if spec.ours), None)
    verdicts = []
    for every, least in ((100, 0.97), (10, 0.95), (1, 0.80)):
        summary = summarize(kept(recycling, spec, every).values()) if spec else None
        target = f"10 ms jobs, recycled every {every}: capacity kept at least {least * 100:.0f} %"
        verdicts.append(judge(target, summary, "share", lambda value, least=least: value >= least))  # type: ignore[misc]
    gaps = recycling.values(lambda case: case.spec.ours and case.spec.max_tasks == 1, "gap_p99")
    verdicts.append(
        judge(
            "recycled every job: slot gap p99 below 5 ms",
            summarize(gaps.values()),
            "ms",
            lambda value: value < 0.005,
        )
    )
    return verdicts


def _template(results: AllResults) -> list[Verdict]:
    def forked(case: Case) -> bool:
        return case.spec.ours and case.spec.preload

    ready = results["spawn"].values(forked, "p50")
    private = results["memory"].values(forked, "private")
    after = summarize(results["memory"].values(forked, "private_after").values())
    memory = judge(
        "private memory of a forked worker at most 6 MB",
        summarize(private.values()),
        "mb",
        lambda value: value <= 6,
    )
    if after is not None and memory.met is not None:
        figure = f"{memory.figure}; after 1,000 jobs {cell(after, 'mb')}"
        memory = dataclasses.replace(memory, figure=figure)
    return [
        judge(
            "from the template, spawn to ready below 10 ms (p50)",
            summarize(ready.values()),
            "ms",
            lambda value: value < 0.010,
        ),
        memory,
    ]


def _no_growth(results: AllResults) -> list[Verdict]:
    target = "1,000 recycles a minute for five minutes: no growth"
    run = next((run for run in results["churn"].runs if not run.error), None)
    if run is None:
        return [Verdict(target)]
    values = run.values

    def change(name: str) -> float:
        return values[f"{name}_after"] - values[f"{name}_before"]

    grown = max(change("template_rss"), change("daemon_rss")) > GROWTH_MB or any(
        change(name) > 0 for name in ("template_fds", "daemon_fds", "cgroups")
    )
    figure = (
        f"{number(values['recycles'], 'count')} recycles, {number(values['per_minute'], 'count')} a minute; "
        f"RSS of the template {change('template_rss'):+.2f} MB, "
        f"of the supervisor {change('daemon_rss'):+.2f} MB; "
        f"descriptors {change('template_fds'):+.0f} and {change('daemon_fds'):+.0f}; "
        f"cgroups {change('cgroups'):+.0f}"
    )
    return [Verdict(target, figure, not grown and values["per_minute"] >= 990)]


def _price(results: AllResults) -> list[Verdict]:
    noop = results["noop"]
    spec = _fastest(noop)
    verdicts = []
    for way in ("submit", "map"):
        found = judge(
            f"the supervisor's processor time, {way}: at most 10 µs a job",
            summarize(noop.values(lambda case: case.spec == spec, f"{way}_daemon_cpu").values()),
            "us",
            lambda value: value <= 10e-6,
        )
        verdicts.append(_with_setup(found, spec))
    return verdicts


JUDGES = (_pipelined, _one_at_a_time, _capacity, _template, _no_growth, _price, *celery_targets.JUDGES)
