"""Forked workers in great numbers: every job once, every worker's end accounted for, nothing left over."""

from collections import Counter

import pytest

from support import process
from support.leftovers import cgroups, rss_bytes, until
from test_long import Killer, lives_of, submit_all

MB = 1 << 20
AFTER_EACH_JOB = {"max_tasks": 1}
HASTY = {"backoff": {"first": "10ms", "most": "50ms"}, "burst": 0}


def preload(start, **pool):
    return start(**{"app": "forked", "preload": True, **pool})


def quiet(sv):
    return sv.wait_pool(lambda p: p["jobs"]["queued"] == p["jobs"]["running"] == 0, "an empty pool")


@pytest.mark.parametrize("spare", [0, 1, 3])
def test_each_job_may_have_a_fresh_process(start, spare):
    sv = preload(start, workers=2, spare=spare, recycle=AFTER_EACH_JOB)
    with sv.client() as client:
        pids = list(client.map("suite.pid", range(400)))
    assert len(pids) == len(set(pids)) == 400
    pool = quiet(sv)
    assert pool["jobs"]["done"] == 400 and pool["jobs"]["lost"] == 0 and pool["restarts"] == {}
    assert pool["recycles"]["max_tasks"] >= 398
    assert len(pool["templates"]) == 1 and pool["template_forks"] >= 400


def storm(sv, total):
    """Runs `total` jobs while workers are killed at random, and holds three accounts against each
    other: the client's, the ledger's, and what the workers wrote down. Returns the workers' lives."""
    killer = Killer(sv)
    with sv.client() as client:
        killer.start()
        try:
            job_of, lost = submit_all(client, total)
        finally:
            killer.end()
    pool = quiet(sv)
    print(f"{len(killer.killed)} workers killed, {len(lost)} jobs lost, attempts {pool['attempts']}")
    assert len(killer.killed) >= 3

    assert len(set(job_of.values())) == total == pool["jobs"]["done"] + len(lost)
    assert pool["jobs"]["lost"] == pool["attempts"]["lost"] == len(lost) <= len(killer.killed)
    assert pool["jobs"]["failed"] == pool["jobs"]["dead"] == 0
    assert all(error.cause == "signal" for error in lost.values())

    lives, ends, ended_by = lives_of(sv)
    runs = Counter(number for numbers in lives.values() for number in numbers)
    for pid, numbers in lives.items():
        assert {(pid, number) for number in numbers[:-1]} <= ended_by
        assert (pid, numbers[-1]) in ended_by or pid in killer.killed
    for number in range(total):
        if number not in lost:
            assert runs[number] == ends[number] == 1, number
        else:  # nobody ran it a second time; 0: killed between its mark and its first statement
            assert runs[number] <= 1, number
    return lives


def test_a_storm_over_workers_of_one_job_each_loses_only_what_was_begun(start, scale):
    sv = preload(start, workers=3, recycle=AFTER_EACH_JOB, restart=HASTY)
    lives = storm(sv, max(1000, int(20_000 * scale)))
    assert {len(numbers) for numbers in lives.values()} == {1}


# A window of more than one job


def windowful(sv, jobs):
    """Until the one worker holds several of `jobs`; how many depends on how they came."""

    def holds(pool):
        running, queued = pool["jobs"]["running"], pool["jobs"]["queued"]
        return 5 <= running <= 8 and running + queued == jobs

    sv.wait_pool(holds, "a window of jobs")


def test_a_window_keeps_the_order_of_results_and_every_limit(start):
    sv = preload(start, workers=2, jobs={"window": 8}, recycle={"max_tasks": 20, "max_tasks_jitter": 0.0})
    with sv.client() as client:
        assert list(client.map("suite.counted", range(2000))) == list(range(2000))
    lives, ends, _ = lives_of(sv)
    assert set(ends.values()) == {1} and len(ends) == 2000
    assert max(map(len, lives.values())) == 20
    assert quiet(sv)["recycles"]["max_tasks"] >= 98 and sv.pool()["restarts"] == {}


def test_one_worker_runs_the_jobs_of_its_window_in_their_order(start):
    sv = preload(start, workers=1, spare=0, jobs={"window": 8})
    gate = sv.gate()
    with sv.client() as client:
        held = client.submit("suite.hold", "gate", 1000)
        gate.wait()
        futures = [client.submit("suite.counted", number) for number in range(50)]
        windowful(sv, 51)
        gate.open()
        assert [future.result(timeout=20) for future in [held, *futures]] == [1000, *range(50)]
    begun = [row[3] for row in sorted(sv.tally("begin"), key=lambda row: row[2])]
    assert begun == [1000, *range(50)]


def test_a_death_gives_the_rest_of_the_window_to_the_next_worker(start):
    sv = preload(start, workers=1, jobs={"window": 8})
    gate = sv.gate()
    with sv.client() as client:
        held = client.submit("suite.hold", "gate", 1000)
        (pid,) = gate.wait()
        doomed = client.submit("suite.exit_now", 3)
        futures = [client.submit("suite.counted", number) for number in range(20)]
        windowful(sv, 22)
        gate.open()
        assert held.result(timeout=20) == 1000
        with pytest.raises(Exception, match="exit"):
            doomed.result(timeout=20)
        assert [future.result(timeout=20) for future in futures] == list(range(20))
    begun = sorted(sv.tally("begin"), key=lambda row: row[2])
    assert [row[3] for row in begun] == [1000, *range(20)]
    assert pid not in {row[0] for row in begun[1:]}
    assert sv.pool()["attempts"] == {"done": 21, "failed": 0, "lost": 1}


def test_a_storm_over_full_windows_loses_only_what_was_begun(start, scale):
    sv = preload(start, workers=3, jobs={"window": 8}, recycle={"max_tasks": 50}, restart=HASTY)
    lives = storm(sv, max(2000, int(40_000 * scale)))
    assert max(map(len, lives.values())) <= 50


# The long run


@pytest.mark.slow
def test_a_thousand_recycles_leave_nothing_behind(start, scale, sanitized):
    jobs = max(400, int(1000 * scale))
    sv = preload(start, workers=2, recycle=AFTER_EACH_JOB)
    (template,) = [each["pid"] for each in sv.pool()["templates"]]
    supervisor = sv.process.pid

    def held():
        # Two workers before their only job, so a successor for each, and the spare.
        if [w["state"] for w in sv.pool()["workers"]] != ["idle"] * 5:
            return None
        return {
            "descriptors of the supervisor": process.descriptors(supervisor),
            "descriptors of the template": process.descriptors(template),
            "cgroups": len(cgroups(sv.cgroup_root)),
            "zombies": process.zombies_of(supervisor) + process.zombies_of(template),
        }

    def no_more_than(before):
        now = held()
        return now is not None and all(now[name] <= before[name] for name in before)

    with sv.client() as client:
        list(client.map("suite.nothing", range(200)))
        before = until(held, 20, "all workers to be idle")
        sizes = {pid: rss_bytes(pid) for pid in (supervisor, template)}
        list(client.map("suite.nothing", range(jobs)))
        until(lambda: no_more_than(before), 20, lambda: f"{held()} to become {before}")
    pool = sv.pool()
    assert pool["recycles"]["max_tasks"] >= jobs + 198 and len(pool["templates"]) == 1
    growth = {pid: rss_bytes(pid) - size for pid, size in sizes.items()}
    print(f"{jobs} recycles: supervisor {growth[supervisor]:+d} bytes, template {growth[template]:+d}")
    if not sanitized:
        assert growth[supervisor] < MB and growth[template] < MB
