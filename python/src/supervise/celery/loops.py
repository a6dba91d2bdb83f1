"""Who waits for the connection: Celery's hub, or a thread where the broker's transport has no hub.

Both call `turn` when there is something to read or room to write, and functions given to later(),
always in the same thread.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from typing import Any, Callable, Optional

from celery import VERSION as CELERY_VERSION
from kombu import VERSION as KOMBU_VERSION

from supervise.celery.connection import Connection

_log = logging.getLogger("celery.pool")

# Older hubs run what callbacks leave behind, acknowledgements say, at their next wake-up only, which may
# be seconds away.
_HUB_SLEEPS = KOMBU_VERSION < (5, 3)


class HubLoop:
    """In the hub's thread, which is the main one. A hub forgets everything when the broker's
    connection is lost: then it is registered again."""

    def __init__(self, turn: Callable[[], object]) -> None:
        self._turn = turn
        self._hub: Any = None
        self._connection: Optional[Connection] = None
        self._writer = -1  # a second descriptor: the hub cannot have one for reading and for writing
        self._writing = False
        self._poker = _Poker()
        self._due: deque[Callable[[], object]] = deque()
        self._timers: dict[object, tuple[float, Callable[[], object]]] = {}
        self._stopped = threading.Event()
        if CELERY_VERSION < (5, 3):
            # Its signal handlers raise exceptions, wherever the main thread is, unless there is another.
            threading.Thread(target=self._stopped.wait, name="supervise-pool", daemon=True).start()

    def register(self, hub: Any) -> None:
        self._hub = hub
        self._writing = False
        if self._connection is not None:
            hub.add_reader(self._connection.fileno(), self._ready)
        hub.add_reader(self._poker.reader, self._run_due)
        for key, (when, function) in list(self._timers.items()):
            self._arm(key, when - time.monotonic(), function)
        self.update()

    def watch(self, connection: Connection) -> None:
        self._connection = connection
        self._writer = os.dup(connection.fileno())
        if self._hub is not None:
            self._hub.add_reader(connection.fileno(), self._ready)

    def unwatch(self) -> None:
        """Before the connection is closed: the hub must not keep a number that gets reused."""
        if self._connection is None:
            return
        if self._hub is not None:
            with contextlib.suppress(Exception):  # a hub that was reset has forgotten it
                self._hub.remove(self._connection.fileno())
            with contextlib.suppress(Exception):
                self._hub.remove(self._writer)
        os.close(self._writer)
        self._writer = -1
        self._writing = False
        self._connection = None

    def update(self) -> None:
        """Whether there is something to write may have changed."""
        wanted = self._connection is not None and self._connection.wants_to_write
        if self._hub is None or wanted == self._writing:
            return
        self._writing = wanted
        if wanted:
            self._hub.add_writer(self._writer, self._ready)
        else:
            self._hub.remove(self._writer)

    def soon(self, function: Callable[[], object]) -> None:
        """Also from a signal's handler: the hub sleeps on through that, and call_soon() would wait for a lock
        that the interrupted thread may hold."""
        self._due.append(function)
        self._poker.poke()

    def _run_due(self) -> None:
        self._poker.drain()
        while self._due:
            self._due.popleft()()

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        key = object()
        self._timers[key] = (time.monotonic() + seconds, function)
        if self._hub is not None:
            self._arm(key, seconds, function)

    def _arm(self, key: object, seconds: float, function: Callable[[], object]) -> None:
        def run() -> None:
            if self._timers.pop(key, None) is not None:  # else it was armed with an earlier hub, too
                function()

        self._hub.call_later(max(seconds, 0), run)

    def _ready(self) -> None:
        self._turn()
        self.update()
        if _HUB_SLEEPS:
            self._poker.poke()

    def stop(self) -> None:
        self._timers.clear()
        self._stopped.set()
        self.unwatch()
        if self._hub is not None:
            with contextlib.suppress(Exception):
                self._hub.remove(self._poker.reader)
        self._poker.close()


class _Poker:
    """Wakes whoever polls it."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        """A poke that comes later does nothing."""
        open_ones, self.reader, self._writer = {self.reader, self._writer} - {-1}, -1, -1
        for descriptor in open_ones:
            os.close(descriptor)

    def poke(self) -> None:
        with contextlib.suppress(OSError):  # full, or closed
            os.write(self._writer, b"x")

    def drain(self) -> None:
        with contextlib.suppress(OSError):
            os.read(self.reader, 4096)


class ThreadLoop:
    def __init__(self, turn: Callable[[], object]) -> None:
        self._turn = turn
        self._lock = threading.Lock()
        self._connection: Optional[Connection] = None
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._stopping = False
        self._waker = _Poker()
        self._thread = threading.Thread(target=self._run, name="supervise-pool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def watch(self, connection: Connection) -> None:
        with self._lock:
            self._connection = connection
        self._waker.poke()

    def unwatch(self) -> None:
        with self._lock:
            self._connection = None

    def update(self) -> None:
        if self._connection is not None and self._connection.wants_to_write:
            self._waker.poke()

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        with self._lock:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), function))
        self._waker.poke()

    def stop(self) -> None:
        self._stopping = True
        self._waker.poke()
        if threading.current_thread() is self._thread:
            return
        if self._thread.is_alive():
            self._thread.join()
        self._waker.close()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._wait()
                self._turn()
                self._run_timers()
            except Exception:
                _log.exception("The pool's thread goes on after an error")
            except BaseException as error:  # WorkerShutdown, WorkerTerminate: for the main thread
                _log.critical("The pool's thread ends: %r", error)
                return

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._waker.reader, select.POLLIN)
        with self._lock:
            if self._connection is not None and self._connection.fileno() >= 0:
                wanted = select.POLLOUT if self._connection.wants_to_write else 0
                poller.register(self._connection.fileno(), select.POLLIN | wanted)
            timeout = max(self._timers[0][0] - time.monotonic(), 0) * 1000 if self._timers else None
        poller.poll(timeout)
        self._waker.drain()

    def _run_timers(self) -> None:
        while True:
            with self._lock:
                if not self._timers or self._timers[0][0] > time.monotonic():
                    return
                function = heapq.heappop(self._timers)[2]
            function()
