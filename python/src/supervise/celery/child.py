"""A worker of a pool of kind "celery": runs tasks as a child of Celery's prefork pool does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import sys
import time
import traceback
from typing import Any, NoReturn, Optional

from supervise import _frames as frames
from supervise import _hooks, _leave, _output, _signals, _start
from supervise import _messages as messages
from supervise._current import NEVER, state
from supervise._messages import TaskInfo
from supervise._worker import Tasks, Worker
from supervise.celery import answer, application, hot_frames, payload
from supervise.celery.answer import Answer
from supervise.celery.application import Loaded

_JOB_TYPE = bytes((frames.JOB,))
_DESCRIPTOR = struct.Struct("i")
_DESCRIPTOR_SPACE = socket.CMSG_SPACE(4)


class CeleryWorker(Worker):
    def __init__(self, channel: socket.socket) -> None:
        super().__init__(channel)
        self._loaded: Optional[Loaded] = None

    def run(self, app: str) -> NoReturn:
        self._end(lambda: self._live(app))

    def become_fork_of(self, loaded: Loaded, index: int) -> None:
        """Before run_forked()."""
        self._loaded = loaded
        self._index = index

    def run_forked(self, tasks: Tasks) -> NoReturn:
        self._end(lambda: self._live_forked(tasks))

    def _end(self, life: Any) -> NoReturn:
        """The worker's whole life, and the way out of it that prefork has: atexit does not run."""
        try:
            code = _start.exit_code_of(life)
        except SystemExit as exit:
            code = _exit_code(exit)
        except BaseException:
            traceback.print_exc()
            code = 1
        if self._loaded is not None:
            from celery.concurrency.prefork import process_destructor

            try:
                process_destructor(os.getpid(), code)
            except Exception:
                traceback.print_exc()
        _leave.leave_at_once(code)

    # --- before the first task

    def _live(self, app: str) -> None:
        _signals.before_import()
        os.register_at_fork(after_in_child=self._after_fork)
        welcome, descriptors = _start.greet_as(self._channel, frames.WORKER)
        for descriptor in descriptors:
            self.take_mark(descriptor)
            os.close(descriptor)
        loaded = load(self._channel, app)
        _start.run_hooks(self._channel, _hooks.before, "before_fork")
        self.become_fork_of(loaded, max(welcome.slot - 1, 0))
        self._become_child(forked=False)
        _start.announce(self._channel, [], task_infos(loaded))
        self.serve({})

    def _live_forked(self, tasks: Tasks) -> None:
        os.register_at_fork(after_in_child=self._after_fork)
        self._become_child(forked=True)
        _output.flush()
        self._channel.send(frames.frame(frames.READY))
        self.serve(tasks)

    def _become_child(self, forked: bool) -> None:
        what = "the worker could not be initialised"
        _start.attempt(self._channel, what, lambda: self._initialise(forked))
        _start.run_hooks(self._channel, _hooks.after, "after_fork")

    def _initialise(self, forked: bool) -> None:
        """What billiard and Celery do in a new child of a prefork pool, in the same order."""
        import billiard.process
        import billiard.util
        from billiard.common import reset_signals
        from celery.concurrency.prefork import process_initializer

        assert self._loaded is not None
        if forked:
            application.join_outputs(self._loaded.outputs)
            billiard.util._finalizer_registry.clear()
            billiard.util._run_after_forkers()
        process = billiard.process.current_process()
        process._name = multiprocessing.current_process().name = f"ForkPoolWorker-{self._index + 1}"
        process.index = self._index
        process_initializer(self._loaded.app, self._loaded.hostname)
        reset_signals()
        signal.signal(signal.SIGUSR1, _on_soft_limit)
        signal.signal(signal.SIGINT, _on_interrupt)

    # --- tasks

    def serve(self, tasks: Tasks) -> None:
        """The main loop. Reads the next frame only when the task before it is done."""
        receive = self._channel.recvmsg
        while True:
            frame, ancillary, _, _ = receive(frames.MAX_FRAME + 1, _DESCRIPTOR_SPACE, socket.MSG_CMSG_CLOEXEC)
            if not frame:
                return
            if frame[1:2] != _JOB_TYPE:
                self._control(frame)
                continue
            job = hot_frames.payload_job(frame)
            if not ancillary:
                raise messages.BadFrame("a JOB without its payload, which is not for a Celery worker")
            self._run_job(job, _DESCRIPTOR.unpack_from(ancillary[0][2])[0])

    def _run_job(self, job: hot_frames.PayloadJob, descriptor: int) -> None:
        current = state
        current.task = job.task
        current.head = (job.id, job.attempt, job.deadline_ns)
        frames.MARK.pack_into(self._mark, 0, job.id, job.attempt)
        now = time.monotonic_ns()
        self._channel.send(frames.begun(job.id, os.getpid(), now))
        # As in Worker: a soft limit that strikes after the task's end is the task's failure.
        try:
            try:
                current.soft_deadline_ns = job.soft_deadline_ns or NEVER
                try:
                    call = payload.unpack_call(descriptor)
                finally:
                    os.close(descriptor)
                if now >= current.soft_deadline_ns:  # its signal came too early
                    _raise_soft_limit()
                result = Answer(result=_trace(call))
            finally:
                current.soft_deadline_ns = 0
        except Exception:
            result = Answer(error=_exception_info())
        current.head = None
        _output.flush()
        answer.send(self._channel, job.id, result)


