"""The guest stage: the same jobs under a real systemd, in throw-away guests with cgroup v2 alone.
One guest a kind of host; see tests/vm/README.md."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path

from tests.stages.running import BUILD, TOP, in_parallel, run
from tests.stages.tally import Tally, read_junit

_REPORTS = BUILD / "reports"
_PACKAGES = "libspdlog1.10,libtomlplusplus3"  # what the program is linked with, of Debian 12
_SECONDS = 1200  # for the tests of one guest; emulated code is slow

_NO_GUEST = 125  # of `vm run`: it cannot be started at all

_AS_USER = "runuser -u user -- env HOME=/tmp XDG_RUNTIME_DIR=/run/user/1000"
# The tier; how pytest is started in the guest, as root in a unit with Delegate=yes, and each daemon by
# it; and which files of tests/integration run.
_KINDS = {
    "A-root": ("A", "", "", ("tiers", "template_tiers")),
    "A-user": (
        "A",
        _AS_USER,
        "systemd-run --user --scope --quiet --collect -p Delegate=yes --",
        ("tiers",),
    ),
    "C-read-only": (
        "C",
        "systemd-run --quiet --wait --pipe --collect --same-dir -p MemoryMax=800M"
        " -p ReadOnlyPaths=/sys/fs/cgroup",
        "",
        ("tiers",),
    ),
    "D-user": ("D", _AS_USER, "", ("tiers",)),
}


def check_all(python: Path, expression: str | None) -> Tally:
    tally = Tally()
    for counts in in_parallel(lambda kind: _one(kind, python, expression), _KINDS):
        tally.add(counts)
    return tally


def _one(kind: str, python: Path, expression: str | None) -> Tally:
    tier, pytest_by, daemons_by, suites = _KINDS[kind]
    report = _REPORTS / f"guest-{kind}.xml"
    report.unlink(missing_ok=True)
    wish = [] if expression is None else ["-k", expression]
    with tempfile.TemporaryDirectory(prefix="supervise-guest-") as folder:
        shared = Path(folder)
        shared.chmod(0o777)
        (shared / "run").write_text(
            _script(tier, pytest_by, daemons_by, [str(python), *_pytest(suites, wish)])
        )
        with (_REPORTS / f"guest-{kind}.log").open("wb") as log:
            status = run(
                [TOP / "tests/vm/vm", "run", "--timeout", str(_SECONDS), "--share", f"{TOP}:{TOP}:ro",
                 "--share", f"{folder}:/shared", "--", "bash", "/shared/run"],
                output=log, env={"VM_PACKAGES": _PACKAGES},
            )  # fmt: skip
        if (shared / "report.xml").exists():
            shutil.copyfile(shared / "report.xml", report)
    if not report.exists():
        print(f"guest {kind}: no report\n{_end_of_log(kind)}", flush=True)
        if status == _NO_GUEST:
            print(f"SKIPPED: no guest can be started here, so nothing was tried as {kind}", flush=True)
            return Tally(skipped=1)
        return Tally(failed=1, failures=[f"{kind}: the guest ended with {status} and no report"])
    tally = read_junit(report)
    if tally.failed:
        print(_end_of_log(kind), flush=True)
    tally.failures = [f"{kind}: {failure}" for failure in tally.failures]
    print(f"guest {kind}: {tally}", flush=True)
    return tally


def _end_of_log(kind: str) -> str:
    return (_REPORTS / f"guest-{kind}.log").read_text(errors="replace")[-8000:]


def _pytest(suites: tuple[str, ...], wish: list[str]) -> list[str]:
    return [
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "tests/integration/pytest.ini",
        "--rootdir", "tests/integration", "--timeout=300", "--junitxml=/shared/report.xml", *wish,
        *(f"tests/integration/test_{name}.py" for name in suites),
    ]  # fmt: skip


def _script(tier: str, pytest_by: str, daemons_by: str, command: list[str]) -> str:
    environment = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "SUPERVISE_BINARY": str(BUILD / "release/supervise"),
        "SUPERVISE_TEST_LAUNCHER": daemons_by,
        "SUPERVISE_TEST_TIER": tier,
    }
    words = ["env", *(f"{name}={value}" for name, value in environment.items()), *command]
    return f"cd {shlex.quote(str(TOP))} && exec {pytest_by} {shlex.join(words)}\n"
