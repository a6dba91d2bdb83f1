"""Runs one case in a process of its own, with a time limit, and takes away whatever it leaves."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from bench import cgroups, procfs
from bench.case import Case, Place, Run
from bench.stats import foreign_share

END_SECONDS = 5  # for a case to end after it has given its values
HELPERS_SECONDS = 2  # for a fork server or a resource tracker to notice that it has
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on, what outlives its parent among our descendants becomes our child (Linux 3.4)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Runner:
    def __init__(self, program: str) -> None:
        self.program = program
        self.cgroup_root = f"/supervise-bench-{os.getpid()}" if cgroups.may_make() else ""

    def run(self, case: Case, number: int, limit: float) -> Run:
        folder = tempfile.mkdtemp(prefix="supervise-bench-")
        started, busy, own = time.monotonic(), procfs.machine_busy(), _own_cpu()
        run = Run(case, number, {})
        try:
            self._measure(run, Place(folder, self.program, self.cgroup_root), limit)
        finally:
            left = end_descendants(HELPERS_SECONDS)
            stuck = cgroups.remove(self.cgroup_root)
            shutil.rmtree(folder, ignore_errors=True)
        if left:
            run.note = f"{run.note}; it left {left} processes".removeprefix("; ")
        if stuck:
            raise RuntimeError(f"cgroups are left that cannot be removed: {', '.join(map(str, stuck))}")
        wall = time.monotonic() - started
        run.foreign = foreign_share(procfs.machine_busy() - busy, _own_cpu() - own, wall, os.cpu_count() or 1)
        return run

    def _measure(self, run: Run, place: Place, limit: float) -> None:
        reading, writing = os.pipe()
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
        }
        argv = [sys.executable, "-m", "bench.one", run.case.dump(), json.dumps(dataclasses.asdict(place))]
        with open(f"{place.folder}/stderr-of-case", "w+b") as stderr:
            process = subprocess.Popen(
                [*argv, str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=environment,
                pass_fds=[writing],
                start_new_session=True,
            )
            os.close(writing)
            try:
                line = _read_line(reading, time.monotonic() + limit)
            finally:
                os.close(reading)
            if line is None:
                run.error = f"no end within {limit:.0f} s"
                process.kill()
                process.wait()
                return
            answer = json.loads(line or "{}")
            run.values = answer.get("values", {})
            run.error = answer.get("error", "")
            try:
                code = process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                run.note = f"it did not end within {END_SECONDS} s and was killed"
                process.kill()
                code = process.wait()
            stderr.seek(0)
            said = stderr.read().decode(errors="replace").strip()
            if code != 0 and not run.values:
                run.error = run.error or f"ended with {code} and no values"
            elif code != 0 and not run.note:
                run.note = f"it ended badly: {said.splitlines()[-1] if said else code}"
            if run.error:
                print(f"\n{said[-2000:]}", file=sys.stderr)


def _read_line(descriptor: int, deadline: float) -> bytes | None:
    """A line, or b"" when the other end is closed without one; None when the time is over."""
    data = b""
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        more = os.read(descriptor, 65536)
        if not more:
            return b""
        data += more
    return data


def end_descendants(seconds: float = 0) -> int:
    """Gives every process that came from us so long to end by itself, then kills it by its pid. Returns how
    many were killed."""
    deadline = time.monotonic() + seconds
    killed = set()
    while True:
        _reap()
        living = [pid for pid in procfs.descendants(os.getpid()) if not procfs.is_zombie(pid)]
        if not living:
            break
        if time.monotonic() >= deadline:
            for pid in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed.update(living)
        time.sleep(0.005)
    _reap()
    return len(killed)


def _reap() -> None:
    """Orphans that we adopted, so that their processor time counts as ours."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG | 0x40000000)[0]:  # __WALL: whatever signal they end with
            pass


def _own_cpu() -> float:
    """Processor seconds of this process and of all its descendants that have ended."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
