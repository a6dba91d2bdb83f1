"""Forked workers on every kind of host: where they are, what they may use, who goes with them."""

import os
import signal

import pytest

import supervise
from support import process
from support.daemon import LAUNCHER
from support.leftovers import alive, cgroups, until
from support.tiers import TIERS, start_on_tier

MB = 1 << 20


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


@pytest.fixture
def preload(make, tier):
    def start_pool(**pool):
        return start_on_tier(make, tier, **{"app": "forked", "preload": True, **pool})

    return start_pool


def with_spare(sv):
    return sv.wait_pool(
        lambda p: any(w["slot"] == 0 and w["state"] == "idle" for w in p["workers"]), "a spare"
    )


def test_each_is_in_a_leaf_of_its_own_and_out_of_its_templates_session(preload, tier):
    sv = preload(workers=2)
    pool = with_spare(sv)
    (template,) = pool["templates"]
    names = {template["pid"]: "template.1"}
    for worker in pool["workers"]:
        names[worker["pid"]] = f"{worker['slot'] or 'spare'}.{worker['incarnation']}"
    assert len(names) == 4
    assert {os.getsid(pid) for pid in names} == set(names), "each leads a session"
    assert {process.parent(pid) for pid in names} == {sv.process.pid}
    root = "/" if LAUNCHER else sv.cgroup_root + "/"
    hierarchies = {"A": [""], "B": ["", "memory"], "C": [], "D": []}[tier]
    for pid, name in names.items():
        groups = process.cgroups(pid)
        for hierarchy in hierarchies:
            assert groups[hierarchy].startswith(root), groups
            assert groups[hierarchy].endswith("/p/" + name), groups
        if not hierarchies:
            assert groups == process.cgroups(os.getpid())


def test_jobs_are_done_and_each_end_is_known(preload):
    sv = preload(workers=2)
    with sv.client() as client:
        assert list(client.map("suite.echo", range(500))) == list(range(500))
        for task, ids, cause in [
            ("suite.die_by", (signal.SIGKILL,), "signal"),
            ("suite.exit_now", (4,), "exit"),
            ("suite.overrun", (), "time_limit"),
        ]:
            with pytest.raises(supervise.JobLost) as caught:
                client.submit(task, *ids).result(timeout=30)
            assert caught.value.cause == cause


def test_recycling_by_count(preload):
    sv = preload(workers=2, recycle={"max_tasks": 10, "max_tasks_jitter": 0.0})
    with sv.client() as client:
        assert list(client.map("suite.counted", range(200))) == list(range(200))
    assert sv.pool()["recycles"]["max_tasks"] >= 18 and sv.pool()["restarts"] == {}
    jobs = [row[0] for row in sv.tally("end")]
    assert max(map(jobs.count, set(jobs))) == 10


@pytest.mark.parametrize("line", ["max_rss", "max_private"])
def test_recycling_by_memory(preload, line):
    sv = preload(recycle={line: "80M"})
    with sv.client() as client:
        sizes = list(client.map("suite.leak", [10] * 30))
    assert sv.pool()["recycles"][line] >= 2
    assert max(sizes) < 80 * MB + 10 * MB + (40 * MB if line == "max_private" else MB)


def test_the_hard_line(preload):
    sv = preload(memory={"hard": "120M"})
    with sv.client() as client:
        with pytest.raises(supervise.JobLost) as caught:
            client.submit("suite.grow", 1000).result(timeout=30)
        assert caught.value.cause == "memory_hard_limit"
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_the_kernels_line_above_it(preload, tier):
    sv = preload(memory={"hard": "100M"})
    with sv.client() as client:
        with pytest.raises(supervise.JobLost) as caught:
            client.submit("suite.grow_at_once", 600).result(timeout=30)
        causes = ["memory_hard_limit"] + (["oom_worker"] if tier in "AB" else [])
        assert caught.value.cause in causes
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_descendants_go_with_their_worker(preload):
    sv = preload()
    with sv.client() as client:
        with pytest.raises(supervise.JobLost):
            client.submit("suite.grandchildren_then_die", 4).result(timeout=30)
    pids = [int(pid) for pid in (sv.work / "grandchildren").read_text().split()]
    assert len(pids) == 4
    until(lambda: not any(map(alive, pids)), 5, "the grandchildren to go")


@pytest.mark.parametrize("end", ["recycled", "died"])
def test_daemons_that_a_job_left_behind_go_with_their_worker(preload, end):
    sv = preload()
    (worker,) = sv.pids()
    with sv.client() as client:
        daemons = [client.submit("forked.daemonize", own).result(timeout=20) for own in (0, 0, 1, 1)]
        assert all(map(alive, daemons[:2])), "those in the worker's session live as long as it"
        if end == "recycled":
            assert sv.cli("recycle", "p").returncode == 0
        else:
            os.kill(worker, signal.SIGKILL)
        until(lambda: not any(map(alive, [worker, *daemons])), 10, "the daemons to go")
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_a_templates_death_takes_none_of_its_workers_along(preload):
    sv = preload(workers=2)
    pool = with_spare(sv)
    (template,) = [each["pid"] for each in pool["templates"]]
    workers = [worker["pid"] for worker in pool["workers"]]
    os.kill(template, signal.SIGKILL)
    sv.wait_pool(
        lambda p: any(t["generation"] == 2 and t["state"] == "ready" for t in p["templates"]), "a new one"
    )
    assert all(map(alive, workers))
    with sv.client() as client:
        assert set(client.map("forked.imported_by", [()] * 20)) == {template}
        assert client.submit("forked.parent").result(timeout=20) == sv.process.pid
    assert sv.pool()["restarts"] == {}


def test_draining(preload):
    sv = preload(workers=2)
    gate = sv.gate()
    with sv.client() as client:
        held = [client.submit("suite.hold", "gate", number) for number in range(2)]
        gate.wait(2)
        sv.signal(signal.SIGTERM)
        sv.wait_for(lambda s: s["pools"]["p"]["state"] == "stopping", "the drain to begin")
        gate.open()
        assert [future.result(timeout=20) for future in held] == [0, 1]
    assert sv.wait_exit(20) == 0
    assert not cgroups(sv.cgroup_root)
