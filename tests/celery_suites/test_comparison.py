"""The comparison, without Celery."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.celery_suites.comparison import (
    BOTH_FAILED,
    BOTH_PASSED,
    BOTH_SKIPPED,
    EXPLAINED,
    ONLY_OURS,
    ONLY_PREFORK,
    Result,
    compare,
    read_explained,
    table,
)
from tests.celery_suites.lane import Outcome, read_report


@pytest.mark.parametrize(
    "prefork, ours, column",
    [
        ("passed", "passed", BOTH_PASSED),
        ("xfailed", "passed", BOTH_PASSED),
        ("passed", "failed", ONLY_PREFORK),
        ("passed", "lost", ONLY_PREFORK),
        ("passed", "skipped", ONLY_PREFORK),
        ("failed", "passed", ONLY_OURS),
        ("failed", "lost", BOTH_FAILED),
        ("skipped", "failed", BOTH_FAILED),
        ("skipped", "skipped", BOTH_SKIPPED),
    ],
)
def test_a_test_falls_into_one_column(prefork: str, ours: str, column: str) -> None:
    assert compare({"t": Outcome(prefork)}, {"t": Outcome(ours)}) == {"t": column}


def test_a_difference_is_one_that_showed_twice() -> None:
    columns = {"always": ONLY_PREFORK, "once": ONLY_PREFORK, "never": BOTH_PASSED}
    result = Result("5.7.0 redis embedded", columns, {"always": ONLY_PREFORK, "once": BOTH_PASSED})
    assert result.differences() == ["always"]
    assert result.flaky() == ["once"]
    assert result.unexplained({}) == ["always"]
    assert result.unexplained({("5.6.3", "always"): "of another version"}) == ["always"]
    assert result.unexplained({("5.7.0", "always"): "known"}) == []
    assert result.unexplained({("*", "always"): "known"}) == []
    assert table([result]).split("\n")[1].split() == "5.7.0 redis embedded 1 0 2 0 0 0".split()


def test_a_run_in_which_prefork_fails_says_nothing() -> None:
    assert Result("x", {"a": BOTH_PASSED, "b": ONLY_PREFORK, "c": BOTH_FAILED}).says_something()
    assert Result("x", {"a": BOTH_PASSED, "b": BOTH_SKIPPED}).says_something()
    assert not Result("x", {"a": BOTH_PASSED, "b": BOTH_FAILED}).says_something()
    assert Result("x", {}).says_something()  # -k has chosen none


def test_the_worst_of_a_test_counts(tmp_path: Path) -> None:
    def note(test: str, phase: str, outcome: str, part: bool = False) -> str:
        fields = {"test": test, "phase": phase, "outcome": outcome, "part": part, "seconds": 1}
        return json.dumps({**fields, "text": "" if outcome == "passed" else f"why it {outcome}"})

    lines = [
        json.dumps({"test": "good"}),
        *(note("good", phase, "passed") for phase in ("setup", "call", "teardown")),
        note("bad", "call", "failed", part=True),
        note("bad", "call", "passed"),
        *(note("late", phase, outcome) for phase, outcome in (("call", "passed"), ("teardown", "failed"))),
        *(note("away", phase, outcome) for phase, outcome in (("setup", "skipped"), ("teardown", "passed"))),
        *(note("known", phase, outcome) for phase, outcome in (("call", "xfailed"), ("teardown", "passed"))),
        note("killed", "setup", "passed"),
        note("killed", "call", "passed", part=True),
    ]
    (tmp_path / "report").write_text("\n".join(lines))
    outcomes = read_report(tmp_path / "report")
    assert {test: outcome.state for test, outcome in outcomes.items()} == {
        "good": "passed",
        "bad": "failed",
        "late": "failed",
        "away": "skipped",
        "known": "xfailed",
        "killed": "lost",
    }
    assert outcomes["good"].seconds == 3
    assert outcomes["late"].text == "why it failed"


def test_each_explanation_has_a_reason(tmp_path: Path) -> None:
    read_explained(EXPLAINED)
    (tmp_path / "explained.txt").write_text("# title\n\n* t/x.py::test_y it cannot\n")
    assert read_explained(tmp_path / "explained.txt") == {("*", "t/x.py::test_y"): "it cannot"}
    (tmp_path / "explained.txt").write_text("5.7.0 t/x.py::test_y\n")
    with pytest.raises(ValueError, match="explained.txt:1: "):
        read_explained(tmp_path / "explained.txt")
