"""Counts of tests, and reading them from the reports of Catch2 and pytest."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)  # one line each, for the summary

    def add(self, other: Tally) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def passes(self) -> None:
        self.passed += 1

    def fails(self, name: str) -> None:
        self.failed += 1
        self.failures.append(name)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def read_catch2(report: Path, program: str) -> tuple[Tally, list[str]]:
    """The test cases of one program, from `--reporter xml` (the same in versions 2 and 3), and what
    went wrong, for people. A report that breaks off means a crash in its last test case."""
    tally, details = Tally(), []
    name = "(before the first test)"
    parser = ElementTree.iterparse(report, events=("start", "end"))
    try:
        for event, element in parser:
            if element.tag != "TestCase":
                continue
            name = f"{program}: {element.get('name', '').strip()}"
            if event == "start":
                continue
            result = element.find("OverallResult")
            warnings = [(warning.text or "").strip() for warning in element.iter("Warning")]
            if result is None or result.get("success") != "true":
                tally.fails(name)
                details += [name, *_catch2_details(element)]
            elif result.get("skips", "0") != "0" or any(
                warning.startswith("skipped:") for warning in warnings
            ):
                tally.skipped += 1
            else:
                tally.passes()
    except ElementTree.ParseError:
        tally.fails(f"{name} (crashed)")
    return tally, details


def _catch2_details(case: ElementTree.Element) -> list[str]:
    lines = []
    for element in case.iter():
        place = f"  {element.get('filename')}:{element.get('line')}: "
        text = (element.text or "").strip()
        if element.tag == "Expression" and element.get("success") == "false":
            kind = element.get("type", "")
            lines.append(f"{place}{kind}( {(element.findtext('Original') or '').strip()} )")
            lines.append(f"    with: {(element.findtext('Expanded') or '').strip()}")
        elif element.tag in ("Exception", "Failure", "FatalErrorCondition"):
            lines.append(f"{place}{element.tag}: {text}")
        elif element.tag in ("Info", "Warning"):
            lines.append(f"    {text}")
    return lines


def read_junit(report: Path) -> Tally:
    """pytest's --junitxml."""
    tally = Tally()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            tally.fails(name)
        elif case.find("skipped") is not None:
            tally.skipped += 1
        else:
            tally.passes()
    return tally
