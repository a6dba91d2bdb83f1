"""A worker is replaced before it grows, and its successor is warm before it goes."""

import itertools
from collections import Counter

MB = 1 << 20


def rows_by_pid(rows):
    by_pid = {}
    for row in sorted(rows, key=lambda row: row[2]):
        by_pid.setdefault(row[0], []).append(row)
    return by_pid


def test_no_worker_does_more_than_max_tasks(start):
    sv = start(workers=2, recycle={"max_tasks": 10, "max_tasks_jitter": 0.0})
    with sv.client() as client:
        assert list(client.map("suite.counted", range(200))) == list(range(200))
    jobs = Counter(row[0] for row in sv.tally("end"))
    assert sum(jobs.values()) == 200 and max(jobs.values()) == 10
    assert len(jobs) >= 20
    pool = sv.pool()
    assert pool["recycles"]["max_tasks"] >= 18
    assert pool["restarts"] == {} and pool["jobs"]["lost"] == 0


def test_the_successor_is_ready_before_the_old_workers_last_job(start):
    sv = start(
        recycle={"max_tasks": 5, "max_tasks_jitter": 0.0},
        environment={"SUITE_IMPORT_SECONDS": "0.2"},
    )
    with sv.client() as client:
        list(client.map("suite.timed", [(number, 5) for number in range(30)]))
    lives = list(rows_by_pid(sv.tally("begin")).values())
    imported = {row[0]: row[2] for row in sv.tally("import")}
    assert [len(life) for life in lives[:6]] == [5] * 6
    for old, new in itertools.pairwise(lives):
        assert imported[new[0][0]] < old[-1][2], "the successor had not imported yet"
    for event in sv.events("worker.ready")[1:]:
        assert event["incarnation"] > 1


def test_a_slot_never_runs_two_jobs_at_once(start):
    sv = start(recycle={"max_tasks": 3, "max_tasks_jitter": 0.0})
    with sv.client() as client:
        list(client.map("suite.timed", [(number, 2) for number in range(40)]))
    begins = sorted(row[2] for row in sv.tally("begin"))
    ends = sorted(row[2] for row in sv.tally("end"))
    assert all(end <= begin for end, begin in zip(ends, begins[1:]))


def test_a_leaking_worker_is_never_above_the_line_by_more_than_one_jobs_growth(start):
    sv = start(recycle={"max_rss": "150M"})
    with sv.client() as client:
        sizes = list(client.map("suite.leak", [5] * 120))
    assert max(sizes) <= 150 * MB + 5 * MB + MB
    assert max(sizes) > 140 * MB, "recycled far too early"
    pool = sv.pool()
    assert pool["recycles"]["max_rss"] >= 4 and pool["jobs"]["done"] == 120
    assert pool["restarts"] == {}


def test_a_large_job_that_frees_its_memory_is_trimmed_and_kept(start):
    sv = start(recycle={"max_rss": "150M"})
    with sv.client() as client:
        pid = client.submit("suite.pid").result(timeout=20)
        for _ in range(3):
            assert client.submit("suite.spike", 300).result(timeout=60) > 0
            assert client.submit("suite.pid").result(timeout=20) == pid
        assert client.submit("suite.rss").result(timeout=20) < 150 * MB
    pool = sv.pool()
    assert pool["recycles"].get("max_rss", 0) == 0
    assert pool["trims"] >= 1


def test_trimming_gives_back_what_a_pinned_heap_keeps(start):
    sv = start(recycle={"max_rss": "150M"})
    with sv.client() as client:
        assert client.submit("suite.spike", 300).result(timeout=60) > 250 * MB
    pool = sv.wait_pool(lambda p: p["trims"] >= 1, "a trim")
    assert pool["trimmed_bytes"] > 150 * MB


def test_max_private_recycles_by_the_leafs_own_memory(start):
    sv = start(recycle={"max_private": "100M"})
    with sv.client() as client:
        sizes = list(client.map("suite.leak", [10] * 40))
    pool = sv.pool()
    assert pool["recycles"]["max_private"] >= 2
    assert max(sizes) < 140 * MB


def test_max_age_recycles_an_idle_worker(start):
    sv = start(recycle={"max_age": "500ms"})
    first = sv.pids()
    pool = sv.wait_pool(lambda p: p["recycles"].get("max_age", 0) >= 2, "two by age")
    assert [w["pid"] for w in pool["workers"]] != first
    assert pool["restarts"] == {}


def test_an_idle_worker_that_has_worked_is_replaced(start):
    sv = start(recycle={"idle": "300ms"})
    with sv.client() as client:
        client.submit("suite.echo", 1).result(timeout=20)
    sv.wait_pool(lambda p: p["recycles"].get("idle", 0) >= 1, "one for idleness")


