"""AsyncClient against the fake supervisor."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from fake_supervisor import (
    DONE,
    FAILED,
    LOST,
    FakeSupervisor,
    Peer,
    close,
    done_report,
    echo,
    lost_report,
    refused,
    result,
)  # fmt: skip

import supervise
from supervise import _frames as frames
from supervise import _map
from supervise import _messages as m
from supervise._timeout import WaitTimeout

Start = Callable[..., FakeSupervisor]
FAILURE = frames.failed_report("ValueError", "odd", "")


def run(tmp_path: Path, test: Callable[[supervise.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with supervise.AsyncClient("test", runtime_dir=str(tmp_path), timeout=20) as client:
            await asyncio.wait_for(test(client), 30)

    asyncio.run(main())


def test_submit_gives_a_job_with_a_number_that_is_awaited(supervisor: Start, tmp_path: Path) -> None:
    supervisor(echo)

    async def test(client: supervise.AsyncClient) -> None:
        job = await client.submit("m.t", 42, priority=3)
        assert job.job_id == 1
        assert await job == 42
        assert await job.result() == 42
        assert (job.done(), job.attempts) == (True, 1)
        assert await client.call("m.t", "key") == "key"
        assert await client.call("m.t") is None

    run(tmp_path, test)


def test_many_calls_at_once_share_frames(supervisor: Start, tmp_path: Path) -> None:
    fake = supervisor(echo)

    async def test(client: supervise.AsyncClient) -> None:
        calls = [client.call("m.t", number) for number in range(3000)]
        assert await asyncio.gather(*calls) == list(range(3000))

    run(tmp_path, test)
    assert len(fake.submits()) < 3000 / 20


def test_errors_are_those_of_the_blocking_client(supervisor: Start, tmp_path: Path) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            if message.task == "no.task":
                peer.send(refused(message.first_tag, 1, "unknown_task", "did you mean 'm.t'?"))
                return
            (job,) = peer.supervisor.accept(peer, message)
            lost = message.jobs[0] == (1,)
            peer.send(
                result((job, LOST, 1, lost_report("signal", "9")) if lost else (job, FAILED, 1, FAILURE))
            )

    supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        with pytest.raises(supervise.JobLost, match="signal"):
            await client.call("m.t", 1)
        with pytest.raises(supervise.JobFailed, match="ValueError: odd"):
            await client.call("m.t", 2)
        with pytest.raises(supervise.JobRefused, match="did you mean"):
            await client.submit("no.task", 1)
        with pytest.raises(supervise.JobRefused, match="did you mean"):
            await client.call("no.task", 1)
        with pytest.raises(supervise.NotAnId):
            await client.submit("m.t", [1])  # type: ignore[arg-type]

    run(tmp_path, test)


def test_cancelling_the_one_who_waits_leaves_the_job_alone(supervisor: Start, tmp_path: Path) -> None:
    gate = threading.Event()

    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            (job,) = peer.supervisor.accept(peer, message)
            gate.wait(20)
            peer.send(result((job, DONE, 1, done_report(5))))

    fake = supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        job = await client.submit("m.t", 1)
        waiting = asyncio.ensure_future(job.result())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(waiting, 0.01)
        gate.set()
        assert await job == 5

    run(tmp_path, test)
    assert not any(isinstance(message, m.Cancel) for message in fake.received)


def test_a_job_can_be_cancelled(supervisor: Start, tmp_path: Path) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.supervisor.accept(peer, message)
        elif isinstance(message, m.Cancel):
            detail = "killed" if message.terminate else "taken out"
            peer.send(result((message.ids[0], LOST, 0, lost_report("revoked", detail))))

    supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        for terminate, detail in ((False, "taken out"), (True, "killed")):
            job = await client.submit("m.t", 1)
            assert job.cancel(terminate)
            with pytest.raises(supervise.JobLost, match=detail):
                await job
            assert not job.cancel()

    run(tmp_path, test)


@pytest.mark.parametrize("ordered", [True, False])
def test_map_is_bounded_and_waits_for_a_full_queue(supervisor: Start, tmp_path: Path, ordered: bool) -> None:
    refusals = 0

    def handle(peer: Peer, message: m.Message) -> None:
        """Takes no more than 40 jobs of a frame."""
        nonlocal refusals
        if isinstance(message, m.Submit):
            room = min(len(message.jobs), 40)
            jobs = peer.supervisor.accept(peer, message, room)
            if room < len(message.jobs):
                refusals += 1
                rest = len(message.jobs) - room
                peer.send(refused(message.first_tag + room, rest, "queue_full", "full"))
            for job, ids in zip(jobs, message.jobs):
                peer.send(result((job, DONE, 1, done_report(ids[0]))))

    supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        items = ((n, "x") for n in range(3000))
        results = [r async for r in client.map("m.t", items, ordered=ordered)]
        assert (results if ordered else sorted(results, key=int)) == list(range(3000))  # type: ignore[arg-type]

    run(tmp_path, test)
    assert refusals > 0


@pytest.mark.parametrize("ordered", [True, False])
def test_a_map_whose_jobs_have_all_ended_meanwhile_sends_more_at_once(
    supervisor: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    supervisor(echo)

    def pause(window: _map.MapWindow) -> float:
        raise AssertionError("it pauses, as if others filled the queue")

    monkeypatch.setattr(_map.MapWindow, "next_pause", pause)

    async def test(client: supervise.AsyncClient) -> None:
        given = 0
        async for _ in client.map("m.t", range(5000), ordered=ordered):
            given += 1
            link = client._link
            assert link is not None
            while link._session.open:
                await link._next_move()
        assert given == 5000

    run(tmp_path, test)


def test_map_raises_or_gives_errors(supervisor: Start, tmp_path: Path) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            for job in peer.supervisor.accept(peer, message):
                peer.send(result((job, FAILED, 1, FAILURE)))

    supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        with pytest.raises(supervise.JobFailed):
            async for _ in client.map("m.t", [1, 2]):
                pass
        errors = [e async for e in client.map("m.t", [1, 2], return_exceptions=True)]
        assert [type(error) for error in errors] == [supervise.JobFailed] * 2

    run(tmp_path, test)


def test_a_lost_connection_ends_open_jobs_and_the_next_one_connects_anew(
    supervisor: Start, tmp_path: Path
) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            if message.jobs[0] == (0,):
                peer.supervisor.accept(peer, message)
            else:
                echo(peer, message)

    fake = supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        job = await client.submit("m.t", 0)
        fake.peers[0].socket.shutdown(socket.SHUT_RDWR)
        with pytest.raises(supervise.PoolGone, match="was lost"):
            await job
        assert await asyncio.gather(*(client.call("m.t", n) for n in range(1, 9))) == [*range(1, 9)]
        assert len(fake.peers) == 2
        fake.peers[1].send(close("stopping", "SIGTERM"))
        while client._link is None or client._link.error is None:
            await asyncio.sleep(0)
        assert "SIGTERM" in str(client._link.error)

    run(tmp_path, test)


def test_a_frame_that_is_rubbish_ends_the_connection(supervisor: Start, tmp_path: Path) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.send(b"rubbish")

    supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        with pytest.raises(supervise.PoolGone, match="sent a record of 7 bytes"):
            await client.call("m.t", 1)

    run(tmp_path, test)


def test_connecting_fails_as_it_does_for_the_blocking_client(supervisor: Start, tmp_path: Path) -> None:
    async def main() -> None:
        client = supervise.AsyncClient("test", runtime_dir=str(tmp_path), timeout=0.05)
        with pytest.raises(supervise.PoolGone, match="no pool 'test'"):
            await client.call("m.t", 1)
        fake = supervisor(echo)
        fake.greet = lambda peer: True  # type: ignore[method-assign]
        calls = [client.call("m.t", 1) for _ in range(3)]
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, WaitTimeout)
            assert "not ready" in str(error)

        def refuse(peer: Peer) -> bool:
            peer.send(close("not_permitted", "uid 5"))
            return True

        fake.greet = refuse  # type: ignore[method-assign]
        with pytest.raises(supervise.PoolGone, match="uid 5"):
            await client.call("m.t", 1)
        await client.close()
        with pytest.raises(supervise.PoolGone, match="is closed"):
            await client.call("m.t", 1)

    asyncio.run(main())


def test_a_supervisor_that_does_not_read_holds_submit_back(supervisor: Start, tmp_path: Path) -> None:
    reads = threading.Event()

    def handle(peer: Peer, message: m.Message) -> None:
        reads.wait(30)
        echo(peer, message)

    supervisor(handle)

    async def test(client: supervise.AsyncClient) -> None:
        calls = [asyncio.ensure_future(client.call("m.t", "x" * 250, n)) for n in range(5000)]
        link = client._link
        assert link is not None
        while not (link._writing and link._waiters):  # full, and submit() waits for room
            await asyncio.sleep(0)
        reads.set()
        assert await asyncio.gather(*calls) == ["x" * 250] * 5000

    run(tmp_path, test)


def test_close_sends_what_was_submitted(supervisor: Start, tmp_path: Path) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.supervisor.accept(peer, message)

    fake = supervisor(handle)

    async def main() -> None:
        client = supervise.AsyncClient("test", runtime_dir=str(tmp_path), timeout=20)
        async with client:
            calls = [asyncio.ensure_future(client.call("m.t", n)) for n in range(100)]
            await asyncio.sleep(0)
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, supervise.PoolGone)
            assert "client was closed" in str(outcome)

    asyncio.run(main())
    assert sum(len(s.jobs) for s in fake.submits()) == 100


def test_another_loop_is_refused(supervisor: Start, tmp_path: Path) -> None:
    supervisor(echo)

    async def test(client: supervise.AsyncClient) -> None:
        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(client.call("m.t", 1))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    run(tmp_path, test)
