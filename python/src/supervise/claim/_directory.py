"""A store in a directory: one file an entry, for processes of one user on one host or one file system."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from supervise.claim._errors import ClaimCorrupt, StoreError
from supervise.claim._store import Store, missing

_ENTRY = re.compile(r"[0-9a-f]{32}")
# What link(2) says where the file system has no hard links, or one file has as many as it can.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class DirectoryStore(Store):
    """The directory is made with mode 0700 where it is missing, files with 0600. One that others may
    enter, or that belongs to another user, is refused."""

    def __init__(self, path: str) -> None:
        path = os.path.expanduser(path)
        if not os.path.isabs(path):
            raise ValueError(f"the store's directory must be an absolute path, not {path!r}")
        self._path = path

    def __repr__(self) -> str:
        return f"the directory {self._path}"

    def put(self, id: str, data: bytes) -> None:
        with self._directory("store an entry", make=True) as directory:
            # Nobody reads a half written entry: its ID is not told before put() returns.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(id, flags, 0o600, dir_fd=directory)
            try:
                with open(fd, "wb") as file:
                    file.write(data)
            except BaseException:
                with suppress(OSError):
                    os.unlink(id, dir_fd=directory)
                raise

    def get(self, id: str) -> bytes:
        with self._directory("read an entry") as directory:
            try:
                fd = os.open(id, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            except FileNotFoundError:
                raise missing(id, repr(self)) from None
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise ClaimCorrupt(f"entry {id} in {self!r} is no file")
                return file.read()

    def link(self, old: str, new: str) -> None:
        with self._directory("link an entry") as directory:
            try:
                os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
                os.utime(new, dir_fd=directory, follow_symlinks=False)
                return
            except FileNotFoundError:
                raise missing(old, repr(self)) from None
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
        super().link(old, new)

    def remove(self, id: str) -> None:
        with self._directory("remove an entry") as directory, suppress(FileNotFoundError):
            os.unlink(id, dir_fd=directory)

    def sweep(self, ttl: float) -> int:
        if not os.path.exists(self._path):
            return 0
        swept = 0
        oldest = time.time() - ttl
        with self._directory("sweep") as directory, os.scandir(directory) as listing:
            for entry in listing:
                if _ENTRY.fullmatch(entry.name) is None:
                    continue
                with suppress(FileNotFoundError):  # another sweeper was faster
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.name, dir_fd=directory)
                        swept += 1
        return swept

    @contextmanager
    def _directory(self, what: str, make: bool = False) -> Iterator[int]:
        """Opened anew each time: it may be removed and made again, and daemons close descriptors."""
        try:
            if make:
                self._make()
            fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._check(os.fstat(fd))
                yield fd
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreError(f"cannot {what} in {self!r}: {error.strerror}") from error

    def _make(self) -> None:
        if not os.path.isdir(self._path):
            with suppress(FileExistsError):  # another producer was faster
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
                os.mkdir(self._path, 0o700)

    def _check(self, status: os.stat_result) -> None:
        if status.st_uid != os.geteuid():
            raise StoreError(
                f"{self!r} belongs to the user {status.st_uid}, not to {os.geteuid()}: producers and workers "
                "of different users need another kind of store, such as Redis"
            )
        if status.st_mode & 0o077:
            raise StoreError(
                f"{self!r} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}): chmod 700 it"
            )