def test_requested_recycling_replaces_every_worker_and_loses_nothing(start):
    sv = start(workers=3)
    before = sv.pids()
    with sv.client() as client:
        futures = [client.submit("suite.timed", n, 5) for n in range(100)]
        assert sv.cli("recycle", "p").returncode == 0
        assert [future.result(timeout=30) for future in futures] == list(range(100))
    sv.wait_pool(lambda p: p["recycles"].get("requested", 0) == 3, "three requested")
    sv.wait_running()
    assert not set(before) & set(sv.pids())


def test_no_herd_one_of_eight_is_replaced_at_a_time(start):
    sv = start(workers=8)
    before = sv.pids()
    assert sv.cli("recycle", "p").returncode == 0
    most = []

    def done(pool):
        most.append(sum(w["successor"] for w in pool["workers"]))
        return pool["recycles"].get("requested", 0) == 8

    sv.wait_pool(done, "eight requested", timeout=60)
    assert max(most) == 1
    # Of the whole story, and not only of the moments looked at: a start follows each hand-over.
    steps = [e["event"] for e in sv.events() if e["event"] in ("worker.ready", "worker.retiring")]
    assert steps == ["worker.ready"] * 8 + ["worker.ready", "worker.retiring"] * 8
    assert not set(before) & set(sv.pids())


def test_capacity_never_dips_while_a_pool_is_recycled(start):
    sv = start(workers=2)
    low = []

    def done(pool):
        low.append(sum(w["state"] in ("idle", "busy") for w in pool["workers"]))
        return pool["recycles"].get("requested", 0) == 2

    assert sv.cli("recycle", "p").returncode == 0
    sv.wait_pool(done, "two requested")
    assert min(low) >= 2


def test_jitter_is_drawn_once_an_incarnation(start):
    sv = start(workers=1, recycle={"max_tasks": 20, "max_tasks_jitter": 0.5})
    with sv.client() as client:
        list(client.map("suite.counted", range(400)))
    lives = [len(life) for life in rows_by_pid(sv.tally("end")).values()][:-1]
    assert all(10 <= jobs <= 20 for jobs in lives)
    assert len(set(lives)) > 1


def test_a_line_below_the_fresh_workers_size_is_an_error_at_start(make):
    sv = make(recycle={"max_rss": "5M"})
    sv.start(ready=False)
    assert sv.wait_exit() == 78
    text = sv.log()
    assert "max_rss" in text and "1.2" in text


def test_the_slot_gap_is_measured(start):
    sv = start(recycle={"max_tasks": 10, "max_tasks_jitter": 0.0})
    with sv.client() as client:
        list(client.map("suite.timed", [(number, 5) for number in range(100)]))
    gap = sv.pool()["slot_gap_seconds"]
    assert gap["count"] >= 8 and 0 <= gap["p50"] <= gap["p99"] < 1


def test_recycling_in_vain_stops_and_says_so(start):
    sv = start(recycle={"max_rss": "100M"})
    (sv.work / "ballast").write_text("60")
    assert sv.cli("recycle", "p").returncode == 0
    sv.wait_pool(lambda p: p["recycles"].get("requested", 0) == 1, "a larger worker")
    (sv.work / "ballast").write_text("120")
    with sv.client() as client:
        list(client.map("suite.leak", [10] * 12))
        pool = sv.wait_pool(lambda p: "max_rss" in p["advice"], "the advice")
        count = pool["recycles"]["max_rss"]
        list(client.map("suite.nothing", range(50)))
    assert sv.pool()["recycles"]["max_rss"] == count <= 5
    assert sv.pool()["state"] == "running" and sv.pool()["restarts"] == {}


def test_without_room_in_the_budget_the_old_worker_goes_first_and_the_log_says_so(start):
    sv = start(recycle={"max_tasks": 5}, memory={"budget": "12M"})
    with sv.client() as client:
        assert list(client.map("suite.counted", range(20))) == list(range(20))
    assert sv.events("worker.order_reversed", pool="p")
    assert sv.pool()["recycles"]["max_tasks"] >= 3


def test_a_pool_grows_with_its_queue_and_shrinks_again(start):
    sv = start(workers={"min": 1, "max": 3}, recycle={"idle": "500ms"})
    gate = sv.gate()
    with sv.client() as client:
        held = [client.submit("suite.hold", "gate", number) for number in range(3)]
        gate.wait(3)
        assert len(sv.pids()) == 3
        gate.open()
        assert [future.result(timeout=20) for future in held] == [0, 1, 2]
    sv.wait_pool(lambda p: len(p["workers"]) == 1, "one worker again")
