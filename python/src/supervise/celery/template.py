"""The template of a pool of kind "celery": forks workers that are children as prefork's are."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Optional

from supervise._messages import TaskInfo
from supervise._template import Template
from supervise._worker import Worker
from supervise.celery import child
from supervise.celery.application import Loaded
from supervise.celery.indexes import Indexes

_FIRST_USED = (
    "billiard.pool",
    "celery.concurrency.prefork",
    "celery.worker.state",
    "encodings.idna",
    "secrets",
)


class CeleryTemplate(Template):
    _loaded: Optional[Loaded] = None

    def _import(self, app: str) -> None:
        self._loaded = child.load(self._channel, app)
        self._indexes = Indexes()
        _import_what_workers_need(self._loaded.app)
        _announce_forking(self._loaded.app)
        _close_broker_connections(self._loaded.app)

    def _infos(self) -> list[TaskInfo]:
        assert self._loaded is not None
        return child.task_infos(self._loaded)

    def _make_worker(self) -> Worker:
        assert self._loaded is not None
        worker = child.CeleryWorker(self._channel)
        worker.become_fork_of(self._loaded, self._indexes.take())
        return worker


def _import_what_workers_need(app: Any) -> None:
    """Celery imports much when it is first used, which would be in each worker. None of this connects."""
    for name in _FIRST_USED:
        importlib.import_module(name)
    from celery.app.trace import build_tracer

    for first_use in (
        lambda: app.backend.as_uri(),
        lambda: app.log,
        lambda: app.amqp.queues,
        lambda: app.connection_for_write().get_transport_cls(),
        lambda: [build_tracer(name, task, app.loader, app=app) for name, task in app.tasks.items()],
    ):
        with contextlib.suppress(Exception):  # the worker finds out, and says so
            first_use()


def _announce_forking(app: Any) -> None:
    """Its handlers close what children must not share. With prefork before each fork, here before all."""
    from celery import signals

    signal = getattr(signals, "worker_before_create_process", None)  # since Celery 5.3
    if signal is not None:
        signal.send(sender=app)


def _close_broker_connections(app: Any) -> None:
    """A task that was sent while importing has left some in the pools. The workers would share them."""
    import kombu.pools

    kombu.pools.reset()
    own = getattr(app, "_pool", None)
    if own is not None:
        with contextlib.suppress(Exception):
            own.force_close_all()
        app._pool = None
    amqp = app.__dict__.get("amqp")
    if amqp is not None:
        amqp._producer_pool = None
