"""Every death has a cause, costs one job at most, and takes the whole family with it."""

import signal

import pytest

import supervise
from support.leftovers import alive, until


def lose(sv, task, *ids, timeout=30):
    with sv.client() as client:
        with pytest.raises(supervise.JobLost) as caught:
            client.submit(task, *ids).result(timeout=timeout)
        assert client.submit("suite.echo", 1).result(timeout=30) == 1, "no successor"
    return caught.value


@pytest.mark.parametrize(
    "task, ids, cause, words",
    [
        ("suite.die_by", (signal.SIGKILL,), "signal", ["9"]),
        ("suite.die_by", (signal.SIGABRT,), "signal", ["6"]),
        ("suite.segfault", (), "signal", ["11"]),
        ("suite.exit_now", (3,), "exit", ["3"]),
        ("suite.exit_now", (0,), "exit", ["0"]),
        ("suite.overrun", (), "time_limit", ["300 ms"]),
    ],
)
def test_a_job_that_takes_its_worker_along_is_lost_with_the_cause(start, task, ids, cause, words):
    sv = start()
    lost = lose(sv, task, *ids)
    assert lost.cause == cause
    for word in words:
        assert word in str(lost)
    pool = sv.pool()
    assert pool["jobs"]["lost"] == 1 and pool["restarts"] == {cause: 1}
    assert pool["jobs"]["done"] == 1


def test_other_workers_jobs_are_untouched(start):
    sv = start(workers=2)
    gate = sv.gate()
    with sv.client() as client:
        held = client.submit("suite.hold", "gate", 5)
        gate.wait()
        with pytest.raises(supervise.JobLost):
            client.submit("suite.segfault").result(timeout=30)
        gate.open()
        assert held.result(timeout=20) == 5


def test_a_worker_killed_while_idle_costs_no_job(start):
    sv = start()
    (pid,) = sv.pids()
    import os

    os.kill(pid, signal.SIGKILL)
    sv.wait_pool(
        lambda p: p["restarts"] == {"signal": 1} and any(w["state"] == "idle" for w in p["workers"]),
        "a successor",
    )
    assert sv.pids() != [pid]
    assert sv.pool()["jobs"]["lost"] == 0


def test_descendants_die_with_the_worker(start):
    sv = start()
    with sv.client() as client:
        with pytest.raises(supervise.JobLost):
            client.submit("suite.grandchildren_then_die", 4).result(timeout=30)
    pids = [int(pid) for pid in (sv.work / "grandchildren").read_text().split()]
    assert len(pids) == 4
    until(lambda: not any(map(alive, pids)), 5, "the grandchildren to go")


def test_descendants_of_a_recycled_worker_go_too(start):
    sv = start()
    with sv.client() as client:
        pids = [int(pid) for pid in client.submit("suite.with_grandchildren", 3).result(timeout=20).split()]
    assert all(map(alive, pids))
    assert sv.cli("recycle", "p").returncode == 0
    until(lambda: not any(map(alive, pids)), 10, "the grandchildren to go")


@pytest.mark.parametrize("task", ["suite.grow", "suite.grow_at_once"])
def test_a_job_that_grows_without_end_is_stopped_at_the_hard_line(start, task):
    sv = start(memory={"hard": "150M"})
    lost = lose(sv, task, 2000)
    assert lost.cause in (
        ("memory_hard_limit",) if task == "suite.grow" else ("memory_hard_limit", "oom_worker")
    )
    assert sv.pool()["restarts"] == {lost.cause: 1}


def test_a_job_that_takes_far_too_much_at_once_meets_our_line_or_the_kernels(start):
    sv = start(memory={"hard": "100M"})
    tier = sv.status()["supervisor"]["tier"]
    if tier not in "AB":
        pytest.skip("no memory.max on this tier")
    for _ in range(3):
        assert lose(sv, "suite.grow_at_once", 1500).cause in ("memory_hard_limit", "oom_worker")
    assert sum(sv.pool()["restarts"].values()) == 3


