"""What a scenario is."""

from __future__ import annotations

import dataclasses
import threading
import time
from abc import ABC, abstractmethod
from typing import ClassVar

from bench import procfs
from bench.case import Case, EngineSpec
from bench.engines import Stage
from bench.engines.base import Engine, Task
from bench.results import Results
from bench.table import Table

# The peers, each as its users have it on Linux where nothing else is said.
PEERS = (
    EngineSpec("multiprocessing.Pool", "fork"),
    EngineSpec("ProcessPoolExecutor", "fork"),
    EngineSpec("loky"),
    EngineSpec("pebble", "fork"),
    EngineSpec("billiard.Pool", "fork"),
)
FLOOR = EngineSpec("floor")


@dataclasses.dataclass(frozen=True)
class Features:
    """What the program can do; the bench of an older one goes without."""

    template: bool
    window: bool

    def ours(self, app: str = "light", workers: int = 2, max_tasks: int = 0) -> EngineSpec:
        """supervise as it is set up by default, with the template where there is one to use."""
        return EngineSpec("supervise", app=app, workers=workers, max_tasks=max_tasks, preload=self.template)

    def ours_for_short_jobs(self) -> list[EngineSpec]:
        """The default, and with the window of several jobs a worker that is meant for short ones."""
        ours = self.ours()
        return [ours, dataclasses.replace(ours, window=16)] if self.window else [ours]


class Scenario(ABC):
    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]  # Markdown, beneath the title
    limit: ClassVar[float] = 60  # seconds after which a case is given up

    def rounds(self, wanted: int) -> int:
        return wanted

    @abstractmethod
    def cases(self, quick: bool, features: Features) -> list[Case]: ...

    @abstractmethod
    def measure(self, case: Case, stage: Stage) -> dict[str, float]:
        """Runs in a process of its own. Times in seconds, memory in MB, shares from 0 to 1."""

    @abstractmethod
    def tables(self, results: Results) -> list[Table]: ...


def warm_up(engine: Engine, task: Task) -> None:
    """Every worker is there and has had jobs. `task` takes a moment: jobs.nap10 or jobs.whoami."""
    engine.submit_all(task, range(engine.spec.workers * 6))


class Stopwatch:
    """Of a `with` block: the wall time, and the processor time of all processes of an engine and of the
    one that calls it (seconds)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.wall = 0.0
        self.cpu = 0.0
        self.caller = 0.0

    def __enter__(self) -> Stopwatch:
        # Workers that come and go in between are not seen: not for scenarios with recycling.
        self._processes = self._engine.processes()
        self._cpu = procfs.family_cpu(self._processes)
        self._own = time.process_time()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._started
        self.caller = time.process_time() - self._own
        self.cpu = procfs.family_cpu(self._processes) - self._cpu


class ClosedLoop:
    """Keeps so many jobs open, each followed by the next as soon as one has ended, for so long."""

    def __init__(self, engine: Engine, task: Task, outstanding: int) -> None:
        self._engine, self._task = engine, task
        self._free = threading.Semaphore(outstanding)
        self._outstanding = outstanding
        self._lock = threading.Lock()
        self._open = True
        self.done = 0
        self.failed = 0

    def run(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        number = 0
        while (rest := deadline - time.perf_counter()) > 0:
            if self._free.acquire(timeout=rest):
                number += 1
                self._engine.submit(self._task, number, self._ended)
        with self._lock:
            self._open = False

    def wait(self, seconds: float) -> None:
        """For what is still open, so that the engine can be closed in peace."""
        deadline = time.perf_counter() + seconds
        for _ in range(self._outstanding):
            self._free.acquire(timeout=max(0.0, deadline - time.perf_counter()))

    def _ended(self, succeeded: bool) -> None:
        with self._lock:
            if self._open:
                self.done += succeeded
                self.failed += not succeeded
        self._free.release()
