"""Run with `pytest -c python/pyproject.toml tests/celery`, in an environment that has Celery."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "python" / "src"))

if importlib.util.find_spec("celery") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def no_test_hangs() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TimeoutError("the test has not ended within 120 s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
