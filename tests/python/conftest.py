"""Run with `pytest -c python/pyproject.toml tests/python`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "python" / "src"))

from fake_supervisor import FakeSupervisor, Handler
from worker_process import PYTHON

from supervise import Client


@pytest.fixture(autouse=True)
def no_test_hangs() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TimeoutError("the test has not ended within 60 s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def has_numpy() -> None:
    """For tests whose processes import it."""
    found = subprocess.run([PYTHON, "-c", "import numpy"], stderr=subprocess.DEVNULL)
    if found.returncode != 0:
        pytest.skip(f"{PYTHON} has no NumPy")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Callable[..., FakeSupervisor]]:
    """Starts fake supervisors: supervisor(handler, limit=...). Any error in one fails the test."""
    started = []

    def start(handler: Handler, **settings: Any) -> FakeSupervisor:
        started.append(FakeSupervisor(tmp_path, handler, **settings))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Makes clients of the pool "test", which are closed after the test."""
    clients = []

    def make(pool: str = "test", **settings: Any) -> Client:
        settings = {"runtime_dir": str(tmp_path), "timeout": 20, **settings}
        clients.append(Client(pool, **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
