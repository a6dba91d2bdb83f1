"""The front's connection, where the kernel has no room for a frame."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from fake_supervise import FakeSupervise

from supervise.celery.connection import Connection


class Short:
    """A socket that cannot send for now."""

    def __init__(self, real: socket.socket, number: int) -> None:
        self.real = real
        self.error = OSError(number, os.strerror(number))

    def send(self, *_: Any) -> int:
        raise self.error

    sendmsg = send

    def close(self) -> None:
        self.real.close()


@pytest.mark.parametrize("number", [errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM])
def test_a_frame_that_the_kernel_has_no_room_for_is_sent_later(tmp_path: Path, number: int) -> None:
    supervise = FakeSupervise(tmp_path)
    connection = Connection(supervise.path, "celery")
    supervise.accept()
    assert supervise.client is not None
    real = connection._socket
    connection._socket = Short(real, number)  # type: ignore[assignment]
    connection.send(b"first", os.memfd_create("payload", os.MFD_CLOEXEC))
    connection.send(b"second")
    assert connection.wants_to_write
    connection._socket = real
    connection.flush()
    data, descriptors, _, _ = socket.recv_fds(supervise.client, 1025, 2)
    assert (data, len(descriptors)) == (b"first", 1)
    os.close(descriptors[0])
    assert supervise.client.recv(1025) == b"second"
    connection.close()
    supervise.close()
