"""The lint stage: each check counts as one test."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lint.__main__ import CHECKS
from tests.lint.sources import Sources
from tests.stages import tidy
from tests.stages.running import BUILD, TOP, run
from tests.stages.tally import Tally, read_junit


def check_all(python: Path) -> Tally:
    sources = Sources.of_repository(TOP)
    tally = Tally()

    def report(name: str, errors: Sequence[str], started: float) -> None:
        print(f"{name} ... {'FAILED' if errors else 'ok'}, {time.monotonic() - started:.1f} s")
        if errors:
            print(*errors, sep="\n", flush=True)
            tally.fails(name)
        else:
            tally.passes()

    for name, check in CHECKS.items():
        started = time.monotonic()
        report(name, check(sources), started)
    for name, argv in _programs(python, sources).items():
        started = time.monotonic()
        report(name, _errors_of(argv), started)
    started = time.monotonic()
    report("clang-format", _unformatted(sources), started)
    tally.add(_self_tests(python))
    started = time.monotonic()
    count, found = tidy.check(sources)
    report(f"clang-tidy ({count} files)", found if count else found or ["no file"], started)
    return tally


def _programs(python: Path, sources: Sources) -> dict[str, list[str]]:
    shell = [path for path, text in sources.texts.items() if _is_shell(path, text)]
    tools = python.parent
    return {
        "shellcheck": ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *shell],
        "ruff": [str(tools / "ruff"), "check", "--quiet", "--output-format=concise", "."],
        "mypy (package)": [
            str(tools / "mypy"), "--config-file", "python/pyproject.toml", "--strict",
            "python/src/supervise",
        ],
        "mypy (tests/run)": [
            str(tools / "mypy"), "--strict", "-p", "tests.lint", "-p", "tests.stages",
            "-p", "tests.celery_suites", "--exclude", "tests/celery_suites/inside",
        ],
    }  # fmt: skip


def _is_shell(path: str, text: str) -> bool:
    return path.endswith(".sh") or text.startswith(("#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh"))


def _unformatted(sources: Sources) -> list[str]:
    files = [path for path, _ in sources.cpp()]
    argv = ["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", *files]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
    wrong = sorted({line.partition(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
    if wrong:
        return ["put right by: clang-format -i " + " ".join(wrong)]
    return [done.stderr] if done.returncode else []


def _errors_of(argv: list[str]) -> list[str]:
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    return [(done.stdout + done.stderr).strip() or f"{argv[0]} ended with {done.returncode}"]


def _self_tests(python: Path) -> Tally:
    """Each check of ours proves that it can fail."""
    junit = BUILD / "reports/lint.xml"
    junit.unlink(missing_ok=True)
    run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}", "tests/lint",
         "tests/stages", "tests/celery_suites"])  # fmt: skip
    return read_junit(junit) if junit.exists() else Tally(failed=1, failures=["self tests"])
