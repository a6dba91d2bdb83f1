"""The stages. Each takes the wish (`-k`) and returns its tally; it never raises for a failed test."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tests.celery_suites import stage as suites
from tests.stages import guest, install, lint
from tests.stages.running import BUILD, JOBS, in_parallel, run
from tests.stages.tally import Tally, read_catch2, read_junit

PYTHON = BUILD / "venv/bin/python"
REPORTS = BUILD / "reports"

# How much of the long tests belongs to every run: their own limits take minutes each.
SLOW_SCALE = os.environ.get("SUPERVISE_TEST_SCALE", "0.05")
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


@cache
def build(preset: str) -> bool:
    """Once a run, for all stages that need it."""
    script = '. scripts/lib.sh && build "$0"'
    return run(["bash", "-c", script, preset]) == 0


def unit(expression: str | None, preset: str = "release") -> Tally:
    """Catch2: one program a module, optimised."""
    if not build(preset):
        return Tally(failed=1, failures=[f"build {preset}"])
    listing = subprocess.run(
        ["ctest", "--show-only=json-v1"], cwd=BUILD / preset, check=True, capture_output=True
    )
    tests = json.loads(listing.stdout)["tests"]
    if not tests:
        return Tally(failed=1, failures=[f"{preset} has no unit tests"])

    def one(test: Mapping[str, list[str]]) -> tuple[Tally, str]:
        return run_catch2(Path(test["command"][0]), preset, expression)

    tally = Tally()
    for counts, text in in_parallel(one, tests):
        print(text, flush=True)
        tally.add(counts)
    return tally


def run_catch2(program: Path, preset: str, expression: str | None) -> tuple[Tally, str]:
    report = REPORTS / f"{preset}-{program.name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    wish = []
    if expression:
        escaped = "".join(f"\\{mark}" if mark in '\\,[]"' else mark for mark in expression)
        wish = [f"*{escaped}*"]
    argv: list[str | Path] = [program, *wish, "--reporter", "xml", "--out", report]
    with tempfile.TemporaryFile() as output:
        status = run(argv, output=output, env=SANITIZERS, timeout=600)
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if status == 124:
        return Tally(failed=1, failures=[f"{program.name} (no end within 600 s)"]), printed
    if not report.exists():
        return Tally(failed=1, failures=[f"{program.name} (no report)"]), printed
    tally, details = read_catch2(report, program.name)
    if status != 0 and not tally.failed and not (expression and not tally.passed):
        tally.fails(f"{program.name} (exit status {status} after its tests)")
    lines = [f"{program.name}: {tally}", *details]
    if tally.failed:
        lines.append(printed)
    return tally, "\n".join(lines)


def run_pytest(name: str, arguments: list[str | Path], env: Mapping[str, str]) -> Tally:
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    status = run(
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments],
        env=env,
    )
    if not report.exists():
        return Tally(failed=1, failures=[f"{name}: pytest ended with {status} and no report"])
    tally = read_junit(report)
    if status not in (0, 1, 5) and not tally.failed:
        tally.fails(f"{name}: pytest ended with status {status}")
    return tally


def python(expression: str | None) -> Tally:
    """pytest: the Python package alone, and the bench's arithmetic."""
    arguments: list[str | Path] = ["-c", "python/pyproject.toml", "-n", str(JOBS), "--timeout=120"]
    return run_pytest("python", [*arguments, *_wish(expression), "tests/python", "bench/tests"], {})


def integration(expression: str | None) -> Tally:
    """pytest against the optimised program, real workers included."""
    if not build("release"):
        return Tally(failed=1, failures=["build release"])
    return run_integration("release", [*_wish(expression)], timeout=300)


def run_integration(preset: str, arguments: list[str], timeout: int) -> Tally:
    return run_pytest(
        f"integration-{preset}",
        ["-c", "tests/integration/pytest.ini", "--rootdir", "tests/integration",
         "-n", str(JOBS), "--dist", "loadfile", f"--timeout={timeout}", *arguments,
         "tests/integration"],
        {
            **SANITIZERS,
            "SUPERVISE_BINARY": str(BUILD / preset / "supervise"),
            "SUPERVISE_TEST_SCALE": SLOW_SCALE,
        },
    )  # fmt: skip


def celery(expression: str | None) -> Tally:
    """pytest: the pool class and the claim check, with real Celery, kombu and Redis."""
    if not build("release"):
        return Tally(failed=1, failures=["build release"])
    tally = Tally()
    for name in ("celery", "claim"):
        arguments: list[str | Path] = [
            "-c", f"tests/{name}/pytest.ini", "--rootdir", f"tests/{name}",
            "-n", str(2 * JOBS), "--dist", "loadfile", "--timeout=300",  # mostly they wait
        ]  # fmt: skip
        environment = {"SUPERVISE_BINARY": str(BUILD / "release/supervise")}
        tally.add(run_pytest(name, [*arguments, *_wish(expression), f"tests/{name}"], environment))
    return tally


def celery_suites(expression: str | None) -> Tally:
    """Celery's own integration suite, with prefork and with our pool: the quick part."""
    if not build("release"):
        return Tally(failed=1, failures=["build release"])
    return suites.run_quick(expression)


def asan(expression: str | None) -> Tally:
    """Unit and integration tests (but the slow ones) under the address and UB sanitizers."""
    if not build("asan"):
        return Tally(failed=1, failures=["build asan"])
    tally = unit(expression, "asan")
    tally.add(run_integration("asan", ["-m", "not slow", *_wish(expression)], timeout=600))
    return tally


def guest_stage(expression: str | None) -> Tally:
    """The same jobs under a real systemd, as root and as a user, in guests with cgroup v2 alone."""
    if not build("release"):
        return Tally(failed=1, failures=["build release"])
    return guest.check_all(PYTHON, expression)


def lint_stage(_expression: str | None) -> Tally:
    """Formats, layers, coroutine rules, types, clang-tidy."""
    return lint.check_all(PYTHON)


def install_stage(_expression: str | None) -> Tally:
    """An installed copy: the program, the CMake package, each public header alone."""
    if not build("release"):
        return Tally(failed=1, failures=["build release"])
    return install.check_all(BUILD / "release")


def _wish(expression: str | None) -> list[str]:
    return ["-k", expression] if expression else []


STAGES: dict[str, Callable[[str | None], Tally]] = {
    "lint": lint_stage,
    "python": python,
    "unit": unit,
    "integration": integration,
    "celery": celery,
    "celery_suites": celery_suites,
    "install": install_stage,
    "asan": asan,
    "guest": guest_stage,
}
# Those that know -k.
SELECTABLE = ("python", "unit", "integration", "celery", "celery_suites", "asan", "guest")