# --- what the template does once, and a spawned worker for itself


def load(channel: socket.socket, argument: str) -> Loaded:
    """Imports the application; as the parent of a prefork pool has it before it forks."""
    loaded: list[Loaded] = []
    what = f"the Celery application {argument} could not be loaded"
    _start.attempt(channel, what, lambda: loaded.append(_load(argument)))
    return loaded[0]


def _load(argument: str) -> Loaded:
    loaded = application.load(argument)
    app, hostname = loaded.app, loaded.hostname

    from celery import signals
    from celery.app import trace

    app.loader.init_worker()
    # Not through the variable FORKED_BY_MULTIPROCESSING, by which process_initializer() would do it: the
    # worker's subprocesses would inherit that, and Django would check its models in each worker.
    trace.setup_worker_optimizations(app, hostname)
    front = _Front(app, hostname)
    signals.celeryd_init.send(sender=hostname, instance=front, conf=app.conf, options={})
    signals.worker_init.send(sender=front)
    return loaded


class _Front:
    """What handlers of celeryd_init and worker_init look at. Children of prefork inherit what those did
    in the parent: Celery's own fixups, and the application's."""

    pool_cls = "supervise.celery.prefork:TaskPool"

    def __init__(self, app: Any, hostname: str) -> None:
        self.app = app
        self.hostname = hostname


def task_infos(loaded: Loaded) -> list[TaskInfo]:
    """Their limits come with each call, and Celery retries."""
    return [TaskInfo(name, None, None, 0) for name in loaded.app.tasks if len(name.encode()) <= 255]


# --- one task


def _trace(call: payload.Call) -> answer.Result:
    from celery.app import trace

    target = getattr(trace, call.target)
    result: answer.Result = target(
        call.task, call.id, call.request, call.body, call.content_type, call.content_encoding
    )
    return result


def _exception_info() -> Any:
    from billiard.einfo import ExceptionInfo

    return ExceptionInfo()


def _exit_code(exit: SystemExit) -> int:
    if exit.code is None:
        return 0
    if isinstance(exit.code, int):
        return exit.code & 0xFF
    sys.stderr.write(f"{exit.code}\n")
    return 1


def _on_soft_limit(signal_number: int, frame: object) -> None:
    """SIGUSR1. Only a task whose soft limit has passed hears of it, and only once."""
    soft = state.soft_deadline_ns
    if soft and time.monotonic_ns() >= soft:
        _raise_soft_limit()


def _on_interrupt(signal_number: int, frame: object) -> None:
    """SIGINT: a drain has used up its grace."""
    if state.soft_deadline_ns:
        _raise_soft_limit()


def _raise_soft_limit() -> None:
    from billiard.exceptions import SoftTimeLimitExceeded

    state.soft_deadline_ns = 0
    raise SoftTimeLimitExceeded()
