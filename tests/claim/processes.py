"""The tests' own Redis and Celery workers: real processes on loopback, ended by their process IDs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "python/src"
BINARY = Path(os.environ.get("SUPERVISE_BINARY") or HERE.parents[1] / "build/release/supervise")
SECONDS = 120  # how long a test waits for anything


class Process:
    """A program whose output can be waited for."""

    def __init__(self, argv, env=None):
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True, cwd=HERE,
        )  # fmt: skip
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for(self, text):
        """Until a line has `text` in it."""
        with self._news:
            found = self._news.wait_for(
                lambda: self._ended or any(text in line for line in self.lines), timeout=SECONDS
            )
            assert found and any(text in line for line in self.lines), f"no {text!r} in:\n{self.output}"

    def kill(self):
        """The process and nothing else of its session; Celery's children follow by themselves."""
        os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def stop(self):
        """As an operator would; gives the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._wait()
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            raise AssertionError(f"{self._process.args} did not stop:\n{self.output}") from None

    def _wait(self):
        status = self._process.wait(timeout=SECONDS)
        self._reader.join(timeout=SECONDS)  # its children may have the output open for longer
        if not self._reader.is_alive():
            self._process.stdout.close()
        return status


class RedisServer:
    def __init__(self, directory):
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed: scripts/install-deps --tests"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process = Process(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "",
             "--appendonly", "no", "--daemonize", "no"],
        )  # fmt: skip
        self._process.wait_for("Ready to accept connections")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def stop(self):
        self._process.stop()


class Worker(Process):
    """`celery worker` with the tests' application. `settings` is its $CLAIM_APP; `-P supervise` our pool."""

    def __init__(self, settings, *options, env=None):
        if options[:2] == ("-P", "supervise"):
            if not BINARY.exists():
                pytest.skip(f"{BINARY} is not there")
            options = options[2:]
            conf = {**settings.get("conf", {}), "worker_pool": "supervise.celery:TaskPool"}
            settings = {**settings, "conf": conf}
        environment = {
            **os.environ,
            "CLAIM_APP": json.dumps(settings),
            "PYTHONPATH": os.pathsep.join([str(SOURCES), str(HERE)]),
            "PYTHONUNBUFFERED": "1",
            "C_FORCE_ROOT": "1",
            "SUPERVISE_BIN": str(BINARY),
            **(env or {}),
        }
        super().__init__(
            [sys.executable, "-W", "ignore", "-m", "celery", "-A", "claimapp", "worker", "-l", "INFO",
             "--without-mingle", "--without-gossip", "--without-heartbeat", *options],
            environment,
        )  # fmt: skip
        self.wait_for(" ready.")

    def memory(self, field):
        """Bytes of a field of /proc/PID/status, see proc(5)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field}")

    def children(self):
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def forget_peak(self):
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # VmHWM starts again at VmRSS
