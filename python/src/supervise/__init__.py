"""Tasks, the worker's loop, and clients of supervise, the process supervisor.

In the application: `@supervise.task`, `supervise.current_job()`, `@supervise.before_fork` and
`@supervise.after_fork`. In whoever has work for it:
`supervise.Client`, `supervise.AsyncClient`, `supervise.Executor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervise._current import Job, current_job
from supervise._errors import (
    JobError,
    JobFailed,
    JobLost,
    JobRefused,
    NotAnId,
    PoolGone,
    SoftTimeLimitExceeded,
    SuperviseError,
    TooLarge,
)
from supervise._hooks import after_fork, before_fork
from supervise._ids import Id
from supervise._task import task
from supervise._version import VERSION as __version__

if TYPE_CHECKING:
    from supervise._aio import AsyncClient, AsyncJob
    from supervise._client import Client
    from supervise._executor import Executor
    from supervise._future import JobFuture
    from supervise._timeout import WaitTimeout

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Client",
    "Executor",
    "Id",
    "Job",
    "JobError",
    "JobFailed",
    "JobFuture",
    "JobLost",
    "JobRefused",
    "NotAnId",
    "PoolGone",
    "SoftTimeLimitExceeded",
    "SuperviseError",
    "TooLarge",
    "WaitTimeout",
    "__version__",
    "after_fork",
    "before_fork",
    "current_job",
    "task",
]

# Loaded when first used: a worker that submits nothing pays for neither asyncio nor futures.
_LATER = {
    "AsyncClient": "_aio",
    "AsyncJob": "_aio",
    "Client": "_client",
    "Executor": "_executor",
    "JobFuture": "_future",
    "WaitTimeout": "_timeout",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"supervise.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
