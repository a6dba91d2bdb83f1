"""The way to supervise: reaches it, moves frames between it and the desk, and reaches it again.

It is a running supervise that was named, or one of the front's own.
"""

from __future__ import annotations

import logging
import os
import select
import time
from typing import Callable, Optional, Union

from celery.worker import state as worker_state

from supervise.celery.connection import Connection, Gone
from supervise.celery.control import Control, ControlError
from supervise.celery.desk import Desk
from supervise.celery.errors import PoolError
from supervise.celery.loops import HubLoop, ThreadLoop
from supervise.celery.private_supervise import PrivateSupervise

_log = logging.getLogger("celery.pool")

_RETRY_SECONDS = 1.0  # between two attempts at a supervise that is away, or takes no task
_PATIENCE_SECONDS = 60.0  # for it to come up, or back
_RESTARTS, _RESTART_SECONDS = 3, 60.0  # of our own: more in that time are the end
_SLOW_SECONDS = 10.0  # of an application's import: worth a line
_RECALL_SECONDS = 1.0  # between two looks at tasks that have not begun
_STEP_SECONDS = 0.5  # of waiting where nothing wakes us
_HURRY_SECONDS = 2.0  # for supervise to answer, in a cold shutdown
_EXIT_FAILURE = 1


class Link:
    """`workers` tells how many a supervise of our own starts with."""

    def __init__(
        self,
        desk: Desk,
        supervise: Union[PrivateSupervise, str],
        threads: bool,
        workers: Callable[[], int],
    ) -> None:
        self.loop: Union[HubLoop, ThreadLoop] = ThreadLoop(self.turn) if threads else HubLoop(self.turn)
        self._desk = desk
        self._private = supervise if isinstance(supervise, PrivateSupervise) else None
        self._socket = supervise if isinstance(supervise, str) else ""
        self._workers = workers
        self._connection: Optional[Connection] = None
        self._away_since = 0.0
        self._restarts: list[float] = []
        self._asks_again = False
        self._recalls = False
        self._last_warning = ""
        self._closed = False

    @property
    def control(self) -> Control:
        folder, name = os.path.split(self._socket)
        return Control(os.path.join(folder, "control.sock"), _pool_of(name))

    # --- coming up

    def open(self) -> None:
        """Returns when the first worker has imported the application. PoolError says why none can."""
        try:
            if self._private is not None:
                self._start_private(self._private)
            else:
                self._connect_patiently()
            self._wait_for_welcome()
        except (Gone, ControlError) as error:
            raise PoolError(f"supervise cannot be reached: {error}") from None
        if isinstance(self.loop, ThreadLoop):
            self.loop.start()

    def _start_private(self, private: PrivateSupervise) -> None:
        """Returns when it is connected."""
        private.start(self._workers())
        self._socket = private.socket
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:  # some milliseconds, and there is no event for it
            try:
                self._connect()
                return
            except Gone as gone:  # there is no socket yet, or nobody listens at it yet
                self._check(private)
                if time.monotonic() > patience:
                    raise PoolError(f"supervise does not come up: {gone}") from None
            time.sleep(0.005)

    def _check(self, private: PrivateSupervise) -> None:
        code = private.exit_code()
        if code is not None:
            raise PoolError(
                f"{private.program} ended with exit code {code} before its workers were ready; what it has "
                "written above says why. If that is nothing, it may be another program of this name: name "
                "the right one in $SUPERVISE_BIN"
            ) from None

    def _connect(self) -> None:
        connection = Connection(self._socket, _pool_of(os.path.basename(self._socket)))
        self._connection = connection
        self._desk.connect(connection)
        self.loop.watch(connection)

    def _connect_patiently(self) -> None:
        """The running supervise may be about to run."""
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self._connect()
                return
            except Gone as gone:
                if time.monotonic() > patience:
                    raise
                self._warn_once(str(gone))
            worker_state.maybe_shutdown()
            time.sleep(_RETRY_SECONDS)

    def _wait_for_welcome(self) -> None:
        patience = time.monotonic() + _SLOW_SECONDS
        while self._desk.welcome is None:
            worker_state.maybe_shutdown()
            if time.monotonic() > patience:
                self._warn_once("its first worker is not ready yet")
            self.wait()
            self._desk.flush()
            try:
                self._desk.read()
            except Gone as gone:
                if self._private is not None:
                    self._check(self._private)
                raise PoolError(f"supervise went away before its workers were ready: {gone}") from None
        if self._private is not None:
            status = self.control.status()
            if status.get("state") != "running":
                raise PoolError(f"the workers cannot start: {status.get('advice') or 'see above'}")

    # --- running

    def turn(self) -> None:
        """There is something to read, or room to write. Called by the loop."""
        try:
            self._desk.flush()
            self._desk.read()
        except Gone as gone:
            self._lost(str(gone))
        if self._desk.refused and not self._asks_again and not self._closed:
            self._asks_again = True
            self._refused(self._desk.refused)

    def wait(self) -> None:
        """For something to do in turn(), where no loop calls it; at most half a second."""
        poller = select.poll()
        connection = self._connection
        if connection is not None and connection.fileno() >= 0:
            poller.register(connection, select.POLLIN | (select.POLLOUT if connection.wants_to_write else 0))
        poller.poll(_STEP_SECONDS * 1000)

    def sent(self) -> None:
        """The desk has a task more."""
        self.loop.update()
        if not self._recalls:
            self._recalls = True
            self.loop.later(_RECALL_SECONDS, self._recall)

    def _recall(self) -> None:
        self._recalls = False  # the next task sets it going again, where the broker's connection fails now
        self._recalls = self._desk.recall()
        if self._recalls:
            self.loop.later(_RECALL_SECONDS, self._recall)
        self.loop.update()

    def _refused(self, reason: str) -> None:
        self._warn_once(reason)
        self.loop.later(_RETRY_SECONDS, self._ask_again)

    def _warn_once(self, reason: str) -> None:
        if reason != self._last_warning:
            _log.warning("supervise takes no task for the moment: %s", reason)
            self._last_warning = reason

    def _ask_again(self) -> None:
        self._asks_again = False
        if self._private is not None and self._state() == "degraded":
            self._give_up("its workers die again and again, see above")
            return
        self._desk.ask_again()
        self.loop.update()

    def _state(self) -> str:
        try:
            return str(self.control.status().get("state", ""))
        except ControlError:
            return ""

    # --- losing it

    def _lost(self, reason: str) -> None:
        self.loop.unwatch()
        self._connection = None
        if not self._closed:
            _log.error("The connection to supervise is lost: %s", reason)
        self._desk.lose(f"its supervise is gone ({reason})")
        if not self._closed:
            self._away_since = time.monotonic()
            self._reach_again()

    def _reach_again(self) -> None:
        if self._closed:
            return
        try:
            if self._private is not None and self._private.exit_code() is not None:
                self._restart_private(self._private)
            else:
                self._connect()
            _log.warning("There is a supervise again")
        except Gone as gone:
            if time.monotonic() - self._away_since > _PATIENCE_SECONDS:
                self._give_up(str(gone))
            else:
                self.loop.later(_RETRY_SECONDS, self._reach_again)
        except PoolError as error:
            self._give_up(str(error))

    def _restart_private(self, private: PrivateSupervise) -> None:
        now = time.monotonic()
        self._restarts = [then for then in self._restarts if now - then < _RESTART_SECONDS] + [now]
        if len(self._restarts) > _RESTARTS:
            raise PoolError(f"it has ended {len(self._restarts)} times within {_RESTART_SECONDS:.0f} s")
        _log.error("supervise ended with exit code %s and is started again", private.exit_code())
        self._start_private(private)

    def _give_up(self, reason: str) -> None:
        _log.critical("There is no supervise to run tasks, and the worker shuts down: %s", reason)
        worker_state.should_stop = _EXIT_FAILURE

    # --- the end

    def prepare_to_close(self) -> None:
        """A connection that is lost from now on is not replaced."""
        self._closed = True

    def close(self, hurry: bool) -> None:
        """Twice is fine. Our own supervise ends; in a hurry with what its workers run."""
        self._closed = True
        if hurry and self._private is None:
            self._finish_cancelling()
        self.loop.stop()
        self._desk.lose("the worker shuts down")
        self._connection = None
        if self._private is not None:
            self._private.stop(hurry)

    def _finish_cancelling(self) -> None:
        """A supervise that stays must have heard of each task that it is to kill."""
        patience = time.monotonic() + _HURRY_SECONDS
        while time.monotonic() < patience:
            connection = self._connection
            if connection is None or not (connection.wants_to_write or self._desk.has_unanswered):
                return
            self.wait()
            self._desk.flush()
            try:
                self._desk.read()
            except Gone:
                return


def _pool_of(name: str) -> str:
    return name[: -len(".sock")] if name.endswith(".sock") else name
