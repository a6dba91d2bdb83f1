"""How a front leaves while another one is there: it stops consuming, hands back at once what it has
not begun, and shuts down when the rest has ended.

Celery's own warm shutdown leaves the event loop first: then messages that were prefetched, and one that
is on its way, stay with it until its last task has ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from celery.worker import state as worker_state
from celery.worker.request import Request

from supervise.celery.desk import Desk
from supervise.celery.loops import HubLoop

_log = logging.getLogger("celery.pool")

_LOOK_SECONDS = 0.1
_AGAIN_SECONDS = 1.0  # by then the next front listens for certain
_MOST_REVOKES, _REVOKES_A_MESSAGE = 10_000, 1000  # the newest; older ones it has from mingle
_SETTLE_SECONDS = 0.3  # for some looks
_QUIET_SECONDS = 2.5  # a read that is under way in the broker ends within one or two


class Retreat:
    """begin() runs in the event loop, which goes on."""

    def __init__(
        self, consumer: Any, desk: Desk, loop: HubLoop, forget_waiting: Callable[[], object]
    ) -> None:
        self._consumer = consumer
        self._desk = desk
        self._loop = loop
        self._forget_waiting = forget_waiting
        self.begun = False
        self._since = 0.0

    def begin(self) -> None:
        self.begun = True
        self._since = time.monotonic()
        self._desk.close()
        self._pass_revokes_on()
        self._loop.later(_AGAIN_SECONDS, self._pass_revokes_on)
        self._look()

    def _pass_revokes_on(self) -> None:
        """The next front's mingle has missed those that came after it had asked."""
        newest = list(worker_state.revoked)[-_MOST_REVOKES:]
        if newest:  # in a thread: a broker may take its time
            threading.Thread(target=self._tell_revokes, args=[newest], daemon=True).start()

    def _tell_revokes(self, ids: list[str]) -> None:
        try:
            for at in range(0, len(ids), _REVOKES_A_MESSAGE):
                # As in mingle. A `revoke` would mark tasks that have ended.
                revoked = ids[at : at + _REVOKES_A_MESSAGE]
                arguments = {"from_node": self._consumer.hostname, "revoked": revoked}
                self._consumer.app.control.broadcast("hello", arguments=arguments)
        except Exception as error:
            _log.warning("The next front may run tasks that were revoked a moment ago: %r", error)

    def _look(self) -> None:
        self._loop.later(_LOOK_SECONDS, self._look)  # first: the broker's connection may fail in the rest
        for queue in list(self._consumer.app.amqp.queues.consume_from):
            self._consumer.cancel_task_queue(queue)
        self._hand_back()
        if not self._desk.busy and time.monotonic() - self._since >= self._quiet_seconds():
            worker_state.should_stop = 0

    def _quiet_seconds(self) -> float:
        # What was revoked is passed on a second time after a while.
        return _QUIET_SECONDS if worker_state.revoked or self._may_fetch() else _SETTLE_SECONDS

    def _may_fetch(self) -> bool:
        """Whether a message may come though nothing is consumed any more."""
        connection = self._consumer.connection
        kind = connection.transport.driver_type if connection is not None else ""
        if kind == "amqp":
            return False  # its broker has confirmed the cancelling
        channel = getattr(self._consumer.task_consumer, "channel", None)
        return kind != "redis" or bool(getattr(channel, "_in_poll", True))  # a BRPOP is under way

    def _hand_back(self) -> None:
        self._forget_waiting()
        held = set(self._desk.held())
        for request in [*self._reserved(), *self._scheduled(), *self._limited()]:
            if request.id not in held and request not in worker_state.active_requests:
                if not request.revoked():  # the next front may not have heard of that
                    request.reject(requeue=True)
                worker_state.task_ready(request)

    def _reserved(self) -> list[Any]:
        return list(worker_state.reserved_requests)

    def _scheduled(self) -> Iterator[Any]:
        """With an ETA. `inspect scheduled` finds them so."""
        for waiting in list(self._consumer.timer.schedule.queue):
            arguments = getattr(waiting.entry, "args", None)
            if arguments and isinstance(arguments[0], Request):
                waiting.entry.cancel()
                yield arguments[0]

    def _limited(self) -> Iterator[Any]:
        """That wait for their rate limit."""
        for bucket in self._consumer.task_buckets.values():
            while bucket is not None and bucket.contents:
                yield bucket.contents.popleft()[0]
