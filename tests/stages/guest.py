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

# How pytest is started in the guest, as root in a unit with Delegate=yes, and each daemon by it.
_AS_USER = "runuser -u user -- env HOME=/tmp XDG_RUNTIME_DIR=/run/user/1000"
_KINDS = {
    "A-root": ("A", "", ""),
    "A-user": ("A", _AS_USER, "systemd-run --user --scope --quiet --collect -p Delegate=yes --"),
    "C-read-only": (
        "C",
        "systemd-run --quiet --wait --pipe --collect --same-dir -p MemoryMax=800M"
        " -p ReadOnlyPaths=/sys/fs/cgroup",
        "",
    ),
    "D-user": ("D", _AS_USER, ""),
}


def check_all(python: Path, expression: str | None) -> Tally:
    tally = Tally()
    for counts in in_parallel(lambda kind: _one(kind, python, expression), _KINDS):
        tally.add(counts)
    return tally


def _one(kind: str, python: Path, expression: str | None) -> Tally:
    tier, pytest_by, daemons_by = _KINDS[kind]
    report = _REPORTS / f"guest-{kind}.xml"
    report.unlink(missing_ok=True)
    wish = [] if expression is None else ["-k", expression]
    with tempfile.TemporaryDirectory(prefix="supervise-guest-") as folder:
        shared = Path(folder)
        shared.chmod(0o777)
        (shared / "run").write_text(_script(tier, pytest_by, daemons_by, [str(python), *_pytest(wish)]))
        with open(_REPORTS / f"guest-{kind}.log", "wb") as log:
            status = run(
                [TOP / "tests/vm/vm", "run", "--timeout", str(_SECONDS), "--share", f"{TOP}:{TOP}:ro",
                 "--share", f"{folder}:/shared", "--", "bash", "/shared/run"],
                output=log, env={"VM_PACKAGES": _PACKAGES},
            )  # fmt: skip
        if (shared / "report.xml").exists():
            shutil.copyfile(shared / "report.xml", report)
    if not report.exists():
        text = Path(_REPORTS / f"guest-{kind}.log").read_text(errors="replace")
        print(f"guest {kind}: no report\n{text[-4000:]}", flush=True)
        return Tally(failed=1, failures=[f"{kind}: the guest ended with {status} and no report"])
    tally = read_junit(report)
    if tally.failed:
        print(Path(_REPORTS / f"guest-{kind}.log").read_text(errors="replace"), flush=True)
    tally.failures = [f"{kind}: {failure}" for failure in tally.failures]
    print(f"guest {kind}: {tally}", flush=True)
    return tally


def _pytest(wish: list[str]) -> list[str]:
    return [
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "tests/integration/pytest.ini",
        "--rootdir", "tests/integration", "--timeout=300", "--junitxml=/shared/report.xml", *wish,
        "tests/integration/test_tiers.py", "tests/integration/test_template_tiers.py",
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
