"""The example of the README does what it says, and cleans up after itself."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import leftovers
from support.daemon import BINARY, TOP
from support.leftovers import until

MARK = "SV_TEST_MARK=examples"


@pytest.fixture
def index():
    """Starts the example's driver; at the end nothing of it may be left."""
    # AF_UNIX paths end at 108 bytes, which pytest's own folders use up.
    folder = Path(tempfile.mkdtemp(prefix="sv-", dir="/tmp"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(TOP / "python/src"),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder),
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
    folder.rmdir()  # fails when something is left in it


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


def test_the_readmes_application_works_as_it_stands(tmp_path):
    text = (TOP / "README.md").read_text()
    blocks = re.findall(r"^```(python|toml)\n(.*?)^```", text, re.M | re.S)
    (_, tasks), (_, config), (_, client) = blocks[:3]
    (tmp_path / "tasks.py").write_text(tasks)
    (tmp_path / "workers.toml").write_text(config)
    (tmp_path / "client.py").write_text(client)
    folder = tempfile.mkdtemp(prefix="sv-", dir="/tmp")
    environment = {
        **os.environ,
        "PYTHONPATH": str(TOP / "python/src"),
        "RUNTIME_DIRECTORY": folder,
        "SUPERVISE_RUNTIME_DIR": folder,
    }
    daemon = subprocess.Popen([BINARY, "--config", "workers.toml"], env=environment, cwd=tmp_path)
    try:
        until(lambda: (Path(folder) / "reports.sock").exists(), 20, "the pool's socket")
        subprocess.run([sys.executable, "client.py"], env=environment, cwd=tmp_path, check=True, timeout=60)
    finally:
        daemon.terminate()
        code = daemon.wait(30)
        shutil.rmtree(folder)
    assert code == 0
