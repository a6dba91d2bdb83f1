"""The worker: one process that runs one job at a time, as ipc/PROTOCOL.md says.

Started by _worker_main.py with the channel to the supervisor as descriptor 3. The loop is serve().
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import mmap
import os
import signal
import socket
import sys
import threading
import time
from typing import Callable, NoReturn, Union

from supervise import _decode, _failure, _ids, _task
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._current import NEVER, on_interrupt, on_soft_limit, state
from supervise._version import VERSION

CHANNEL = 3
EXIT_PROTOCOL = 70  # EX_SOFTWARE: the talk with the supervisor broke down
EXIT_SECONDS = 5.0  # that the application's threads and atexit functions get


class NoTasks(Exception):
    """The application was imported and registered nothing."""


class _End(Exception):
    """Ends the worker with this exit code."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


class Worker:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._pid = os.getpid()
        self._stopping = False
        self._mark: Union[bytearray, mmap.mmap] = bytearray(16)  # what the supervisor sees of it

    def run(self, app: str) -> int:
        """The whole life; returns the exit code."""
        self._install_early_signals()
        os.register_at_fork(after_in_child=self._after_fork)
        try:
            self._greet()
            self._start(app)
            self._install_signals()
            self.serve({name.encode(): t.function for name, t in _task.registry.items()})
        except _End as end:
            if end.args[0]:
                _say(end.args[0])
            return end.code
        except messages.BadFrame as error:
            _say(f"the supervisor sent {error}")
            return EXIT_PROTOCOL
        except (BrokenPipeError, ConnectionResetError):
            return 0  # the supervisor is gone, and so are we
        except OSError as error:
            if os.getpid() != self._pid:
                _say("a process that a job forked came back from the job; end it by os._exit()")
                os._exit(EXIT_PROTOCOL)
            _say(
                f"the channel to the supervisor (descriptor {CHANNEL}) is unusable: {error}; "
                "something in this process has closed or replaced it"
            )
            return EXIT_PROTOCOL
        return 0

    # --- before the first job

    def _greet(self) -> None:
        software = f"supervise-python {VERSION} (Python {sys.version.split()[0]})"
        self._channel.send(frames.hello(frames.WORKER, os.getpid(), software))
        reply, descriptors, _, _ = socket.recv_fds(self._channel, frames.MAX_FRAME + 1, 1)
        if not reply:
            raise _End(0)
        message = _decode.decode(reply)
        if isinstance(message, messages.Close):
            raise _End(EXIT_PROTOCOL, f"the supervisor refused this worker: {message.message}")
        if not isinstance(message, messages.Welcome) or message.version != frames.VERSION:
            raise _End(EXIT_PROTOCOL, f"the supervisor answered HELLO with {message!r}")
        for descriptor in descriptors:
            self._mark = mmap.mmap(descriptor, 16)
            os.close(descriptor)

    def _start(self, app: str) -> None:
        try:
            importlib.import_module(app)
            if not _task.registry:
                raise NoTasks(
                    f"{app} was imported and has no task; mark a function in it (or in a module "
                    "that it imports) with @supervise.task"
                )
        except BaseException as error:
            self._start_failed(app, error)
            raise _End(1) from None
        for frame in frames.register([t.info for t in _task.registry.values()]):
            self._channel.send(frame)
        _flush()
        self._channel.send(frames.frame(frames.READY))

    def _start_failed(self, app: str, error: BaseException) -> None:
        kind, message = _failure.type_name(error), _failure.message_of(error)
        if isinstance(error, ModuleNotFoundError) and error.name == app.split(".")[0]:
            message += (
                f"; the worker looked in {', '.join(sys.path[:2])} and the interpreter's own "
                "folders. Set the pool's module_path, directory or python"
            )
        _say(f"{app} could not be imported:")
        if not isinstance(error, NoTasks):
            sys.stderr.write(_failure.short_traceback(error))
        _say(f"{kind}: {message}")
        _flush()
        room = frames.start_failed_room(kind)
        text = frames.head_of(frames.clean(message), room)
        trace = _failure.short_traceback(error)
        if trace and not isinstance(error, NoTasks):
            end = _failure.last_lines(trace.rstrip(), room - len(text) - 1)
            text += b"\n" + frames.clean(end) if end else b""
        self._channel.send(frames.start_failed(kind, text))

    # --- jobs

    def serve(self, tasks: dict[bytes, Callable[..., object]]) -> None:
        """The main loop. Reads the next frame only when the job before it is done."""
        recv, send = self._channel.recv, self._channel.send
        unpack_head, head_size = frames.JOB_HEAD.unpack_from, frames.JOB_HEAD.size
        pack_none = frames.DONE_NONE.pack
        decode_args = _ids.decode_args
        mark, set_mark = self._mark, frames.MARK.pack_into
        current, job_type = state, frames.JOB
        while not self._stopping:
            frame = recv(1025)
            if len(frame) < head_size or frame[1] != job_type:
                if not frame:
                    return
                self._control(frame)
                continue
            head = unpack_head(frame)
            magic, _, size, count, flags, reserved, job, attempt, soft, _, length = head
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
            current.task = name
            current.head = head
            try:
                # The inner try keeps a soft limit that strikes between the function's return and
                # the disarming within the job: it is then the job's failure, not the loop's.
                try:
                    current.soft_deadline_ns = soft or NEVER
                    set_mark(mark, 0, job, attempt)
                    value = function(*ids)
                finally:
                    current.soft_deadline_ns = 0
                report = None if value is None else b"\x01" + _ids.encode_id(value)
            except BaseException as error:
                report = _failure.report(error)
            value = None  # it may be large, and the wait for the next job long
            current.head = None
            _flush()
            if report is None:
                send(pack_none(0x53, 7, 18, 0, 0, 0, job, 1, 0))
            else:
                send(frames.done(job, report))

    def _refuse(self, frame: bytes) -> None:
        """A JOB that is malformed, carries a descriptor, or names a task that is not here."""
        message = _decode.decode(frame)
        assert isinstance(message, messages.JobFrame)
        if message.descriptor:
            reason = "the job carries a payload, which a worker of this kind does not take"
        else:
            reason = f"this worker has no task {message.task!r}"
        self._channel.send(frames.done(message.id, frames.failed_report("LookupError", reason, "")))

    def _control(self, frame: bytes) -> None:
        message = _decode.decode(frame)
        if isinstance(message, messages.Ping):
            self._channel.send(frames.pong(message.token))
        elif isinstance(message, messages.Trim):
            self._channel.send(frames.trimmed(_trim()))
        elif isinstance(message, messages.Retire):
            raise _End(0)
        elif isinstance(message, messages.Close):
            raise _End(EXIT_PROTOCOL, f"the supervisor closed the channel: {message.message}")
        else:
            raise messages.BadFrame(f"a {type(message).__name__}, which is not for a worker")

    # --- signals and forks

    def _install_early_signals(self) -> None:
        # The application may set its own while it is imported; these three are set again after.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, on_soft_limit)

    def _install_signals(self) -> None:
        self._install_early_signals()
        signal.signal(signal.SIGINT, on_interrupt)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, signal_number: int, frame: object) -> None:
        """Finish the job, then go. Ending our reading side wakes a recv that waits."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RD)

    def _after_fork(self) -> None:
        """In a process that a job forked: it must not speak for the worker."""
        state.soft_deadline_ns = 0
        self._channel.close()


_exit_code = 0


def main(app: str) -> NoReturn:
    try:
        channel = socket.socket(fileno=CHANNEL)
        channel.set_inheritable(False)
        channel.setblocking(True)
    except OSError as error:
        _say(f"descriptor {CHANNEL} is not a socket ({error}); supervise starts this script")
        sys.exit(EXIT_PROTOCOL)
    # Registered first, it runs last: after the application's own atexit functions.
    atexit.register(_skip_teardown)
    _prepare_output()
    _leave(Worker(channel).run(app))


def _prepare_output() -> None:
    """What a job prints goes to the log line by line, as it is printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _flush() -> None:
    # A job may have closed or replaced them; that is no reason to lose its result.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()


