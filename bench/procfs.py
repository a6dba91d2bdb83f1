"""What /proc says about processes: memory, processor time, descriptors, families. See proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None when the process has gone."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, without its children's; in steps of 10 ms."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def descendants(root: int) -> list[int]:
    """All that came from `root` and still are, zombies included; not `root` itself."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return fields is None or fields[0] in "ZX"


def command(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def memory(pid: int) -> dict[str, float]:
    """MB (10^6 bytes) of `rss`, `pss`, `private` (clean and dirty) and `anonymous` from smaps_rollup."""
    sizes: dict[str, int] = {}
    for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) * 1024
    return {
        "rss": sizes["Rss"] / 1e6,
        "pss": sizes["Pss"] / 1e6,
        "private": (sizes["Private_Clean"] + sizes["Private_Dirty"]) / 1e6,
        "anonymous": sizes["Anonymous"] / 1e6,
    }


def rss(pid: int) -> float:
    """VmRSS in MB; 0 when the process has gone."""
    fields = _stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if fields else 0.0


def forget_peak(pid: int) -> None:
    """From now on peak_rss() starts from what it has now (Linux 4.0)."""
    Path("/proc", str(pid), "clear_refs").write_text("5")


def peak_rss(pid: int) -> float:
    """VmHWM in MB: the highest VmRSS so far."""
    text = Path("/proc", str(pid), "status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def family_cpu(pids: Iterable[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)


def machine_busy() -> float:
    """Processor seconds that the whole machine was not idle for, since it started; stolen time counts."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / TICKS
