"""Jobs in, results out: IDs, failures, retries, order, and what is refused."""

import asyncio
import uuid

import pytest

import supervise


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2**63 - 1,
        -(2**63),
        uuid.UUID("12345678-1234-5678-1234-567812345678"),
        "",
        "a",
        "x" * 255,
        "Größe 尺寸",
    ],
)
def test_an_id_of_each_kind_comes_back_unchanged(shared, value):
    with shared.client() as client:
        result = client.submit("suite.echo", value).result(timeout=20)
    assert result == value and type(result) is type(value)


def test_a_job_without_a_result_gives_none(shared):
    with shared.client() as client:
        assert client.submit("suite.nothing", 1, "two", uuid.uuid4()).result(timeout=20) is None
        assert client.submit("suite.nothing").result(timeout=20) is None


def test_a_job_takes_as_many_ids_as_fit(shared):
    with shared.client() as client:
        assert client.submit("suite.add", *range(100)).result(timeout=20) == sum(range(100))


def test_a_task_may_have_a_name_of_its_own(shared):
    with shared.client() as client:
        assert client.submit("suite.renamed").result(timeout=20) == "renamed"


def test_a_job_knows_itself(shared):
    with shared.client() as client:
        future = client.submit("suite.describe_job")
        assert future.result(timeout=20) == f"{future.job_id} suite.describe_job 1 False"


def test_map_keeps_the_order_of_its_ids(shared):
    with shared.client() as client:
        assert list(client.map("suite.echo", range(5000))) == list(range(5000))


def test_job_ids_are_unique_over_clients(shared):
    with shared.client() as one, shared.client() as two:
        futures = [client.submit("suite.nothing") for client in (one, two) for _ in range(100)]
        for future in futures:
            future.result(timeout=20)
    assert len({future.job_id for future in futures}) == 200


@pytest.mark.parametrize(
    "values, words",
    [
        ((1.5,), ["float"]),
        (([1, 2],), ["list"]),
        ((2**63,), ["64-bit", "str"]),
        (("x" * 256,), ["256", "255"]),
        (("y" * 250, "y" * 250, "y" * 250, "y" * 250), ["1009", "960", "store"]),
    ],
)
def test_what_is_no_id_is_refused_at_the_client_and_says_the_way_out(shared, values, words):
    with shared.client() as client:
        with pytest.raises((TypeError, ValueError)) as caught:
            client.submit("suite.echo", *values)
        assert client.submit("suite.echo", 1).result(timeout=20) == 1
    for word in words:
        assert word in str(caught.value)


def test_a_failure_comes_with_its_type_message_and_traceback(shared):
    with shared.client() as client:
        with pytest.raises(supervise.JobFailed) as caught:
            client.submit("suite.fail", 7).result(timeout=20)
    assert "ValueError" in str(caught.value) and "no report 7" in str(caught.value)
    assert 'raise ValueError(f"no report {number}")' in caught.value.remote_traceback


def test_a_long_failure_is_cut_to_fit_a_frame(shared):
    with shared.client() as client:
        with pytest.raises(supervise.JobFailed) as caught:
            client.submit("suite.fail_at_length").result(timeout=20)
    assert "xxxxxxxx" in str(caught.value) and len(str(caught.value)) < 1100


def test_a_result_that_is_no_id_is_a_failure(shared):
    with shared.client() as client:
        with pytest.raises(supervise.JobFailed, match="list"):
            client.submit("suite.return_list").result(timeout=20)


def test_wrong_arguments_are_a_failure_and_the_worker_stays(shared):
    with shared.client() as client:
        before = client.submit("suite.pid", 1).result(timeout=20)
        with pytest.raises(supervise.JobFailed, match="TypeError"):
            client.submit("suite.pid", 1, 2, 3).result(timeout=20)
        assert client.submit("suite.pid", 1).result(timeout=20) == before


def test_sys_exit_in_a_job_is_a_failure_of_that_job_alone(shared):
    with shared.client() as client:
        with pytest.raises(supervise.JobFailed, match="SystemExit"):
            client.submit("suite.exit_with", 3).result(timeout=20)


def test_an_unknown_task_is_refused_with_its_near_misses(shared):
    with shared.client() as client:
        with pytest.raises(supervise.JobRefused) as caught:
            client.submit("suite.ecko", 1).result(timeout=20)
    assert caught.value.reason == "unknown_task"
    assert "suite.echo" in str(caught.value)


def test_a_job_may_call_only_registered_tasks(shared):
    with shared.client() as client:
        for name in ("os.getpid", "suite.note", "suite._own_rss", "builtins.exit", ""):
            with pytest.raises((supervise.JobRefused, ValueError)):
                client.submit(name).result(timeout=20)


def test_a_retried_job_ends_done_with_its_attempts_counted(start):
    sv = start()
    with sv.client() as client:
        assert client.submit("suite.fail_twice", "key").result(timeout=20) == 3
    pool = sv.pool()
    assert pool["jobs"]["done"] == 1 and pool["jobs"]["failed"] == 0
    assert pool["attempts"] == {"done": 1, "failed": 2, "lost": 0}


