"""How a worker and a template come up, and what they tell when that fails.

Both greet the supervisor, import the application, run its hooks and announce its tasks.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import traceback
from typing import Callable, Optional

from supervise import _decode, _failure, _hooks, _output, _task
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._version import VERSION

CHANNEL = 3
EXIT_PROTOCOL = 70  # EX_SOFTWARE: the talk with the supervisor broke down


class NoTasks(Exception):
    """The application was imported and registered nothing."""


class End(Exception):
    """Ends the process with this exit code."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


_speaker = 0  # the process that the channel is of


def exit_code_of(life: Callable[[], None]) -> int:
    """Runs a worker's or a template's whole life; returns the exit code."""
    pid = speak_from_here()
    channel = _identity(CHANNEL)
    try:
        life()
    except End as end:
        if end.args[0]:
            _output.say(end.args[0])
        return end.code
    except messages.BadFrame as error:
        _output.say(f"the supervisor sent {error}")
        return EXIT_PROTOCOL
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the supervisor is gone, and so are we
    except OSError as error:
        if os.getpid() != pid:
            _output.say("a process that a job forked came back from the job; end it by os._exit()")
            os._exit(EXIT_PROTOCOL)
        if channel is not None and channel == _identity(CHANNEL):
            _output.say("an error that nothing handles ends this process:")
            traceback.print_exception(type(error), error, error.__traceback__)
            return 1
        _output.say(
            f"the channel to the supervisor (descriptor {CHANNEL}) is unusable: {error}; "
            "something in this process has closed or replaced it"
        )
        return EXIT_PROTOCOL
    return 0


def _identity(descriptor: int) -> Optional[tuple[int, int]]:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def speak_from_here() -> int:
    """From now on it is this process that may use the channel; returns its id."""
    global _speaker
    _speaker = os.getpid()
    return _speaker


def end_if_copied() -> None:
    """Ends a copy of this process that the application made by os.fork() while it was imported, and
    that goes on as if it were the original: two would speak on one channel."""
    if os.getpid() != _speaker:
        _output.say(
            "a process that the application forked while it was imported came back from the import, "
            "and ends here; end it by os._exit()"
        )
        _output.flush()
        os._exit(EXIT_PROTOCOL)


def greet(channel: socket.socket, role: int) -> list[int]:
    """HELLO and WELCOME; returns the descriptors that came with it."""
    return greet_as(channel, role)[1]


def greet_as(channel: socket.socket, role: int) -> tuple[messages.Welcome, list[int]]:
    """HELLO and WELCOME, and the descriptors that came with it."""
    software = f"supervise-python {VERSION} (Python {sys.version.split()[0]})"
    channel.send(frames.hello(role, os.getpid(), software))
    reply, descriptors, _, _ = socket.recv_fds(channel, frames.MAX_FRAME + 1, 1)
    if not reply:
        raise End(0)
    message = _decode.decode(reply)
    if isinstance(message, messages.Close):
        raise End(EXIT_PROTOCOL, f"the supervisor refused this process: {message.message}")
    if not isinstance(message, messages.Welcome) or message.version != frames.VERSION:
        raise End(EXIT_PROTOCOL, f"the supervisor answered HELLO with {message!r}")
    return message, descriptors


def attempt(channel: socket.socket, what: str, step: Callable[[], object]) -> None:
    """One step of coming up. `what` says that it failed, when it does; then this process ends."""
    try:
        step()
    except BaseException as error:
        _start_failed(channel, what, error, f"{what}: {_failure.message_of(error)}")
        raise End(1) from None


def import_app(channel: socket.socket, app: str) -> None:
    try:
        importlib.import_module(app)
        if not _task.registry:
            raise NoTasks(
                f"{app} was imported and has no task; mark a function in it (or in a module "
                "that it imports) with @supervise.task"
            )
    except BaseException as error:
        message = _failure.message_of(error)
        if isinstance(error, ModuleNotFoundError) and error.name == app.split(".")[0]:
            message += (
                f"; the worker looked in {', '.join(sys.path[:2])} and the interpreter's own "
                "folders. Set the pool's module_path, directory or python"
            )
        _start_failed(channel, f"{app} could not be imported", error, message)
        raise End(1) from None


def run_hooks(channel: socket.socket, hooks: list[_hooks.Hook], name: str) -> None:
    """`name` is what the application calls such a hook: before_fork or after_fork."""
    for hook in hooks:
        attempt(channel, f"the {name} hook {_hooks.describe(hook)} failed", hook)


def setting_up_failed(channel: socket.socket, error: BaseException) -> int:
    """Tells that a forked worker could not become one; returns the exit code."""
    what = "the forked worker could not be set up"
    _start_failed(channel, what, error, f"{what}: {_failure.message_of(error)}")
    return 1


def announce(
    channel: socket.socket, findings: list[str], tasks: Optional[list[messages.TaskInfo]] = None
) -> None:
    """The tasks (by default those that @supervise.task marked), what makes forking unsafe, and READY."""
    end_if_copied()
    for frame in frames.register([t.info for t in _task.registry.values()] if tasks is None else tasks):
        channel.send(frame)
    for frame in frames.unsafe(findings):
        channel.send(frame)
    _output.flush()
    channel.send(frames.frame(frames.READY))


def _start_failed(channel: socket.socket, what: str, error: BaseException, message: str) -> None:
    """`what` goes to the log, before the error; `message` is what the supervisor is told."""
    end_if_copied()
    kind = _failure.type_name(error)
    trace = "" if isinstance(error, NoTasks) else _failure.short_traceback(error)
    _output.say(f"{what}:")
    sys.stderr.write(trace)
    _output.say(f"{kind}: {_failure.message_of(error)}")
    _output.flush()
    room = frames.start_failed_room(kind)
    text = frames.head_of(frames.clean(message), room)
    if trace:
        end = _failure.last_lines(trace.rstrip(), room - len(text) - 1)
        text += b"\n" + frames.clean(end) if end else b""
    channel.send(frames.start_failed(kind, text))
