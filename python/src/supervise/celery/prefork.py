"""Celery's pool: `worker_pool = "supervise.celery:TaskPool"`.

Celery calls it in its main process: in the thread of its event loop or, with brokers that have none,
in the main thread. The module's name matters: Celery looks for "prefork" in it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Optional

from celery.concurrency.base import BasePool
from celery.worker import state as worker_state
from kombu.asynchronous import get_event_loop

from supervise.celery import draining
from supervise.celery.connection import Gone
from supervise.celery.control import ControlError
from supervise.celery.desk import Desk
from supervise.celery.jobs import Job
from supervise.celery.link import Link
from supervise.celery.loops import HubLoop
from supervise.celery.losses import Losses
from supervise.celery.payload import Call
from supervise.celery.private_supervise import PrivateSupervise, Wishes
from supervise.celery.retreat import Retreat

_MAX_WORKER_LOSSES = 3
_SIGTERM = 15


class TaskPool(BasePool):  # type: ignore[misc]
    uses_semaphore = True

    def __init__(self, limit: Optional[int] = None, **options: Any) -> None:
        super().__init__(limit, **options)
        self._size = int(limit or 0)  # workers that are wanted; with --autoscale perhaps 0 for now
        self._desk: Optional[Desk] = None  # from start to stop
        self._link: Optional[Link] = None
        self.leaving: Callable[[], object] = lambda: None  # called, perhaps twice, when it takes no more
        self._consumer: Any = None  # whose prefetch count follows the pool's size

    @property
    def num_processes(self) -> int:
        return self._size

    # --- coming up

    def on_start(self) -> None:
        semaphore = self.options.get("semaphore")
        most = self.app.conf.get("supervise_max_worker_losses", _MAX_WORKER_LOSSES)
        desk = Desk(
            self._workers(),
            Losses(int(most or 0)),
            release=semaphore.release if semaphore is not None else lambda: None,
            requeues=self._requeues,
        )
        supervise = os.environ.get("SUPERVISE_SOCKET") or PrivateSupervise(self.app, self._wishes())
        self._link = Link(desk, supervise, self.options.get("threads", True), self._workers)
        self._desk = desk
        desk.resized = self._fit
        try:
            self._link.open()
        except BaseException:
            self.on_terminate()
            raise

    def _wishes(self) -> Wishes:
        initargs: tuple[Any, ...] = self.options.get("initargs") or ()
        return Wishes(
            workers=self._workers(),
            hostname=str(initargs[1]) if len(initargs) > 1 else "",
            preload=bool(self.forking_enable),
            max_tasks=self.options.get("maxtasksperchild"),
            max_memory_kib=self.options.get("max_memory_per_child"),
            start_seconds=self.app.conf.worker_proc_alive_timeout,
            more=self.app.conf.get("supervise_config") or {},
        )

    def did_start_ok(self) -> bool:
        return self._desk is not None and self._desk.welcome is not None

    def register_with_event_loop(self, hub: Any) -> None:
        """Again after each loss of the broker."""
        if self._link is not None and isinstance(self._link.loop, HubLoop):
            self._link.loop.register(hub)

    # --- tasks

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = (),
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        timeout_callback: Any = None,
        error_callback: Any = None,
        soft_timeout: Optional[float] = None,
        timeout: Optional[float] = None,
        callbacks_propagate: Any = (),
        **_: Any,
    ) -> Optional[Job]:
        desk, link = self._desk, self._link
        if desk is None or link is None or desk.closed:
            return None  # as prefork: the message stays unacknowledged
        job = Job(
            Call(target.__name__, *args),
            desk.terminate,
            callback=callback,
            accept_callback=accept_callback,
            timeout_callback=timeout_callback,
            error_callback=error_callback,
            soft_limit=soft_timeout or self.options.get("soft_timeout"),
            limit=timeout or self.options.get("timeout"),
            propagated=tuple(callbacks_propagate or ()),
        )
        desk.submit(job)
        link.sent()
        return job

    def terminate_job(self, pid: int, signal: Optional[int] = None) -> None:
        if self._desk is None or self._link is None:
            return
        job = self._desk.job_of(pid)
        if job is not None:
            self._desk.terminate(job, int(signal or _SIGTERM))
            self._link.loop.update()

    def flush(self) -> None:
        """The broker's connection is lost: it delivers again what has not begun."""
        if self._desk is None or self._link is None:
            return
        with contextlib.suppress(Gone):  # the loop finds that out, too
            self._desk.read()  # what has begun by now is not dropped
        self._desk.drop_unbegun()
        self._link.loop.update()

    def _requeues(self, task: str) -> bool:
        """Whether a message of this task comes back when its worker is lost."""
        known = self.app.tasks.get(task)
        if known is None:
            return False
        retries = getattr(known, "retry_on_worker_lost", False)
        return bool(retries or (known.acks_late and known.reject_on_worker_lost))

    # --- size and state

    def _workers(self) -> int:
        return max(self._size, 1)

    def grow(self, n: int = 1) -> None:
        self._resize(n)

    def shrink(self, n: int = 1) -> None:
        """As prefork: by as many as are idle; ValueError where those are fewer."""
        busy = self._desk.busy if self._desk is not None else 0
        by = min(n, max(self._size - busy, 0))
        if by:
            self._resize(-by)
        if by < n:
            raise ValueError("Can't shrink pool. All processes busy!")

    def _resize(self, by: int) -> None:
        """ControlError where supervise does not follow."""
        assert self._desk is not None and self._link is not None
        before = self._size
        self._size += by
        try:
            self._link.control.set_max(self._workers())
        except ControlError:
            self._size = before
            raise
        self._resized(by)

    def follow(self, consumer: Any) -> None:
        """From now on this pool is as large as supervise's, and Celery fetches accordingly."""
        self._consumer = consumer
        self._fit()

    def retreat(self) -> Optional[Retreat]:
        """Begins the front's way out, also in a signal's handler. None where there is none but Celery's."""
        desk, link, semaphore = self._desk, self._link, self.options.get("semaphore")
        if self._consumer is None or desk is None or link is None or not isinstance(link.loop, HubLoop):
            return None
        forget_waiting = semaphore.clear if semaphore is not None else lambda: None
        retreat = Retreat(self._consumer, desk, link.loop, forget_waiting)
        link.loop.soon(retreat.begin)
        return retreat

    def _fit(self) -> None:
        if self._consumer is None or self._desk is None or not self._desk.pool_size:
            return
        by = self._desk.pool_size - self._size
        if by:
            self._size += by
            self._resized(by)
            self._consumer._update_prefetch_count(by)

    def _resized(self, by: int) -> None:
        assert self._desk is not None and self._link is not None
        self._desk.resize(self._workers())
        semaphore = self.options.get("semaphore")
        if semaphore is not None:
            semaphore.grow(by) if by > 0 else semaphore.shrink(-by)
        self._link.loop.update()

    def restart(self) -> None:
        """Each worker is replaced, after its task, by one that has imported the application anew."""
        assert self._link is not None
        try:
            self._link.control.recycle(template=bool(self.forking_enable))
        except ControlError:  # a pool without a template spawns its workers, which do so anyway
            self._link.control.recycle(template=False)

    def _get_info(self) -> dict[str, Any]:
        status: dict[str, Any] = {}
        if self._link is not None:
            with contextlib.suppress(ControlError):
                status = self._link.control.status()
        keys = self._desk.keys() if self._desk is not None else {}
        workers = [worker for worker in status.get("workers", []) if worker["slot"]]  # no spares
        info: dict[str, Any] = super()._get_info()
        info.update(
            {
                "implementation": "supervise.celery.prefork:TaskPool",  # Celery 5.2 does not say it
                "max-concurrency": self.limit,
                "processes": [worker["pid"] for worker in workers],
                "max-tasks-per-child": self.options.get("maxtasksperchild") or "N/A",
                "put-guarded-by-semaphore": self.putlocks,
                "timeouts": (self.options.get("soft_timeout") or 0, self.options.get("timeout") or 0),
                "writes": "N/A",
                "state": status.get("state", "unreachable"),
                "recycles": status.get("recycles", {}),
                "restarts": status.get("restarts", {}),
                "workers": [_worker_info(worker, keys) for worker in workers],
            }
        )
        return info

    # --- the end

    def on_close(self) -> None:
        self.leaving()
        if self._desk is not None:
            self._desk.close()

    def on_stop(self) -> None:
        """Waits for what runs, and tells Celery of it. The event loop does not run any more; this may
        be a signal's handler, in the middle of another on_stop()."""
        desk, link = self._desk, self._link
        if desk is None or link is None:
            return
        desk.close()
        link.prepare_to_close()
        hub = get_event_loop() if isinstance(link.loop, HubLoop) else None
        was_cold = _is_cold()
        if was_cold:  # Celery has cancelled what it knew to run
            desk.drop_unbegun(for_good=True)
        while desk.busy:
            if _is_cold() and not was_cold:  # before Celery 5.5 its handler says no more than this
                self.on_terminate()
                return
            link.wait()
            link.turn()
            if hub is not None:
                draining.keep_alive(hub)
        self._end(hurry=False)
        if hub is not None:
            draining.acknowledge(hub)

    def on_terminate(self) -> None:
        if self._desk is not None:
            self._desk.cancel_all()
            self._end(hurry=True)

    def _end(self, hurry: bool) -> None:
        link, self._link, self._desk = self._link, None, None
        if link is not None:
            link.close(hurry)


def _is_cold() -> bool:
    """Whether a cold shutdown was asked for; 0 is an exit code, and means yes."""
    return worker_state.should_terminate is not None and worker_state.should_terminate is not False


def _worker_info(worker: dict[str, Any], keys: dict[int, str]) -> dict[str, Any]:
    """What `inspect stats` shows of one; sizes in bytes, ages in seconds."""
    shown = ("pid", "slot", "state", "task", "jobs_done", "age_seconds", "rss_bytes", "private_bytes")
    info = {name: worker.get(name) for name in shown}
    info["task_id"] = keys.get(worker.get("job_id") or 0)
    return info