def test_a_job_is_dead_when_its_retries_are_spent(start):
    sv = start()
    with sv.client() as client:
        with pytest.raises(supervise.JobFailed, match="never"):
            client.submit("suite.fail_always").result(timeout=20)
    assert sv.pool()["jobs"] == {
        "queued": 0,
        "running": 0,
        "done": 0,
        "failed": 0,
        "lost": 0,
        "dead": 1,
    }
    assert len(sv.tally("begin")) == 3


def test_the_pools_retries_hold_where_the_task_says_nothing(start):
    sv = start(jobs={"retries": 1})
    with sv.client() as client:
        with pytest.raises(supervise.JobFailed):
            client.submit("suite.fail").result(timeout=20)
    assert sv.pool()["attempts"]["failed"] == 2


def test_a_higher_priority_goes_first_and_equals_in_order(start):
    sv = start()
    gate = sv.gate()
    with sv.client() as client:
        client.submit("suite.hold", "gate")
        gate.wait()
        futures = [
            client.submit("suite.counted", number, priority=priority)
            for number, priority in enumerate([5, 0, 9, 5, 9, 1])
        ]
        sv.wait_pool(lambda p: p["jobs"]["queued"] == 6, "six queued jobs")
        gate.open()
        for future in futures:
            future.result(timeout=20)
    assert [row[3] for row in sorted(sv.tally("begin"), key=lambda row: row[2])][1:] == [
        2,
        4,
        0,
        3,
        5,
        1,
    ]


def test_a_full_queue_refuses_at_once_and_takes_again_later(start):
    sv = start(jobs={"queue_limit": 3})
    gate = sv.gate()
    with sv.client() as client:
        held = client.submit("suite.hold", "gate", 1)
        gate.wait()
        waiting = [client.submit("suite.echo", number) for number in range(3)]
        with pytest.raises(supervise.JobRefused) as caught:
            client.submit("suite.echo", 4).result(timeout=20)
        assert caught.value.reason == "queue_full"
        assert sv.pool()["jobs"]["queued"] == 3 and sv.pool()["refused"] == 1
        gate.open()
        assert held.result(timeout=20) == 1
        assert [future.result(timeout=20) for future in waiting] == [0, 1, 2]
        assert client.submit("suite.echo", 5).result(timeout=20) == 5


def test_map_of_more_than_the_queue_holds_waits_for_room(start):
    sv = start(workers=2, jobs={"queue_limit": 10})
    with sv.client() as client:
        assert list(client.map("suite.echo", range(500))) == list(range(500))


def test_a_queued_job_can_be_cancelled_and_never_begins(start):
    sv = start()
    gate = sv.gate()
    with sv.client() as client:
        held = client.submit("suite.hold", "gate", 1)
        gate.wait()
        future = client.submit("suite.counted", 99)
        sv.wait_pool(lambda p: p["jobs"]["queued"] == 1, "a queued job")
        future.cancel()
        with pytest.raises(supervise.JobLost) as caught:
            future.result(timeout=20)
        assert caught.value.cause == "revoked"
        gate.open()
        assert held.result(timeout=20) == 1
    assert 99 not in [row[3] for row in sv.tally("begin")]


def test_jobs_go_on_when_their_client_leaves(start):
    sv = start()
    gate = sv.gate()
    with sv.client() as client:
        client.submit("suite.hold", "gate")
        for number in range(10):
            client.submit("suite.counted", number)
        sv.wait_pool(lambda p: p["jobs"]["queued"] == 10, "ten queued jobs")
        client.close()
    gate.open()
    sv.wait_pool(lambda p: p["jobs"]["done"] == 11, "eleven done jobs")


def test_the_soft_limit_is_an_exception_in_the_job(shared):
    with shared.client() as client:
        assert client.submit("suite.stop_softly").result(timeout=20) == "stopped softly"
        with pytest.raises(supervise.JobFailed, match="SoftTimeLimitExceeded"):
            client.submit("suite.ignore_nothing").result(timeout=20)
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_the_executor_is_one_of_concurrent_futures(shared):
    with supervise.Executor("p", runtime_dir=str(shared.runtime_dir)) as executor:
        assert executor.submit("suite.add", 1, 2).result(timeout=20) == 3
        assert list(executor.map("suite.echo", range(50))) == list(range(50))


def test_the_async_client_awaits_results(shared):
    async def run():
        async with supervise.AsyncClient("p", runtime_dir=str(shared.runtime_dir)) as client:
            results = await asyncio.gather(*[_await_job(client, n) for n in range(100)])
            with pytest.raises(supervise.JobFailed):
                await _await_job(client, 1, task="suite.fail")
            return results

    async def _await_job(client, number, task="suite.echo"):
        future = await client.submit(task, number)
        return await future

    assert asyncio.run(run()) == list(range(100))


def test_a_client_without_a_supervisor_says_what_to_do(tmp_path):
    with pytest.raises((supervise.PoolGone, ConnectionError, FileNotFoundError)) as caught:
        supervise.Client("p", runtime_dir=str(tmp_path)).submit("suite.echo", 1).result(timeout=5)
    assert str(tmp_path) in str(caught.value)
