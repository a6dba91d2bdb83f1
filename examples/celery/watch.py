"""What the worker's processes cost, and what `celery inspect stats` says of the pool."""

import time
from pathlib import Path

MB = 1 << 20


class Watch:
    """Of this process and all that it has started."""

    def __init__(self, pid):
        self._pid = pid
        self.most = 0  # bytes; pages that several share count once

    def wait(self, result, seconds):
        """For an AsyncResult or a GroupResult; returns how long that took."""
        started = time.monotonic()
        while not result.ready():
            if time.monotonic() - started > seconds:
                raise SystemExit(f"no result within {seconds} s")
            self.sample()
            time.sleep(0.1)
        self.sample()
        return time.monotonic() - started

    def sample(self):
        self.most = max(self.most, sum(map(proportional_memory, descendants(self._pid))))


def descendants(pid):
    """With itself."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # pid (name) state parent ...: the name may have blanks and brackets
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, before = {pid}, 0
    while len(found) != before:
        before = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found & set(parents)


def proportional_memory(pid):
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0  # it has ended
    return 1024 * sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def print_stats(pool):
    """`pool`: that part of the answer."""
    if "workers" not in pool:
        print(f"  processes: {', '.join(map(str, pool['processes']))}")
        return
    print(f"  recycled: {counts(pool['recycles'])};  restarted: {counts(pool['restarts'])}")
    print(f"  {'slot':>4} {'pid':>8}  {'state':8} {'tasks':>5} {'age':>6} {'memory':>8}")
    for worker in sorted(pool["workers"], key=lambda one: one["slot"]):
        print(
            f"  {worker['slot']:4} {worker['pid']:8}  {worker['state']:8} {worker['jobs_done']:5} "
            f"{worker['age_seconds']:4.0f} s {worker['rss_bytes'] / MB:5.0f} MB"
        )


def counts(table):
    return ", ".join(f"{name} {count}" for name, count in table.items() if count) or "none"
