"""Executor: what concurrent.futures promises, on a pool."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_supervisor import (
    DONE,
    FAILED,
    LOST,
    FakeSupervisor,
    Peer,
    done_report,
    echo,
    lost_report,
    result,
)  # fmt: skip

import supervise
from supervise import _frames as frames
from supervise import _messages as m

Start = Callable[..., FakeSupervisor]
Connect = Callable[..., supervise.Client]


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Callable[[], supervise.Executor]]:
    made: list[supervise.Executor] = []

    def make() -> supervise.Executor:
        made.append(supervise.Executor("test", runtime_dir=str(tmp_path), timeout=20, priority=2))
        return made[-1]

    yield make
    for one in made:
        one.shutdown(wait=False)


Make = Callable[[], supervise.Executor]


class Held:
    """A handler that ends its jobs when told to; a cancelled one is lost."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Peer, int]] = []
        self.came = threading.Semaphore(0)

    def __call__(self, peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            for job in peer.supervisor.accept(peer, message):
                self.jobs.append((peer, job))
                self.came.release()
        elif isinstance(message, m.Cancel):
            for job in message.ids:
                self.jobs.remove((peer, job))
                peer.send(result((job, LOST, 0, lost_report("revoked", ""))))

    def end(self) -> None:
        while self.jobs:
            peer, job = self.jobs.pop(0)
            peer.send(result((job, DONE, 1, done_report(job))))


def test_submit_gives_a_future_of_the_standard_kind(supervisor: Start, executor: Make) -> None:
    fake = supervisor(echo)
    with executor() as pool:
        futures = [pool.submit("m.t", number) for number in range(100)]
        assert isinstance(futures[0], concurrent.futures.Future)
        ended = concurrent.futures.as_completed(futures, timeout=20)
        assert sorted(f.result() for f in ended) == list(range(100))
    assert {s.priority for s in fake.submits()} == {2}


def test_errors_come_through_the_future(supervisor: Start, executor: Make) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            (job,) = peer.supervisor.accept(peer, message)
            peer.send(result((job, FAILED, 1, frames.failed_report("ValueError", "odd", ""))))

    supervisor(handle)
    with executor() as pool:
        with pytest.raises(supervise.JobFailed, match="ValueError: odd"):
            pool.submit("m.t", 1).result(timeout=20)
        with pytest.raises(supervise.JobFailed, match="ValueError: odd"):
            list(pool.map("m.t", [1]))
        with pytest.raises(supervise.NotAnId):
            pool.submit("m.t", 1.5)
        with pytest.raises(supervise.NotAnId):
            list(pool.map("m.t", [1.5]))
        with pytest.raises(TypeError, match="not by keyword"):
            pool.submit("m.t", number=1)


def test_map_takes_several_iterables_and_keeps_the_order(supervisor: Start, executor: Make) -> None:
    fake = supervisor(echo)
    with executor() as pool:
        assert list(pool.map("m.t", range(5000), ["a"] * 5000)) == list(range(5000))
        with pytest.raises(ValueError, match="chunksize"):
            pool.map("m.t", [1], chunksize=0)
    assert fake.submits()[0].jobs[0] == (0, "a")


def test_results_of_map_are_there_after_the_with(supervisor: Start, executor: Make) -> None:
    supervisor(echo)
    with executor() as pool:
        results = pool.map("m.t", range(5000))
    assert list(results) == list(range(5000))


def test_map_has_a_timeout(supervisor: Start, executor: Make) -> None:
    held = Held()
    supervisor(held)
    results = executor().map("m.t", range(3), timeout=0.05)
    with pytest.raises(concurrent.futures.TimeoutError):
        list(results)
    held.end()


def test_leaving_the_with_waits_for_the_jobs(supervisor: Start, executor: Make) -> None:
    held = Held()
    supervisor(held)
    with executor() as pool:
        future = pool.submit("m.t", 1)
        assert held.came.acquire(timeout=20)
        threading.Timer(0.05, held.end).start()
    assert future.result(timeout=0) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit("m.t", 1)


def test_shutdown_without_waiting_lets_jobs_end(supervisor: Start, executor: Make) -> None:
    held = Held()
    supervisor(held)
    pool = executor()
    future = pool.submit("m.t", 1)
    assert held.came.acquire(timeout=20)
    pool.shutdown(wait=False)
    assert not future.done()
    held.end()
    assert future.result(timeout=20) == 1
    reader = pool._client._connection
    assert reader is not None
    reader._reader.join(20)  # the client is closed behind the last one
    assert not reader._reader.is_alive()


def test_a_future_that_is_cancelled_asks_the_supervisor(supervisor: Start, executor: Make) -> None:
    held = Held()
    fake = supervisor(held)
    with executor() as pool:
        future = pool.submit("m.t", 1)
        assert future.cancel()
        assert future.cancelled()
    assert m.Cancel(False, (1,)) in fake.received
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(timeout=0)


def test_shutdown_can_cancel_all(supervisor: Start, executor: Make) -> None:
    held = Held()
    supervisor(held)
    pool = executor()
    futures = [pool.submit("m.t", n) for n in range(10)]
    pool.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)


def test_a_client_of_its_owner_s_is_not_closed(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    client = connect()
    with supervise.Executor(client) as pool:
        assert pool.submit("m.t", 1).result(timeout=20) == 1
    assert client.submit("m.t", 2).result(timeout=20) == 2
