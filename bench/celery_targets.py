"""What supervise has promised for Celery, against prefork in the same run."""

from __future__ import annotations

import dataclasses

from bench.results import Results
from bench.scenarios.celery_recycling import gain
from bench.stats import ratios, summarize
from bench.table import cell
from bench.verdict import AllResults, Verdict, judge

WAYS = (("plain", ""), ("result", ", with results"))


def _values(results: Results, metric: str, ours: bool) -> dict[int, float]:
    return results.values(lambda case: case.spec.ours == ours, metric)


def _ratio(results: Results, metric: str) -> list[float]:
    """Ours over prefork's, round by round."""
    return ratios(_values(results, metric, True), _values(results, metric, False))


def _rates(results: AllResults) -> list[Verdict]:
    return [
        judge(
            f"Celery, no-op tasks a second{words}: at least prefork's",
            summarize(_ratio(results["celery_rate"], f"{way}_rate")),
            "times",
            lambda value: value >= 1,
        )
        for way, words in WAYS
    ]


def _recycling(results: AllResults) -> list[Verdict]:
    return [
        judge(
            f"Celery, no-op tasks a second, recycled every {every}: at least {least} times prefork's",
            summarize(gain(results["celery_recycling"], every)),
            "times",
            lambda value, least=least: value >= least,  # type: ignore[misc]
        )
        for every, least in ((100, 2), (10, 8), (1, 20))
    ]


def _front(results: AllResults) -> list[Verdict]:
    return [
        judge(
            f"Celery, the front's processor time a task{words}: at most prefork's main process's (ratio)",
            summarize(_ratio(results["celery_rate"], f"{way}_front")),
            "times",
            lambda value: value <= 1,
        )
        for way, words in WAYS
    ]


def _latency(results: AllResults) -> list[Verdict]:
    return [
        judge(
            f"Celery, `delay().get()`: {metric} no worse than prefork's (ratio)",
            summarize(_ratio(results["celery_latency"], metric)),
            "times",
            lambda value: value <= 1,
        )
        for metric in ("p50", "p99")
    ]


def _against(verdict: Verdict, results: Results, metric: str, kind: str) -> Verdict:
    """With prefork's figure beside ours."""
    theirs = summarize(_values(results, metric, False).values())
    if verdict.met is None or theirs is None:
        return verdict
    return dataclasses.replace(verdict, figure=f"{verdict.figure}; prefork {cell(theirs, kind)}")


def _memory(results: AllResults) -> list[Verdict]:
    spike, arguments = results["celery_spike"], results["celery_arguments"]
    recycles = judge(
        "Celery, 30 spikes of 300 MB that are freed, limit 100 MB: at most 1 recycle",
        summarize(_values(spike, "recycles", True).values()),
        "count",
        lambda value: value <= 1,
    )
    growth = judge(
        "Celery, 200 tasks with 1 MB, 32 prefetched, claim check: the front grows by at most 5 MB",
        summarize(_values(arguments, "peak", True).values()),
        "mb",
        lambda value: value <= 5,
    )
    return [
        _against(recycles, spike, "recycles", "count"),
        _against(growth, arguments, "peak", "mb"),
    ]


JUDGES = (_rates, _recycling, _front, _latency, _memory)
