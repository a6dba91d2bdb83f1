"""The live table and the summary, from what `supervise status --json` says."""

import json
import os
import subprocess
import sys
import time

MB = 1 << 20


class Watch:
    def __init__(self, program, folder, jobs):
        self._command = [program, "status", "--json"]
        self._environment = {**os.environ, "SUPERVISE_RUNTIME_DIR": str(folder)}
        self._jobs = jobs
        self._largest_worker = {}
        self._largest = {}
        self._lines = 0
        self._started = self._last_line = time.monotonic()

    def show(self):
        """On a terminal a table that is painted over; else one line every few seconds."""
        pools = self._sample()
        if sys.stdout.isatty():
            lines = self._table(pools)
            back = f"\033[{self._lines}A" if self._lines else ""
            print(back + "".join(f"\033[K{line}\n" for line in lines), end="", flush=True)
            self._lines = len(lines)
        elif time.monotonic() - self._last_line > 5:
            self._last_line = time.monotonic()
            parts = [f"{self._last_line - self._started:3.0f} s"]
            for name, pool in pools.items():
                done, recycles = pool["jobs"]["done"], sum(pool["recycles"].values())
                parts.append(f"{name}: {done}/{self._jobs} jobs, {memory(pool) / MB:.0f} MB")
                parts[-1] += f", {recycles} recycled" if recycles else ""
            print("   ".join(parts), flush=True)

    def summary(self):
        pools = self._sample()
        gaps = {name: pool["slot_gap_seconds"] for name, pool in pools.items()}
        rows = [
            ("", list(pools)),
            ("jobs done", [pool["jobs"]["done"] for pool in pools.values()]),
            ("jobs failed, lost or dead", [bad(pool) for pool in pools.values()]),
            ("workers recycled", [reasons(pool) for pool in pools.values()]),
            (
                "slot gap p50 / p99",
                [
                    f"{gap['p50'] * 1000:.1f} / {gap['p99'] * 1000:.1f} ms" if gap["count"] else "-"
                    for gap in gaps.values()
                ],
            ),
            ("largest worker", [f"{self._largest_worker[name] / MB:.0f} MB" for name in pools]),
            ("whole pool, at most", [f"{self._largest[name] / MB:.0f} MB" for name in pools]),
            ("whole pool, at the end", [f"{memory(pool) / MB:.0f} MB" for pool in pools.values()]),
        ]
        print(f"\nAll done in {time.monotonic() - self._started:.0f} s\n")
        for title, cells in rows:
            print(f"  {title:26}" + "".join(f"{cell:>28}" for cell in cells))

    def _sample(self):
        pools = json.loads(subprocess.check_output(self._command, env=self._environment))["pools"]
        for name, pool in pools.items():
            worker = max((worker["rss_bytes"] for worker in pool["workers"]), default=0)
            self._largest_worker[name] = max(self._largest_worker.get(name, 0), worker)
            self._largest[name] = max(self._largest.get(name, 0), memory(pool))
        return pools

    def _table(self, pools):
        lines = [f"{'pool':10} {'slot':>4} {'life':>5} {'pid':>8} {'state':9} {'jobs':>5} {'memory':>8}"]
        for name, pool in pools.items():
            for worker in pool["workers"]:
                megabytes = worker["rss_bytes"] / MB
                bar = "#" * int(megabytes / 10)
                role = "successor" if worker["slot"] else "spare"
                state = role if worker["successor"] else worker["state"]
                lines.append(
                    f"{name:10} {worker['slot']:4} {worker['incarnation']:5} {worker['pid']:8} "
                    f"{state:9} {worker['jobs_done']:5} {megabytes:5.0f} MB  {bar}"
                )
            lines.append(
                f"{'':10} {pool['jobs']['done']} of {self._jobs} jobs, {memory(pool) / MB:.0f} MB, "
                f"recycled: {reasons(pool)}"
            )
        return lines + [""] * (self._lines - len(lines))


def memory(pool):
    return sum(worker["rss_bytes"] for worker in pool["workers"])


def bad(pool):
    return sum(pool["jobs"][state] for state in ("failed", "lost", "dead"))


def reasons(pool):
    return ", ".join(f"{reason} {count}" for reason, count in pool["recycles"].items() if count) or "none"
