"""SIGHUP and `reload` apply the difference, and only the difference."""

import signal

import pytest


def reload(sv):
    run = sv.cli("reload")
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_reload_without_a_change_touches_nothing(start):
    sv = start(workers=2)
    before = sv.pids()
    reload(sv)
    assert sv.pids() == before
    assert sv.pool()["recycles"] == {}


def test_a_changed_recycling_line_takes_effect_without_a_restart(start):
    sv = start(pools={"a": {}, "b": {}})
    before = sv.pids("a"), sv.pids("b")
    sv.config["pools"]["a"]["recycle"] = {"max_tasks": 5, "max_tasks_jitter": 0.0}
    sv.write_config()
    assert "max_tasks" in reload(sv)
    assert (sv.pids("a"), sv.pids("b")) == before
    with sv.client("a") as client:
        list(client.map("suite.counted", range(20)))
    sv.wait_pool(lambda p: p["recycles"].get("max_tasks", 0) >= 3, "recycling by count", "a")
    assert sv.pids("b") == before[1]


def test_a_changed_environment_recycles_that_pool_alone(start):
    sv = start(pools={"a": {"workers": 2}, "b": {}})
    before = sv.pids("a"), sv.pids("b")
    sv.config["pools"]["a"]["environment"]["COLOUR"] = "green"
    sv.write_config()
    sv.signal(signal.SIGHUP)
    sv.wait_pool(lambda p: p["recycles"].get("config", 0) == 2, "both workers of a", "a")
    assert sv.pids("b") == before[1] and not set(sv.pids("a")) & set(before[0])
    with sv.client("a") as client:
        assert client.submit("suite.environment", "COLOUR").result(timeout=20) == "green"


def test_jobs_go_on_through_a_reload(start):
    sv = start(workers=2)
    with sv.client() as client:
        futures = [client.submit("suite.timed", number, 5) for number in range(200)]
        sv.config["pools"]["p"]["environment"]["COLOUR"] = "green"
        sv.write_config()
        reload(sv)
        assert [future.result(timeout=30) for future in futures] == list(range(200))
    assert sv.pool()["jobs"]["lost"] == 0


def test_a_broken_file_is_refused_and_the_old_config_stays(start):
    sv = start()
    before = sv.pids()
    sv.write_config("[pool.p]\napp = 'suite'\nworker = 3\n[pool.q\n")
    run = sv.cli("reload")
    assert run.returncode not in (0, 69)
    assert "workers.toml:" in run.stdout + run.stderr
    sv.signal(signal.SIGHUP)
    sv.signal(signal.SIGHUP)
    with sv.client() as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1
    assert sv.pids() == before


def test_a_pool_can_be_added_and_taken_out(start):
    sv = start(pools={"a": {}})
    before = sv.pids("a")
    sv.config["pools"]["b"] = sv.pool_config(workers=2)
    sv.write_config()
    reload(sv)
    sv.wait_running()
    with sv.client("b") as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1
    del sv.config["pools"]["b"]
    sv.write_config()
    reload(sv)
    sv.wait_for(lambda s: set(s["pools"]) == {"a"}, "pool b to go")
    assert not (sv.runtime_dir / "b.sock").exists()
    assert sv.pids("a") == before


def test_a_running_job_of_a_pool_that_is_taken_out_is_finished(start):
    sv = start(pools={"a": {}, "b": {}})
    gate = sv.gate()
    with sv.client("b") as client:
        held = client.submit("suite.hold", "gate", 3)
        gate.wait()
        del sv.config["pools"]["b"]
        sv.write_config()
        reload(sv)
        gate.open()
        assert held.result(timeout=20) == 3
    sv.wait_for(lambda s: set(s["pools"]) == {"a"}, "pool b to go")


def test_more_and_fewer_workers(start):
    sv = start(workers=2)
    before = sv.pids()
    sv.config["pools"]["p"]["workers"] = 4
    sv.write_config()
    reload(sv)
    sv.wait_pool(lambda p: sum(w["state"] == "idle" for w in p["workers"]) == 4, "four idle workers")
    assert set(before) <= set(sv.pids())
    sv.config["pools"]["p"]["workers"] = 1
    sv.write_config()
    reload(sv)
    sv.wait_pool(lambda p: len(p["workers"]) == 1, "one worker")


def test_scale_grows_and_shrinks_without_losing_a_job(start):
    sv = start(workers=2)
    with sv.client() as client:
        futures = [client.submit("suite.timed", number, 5) for number in range(300)]
        for size in (5, 1, 3):
            assert sv.cli("scale", "p", size).returncode == 0
            sv.wait_pool(
                lambda p, size=size: (
                    p["workers_wanted"] == size
                    and len([w for w in p["workers"] if w["state"] in ("idle", "busy")]) == size
                ),
                f"{size} workers",
            )
        assert [future.result(timeout=30) for future in futures] == list(range(300))


def test_pause_holds_jobs_back_and_resume_lets_them_go(start):
    sv = start()
    assert sv.cli("pause", "p").returncode == 0
    with sv.client() as client:
        future = client.submit("suite.echo", 1)
        pool = sv.wait_pool(lambda p: p["jobs"]["queued"] == 1, "a queued job")
        assert pool["state"] == "paused"
        with pytest.raises(TimeoutError):
            future.result(timeout=0.2)
        assert sv.cli("resume", "p").returncode == 0
        assert future.result(timeout=20) == 1
