"""What ps and top call a process. Where the kernel does not let us, the names stay."""

from __future__ import annotations

import contextlib
import os
from typing import Callable

_COMM = 15  # bytes that the kernel keeps of a thread's name
_ARG_START, _ARG_END = 45, 46  # in /proc/self/stat, counted from the state; proc(5)
_PR_SET_NAME = 15


class ProcessTitle:
    """Writes over the command line in place, as setproctitle(3) of the BSDs. A role is worker,
    template or front."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        self._start, self._end = int(fields[_ARG_START]), int(fields[_ARG_END])

    def set(self, role: str) -> None:
        with contextlib.suppress(OSError), open("/proc/self/comm", "wb", 0) as file:
            file.write(self._comm(role))
        line = self._line(role)
        if not line:
            return
        with contextlib.suppress(OSError):
            memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(memory, line, self._start)
                # The kernel takes the line up to its first NUL where its last byte is not one.
                os.pwrite(memory, b".", self._end - 1)
            finally:
                os.close(memory)

    def setter(self, role: str) -> Callable[[], None]:
        """Sets the title of a fork of this process, whose own has been set(), and opens no file."""
        import ctypes

        prctl, copy = ctypes.CDLL(None).prctl, ctypes.memmove
        comm, line, start = self._comm(role), self._line(role), self._start

        def set_title() -> None:
            prctl(_PR_SET_NAME, comm)
            if line:
                copy(start, line, len(line))

        return set_title

    def _comm(self, role: str) -> bytes:
        return self._pool.encode()[: _COMM - 1 - len(role)] + b" " + role.encode()

    def _line(self, role: str) -> bytes:
        room = self._end - self._start - 2
        text = f"supervise: {self._pool} {role}".encode()
        return text[:room] + b"\0" if room > 0 else b""
