"""Client.map(): order, bounds, full queues, errors."""

from __future__ import annotations

import itertools
import select
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_supervisor import (
    DONE,
    FAILED,
    FakeSupervisor,
    Peer,
    done_report,
    echo,
    refused,
    result,
)  # fmt: skip

import supervise
from supervise import _frames as frames
from supervise import _messages as m
from supervise._timeout import WaitTimeout

Start = Callable[..., FakeSupervisor]
Connect = Callable[..., supervise.Client]
FAILURE = frames.failed_report("ValueError", "odd", "")


class Queue:
    """A handler with a bounded queue, which it runs when no more frames are waiting or it is full.

    The last job in is the first out, so that results come in another order.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting: list[tuple[int, Any]] = []
        self.most = self.refused = 0

    def __call__(self, peer: Peer, message: m.Message) -> None:
        if not isinstance(message, m.Submit):
            return
        room = min(len(message.jobs), self.limit - len(self.waiting))
        jobs = peer.supervisor.accept(peer, message, room)
        self.waiting += zip(jobs, (ids[0] for ids in message.jobs))
        self.most = max(self.most, len(self.waiting))
        rest = len(message.jobs) - room
        if rest:
            self.refused += rest
            peer.send(refused(message.first_tag + room, rest, "queue_full", "full"))
        if rest or not select.select([peer.socket], [], [], 0)[0]:
            self.run(peer)

    def run(self, peer: Peer) -> None:
        while self.waiting:
            job, value = self.waiting.pop()
            peer.send(result((job, DONE, 1, done_report(value))))


def test_results_come_in_order_and_frames_are_full(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(Queue(10_000))
    assert list(connect().map("m.t", range(20_000))) == list(range(20_000))
    assert len(fake.submits()) < 20_000 / 40


def test_an_item_may_be_several_ids(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(echo)
    assert list(connect().map("m.t", [(1, "a"), (2, "b"), 3, ()], priority=4)) == [1, 2, 3, None]
    assert fake.submits()[0].jobs == ((1, "a"), (2, "b"), (3,), ())
    assert fake.submits()[0].priority == 4


def test_unordered_results_come_as_they_are_done(supervisor: Start, connect: Connect) -> None:
    held: list[int] = []

    def handle(peer: Peer, message: m.Message) -> None:
        """Ends the first job last."""
        if isinstance(message, m.Submit):
            jobs = peer.supervisor.accept(peer, message)
            held.append(jobs[0])
            for job, ids in [*zip(jobs, message.jobs)][1:]:
                peer.send(result((job, DONE, 1, done_report(ids[0]))))
            peer.send(result((jobs[0], DONE, 1, done_report(message.jobs[0][0]))))

    supervisor(handle)
    assert list(connect().map("m.t", range(5), ordered=False)) == [1, 2, 3, 4, 0]
    assert list(connect().map("m.t", range(5))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "values",
    [
        [None, None, None],
        [1, -(2**63), 2**63 - 1],
        [None, 1, None],
        [None, "x" * 15],  # as long as two ints
        [1, uuid.UUID(int=5), "", "ключ"],
    ],
)
def test_results_of_any_kind_may_share_a_frame(
    supervisor: Start, connect: Connect, values: list[Any]
) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            jobs = peer.supervisor.accept(peer, message)
            peer.send(result(*((j, DONE, 1, done_report(v)) for j, v in zip(jobs, values))))

    supervisor(handle)
    assert list(connect().map("m.t", range(len(values)))) == values


def test_a_job_that_failed_may_share_a_frame_with_others(supervisor: Start, connect: Connect) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            first, second, third = peer.supervisor.accept(peer, message)
            ends = (
                (first, DONE, 1, done_report()),
                (second, FAILED, 2, FAILURE),
                (third, DONE, 1, done_report(3)),
            )
            peer.send(result(*ends))

    supervisor(handle)
    none, failed, three = connect().map("m.t", range(3), return_exceptions=True)
    assert (none, three) == (None, 3)
    assert isinstance(failed, supervise.JobFailed)
    assert failed.attempts == 2


def test_items_are_taken_as_they_are_needed(supervisor: Start, connect: Connect) -> None:
    supervisor(Queue(10_000))
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1_000_000):
            taken += 1
            yield number

    results = connect().map("m.t", items())
    assert taken == 0
    assert [next(results) for _ in range(10)] == list(range(10))
    assert taken <= 4000


def test_no_more_jobs_are_open_than_the_queue_has_room_for(supervisor: Start, connect: Connect) -> None:
    queue = Queue(50)
    supervisor(queue, limit=50)
    assert list(connect().map("m.t", range(1000))) == list(range(1000))
    assert queue.most <= 50
    assert queue.refused == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_a_full_queue_is_waited_for(supervisor: Start, connect: Connect, ordered: bool) -> None:
    queue = Queue(30)
    supervisor(queue, limit=1000)  # others' jobs take the room that WELCOME promised
    results = list(connect().map("m.t", range(5000), ordered=ordered))
    assert queue.refused > 0
    assert (results if ordered else sorted(results, key=int)) == list(range(5000))  # type: ignore[arg-type]


def test_a_queue_that_others_fill_is_tried_again(supervisor: Start, connect: Connect) -> None:
    attempts = 0

    def handle(peer: Peer, message: m.Message) -> None:
        nonlocal attempts
        if isinstance(message, m.Submit):
            attempts += 1
            if attempts < 4:
                peer.send(refused(message.first_tag, len(message.jobs), "queue_full", "full"))
            else:
                echo(peer, message)

    supervisor(handle)
    assert list(connect().map("m.t", range(10))) == list(range(10))


def test_a_queue_that_stays_full_ends_in_a_timeout(supervisor: Start, connect: Connect) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.send(refused(message.first_tag, len(message.jobs), "queue_full", "full"))

    supervisor(handle)
    with pytest.raises(WaitTimeout, match="queue_full"):
        list(connect().map("m.t", range(10), timeout=0.05))


def test_a_result_that_does_not_come_ends_in_a_timeout(supervisor: Start, connect: Connect) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.supervisor.accept(peer, message)

    supervisor(handle)
    with pytest.raises(WaitTimeout, match="within 0.05 s"):
        list(connect().map("m.t", range(10), timeout=0.05))


def test_a_map_that_goes_on_for_ever_ends_at_its_timeout_all_the_same(
    supervisor: Start, connect: Connect
) -> None:
    supervisor(echo)
    with pytest.raises(WaitTimeout, match="within 0.2 s"):
        for _ in connect().map("m.t", itertools.count(), timeout=0.2):
            pass


def fail_odd(peer: Peer, message: m.Message) -> None:
    if isinstance(message, m.Submit):
        for job, (number, *_) in zip(peer.supervisor.accept(peer, message), message.jobs):
            odd = isinstance(number, int) and number % 2
            peer.send(result((job, FAILED, 1, FAILURE) if odd else (job, DONE, 1, done_report(number))))


def test_the_first_error_is_raised(supervisor: Start, connect: Connect) -> None:
    supervisor(fail_odd)
    results = connect().map("m.t", range(10))
    assert next(results) == 0
    with pytest.raises(supervise.JobFailed, match="odd"):
        next(results)


def test_errors_may_be_given_in_the_results_place(supervisor: Start, connect: Connect) -> None:
    supervisor(fail_odd)
    results = list(connect().map("m.t", range(10), return_exceptions=True))
    assert results[::2] == [0, 2, 4, 6, 8]
    assert [type(error) for error in results[1::2]] == [supervise.JobFailed] * 5


def test_other_refusals_are_errors(supervisor: Start, connect: Connect) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.send(refused(message.first_tag, len(message.jobs), "stopping", "SIGTERM"))

    supervisor(handle)
    with pytest.raises(supervise.JobRefused, match="stopping: SIGTERM"):
        list(connect().map("m.t", range(10)))


def test_a_lost_connection_ends_the_map(supervisor: Start, connect: Connect) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            raise ConnectionError

    supervisor(handle)
    with pytest.raises(supervise.PoolGone):
        list(connect().map("m.t", range(10_000)))


def test_a_wrong_item_or_task_is_an_error(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    client = connect()
    with pytest.raises(supervise.NotAnId, match="argument 1 is a float"):
        list(client.map("m.t", [1, 2.5]))  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a task is"):
        client.map(5, [1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 to 9"):
        client.map("m.t", [1], priority=11)


def test_nothing_gives_nothing(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    assert list(connect().map("m.t", [])) == []


def test_several_threads_may_map_at_once(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    client = connect()
    seen: dict[int, Any] = {}

    def run(base: int) -> None:
        seen[base] = list(client.map("m.t", range(base, base + 3000)))

    threads = [threading.Thread(target=run, args=(n * 10_000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(values == list(range(base, base + 3000)) for base, values in seen.items())
    assert len(seen) == 4
