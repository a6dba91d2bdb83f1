"""The cgroups that a supervise of ours makes, and their removal should it not have done so itself."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

# v2 alone; v1 and v2 side by side (hybrid), where the memory controller is v1's.
HIERARCHIES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory")


def may_make() -> bool:
    return os.geteuid() == 0 and any(os.access(f"{top}/cgroup.procs", os.W_OK) for top in HIERARCHIES)


def _groups(root: str) -> list[Path]:
    """Leaves first."""
    found = []
    for top in HIERARCHIES:
        folder = Path(top, root.strip("/"))
        if root and folder.is_dir():
            found += [Path(path) for path, _, _ in os.walk(folder, topdown=False)]
    return found


def count_groups(root: str) -> int:
    return len(_groups(root))


def remove(root: str, seconds: float = 3) -> list[Path]:
    """Removes all groups of `root`, which nobody uses any more; returns those that would not go."""
    deadline = time.monotonic() + seconds
    while True:
        for group in _groups(root):
            with contextlib.suppress(OSError):
                group.rmdir()
        left = _groups(root)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)  # the dead take a moment to leave their group
