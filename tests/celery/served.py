"""A real supervise that runs the front of a Celery pool itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from celery_front import BINARY, SECONDS, Front

from supervise.celery.control import Control, ControlError

# Whatever pool the application has chosen, its front has supervise's.
SOURCE = """
app.conf.worker_pool = "solo"
"""


class Served(Front):
    """`pool` and `front` go into the tables of those names; `source` as with Front."""

    def __init__(
        self,
        folder: Path,
        broker: str,
        backend: str,
        source: str = "",
        pool: Optional[dict[str, Any]] = None,
        front: Optional[dict[str, Any]] = None,
    ) -> None:
        super().__init__(folder, broker, backend, SOURCE + source)
        self.runtime_dir = Path(self.environment["TMPDIR"]) / "run"
        self.config = folder / "workers.toml"
        self.pool_keys = {"workers": 2, "preload": True, "python": sys.executable, **(pool or {})}
        self.front_keys = front or {}
        self.write_config()

    def write_config(self) -> None:
        lines = [
            "[supervisor]",
            f"runtime_dir = {_toml(str(self.runtime_dir))}",
            f"cgroup_root = {_toml(self.cgroup)}",
            "[pool.work]",
            'kind = "celery"',
            'app = "proj"',
            *(f"{key} = {_toml(value)}" for key, value in self.pool_keys.items()),
            "[pool.work.front]",
            *(f"{key} = {_toml(value)}" for key, value in self.front_keys.items()),
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def serve(self, ready: bool = True, **environment: str) -> Served:
        self.run([str(BINARY), "--config", str(self.config)], ready=False, **environment)
        if ready:
            self.until(lambda: self.status().get("state") == "running", "the pool to run")
        return self

    def status(self) -> dict[str, Any]:
        try:
            return Control(str(self.runtime_dir / "control.sock"), "work").status()
        except ControlError:
            return {}

    def fronts(self) -> list[dict[str, Any]]:
        """The newest first."""
        found: list[dict[str, Any]] = self.status().get("fronts", [])
        return found

    def wait_for_front(self, incarnation: int) -> dict[str, Any]:
        """Until this one consumes."""
        found: list[dict[str, Any]] = []

        def is_ready() -> bool:
            found[:] = [each for each in self.fronts() if each["incarnation"] == incarnation]
            return bool(found) and found[0]["state"] == "ready"

        self.until(is_ready, f"front {incarnation} to consume")
        return found[0]

    def supervise_says(self, *words: str) -> str:
        """What the command line says; it must succeed."""
        command = [str(BINARY), *words, "--runtime-dir", str(self.runtime_dir)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def inspect(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """`inspect stats` of the front, once it is as wanted."""
        found: list[dict[str, Any]] = []

        def asked() -> object:
            found[:] = [self.control("stats")]
            return wanted(found[0])

        self.until(asked, "the front's stats")
        return found[0]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
