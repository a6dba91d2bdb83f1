"""Running programs so that an interrupted test run leaves none of them behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
JOBS = min(os.cpu_count() or 1, 4)
INTERRUPT_GRACE = 15.0  # seconds in which pytest's fixtures stop what they have started

_live: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopping = False

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def run(
    argv: Sequence[str | Path],
    *,
    output: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = TOP,
    timeout: float | None = None,
) -> int:
    """The exit status, 124 after a time-out. Output goes to the terminal, or to `output`."""
    with _lock:
        if _stopping:
            raise KeyboardInterrupt
        process = subprocess.Popen(
            [str(word) for word in argv], cwd=cwd, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )  # fmt: skip
        _live.add(process)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        _end([process], grace=0)
        return 124
    finally:
        if process.poll() is not None:
            with _lock:
                _live.discard(process)


def in_parallel(function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """The answers in order. An interrupt ends what runs before it waits for the threads."""
    pool = ThreadPoolExecutor(JOBS)
    try:
        return list(pool.map(function, items))
    except KeyboardInterrupt:
        interrupt_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def interrupt_all() -> None:
    """Ends everything that still runs: asked first, so that fixtures clean up, then killed."""
    global _stopping
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # this is already the answer to them
    with _lock:
        _stopping = True
        processes = list(_live)
    _end(processes, grace=INTERRUPT_GRACE)


def _end(processes: list[subprocess.Popen[bytes]], grace: float) -> None:
    # Taken before anything dies: an orphan cannot be traced to us. Test daemons lead sessions of
    # their own, so signals to our process groups do not reach them.
    family = [member for process in processes for member in _family(process.pid)]
    for process in processes:
        _signal_group(process.pid, signal.SIGINT)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.05)
    for pid, started in family:
        if _start_time(pid) == started:  # not a stranger that got its number
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    for process in processes:
        process.wait()


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def _family(pid: int) -> Iterator[tuple[int, str]]:
    """A process and all its descendants, each with its start time."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        started = _start_time(current)
        if started:
            yield current, started
        waiting += children.get(current, [])


def _start_time(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields else ""


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from the state on (proc(5), field 3); empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
