"""`why` names what happened and the evidence for it."""

import json
import signal

import pytest

import supervise


def lose(client, task, *ids):
    future = client.submit(task, *ids)
    with pytest.raises((supervise.JobLost, supervise.JobFailed)):
        future.result(timeout=30)
    return future.job_id


def why(sv, *subject):
    run = sv.cli("why", *subject)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_lost_job_names_its_cause_and_evidence(start):
    sv = start()
    with sv.client() as client:
        (pid,) = sv.pids()
        job = lose(client, "suite.die_by", signal.SIGSEGV)
    text = why(sv, job)
    assert f"job {job}" in text and "suite.die_by" in text
    assert "signal" in text and "11" in text and str(pid) in text


def test_a_retried_job_lists_its_attempts(start):
    sv = start()
    with sv.client() as client:
        job = lose(client, "suite.exit_each_time")
    code, explanation = sv.http("GET", f"/why/{job}")
    assert code == 200
    assert "dead" in explanation["verdict"] and len(explanation["history"]) == 3
    assert json.dumps(explanation).count("exit") >= 3


def test_a_job_stopped_at_the_hard_line_shows_its_memory(start):
    sv = start(memory={"hard": "120M"})
    with sv.client() as client:
        job = lose(client, "suite.grow", 1000)
    text = why(sv, job)
    assert "memory_hard_limit" in text or "hard line" in text
    assert "120" in text


def test_a_recycled_worker_tells_its_reason(start):
    sv = start(recycle={"max_tasks": 3, "max_tasks_jitter": 0.0})
    with sv.client() as client:
        list(client.map("suite.echo", range(10)))
    sv.wait_pool(lambda p: p["recycles"].get("max_tasks", 0) >= 2, "two recycles")
    text = why(sv, "p/1")
    assert "p/1" in text and "max_tasks" in text


def test_what_nobody_knows_of_is_said_so(start):
    sv = start()
    for subject in ("999999", "p/7", "q/1", "nonsense"):
        run = sv.cli("why", subject)
        assert run.returncode in (1, 64) and run.stderr.strip(), subject
