"""Small numbers for the workers of one template: the first has 0, a successor takes the first free one.

Celery has them in process names and in the names of log files (%i). A worker holds its number by a
lock on one byte of a file that they all share; the lock goes with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os

_MOST = 4096


class Indexes:
    def __init__(self) -> None:
        self._file = os.memfd_create("supervise-indexes", os.MFD_CLOEXEC)

    def take(self) -> int:
        """For the rest of this process's life."""
        for index in range(_MOST):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, index)
            except OSError:
                continue
            return index
        return _MOST
