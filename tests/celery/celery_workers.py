"""Real Celery workers, spawned or forked, with the test as their supervisor at the other end."""

from __future__ import annotations

import os
import socket
import struct
import textwrap
import time
from pathlib import Path
from typing import Any, Optional

from template_process import ForkedWorker, TemplateProcess
from worker_process import Peer, WorkerProcess

from supervise import _frames as frames
from supervise import _ids
from supervise import _messages as m
from supervise._decode import decode
from supervise.celery import payload
from supervise.celery.answer import Answer, read

# A backend that needs no server: results go to files.
APP = """
import os, sys, time
from celery import Celery, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

HERE = os.path.dirname(__file__)
app = Celery("proj", broker="memory://", backend="file://" + HERE + "/results")
os.makedirs(HERE + "/results", exist_ok=True)

def note(text):
    with open(HERE + "/notes", "a") as file:
        file.write(text + "\\n")

@app.task
def add(a, b):
    return a + b
"""


class CeleryTalk:
    """What a supervisor says to a worker, and hears of it."""

    channel: socket.socket
    folder: Path

    def begin(
        self, job: int, task: str, *args: Any, soft: int = 0, body: Optional[bytes] = None, **headers: Any
    ) -> None:
        if body is None:
            body = _json(
                [list(args), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
            )
        task_id = f"task-{job}"
        request = {"id": task_id, "task": task, "root_id": task_id, "parent_id": None, **headers}
        request["delivery_info"] = {"exchange": "", "routing_key": "celery"}
        call = payload.Call("fast_trace_task", task, task_id, request, body, "application/json", "utf-8")
        head = struct.pack("<QHQQ", job, 1, soft, 0)
        frame = frames.frame(
            frames.JOB,
            head + frames.text8(task.encode()) + _ids.encode_args((task_id,)),
            flags=frames.FLAG_DESCRIPTOR,
        )
        descriptor = payload.pack_call(call)
        socket.send_fds(self.channel, [frame], [descriptor])
        os.close(descriptor)

    def begun(self, job: int) -> m.Begun:
        message, _ = self.receive_all()
        assert isinstance(message, m.Begun), message
        assert message.id == job
        return message

    def answer(self, job: int) -> tuple[m.Report, Answer]:
        """What supervise is told, and what the front makes of it."""
        message, descriptor = self.receive_all()
        assert isinstance(message, m.DoneFrame), message
        assert message.id == job
        answer = read(message.report, descriptor)
        if descriptor is not None:
            os.close(descriptor)
        return message.report, answer

    def run(self, job: int, task: str, *args: Any, **more: Any) -> Answer:
        self.begin(job, task, *args, **more)
        self.begun(job)
        return self.answer(job)[1]

    def receive_all(self) -> tuple[m.Message, Optional[int]]:
        data, descriptors, _, _ = socket.recv_fds(self.channel, 1025, 2)
        assert data, f"the worker hung up: {self.stderr()}"
        return decode(data), descriptors[0] if descriptors else None

    def stderr(self) -> str:
        raise NotImplementedError

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []


def _json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


class CeleryWorker(CeleryTalk, WorkerProcess):
    """`source` goes behind APP, in module proj."""

    options = ("--celery",)

    def __init__(self, folder: Path, source: str = "", app: str = "", mark: Optional[int] = None) -> None:
        write_app(folder, source)
        Peer.__init__(self, folder, "stderr")
        self.mark = mark
        self.spawn(app or "proj:app")

    def spawn(self, app: str) -> None:
        from worker_process import MAIN, PYTHON

        channel, out, errors = self.inherited()
        self.pid = os.posix_spawn(
            PYTHON,
            [PYTHON, str(MAIN), app, "--path", str(self.folder), *self.options],
            {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "CELERY_LOG_LEVEL": "20"},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, channel, 3),
                (os.POSIX_SPAWN_DUP2, out, 1),
                (os.POSIX_SPAWN_DUP2, errors, 2),
            ],
        )
        self.close_inherited()

    def stderr(self) -> str:
        return Peer.stderr(self)


class ForkedCeleryWorker(CeleryTalk, ForkedWorker):
    def stderr(self) -> str:
        return Peer.stderr(self)


class CeleryTemplate(CeleryWorker):
    options = ("--template", "--pool", "test", "--celery")

    start_and_check = TemplateProcess.start_and_check
    send_fork = TemplateProcess.send_fork

    def fork(self, number: int = 1) -> ForkedCeleryWorker:
        worker = ForkedCeleryWorker(self.folder, number)
        channel, out, errors = worker.inherited()
        self.send_fork(frames.FORK_BODY.pack(number, 0, 0), [channel, worker.mark, out, errors])
        worker.close_inherited()
        forked = self.receive()
        assert isinstance(forked, m.Forked) and forked.message == "", forked
        worker.pid = forked.pid
        assert worker.receive() == m.Ready(), worker.stderr()
        return worker


def write_app(folder: Path, source: str) -> None:
    (folder / "proj.py").write_text(APP + textwrap.dedent(source))


def soon(seconds: float) -> int:
    """A deadline, in the clock of JOB."""
    return time.monotonic_ns() + int(seconds * 1e9)
