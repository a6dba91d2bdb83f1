"""Every command, what it prints and how it exits."""

import json
import uuid

import pytest

DONE, FAILED, USAGE, NOBODY, REFUSED, CONFIG = 0, 1, 64, 69, 75, 78


def test_status_in_json_is_the_promised_shape(shared):
    run = shared.cli("status", "--json")
    assert run.returncode == DONE
    status = json.loads(run.stdout)
    supervisor, pool = status["supervisor"], status["pools"]["p"]
    assert {"pid", "version", "tier", "uptime_seconds", "rss_bytes"} <= set(supervisor)
    assert supervisor["pid"] == shared.process.pid and supervisor["rss_bytes"] > 0
    assert {"state", "workers", "jobs", "recycles", "restarts", "slot_gap_seconds"} <= set(pool)
    assert set(pool["jobs"]) == {"queued", "running", "done", "failed", "lost", "dead"}
    assert {"p50", "p99", "count"} <= set(pool["slot_gap_seconds"])
    for worker in pool["workers"]:
        assert {
            "slot",
            "incarnation",
            "pid",
            "state",
            "task",
            "job_id",
            "jobs_done",
            "age_seconds",
            "rss_bytes",
            "private_bytes",
            "generation",
        } <= set(worker)
        assert worker["rss_bytes"] > 1 << 20


def test_the_control_sockets_json_is_the_same(shared):
    code, status = shared.http("GET", "/status")
    assert code == 200
    assert set(status) == set(json.loads(shared.cli("status", "--json").stdout))


def test_status_for_people_shows_each_worker(shared):
    run = shared.cli("status")
    assert run.returncode == DONE
    for pid in shared.pids():
        assert str(pid) in run.stdout
    assert "idle" in run.stdout


def test_submit_prints_the_jobs_id_and_with_wait_its_result(shared):
    run = shared.cli("submit", "p", "suite.echo", 42)
    assert run.returncode == DONE and run.stdout.split()[-1].isdigit()
    run = shared.cli("submit", "p", "suite.add", 40, 2, "--wait")
    assert run.returncode == DONE and "42" in run.stdout
    run = shared.cli("submit", "p", "suite.add", "--wait", "--", -40, -2)
    assert run.returncode == DONE and "-42" in run.stdout
    text = shared.cli("submit", "p", "suite.echo", "report-7", "--wait")
    assert "report-7" in text.stdout
    some = str(uuid.uuid4())
    assert some in shared.cli("submit", "p", "suite.echo", some, "--wait").stdout


def test_submit_says_how_a_job_failed(shared):
    run = shared.cli("submit", "p", "suite.fail", 3, "--wait")
    assert run.returncode == FAILED
    assert "ValueError" in run.stderr + run.stdout and "no report 3" in run.stderr + run.stdout


def test_submit_is_refused_with_near_misses(shared):
    run = shared.cli("submit", "p", "suite.ecko", 3)
    assert run.returncode == FAILED and "suite.echo" in run.stderr
    run = shared.cli("submit", "q", "suite.echo", 3)
    assert run.returncode == FAILED and "p" in run.stderr


def test_a_full_queue_is_refused_for_now(start):
    sv = start(jobs={"queue_limit": 1})
    assert sv.cli("pause", "p").returncode == DONE
    assert sv.cli("submit", "p", "suite.echo", 1).returncode == DONE
    run = sv.cli("submit", "p", "suite.echo", 2)
    assert run.returncode == REFUSED and "queue" in run.stderr


def test_recycle_one_slot_and_all(start):
    sv = start(workers=2)
    before = {w["slot"]: w["pid"] for w in sv.workers()}
    assert sv.cli("recycle", "p/2").returncode == DONE
    sv.wait_pool(lambda p: p["recycles"].get("requested") == 1, "one recycled")
    sv.wait_running()
    after = {w["slot"]: w["pid"] for w in sv.workers()}
    assert after[1] == before[1] and after[2] != before[2]
    assert sv.cli("recycle", "p").returncode == DONE
    sv.wait_pool(lambda p: p["recycles"].get("requested") == 3, "all recycled")
    assert sv.cli("recycle", "p/9").returncode == FAILED
    assert sv.cli("recycle", "q").returncode == FAILED


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("status", "--nonsense"),
        ("scale", "p"),
        ("scale", "p", "many"),
        ("submit",),
        ("submit", "p"),
        ("recycle",),
        ("why",),
        ("scale", "p", "-1"),
    ],
)
def test_what_is_typed_wrong_is_a_usage_error(shared, arguments):
    run = shared.cli(*arguments)
    assert run.returncode == USAGE
    assert run.stderr.strip()


def test_unknown_pools_are_told_the_known_ones(shared):
    for arguments in (("scale", "q", 1), ("pause", "q"), ("resume", "q")):
        run = shared.cli(*arguments)
        assert run.returncode == FAILED and "p" in run.stderr, arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "--json"),
        ("submit", "p", "suite.echo", "1"),
        ("recycle", "p"),
        ("scale", "p", "1"),
        ("pause", "p"),
        ("resume", "p"),
        ("reload",),
        ("stop",),
        ("why", "1"),
    ],
)
def test_without_a_supervisor_each_command_says_so(make, arguments):
    sv = make()
    run = sv.cli(*arguments)
    assert run.returncode == NOBODY
    assert str(sv.runtime_dir) in run.stderr


def test_stop_drains_and_the_process_is_gone(start):
    sv = start(workers=2)
    assert sv.cli("stop").returncode == DONE
    assert sv.wait_exit(20) == 0
    assert sv.cli("status").returncode == NOBODY


def test_help_teaches(shared):
    run = shared.cli("--help")
    assert run.returncode == DONE
    for command in (
        "run",
        "check",
        "status",
        "submit",
        "recycle",
        "scale",
        "pause",
        "resume",
        "reload",
        "stop",
        "why",
        "doctor",
    ):
        assert command in run.stdout
        own = shared.cli(command, "--help")
        assert own.returncode == DONE and len(own.stdout.splitlines()) > 3
    assert shared.cli("--version").stdout.strip()


def test_doctor_prints_the_tier_and_its_features(shared):
    run = shared.cli("doctor")
    assert run.returncode in (DONE, FAILED)
    assert "tier" in run.stdout.lower()


def test_check_of_a_good_file_prints_the_effective_values(make):
    sv = make(recycle={"max_rss": "512M"})
    run = sv.cli("check", sv.config_file)
    assert run.returncode == DONE
    assert "512M" in run.stdout and "suite" in run.stdout and "grace" in run.stdout


def test_run_is_the_long_form(make):
    sv = make()
    sv.start(arguments=("run", "--config"))
    assert sv.stop() == 0


def test_a_broken_config_is_78_and_all_errors_come_at_once(make):
    sv = make()
    sv.write_config("[pool.p]\napp = 'suite'\nwokers = 2\n[pool.p.recycle]\nmax_rss = 'much'\n")
    sv.start(ready=False)
    assert sv.wait_exit() == CONFIG
    text = sv.log()
    assert ":3:1" in text and "workers" in text and ":5:" in text


def test_a_config_that_is_not_there(make):
    run = make().cli("--config", "/nowhere/workers.toml")
    assert run.returncode == CONFIG and "/nowhere/workers.toml" in run.stderr
