"""examples/celery does what its page says, and cleans up after itself."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import RABBITMQ
from celery_front import BINARY, TOP

MARK = f"GALLERY_TEST={os.getpid()}"
Show = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Show]:
    """show(OPTION...) starts it; at the end nothing may be left."""
    if not BINARY.exists() or shutil.which("redis-server") is None:
        pytest.skip("it takes the program supervise and a redis-server")
    folder = Path(tempfile.mkdtemp(prefix="sg-", dir="/tmp"))  # sockets' paths are short
    name, _, value = MARK.partition("=")
    environment = {**os.environ, name: value, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        driver = TOP / "examples/celery/show.py"
        command = [sys.executable, str(driver), *options, "--folder", str(tmp_path), str(BINARY)]
        started.append(
            subprocess.Popen(
                command,
                env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    patience = time.monotonic() + 30
    while marked():
        assert time.monotonic() < patience, f"still there: {marked()}"
        time.sleep(0.05)
    folder.rmdir()  # fails when something is left in it


def marked() -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if MARK.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("options", [[], ["--supervise"], ["--rabbitmq"]], ids=" ".join)
def test_the_album_is_made_and_what_was_too_hungry_is_explained(
    show: Show, tmp_path: Path, options: list[str]
) -> None:
    if "--rabbitmq" in options and not RABBITMQ.exists():
        pytest.skip("there is no rabbitmq-server")
    process = show(*options)
    output, _ = process.communicate(timeout=110)
    assert process.returncode == 0, output
    assert (tmp_path / "index.html").read_text().count("-small.png") == 12
    assert (tmp_path / "11-small.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"a retry.* done at attempt 3 ", output)
    assert re.search(r"6 peaks.* [12] workers ", output)  # the peaks are no reason to replace one
    assert "WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)" in output
    assert re.search(
        r"memory of 2\d\d MiB reached memory.hard = 250 MiB; task gallery.tasks.panorama", output
    )
    assert re.search(r"recycled: max_rss [2-9]; +restarted: memory_hard_limit 1\n", output)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing(show: Show, number: int, code: int) -> None:
    process = show()
    assert process.stdout is not None
    for line in process.stdout:
        if "(a chord)" in line:
            break
    process.send_signal(number)
    process.stdout.read()
    assert process.wait(60) == code
