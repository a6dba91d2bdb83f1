"""The template: imports the application once and forks workers on request, as ipc/PROTOCOL.md says.

It has one thread and runs no job. Its workers are the supervisor's children, and live on without it.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import struct
import sys
from typing import Callable, NoReturn, Optional

from supervise import _decode, _fork_safety, _hooks, _huge_pages, _leave, _output, _signals, _start, _task
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._fork import Forker, Unavailable
from supervise._import_watch import ImportWatch
from supervise._process_title import ProcessTitle
from supervise._worker import Tasks, Worker, offered_tasks, trim

_MOST_DESCRIPTORS = frames.FORK_DESCRIPTORS + 1 + frames.MAX_JOINS

_SEED = struct.Struct("4I")


class Template:
    def __init__(self, channel: socket.socket, title: Optional[ProcessTitle]) -> None:
        self._channel = channel
        self._title = title
        self._forker: Optional[Forker] = None
        self._why_not = ""
        self._tasks: Tasks = {}
        self._set_title: Callable[[], None] = lambda: None
        self._collects = True

    def run(self, app: str) -> int:
        """The whole life, also that of each worker that it forks; returns the exit code."""
        return _start.exit_code_of(lambda: self._live(app))

    def _live(self, app: str) -> None:
        _signals.before_import()
        inherited = _fork_safety.open_sockets()
        _start.greet(self._channel, frames.TEMPLATE)
        # Collecting while importing would leave holes in the pages that the workers share. The
        # threshold and not gc.disable(): the application may call that, too.
        thresholds = gc.get_threshold()
        gc.set_threshold(0)
        with ImportWatch() as watch:
            self._import(app)
            _start.end_if_copied()
            _start.run_hooks(self._channel, _hooks.before, "before_fork")
        findings: list[str] = []

        def get_ready_to_fork() -> None:
            _stop_timers()
            findings.extend(_fork_safety.findings(watch, inherited))
            try:
                self._forker = Forker()
            except Unavailable as error:
                self._why_not = str(error)
                findings.append(self._why_not)
            self._prepare()
            self._freeze(thresholds)

        _start.attempt(self._channel, "the template could not get ready to fork", get_ready_to_fork)
        _start.announce(self._channel, findings, self._infos())
        self._serve()

    # --- what a template of another kind does differently

    def _import(self, app: str) -> None:
        _start.import_app(self._channel, app)
        self._tasks = offered_tasks()

    def _infos(self) -> list[messages.TaskInfo]:
        return [task.info for task in _task.registry.values()]

    def _make_worker(self) -> Worker:
        """In the child."""
        return Worker(self._channel)

    # ---

    def _prepare(self) -> None:
        _signals.of_template()
        if self._title is not None and self._forker is not None:
            self._set_title = self._title.setter("worker")
        _hold_low_descriptors()
        _leave.note_frozen_files()

    def _freeze(self, thresholds: tuple[int, int, int]) -> None:
        self._collects = gc.isenabled()
        gc.disable()
        if not gc.get_threshold()[0]:  # the application has set none of its own
            gc.set_threshold(*thresholds)
        trim()
        gc.freeze()
        if self._forker is not None:
            _huge_pages.collapse()

    def _serve(self) -> None:
        while True:
            frame, descriptors, flags, _ = socket.recv_fds(
                self._channel, frames.MAX_FRAME + 1, _MOST_DESCRIPTORS + 1, socket.MSG_CMSG_CLOEXEC
            )
            if not frame:
                return
            message = _decode.decode(frame)
            if isinstance(message, messages.Fork):
                self._fork(message, descriptors, lost=bool(flags & socket.MSG_CTRUNC))
            elif isinstance(message, messages.Ping):
                self._channel.send(frames.pong(message.token))
            elif isinstance(message, messages.Retire):
                return
            elif isinstance(message, messages.Close):
                reason = f"the supervisor closed the channel: {message.message}"
                raise _start.End(_start.EXIT_PROTOCOL, reason)
            else:
                raise messages.BadFrame(f"a {type(message).__name__}, which is not for a template")

    def _fork(self, request: messages.Fork, descriptors: list[int], lost: bool) -> None:
        wanted = frames.FORK_DESCRIPTORS + request.born + request.joins
        if len(descriptors) != wanted and not lost:
            raise messages.BadFrame(f"a FORK with {len(descriptors)} descriptors instead of {wanted}")
        _output.flush()  # what is in a buffer at a fork would be printed twice
        _reseed_numpy()
        try:
            if lost:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if self._forker is None:
                raise OSError(errno.ENOSYS, self._why_not)
            group = descriptors[frames.FORK_DESCRIPTORS] if request.born else None
            pid = self._forker.fork(group, joins=descriptors[wanted - request.joins :])
        except OSError as error:
            answer = frames.forked(request.number, 0, _why(error))
        else:
            if pid == 0:
                self._become_worker(descriptors)
            answer = frames.forked(request.number, pid)
        self._channel.send(answer)
        for descriptor in descriptors:
            os.close(descriptor)

    def _become_worker(self, descriptors: list[int]) -> NoReturn:
        """In the child: the rest of its life. What the template can do beforehand, it has done."""
        channel, mark, out, err = descriptors[: frames.FORK_DESCRIPTORS]
        os.dup2(channel, _start.CHANNEL, inheritable=False)  # our socket object is now its channel
        _start.speak_from_here()
        try:
            worker = self._make_worker()
            os.dup2(out, 1)
            os.dup2(err, 2)
            worker.take_mark(mark)
            for descriptor in descriptors:
                os.close(descriptor)
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            assert self._forker is not None
            if self._forker.join_error is not None:
                raise self._forker.join_error
            self._set_title()
            if self._collects:
                gc.enable()
        except BaseException as error:
            _leave.leave(_start.setting_up_failed(self._channel, error))
        _leave.leave(worker.run_forked(self._tasks))


def _why(error: OSError) -> str:
    """The name comes first: the supervisor tells by it what passes by itself."""
    return f"{errno.errorcode.get(error.errno or 0, '?')}: {error.strerror}"


def _stop_timers() -> None:
    """Their signals would end the template, which mostly has no handler for them, or run one there."""
    for timer in _signals.stop_timers():
        _output.say(
            f"the application has set a timer ({timer}) at import; it is stopped here, and forked "
            "workers have none: set it in an after_fork function"
        )


def _hold_low_descriptors() -> None:
    """The application may have closed one of 0 to 3. No descriptor of a request must take its place,
    where a worker puts its own."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > _start.CHANNEL:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


def _reseed_numpy() -> None:
    """The worker inherits these numbers, and the next one others. (`random` reseeds itself in the
    child.) Done here, it copies no pages there."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(_SEED.unpack(os.urandom(_SEED.size)))
