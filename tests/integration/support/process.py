"""What /proc tells about one process."""

import os
from pathlib import Path


def parent(pid):
    stat = Path("/proc", str(pid), "stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def cgroups(pid):
    """The path of its group by hierarchy: "" is cgroup v2, "memory" the memory controller of v1."""
    groups = {}
    for line in Path("/proc", str(pid), "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        groups[controllers] = path
    return groups


def users(pid):
    """Real, effective, saved and file system user."""
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("Uid:"):
            return [int(word) for word in line.split()[1:]]
    return []


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def zombies_of(pid):
    """How many dead children it has not reaped."""
    count = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            count += fields[0] == "Z" and int(fields[1]) == pid
    return count
