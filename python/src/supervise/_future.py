"""A submitted job as its client sees it. After concurrent.futures.Future, and much lighter."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Callable, Optional

from supervise._errors import JobLost, JobRefused, PoolGone, SuperviseError
from supervise._ids import Id
from supervise._session import ACCEPTED, DONE, LOST, NEVER, WAITING, Entry
from supervise._timeout import WaitTimeout

if TYPE_CHECKING:
    from supervise._connection import Connection

_NAMES = ("waiting", "accepted", "done", "failed", "lost", "dead", "refused", "gone")


class JobFuture(Entry):
    """Made by Client.submit(). Its job goes on whatever becomes of the future."""

    __slots__ = ("_connection", "_gates", "_hooks")

    def __init__(self, connection: Connection) -> None:
        # Entry's fields, here: one call fewer for each job.
        self.state = WAITING
        self.job = 0
        self.attempts = 0
        self.error = None
        self.wanted = NEVER
        self._connection = connection
        self._gates: Optional[list[threading.Lock]] = None
        self._hooks: Optional[list[Callable[[JobFuture], object]]] = None

    @property
    def job_id(self) -> int:
        """The supervisor's number for the job; waits until it is accepted. Raises JobRefused."""
        timeout = self._connection.timeout
        if self.state < ACCEPTED and not self._connection.wait(self, ACCEPTED, timeout):
            raise WaitTimeout(
                f"the job was not accepted within {timeout:g} s; the supervisor is stopped or busy"
            )
        if not self.job:
            assert self.error is not None
            raise self.error.with_traceback(None)
        return self.job

    def done(self) -> bool:
        """Whether result() returns, or raises, at once."""
        return self.state >= DONE

    def result(self, timeout: Optional[float] = None) -> Optional[Id]:
        """What the task returned. Raises JobFailed, JobLost, JobRefused, PoolGone or WaitTimeout.

        WaitTimeout is a TimeoutError; the job goes on, and result() may be called again.
        """
        value, error = self._outcome(timeout)
        if error is not None:
            raise error.with_traceback(None)
        return value

    def exception(self, timeout: Optional[float] = None) -> Optional[SuperviseError]:
        """What result() would raise, or None. Raises WaitTimeout itself."""
        return self._outcome(timeout)[1]

    def cancel(self, terminate: bool = False) -> bool:
        """Takes the job out of the queue, where it then ends as JobLost("revoked").

        A job that is running goes on, unless `terminate`: then its worker is killed. Returns False
        when the job has ended already; True says that the supervisor is asked, not that it was in
        time.
        """
        if self.state < DONE:
            try:
                self.job_id  # noqa: B018 - waits
            except (JobRefused, PoolGone):
                return False
        if self.state >= DONE:
            return False
        self._connection.cancel(self, terminate)
        return True

    def cancelled(self) -> bool:
        """Whether the job was cancelled before it came to an end of its own."""
        if self.state != LOST:
            return False
        error = self.outcome()[1]
        return isinstance(error, JobLost) and error.cause == "revoked"

    def add_done_callback(self, callback: Callable[[JobFuture], object]) -> None:
        """Calls callback(future) in a thread of the client's when the job has ended.

        At once, in this thread, if it has already. What it raises is logged ("supervise").
        """
        connection = self._connection
        with connection.lock:
            if self.state < DONE:
                connection.start_callbacks()
                self.add_hook(lambda future: connection.call_back(partial(callback, future)))
                return
        callback(self)

    def __repr__(self) -> str:
        label = f"job {self.job}" if self.job else "job"
        return f"<JobFuture {label}: {_NAMES[self.state]}>"

    def _outcome(self, timeout: Optional[float]) -> tuple[Optional[Id], Optional[SuperviseError]]:
        if self.state < DONE and not self._connection.wait(self, DONE, timeout):
            raise WaitTimeout(f"the job has not ended within {timeout:g} s; it goes on")
        return self.outcome()

    # --- for the connection, with its lock held

    def gate(self) -> threading.Lock:
        """A lock that is released at the next change."""
        gate = threading.Lock()
        gate.acquire()
        if self._gates is None:
            self._gates = []
        self._gates.append(gate)
        self.wanted = ACCEPTED
        return gate

    def drop(self, gate: threading.Lock) -> None:
        if self._gates is not None and gate in self._gates:
            self._gates.remove(gate)

    def add_hook(self, hook: Callable[[JobFuture], object]) -> None:
        """`hook` is called in the reader when the job has ended; it must not wait for anything."""
        if self._hooks is None:
            self._hooks = []
        self._hooks.append(hook)
        self.wanted = min(self.wanted, DONE)

    def changed(self) -> None:
        gates, self._gates = self._gates, None
        for gate in gates or ():
            gate.release()
        if self.state >= DONE:
            hooks, self._hooks = self._hooks, None
            for hook in hooks or ():
                hook(self)
