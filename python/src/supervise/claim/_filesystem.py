"""A store in whatever fsspec knows: S3, GCS, Azure, SFTP, ..., or in any object with fsspec's methods."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from supervise.claim._errors import StoreError
from supervise.claim._store import Store, missing

_ENTRY = re.compile(r"[0-9a-f]{32}")


class FilesystemStore(Store):
    """Uses `pipe_file`, `cat_file`, `cp_file`, `rm_file`, and for sweeping `ls` and `modified`."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    @staticmethod
    def from_url(url: str) -> FilesystemStore:
        filesystem, path = import_module("fsspec").core.url_to_fs(url)
        return FilesystemStore(filesystem, path)

    def __repr__(self) -> str:
        return f"{type(self._filesystem).__name__} {self._root}"

    def put(self, id: str, data: bytes) -> None:
        with self._using():
            try:
                self._filesystem.pipe_file(self._path(id), data)
            except FileNotFoundError:  # those with real folders want them made
                self._filesystem.makedirs(self._root, exist_ok=True)
                self._filesystem.pipe_file(self._path(id), data)

    def get(self, id: str) -> bytes:
        with self._using():
            try:
                return bytes(self._filesystem.cat_file(self._path(id)))
            except FileNotFoundError:
                raise missing(id, repr(self)) from None

    def link(self, old: str, new: str) -> None:
        with self._using():
            try:
                self._filesystem.cp_file(self._path(old), self._path(new))
            except FileNotFoundError:
                raise missing(old, repr(self)) from None

    def remove(self, id: str) -> None:
        with self._using(), suppress(FileNotFoundError):
            self._filesystem.rm_file(self._path(id))

    def sweep(self, ttl: float) -> int:
        """0 also where nobody tells when a file was made. Such a bucket needs a lifecycle rule."""
        swept = 0
        oldest = time.time() - ttl
        with self._using(), suppress(NotImplementedError):
            for path in self._entries():
                with suppress(FileNotFoundError):
                    if self._filesystem.modified(path).timestamp() < oldest:
                        self._filesystem.rm_file(path)
                        swept += 1
        return swept

    def _entries(self) -> list[str]:
        try:
            paths = [str(path) for path in self._filesystem.ls(self._root, detail=False, refresh=True)]
        except FileNotFoundError:
            return []
        return [path for path in paths if _ENTRY.fullmatch(os.path.basename(path))]

    def _path(self, id: str) -> str:
        return f"{self._root}/{id}"

    @contextmanager
    def _using(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self!r} does not serve: {error}") from error
