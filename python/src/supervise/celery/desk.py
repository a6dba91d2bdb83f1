"""Which of the front's tasks is where, and what each of supervise's frames means for it.

Frames come in through read(), in the hub's thread or in the pool's own. Celery's callbacks are
called from there, without the lock: they come back with the next task, or with a revocation.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Callable, Optional

from supervise import _frames as frames
from supervise import _messages as messages
from supervise.celery import answer, errors, payload, wire
from supervise.celery.connection import Connection, Gone, Incoming
from supervise.celery.jobs import Job, milliseconds
from supervise.celery.losses import Losses

_LATER = ("queue_full", "stopping", "degraded")  # refusals that may be otherwise a moment later
_DEATHS = ("exit", "signal", "unknown")
_COUNTED = (*_DEATHS, "oom_worker", "oom_host", "memory_hard_limit")
_SIGKILL = 9
_TAGS = 2**32
_TURN_SECONDS = 0.5  # a thread that has waited so long for the other's turn looks around again
_FRAMES_A_TURN = 64  # then the hub has its turn


class Desk:
    """`size`: tasks that supervise has at a time, as many as there are workers; more wait here.
    `release` is called once for each task that ends. `requeues` tells of a task's name whether its
    message goes back to the queue when its worker is lost."""

    def __init__(
        self,
        size: int,
        losses: Losses,
        release: Callable[[], object],
        requeues: Callable[[str], bool],
    ) -> None:
        self.refused = ""  # why supervise takes nothing for the moment
        self.closed = False
        self.pool_size = 0  # tasks that supervise runs at a time, as soon as it has said so
        self.resized: Callable[[], object] = lambda: None
        self._cancelling = False
        self._size = size
        self._losses = losses
        self._release = release
        self._requeues = requeues
        self._lock = threading.RLock()  # a signal handler may come back in the middle of anything
        self._reading = threading.RLock()
        self._connection: Optional[Connection] = None
        self._welcome: Optional[messages.Welcome] = None
        self._waiting: deque[Job] = deque()
        self._sent: dict[int, Job] = {}  # by tag: neither accepted nor refused yet
        self._open: dict[int, Job] = {}  # by supervise's number
        self._next_tag = 1
        self._interrupted: Optional[Incoming] = None

    # --- what the pool asks

    @property
    def welcome(self) -> Optional[messages.Welcome]:
        return self._welcome

    @property
    def busy(self) -> int:
        """Tasks that supervise has."""
        return len(self._sent) + len(self._open)

    @property
    def has_unanswered(self) -> bool:
        """Whether supervise has not said yet of each task that it has it; only then it can be cancelled."""
        return bool(self._sent)

    def job_of(self, pid: int) -> Optional[Job]:
        with self._lock:
            return next((job for job in self._open.values() if job.pid == pid), None)

    def keys(self) -> dict[int, str]:
        """Celery's ids of the tasks that supervise has, by its own numbers."""
        with self._lock:
            return {number: job.key for number, job in self._open.items()}

    def held(self) -> list[str]:
        """Celery's ids of the tasks that supervise has been sent."""
        with self._lock:
            return [job.key for job in [*self._sent.values(), *self._open.values()]]

    def submit(self, job: Job) -> None:
        with self._lock:
            job.waits = bool(self._waiting) or not self._has_room()
            self._waiting.append(job)
        self.pump()

    def _has_room(self) -> bool:
        return self._welcome is not None and not self.refused and self.busy < self._size

    def terminate(self, job: Job, signal: int) -> None:
        """Sends the signal to the worker that has it. A task that has not begun does not begin."""
        with self._lock:
            job.signal = signal
            if job in self._waiting:
                self._waiting.remove(job)
            else:
                if job.id and self._connection is not None:
                    self._connection.send(wire.signal_frame(job.id, signal))
                return
        self._end_terminated(job)

    def drop_unbegun(self, for_good: bool = False) -> None:
        """The broker delivers them again; supervise is to forget them. One that begins all the same
        goes on, or is killed where it is `for_good`."""
        with self._lock:
            self._waiting.clear()
            self._cancelling = self._cancelling or for_good
            for job in [*self._sent.values(), *self._open.values()]:
                if not job.begun:
                    job.dropped = True
                    self._cancel(job, terminate=for_good)

    def recall(self) -> bool:
        """Takes back what has expired or was revoked before it began. False: all has begun."""
        with self._lock:
            unbegun = [job for job in [*self._sent.values(), *self._open.values()] if not job.begun]
            for job in unbegun:
                if job.id and not job.recalled and not job.dropped and job.is_unwanted():
                    job.recalled = True
                    self._cancel(job)
            return bool(unbegun or self._waiting)

    def close(self) -> None:
        """No more tasks; what waits here is left to the broker."""
        with self._lock:
            self.closed = True
            self._waiting.clear()

    def resize(self, size: int) -> None:
        with self._lock:
            self._size = size
        self.pump()

    def ask_again(self) -> None:
        """After a refusal."""
        self.refused = ""
        self.pump()

    def cancel_all(self) -> None:
        """Kills the workers of what runs; nothing is told of it."""
        self.close()
        with self._lock:
            self._cancelling = True
            for job in [*self._sent.values(), *self._open.values()]:
                job.dropped = True
                self._cancel(job, terminate=True)

    def pump(self) -> None:
        """Sends what waits, as far as there is room."""
        while True:
            with self._lock:
                if not self._waiting or not self._has_room():
                    return
                job = self._waiting.popleft()
            if job.waits and job.is_revoked():
                self._release()
                continue
            try:
                self._send(job)
            except Exception as error:  # no descriptor, no memory, or a message that cannot be pickled
                self._release()
                job.tell_error(errors.einfo(error))

    def _send(self, job: Job) -> None:
        assert job.call is not None
        descriptor = payload.pack_call(job.call)
        with self._lock:
            if self._connection is None:
                os.close(descriptor)
                self._waiting.appendleft(job)
                return
            job.recalled, job.waits = False, True  # where it comes back, it has waited
            job.tag = self._next_tag
            self._next_tag = self._next_tag % (_TAGS - 1) + 1
            frame = frames.call(
                job.tag,
                wire.text(job.task),
                wire.text(job.key),
                soft_time_limit_ms=milliseconds(job.soft_limit),
                time_limit_ms=milliseconds(job.limit),
            )
            self._sent[job.tag] = job
            self._connection.send(frame, descriptor)

    def _cancel(self, job: Job, terminate: bool = False) -> None:
        if job.id and self._connection is not None:
            self._connection.send(frames.cancel(job.id, terminate))

    # --- the connection

    def connect(self, connection: Connection) -> None:
        with self._lock:
            self._connection = connection
            self._welcome = None
            self.refused = ""

    def flush(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.flush()

    def lose(self, reason: str) -> None:
        """The connection is over. What had begun is lost; the rest waits for the next one."""
        with self._lock:
            if self._connection is None:
                return
            self._connection.close()
            self._connection = None
            self._welcome = None
            jobs = [*self._open.values(), *self._sent.values()]
            self._open.clear()
            self._sent.clear()
            unbegun = [job for job in jobs if not job.begun and not job.dropped and job.signal is None]
            for job in unbegun:
                job.tag = job.id = 0
            if not self.closed:
                self._waiting.extendleft(reversed(unbegun))
        for job in jobs:
            if job.dropped:
                continue
            if job.signal is not None:
                self._end_terminated(job)
            elif job.begun:
                self._end_lost(job, "unknown", reason)

    def read(self) -> None:
        """Takes in what has come, in its order, also where two threads read. Gone: lose() is due."""
        if not self._reading.acquire(timeout=_TURN_SECONDS):
            return
        try:
            self._read()
        finally:
            self._reading.release()

    def _read(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            with self._lock:
                incoming = self._interrupted
                if incoming is None and self._connection is not None:
                    incoming = self._connection.receive()
                if incoming is None:
                    return
                # A signal's handler that drains may come back before this is dealt with; twice is fine.
                self._interrupted = incoming if isinstance(incoming.message, messages.Accepted) else None
            try:
                self._take(incoming)
            finally:
                self._interrupted = None
                if incoming.descriptor is not None:
                    os.close(incoming.descriptor)

    def _take(self, incoming: Incoming) -> None:
        message = incoming.message
        if isinstance(message, messages.Begun):
            self._begun(message)
        elif isinstance(message, messages.Result):
            for entry in message.entries:
                self._result(entry, incoming.descriptor)
        elif isinstance(message, messages.Accepted):
            self._accepted(message)
        elif isinstance(message, messages.Soft):
            self._soft(message)
        elif isinstance(message, messages.Refused):
            self._refused(message)
        elif isinstance(message, messages.Welcome):
            self._welcome = message
            self.pump()
        elif isinstance(message, messages.Size):
            self.pool_size = message.workers
            self.resized()
        elif isinstance(message, messages.Ping):
            with self._lock:
                if self._connection is not None:
                    self._connection.send(frames.pong(message.token))
        elif isinstance(message, messages.Close):
            raise Gone(f"supervise closed the connection: {message.reason} ({message.message})")
        else:
            raise Gone(f"supervise sent a {type(message).__name__}, which is not for a front")

    # --- frames

    def _accepted(self, message: messages.Accepted) -> None:
        with self._lock:
            job = self._sent.get(message.first_tag)
            if job is None:
                return
            job.id = message.first_id
            self._open[job.id] = job
            self._sent.pop(message.first_tag, None)
            if job.dropped:
                self._cancel(job, terminate=self._cancelling)
            elif job.signal is not None and self._connection is not None:
                self._connection.send(wire.signal_frame(job.id, job.signal))

    def _refused(self, message: messages.Refused) -> None:
        with self._lock:
            job = self._sent.pop(message.first_tag, None)
            if job is None or job.dropped:
                return
            if message.reason in _LATER and job.signal is None:
                job.tag = 0
                if not self.closed:
                    self._waiting.appendleft(job)
                    self.refused = message.message or message.reason
                return
        self._release()
        if message.reason == "unknown_task":
            error: Exception = errors.not_registered(job.task, message.message)
        else:
            error = errors.PoolError(f"supervise refused the task: {message.reason} ({message.message})")
        job.tell_error(errors.einfo(error))

    def _begun(self, message: messages.Begun) -> None:
        job = self._open.get(message.id)
        if job is None or job.begun or self._cancelling:
            return
        job.pid = message.pid
        job.call = None
        job.dropped = False  # too late for that
        job.tell_begun(message.time_ns / 1e9)

    def _soft(self, message: messages.Soft) -> None:
        job = self._open.get(message.id)
        if job is not None and not job.dropped:
            job.tell_timeout(soft=True)

    def _result(self, entry: messages.Entry, descriptor: Optional[int]) -> None:
        with self._lock:
            job = self._open.pop(entry.id, None)
        if job is None:
            return
        if job.dropped:
            self.pump()
        elif isinstance(entry.report, messages.Lost):
            self._lost(job, entry.report)
        else:
            self._answered(job, entry.report, descriptor)

    def _answered(self, job: Job, report: messages.Report, descriptor: Optional[int]) -> None:
        try:
            result, error = answer.read(report, descriptor)
        except Exception as unreadable:  # an exception whose class cannot be imported here, say
            result, error = None, errors.einfo(unreadable)
        self._losses.forget(job.key)
        # First the room for the next task, as prefork: its worker is free already.
        self._release()
        self.pump()
        if result is not None:
            job.tell_result(result)
        else:
            job.tell_error(error)

    def _lost(self, job: Job, report: messages.Lost) -> None:
        cause, detail = report
        if cause == "revoked" and job.recalled and job.is_revoked():
            self._end()
        elif cause == "revoked" or (job.signal is not None and cause in _DEATHS):
            self._end_terminated(job)
        elif cause == "time_limit" and job.limit is not None:
            job.tell_error(errors.einfo(errors.too_late(job.limit)))
            job.tell_timeout(soft=False)
            self._end()
        elif cause == "shutdown" and not job.begun:
            with self._lock:
                job.tag = job.id = 0
                if not self.closed:
                    self._waiting.appendleft(job)
                    self.refused = detail or "supervise is stopping"
        else:
            self._end_lost(job, cause, detail)

    # --- a task's end that is none of its own

    def _end_terminated(self, job: Job) -> None:
        job.tell_error(errors.einfo(errors.terminated(job.signal or _SIGKILL)))
        self._end()

    def _end_lost(self, job: Job, cause: str, detail: str) -> None:
        error: BaseException = errors.lost(job.number, f"{job.task}[{job.key}]", cause, detail)
        if cause in _COUNTED:
            count = self._losses.add(job.key)
            if self._losses.is_too_many(count) and self._requeues(job.task):
                self._losses.forget(job.key)
                error = errors.kills_workers(job.task, count, error)
        job.tell_error(errors.einfo(error))
        self._end()

    def _end(self) -> None:
        self._release()
        self.pump()
