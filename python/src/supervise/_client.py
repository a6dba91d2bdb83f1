"""The blocking client: any thread submits, one thread reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Optional, Union

from supervise import _address, _forks, _ids, _map
from supervise._bodies import Bodies, Task
from supervise._connection import Connection
from supervise._errors import PoolGone, SuperviseError
from supervise._future import JobFuture
from supervise._ids import Id
from supervise._timeout import WaitTimeout


class Client:
    """A connection to one pool. Thread-safe; a forked child gets a connection of its own.

    pool: its name in the supervisor's config. runtime_dir: the supervisor's; without it
    $SUPERVISE_RUNTIME_DIR, then the usual places. timeout: seconds for connecting (which waits for
    the pool's first worker), and for whatever else waits for the supervisor itself.

    When the connection is lost, open futures raise PoolGone, and the next submit() connects anew.
    """

    def __init__(self, pool: str, *, runtime_dir: Optional[str] = None, timeout: float = 30) -> None:
        self.pool = pool
        self._runtime_dir = runtime_dir
        self._timeout = timeout
        self._closed = False
        self._bodies = Bodies()
        self._connecting = threading.Lock()
        self._connection: Optional[Connection] = None
        self._connect()
        _forks.watch(self)

    def submit(self, task: Task, *ids: Id, priority: int = 0) -> JobFuture:
        """Sends one job and returns at once. priority: 0 to 9, 9 goes first.

        Raises NotAnId or TooLarge for what cannot be sent. What the supervisor refuses
        (JobRefused: an unknown task, a full queue) is raised by the future.
        """
        try:
            body, most_args = self._bodies[task, priority]
        except (KeyError, TypeError):
            body, most_args = self._bodies.make(task, priority)
        args = _ids.encode_args(ids, most_args)
        connection = self._connection
        if connection is None or connection.error is not None:
            connection = self._connect()
        future = JobFuture(connection)
        connection.submit(body, args, future)
        return future

    def map(
        self,
        task: Task,
        ids: Iterable[_map.Item],
        *,
        priority: int = 0,
        timeout: Optional[float] = None,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> Iterator[Union[Id, SuperviseError, None]]:
        """Runs the task for each item (an ID, or a tuple of IDs) and gives the results.

        Nothing is sent before the first result is asked for. At most 2,000 jobs are open at a time,
        many in one frame; a full queue is waited for. ordered=False gives results as they come.
        The first error is raised and ends the map (jobs that were sent go on), unless
        return_exceptions: then errors are given in the results' place. timeout: seconds for all.
        """
        body, most_args = self._bodies.make(task, priority)
        deadline = None if timeout is None else time.monotonic() + timeout
        calls = _map.encode_items(ids, most_args)
        return self._run_map(body, calls, deadline, timeout, ordered, return_exceptions)

    def _run_map(
        self,
        body: bytes,
        calls: Iterator[bytes],
        deadline: Optional[float],
        timeout: Optional[float],
        ordered: bool,
        return_exceptions: bool,
    ) -> Iterator[Union[Id, SuperviseError, None]]:
        connection = self._connect()
        window = _map.MapWindow(calls, connection.limit, ordered)
        progress = threading.Event()
        while True:
            ends = window.ends
            sent = False
            while some := window.calls():
                connection.submit_all(body, some)
                sent = True
            if sent:
                connection.push()
            while (ready := window.ready()) is not None:
                value, error = ready.outcome()
                if error is None:
                    yield value
                elif return_exceptions:
                    yield error
                else:
                    raise error
            if window.over:
                return
            progress.clear()
            window.wake = progress.set
            rest = None if deadline is None else min(deadline - time.monotonic(), threading.TIMEOUT_MAX)
            if window.ends != ends and (rest is None or rest > 0):
                continue
            if window.waiting:
                if not progress.wait(rest):
                    raise WaitTimeout(f"the map has not ended within {timeout:g} s; its open jobs go on")
            else:
                pause = window.next_pause()
                if rest is not None and pause >= rest:
                    raise WaitTimeout(f"the map has not ended within {timeout:g} s: queue_full")
                time.sleep(pause)

    def close(self) -> None:
        """Waits until all that was submitted is accepted or refused, and disconnects.

        Does not wait for results: jobs go on, and futures that are still open raise PoolGone.
        """
        self._closed = True
        with self._connecting:
            connection = self._connection
        if connection is not None:
            connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Futures may outlive their client: the connection ends with the last of them.
        connection = getattr(self, "_connection", None)
        if connection is not None and connection.error is None:
            connection.abandoned = True
            if connection.idle:
                connection.hang_up()

    def __repr__(self) -> str:
        return f"<supervise.Client of pool {self.pool!r}>"

    def _connect(self) -> Connection:
        """The connection, a new one if there is none that works."""
        with self._connecting:
            connection = self._connection
            if self._closed:
                raise PoolGone("closed", f"the client of pool {self.pool!r} is closed")
            if connection is None or connection.error is not None:
                path = _address.find(self.pool, self._runtime_dir)
                connection = self._connection = Connection(self.pool, path, self._timeout)
            return connection

    def after_fork(self) -> None:
        self._connecting = threading.Lock()
