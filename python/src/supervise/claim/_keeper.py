"""The front's clerk: removes entries whose message is done with, sweeps those that nobody asked for."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Optional

from supervise.claim import _settings

LOOK_SECONDS = 0.2  # between looks whether an ack has gone out; there is no event for it
ACK_SECONDS = 60  # how long an ack may take after the task's end; the sweep takes care of the others
SWEEP_SECONDS = 3600  # between sweeps, or a tenth of the time-to-live

_log = logging.getLogger("supervise.claim")


class Keeper:
    """One thread, which starts with the first message that has entries in the store."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._ended: SimpleQueue[Optional[tuple[Any, list[str]]]] = SimpleQueue()
        self._thread: Optional[threading.Thread] = None
        self._watched: set[weakref.finalize[..., Any]] = set()

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="supervise-claim-keeper", daemon=True)
            self._thread.start()

    def watch(self, request: Any, message: Any, entries: list[str]) -> None:
        """Celery drops a request when its task has ended, in whichever way; the message is settled
        before or after that."""
        finalizer = weakref.finalize(request, lambda: self._dropped(finalizer, message, entries))
        finalizer.atexit = False
        self._watched.add(finalizer)

    def finish(self, timeout: float) -> None:
        """At the end of the front: what is acknowledged now nobody will run again, though something
        (billiard's timer, for one) may still hold the request. `timeout` in seconds."""
        for finalizer in list(self._watched):
            finalizer()
        if self._thread is not None and self._thread.is_alive():
            self._ended.put(None)
            self._thread.join(timeout)

    def _dropped(self, finalizer: weakref.finalize[..., Any], message: Any, entries: list[str]) -> None:
        self._watched.discard(finalizer)
        if os.getpid() == self._pid:  # a forked child drops its copy, too
            self._ended.put((message, entries))

    def _run(self) -> None:
        waiting: list[tuple[float, Any, list[str]]] = []
        next_sweep = time.monotonic()
        while True:
            if time.monotonic() >= next_sweep:
                self._sweep()
                next_sweep = time.monotonic() + min(SWEEP_SECONDS, _settings.settings().ttl / 10)
            idle = max(0.0, next_sweep - time.monotonic())
            with suppress(Empty):
                ended = self._ended.get(timeout=LOOK_SECONDS if waiting else idle)
                if ended is None:
                    self._settle(waiting)
                    return
                waiting.append((time.monotonic() + ACK_SECONDS, *ended))
            waiting = self._settle(waiting)

    def _settle(self, waiting: list[tuple[float, Any, list[str]]]) -> list[tuple[float, Any, list[str]]]:
        """Removes the entries of acknowledged messages, and gives those whose ack is still to come."""
        left = []
        for deadline, message, entries in waiting:
            if message.acknowledged:
                # A rejected message may be delivered again, or go to a dead letter queue.
                if message._state == "ACK":
                    self._remove(entries)
            elif time.monotonic() < deadline:
                left.append((deadline, message, entries))
        return left

    def _remove(self, entries: list[str]) -> None:
        for entry in entries:
            try:
                _settings.store().remove(entry)
            except Exception as error:
                _log.warning("claim.remove_failed entry=%s: %s", entry, error)

    def _sweep(self) -> None:
        try:
            swept = _settings.store().sweep(_settings.settings().ttl)
        except Exception as error:
            _log.warning("claim.sweep_failed: %s", error)
        else:
            if swept:
                _log.info("claim.swept entries=%d", swept)


_keeper: Optional[Keeper] = None


def keeper() -> Keeper:
    """This process's own."""
    global _keeper
    if _keeper is None or _keeper._pid != os.getpid():
        _keeper = Keeper()
    return _keeper
