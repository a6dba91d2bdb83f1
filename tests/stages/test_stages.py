"""The counting and the stopping of tests/run, without building anything."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stages.running import TOP
from tests.stages.stages import STAGES
from tests.stages.tally import Tally, read_catch2, read_junit

CASES = """
<TestCase name="good"><OverallResult success="true"/></TestCase>
<TestCase name="bad">
  <Section name="s">
    <Expression success="false" type="REQUIRE" filename="x.cpp" line="7">
      <Original>a == b</Original><Expanded>1 == 2</Expanded>
    </Expression>
  </Section>
  <OverallResult success="false"/>
</TestCase>
<TestCase name="away"><Warning>skipped: no cgroup</Warning><OverallResult success="true"/></TestCase>
<TestCase name="away too"><OverallResult success="true" skips="1"/></TestCase>
"""


def catch2(tmp_path: Path, text: str) -> tuple[Tally, list[str]]:
    report = tmp_path / "report.xml"
    report.write_text(text)
    return read_catch2(report, "unit_x")


@pytest.mark.parametrize(
    "text",
    [
        f'<?xml version="1.0"?><Catch name="x"><Group name="x">{CASES}</Group></Catch>',
        f'<?xml version="1.0"?><Catch2TestRun name="x">{CASES}</Catch2TestRun>',
    ],
    ids=["version 2", "version 3"],
)
def test_catch2_cases_are_counted(tmp_path: Path, text: str) -> None:
    tally, details = catch2(tmp_path, text)
    assert (tally.passed, tally.failed, tally.skipped) == (1, 1, 2)
    assert tally.failures == ["unit_x: bad"]
    assert "  x.cpp:7: REQUIRE( a == b )" in details
    assert "    with: 1 == 2" in details


def test_a_catch2_report_that_breaks_off_is_a_failure_of_the_last_case(tmp_path: Path) -> None:
    text = '<Catch><TestCase name="a"><OverallResult success="true"/></TestCase><TestCase name="b">'
    tally, _ = catch2(tmp_path, text)
    assert (tally.passed, tally.failures) == (1, ["unit_x: b (crashed)"])


def test_junit_cases_are_counted(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="m" name="a"/>'
        '<testcase classname="m" name="b"><failure/></testcase>'
        '<testcase classname="m" name="c"><error/></testcase>'
        '<testcase classname="m" name="d"><skipped/></testcase></testsuite></testsuites>'
    )
    tally = read_junit(report)
    assert (tally.passed, tally.failed, tally.skipped) == (1, 2, 1)
    assert tally.failures == ["m::b", "m::c"]


def stages(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.stages", *arguments], cwd=TOP, capture_output=True, text=True
    )


def test_the_list_names_every_stage_and_what_it_does() -> None:
    lines = stages("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(STAGES)
    assert all(len(line.split()) > 3 for line in lines)


def test_an_unknown_stage_is_refused_with_the_names_of_all() -> None:
    ended = stages("unti")
    assert ended.returncode == 2
    assert "unti" in ended.stderr
    assert "unit" in ended.stderr


# Two programs at once; each has a child in a session of its own, as a test's daemon would be.
SLEEPERS = """
import sys
from tests.stages.running import in_parallel, run
in_parallel(lambda n: run(["bash", "-c", "setsid sleep 600 & echo $$ $! >> $0; wait", sys.argv[1]]), [1, 2])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    listing = tmp_path / "pids"
    script = "from tests.stages.__main__ import catch_signals; catch_signals()\n" + SLEEPERS
    runner = subprocess.Popen([sys.executable, "-c", script, str(listing)], cwd=TOP)
    try:
        wait_until(lambda: listing.exists() and len(listing.read_text().split()) == 4)
        pids = [int(word) for word in listing.read_text().split()]
        assert all(alive(pid) for pid in pids)
        runner.send_signal(number)
        assert runner.wait(30) != 0
    finally:
        runner.kill()
        runner.wait()
    assert [pid for pid in pids if alive(pid)] == []


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """And no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
