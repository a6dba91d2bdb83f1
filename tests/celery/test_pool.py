"""TaskPool as Celery uses it: with its hub, and while it shuts down. supervise is the test itself."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.worker import state as worker_state
from fake_supervise import FakeSupervise
from kombu.asynchronous import Hub, set_event_loop
from kombu.asynchronous.semaphore import LaxBoundedSemaphore

from supervise import _frames as frames
from supervise import _messages as m
from supervise.celery import TaskPool
from supervise.celery.loops import HubLoop, ThreadLoop


def fast_trace_task(*args: Any) -> None:
    """Only its name travels."""


class Attached:
    """A pool that is attached to a FakeSupervise, in a hub that the test turns."""

    def __init__(self, folder: Path, size: int = 2, threads: bool = False) -> None:
        self.told: list[Any] = []
        self.supervise = FakeSupervise(folder)
        self.hub = Hub()
        set_event_loop(self.hub)
        self.semaphore = None if threads else LaxBoundedSemaphore(size)
        app = Celery("proj", broker="memory://", set_as_current=False)
        self.pool = TaskPool(size, app=app, threads=threads, semaphore=self.semaphore, putlocks=threads)
        starting = threading.Thread(target=self.supervise.accept)
        starting.start()
        self.pool.start()
        starting.join()
        self.pool.register_with_event_loop(self.hub)

    def submit(self, task_id: str = "t1", **limits: Any) -> Any:
        return self.pool.apply_async(
            fast_trace_task,
            args=("proj.add", task_id, {"id": task_id}, b"[]", "application/json", "utf-8"),
            accept_callback=lambda pid, time: self.told.append(("accepted", task_id)),
            callback=lambda result: self.told.append(("success", task_id)),
            error_callback=lambda info: self.told.append(("failure", task_id)),
            timeout_callback=lambda soft, timeout: self.told.append(("timeout", soft, timeout)),
            correlation_id=task_id,
            **limits,
        )

    def begin(self, job: int, task_id: str = "t1") -> Any:
        result = self.submit(task_id)
        self.supervise.accepted(self.supervise.call(), job)
        self.supervise.begun(job, pid=4000 + job)
        return result

    def turn_until(self, count: int) -> None:
        """Turns the hub until Celery was told so many things."""
        patience = time.monotonic() + 20
        while len(self.told) < count:
            assert time.monotonic() < patience, self.told
            self.hub.run_once()

    def turn_until_connected(self) -> None:
        """To the next supervise; the accepting thread has to be there already."""
        patience = time.monotonic() + 20
        while not self.pool.did_start_ok():
            assert time.monotonic() < patience
            self.hub.run_once()

    def close(self) -> None:
        self.supervise.close()
        self.pool.terminate()
        self.hub.close()
        set_event_loop(None)


@pytest.fixture
def attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attached]:
    monkeypatch.setenv("SUPERVISE_SOCKET", str(tmp_path / "celery.sock"))
    one = Attached(tmp_path)
    yield one
    one.close()


def test_tasks_go_and_come_through_the_hub(attached: Attached) -> None:
    assert attached.pool.did_start_ok()
    attached.begin(1)
    attached.supervise.done(1)
    attached.turn_until(2)
    assert attached.told == [("accepted", "t1"), ("success", "t1")]


def test_the_hub_may_forget_everything_and_be_given_it_again(attached: Attached) -> None:
    for job in (1, 2, 3):
        attached.hub.reset()
        attached.pool.register_with_event_loop(attached.hub)
        attached.pool.register_with_event_loop(attached.hub)
        attached.begin(job, f"t{job}")
        attached.supervise.done(job)
        attached.turn_until(2 * job)


def test_what_supervise_does_not_read_goes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISE_SOCKET", str(tmp_path / "celery.sock"))
    attached = Attached(tmp_path, size=2000)
    for number in range(2000):
        attached.submit(f"t{number}")
    calls = []
    reading = threading.Thread(target=lambda: calls.extend(attached.supervise.call() for _ in range(2000)))
    reading.start()
    patience = time.monotonic() + 20
    while reading.is_alive():
        assert time.monotonic() < patience
        attached.hub.run_once()
    assert [call.key for call in calls] == [f"t{number}" for number in range(2000)]
    attached.supervise.accepted(calls[0], 1)
    attached.supervise.begun(1)
    attached.turn_until(1)  # and is still read from
    attached.close()


def test_the_semaphore_is_released_once_for_each_task(attached: Attached) -> None:
    semaphore: Any = attached.semaphore
    for job in (1, 2):
        semaphore.acquire(attached.begin, job, f"t{job}")
    assert semaphore.value == 0
    semaphore.acquire(attached.submit, "t3")
    attached.supervise.done(1)
    attached.turn_until(3)
    assert attached.supervise.call().key == "t3" and semaphore.value == 0
    attached.supervise.lost(2, "exit", "exit code 1")
    attached.turn_until(4)
    assert semaphore.value == 1


def test_the_pools_own_limits_hold_for_tasks_without_any(attached: Attached) -> None:
    attached.pool.options.update(soft_timeout=5, timeout=7)
    attached.submit("t1")
    attached.submit("t2", soft_timeout=1, timeout=2)
    first, second = attached.supervise.call(), attached.supervise.call()
    assert (first.soft_time_limit_ms, first.time_limit_ms) == (5000, 7000)
    assert (second.soft_time_limit_ms, second.time_limit_ms) == (1000, 2000)


def test_stopping_waits_without_the_hub_and_fires_its_timers(attached: Attached) -> None:
    attached.begin(1)
    beats: list[float] = []

    def beat() -> None:
        beats.append(time.monotonic())
        if len(beats) == 2:
            attached.supervise.done(1)

    attached.hub.call_repeatedly(0.1, beat)
    attached.pool.close()
    assert attached.submit("late") is None
    attached.pool.stop()
    assert attached.told == [("accepted", "t1"), ("success", "t1")]
    attached.pool.stop()  # Celery does so after a cold shutdown


def test_stopping_again_in_the_middle_of_stopping(attached: Attached) -> None:
    """A signal's handler does that."""
    attached.begin(1)
    nested = []

    def handler() -> None:
        nested.append(True)
        attached.supervise.lost(1, "signal", "signal 15 (SIGTERM)")
        attached.pool.stop()
        nested.append(False)

    attached.hub.call_later(0.05, handler)
    attached.pool.stop()
    assert nested == [True, False]
    assert attached.told == [("accepted", "t1"), ("failure", "t1")]


