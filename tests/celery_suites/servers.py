"""What the suite talks to: a Redis for each of its processes, and one RabbitMQ for all of them."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.stages.running import TOP

_PORT = 6379  # some versions of the suite know no other
_SECONDS = 30


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Its address: one of its own in 127.0.0.0/8, with Redis's usual port."""
    while True:
        address = f"127.{random.randint(64, 127)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((address, _PORT))
            break
    with open(folder / "redis.log", "ab") as log:
        process = subprocess.Popen(
            ["redis-server", "--bind", address, "--port", str(_PORT), "--dir", str(folder), "--save", ""],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        patience = time.monotonic() + _SECONDS
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection((address, _PORT), _SECONDS).close()
                break
            if process.poll() is not None or time.monotonic() > patience:
                raise RuntimeError((folder / "redis.log").read_text())
            time.sleep(0.01)
        yield address
    finally:
        process.terminate()
        process.wait()


class Rabbitmq:
    """A virtual host a process."""

    def __init__(self, folder: Path, hosts: int) -> None:
        self._server = _brokers().Rabbitmq(folder)
        self._hosts = [f"suite{number}" for number in range(hosts)]

    def __enter__(self) -> Rabbitmq:
        self._server.start()
        each = ", ".join(f'<<"{host}">>' for host in self._hosts)
        everything = ", ".join(['<<".*">>'] * 3)
        self._server.control(
            "eval",
            f"[begin rabbit_vhost:add(H, <<>>), rabbit_auth_backend_internal:set_permissions("
            f'<<"guest">>, H, {everything}, <<"suite">>) end || H <- [{each}]].',
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def take_url(self) -> str:
        """Of a virtual host that nobody has."""
        return str(self._server.url(self._hosts.pop()))


def _brokers() -> ModuleType:
    """tests/celery is no package: its modules are pytest's."""
    spec = importlib.util.spec_from_file_location("brokers", TOP / "tests/celery/brokers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
