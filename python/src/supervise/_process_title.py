"""What ps and top call a process. Where the kernel does not let us, the names stay."""

from __future__ import annotations

import contextlib
import os

_COMM = 15  # bytes that the kernel keeps of a thread's name
_ARG_START, _ARG_END = 45, 46  # in /proc/self/stat, counted from the state; proc(5)


class ProcessTitle:
    """Writes over the command line in place, as setproctitle(3) of the BSDs."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        self._start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        # The kernel takes the command line up to its first NUL where its last byte is not one.
        self._room = end - self._start - 2
        self._last = end - 1

    def set(self, role: str) -> None:
        """`role`: worker or template."""
        with contextlib.suppress(OSError), open("/proc/self/comm", "wb", 0) as file:
            file.write(self._pool.encode()[: _COMM - 1 - len(role)] + b" " + role.encode())
        if self._room < 1:
            return
        title = f"supervise: {self._pool} {role}".encode()[: self._room]
        with contextlib.suppress(OSError):
            memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(memory, title + b"\0", self._start)
                os.pwrite(memory, b".", self._last)
            finally:
                os.close(memory)
