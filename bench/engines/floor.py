"""The bare dispatcher: floor/dispatcher.cpp with workers that echo. Not an Engine: it takes no jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple, cast

from bench.case import EngineSpec
from bench.paths import ECHO, FLOOR

WINDOW = 8


class Rate(NamedTuple):
    seconds: float
    cpu_seconds: float  # the dispatcher's own


def rate(spec: EngineSpec, jobs: int, ms: int = 0) -> Rate:
    answer = json.loads(_run("rate", spec, jobs, spec.window or WINDOW, ms))
    return Rate(answer["seconds"], answer["cpu_seconds"])


def latency(spec: EngineSpec, jobs: int) -> list[float]:
    """Seconds of each job, one at a time."""
    return cast("list[float]", json.loads(_run("latency", spec, jobs, 1, 0))["times"])


def _run(mode: str, spec: EngineSpec, jobs: int, window: int, ms: int) -> str:
    numbers = [str(number) for number in (spec.workers, jobs, window, ms)]
    argv = [str(FLOOR), mode, *numbers, sys.executable, str(ECHO)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
