"""Templates that die, hang, cannot be imported or must not be forked."""

import os
import resource
import signal
import socket
import time

import pytest

import supervise
from support.leftovers import alive, until
from support.load import SteadyLoad

IN_VAIN = {"backoff": {"first": "10ms", "most": "100ms"}, "burst": 3, "period": "60s"}


def preload(start, **pool):
    return start(**{"app": "forked", "preload": True, **pool})


def ready_template(sv):
    """The pid of the one that serves."""

    def ready(pool):
        return [t["pid"] for t in pool["templates"] if t["state"] == "ready"]

    return ready(sv.wait_pool(ready, "a ready template"))[0]


# Death


def test_killed_under_load_it_is_replaced_and_nobody_notices(start):
    sv = preload(start, workers=3)
    before = sv.pids()
    templates = []
    with SteadyLoad(sv, "suite.counted") as load:
        for _ in range(3):
            templates.append(ready_template(sv))
            os.kill(templates[-1], signal.SIGKILL)
            sv.wait_event("template.died", pid=templates[-1])
            load.wait_more(100)
        templates.append(ready_template(sv))
    assert load.results == list(range(len(load.results)))
    assert len(set(templates)) == 4
    assert sv.pids() == before
    assert not sv.events("worker.died"), "a spare that was about to be forked never was a process"


def test_killed_again_and_again_while_workers_are_recycled_it_costs_no_job(start):
    sv = preload(start, workers=3, recycle={"max_tasks": 5})
    with SteadyLoad(sv, "suite.counted") as load:
        for _ in range(5):
            os.kill(ready_template(sv), signal.SIGKILL)
            load.wait_more(100)
    assert load.results == list(range(len(load.results)))
    jobs = [row[0] for row in sv.tally("end")]
    assert max(map(jobs.count, set(jobs))) <= 5
    assert sv.pool()["jobs"]["lost"] == 0


def test_new_workers_have_a_new_template_and_a_new_generation(start):
    sv = preload(start, workers=1, spare=0)
    old = ready_template(sv)
    os.kill(old, signal.SIGKILL)
    sv.wait_event("template.died", pid=old)
    new = ready_template(sv)
    with sv.client() as client:
        assert client.submit("forked.imported_by").result(timeout=20) == old
        with pytest.raises(supervise.JobLost):
            client.submit("suite.exit_now", 1).result(timeout=20)
        assert client.submit("forked.imported_by").result(timeout=20) == new
    (worker,) = sv.workers()
    assert worker["generation"] == sv.pool()["generation"] == 2


def test_a_stopped_template_is_replaced_and_the_other_workers_go_on(start):
    sv = preload(start, workers=3, spare=0)
    old = ready_template(sv)
    os.kill(old, signal.SIGSTOP)
    with SteadyLoad(sv, "suite.counted") as load:
        os.kill(sv.pids()[0], signal.SIGKILL)
        begun = time.monotonic()
        sv.wait_event("template.silent", pid=old)
        gone = sv.wait_event("template.gone", pid=old)
        assert "it left a request to fork unanswered" in gone["detail"]
        sv.wait_pool(
            lambda p: sum(w["state"] in ("idle", "busy") for w in p["workers"]) == 3,
            "the third worker again",
        )
        assert time.monotonic() - begun < 15, "it did not wait for the 20 s of a fork"
        load.wait_more(50)
        load.may_fail = 1  # the victim's own
    assert not alive(old) and ready_template(sv) != old
    assert sv.pool()["restarts"] == {"signal": 1} and not sv.events("template.died")


def test_a_stopped_template_does_not_hold_up_the_end(start):
    sv = preload(start, workers=2, spare=0)
    os.kill(ready_template(sv), signal.SIGSTOP)
    begun = time.monotonic()
    assert sv.stop(20) == 0
    assert time.monotonic() - begun < 8


def test_a_template_short_of_descriptors_does_not_degrade_the_pool(start):
    sv = preload(start, workers=2, spare=0, restart=IN_VAIN)
    template = ready_template(sv)
    limits = resource.prlimit(template, resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir(f"/proc/{template}/fd")))
    resource.prlimit(template, resource.RLIMIT_NOFILE, (used + 2, limits[1]))
    os.kill(sv.pids()[0], signal.SIGKILL)
    until(lambda: len(sv.events("worker.not_started")) > 5, 30, "forks that fail")
    pool = sv.pool()
    assert pool["state"] == "running"
    for word in ("cannot start workers", "fork a worker: Too many open files", "ulimit -n"):
        assert word in pool["advice"]
    resource.prlimit(template, resource.RLIMIT_NOFILE, limits)
    pool = sv.wait_pool(
        lambda p: [w["state"] for w in p["workers"]] == ["idle", "idle"], "the second worker again"
    )
    assert pool["advice"] == "" and pool["restarts"] == {"signal": 1}
    assert ready_template(sv) == template


