"""multiprocessing.Pool, and billiard's, which began as a copy of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.case import EngineSpec, Place
from bench.engines.base import Engine, Task, initializer, preload_by_fork, preload_modules


class MultiprocessingPool(Engine):
    module = "multiprocessing"

    def __init__(self, spec: EngineSpec, place: Place) -> None:
        super().__init__(spec, place)
        preload_by_fork(spec)
        context = importlib.import_module(self.module).get_context(spec.method)
        if spec.method == "forkserver":
            context.set_forkserver_preload(preload_modules(spec))
        self._pool: Any = context.Pool(
            spec.workers, maxtasksperchild=spec.max_tasks or None, **initializer(spec)
        )

    def submit_all(self, task: Task, numbers: Iterable[int]) -> list[int]:
        results = [self._pool.apply_async(task, (number,)) for number in numbers]
        return [result.get() for result in results]

    def map(self, task: Task, numbers: Iterable[int]) -> Iterator[int]:
        results: Iterator[int] = self._pool.imap(task, numbers)
        return results

    def call(self, task: Task, number: int) -> int:
        result: int = self._pool.apply_async(task, (number,)).get()
        return result

    def submit(self, task: Task, number: int, then: Callable[[bool], None]) -> None:
        self._pool.apply_async(
            task, (number,), callback=lambda _: then(True), error_callback=lambda _: then(False)
        )

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


class BilliardPool(MultiprocessingPool):
    module = "billiard"
