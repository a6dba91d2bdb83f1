"""The front's connection to a pool: frames and descriptors in and out, without ever waiting.

Not locked: its owner is.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import weakref
from collections import deque
from typing import NamedTuple, Optional

from supervise import _address
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._errors import PoolGone
from supervise.celery import hot_frames

_DESCRIPTOR = struct.Struct("i")  # of an SCM_RIGHTS message, unix(7)
_SPACE = socket.CMSG_SPACE(4)
_SEND_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
# Of a moment; ETOOMANYREFS: too many descriptors are under way, unix(7).
_SHORTAGES = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)
_RECEIVE_FLAGS = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC


class Gone(Exception):
    """The connection is over; says why."""


class Incoming(NamedTuple):
    message: messages.Message
    descriptor: Optional[int]  # the receiver's, to close


class Connection:
    """Says HELLO at once; nothing else may be sent before the WELCOME has come."""

    def __init__(self, path: str, pool: str) -> None:
        """Gone: nobody is there, or too many are before us."""
        self.pool = pool
        self._outbox: deque[tuple[bytes, Optional[int]]] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.setblocking(False)
            if not _address.attempt(self._socket, pool, path):
                raise Gone(str(_address.full_backlog(pool, path)))
        except PoolGone as error:
            self._socket.close()
            raise Gone(str(error)) from None
        except BaseException:
            self._socket.close()
            raise
        _open.add(self)
        self.send(_address.hello())

    def fileno(self) -> int:
        """-1 once it is closed."""
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._outbox)

    def send(self, frame: bytes, descriptor: Optional[int] = None) -> None:
        """Now or later, in order. Takes the descriptor over."""
        self._outbox.append((frame, descriptor))
        self.flush()

    def flush(self) -> None:
        """What does not go now stays. A broken connection tells when it is read."""
        outbox = self._outbox
        while outbox:
            frame, descriptor = outbox[0]
            try:
                if descriptor is None:
                    self._socket.send(frame, _SEND_FLAGS)
                else:
                    ancillary = (socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(descriptor))
                    self._socket.sendmsg((frame,), (ancillary,), _SEND_FLAGS)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _SHORTAGES:
                    self._drop_outbox()
                return
            outbox.popleft()
            if descriptor is not None:
                os.close(descriptor)

    def receive(self) -> Optional[Incoming]:
        """The next frame that has come; None when there is none, Gone when there will be none."""
        try:
            frame, ancillary, _, _ = self._receive()
        except BlockingIOError:
            return None
        except OSError as error:
            raise Gone(f"the connection to pool {self.pool!r} was lost: {error}") from None
        descriptor: Optional[int] = _DESCRIPTOR.unpack_from(ancillary[0][2])[0] if ancillary else None
        if not frame:
            raise Gone(f"pool {self.pool!r} closed the connection; its supervise has ended")
        try:
            return Incoming(hot_frames.decode(frame), descriptor)
        except messages.BadFrame as error:
            if descriptor is not None:
                os.close(descriptor)
            raise Gone(f"the supervise of pool {self.pool!r} sent {error}") from None

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        try:
            return self._socket.recvmsg(frames.MAX_FRAME + 1, _SPACE, _RECEIVE_FLAGS)
        except ConnectionResetError:  # once, before a CLOSE that says why; see _address.receive()
            return self._socket.recvmsg(frames.MAX_FRAME + 1, _SPACE, _RECEIVE_FLAGS)

    def close(self) -> None:
        self._drop_outbox()
        self._socket.close()

    def _drop_outbox(self) -> None:
        while self._outbox:
            _, descriptor = self._outbox.popleft()
            if descriptor is not None:
                os.close(descriptor)


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


def _after_fork() -> None:
    """A process that the front forks, beat say, must not keep the connection open, nor use it."""
    for connection in list(_open):
        connection.close()


os.register_at_fork(after_in_child=_after_fork)
