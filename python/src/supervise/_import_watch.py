"""While the application is imported: who starts threads, and who connects sockets."""

from __future__ import annotations

import os
import socket
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Callable, Optional

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class ImportWatch:
    """A context manager that stands in for three methods of the standard library. A library that
    wraps them in the meantime keeps its wrapper, and ours in it does nothing any more."""

    def __init__(self) -> None:
        self._started: list[tuple[threading.Thread, str]] = []
        self._connected: dict[int, str] = {}  # by the socket's inode
        self._watching = False
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> ImportWatch:
        self._watching = True
        self._wrap(threading.Thread, "start", self._note_thread)
        self._wrap(socket.socket, "connect", self._note_socket)
        self._wrap(socket.socket, "connect_ex", self._note_socket)
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._watching = False
        for undo in self._undo:
            undo()

    def starter(self, thread: threading.Thread) -> str:
        """Who started it, as words that follow its name; empty when not known."""
        return next((who for one, who in self._started if one is thread), "")

    def connector(self, inode: int) -> str:
        return self._connected.get(inode, "")

    def _note_thread(self, thread: threading.Thread) -> None:
        self._started.append((thread, _culprit(sys._getframe(2))))

    def _note_socket(self, one: socket.socket) -> None:
        self._connected[os.fstat(one.fileno()).st_ino] = _culprit(sys._getframe(2))

    def _wrap(self, owner: type, name: str, note: Callable[[Any], None]) -> None:
        own = owner.__dict__.get(name)  # None: it is inherited
        original: Callable[..., Any] = getattr(owner, name)

        def watched(this: Any, *args: Any, **kwargs: Any) -> Any:
            if self._watching:
                note(this)
            return original(this, *args, **kwargs)

        def undo() -> None:
            if owner.__dict__.get(name) is watched:
                setattr(owner, name, own) if own is not None else delattr(owner, name)

        setattr(owner, name, watched)
        self._undo.append(undo)


def _culprit(frame: Optional[FrameType]) -> str:
    """The module that called the standard library, and the line at whose import it did."""
    caller = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if not _is_ours_or_standard(file):
            module = str(frame.f_globals.get("__name__", "?"))
            caller = caller or module
            if frame.f_code.co_name == "<module>":
                at_import = f"at the import of {module} ({os.path.abspath(file)}:{frame.f_lineno})"
                return at_import if caller == module else f"by {caller} {at_import}"
        frame = frame.f_back
    return f"by {caller}" if caller else ""


def _is_ours_or_standard(file: str) -> bool:
    if file.startswith(("<frozen ", _HERE)):
        return True
    return file.startswith(_STANDARD) and not any(part in file for part in _INSTALLED)
