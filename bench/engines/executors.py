"""concurrent.futures.ProcessPoolExecutor, and the two that are much like it: loky and pebble."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from bench.case import EngineSpec, Place
from bench.engines.base import Engine, Task, initializer, preload_by_fork, preload_modules


class FutureEngine(Engine):
    """What gives a future for each job."""

    def _submit(self, task: Task, number: int) -> Future[int]:
        raise NotImplementedError

    def submit_all(self, task: Task, numbers: Iterable[int]) -> list[int]:
        futures = [self._submit(task, number) for number in numbers]
        return [future.result() for future in futures]

    def call(self, task: Task, number: int) -> int:
        return self._submit(task, number).result()

    def submit(self, task: Task, number: int, then: Callable[[bool], None]) -> None:
        future = self._submit(task, number)
        future.add_done_callback(lambda done: then(not done.cancelled() and done.exception() is None))


class Executor(FutureEngine):
    _executor: Any

    def _submit(self, task: Task, number: int) -> Future[int]:
        future: Future[int] = self._executor.submit(task, number)
        return future

    def map(self, task: Task, numbers: Iterable[int]) -> Iterator[int]:
        results: Iterator[int] = self._executor.map(task, numbers)
        return results

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


class StandardExecutor(Executor):
    def __init__(self, spec: EngineSpec, place: Place) -> None:
        super().__init__(spec, place)
        recycling: dict[str, Any] = {"max_tasks_per_child": spec.max_tasks} if spec.max_tasks else {}
        self._executor = ProcessPoolExecutor(spec.workers, _context(spec), **initializer(spec), **recycling)


class Loky(Executor):
    """Its workers are started as it likes best: a fresh interpreter each."""

    def __init__(self, spec: EngineSpec, place: Place) -> None:
        super().__init__(spec, place)
        loky = importlib.import_module("loky")
        self._executor = loky.ProcessPoolExecutor(spec.workers, **initializer(spec))

    def close(self) -> None:
        self._executor.shutdown(wait=True, kill_workers=True)


class Pebble(FutureEngine):
    def __init__(self, spec: EngineSpec, place: Place) -> None:
        super().__init__(spec, place)
        pebble = importlib.import_module("pebble")
        self._pool: Any = pebble.ProcessPool(
            spec.workers, max_tasks=spec.max_tasks, context=_context(spec), **initializer(spec)
        )

    def _submit(self, task: Task, number: int) -> Future[int]:
        future: Future[int] = self._pool.schedule(task, args=(number,))
        return future

    def map(self, task: Task, numbers: Iterable[int]) -> Iterator[int]:
        results: Iterator[int] = self._pool.map(task, numbers, chunksize=1).result()
        return results

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()


def _context(spec: EngineSpec) -> Any:
    preload_by_fork(spec)
    context = multiprocessing.get_context(spec.method)
    if spec.method == "forkserver":
        context.set_forkserver_preload(preload_modules(spec))
    return context
