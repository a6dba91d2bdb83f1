"""The worker: one process that runs one job at a time, as ipc/PROTOCOL.md says.

Spawned by the supervisor, with the channel to it as descriptor 3, or forked by a template. The
loop is serve().
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import socket
from typing import Callable, Union

from supervise import _decode, _failure, _hooks, _ids, _output, _signals, _start, _task
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._current import NEVER, state

Tasks = dict[bytes, Callable[..., object]]

_set_mark = frames.MARK.pack_into
_pack_none = frames.DONE_NONE.pack


class Worker:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._stopping = False
        self._mark: Union[bytearray, mmap.mmap] = bytearray(16)  # what the supervisor sees of it

    def run(self, app: str) -> int:
        """The whole life of a spawned worker; returns the exit code."""
        return _start.exit_code_of(lambda: self._live(app))

    def run_forked(self, tasks: Tasks) -> int:
        """The life of a worker that a template has forked; returns the exit code."""
        return _start.exit_code_of(lambda: self._live_forked(tasks))

    # --- before the first job

    def _live(self, app: str) -> None:
        _signals.before_import()
        os.register_at_fork(after_in_child=self._after_fork)
        for descriptor in _start.greet(self._channel, frames.WORKER):
            self.take_mark(descriptor)
            os.close(descriptor)
        _start.import_app(self._channel, app)
        _start.run_hooks(self._channel, _hooks.before, "before_fork")
        _start.run_hooks(self._channel, _hooks.after, "after_fork")
        _signals.of_worker(self._on_term)
        _start.announce(self._channel, [])
        self.serve(offered_tasks())

    def _live_forked(self, tasks: Tasks) -> None:
        os.register_at_fork(after_in_child=self._after_fork)
        _start.run_hooks(self._channel, _hooks.after, "after_fork")
        _signals.of_worker(self._on_term)
        _output.flush()
        self._channel.send(frames.frame(frames.READY))
        self.serve(tasks)

    def take_mark(self, descriptor: int) -> None:
        """The 16 bytes by which the supervisor knows which job has begun."""
        self._mark = mmap.mmap(descriptor, 16)

    # --- jobs

    def serve(self, tasks: Tasks) -> None:
        """The main loop. Reads the next frame only when the jobs of the one before are done."""
        recv, run = self._channel.recv, self._run
        unpack_head, head_size = frames.JOB_HEAD.unpack_from, frames.JOB_HEAD.size
        decode_args, job_type = _ids.decode_args, frames.JOB
        while not self._stopping:
            frame = recv(1025)
            if len(frame) < head_size or frame[1] != job_type:
                if not frame:
                    return
                if frame[1:2] == frames.JOBS_TYPE:
                    self._run_batch(frame, tasks)
                else:
                    self._control(frame)
                continue
            magic, _, size, count, flags, reserved, job, attempt, soft, hard, length = unpack_head(frame)
            args_at = head_size + length
            name = frame[head_size:args_at]
            function = tasks.get(name)
            if (
                magic != 0x53
                or size != len(frame)
                or size > 1024
                or count
                or flags
                or reserved
                or not attempt
                or function is None
            ):
                self._refuse(frame)
                continue
            try:
                ids = decode_args(frame, args_at)
            except ValueError as error:
                raise messages.BadFrame(str(error)) from None
            run(function, name, ids, job, attempt, soft, hard)

    def _run_batch(self, frame: bytes, tasks: Tasks) -> None:
        """Jobs without limits. Each is answered when it ends, so that a result never waits for
        another job, and the supervisor knows which were done if this process dies."""
        name, jobs = _decode.jobs_of(frame)
        function = tasks.get(name)
        for job, attempt, ids in jobs:
            if self._stopping:
                return  # the supervisor gives them to another worker
            if function is None:
                self._channel.send(frames.done(job, self._no_such_task(name.decode())))
            else:
                self._run(function, name, ids, job, attempt, 0, 0)

    def _run(
        self,
        function: Callable[..., object],
        name: bytes,
        ids: tuple[_ids.Id, ...],
        job: int,
        attempt: int,
        soft: int,
        hard: int,
    ) -> None:
        current = state
        current.task = name
        current.head = (job, attempt, hard)
        try:
            # The inner try keeps a soft limit that strikes between the function's return and
            # the disarming within the job: it is then the job's failure, not the loop's.
            try:
                current.soft_deadline_ns = soft or NEVER
                _set_mark(self._mark, 0, job, attempt)
                value = function(*ids)
            finally:
                current.soft_deadline_ns = 0
            report = None if value is None else b"\x01" + _ids.encode_id(value)
        except BaseException as error:
            report = _failure.report(error)
        value = None  # it may be large, and the wait for the next job long
        current.head = None
        _output.flush()
        if report is None:
            self._channel.send(_pack_none(0x53, 7, 18, 0, 0, 0, job, 1, 0))
        else:
            self._channel.send(frames.done(job, report))

    def _refuse(self, frame: bytes) -> None:
        """A JOB that is malformed, carries a descriptor, or names a task that is not here."""
        message = _decode.decode(frame)
        assert isinstance(message, messages.JobFrame)
        if message.descriptor:
            reason = "the job carries a payload, which a worker of this kind does not take"
            report = frames.failed_report("LookupError", reason, "")
        else:
            report = self._no_such_task(message.task)
        self._channel.send(frames.done(message.id, report))

    def _no_such_task(self, name: str) -> bytes:
        return frames.failed_report("LookupError", f"this worker has no task {name!r}", "")

    def _control(self, frame: bytes) -> None:
        message = _decode.decode(frame)
        if isinstance(message, messages.Ping):
            self._channel.send(frames.pong(message.token))
        elif isinstance(message, messages.Trim):
            self._channel.send(frames.trimmed(trim()))
        elif isinstance(message, messages.Retire):
            raise _start.End(0)
        elif isinstance(message, messages.Close):
            raise _start.End(_start.EXIT_PROTOCOL, f"the supervisor closed the channel: {message.message}")
        else:
            raise messages.BadFrame(f"a {type(message).__name__}, which is not for a worker")

    # --- signals and forks

    def _on_term(self, signal_number: int, frame: object) -> None:
        """Finish the job, then go. Ending our reading side wakes a recv that waits."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RD)

    def _after_fork(self) -> None:
        """In a process that a job forked: it must not speak for the worker."""
        state.soft_deadline_ns = 0
        self._channel.close()
        _signals.of_a_jobs_child(self._on_term)


def offered_tasks() -> Tasks:
    return {name.encode(): task.function for name, task in _task.registry.items()}


def trim() -> int:
    """Gives freed memory back to the system; returns how many objects the collector found."""
    collected = gc.collect()
    with contextlib.suppress(ImportError, OSError, AttributeError):  # no ctypes, or not glibc
        import ctypes

        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    return collected
