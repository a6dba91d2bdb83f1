"""What workers print arrives in the log, with who said it; a flood does not."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.daemon import APPS
from support.leftovers import until


def test_each_line_names_pool_slot_and_pid(start):
    sv = start()
    with sv.client() as client:
        pid = client.submit("suite.pid").result(timeout=20)
        client.submit("suite.say", "good morning").result(timeout=20)
        client.submit("suite.complain", "not so good").result(timeout=20)
    said = sv.wait_event("worker.output", line="good morning")
    complained = sv.wait_event("worker.output", line="not so good")
    for line in (said, complained):
        assert (line["pool"], line["slot"], line["pid"]) == ("p", 1, pid)
    assert said["stream"] == "stdout" and complained["stream"] == "stderr"


def test_a_long_line_is_cut_and_says_so(start):
    sv = start(output={"max_line": 200})
    with sv.client() as client:
        client.submit("suite.say_long", 100_000).result(timeout=20)
        client.submit("suite.say", "after it").result(timeout=20)
    sv.wait_event("worker.output", line="after it")
    lines = [event for event in sv.events("worker.output") if event["line"].startswith("yyy")]
    assert len(lines) == 1 and len(lines[0]["line"]) < 300


def test_a_flood_is_held_back_and_counted_and_jobs_go_on(start):
    sv = start(workers=2, output={"lines_per_second": 100})
    with sv.client() as client:
        flood = client.submit("suite.say_much", 200_000)
        assert list(client.map("suite.echo", range(200))) == list(range(200))
        flood.result(timeout=60)
    assert 0 < len(sv.events("worker.output")) < 2000
    dropped = sv.wait_event("worker.output_held_back")
    assert dropped["lines"] > 0 and dropped["pool"] == "p"


def test_bytes_that_are_no_text_keep_the_log_readable(start):
    sv = start()
    with sv.client() as client:
        client.submit("suite.write_raw", 1).result(timeout=20)
        client.submit("suite.write_raw", 2).result(timeout=20)
        client.submit("suite.say", "\x1b[31mred\nsecond line").result(timeout=20)
    sv.wait_event("worker.output", line="second line")
    sv.stop()
    for line in sv.log().splitlines():
        json.loads(line)
    assert any("without an end" in event["line"] for event in sv.events("worker.output"))


def test_the_text_log_has_one_line_an_event(start):
    sv = start(supervisor={"log": {"level": "info", "format": "text"}})
    with sv.client() as client:
        client.submit("suite.say", "two words").result(timeout=20)
    sv.stop()
    (line,) = [line for line in sv.log().splitlines() if "two words" in line]
    assert "worker.output" in line and "pool=p" in line and 'line="two words"' in line


def test_a_log_file_is_reopened_on_usr1(make):
    sv = make()
    log = sv.folder / "supervise.log"
    sv.config["supervisor"]["log"] = {"level": "info", "format": "json", "file": str(log)}
    sv.write_config()
    sv.start()
    assert log.read_text()
    log.rename(sv.folder / "supervise.log.1")
    sv.signal(signal.SIGUSR1)
    until(log.exists, 10, "a new log file")
    with sv.client() as client:
        client.submit("suite.say", "in the new file").result(timeout=20)
    until(lambda: "in the new file" in log.read_text(), 10, "the line in the new file")


def test_a_worker_starts_with_a_clean_slate(start):
    sv = start(umask="0027", directory="/usr", environment={"COLOUR": "blue"}, limits={"nofile": 123})
    with sv.client() as client:
        own_pid_group, own_session, stdin = client.submit("suite.session").result(timeout=20).split()
        assert (own_pid_group, own_session, stdin) == ("True", "True", "/dev/null")
        open_files = client.submit("suite.descriptors").result(timeout=20).splitlines()
        kinds = [file.partition(":")[0] for file in open_files]
        # Its channel, and the page on which it marks the job that it has begun.
        assert kinds == ["/dev/null", "pipe", "pipe", "socket", "/memfd"], open_files
        assert client.submit("suite.working_directory").result(timeout=20) == "/usr 27"
        assert client.submit("suite.environment", "COLOUR").result(timeout=20) == "blue"


def test_a_worker_is_a_likelier_victim_of_the_kernel_than_the_supervisor(start):
    sv = start(memory={"oom_score_adj": 700})
    (pid,) = sv.pids()
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "700"
    assert Path(f"/proc/{sv.process.pid}/oom_score_adj").read_text().strip() == "0"


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which needs root")
def test_workers_run_as_the_pools_user(start):
    readable = all(folder.stat().st_mode & 0o001 for folder in APPS.parents)
    if not readable or not as_nobody_can_run_python():
        pytest.skip("this checkout or this interpreter is closed to other users")
    sv = start(user="nobody", group="nogroup")
    (pid,) = sv.pids()
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert "Gid:\t65534\t65534\t65534\t65534" in status and "Groups:\t65534" in status
    with sv.client() as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def as_nobody_can_run_python():
    run = subprocess.run([sys.executable, "-c", ""], user=65534, group=65534, check=False)
    return run.returncode == 0
