"""Every error that the package raises on purpose. All but one are a SuperviseError."""

from __future__ import annotations

from typing import Optional


class SuperviseError(Exception):
    """Base of the package's errors."""


class NotAnId(SuperviseError, TypeError):
    """Something that is not an ID was given as a job's argument, or returned by a task."""


class TooLarge(SuperviseError, ValueError):
    """An ID, or all IDs of a job together, are larger than a frame can carry."""


class JobError(SuperviseError):
    """A job ended without a result. `dead` says that it had retries and none is left."""

    job_id: Optional[int]
    attempts: int
    dead: bool

    def _where(self) -> str:
        text = "the job" if self.job_id is None else f"job {self.job_id}"
        if self.dead:
            return f"{text} is dead after {self.attempts} attempts, the last one"
        return text


class JobFailed(JobError):
    """The task raised. What it raised stays in the worker; its description is here."""

    def __init__(
        self,
        remote_type: str,
        remote_message: str,
        remote_traceback: str,
        job_id: Optional[int] = None,
        attempts: int = 1,
        dead: bool = False,
    ) -> None:
        super().__init__(remote_type, remote_message, remote_traceback, job_id, attempts, dead)
        self.remote_type = remote_type
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback
        self.job_id = job_id
        self.attempts = attempts
        self.dead = dead

    def __str__(self) -> str:
        text = f"{self._where()} failed: {self.remote_type}"
        if self.remote_message:
            text += f": {self.remote_message}"
        if self.remote_traceback:
            text += f"\nin the worker:\n{self.remote_traceback.rstrip()}"
        return text


class JobLost(JobError):
    """The worker went away in the middle of the job. `cause` is one word, `detail` the evidence.

    Causes: unknown, exit, signal, oom_worker, oom_host, memory_hard_limit, time_limit, revoked,
    shutdown.
    """

    def __init__(
        self,
        cause: str,
        detail: str = "",
        job_id: Optional[int] = None,
        attempts: int = 1,
        dead: bool = False,
    ) -> None:
        super().__init__(cause, detail, job_id, attempts, dead)
        self.cause = cause
        self.detail = detail
        self.job_id = job_id
        self.attempts = attempts
        self.dead = dead

    def __str__(self) -> str:
        text = f"{self._where()} was lost: {self.cause}"
        return f"{text} ({self.detail})" if self.detail else text


class JobRefused(SuperviseError):
    """The supervisor did not take the job; it will never run. `reason` is one word.

    Reasons: queue_full, unknown_task (the message has the near misses), stopping, degraded,
    not_permitted.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


class PoolGone(SuperviseError, ConnectionError):
    """There is no connection to the pool, or it ended. Jobs that were accepted go on there.

    `reason` is the supervisor's own (as in JobRefused, or too_many_clients, slow_reader,
    bad_frame, version), or one of ours: not_found, unreachable, lost, closed, forked.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message or self.reason


class SoftTimeLimitExceeded(Exception):
    """Raised inside a job at its soft time limit, so that it can clean up and return.

    Not a SuperviseError: a job that catches the errors of its own Client must not catch this one.
    """
