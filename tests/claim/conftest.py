"""Run with `pytest -c tests/claim/pytest.ini tests/claim`."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from base64 import b64decode

import pytest
from processes import HERE, SECONDS, SOURCES, RedisServer, Worker

import supervise.claim
from supervise.claim import _settings


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch):
    """Each test has its own store; the default one is never used."""
    monkeypatch.setenv("CLAIM_CHECK_STORE", "/proc/not-configured")
    _settings._settings = None
    yield
    _settings._settings = None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(redis_server):
    """A client of an empty server."""
    client = importlib.import_module("redis").Redis.from_url(redis_server.url, socket_timeout=SECONDS + 10)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def directory(tmp_path):
    """Where the entries are; made by whoever stores the first one."""
    return tmp_path / "claims"


@pytest.fixture
def entries(directory):
    """entries(): the names of what is in the store."""
    return lambda: sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def owned(bodies):
    """The IDs of the entries that these messages have; their bodies are in base64, as kombu sends them."""
    return {found.decode() for body in bodies for found in re.findall(rb"[0-9a-f]{32}", b64decode(body))}


@pytest.fixture
def leftovers(entries, redis):
    """leftovers(): the entries that belong to no message. A message that Celery gives back to the broker,
    because it was stopped between the task's end and the ack (its issue 3802), keeps its entries."""

    def find(*messages):
        waiting = [json.loads(message) for message in (*messages, *redis.lrange("celery", 0, -1))]
        waiting += [json.loads(unacked)[0] for unacked in redis.hvals("unacked")]
        return sorted(set(entries()) - owned(message["body"] for message in waiting))

    return find


class World:
    """One broker, one store, the producer in this process, and workers."""

    def __init__(self, monkeypatch, redis_server, directory):
        self._monkeypatch = monkeypatch
        self._workers = []
        self.settings = {
            "broker": redis_server.url,
            "backend": redis_server.url,
            "store": str(directory),
            "threshold": 1000,
        }

    def producer(self, **changes):
        """The module claimapp, imported anew with these settings."""
        self.settings.update(changes)
        self._monkeypatch.setenv("CLAIM_APP", json.dumps(self.settings))
        sys.modules.pop("claimapp", None)
        module = importlib.import_module("claimapp")
        module.app.set_current()
        return module

    def worker(self, *options, **env):
        self._workers.append(Worker(self.settings, *options, env=env))
        return self._workers[-1]

    def close(self):
        module = sys.modules.pop("claimapp", None)
        if module is not None:
            module.app.close()
        for worker in self._workers:
            worker.stop()
            print(worker.output)  # pytest shows it where the test failed


@pytest.fixture
def world(monkeypatch, redis, redis_server, directory):
    made = World(monkeypatch, redis_server, directory)
    yield made
    made.close()


@pytest.fixture
def installed(tmp_path):
    """Environment of a process that has the package's metadata as an installation writes it."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((SOURCES.parent / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "site" / "supervise-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: supervise\nVersion: 0\n")
    lines = []
    for name, points in project["entry-points"].items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return {"PYTHONPATH": os.pathsep.join([str(metadata.parent), str(SOURCES), str(HERE)])}


@pytest.fixture
def register(directory):
    """Registers the serializers in this process, with a threshold of 100 bytes."""

    def call(**settings):
        supervise.claim.register(**{"store": directory, "threshold": 100, **settings})

    return call
