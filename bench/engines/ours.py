"""supervise: the daemon with a config of the bench's own, and the Python client."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from bench.case import EngineSpec, Place
from bench.engines import Stage
from bench.engines.base import Engine, Task
from bench.paths import APPS

POOL = "bench"
START_SECONDS = 60
NO_SUPERVISOR = 69  # the exit code of `supervise status` while nobody listens


def config_text(spec: EngineSpec, place: Place) -> str:
    """The daemon's config. What is not written here is as supervise has it by default."""
    supervisor = {"runtime_dir": place.folder}
    if place.cgroup_root:
        supervisor["cgroup_root"] = place.cgroup_root
    tables: dict[str, dict[str, Any]] = {
        "supervisor": supervisor,
        "supervisor.log": {"level": "info", "format": "json", "file": f"{place.folder}/log"},
        f"pool.{POOL}": {
            "app": f"app_{spec.app}",
            "python": sys.executable,
            "module_path": [str(APPS)],
            "workers": spec.workers,
            "preload": spec.preload,
        },
        f"pool.{POOL}.jobs": {"queue_limit": 1_000_000, **({"window": spec.window} if spec.window else {})},
    }
    if spec.max_tasks:
        # No jitter: the peers have none either, and the numbers are to be the ones in the tables.
        tables[f"pool.{POOL}.recycle"] = {"max_tasks": spec.max_tasks, "max_tasks_jitter": 0}
    # JSON's texts, numbers, booleans and lists are TOML's too.
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


class Supervise(Engine):
    def __init__(self, spec: EngineSpec, place: Place) -> None:
        super().__init__(spec, place)
        import supervise

        self._supervise = supervise
        self.folder = Path(place.folder)
        config = self.folder / "workers.toml"
        config.write_text(config_text(spec, place))
        with open(self.folder / "stderr", "wb") as stderr:
            self.daemon = subprocess.Popen(
                [place.program, "--config", config], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
            )
        try:
            self._wait_ready()
            self.client = self.new_client()
        except BaseException:
            self._stop_daemon()
            raise

    def new_client(self) -> Any:
        return self._supervise.Client(POOL, runtime_dir=str(self.folder))

    def submit_all(self, task: Task, numbers: Iterable[int]) -> list[int]:
        name, submit = _name(task), self.client.submit
        futures = [submit(name, number) for number in numbers]
        return [future.result() for future in futures]

    def map(self, task: Task, numbers: Iterable[int]) -> Iterator[int]:
        results: Iterator[int] = self.client.map(_name(task), numbers)
        return results

    def call(self, task: Task, number: int) -> int:
        result: int = self.client.submit(_name(task), number).result()
        return result

    def submit(self, task: Task, number: int, then: Callable[[bool], None]) -> None:
        future = self.client.submit(_name(task), number)
        future.add_done_callback(lambda done: then(done.exception() is None))

    def close(self) -> None:
        self.client.close()
        self._stop_daemon()

    # What only supervise can say

    def status(self) -> dict[str, Any]:
        """`supervise status --json`."""
        done = self._ask_status()
        if done.returncode != 0:
            raise RuntimeError(f"supervise status ended with {done.returncode}: {done.stderr.strip()}")
        return cast("dict[str, Any]", json.loads(done.stdout))

    def pool_status(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.status()["pools"][POOL])

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log with this event."""
        lines = (self.folder / "log").read_text().splitlines()
        return [entry for line in lines if (entry := json.loads(line))["event"] == name]

    def ready_workers(self) -> list[dict[str, Any]]:
        """Those that take jobs; neither successors that wait nor any on its way out."""
        workers = self.pool_status()["workers"]
        return [w for w in workers if w["state"] in ("idle", "busy") and not w["successor"]]

    def _ask_status(self) -> subprocess.CompletedProcess[str]:
        argv = [self.place.program, "status", "--json", "--runtime-dir", self.place.folder]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.daemon.poll() is not None:
                raise RuntimeError(f"supervise ended with {self.daemon.returncode}: {self._last_words()}")
            listens = self._ask_status().returncode != NO_SUPERVISOR
            if listens and len(self.ready_workers()) >= self.spec.workers:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"no worker was ready within {START_SECONDS} s: {self._last_words()}")
            time.sleep(0.02)

    def _last_words(self) -> str:
        texts = [(self.folder / name) for name in ("stderr", "log")]
        return "".join(path.read_text()[-1500:] for path in texts if path.exists()).strip()

    def _stop_daemon(self) -> None:
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
        try:
            code = self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise RuntimeError("supervise did not end within 20 s of SIGTERM") from None
        if code != 0:
            raise RuntimeError(f"supervise ended with {code}: {self._last_words()}")


def start_ours(stage: Stage, spec: EngineSpec) -> Supervise:
    engine = stage.start(spec)
    assert isinstance(engine, Supervise)
    return engine


def _name(task: Task) -> str:
    return f"{task.__module__}.{task.__name__}"
