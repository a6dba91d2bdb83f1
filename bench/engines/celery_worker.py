"""`celery worker` with prefork or with supervise's pool, and a Redis of the bench's own as its broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import procfs
from bench.case import EngineSpec, Place

START_SECONDS = 30
STOP_SECONDS = 20
STEP_SECONDS = 0.005


class Redis:
    """Debian's, on a Unix socket; it writes nothing to the disk."""

    def __init__(self, place: Place) -> None:
        self.socket = f"{place.folder}/redis.sock"
        arguments = ["--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no"]
        with open(f"{place.folder}/redis.log", "wb") as log:
            self._process = subprocess.Popen(
                ["redis-server", *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not os.path.exists(self.socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server does not start, see {place.folder}/redis.log")
            time.sleep(STEP_SECONDS)

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket}"

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS)


class CeleryWorker:
    """One `celery worker`: its main process, which is the front, and what that has started. The client is
    this process. `options` go to the command line, `environment` to the application."""

    def __init__(
        self, spec: EngineSpec, place: Place, redis: Redis, *options: str, **environment: str
    ) -> None:
        self.spec = spec
        self._redis = redis
        self._log = Path(place.folder, "celery.log")
        # The client has the same settings.
        os.environ.update(environment, BENCH_REDIS=redis.url, BENCH_REDIS_SOCKET=redis.socket)
        self.tasks = import_module("celery_app")
        self.app: Any = self.tasks.app
        argv = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-Q", "celery"]
        argv += ["-c", str(spec.workers), *options]
        if spec.max_tasks:
            argv += ["--max-tasks-per-child", str(spec.max_tasks)]
        with open(self._log, "wb") as log:
            self._front = subprocess.Popen(
                [*argv, *self._pool_options()],
                env={**os.environ, **self._pool_environment(place)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _pool_options(self) -> list[str]:
        return ["-P", "custom"] if self.spec.ours else ["-P", "prefork"]

    def _pool_environment(self, place: Place) -> dict[str, str]:
        if not self.spec.ours:
            return {}
        # No jitter: prefork has none either.
        settings: dict[str, Any] = {"pool": {"recycle": {"max_tasks_jitter": 0}}}
        if place.cgroup_root:
            settings["supervisor"] = {"cgroup_root": place.cgroup_root}
        return {
            "CELERY_CUSTOM_WORKER_POOL": "supervise.celery:TaskPool",
            "SUPERVISE_BIN": place.program,
            "BENCH_SUPERVISE": json.dumps(settings),
        }

    @property
    def pid(self) -> int:
        return self._front.pid

    def wait_ready(self) -> None:
        self._until(lambda: bool(self.app.control.ping(timeout=0.1)), "is not ready")

    def warm_up(self) -> None:
        """Every worker is there and has had tasks; those count for max_tasks."""
        for result in [self.tasks.whoami.delay() for _ in range(self.spec.workers * 6)]:
            result.get(timeout=START_SECONDS)

    def pids_of_workers(self) -> set[int]:
        answers = self.app.control.inspect(timeout=2).stats() or {}
        return {pid for stats in answers.values() for pid in stats["pool"]["processes"]}

    def daemon(self) -> int:
        """The pid of the supervise beneath it; 0 with prefork."""
        for pid in procfs.descendants(self.pid):
            if "--lifeline" in procfs.command(pid):
                return pid
        return 0

    def all_processes(self) -> list[int]:
        return [self.pid, *procfs.descendants(self.pid)]

    # --- a queue that is full before the worker looks at it

    def fill_queue(self, task: Any, count: int) -> None:
        """So many tasks, with one before and as many after them as there are workers that say when they
        run."""
        self._broker().delete(self.tasks.STAMPS)
        with self.app.producer_or_acquire() as producer:
            self.tasks.stamp.apply_async(producer=producer)
            for number in range(count):
                task.apply_async((number,), producer=producer)
            for _ in range(self.spec.workers):
                self.tasks.stamp.apply_async(producer=producer)

    def drain_queue(self, seconds: float) -> float:
        """Lets the worker at the queue. Returns the seconds from the start of its first task to that of its
        last."""
        stamps = 1 + self.spec.workers
        self.app.control.add_consumer("bench", reply=True, timeout=5)
        broker, name = self._broker(), self.tasks.STAMPS
        self._until(lambda: broker.llen(name) == stamps, "does not empty its queue", seconds)
        times = [float(text) for text in broker.lrange(name, 0, -1)]
        self.app.control.cancel_consumer("bench", reply=True, timeout=5)
        return max(times) - min(times)

    def tasks_begun(self) -> int:
        """Since its start, by the front's own count."""
        answers = self.app.control.inspect(timeout=2).stats() or {}
        return sum(count for stats in answers.values() for count in stats["total"].values())

    def _broker(self) -> Any:
        import redis

        return redis.Redis(unix_socket_path=self._redis.socket)

    def _until(self, condition: Any, failure: str, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._front.poll() is not None:
                raise RuntimeError(f"celery worker ended with {self._front.returncode}: {self._last_words()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"celery worker {failure} within {seconds:.0f} s: {self._last_words()}")
            time.sleep(STEP_SECONDS)

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-1500:].strip()

    def close(self) -> None:
        self.app.close()
        if self._front.poll() is None:
            self._front.terminate()
        try:
            self._front.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._front.kill()
            self._front.wait()
            raise RuntimeError(f"celery worker did not end: {self._last_words()}") from None
