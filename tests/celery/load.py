"""Many tasks that leave marks, murders among their workers, and what the marks say of it all."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Optional

from celery_front import BINARY, Front

from supervise.celery.control import Control, ControlError

# Behind celery_front.PROJECT. One write a mark, at the file's end: no two can mix.
SOURCE = """
def mark(kind, number):
    file = os.open(os.environ["TEST_MARKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{kind} {number} {os.getpid()} {time.monotonic_ns()}\\n".encode())
    os.close(file)

@app.task(acks_late=True, reject_on_worker_lost=True, ignore_result=True)
def marks(number, seconds):
    mark("start", number)
    time.sleep(seconds)
    mark("end", number)

app.conf.supervise_max_worker_losses = 0
"""


class Run(NamedTuple):
    """Of a task in a worker; times in ns of CLOCK_MONOTONIC."""

    number: int
    pid: int
    started: int
    ended: Optional[int]


class Kill(NamedTuple):
    pid: int
    time: int  # when it had been sent


class Load:
    """Tasks 0 to count - 1, each of so many seconds, for any number of fronts."""

    def __init__(self, folder: Path, count: int, seconds: float = 0.005) -> None:
        self.path = folder / "marks"
        self.count = count
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """All of it may be sent again."""
        self.path.write_bytes(b"")
        self._read = 0
        self._ended: set[int] = set()

    def send(self, front: Front, queue: str = "celery") -> None:
        """Makes it a client only: the front need not run."""
        with front.app.producer_or_acquire() as producer:
            for number in range(self.count):
                front.app.send_task(
                    "proj.marks",
                    (number, self._seconds),
                    task_id=f"marks-{number}",
                    ignore_result=True,
                    producer=producer,
                    queue=queue,
                )

    def serve(self, front: Front) -> Front:
        """Before its start."""
        front.environment["TEST_MARKS"] = str(self.path)
        return front

    def ended(self) -> int:
        """How many have run to their end, once or more often."""
        with open(self.path, "rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        self._ended.update(int(line.split()[1]) for line in whole.splitlines() if line.startswith(b"end"))
        return len(self._ended)

    def missing(self) -> set[int]:
        """Those that have not run to their end, when ended() was last asked."""
        return set(range(self.count)) - self._ended

    def until_ended(self, front: Front, count: Optional[int] = None, timeout: float = 100) -> None:
        """All of them, or so many."""
        wanted = self.count if count is None else count
        front.until(lambda: self.ended() >= wanted, f"{wanted} tasks to have run", timeout)

    def runs(self) -> list[Run]:
        """In the order in which they began."""
        open_runs: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
        found: list[Run] = []
        for line in self.path.read_text().splitlines():
            kind, number, pid, at = line.split()
            key = (int(number), int(pid))
            if kind == "start":
                open_runs[key].append(len(found))
                found.append(Run(*key, int(at), None))
            else:
                which = open_runs[key].pop()
                found[which] = found[which]._replace(ended=int(at))
        return sorted(found, key=lambda run: run.started)

    def repeated(self) -> dict[int, list[Run]]:
        by_number: dict[int, list[Run]] = collections.defaultdict(list)
        for run in self.runs():
            by_number[run.number].append(run)
        return {number: runs for number, runs in by_number.items() if len(runs) > 1}

    def check_repeated_are_the_killed(self, kills: Iterable[Kill]) -> None:
        """Each has run to its end. A run that was not its task's last is one that a killed worker was
        at, or had just come to the end of and not told yet."""
        runs = self.runs()
        assert {run.number for run in runs if run.ended} == set(range(self.count))
        by_pid: dict[int, list[Run]] = collections.defaultdict(list)
        for run in runs:
            by_pid[run.pid].append(run)
        excused = set()
        for kill in kills:
            before = [run for run in by_pid[kill.pid] if run.started <= kill.time]
            excused.update(before[-1:])
        for number, of_task in self.repeated().items():
            unexcused = [run for run in of_task[:-1] if run not in excused]
            assert not unexcused, f"task {number} has run again without need: {of_task}"


class Killer(threading.Thread):
    """Kills a worker of a running front every so often, one that is at a task if there is any."""

    def __init__(self, sockets: Path, pattern: str, pool: str, seconds: float) -> None:
        """`pattern`: of the control sockets in folder `sockets`."""
        super().__init__(daemon=True)
        self.kills: list[Kill] = []
        self._sockets = sockets
        self._pattern = pattern
        self._pool = pool
        self._seconds = seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(self._seconds):
            workers = []
            for path in self._sockets.glob(self._pattern):
                with contextlib.suppress(ControlError):
                    workers += Control(str(path), self._pool).status().get("workers", [])
            busy = [worker["pid"] for worker in workers if worker["state"] == "busy"]
            candidates = busy or [worker["pid"] for worker in workers if worker["pid"]]
            if candidates:
                self._kill(random.choice(candidates))

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if _is_a_supervises_child(pid):  # by now the number may be another's
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    self.kills.append(Kill(pid, time.monotonic_ns()))
            finally:
                os.close(descriptor)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _is_a_supervises_child(pid: int) -> bool:
    parent = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1]
    return os.readlink(f"/proc/{parent}/exe") == str(BINARY)
