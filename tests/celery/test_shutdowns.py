"""How a front ends that is told to: each of Celery's signals, and each of their sequences."""

from __future__ import annotations

import signal
from collections.abc import Callable

import celery
import pytest
from celery_front import Front

Make = Callable[..., Front]

SOFT_SECONDS = 4


def start_again(front: Front, *names: str) -> list[str]:
    """The notes of a next front that runs to their end what was left."""
    front.forget_client()
    before = len(front.notes())
    for name in names:
        front.release(name)
    front.start("-c", "2")
    front.until(lambda: len(front.notes()) >= before + len(names), f"{names} to run again")
    assert front.get("add", 1, 2) == 3
    assert front.stop() == 0
    return [note.split()[0] for note in front.notes()[before:]]


def until_active(front: Front, tasks: int) -> None:
    """Until the front has heard that they run; before that a soft shutdown does not wait for them."""
    front.until(lambda: len(front.control("active")) == tasks, "the front to know")


def test_one_interrupt_is_warm(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, _ = front.hold("one")
    front.signal(signal.SIGINT)
    front.until(lambda: "Warm shutdown" in front.log(), "the shutdown to begin")
    front.release("one")
    front.wait()
    assert one.get(timeout=60) == "one"
    assert front.supervises() == []


def test_two_interrupts_are_cold(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, _ = front.hold("one", "hold_late")
    front.signal(signal.SIGINT)
    front.until(lambda: "Warm shutdown" in front.log(), "the shutdown to begin")
    front.signal(signal.SIGINT)
    front.wait()
    assert front.supervises() == []
    assert start_again(front, "one") == ["one"]
    assert one.get(timeout=60) == "one"


def test_sigterm_can_be_remapped(make_front: Make) -> None:
    front = make_front().start("-c", "1", REMAP_SIGTERM="SIGQUIT")
    one, _ = front.hold("one", "hold_late")
    front.signal(signal.SIGTERM)
    front.wait()
    assert front.supervises() == []
    assert start_again(front, "one") == ["one"]
    assert one.get(timeout=60) == "one"


def test_a_remote_shutdown_is_warm(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, _ = front.hold("one", "hold_late")
    front.app.control.shutdown()
    front.until(lambda: "Got shutdown from remote" in front.log(), "the shutdown to begin")
    front.release("one")
    assert front.wait() == 0
    assert one.get(timeout=60) == "one"
    assert len(front.notes()) == 1
    assert front.supervises() == []


@pytest.mark.skipif(celery.VERSION < (5, 5), reason="there is no soft shutdown")
def test_a_soft_shutdown_waits_as_long_as_it_was_told(make_front: Make) -> None:
    """What ends in that time is done, and what does not comes back."""
    front = make_front(f"app.conf.worker_soft_shutdown_timeout = {SOFT_SECONDS}\n").start("-c", "2")
    one, _ = front.hold("one", "hold_late")
    two, _ = front.hold("two", "hold_late")
    until_active(front, 2)
    front.signal(signal.SIGQUIT)
    front.until(lambda: "Initiating Soft Shutdown" in front.log(), "the shutdown to begin")
    front.release("one")
    front.wait()
    assert one.get(timeout=60) == "one"
    assert front.supervises() == []
    assert start_again(front, "two") == ["two"]
    assert two.get(timeout=60) == "two"


@pytest.mark.skipif(celery.VERSION < (5, 5), reason="there is no soft shutdown")
def test_a_soft_shutdown_can_be_cut_short(make_front: Make) -> None:
    front = make_front("app.conf.worker_soft_shutdown_timeout = 300\n").start("-c", "1")
    one, worker = front.hold("one", "hold_late")
    until_active(front, 1)
    front.signal(signal.SIGQUIT)
    front.until(lambda: "Initiating Soft Shutdown" in front.log(), "the shutdown to begin")
    front.signal(signal.SIGQUIT)
    front.until(lambda: "Waiting gracefully" in front.log(), "it to cancel what runs")
    front.signal(signal.SIGQUIT)
    front.wait()
    front.until(lambda: front.supervises() == [], "its supervise to end")
    assert front.notes() == [f"one {worker}"]


def test_a_front_that_drains_for_long_and_is_killed_leaves_nothing(make_front: Make) -> None:
    front = make_front().start("-c", "1")
    one, worker = front.hold("one", "hold_late")
    front.signal(signal.SIGTERM)
    front.until(lambda: "Warm shutdown" in front.log(), "the shutdown to begin")
    front.signal(signal.SIGKILL)
    front.wait()
    front.until(lambda: front.supervises() == [], "its supervise to end")
    assert front.notes() == [f"one {worker}"]
