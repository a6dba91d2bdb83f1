"""Real brokers from Debian's packages, on loopback, each with a folder and ports of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, TypeVar

SECONDS = 60
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in PATH becomes another user


def has_redis() -> bool:
    return shutil.which("redis-server") is not None


def has_rabbitmq() -> bool:
    return RABBITMQ.exists()


class Server:
    """Has the same port, and what it has stored, after each start."""

    greeting = b""  # of a client, which it answers when it is ready

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        """Returns when it answers."""
        command, environment = self.command()
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        patience = time.monotonic() + SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < patience, self.log()
            time.sleep(0.02)

    def command(self) -> tuple[list[str], dict[str, str]]:
        """It, and its environment."""
        raise NotImplementedError

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as client:
            client.sendall(self.greeting)
            return bool(client.recv(100))
        return False

    def stop(self) -> None:
        """Tells it to end, as its service would, and waits for that."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            process.wait(SECONDS)

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")


class Redis(Server):
    greeting = b"PING\r\n"

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def command(self) -> tuple[list[str], dict[str, str]]:
        here = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        return ["redis-server", *here, "--appendonly", "yes", "--save", ""], dict(os.environ)

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(100) == b"+OK\r\n"


class Rabbitmq(Server):
    """With an epmd of its own; Erlang would start one for all of the machine, and leave it."""

    greeting = b"AMQP\x00\x00\x09\x01"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._epmd_port = free_port()
        self._epmd: Optional[subprocess.Popen[bytes]] = None
        self._distribution_port = free_port()
        self.node = f"test-{self.port}@localhost"
        (folder / "enabled_plugins").write_text("[].\n")
        settings = ["log.console = true", "log.console.level = warning", "loopback_users = none"]
        (folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")

    def url(self, virtual_host: str = "") -> str:
        """Of a virtual host that exists; the default one when empty."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{virtual_host}"

    def command(self) -> tuple[list[str], dict[str, str]]:
        return [str(RABBITMQ)], self.environment()

    def environment(self) -> dict[str, str]:
        """For `rabbitmqctl`, too."""
        folder = self.folder
        return {
            **os.environ,
            "HOME": str(folder),  # where Erlang keeps its cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            # Erlang's schedulers spin for work by default, and the tests have few processors.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def start(self) -> None:
        command = ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        self._epmd = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        super().start()

    def _end(self, number: int) -> None:
        super()._end(number)
        epmd, self._epmd = self._epmd, None
        if epmd is not None:
            epmd.kill()
            epmd.wait()

    def control(self, *words: str) -> str:
        """What `rabbitmqctl` prints."""
        command = [str(RABBITMQ.parent / "rabbitmqctl"), "-q", *words]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=True)
        return str(done.stdout)


AnyServer = TypeVar("AnyServer", bound=Server)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    with running(Redis(folder)) as server:
        yield server


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[Rabbitmq]:
    with running(Rabbitmq(folder)) as server:
        yield server


@contextlib.contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Of a number that is in no one's use now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
