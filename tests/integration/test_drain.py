"""Stopping: running jobs finish, no other begins, nothing is left."""

import signal
import time

import pytest

import supervise
from support.leftovers import alive, until


def hold_all(sv, client, workers, queued):
    gate = sv.gate()
    held = [client.submit("suite.hold", "gate", number) for number in range(workers)]
    gate.wait(workers)
    waiting = [client.submit("suite.counted", 100 + number) for number in range(queued)]
    sv.wait_pool(lambda p: p["jobs"]["queued"] == queued, "the queue to fill")
    return gate, held, waiting


def test_sigterm_finishes_what_runs_and_begins_nothing(start):
    sv = start(workers=4)
    with sv.client() as client:
        gate, held, waiting = hold_all(sv, client, 4, 50)
        sv.signal(signal.SIGTERM)
        sv.wait_for(lambda s: s["pools"]["p"]["state"] == "stopping", "the drain to begin")
        with pytest.raises((supervise.JobRefused, supervise.PoolGone)):
            client.submit("suite.echo", 1).result(timeout=20)
        gate.open()
        assert [future.result(timeout=20) for future in held] == [0, 1, 2, 3]
        for future in waiting:
            with pytest.raises(supervise.JobLost) as caught:
                future.result(timeout=20)
            assert caught.value.cause == "shutdown"
        assert sv.wait_exit(20) == 0
    assert len(sv.tally("begin")) == len(sv.tally("end")) == 4


def test_sigterm_under_full_load(start):
    sv = start(workers=4)
    with sv.client() as client:
        futures = [client.submit("suite.timed", number, 20) for number in range(2000)]
        sv.wait_pool(lambda p: p["jobs"]["done"] > 50, "fifty done jobs")
        sv.signal(signal.SIGTERM)
        stopped = time.monotonic()
        states = {"done": 0, "lost": 0}
        for future in futures:
            try:
                future.result(timeout=30)
                states["done"] += 1
            except supervise.JobLost as lost:
                assert lost.cause == "shutdown"
                states["lost"] += 1
        assert sv.wait_exit(20) == 0
    begun, ended = sv.tally("begin"), sv.tally("end")
    assert len(begun) == len(ended) == states["done"]
    assert states["lost"] == 2000 - states["done"] > 0
    # A job that the loop had sent before it saw the signal may begin a moment after it.
    assert max(row[2] for row in begun) - stopped < 0.25


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_grace(start, second):
    sv = start(workers=2, grace="60s")
    with sv.client() as client:
        _, held, waiting = hold_all(sv, client, 2, 5)
        sv.signal(signal.SIGTERM)
        sv.wait_for(lambda s: s["pools"]["p"]["state"] == "stopping", "the drain to begin")
        sv.signal(second)
        for future in held:
            with pytest.raises(supervise.JobFailed, match="SoftTimeLimitExceeded"):
                future.result(timeout=20)
        for future in waiting:
            with pytest.raises(supervise.JobLost, match="shutdown"):
                future.result(timeout=20)
        assert sv.wait_exit(10) == 0


def test_a_job_that_ignores_its_soft_limit_is_killed_after_the_grace(start):
    sv = start(grace="200ms")
    with sv.client() as client:
        future = client.submit("suite.hold_stubbornly", "gate")
        sv.gate().wait()
        sv.signal(signal.SIGTERM)
        with pytest.raises(supervise.JobLost) as caught:
            future.result(timeout=30)
        assert caught.value.cause == "shutdown"
        assert sv.wait_exit(20) == 0
    assert len(sv.tally("softly")) >= 1


def test_the_grace_ends_by_itself(start):
    sv = start(workers=2, grace="500ms")
    with sv.client() as client:
        hold_all(sv, client, 2, 5)
        before = time.monotonic()
        assert sv.stop(20) == 0
        assert time.monotonic() - before < 10


def test_sigint_drains_too(start):
    sv = start()
    sv.signal(signal.SIGINT)
    assert sv.wait_exit(20) == 0


def test_stopping_while_workers_start_leaves_nothing(make):
    sv = make(workers=4, environment={"SUITE_IMPORT_SECONDS": "20"}).start(ready=False)
    sv.wait_pool(lambda p: len(p["workers"]) >= 1, "a first worker")
    assert sv.stop(20) == 0


def test_a_killed_supervisors_workers_finish_their_job_and_go(start):
    sv = start(workers=2)
    with sv.client() as client:
        gate, held, _ = hold_all(sv, client, 2, 5)
        pids = sv.pids()
        sv.kill()
        for future in held:
            with pytest.raises((supervise.PoolGone, supervise.JobLost)):
                future.result(timeout=20)
        assert all(map(alive, pids)), "a running job was ended by the supervisor's death"
        gate.open()
        until(lambda: len(sv.tally("end")) == 2, 10, "both jobs to end")
        until(lambda: not any(map(alive, pids)), 1, "the workers to go within a second")


def test_a_killed_supervisors_idle_workers_go_at_once(start):
    sv = start(workers=3)
    pids = sv.pids()
    sv.kill()
    until(lambda: not any(map(alive, pids)), 1, "the workers to go within a second")


def test_after_a_kill_the_next_one_takes_over(start):
    sv = start()
    sv.kill()
    assert (sv.runtime_dir / "p.sock").exists()
    sv.start()
    with sv.client() as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1
    assert sv.stop() == 0
    sv.cgroups_may_stay = False  # what the killed one left is taken away by its heir


def test_an_orphan_of_a_stopped_supervisor_is_not_left(start):
    sv = start()
    with sv.client() as client:
        pids = [int(pid) for pid in client.submit("suite.with_grandchildren", 4).result(timeout=20).split()]
    assert sv.stop() == 0
    assert not any(map(alive, pids))
