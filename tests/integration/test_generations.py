"""Templates and their generations: new code comes in without a gap, and what breaks does not stop
what serves."""

import os
import signal

import pytest
from support.leftovers import until
from support.load import SteadyLoad

CODE = """
import supervise

@supervise.task
def version(number: int) -> int:
    return {version}
"""


@pytest.fixture
def versioned(make):
    """A daemon whose application the test writes: versioned.write(N), then start()."""
    sv = make(workers=2, app="versioned", preload=True)
    sv.config["pools"]["p"]["module_path"].insert(0, str(sv.work))
    sv.write_config()
    sv.write = lambda version: (sv.work / "versioned.py").write_text(CODE.format(version=version))
    sv.write(1)
    return sv


def ready_templates(sv):
    return [t for t in sv.pool()["templates"] if t["state"] == "ready"]


def wait_generation(sv, number):
    def rolled(pool):
        workers = [w for w in pool["workers"] if w["state"] != "retiring"]
        return pool["generation"] == number and all(w["generation"] == number for w in workers)

    return sv.wait_pool(rolled, f"generation {number}")


def test_a_reload_brings_new_code_and_loses_no_job(versioned):
    sv = versioned.start()
    with SteadyLoad(sv, "versioned.version") as load:
        load.wait_more(50)
        sv.write(2)
        sv.signal(signal.SIGHUP)
        wait_generation(sv, 2)
        load.wait_more(50)
    assert set(load.results) == {1, 2}
    assert load.results[0] == 1 and load.results[-1] == 2
    pool = sv.wait_pool(lambda p: len(p["templates"]) == 1, "the old template to go")
    assert pool["templates"][0]["generation"] == 2
    assert pool["jobs"]["lost"] == pool["jobs"]["failed"] == 0 and pool["restarts"] == {}


def test_broken_code_does_not_come_in(versioned):
    sv = versioned.start()
    (sv.work / "versioned.py").write_text("import no_such_module\n")
    answer = sv.cli("recycle", "p", "--template")
    assert answer.returncode == 0 and "generation 2" in answer.stdout
    sv.wait_event("template.renewal_failed", generation=2)
    pool = sv.pool()
    assert pool["generation"] == 1 and "no_such_module" in pool["advice"]
    assert "generation 2" in sv.cli("status").stdout
    with sv.client() as client:
        assert client.submit("versioned.version", 1).result(30) == 1
    sv.write(3)
    assert sv.cli("recycle", "p", "--template").returncode == 0
    wait_generation(sv, 3)
    with sv.client() as client:
        assert client.submit("versioned.version", 1).result(30) == 3
    assert sv.pool()["advice"] == ""


def test_a_killed_template_is_replaced_and_its_workers_live_on(start):
    sv = start(workers=2, app="forked", preload=True)
    before = sv.pids()
    template = ready_templates(sv)[0]["pid"]
    with SteadyLoad(sv, "suite.echo") as load:
        load.wait_more(20)
        os.kill(template, signal.SIGKILL)
        sv.wait_event("template.died", pid=template)
        assert sv.pids() == before
        until(lambda: ready_templates(sv), 30, "a new template")
        load.wait_more(20)
    assert sv.pids() == before
    assert ready_templates(sv)[0]["pid"] != template


def test_the_status_of_a_worker_whose_template_has_died_is_exact(start):
    sv = start(app="forked", preload=True, spare=0)
    os.kill(ready_templates(sv)[0]["pid"], signal.SIGKILL)
    sv.wait_event("template.died")
    with sv.client() as client:
        error = client.submit("suite.exit_now", 3).exception(30)
    assert error.cause == "exit" and "exit code 3" in error.detail


def test_forked_workers_are_children_of_the_supervisor_and_like_no_other(start):
    sv = start(workers=2, app="forked", preload=True)
    template = ready_templates(sv)[0]["pid"]
    with sv.client() as client:
        assert client.submit("forked.parent").result(30) == sv.process.pid
        assert client.submit("forked.imported_by").result(30) == template
        numbers = {client.submit("forked.numbers").result(30) for _ in range(20)}
    assert len(numbers) == 20
    assert template not in sv.pids()


def test_every_job_may_have_a_worker_of_its_own(start):
    sv = start(workers=2, app="forked", preload=True, recycle={"max_tasks": 1})
    with sv.client() as client:
        assert list(client.map("suite.counted", range(300))) == list(range(300))
    rows = sv.tally("end")
    assert len(rows) == len({pid for pid, *_ in rows}) == 300
    pool = sv.pool()
    assert pool["recycles"] == {"max_tasks": 300} and pool["restarts"] == {}


@pytest.mark.parametrize("policy", ["spawn", "refuse", "fork"])
def test_what_makes_forking_unsafe_is_named(make, policy):
    sv = make(app="threaded", preload=True, on_unsafe_fork=policy).start(ready=policy != "refuse")
    finding = sv.wait_event("template.unsafe")["finding"]
    assert "refresher" in finding and "threaded" in finding
    if policy == "refuse":
        pool = sv.wait_pool(lambda p: p["state"] == "degraded", "it to refuse")
        assert "refresher" in pool["advice"] and pool["workers"] == []
        answer = sv.cli("submit", "p", "suite.echo", "1", "--wait")
        assert answer.returncode != 0 and "refresher" in answer.stderr
        return
    with sv.client() as client:
        assert client.submit("suite.echo", 7).result(30) == 7
    assert bool(ready_templates(sv)) == (policy == "fork")
    assert len(sv.events("template.unsafe")) == 1
