"""Run with `pytest -c tests/celery/pytest.ini tests/celery`, in an environment that has Celery."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "python/src"), str(TOP / "tests/python"), str(TOP / "tests/celery")]

from brokers import Rabbitmq, Redis, has_rabbitmq, has_redis, rabbitmq, redis  # noqa: E402
from celery_front import BINARY, Front  # noqa: E402

if importlib.util.find_spec("celery") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def no_test_hangs(request: pytest.FixtureRequest) -> Iterator[None]:
    """120 s, or what the test's mark `timeout` says."""
    marker = request.node.get_closest_marker("timeout")
    seconds = 120 if marker is None else int(marker.args[0])

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"the test has not ended within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One for all tests that do not stop it."""
    if not has_redis():
        pytest.skip("there is no redis-server")
    with redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbitmq]:
    """One for all tests of a file; it takes seconds to start."""
    if not has_rabbitmq():
        pytest.skip("there is no rabbitmq-server")
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def make_front(tmp_path: Path, redis_server: Redis) -> Iterator[Callable[..., Front]]:
    """make_front(source, broker=..., backend=...) gives one that is not started. At the end each
    must have left nothing."""
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not there")
    fronts: list[Front] = []

    def make(source: str = "", broker: str = "", backend: str = "") -> Front:
        folder = tmp_path / f"front-{len(fronts)}"
        folder.mkdir()
        fronts.append(Front(folder, broker or redis_server.url(0), backend or redis_server.url(1), source))
        redis_server.flush()
        return fronts[-1]

    yield make
    for front in fronts:
        front.close()
