"""What kind of machine this is, and which versions ran. No names of hosts, users or folders."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.paths import BENCH, TOP


def facts(program: Path, *, built_here: bool) -> dict[str, str]:
    """program: the supervise that is measured; built_here: whether it is of this tree, as it is now."""
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), {_memory()} of memory",
        "system": f"{_distribution()}, Linux {platform.release().split('-')[0]}",
        "cgroups": _cgroups(),
        "Python": platform.python_version(),
        "packages": ", ".join(_packages()),
        "supervise": f"{_version(program)}, {_revision() if built_here else 'built elsewhere'}",
    }


def _processor() -> str:
    match = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.machine()


def _memory() -> str:
    match = re.search(r"^MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return f"{round(int(match[1]) / 2**20)} GiB" if match else "an unknown amount"


def _distribution() -> str:
    try:
        match = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.system()


def _cgroups() -> str:
    kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    return {
        (True, False): "v2",
        (True, True): "v1 and v2 (hybrid)",
        (False, True): "v1",
    }.get(("cgroup2" in kinds, "cgroup" in kinds), "none")


def _packages() -> list[str]:
    names = re.findall(r"^([\w-]+)==", (BENCH / "requirements.txt").read_text(), re.MULTILINE)
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed: start the bench by bench/run")
    return found


def _version(program: Path) -> str:
    return subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.strip()


def _revision() -> str:
    """The commit, and whether more than the results has changed since; for those who have git."""
    ours = [":!bench/RESULTS.md", ":!bench/results.svg"]
    commit = _git("rev-parse", "--short=10", "HEAD")
    if not commit:
        return "of an unknown commit"
    changed = " with changes" if _git("status", "--porcelain", "--", ".", *ours) else ""
    return f"commit {commit}{changed}"


def _git(*arguments: str) -> str:
    """Its output; "" where there is no git or no repository."""
    try:
        done = subprocess.run(["git", "-C", TOP, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
