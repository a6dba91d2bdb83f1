"""What Celery is told of tasks that did not come to their own end: billiard's exceptions, prefork's words."""

from __future__ import annotations

import re
from typing import Any

from billiard.common import human_status
from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import NotRegistered

_EXIT = re.compile(r"exit code (\d+)(?:, )?")
_SIGNAL = re.compile(r"signal (\d+)(?: \(\w+\))?(?:, )?")
_KILLS = ("oom_worker", "oom_host", "memory_hard_limit", "time_limit", "shutdown")


class TaskKillsWorkers(Exception):
    """The task has killed as many workers as it may. It fails, and its message does not go back to the
    queue, whatever `task_reject_on_worker_lost` says; hence it is no WorkerLostError."""


class PoolError(Exception):
    """The pool cannot start or go on; says why, and what to do."""


def einfo(error: BaseException) -> Any:
    try:
        raise error
    except BaseException:
        return ExceptionInfo()


def lost(job: int, task: str, cause: str, detail: str) -> WorkerLostError:
    """Begins with prefork's text, which people and programs match, and goes on with what happened."""
    status, rest = _status(cause, detail)
    text = f"Worker exited prematurely: {status} Job: {job}."
    told = f"{rest[:1].upper()}{rest[1:]}; task {task}" if rest else f"Task {task}"
    return WorkerLostError(f"{text} {told}")


def _status(cause: str, detail: str) -> tuple[str, str]:
    """In prefork's words, and what the detail says besides."""
    found = _EXIT.match(detail)
    if found:
        return human_status(int(found[1])), detail[found.end() :]
    found = _SIGNAL.match(detail)
    if found:
        return human_status(-int(found[1])), detail[found.end() :]
    return (human_status(-9) if cause in _KILLS else "for an unknown reason"), detail


def kills_workers(task: str, times: int, last: BaseException) -> TaskKillsWorkers:
    workers = "worker" if times == 1 else "workers"
    return TaskKillsWorkers(
        f"task {task} has killed {times} {workers} (supervise_max_worker_losses) and is not run again. "
        f"The last: {last}"
    )


def too_late(limit: float) -> TimeLimitExceeded:
    return TimeLimitExceeded(limit)


def terminated(signal: int) -> Terminated:
    return Terminated(signal)


def not_registered(task: str, message: str) -> NotRegistered:
    error = NotRegistered(task)
    error.__cause__ = PoolError(message)
    return error
