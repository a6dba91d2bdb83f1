"""What travels in descriptors: a task's message to the worker, and what does not fit a frame back.

Both are sealed memory files (memfd_create(2)): whoever has one can rely on its content. They are
pickled; the two ends are the same application.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import struct
from typing import Any, NamedTuple

_HEAD = struct.Struct("<I")  # bytes of the pickle that follows; the body follows that
_FIRST_READ = 4096
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_LEFT_OUT = ("args", "kwargs")  # of the request: decoded copies of what the body has


class Call(NamedTuple):
    """What Celery's Request hands to a pool."""

    target: str  # the function of celery.app.trace that runs it
    task: str
    id: str
    request: dict[str, Any]
    body: Any
    content_type: Any
    content_encoding: Any


def pack_call(call: Call) -> int:
    """A new descriptor; OSError when there is no room for one."""
    target, task, id, request, body, content_type, content_encoding = call
    request = request.copy()
    for key in _LEFT_OUT:
        request.pop(key, None)
    raw = body if type(body) is bytes else b""
    rest = None if raw else body
    head = pickle.dumps((target, task, id, request, rest, content_type, content_encoding), -1)
    return _sealed("supervise-call", [_HEAD.pack(len(head)), head, raw])


def unpack_call(descriptor: int) -> Call:
    start = os.pread(descriptor, _FIRST_READ, 0)
    size = len(start) if len(start) < _FIRST_READ else os.fstat(descriptor).st_size
    body_at = _HEAD.size + _HEAD.unpack_from(start)[0]
    if body_at > len(start):
        start = _read(descriptor, body_at, 0)
    target, task, id, request, body, *content = pickle.loads(start[_HEAD.size : body_at])
    if body_at < size:
        body = start[body_at:] if size <= len(start) else _read(descriptor, size - body_at, body_at)
    return Call(target, task, id, request, body, *content)


def pack_value(value: object) -> int:
    """A new descriptor with a pickled value; whatever pickling raises."""
    return _sealed("supervise-result", [pickle.dumps(value, -1)])


def unpack_value(descriptor: int) -> Any:
    return pickle.loads(_read(descriptor, os.fstat(descriptor).st_size, 0))


def _sealed(name: str, parts: list[bytes]) -> int:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        size = sum(map(len, parts))
        written = os.writev(descriptor, parts)
        if written < size:  # no write is larger than 2 GiB, write(2)
            rest = memoryview(b"".join(parts))
            while written < size:
                written += os.write(descriptor, rest[written:])
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read(descriptor: int, size: int, at: int) -> bytes:
    data = os.pread(descriptor, size, at)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), at + len(data))
        if not more:
            raise ValueError(f"a payload of {len(data)} bytes, of which {size} were promised")
        data += more
    return data
