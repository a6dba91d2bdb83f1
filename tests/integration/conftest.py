"""Fixtures for tests against the real binary ($SUPERVISE_BINARY, else build/release/supervise)."""

import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "python/src")]

from support.daemon import BINARY, Daemon  # noqa: E402


def pytest_collection_modifyitems(config, items):
    if not BINARY.exists():
        pytest.exit(
            f"{BINARY} is not there; build it with: cmake --preset release && cmake --build --preset release",
            returncode=4,
        )


@pytest.fixture
def make():
    """make(workers=2, ...) gives a Daemon with pool "p", not started; make(pools={...}) has several.
    At the end each is stopped and asserted to have left nothing."""
    daemons = []

    def make_daemon(pools=None, supervisor=None, **pool):
        daemon = Daemon({"p": pool} if pools is None else pools, supervisor)
        daemons.append(daemon)
        return daemon

    yield make_daemon
    errors = []
    for daemon in daemons:
        try:
            daemon.close()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@pytest.fixture
def start(make):
    """As make(), started and with all workers ready."""

    def start_daemon(pools=None, supervisor=None, env=None, **pool):
        return make(pools, supervisor, **pool).start(env=env)

    return start_daemon


@pytest.fixture
def scale():
    """The size of slow tests, 1.0 for the full one: $SUPERVISE_TEST_SCALE."""
    return float(os.environ.get("SUPERVISE_TEST_SCALE", "1"))


@pytest.fixture
def sanitized():
    """True under a sanitizer, where memory and speed say nothing."""
    return b"__asan_init" in BINARY.read_bytes() or b"__tsan_init" in BINARY.read_bytes()


@pytest.fixture(scope="module")
def shared():
    """One daemon for all tests of a file that only submit jobs."""
    daemon = Daemon({"p": {"workers": 2}})
    try:
        yield daemon.start()
    finally:
        daemon.close()
