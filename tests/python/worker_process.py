"""Real worker processes, with the test as their supervisor at the other end of the channel."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import textwrap
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from supervise import _frames as frames
from supervise import _ids
from supervise import _messages as m
from supervise._decode import decode

# Their interpreter; another than the test's own to see whether it works with that, too.
PYTHON = os.environ.get("SUPERVISE_TEST_PYTHON", sys.executable)
MAIN = Path(__file__).parents[2] / "python" / "src" / "supervise" / "_worker_main.py"
SECONDS = 20


def job_frame(job: int, task: str, *ids: Any, attempt: int = 1, soft: int = 0, deadline: int = 0) -> bytes:
    head = struct.pack("<QHQQ", job, attempt, soft, deadline)
    return frames.frame(frames.JOB, head + frames.text8(task.encode()) + _ids.encode_args(ids))


class Peer:
    """A child of the test that speaks the worker's protocol. `pid` is 0 while there is none."""

    def __init__(self, folder: Path, stderr: str) -> None:
        self.folder = folder
        self.pid = 0
        self.channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(SECONDS)
        out_read, self._out = os.pipe()
        self.stdout = os.fdopen(out_read)
        self._stderr = folder / stderr
        self._errors = os.open(self._stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.status: Optional[int] = None

    def inherited(self) -> list[int]:
        """Its channel, standard output and standard error."""
        return [self._theirs.fileno(), self._out, self._errors]

    def close_inherited(self) -> None:
        self._theirs.close()
        os.close(self._out)
        os.close(self._errors)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.channel.close()
        self.stdout.close()
        if self.pid and self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def receive(self) -> m.Message:
        data = self.channel.recv(1025)
        assert data, f"the process hung up: {self.stderr()}"
        return decode(data)

    def send(self, kind: int, body: bytes = b"") -> None:
        self.channel.send(frames.frame(kind, body))

    def begin(self, job: int, task: str, *ids: Any, **times: int) -> None:
        self.channel.send(job_frame(job, task, *ids, **times))

    def report(self, job: int) -> m.Report:
        message = self.receive()
        assert isinstance(message, m.DoneFrame), message
        assert message.id == job
        return message.report

    def run(self, job: int, task: str, *ids: Any, **times: int) -> m.Report:
        self.begin(job, task, *ids, **times)
        return self.report(job)

    def result(self, task: str, *ids: Any) -> Any:
        """Runs a job that must not fail."""
        report = self.run(1, task, *ids)
        assert isinstance(report, m.Done), report
        return report.id

    def exit_code(self) -> int:
        """Waits for the end; minus the signal's number for a death by signal."""
        if self.status is None:
            _, self.status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(self.status)

    def stderr(self) -> str:
        return self._stderr.read_text()


class WorkerProcess(Peer):
    """A spawned one. `options` are more arguments of its script."""

    options: tuple[str, ...] = ()

    def __init__(self, folder: Path, source: str, app: str = "app", mark: Optional[int] = None) -> None:
        super().__init__(folder, "stderr")
        self.mark = mark
        (folder / f"{app}.py").write_text("import supervise\n" + textwrap.dedent(source))
        channel, out, errors = self.inherited()
        self.pid = os.posix_spawn(
            PYTHON,
            [PYTHON, str(MAIN), app, "--path", str(folder), *self.options],
            {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, channel, 3),
                (os.POSIX_SPAWN_DUP2, out, 1),
                (os.POSIX_SPAWN_DUP2, errors, 2),
            ],
        )
        self.close_inherited()

    def welcome(self) -> m.Hello:
        hello = self.receive()
        assert isinstance(hello, m.Hello)
        body = struct.pack("<HIHI", 1, 0, 2, 7) + frames.text8(b"test") + frames.text8(b"fake 0")
        if self.mark is None:
            self.channel.send(frames.frame(frames.WELCOME, body))
        else:
            frame = frames.frame(frames.WELCOME, body, flags=frames.FLAG_DESCRIPTOR)
            socket.send_fds(self.channel, [frame], [self.mark])
        return hello

    def start(self) -> list[m.TaskInfo]:
        """HELLO to READY."""
        self.welcome()
        tasks: list[m.TaskInfo] = []
        while True:
            message = self.receive()
            if isinstance(message, m.Ready):
                return tasks
            assert isinstance(message, m.Register), message
            tasks += message.tasks
