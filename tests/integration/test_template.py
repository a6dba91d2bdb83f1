"""preload = true: workers are forked off a template that has imported the application once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import supervise
from support import process
from support.daemon import APPS
from support.leftovers import alive, cgroups, until

MB = 1 << 20


@pytest.fixture
def preload(start):
    def start_pool(**pool):
        return start(**{"app": "forked", "preload": True, **pool})

    return start_pool


def template_of(sv, generation=1):
    """The pid of the ready template."""
    pool = sv.wait_pool(
        lambda p: any(t["generation"] == generation and t["state"] == "ready" for t in p["templates"]),
        f"a ready template of generation {generation}",
    )
    (pid,) = [t["pid"] for t in pool["templates"] if t["generation"] == generation]
    return pid


def spares(pool):
    """Those that are ready."""
    return [w for w in pool["workers"] if w["slot"] == 0 and w["state"] == "idle"]


# Birth


def test_the_application_is_imported_once_and_the_workers_are_the_supervisors(preload):
    sv = preload(workers=3)
    template = template_of(sv)
    with sv.client() as client:
        assert set(client.map("forked.imported_by", [()] * 30)) == {template}
        assert set(client.map("forked.parent", [()] * 30)) == {sv.process.pid}
    assert len(set(sv.pids())) == 3 and template not in sv.pids()
    assert [process.parent(pid) for pid in [template, *sv.pids()]] == [sv.process.pid] * 4
    assert [row[0] for row in sv.tally("import")] == [template]


def test_a_worker_is_ready_in_a_fraction_of_the_imports_time(preload):
    sv = preload(workers=2, environment={"SUITE_IMPORT_SECONDS": "1.5"})
    (imported,) = sv.events("template.ready")
    assert imported["ms"] >= 1500 and imported["tasks"] > 20
    forked = sv.events("worker.ready")
    assert len(forked) >= 2 and all(worker["ms"] < 1000 for worker in forked)


def test_what_the_template_holds_costs_its_workers_nothing(preload, make):
    sv = make(app="forked", preload=True, workers=2)
    (sv.work / "ballast").write_text("80")
    sv.start()
    if sv.status()["supervisor"]["tier"] not in "AB":
        pytest.skip("private memory is not told apart on this tier")
    sv.wait_pool(spares, "a spare")
    with sv.client() as client:
        list(client.map("suite.echo", range(200)))
    pool = sv.pool()
    (template,) = pool["templates"]
    assert template["private_bytes"] > 80 * MB
    for worker in pool["workers"]:
        assert worker["rss_bytes"] > 80 * MB
        assert 0 < worker["private_bytes"] < 20 * MB


def test_siblings_draw_different_numbers(preload):
    sv = preload(workers=1, recycle={"max_tasks": 1})
    with sv.client() as client:
        numbers = [client.submit("forked.numbers").result(timeout=20).split() for _ in range(10)]
    for column in zip(*numbers):
        assert len(set(column)) == 10, column


def test_hooks_run_once_in_the_template_and_in_each_worker(preload):
    sv = preload(workers=2)
    template = template_of(sv)
    assert [row[0] for row in sv.tally("before")] == [template]
    with sv.client() as client:
        list(client.map("suite.timed", [(number, 10) for number in range(20)]))
    assert not sv.events("worker.died")
    hooked = [row[0] for row in sv.tally("after")]
    assert set(sv.pids()) <= set(hooked) and template not in hooked
    assert len(hooked) == len(set(hooked)), "a hook has run twice in one worker"


def test_a_spawned_worker_runs_both_hooks(preload):
    sv = preload(preload=False)
    assert [row[0] for row in sv.tally("before")] == sv.pids()
    assert [row[0] for row in sv.tally("after")] == sv.pids()


def test_each_workers_lines_are_its_own(preload):
    sv = preload(workers=3)
    gates = [f"gate{number}" for number in range(3)]
    with sv.client() as client:
        futures = [client.submit("forked.say_and_hold", gate) for gate in gates]
        for gate in gates:
            sv.gate(gate).wait()
        for gate in gates:
            sv.gate(gate).open()
        said = {gate: future.result(timeout=20) for gate, future in zip(gates, futures)}
    assert len(set(said.values())) == 3
    slot_of = {worker["pid"]: worker["slot"] for worker in sv.workers()}
    for gate, pid in said.items():
        for stream, line in [("stdout", f"out of {gate}"), ("stderr", f"err of {gate}")]:
            event = sv.wait_event("worker.output", line=line)
            assert (event["pid"], event["slot"], event["stream"]) == (pid, slot_of[pid], stream)
    assert not sv.events("template.output")


def test_a_worker_has_a_clean_slate(preload):
    sv = preload(umask="0027", directory="/usr", limits={"nofile": 123}, memory={"oom_score_adj": 700})
    with sv.client() as client:
        assert client.submit("suite.session").result(timeout=20) == "True True /dev/null"
        assert client.submit("suite.working_directory").result(timeout=20) == "/usr 27"
        files = client.submit("suite.descriptors").result(timeout=20).splitlines()
    names = sorted(file.partition(":")[0] for file in files)
    # Beside what a spawned worker has, the file that the application opened at its import.
    own_file = str(sv.work / "diary")
    assert names == sorted(["/dev/null", "pipe", "pipe", "socket", "/memfd", own_file]), files
    (pid,) = sv.pids()
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "700"


def test_two_workers_share_no_pipe_and_no_channel(preload):
    sv = preload(workers=2)
    sv.wait_pool(spares, "a spare")
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in sv.pids() for fd in (1, 2, 3)]
    assert len(set(links)) == 6, links
    template = template_of(sv)
    inherited = {os.readlink(f"/proc/{template}/fd/{fd}") for fd in os.listdir(f"/proc/{template}/fd")}
    assert not inherited & set(links)


# Death


def test_a_planned_exit_runs_atexit_and_writes_files_out(preload):
    sv = preload(spare=0)
    (pid,) = sv.pids()
    with sv.client() as client:
        client.submit("forked.write_diary", "dear diary").result(timeout=20)
    assert sv.tally("goodbye") == [] and (sv.work / "diary").read_text() == ""
    assert sv.cli("recycle", "p").returncode == 0
    gone = sv.wait_event("worker.gone", pid=pid)
    assert gone["how"] == "recycled"
    assert [row[0] for row in sv.tally("goodbye")] == [pid]
    assert (sv.work / "diary").read_text() == "dear diary\n"


@pytest.mark.parametrize(
    "task, ids, cause, word",
    [
        ("suite.exit_now", (3,), "exit", "3"),
        ("suite.exit_now", (0,), "exit", "0"),
        ("suite.segfault", (), "signal", "11"),
        ("suite.die_by", (signal.SIGKILL,), "signal", "9"),
    ],
)
def test_a_workers_end_is_known_exactly_when_its_template_is_dead(preload, task, ids, cause, word):
    sv = preload(spare=0)
    (pid,) = sv.pids()
    template = template_of(sv)
    os.kill(template, signal.SIGKILL)
    sv.wait_event("template.died", pid=template)
    with sv.client() as client:
        future = client.submit(task, *ids)
        with pytest.raises(supervise.JobLost) as caught:
            future.result(timeout=30)
        assert caught.value.cause == cause and word in str(caught.value)
        assert client.submit("suite.echo", 1).result(timeout=30) == 1
    died = sv.wait_event("worker.died", pid=pid)
    assert died["reason"] == cause and word in died["detail"]
    for subject in (str(future.job_id), "p/1"):
        told = sv.cli("why", subject)
        assert told.returncode == 0
        assert cause in told.stdout and word in told.stdout and str(pid) in told.stdout


def test_limits_of_time_hold(preload):
    sv = preload()
    with sv.client() as client:
        assert client.submit("suite.stop_softly").result(timeout=20) == "stopped softly"
        with pytest.raises(supervise.JobLost) as caught:
            client.submit("suite.overrun").result(timeout=30)
        assert caught.value.cause == "time_limit"
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_a_worker_killed_idle_is_followed_at_once_by_the_spare(preload):
    sv = preload(spare=1)
    (spare,) = spares(sv.wait_pool(spares, "a spare"))
    with sv.client() as client:
        first = client.submit("suite.pid").result(timeout=20)
        os.kill(first, signal.SIGKILL)
        sv.wait_event("worker.died", pid=first)
        assert client.submit("suite.pid").result(timeout=20) == spare["pid"]
    taken = sv.wait_event("worker.took_slot", pid=spare["pid"])
    assert (taken["slot"], taken["incarnation"]) == (1, 2)
    sv.wait_pool(lambda p: spares(p) and spares(p)[0]["pid"] != spare["pid"], "another spare")


def test_as_many_spares_as_are_asked_for_and_none_of_them_works(preload):
    sv = preload(workers=1, spare=3)
    pool = sv.wait_pool(lambda p: len(spares(p)) == 3, "three ready spares")
    waiting = {worker["pid"] for worker in spares(pool)}
    with sv.client() as client:
        assert not waiting & set(client.map("suite.pid", range(50)))
    sv.config["pools"]["p"]["spare"] = 0
    sv.write_config()
    assert sv.cli("reload").returncode == 0
    sv.wait_pool(lambda p: all(w["slot"] > 0 for w in p["workers"]) and p["generation"] == 2, "no spare")


# Users


def nobody_can_run_this():
    readable = all(folder.stat().st_mode & 0o001 for folder in APPS.parents)
    run = subprocess.run([sys.executable, "-c", ""], user=65534, group=65534, check=False)
    return readable and run.returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which needs root")
def test_workers_of_another_user_are_in_their_leaf(preload):
    if not nobody_can_run_this():
        pytest.skip("this checkout or this interpreter is closed to other users")
    sv = preload(workers=2, user="nobody", group="nogroup")
    template = template_of(sv)
    sv.wait_pool(spares, "a spare")
    everybody = [template, *[worker["pid"] for worker in sv.pool()["workers"]]]
    for pid in everybody:
        assert process.users(pid) == [65534] * 4
    if sv.status()["supervisor"]["tier"] in "AB":
        leaves = [process.cgroups(pid)[""] for pid in everybody]
        assert len(set(leaves)) == 4 and all(leaf.startswith(sv.cgroup_root) for leaf in leaves)
        assert {Path(leaf).name.partition(".")[0] for leaf in leaves} == {"template", "1", "2", "spare"}
    with sv.client() as client:
        with pytest.raises(supervise.JobLost):
            client.submit("suite.segfault").result(timeout=30)
        assert list(client.map("suite.echo", range(100))) == list(range(100))
    assert sv.stop() == 0


# The end


def test_nothing_outlives_a_stop(preload):
    sv = preload(workers=2)
    sv.wait_pool(spares, "a spare")
    everybody = [template_of(sv), *[worker["pid"] for worker in sv.pool()["workers"]]]
    assert len(everybody) == 4
    assert sv.stop() == 0
    assert not any(map(alive, everybody)) and not cgroups(sv.cgroup_root)
    assert {row[0] for row in sv.tally("goodbye")} == set(everybody)


def test_nothing_outlives_a_killed_supervisor(preload):
    sv = preload(workers=2)
    sv.wait_pool(spares, "a spare")
    everybody = [template_of(sv), *[worker["pid"] for worker in sv.pool()["workers"]]]
    gate = sv.gate()
    with sv.client() as client:
        held = client.submit("suite.hold", "gate")
        (busy,) = gate.wait()
        sv.kill()
        with pytest.raises((supervise.PoolGone, supervise.JobLost)):
            held.result(timeout=20)
    others = [pid for pid in everybody if pid != busy]
    until(lambda: not any(map(alive, others)), 2, "template, spare and idle worker to go")
    assert alive(busy), "a running job was ended by the supervisor's death"
    gate.open()
    until(lambda: not alive(busy), 2, "the busy worker to go after its job")
    assert len(sv.tally("end")) == 1
    sv.start()  # its heir takes its empty groups away
    assert sv.stop() == 0
    sv.cgroups_may_stay = False