def test_a_lost_job_is_retried_and_dead_when_retries_are_spent(start):
    sv = start()
    lost = lose(sv, "suite.exit_each_time")
    assert lost.cause == "exit"
    pool = sv.pool()
    assert pool["jobs"]["dead"] == 1 and pool["attempts"]["lost"] == 3
    assert len(sv.tally("begin")) == 3


def test_cancel_with_terminate_kills_the_running_job(start):
    sv = start()
    gate = sv.gate()
    with sv.client() as client:
        future = client.submit("suite.hold", "gate")
        (pid,) = gate.wait()
        future.cancel(terminate=True)
        with pytest.raises(supervise.JobLost) as caught:
            future.result(timeout=20)
        assert caught.value.cause == "revoked"
    assert not alive(pid)


def test_a_crash_loop_trips_the_breaker_and_the_others_go_on(start):
    breaker = {"backoff": {"first": "10ms", "most": "100ms"}, "burst": 3, "period": "60s"}
    sv = start(pools={"bad": {"restart": breaker}, "good": {}})
    with sv.client("bad") as client, sv.client("good") as good:
        for _ in range(4):
            with pytest.raises((supervise.JobLost, supervise.JobRefused)):
                client.submit("suite.exit_now", 1).result(timeout=30)
            if sv.pool("bad")["state"] == "degraded":
                break
        pool = sv.wait_pool(lambda p: p["state"] == "degraded", "the breaker", "bad")
        assert "resume bad" in pool["advice"]
        with pytest.raises(supervise.JobRefused) as caught:
            client.submit("suite.echo", 1).result(timeout=20)
        assert caught.value.reason == "degraded"
        assert good.submit("suite.echo", 1).result(timeout=20) == 1

        assert sv.cli("resume", "bad").returncode == 0
        sv.wait_pool(lambda p: p["state"] == "running", "the pool to run again", "bad")
    with sv.client("bad") as client:
        assert client.submit("suite.echo", 2).result(timeout=30) == 2


def test_an_application_that_cannot_be_imported_degrades_its_pool_and_says_why(make):
    sv = make(
        pools={
            "bad": {
                "app": "broken_import",
                "restart": {
                    "backoff": {"first": "10ms", "most": "100ms"},
                    "burst": 2,
                    "period": "60s",
                },
            },
            "good": {},
        }
    ).start(ready=False)
    status = sv.wait_for(
        lambda s: s["pools"]["bad"]["state"] == "degraded" and s["pools"]["good"]["state"] == "running",
        "one degraded pool",
    )
    assert status["pools"]["bad"]["advice"]
    assert "no_such_module_anywhere" in sv.log()
    with sv.client("good") as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_a_launch_that_fails_names_the_step_and_the_file(make):
    sv = make(restart={"backoff": {"first": "10ms", "most": "100ms"}, "burst": 2, "period": "60s"})
    python = sv.folder / "python"
    python.write_text("#!/nowhere/interpreter\n")
    python.chmod(0o755)
    sv.config["pools"]["p"]["python"] = str(python)
    sv.write_config()
    sv.start(ready=False)
    pool = sv.wait_pool(lambda p: p["state"] == "degraded", "the pool to give up")
    assert f"exec {python}" in pool["advice"] and "No such file" in pool["advice"]


def test_a_worker_that_is_not_ready_in_time_is_given_up(make):
    sv = make(
        start_timeout="300ms",
        environment={"SUITE_IMPORT_SECONDS": "30"},
        restart={"backoff": {"first": "10ms", "most": "100ms"}, "burst": 2, "period": "60s"},
    )
    sv.start(ready=False)
    sv.wait_pool(lambda p: p["state"] == "degraded", "the pool to give up")
    assert "start_timeout" in sv.pool()["advice"] + sv.log()
