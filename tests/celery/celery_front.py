"""A real `celery worker` with our pool, a real supervise beneath it, and a real broker."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from brokers import SECONDS

TOP = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SUPERVISE_BINARY", TOP / "build/release/supervise")).resolve()

PROJECT = """
import os, sys, time
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

HERE = os.path.dirname(os.path.abspath(__file__))
app = Celery("proj", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BACKEND"])
app.conf.update(
    worker_pool="supervise.celery:TaskPool",
    supervise_config={"supervisor": {"cgroup_root": os.environ["TEST_CGROUP"]}},
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_enable_remote_control=True,
    broker_transport_options=eval(os.environ.get("TEST_TRANSPORT", "{}")),
)

def note(text):
    with open(HERE + "/notes", "a") as file:
        file.write(text + "\\n")

@app.task
def add(a, b):
    return a + b

@app.task
def pid():
    return os.getpid()

@app.task(bind=True)
def hold(self, name):
    "Runs until the test lets it go."
    note(f"{name} {os.getpid()}")
    while not os.path.exists(f"{HERE}/{name}.go"):
        time.sleep(0.01)
    return name

@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def hold_late(self, name):
    return hold.run(name)
"""


class Front:
    """`source` goes behind PROJECT, in module proj."""

    def __init__(self, folder: Path, broker: str, backend: str, source: str = "") -> None:
        self.folder = folder
        (folder / "proj.py").write_text(PROJECT + source)
        self.cgroup = f"/supervise-celery-{os.getpid()}-{folder.name[-12:]}"
        self.environment = {
            **os.environ,
            "TEST_BROKER": broker,
            "TEST_BACKEND": backend,
            "TEST_CGROUP": self.cgroup,
            "SUPERVISE_BIN": str(BINARY),
            "PYTHONPATH": str(TOP / "python/src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
            "C_FORCE_ROOT": "1",
            "TMPDIR": str(_short_folder()),
        }
        self.log_file = folder / "log"
        self.process: Optional[subprocess.Popen[bytes]] = None
        self._app: Any = None

    # --- its life

    def start(self, *options: str, ready: bool = True, **environment: str) -> Front:
        program = str(Path(sys.executable).parent / "celery")
        command = [sys.executable, program, "-A", "proj", "worker", "-l", "INFO", *options]
        return self.run(command, ready, **environment)

    def run(self, command: list[str], ready: bool = True, **environment: str) -> Front:
        starts = len(re.findall(r" ready\.$", self.log(), re.M))
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if ready:
            self.until(lambda: len(re.findall(r" ready\.$", self.log(), re.M)) > starts, "ready")
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = SECONDS) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def forget_client(self) -> None:
        """The next one has connections of its own."""
        import kombu.pools

        if self._app is not None:
            self._app.close()
            self._app = None
            kombu.pools.reset()

    def close(self) -> None:
        self.forget_client()
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.wait()
        self.until(lambda: not self.supervises(), "its supervise to end")
        shutil.rmtree(self.environment["TMPDIR"], ignore_errors=True)
        remove_cgroups(self.cgroup)  # those of a supervise that was killed

    # --- what can be seen of it

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def supervises(self) -> list[int]:
        """The pids of its supervise and of whatever else works in its name."""
        mark = f"TEST_CGROUP={self.cgroup}".encode()
        found = []
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            if self.process is not None and pid == self.process.pid:
                continue
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(pid)
        return found

    def supervise(self) -> int:
        """The pid of its supervise."""
        for pid in self.supervises():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe") == str(BINARY):
                    return pid
        raise AssertionError("it has no supervise")

    def until(self, condition: Callable[[], object], what: str, timeout: float = SECONDS) -> None:
        patience = time.monotonic() + timeout
        while not condition():
            ended = self.process is not None and self.process.poll() is not None and "to end" not in what
            assert not ended, f"it ended before: {what}\n{self.log()}"
            assert time.monotonic() < patience, f"not within {timeout} s: {what}\n{self.log()}"
            time.sleep(0.01)

    # --- as its client

    @property
    def app(self) -> Any:
        if self._app is None:
            from celery import Celery

            environment = self.environment
            self._app = Celery("test", set_as_current=False)
            self._app.conf.update(
                broker_url=environment["TEST_BROKER"],
                result_backend=environment["TEST_BACKEND"],
                broker_transport_options=eval(environment.get("TEST_TRANSPORT", "{}")),
            )
        return self._app

    def send(self, task: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(f"proj.{task}", args, **options)

    def get(self, task: str, *args: Any, **options: Any) -> Any:
        return self.send(task, *args, **options).get(timeout=SECONDS)

    def hold(self, name: str, task: str = "hold", **options: Any) -> tuple[Any, int]:
        """A task that runs; its result to come, and its worker."""
        before = len(self.notes())
        result = self.send(task, name, **options)
        self.until(lambda: len(self.notes()) > before, f"{name} to run")
        return result, int(self.notes()[-1].split()[1])

    def release(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()

    def control(self, command: str, **arguments: Any) -> Any:
        (answer,) = self.app.control.broadcast(command, arguments=arguments, reply=True, timeout=10, limit=1)
        ((_, value),) = answer.items()
        return value

    def pool(self) -> dict[str, Any]:
        """`inspect stats` of the pool."""
        found: dict[str, Any] = self.control("stats")["pool"]
        return found


def remove_cgroups(name: str) -> None:
    for hierarchy in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory"):
        for top in Path(hierarchy).glob(f"{name[1:]}*"):
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def _short_folder() -> Path:
    """Unix sockets' paths end at 108 bytes, which pytest's own folders use up."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="sc-", dir="/tmp"))
