"""The example of the README does what it says, and cleans up after itself."""

import os
import signal
import subprocess
import sys

import pytest

from support import leftovers
from support.daemon import BINARY, TOP
from support.leftovers import until

MARK = "SV_TEST_MARK=examples"


@pytest.fixture
def index(tmp_path):
    """Starts the example's driver; at the end nothing of it may be left."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(TOP / "python/src"),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(tmp_path),
        "SV_TEST_MARK": f"examples-{os.getpid()}.",
    }
    process = subprocess.Popen(
        [sys.executable, TOP / "examples/index_stdlib/index.py", BINARY],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()
    until(lambda: not leftovers.processes(f"{MARK}-{os.getpid()}."), 5, "the processes to go")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_library_is_indexed_and_no_job_is_lost(index):
    output, _ = index.communicate(timeout=300)
    assert index.returncode == 0, output
    lines = {line[2:28].strip(): line[28:].split() for line in output.splitlines() if line.startswith("  ")}
    assert lines["jobs done"][0] == lines["jobs done"][1] != "0"
    assert lines["jobs failed, lost or dead"] == ["0", "0"]
    assert "max_rss" in lines["workers recycled"]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing(index, number, code):
    assert "files" in index.stdout.readline()
    until(lambda: len(leftovers.processes(f"{MARK}-{os.getpid()}.")) >= 4, 20, "workers to start")
    index.send_signal(number)
    assert index.wait(30) == code
