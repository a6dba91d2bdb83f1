"""A real template and the workers that it forks, with the test as the supervisor of all."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from worker_process import Peer, WorkerProcess

from supervise import _frames as frames
from supervise import _messages as m


class ForkedWorker(Peer):
    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(folder, f"stderr.{number}")
        self.mark = os.memfd_create("mark")
        os.truncate(self.mark, 16)

    def begun(self) -> tuple[int, int]:
        """The job and attempt that its mark names."""
        job, attempt = struct.unpack("<QQ", os.pread(self.mark, 16, 0))
        return job, attempt

    def __exit__(self, *error: Any) -> None:
        os.close(self.mark)
        super().__exit__(*error)


class TemplateProcess(WorkerProcess):
    options = ("--template", "--pool", "test")

    def start_and_check(self) -> list[str]:
        """HELLO to READY; returns what makes forking unsafe."""
        hello = self.welcome()
        assert (hello.role, hello.pid) == (frames.TEMPLATE, self.pid)
        findings: list[str] = []
        while True:
            message = self.receive()
            if isinstance(message, m.Ready):
                return findings
            if isinstance(message, m.Unsafe):
                findings += message.findings
            else:
                assert isinstance(message, m.Register), message

    def fork(self, number: int = 1) -> ForkedWorker:
        """A worker that is READY."""
        worker = self.ask_for(number)
        forked = self.receive()
        assert isinstance(forked, m.Forked)
        assert (forked.number, forked.message) == (number, "")
        worker.pid = forked.pid
        assert worker.receive() == m.Ready(), worker.stderr()
        return worker

    def ask_for(self, number: int, group: Optional[int] = None, joins: Sequence[int] = ()) -> ForkedWorker:
        worker = ForkedWorker(self.folder, number)
        channel, out, errors = worker.inherited()
        more = [*([] if group is None else [group]), *joins]
        body = frames.FORK_BODY.pack(number, group is not None, len(joins))
        self.send_fork(body, [channel, worker.mark, out, errors, *more])
        worker.close_inherited()
        return worker

    def send_fork(self, body: bytes, descriptors: list[int]) -> None:
        frame = frames.frame(frames.FORK, body, flags=frames.FLAG_DESCRIPTOR)
        socket.send_fds(self.channel, [frame], descriptors)

    def receive_pong(self) -> int:
        """The answer to a PING; whatever was asked before is done then."""
        self.send(frames.PING, frames.U64.pack(5))
        pong = self.receive()
        assert isinstance(pong, m.Pong), pong
        return pong.token
