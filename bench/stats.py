"""The arithmetic of the results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    median: float
    low: float
    high: float
    rounds: int


def summarize(values: Iterable[float]) -> Summary | None:
    """None where there is nothing to summarize."""
    numbers = sorted(values)
    if not numbers:
        return None
    return Summary(statistics.median(numbers), numbers[0], numbers[-1], len(numbers))


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that at least `percent` of all values do not exceed."""
    if not values:
        raise ValueError("no values")
    if not 0 < percent <= 100:
        raise ValueError(f"a percentile is above 0 and at most 100, not {percent}")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Ours over theirs, round by round; rounds that either of them lacks do not count."""
    return [ours[number] / theirs[number] for number in sorted(ours) if theirs.get(number)]


def best_of(engines: Iterable[Mapping[int, float]], *, higher_is_better: bool) -> dict[int, float]:
    """The best value of each round, whichever engine had it."""
    choose = max if higher_is_better else min
    best: dict[int, float] = {}
    for engine in engines:
        for number, value in engine.items():
            best[number] = choose(best.get(number, value), value)
    return best


def capacity(jobs: float, job_seconds: float, workers: int, wall_seconds: float) -> float:
    """The share of the workers' time that jobs had: 1 when no worker ever waited."""
    return jobs * job_seconds / (workers * wall_seconds)


def foreign_share(machine_busy: float, own: float, wall_seconds: float, cores: int) -> float:
    """The share of the machine that processes of others had, 0 to 1. All in processor seconds."""
    if wall_seconds <= 0:
        return 0.0
    return min(1.0, max(0.0, machine_busy - own) / (wall_seconds * cores))
