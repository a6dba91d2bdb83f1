"""What a supervisor may have left behind: processes, cgroups, sockets."""

import os
import time
from pathlib import Path

HIERARCHIES = [
    Path("/sys/fs/cgroup"),
    Path("/sys/fs/cgroup/unified"),
    Path("/sys/fs/cgroup/memory"),
]


def until(predicate, timeout, what):
    """The first true value of `predicate()`, asked again every few milliseconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.005)


def processes(mark):
    """Pids (zombies aside) of those that carry `mark` in their environment."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                environment = Path("/proc", entry, "environ").read_bytes()
            except OSError:
                continue
            if mark.encode() in environment:
                found.append(int(entry))
    return found


def alive(pid):
    """False for a zombie too."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def cgroups(root):
    """Directories of `root` in every hierarchy that a supervisor may write to, leaves first."""
    found = []
    for hierarchy in HIERARCHIES:
        top = hierarchy / root.strip("/")
        if top.is_dir():
            found += [Path(path) for path, _, _ in os.walk(top, topdown=False)]
    return found


def remove_cgroup(group):
    """Takes it away as soon as the last process in it, which may be a zombie, is gone."""

    def removed():
        try:
            group.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    until(removed, 5, f"{group} to be empty")


def sockets(runtime_dir):
    return [path for path in Path(runtime_dir).glob("*") if path.is_socket()]


def rss_bytes(pid):
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid):
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