def test_a_timer_that_the_application_has_set_at_import_ends_nobody(start, tmp_path):
    (tmp_path / "alarmed.py").write_text(
        "import signal\nimport suite\nsignal.setitimer(signal.ITIMER_REAL, 0.2)\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    sv = start(app="alarmed", preload=True, environment=environment, recycle={"max_tasks": 1})
    template = ready_template(sv)
    with sv.client() as client:
        futures = [client.submit("suite.timed", number, 300) for number in range(3)]
        for future in futures:
            future.result(timeout=20)
    assert ready_template(sv) == template and not sv.events("template.died")
    assert "ITIMER_REAL" in sv.wait_event("template.output", stream="stderr")["line"]


def test_an_import_that_takes_too_long_is_given_up(make):
    sv = make(
        preload=True,
        start_timeout="300ms",
        environment={"SUITE_IMPORT_SECONDS": "30"},
        restart=IN_VAIN,
    ).start(ready=False)
    pool = sv.wait_pool(lambda p: p["state"] == "degraded", "the pool to give up")
    assert "start_timeout" in pool["advice"] and "template" in pool["advice"]


def test_an_application_that_cannot_be_imported_degrades_the_pool_and_says_why(make):
    sv = make(app="broken_import", preload=True, restart=IN_VAIN).start(ready=False)
    pool = sv.wait_pool(lambda p: p["state"] == "degraded", "the pool to give up")
    assert "no_such_module_anywhere" in pool["advice"]
    assert len(sv.events("template.died")) == 3
    assert sv.events("template.output", stream="stderr"), "the traceback"
    with sv.client() as client:
        with pytest.raises(supervise.JobRefused) as caught:
            client.submit("suite.echo", 1).result(timeout=20)
    assert caught.value.reason == "degraded" and "no_such_module_anywhere" in str(caught.value)


def test_a_hook_that_fails_names_itself(make, tmp_path):
    (tmp_path / "hooked.py").write_text(
        "import supervise\nimport suite\n"
        "@supervise.after_fork\ndef connect():\n    raise OSError('no database here')\n"
    )
    sv = make(app="hooked", preload=True, restart=IN_VAIN)
    sv.config["pools"]["p"]["module_path"].append(str(tmp_path))
    sv.write_config()
    sv.start(ready=False)
    pool = sv.wait_pool(lambda p: p["state"] == "degraded", "the pool to give up")
    for word in ("after_fork", "hooked.connect", "no database here"):
        assert word in pool["advice"]


def test_stopping_while_a_template_imports_leaves_nothing(make):
    sv = make(preload=True, workers=2, environment={"SUITE_IMPORT_SECONDS": "30"}).start(ready=False)
    sv.wait_pool(lambda p: [t["state"] for t in p["templates"]] == ["starting"], "a template")
    assert sv.stop(20) == 0


# Unsafe forking


@pytest.fixture
def peer(tmp_path):
    """The path of a Unix socket that somebody listens on."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "peer"))
        listener.listen()
        yield str(tmp_path / "peer")


UNSAFE = pytest.mark.parametrize(
    "app, words",
    [
        ("threaded", ["the thread 'refresher'", "started at the import of threaded", "threaded.py:7"]),
        ("connected", ["a connection to", "/peer", "made at the import of connected"]),
    ],
)


def unsafe(starter, app, peer, **pool):
    return starter(app=app, preload=True, environment={"PEER": peer}, **pool)


@UNSAFE
def test_where_forking_is_unsafe_workers_are_spawned(start, peer, app, words):
    sv = unsafe(start, app, peer, workers=2, recycle={"max_tasks": 5})
    with sv.client() as client:
        assert list(client.map("suite.echo", range(50))) == list(range(50))
    (row,) = sv.pool()["templates"]
    assert row["state"] == "unsafe" and row["pid"] == 0
    (finding,) = row["findings"]
    shown = " ".join(sv.cli("status").stdout.split())
    for word in words:
        assert word in finding and word in shown
    assert sv.wait_event("template.unsafe")["finding"] == finding
    assert len(sv.events("template.unsafe")) == len(sv.events("template.falls_back")) == 1
    assert sv.pool()["recycles"]["max_tasks"] >= 5 and sv.pool()["template_forks"] == 0
    imports = {row[0] for row in sv.tally("import")}
    assert set(sv.pids()) <= imports, "each has imported the application itself"


@UNSAFE
def test_or_the_pool_refuses_to_run_until_it_is_mended(make, peer, app, words):
    sv = unsafe(make, app, peer, on_unsafe_fork="refuse").start(ready=False)
    pool = sv.wait_pool(lambda p: p["state"] == "degraded", "the refusal")
    assert pool["workers"] == [] and "on_unsafe_fork" in pool["advice"]
    assert "recycle p --template" in pool["advice"]
    for word in words:
        assert word in pool["advice"]
    with sv.client() as client:
        with pytest.raises(supervise.JobRefused) as caught:
            client.submit("suite.echo", 1).result(timeout=20)
        assert caught.value.reason == "degraded" and words[0] in str(caught.value)
    sv.config["pools"]["p"]["app"] = "suite"
    sv.write_config()
    assert sv.cli("reload").returncode == 0
    sv.wait_running()
    with sv.client() as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


@UNSAFE
def test_or_workers_are_forked_all_the_same(start, peer, app, words):
    sv = unsafe(start, app, peer, workers=2, on_unsafe_fork="fork")
    with sv.client() as client:
        assert list(client.map("suite.echo", range(50))) == list(range(50))
    (row,) = sv.pool()["templates"]
    assert row["state"] == "ready" and row["forks"] >= 2
    for word in words:
        assert word in row["findings"][0] and word in " ".join(sv.cli("status").stdout.split())


def test_what_before_fork_closes_is_no_finding(start, peer, tmp_path):
    (tmp_path / "careful.py").write_text(
        "import supervise\nimport connected\nsupervise.before_fork(connected.connection.close)\n"
    )
    sv = start(app="careful", preload=True, environment={"PEER": peer, "PYTHONPATH": str(tmp_path)})
    (row,) = sv.pool()["templates"]
    assert row["state"] == "ready" and row["findings"] == []
    until(lambda: sv.pool()["template_forks"] >= 1, 20, "a fork")