def _say(text: str) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write(f"supervise: {text}\n")


def _trim() -> int:
    """Gives freed memory back to the system; returns how many objects the collector found."""
    collected = gc.collect()
    with contextlib.suppress(ImportError, OSError, AttributeError):  # no ctypes, or not glibc
        import ctypes

        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    return collected


def _skip_teardown() -> None:
    """Freeing a large heap object by object takes seconds, and the process ends anyway. What a
    normal end would still do is to write out buffered files."""
    for thing in gc.get_objects():
        if isinstance(thing, io.IOBase):
            with contextlib.suppress(Exception):
                thing.flush()
    os._exit(_exit_code)


def _leave(code: int) -> NoReturn:
    """A normal exit, except that the application's threads cannot hold it for ever."""

    def watch() -> None:
        time.sleep(EXIT_SECONDS)
        held = [t.name for t in threading.enumerate() if not t.daemon and t is not main_thread]
        _say(
            f"{', '.join(held) or 'an atexit function'} still runs {EXIT_SECONDS:.0f} s after the "
            "worker's end; leaving without it (make the thread a daemon, or end it)"
        )
        _flush()
        os._exit(code)

    global _exit_code
    _exit_code = code
    main_thread = threading.main_thread()
    with contextlib.suppress(RuntimeError):  # no thread to be had: then nothing may hold us
        threading.Thread(target=watch, name="supervise-exit", daemon=True).start()
    sys.exit(code)
