"""Celery: `worker_pool = "supervise.celery:TaskPool"` lets supervise own the workers.

The front (the `celery worker` process) has prefork.TaskPool; a worker of a pool of kind "celery"
runs child.py. docs/CELERY.md says how to switch, and what differs from prefork.
"""

from __future__ import annotations

from typing import Any

__all__ = ["TaskPool"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: a worker does without the front's modules.
    if name == "TaskPool":
        from supervise.celery.prefork import TaskPool

        return TaskPool
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
