"""The job that this worker is running."""

from __future__ import annotations

import time
from typing import NamedTuple, Optional

from supervise._errors import SoftTimeLimitExceeded

clock_ns = time.monotonic_ns
NEVER = 2**64


class Job(NamedTuple):
    """`deadline` is on the clock of time.monotonic(), and None without a time limit."""

    id: int
    task: str
    attempt: int
    deadline: Optional[float]


class _State:
    """Set by the worker's loop around each job; a Job is only made of it when asked for."""

    __slots__ = ("head", "soft_deadline_ns", "task")

    def __init__(self) -> None:
        self.head: Optional[tuple[int, int, int]] = None  # job, attempt, deadline in ns or 0
        self.task = b""
        self.soft_deadline_ns = 0  # 0: no job, or raised already; NEVER: a job without one


state = _State()


def current_job() -> Optional[Job]:
    """The job that this process is running; None outside of a job."""
    head = state.head
    if head is None:
        return None
    job, attempt, deadline_ns = head
    return Job(
        id=job,
        task=state.task.decode(),
        attempt=attempt,
        deadline=deadline_ns / 1e9 if deadline_ns else None,
    )


def on_soft_limit(signal_number: int, frame: object) -> None:
    """SIGUSR1. Only a job whose soft deadline has passed hears of it, and only once."""
    soft = state.soft_deadline_ns
    if soft and clock_ns() >= soft:
        state.soft_deadline_ns = 0
        raise SoftTimeLimitExceeded("the job has reached its soft time limit")


def on_interrupt(signal_number: int, frame: object) -> None:
    """SIGINT: a drain has used up its grace; whatever job runs hears of it, once."""
    if state.soft_deadline_ns:
        state.soft_deadline_ns = 0
        raise SoftTimeLimitExceeded("the supervisor is stopping and its grace time is over")
