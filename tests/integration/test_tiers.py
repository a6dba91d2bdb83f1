"""The same jobs on every kind of host: SUPERVISE_TIER asks for a lesser one than this."""

import signal

import pytest

import supervise
from support.leftovers import alive, until
from support.tiers import TIERS, start_on_tier


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


@pytest.fixture
def tiered(make, tier):
    return lambda **pool: start_on_tier(make, tier, **pool)


def test_jobs_are_done(tiered):
    sv = tiered(workers=2)
    with sv.client() as client:
        assert list(client.map("suite.echo", range(500))) == list(range(500))
        with pytest.raises(supervise.JobFailed):
            client.submit("suite.fail").result(timeout=20)


def test_recycling_by_count(tiered):
    sv = tiered(workers=2, recycle={"max_tasks": 10, "max_tasks_jitter": 0.0})
    with sv.client() as client:
        assert list(client.map("suite.counted", range(100))) == list(range(100))
    assert sv.pool()["recycles"]["max_tasks"] >= 8 and sv.pool()["restarts"] == {}


@pytest.mark.parametrize("line", ["max_rss", "max_private"])
def test_recycling_by_memory(tiered, line):
    sv = tiered(recycle={line: "80M"})
    with sv.client() as client:
        sizes = list(client.map("suite.leak", [10] * 30))
    assert sv.pool()["recycles"][line] >= 2
    assert max(sizes) < 80 * 2**20 + 10 * 2**20 + (20 * 2**20 if line == "max_private" else 2**20)


def test_the_hard_line(tiered):
    sv = tiered(memory={"hard": "120M"})
    with sv.client() as client:
        with pytest.raises(supervise.JobLost) as caught:
            client.submit("suite.grow", 1000).result(timeout=30)
        assert caught.value.cause == "memory_hard_limit"
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_deaths_and_time_limits(tiered):
    sv = tiered()
    with sv.client() as client:
        for task, ids, cause in [
            ("suite.die_by", (signal.SIGKILL,), "signal"),
            ("suite.exit_now", (4,), "exit"),
            ("suite.overrun", (), "time_limit"),
        ]:
            with pytest.raises(supervise.JobLost) as caught:
                client.submit(task, *ids).result(timeout=30)
            assert caught.value.cause == cause


def test_descendants_go_with_their_worker(tiered):
    sv = tiered()
    with sv.client() as client:
        with pytest.raises(supervise.JobLost):
            client.submit("suite.grandchildren_then_die", 4).result(timeout=30)
    pids = [int(pid) for pid in (sv.work / "grandchildren").read_text().split()]
    until(lambda: not any(map(alive, pids)), 5, "the grandchildren to go")


def test_draining(tiered):
    sv = tiered(workers=2)
    gate = sv.gate()
    with sv.client() as client:
        held = [client.submit("suite.hold", "gate", number) for number in range(2)]
        gate.wait(2)
        sv.signal(signal.SIGTERM)
        sv.wait_for(lambda s: s["pools"]["p"]["state"] == "stopping", "the drain to begin")
        gate.open()
        assert [future.result(timeout=20) for future in held] == [0, 1]
    assert sv.wait_exit(20) == 0


def test_status_says_what_this_tier_gives_and_why_not_more(tiered, tier):
    sv = tiered()
    supervisor = sv.status()["supervisor"]
    assert supervisor["features"]
    assert tier == "A" or supervisor["tier_reason"]
