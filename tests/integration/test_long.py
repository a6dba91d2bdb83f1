"""What only shows in the long run. `pytest -m slow`; SUPERVISE_TEST_SCALE=0.1 takes a tenth."""

import collections
import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter

import pytest

import supervise
from support.leftovers import cpu_seconds, rss_bytes

MB = 1 << 20
pytestmark = pytest.mark.slow


def test_the_supervisor_does_not_grow_with_jobs(start, scale, sanitized):
    jobs = max(50_000, int(1_000_000 * scale))
    sv = start(workers=4, jobs={"queue_limit": 20_000})
    sizes = {}
    with sv.client() as client:
        done = 0
        for upto in (10_000, jobs):
            for _ in client.map("suite.nothing", range(done, upto)):
                pass
            done = upto
            sizes[upto] = rss_bytes(sv.process.pid)
    assert sv.pool()["jobs"]["done"] == jobs
    print(f"supervisor RSS: {', '.join(f'{n} jobs {size / MB:.2f} MB' for n, size in sizes.items())}")
    if not sanitized:
        assert sizes[jobs] - sizes[10_000] < MB
        assert sizes[jobs] < 20 * MB


def test_an_idle_supervisor_costs_next_to_nothing(start, scale, sanitized):
    sv = start(workers=8, recycle={"max_rss": "200M", "max_age": "1h"}, memory={"hard": "1G"})
    seconds = max(5, 20 * scale)
    before = cpu_seconds(sv.process.pid)
    time.sleep(seconds)  # not to wait for something: the time itself is what is measured
    used = (cpu_seconds(sv.process.pid) - before) / seconds
    size = rss_bytes(sv.process.pid) / MB
    print(f"idle CPU with 8 workers: {used:.2%} of one core, RSS {size:.1f} MB")
    if not sanitized:
        assert used < 0.005


def test_recycling_costs_next_to_no_throughput(start, scale, sanitized):
    """Every 200 jobs of 10 ms, 2 workers, an import of 0.3 s, beside no recycling in the same run."""
    jobs = max(1200, int(4000 * scale))
    common = {"workers": 2, "environment": {"SUITE_IMPORT_SECONDS": "0.3"}}
    sv = start(pools={"plain": common, "recycled": {**common, "recycle": {"max_tasks": 200}}})
    seconds = dict.fromkeys(("plain", "recycled"), 0.0)
    with sv.client("plain") as plain, sv.client("recycled") as recycled:
        # In turns, so that what else this machine does falls on both.
        for _ in range(4):
            for name, client in (("plain", plain), ("recycled", recycled)):
                before = time.monotonic()
                list(client.map("suite.timed", [(number, 10) for number in range(jobs // 4)]))
                seconds[name] += time.monotonic() - before
    pool = sv.pool("recycled")
    ratio = seconds["plain"] / seconds["recycled"]
    print(f"throughput with recycling: {ratio:.3f} of that without")
    print(f"slot gap {pool['slot_gap_seconds']}, recycles {pool['recycles']}")
    assert pool["recycles"]["max_tasks"] >= jobs // 200 - 4
    if not sanitized:
        # A short run on a busy machine measures its neighbours more than the recycling.
        assert ratio >= (0.95 if scale >= 1 else 0.8)
        assert pool["slot_gap_seconds"]["p99"] < (0.020 if scale >= 1 else 0.2)


class Killer(threading.Thread):
    """Kills a worker of the pool at random every 100 ms."""

    def __init__(self, sv):
        super().__init__()
        self.sv, self.killed, self._end = sv, set(), threading.Event()
        self.rng = random.Random(7)

    def run(self):
        while not self._end.wait(0.1):
            running = [w["pid"] for w in self.sv.pool()["workers"] if w["state"] in ("idle", "busy")]
            if running:
                pid = self.rng.choice(running)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.killed.add(pid)

    def end(self):
        self._end.set()
        self.join()


def submit_all(client, total, window=5_000):
    """Runs jobs 0..total-1; returns ({number: job id}, {number: JobLost})."""
    job_of, lost, pending = {}, {}, collections.deque()

    def settle():
        number, future = pending.popleft()
        try:
            assert future.result(timeout=120) == number
        except supervise.JobLost as error:
            lost[number] = error
        job_of[number] = future.job_id

    for number in range(total):
        pending.append((number, client.submit("suite.timed", number, number % 4)))
        if len(pending) >= window:
            settle()
    while pending:
        settle()
    return job_of, lost


def lives_of(sv):
    """The workers' own account: {pid: its jobs in order}, how often each ended, and by whom."""
    begun, ended = sv.tally("begin"), sv.tally("end")
    lives = collections.defaultdict(list)
    for pid, _, _, number in sorted(begun, key=lambda row: row[2]):
        lives[pid].append(number)
    return lives, Counter(row[3] for row in ended), {(row[0], row[3]) for row in ended}


@pytest.mark.parametrize("retries", [0, 3])
def test_chaos_every_job_ends_once_and_all_accounts_agree(start, scale, retries):
    total = max(5_000, int(200_000 * scale))
    sv = start(
        workers=4,
        recycle={"max_tasks": 50},
        jobs={"retries": retries, "queue_limit": 10_000},
        restart={"backoff": {"first": "10ms", "most": "50ms"}, "burst": 0},
    )
    killer = Killer(sv)
    with sv.client() as client:
        killer.start()
        try:
            job_of, lost = submit_all(client, total)
        finally:
            killer.end()
    pool = sv.wait_pool(lambda p: p["jobs"]["queued"] == p["jobs"]["running"] == 0, "an empty pool")
    print(f"chaos, retries {retries}: {total} jobs, {len(killer.killed)} workers killed")
    print(f"client: {total - len(lost)} done, {len(lost)} lost or dead")
    print(f"ledger: jobs {pool['jobs']}, attempts {pool['attempts']}")
    print(f"workers: recycles {pool['recycles']}, restarts {pool['restarts']}")

    # The client and the ledger agree: one final state each.
    assert len(job_of) == len(set(job_of.values())) == total
    assert pool["jobs"]["done"] == total - len(lost) and pool["jobs"]["failed"] == 0
    assert pool["jobs"]["lost"] + pool["jobs"]["dead"] == len(lost)
    assert pool["attempts"]["done"] == total - len(lost) and pool["attempts"]["failed"] == 0
    assert all(error.cause == "signal" for error in lost.values())

    # The workers' own account: whatever a worker began it ended, save the last job of a killed one.
    lives, ends, ended_by = lives_of(sv)
    cut_off = {numbers[-1] for pid, numbers in lives.items() if pid in killer.killed}
    for pid, numbers in lives.items():
        assert len(numbers) <= 50
        assert {(pid, number) for number in numbers[:-1]} <= ended_by
        assert (pid, numbers[-1]) in ended_by or pid in killer.killed
    runs = Counter(number for numbers in lives.values() for number in numbers)
    for number in range(total):
        if number in lost:
            # No begin line: killed between taking the job and its first statement.
            assert number in cut_off or runs[number] == 0, number
        else:
            assert ends[number] >= 1, number
            assert runs[number] == 1 or (retries and number in cut_off), number
    assert pool["attempts"]["lost"] <= len(killer.killed)
    if retries:
        assert not lost
    else:
        assert 0 < len(lost) == pool["attempts"]["lost"]
        for pid in lives.keys() & killer.killed:
            assert lives[pid][-1] in lost or (pid, lives[pid][-1]) in ended_by
