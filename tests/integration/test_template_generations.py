"""New code: a new template imports it, workers roll over, and jobs notice nothing but the result."""

import pytest

from support.edition import Edition
from support.leftovers import alive, until
from support.load import SteadyLoad


@pytest.fixture
def edition(tmp_path):
    return Edition(tmp_path)


def reload(sv):
    run = sv.cli("reload")
    assert run.returncode == 0, run.stdout + run.stderr


def renew(sv):
    run = sv.cli("recycle", "p", "--template")
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def serves(sv, generation):
    """Waits until no worker and no template of another generation is left."""

    def only_this(pool):
        rows = pool["workers"] + pool["templates"]
        ready = [w for w in pool["workers"] if w["slot"] > 0 and w["state"] in ("idle", "busy")]
        return len(ready) == pool["workers_wanted"] and {row["generation"] for row in rows} == {generation}

    pool = sv.wait_pool(only_this, f"generation {generation} alone")
    assert pool["generation"] == generation
    return pool


@pytest.mark.parametrize("ask", [reload, renew])
def test_new_code_is_served_without_a_gap(start, edition, ask):
    sv = start(**edition.pool(workers=3))
    (old,) = [template["pid"] for template in serves(sv, 1)["templates"]]
    before = sv.pids()
    with SteadyLoad(sv, "edition.slowly") as load:
        load.wait_more(50)
        edition.publish(2)
        ask(sv)
        serves(sv, 2)
        load.wait_more(50)
    assert set(load.results) == {1, 2} and load.results[0] == 1 and load.results[-1] == 2
    pool = sv.pool()
    assert pool["jobs"]["lost"] == pool["jobs"]["failed"] == 0
    assert pool["recycles"] == {"config": 3} and pool["restarts"] == {}
    assert not alive(old) and not any(map(alive, before))
    # Never fewer than three that serve: each goes when its successor is ready.
    ready = set()
    for event in sv.events():
        if event["event"] == "worker.ready":
            ready.add(event["pid"])
        elif event["event"] == "worker.retiring" and event["slot"] > 0:
            assert event["successor"] in ready, event
    gone = sv.wait_event("template.gone", pid=old)
    assert gone["generation"] == 1 and gone["workers"] == 0 and gone["detail"] == "exit code 0"


def test_the_old_generation_serves_until_the_new_one_can(start, edition):
    sv = start(**edition.pool(workers=2))
    edition.publish(2, "suite.hold('import')\n")  # imports until the test opens the gate
    gate = sv.gate("import")
    with sv.client() as client:
        assert "generation 2" in renew(sv)
        gate.wait()
        rows = {t["generation"]: t["state"] for t in sv.pool()["templates"]}
        assert rows == {1: "ready", 2: "starting"}
        assert set(client.map("edition.number", range(100))) == {1}
        assert sv.pool()["generation"] == 1
        gate.open()
        serves(sv, 2)
        assert set(client.map("edition.number", range(100))) == {2}


@pytest.mark.parametrize("ask", [reload, renew])
def test_broken_code_does_not_serve_and_mended_code_does(start, edition, ask):
    sv = start(**edition.pool(workers=2))
    before = serves(sv, 1)
    with SteadyLoad(sv, "edition.slowly") as load:
        edition.publish_broken()
        ask(sv)
        pool = sv.wait_pool(lambda p: p["advice"], "the advice")
        load.wait_more(50)
        assert "half-written edition" in pool["advice"] and "--template" in pool["advice"] + sv.log()
        assert pool["state"] == "running" and pool["generation"] == 1
        shown = sv.cli("status").stdout
        assert "half-written edition" in " ".join(shown.split()) and "NOT HEALTHY" in shown
        failed = sv.wait_event("template.renewal_failed")
        assert failed["generation"] == 2 and "half-written edition" in failed["error"]
        assert "recycle p --template" in failed["next"]
        assert {w["pid"] for w in sv.workers()} == {w["pid"] for w in before["workers"] if w["slot"] > 0}
        edition.publish(3)
        ask(sv)
        pool = serves(sv, 3)
        load.wait_more(50)
    assert set(load.results) == {1, 3} and pool["advice"] == ""
    assert sv.pool()["recycles"] == {"config": 2} and sv.pool()["jobs"]["lost"] == 0


def test_workers_that_die_while_broken_code_waits_come_back_in_the_old_generation(start, edition):
    sv = start(**edition.pool(workers=2))
    edition.publish_broken()
    renew(sv)
    sv.wait_event("template.renewal_failed")
    with sv.client() as client:
        for _ in range(6):
            with pytest.raises(Exception, match="exit"):
                client.submit("suite.exit_now", 1).result(timeout=20)
        assert set(client.map("edition.number", range(50))) == {1}
    assert {w["generation"] for w in sv.pool()["workers"]} == {1}


def test_many_renewals_in_quick_succession_end_with_the_last(start, edition):
    sv = start(**edition.pool(workers=2))
    with SteadyLoad(sv, "edition.slowly") as load:
        for number in range(2, 12):
            edition.publish(number)
            (reload if number % 2 else renew)(sv)
        pool = serves(sv, 11)
        load.wait_more(50)
    assert load.results[-1] == 11 and pool["advice"] == ""
    assert sv.pool()["jobs"]["lost"] == 0
    assert not sv.events("template.died") and not sv.events("pool.degraded")


def test_a_running_job_is_finished_by_the_generation_that_began_it(start, edition):
    sv = start(**edition.pool(workers=1))
    gate = sv.gate()
    with sv.client() as client:
        held = client.submit("suite.hold", "gate", 7)
        (busy,) = gate.wait()
        edition.publish(2)
        renew(sv)
        pool = sv.wait_pool(lambda p: p["generation"] == 2, "generation 2 to serve")
        # The old template stays as long as its last worker.
        until(lambda: len(sv.pool()["templates"]) == 2, 20, "both templates")
        assert {w["pid"]: w["generation"] for w in pool["workers"]}[busy] == 1
        gate.open()
        assert held.result(timeout=20) == 7
        serves(sv, 2)
        assert client.submit("edition.number").result(timeout=20) == 2


def test_preload_is_switched_on_and_off_by_a_reload(start, edition):
    sv = start(**edition.pool(workers=2, preload=False))
    assert sv.pool()["templates"] == []
    with SteadyLoad(sv, "edition.slowly") as load:
        for number, preload in [(2, True), (3, False), (4, True)]:
            edition.publish(number)
            sv.config["pools"]["p"]["preload"] = preload
            sv.write_config()
            reload(sv)
            until(lambda number=number: load.results[-1:] == [number], 30, f"edition {number}")
            sv.wait_pool(
                lambda p, preload=preload: [t["state"] for t in p["templates"]] == ["ready"] * preload,
                f"preload = {preload}",
            )
    assert load.results[0] == 1 and set(load.results) == {1, 2, 3, 4}
    assert sv.pool()["jobs"]["lost"] == 0


def test_a_pool_without_a_template_cannot_be_renewed(start):
    sv = start()
    run = sv.cli("recycle", "p", "--template")
    assert run.returncode == 1 and "preload" in run.stderr
    code, answer = sv.http("POST", "/pools/p/recycle", {"template": True})
    assert code == 409 and answer["error"]["code"] == "no_template"
    code, answer = sv.http("POST", "/pools/p/recycle", {"template": True, "slot": 1})
    assert code == 400
