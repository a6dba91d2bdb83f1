"""The supervisor's side of a front's connection, moved by the test itself: no threads, no workers."""

from __future__ import annotations

import os
import select
import socket
import struct
from pathlib import Path
from typing import Any, Optional

from fake_supervisor import accepted, done_report, lost_report, refused, result, welcome

from supervise import _frames as frames
from supervise import _messages as m
from supervise._decode import decode
from supervise.celery import payload

DONE, FAILED, LOST = 2, 3, 4


class FakeSupervise:
    def __init__(self, folder: Path, pool: str = "celery") -> None:
        self.path = str(folder / f"{pool}.sock")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self.path)
        self._listener.listen(4)
        self.client: Optional[socket.socket] = None

    def accept(self) -> None:
        """The next connection, with its HELLO, answered by WELCOME."""
        self.client, _ = self._listener.accept()
        self.client.settimeout(10)
        hello = decode(self.client.recv(1025))
        assert isinstance(hello, m.Hello) and hello.role == frames.CLIENT
        self.send(welcome(pool="celery"))

    def hang_up(self) -> None:
        assert self.client is not None
        self.client.close()

    def close(self) -> None:
        self._listener.close()
        if self.client is not None:
            self.client.close()

    # --- from the front

    def receive(self) -> tuple[m.Message, Optional[payload.Call]]:
        """One frame, and the payload that came with it."""
        assert self.client is not None
        data, descriptors, _, _ = socket.recv_fds(self.client, 1025, 2)
        assert data, "the front hung up"
        message = decode(data)
        if not descriptors:
            return message, None
        (descriptor,) = descriptors
        call = payload.unpack_call(descriptor)
        os.close(descriptor)
        return message, call

    def call(self) -> m.Call:
        message, _ = self.receive()
        assert isinstance(message, m.Call), message
        return message

    def nothing(self) -> bool:
        """Whether the front has sent nothing more."""
        assert self.client is not None
        if not select.select([self.client], [], [], 0)[0]:
            return True
        raise AssertionError(f"the front sent {self.receive()}")

    # --- to the front

    def send(self, frame: bytes, descriptor: Optional[int] = None) -> None:
        assert self.client is not None
        if descriptor is None:
            self.client.send(frame)
        else:
            socket.send_fds(self.client, [frame], [descriptor])
            os.close(descriptor)

    def accepted(self, call: m.Call, job: int) -> None:
        self.send(accepted(call.tag, 1, job))

    def refused(self, call: m.Call, reason: str, message: str = "") -> None:
        self.send(refused(call.tag, 1, reason, message))

    def begun(self, job: int, pid: int = 4000, time_ns: int = 1_500_000_000) -> None:
        self.send(frames.begun(job, pid, time_ns))

    def soft(self, job: int) -> None:
        self.send(frames.frame(frames.SOFT, struct.pack("<Q", job)))

    def done(self, job: int, text: str = "0.5 'ok'") -> None:
        self.send(result((job, DONE, 1, done_report(text))))

    def answer(self, job: int, value: Any, state: int = DONE) -> None:
        """With a descriptor that holds `value`."""
        report = done_report(None) if state == DONE else frames.failed_report("KeyError", "'k'", "")
        entry = struct.pack("<QBH", job, state, 1) + report
        frame = frames.frame(frames.RESULT, entry, 1, frames.FLAG_DESCRIPTOR)
        self.send(frame, payload.pack_value(value))

    def lost(self, job: int, cause: str, detail: str) -> None:
        self.send(result((job, LOST, 1, lost_report(cause, detail))))
