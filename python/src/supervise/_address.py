"""Where a pool's socket is, and the first two frames on it."""

from __future__ import annotations

import difflib
import os
import socket
import sys
from typing import Optional

from supervise import _decode
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._errors import PoolGone
from supervise._timeout import WaitTimeout
from supervise._version import VERSION

_SUN_PATH = 107  # bytes of a socket's path, see unix(7)
FULL_BACKLOG_SECONDS = 0.01  # between attempts: there is no event to wait for


def candidates(runtime_dir: Optional[str]) -> list[str]:
    """The folders that may be the supervisor's; one that was named is the only one."""
    named = runtime_dir or os.environ.get("SUPERVISE_RUNTIME_DIR")
    if named:
        return [os.path.abspath(named)]
    found = [d for d in os.environ.get("RUNTIME_DIRECTORY", "").split(":") if d]
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session:
        found.append(os.path.join(session, "supervise"))
    return [*found, "/run/supervise", f"/tmp/supervise-{os.getuid()}"]


def find(pool: str, runtime_dir: Optional[str]) -> str:
    """The path of the pool's socket; PoolGone says where it was looked for."""
    if not isinstance(pool, str) or not pool or "/" in pool or "\0" in pool:
        raise ValueError(f'a pool\'s name is what follows "pool." in the config, not {pool!r}')
    looked = candidates(runtime_dir)
    for folder in looked:
        path = os.path.join(folder, f"{pool}.sock")
        if os.path.exists(path) and _is_ours(folder):
            return path
    raise PoolGone("not_found", _not_found(pool, looked))


def _is_ours(folder: str) -> bool:
    """Anyone may make a folder in /tmp and wait there for jobs."""
    if not folder.startswith("/tmp/supervise-"):
        return True
    status = os.lstat(folder)
    return status.st_uid in (0, os.getuid())


def _not_found(pool: str, looked: list[str]) -> str:
    pools = set()
    for folder in looked:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        pools |= {n[: -len(".sock")] for n in names if n.endswith(".sock") and n != "control.sock"}
    text = f"no pool {pool!r} is running here: looked in {', '.join(looked)}. "
    near = difflib.get_close_matches(pool, pools, n=1)
    if near:
        return text + f"Did you mean {near[0]!r}?"
    if pools:
        return text + f"Pools there: {', '.join(sorted(pools))}."
    return text + (
        "Start it with `supervise --config FILE`, or say where it runs: Client(..., "
        "runtime_dir=...) or $SUPERVISE_RUNTIME_DIR, as runtime_dir is in its config."
    )


def attempt(connection: socket.socket, pool: str, path: str) -> bool:
    """Connects a socket that does not block. False: try again, its backlog is full."""
    try:
        _connect_to(connection, path)
    except BlockingIOError:
        return False
    except OSError as error:
        raise PoolGone("unreachable", _unreachable(pool, path, error)) from error
    return True


def full_backlog(pool: str, path: str) -> WaitTimeout:
    return WaitTimeout(
        f"pool {pool!r} takes no connections at {path}: its supervisor is stopped, or busy beyond measure"
    )


def _connect_to(connection: socket.socket, path: str) -> None:
    if len(os.fsencode(path)) <= _SUN_PATH:
        connection.connect(path)
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)


def _unreachable(pool: str, path: str, error: OSError) -> str:
    text = f"pool {pool!r} cannot be reached at {path}: {error.strerror or error}. "
    if isinstance(error, ConnectionRefusedError):
        return text + "Its supervisor is not running any more; start it again."
    if isinstance(error, PermissionError):
        return text + "Run as the supervisor's user, or name this user in the pool's `clients`."
    return text + "See `supervise status`."


def hello() -> bytes:
    software = f"supervise-python {VERSION} (Python {sys.version.split()[0]})"
    return frames.hello(frames.CLIENT, os.getpid(), software)


def welcome(pool: str, reply: bytes) -> messages.Welcome:
    """What the supervisor's first frame says; PoolGone when it is not a WELCOME."""
    if not reply:
        raise PoolGone("lost", f"pool {pool!r} hung up on HELLO; see the supervisor's log")
    try:
        message = _decode.decode(reply)
    except messages.BadFrame as error:
        raise PoolGone("bad_frame", f"pool {pool!r} answered HELLO with {error}") from None
    if isinstance(message, messages.Close):
        raise closed(pool, message)
    if not isinstance(message, messages.Welcome) or message.version != frames.VERSION:
        raise PoolGone("version", f"pool {pool!r} answered HELLO with {message!r}")
    return message


def not_ready(pool: str, timeout: float) -> WaitTimeout:
    return WaitTimeout(
        f"pool {pool!r} is not ready after {timeout:g} s: its first worker may still be importing "
        "the application, or cannot; see `supervise status` and the supervisor's log"
    )


def closed(pool: str, message: messages.Close) -> PoolGone:
    text = f"pool {pool!r} closed the connection: {message.reason}"
    return PoolGone(message.reason, f"{text} ({message.message})" if message.message else text)


def receive(channel: socket.socket, flags: int = 0) -> bytes:
    """One record. A supervisor that closed with frames of ours unread makes the kernel report
    ECONNRESET once, before the CLOSE that says why (unix(7))."""
    try:
        return channel.recv(frames.MAX_FRAME + 1, flags)
    except ConnectionResetError:
        return channel.recv(frames.MAX_FRAME + 1, flags)
