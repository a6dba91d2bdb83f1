"""The interface of concurrent.futures.Executor on a pool."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Optional, Union

from supervise._bodies import Task
from supervise._client import Client
from supervise._errors import SuperviseError
from supervise._future import JobFuture


class _Future(concurrent.futures.Future[Any]):
    """cancel() also asks the supervisor; a job that runs already ends there, unheard."""

    job: Optional[JobFuture] = None

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        if self.job is not None:
            self.job.cancel()
        return True


class Executor(concurrent.futures.Executor):
    """Runs tasks in a pool: Executor("reports"), or on a Client that its owner closes.

    submit() and map() take a function marked with @supervise.task or a task's name, and IDs.
    """

    def __init__(
        self,
        pool: Union[str, Client],
        *,
        runtime_dir: Optional[str] = None,
        timeout: float = 30,
        priority: int = 0,
    ) -> None:
        self._owned = isinstance(pool, str)
        self._client = (
            Client(pool, runtime_dir=runtime_dir, timeout=timeout) if isinstance(pool, str) else pool
        )
        self._priority = priority
        self._lock = threading.Lock()
        self._shut = False
        self._open: set[concurrent.futures.Future[Any]] = set()

    def submit(self, fn: Task, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        if kwargs:
            raise TypeError(
                f"a job takes IDs by position, not by keyword ({', '.join(kwargs)}): the worker "
                "calls task(*ids)"
            )
        future = _Future()
        self._enter([future])
        try:
            future.job = self._client.submit(fn, *args, priority=self._priority)
        except BaseException:
            self._leave(future)
            raise
        future.job.add_done_callback(lambda job: self._finish(future, job))
        return future

    def map(
        self,
        fn: Task,
        *iterables: Iterable[Any],
        timeout: Optional[float] = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """As Executor.map: takes all items in at once, and gives results in their order.

        A thread sends them, at most 2,000 open at a time. chunksize has no meaning here (frames are
        filled in any case) and is checked only.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        calls = list(zip(*iterables))
        futures = [_Future() for _ in calls]
        self._enter(futures)
        threading.Thread(
            target=self._feed, args=(fn, calls, futures), name="supervise-map", daemon=True
        ).start()
        deadline = None if timeout is None else time.monotonic() + timeout
        return _results(list(reversed(futures)), deadline)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._shut = True
            remaining = list(self._open)
        if cancel_futures:
            for future in remaining:
                if future.cancel():
                    self._leave(future)
        if wait:
            concurrent.futures.wait(remaining)
        with self._lock:
            last = not self._open
        if self._owned and (wait or last):
            self._client.close()

    def _enter(self, futures: Iterable[concurrent.futures.Future[Any]]) -> None:
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._open.update(futures)

    def _leave(self, future: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)
            last = self._shut and not self._open
        if last and self._owned:
            self._client.close()

    def _finish(self, future: _Future, job: JobFuture) -> None:
        if future.set_running_or_notify_cancel():
            error = job.exception()
            if error is None:
                future.set_result(job.result())
            else:
                future.set_exception(error)
        self._leave(future)

    def _feed(self, fn: Task, calls: list[tuple[Any, ...]], futures: list[_Future]) -> None:
        """In a thread of its own: sends the calls of one map() and hands the results out."""
        sent: deque[_Future] = deque()

        def uncancelled() -> Iterator[tuple[Any, ...]]:
            for call, future in zip(calls, futures):
                if future.set_running_or_notify_cancel():
                    sent.append(future)
                    yield call

        try:
            results = self._client.map(fn, uncancelled(), priority=self._priority, return_exceptions=True)
            for result in results:
                future = sent.popleft()
                if isinstance(result, SuperviseError):
                    future.set_exception(result)
                else:
                    future.set_result(result)
                self._leave(future)
        except BaseException as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)
        for future in futures:
            self._leave(future)


def _results(futures: list[_Future], deadline: Optional[float]) -> Iterator[Any]:
    """The results of futures that are in reverse order, each dropped once its result is given."""
    try:
        while futures:
            rest = None if deadline is None else deadline - time.monotonic()
            yield futures.pop().result(rest)
    finally:
        for future in futures:
            future.cancel()