def test_a_cold_shutdown_kills_also_what_celery_did_not_know_to_run(
    attached: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached.submit()
    attached.supervise.accepted(attached.supervise.call(), 1)
    attached.supervise.begun(1)
    monkeypatch.setattr(worker_state, "should_terminate", True)
    stopping = threading.Thread(target=attached.pool.stop)
    stopping.start()
    message, _ = attached.supervise.receive()
    assert message == m.Cancel(True, (1,))
    attached.supervise.lost(1, "revoked", "killed")
    stopping.join(20)
    assert not stopping.is_alive()
    assert attached.told == []


def test_a_cold_shutdown_ends_a_warm_one(attached: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    attached.begin(1)
    monkeypatch.setattr(worker_state, "should_terminate", None)
    attached.hub.call_later(0.05, lambda: setattr(worker_state, "should_terminate", 1))
    attached.pool.stop()
    message, _ = attached.supervise.receive()
    assert message == m.Cancel(True, (1,))
    assert attached.told == [("accepted", "t1")]


def test_terminating_kills_what_runs_and_tells_nothing(attached: Attached) -> None:
    attached.begin(1)
    attached.turn_until(1)
    attached.pool.terminate()
    message, _ = attached.supervise.receive()
    assert message == m.Cancel(True, (1,))
    assert attached.told == [("accepted", "t1")]


def test_terminating_kills_also_what_supervise_has_not_answered_yet(attached: Attached) -> None:
    """A supervise that stays would run it to its end, and the broker delivers it again."""
    attached.submit()
    attached.supervise.accepted(attached.supervise.call(), 1)
    attached.supervise.begun(1)
    attached.pool.terminate()
    message, _ = attached.supervise.receive()
    assert message == m.Cancel(True, (1,))
    assert attached.told == []


def test_only_idle_workers_can_be_taken_away(attached: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    from supervise.celery.control import Control

    scaled: list[int] = []
    monkeypatch.setattr(Control, "set_max", lambda self, workers: scaled.append(workers))
    attached.pool.grow(1)
    assert attached.pool.num_processes == 3
    attached.begin(1)
    attached.turn_until(1)
    attached.pool.shrink(2)
    with pytest.raises(ValueError, match="All processes busy"):
        attached.pool.shrink(1)
    assert attached.pool.num_processes == 1 and scaled == [3, 1]


def test_a_supervise_that_comes_back_gets_what_had_not_begun(attached: Attached) -> None:
    attached.begin(1, "ran")
    attached.submit("waits")
    attached.turn_until(1)
    attached.supervise.hang_up()
    accepting = threading.Thread(target=attached.supervise.accept)
    accepting.start()
    attached.turn_until(2)
    assert attached.told[-1] == ("failure", "ran")
    attached.turn_until_connected()
    assert attached.supervise.call().key == "waits"
    accepting.join()


def test_a_broken_supervise_is_left_for_good(attached: Attached) -> None:
    """Rubbish on the connection ends it; another is made."""
    attached.supervise.send(b"rubbish")
    while attached.pool.did_start_ok():  # until it is lost
        attached.hub.run_once()
    accepting = threading.Thread(target=attached.supervise.accept)
    accepting.start()
    attached.turn_until_connected()
    accepting.join()
    attached.submit()
    assert attached.supervise.call().key == "t1"


def test_in_a_thread_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISE_SOCKET", str(tmp_path / "celery.sock"))
    attached = Attached(tmp_path, threads=True)
    attached.begin(1)
    attached.supervise.done(1)
    attached.pool.stop()  # waits for it
    assert attached.told == [("accepted", "t1"), ("success", "t1")]
    assert not [thread for thread in threading.enumerate() if thread.name == "supervise-pool"]
    attached.close()


def test_one_thread_does_not_overtake_another(attached: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool's own and the main one, which drains, both read."""
    desk = attached.pool._desk
    assert desk is not None
    accept, entered, overtaken = desk._accepted, threading.Event(), threading.Event()

    def accept_slowly(message: m.Accepted) -> None:
        entered.set()
        overtaken.wait(20)
        accept(message)

    monkeypatch.setattr(desk, "_accepted", accept_slowly)
    attached.begin(1)
    attached.supervise.done(1)
    first = threading.Thread(target=desk.read)
    first.start()
    entered.wait(20)
    desk.read()
    overtaken.set()
    first.join()
    attached.turn_until(2)
    assert attached.told == [("accepted", "t1"), ("success", "t1")]


def test_a_signals_handler_may_drain_in_the_middle_of_a_frame(
    attached: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = attached.pool._desk
    assert desk is not None
    accept, signals = desk._accepted, [attached.pool.stop]

    def accept_interrupted(message: m.Accepted) -> None:
        if signals:
            signals.pop()()
        accept(message)

    monkeypatch.setattr(desk, "_accepted", accept_interrupted)
    attached.begin(1)
    attached.supervise.done(1)
    attached.turn_until(2)
    assert attached.told == [("accepted", "t1"), ("success", "t1")]


def test_a_ping_is_answered(attached: Attached) -> None:
    attached.supervise.send(frames.frame(frames.PING, frames.U64.pack(7)))
    attached.begin(1)
    attached.turn_until(1)
    assert attached.supervise.receive()[0] == m.Pong(7)


@pytest.mark.parametrize("make", [HubLoop, ThreadLoop])
def test_a_loop_leaves_no_descriptor(make: Any) -> None:
    def open_ones() -> int:
        return len(os.listdir("/proc/self/fd"))

    hub = Hub()
    before = open_ones()
    loop = make(lambda: None)
    if isinstance(loop, HubLoop):
        loop.register(hub)
        assert loop._poker.reader in hub.readers
        assert open_ones() > before
    else:
        loop.start()
    loop.stop()
    loop.stop()
    assert not hub.readers
    assert open_ones() == before
    hub.close()
