"""One connection of the blocking client: a socket, a session, a lock, and a thread that reads.

The thread always reads, so that a sender that has to wait cannot wait for ever. It runs no code of
the user's: callbacks have a thread of their own, in which submitting and waiting are fine.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import select
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Callable, Optional

from supervise import _address, _forks
from supervise._errors import PoolGone, SuperviseError
from supervise._future import JobFuture
from supervise._messages import BadFrame, Welcome
from supervise._session import Call, Session
from supervise._timeout import WaitTimeout

_NOW = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Connection:
    def __init__(self, pool: str, path: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self.pool = pool
        self.timeout = timeout
        self.lock = threading.Lock()
        self.error: Optional[SuperviseError] = None  # set once: the connection is over
        self.abandoned = False  # by its Client: it ends with its last job
        self._session = Session()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._connect(path, deadline)
            self.limit = self._greet(timeout, deadline).limit
        except BaseException:
            self._socket.close()
            raise
        self._send = self._socket.send
        self._quiet: Optional[threading.Event] = None  # close() waits for it
        self._ending: Optional[SuperviseError] = None
        self._callbacks: Optional[SimpleQueue[Optional[Callable[[], object]]]] = None
        _forks.watch(self)
        _connections.add(self)
        self._reader = threading.Thread(target=self._read, name=f"supervise-client-{pool}", daemon=True)
        self._reader.start()

    def _connect(self, path: str, deadline: float) -> None:
        self._socket.setblocking(False)
        while not _address.attempt(self._socket, self.pool, path):
            if time.monotonic() >= deadline:
                raise _address.full_backlog(self.pool, path)
            time.sleep(_address.FULL_BACKLOG_SECONDS)

    def _greet(self, timeout: float, deadline: float) -> Welcome:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            with contextlib.suppress(BrokenPipeError):  # refused at once: the reply says why
                self._socket.send(_address.hello())
            reply = _address.receive(self._socket)
        except socket.timeout:
            raise _address.not_ready(self.pool, timeout) from None
        except OSError as error:
            raise PoolGone("lost", f"pool {self.pool!r} hung up on HELLO: {error}") from error
        self._socket.setblocking(True)
        return _address.welcome(self.pool, reply)

    # --- any thread

    def submit(self, body: bytes, args: bytes, future: JobFuture) -> None:
        """Sends the job, or keeps it with others for a fuller frame."""
        while True:
            with self.lock:
                if self.error is not None:
                    raise self.error.with_traceback(None)
                session = self._session
                if not session.outbox:
                    session.add(body, args, future)
                    if session.outbox:
                        self._flush()
                    return
            if not self._drain(time.monotonic() + self.timeout):
                raise self._reads_nothing("the job was not sent")

    def submit_all(self, body: bytes, calls: Sequence[Call]) -> None:
        """Sends them in full frames, the rest with the next ones or at push()."""
        with self.lock:
            if self.error is not None:
                raise self.error.with_traceback(None)
            self._session.add_all(body, calls)
            self._flush()
        if self._session.outbox and not self._drain(time.monotonic() + self.timeout):
            raise self._reads_nothing("the map's jobs are sent when it does")

    def push(self) -> None:
        with self.lock:
            self._session.seal()
            self._flush()

    def cancel(self, future: JobFuture, terminate: bool) -> None:
        with self.lock:
            if self.error is not None:
                return
            self._session.cancel(future.job, terminate)
            self._flush()
        if not self._drain(time.monotonic() + self.timeout):
            raise self._reads_nothing("the cancellation is sent when it does")

    def _reads_nothing(self, consequence: str) -> WaitTimeout:
        return WaitTimeout(f"pool {self.pool!r} has read nothing for {self.timeout:g} s; {consequence}")

    def wait(self, future: JobFuture, least: int, timeout: Optional[float]) -> bool:
        """Whether the future came to the state `least` in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self.lock:
                if future.state >= least:
                    return True
                gate = future.gate()
                self._session.seal()
                self._flush()
                stuck = bool(self._session.outbox)
            if stuck and not self._drain(deadline):
                return False
            rest = -1.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not gate.acquire(timeout=min(rest, threading.TIMEOUT_MAX)):
                with self.lock:
                    future.drop(gate)
                    return future.state >= least

    def call_back(self, callback: Callable[[], object]) -> None:
        """Runs it in the callbacks' thread. Takes no lock: the reader calls it under one."""
        assert self._callbacks is not None
        self._callbacks.put(callback)

    def start_callbacks(self) -> None:
        """With the lock held."""
        if self._callbacks is None:
            self._callbacks = SimpleQueue()
            name = f"supervise-callbacks-{self.pool}"
            threading.Thread(target=_run_callbacks, args=(self._callbacks,), name=name, daemon=True).start()

    def close(self) -> None:
        """Ends it, but not before every job that was submitted is accepted or refused."""
        quiet = threading.Event()
        with self.lock:
            if self.error is None and self._session.unanswered:
                self._quiet = quiet
                self._session.seal()
                self._flush()
            else:
                quiet.set()
        quiet.wait(self.timeout)
        with self.lock:
            if self._ending is None:
                self._ending = PoolGone("closed", "the client was closed before the job's end")
        self.hang_up()
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def hang_up(self) -> None:
        """Wakes the reader, which takes in what has arrived and then ends. Needs no lock."""
        with contextlib.suppress(OSError):  # the other side was first
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def idle(self) -> bool:
        return not self._session.open

    def after_fork(self) -> None:
        self.lock = threading.Lock()
        if self.error is None:
            self.error = PoolGone(
                "forked",
                "the job was submitted before a fork, and its result goes to the parent process",
            )
            self._session.lose(self.error)
            self._socket.close()

    # --- with the lock held, or in the reader

    def _flush(self) -> None:
        outbox = self._session.outbox
        try:
            while outbox:
                self._send(outbox[0], _NOW)
                outbox.popleft()
        except BlockingIOError:
            pass  # the reader goes on with it when it is answered, or whoever waits
        except OSError as error:
            outbox.clear()
            if self._ending is None and not isinstance(error, ConnectionError):
                self._ending = PoolGone("lost", f"pool {self.pool!r}: sending failed: {error}")
            self.hang_up()  # the reader finds out what the supervisor said last

    def _drain(self, deadline: Optional[float]) -> bool:
        """Waits without the lock until all is sent or nothing can be; False when time is up."""
        while True:
            with self.lock:
                self._flush()
                if not self._session.outbox or self.error is not None:
                    return True
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                return False
            # In steps: the reader may close the descriptor, and its number be reused, meanwhile.
            with contextlib.suppress(ValueError):  # closed already
                self._poll(select.POLLOUT, 0.5 if rest is None else min(rest, 0.5))

    def _poll(self, events: int, seconds: Optional[float]) -> None:
        poller = select.poll()
        poller.register(self._socket.fileno(), events)
        poller.poll(None if seconds is None else seconds * 1000)

    def _read(self) -> None:
        """The reader's thread, from WELCOME to the end."""
        error: SuperviseError = PoolGone(
            "lost",
            f"the connection to pool {self.pool!r} was lost; its supervisor has ended or restarted",
        )
        session, receive = self._session, _address.receive
        try:
            while not (self.abandoned and self.idle):
                if session.outbox:
                    self._poll(select.POLLIN | select.POLLOUT, None)
                    with self.lock:
                        self._flush()
                    try:
                        frame = receive(self._socket, socket.MSG_DONTWAIT)
                    except BlockingIOError:
                        continue
                else:
                    frame = receive(self._socket)
                if not frame:
                    break
                with self.lock:
                    for entry in session.receive(frame):
                        entry.changed()
                    if session.closed is not None:
                        error = _address.closed(self.pool, session.closed)
                        break
                    session.seal_if_quiet()
                    if session.outbox:
                        self._flush()
                    if self._quiet is not None and not session.unanswered:
                        self._quiet.set()
        except BadFrame as broken:
            error = PoolGone("bad_frame", f"the supervisor of pool {self.pool!r} sent {broken}")
        except OSError as broken:
            error = PoolGone("lost", f"the connection to pool {self.pool!r} was lost: {broken}")
        self._end(error)

    def _end(self, error: SuperviseError) -> None:
        with self.lock:
            error = self._ending or error
            self.error = error
            for entry in self._session.lose(error):
                entry.changed()
            if self._quiet is not None:
                self._quiet.set()
            if self._callbacks is not None:
                self._callbacks.put(None)
            self._socket.close()


def _run_callbacks(queue: SimpleQueue[Optional[Callable[[], object]]]) -> None:
    while True:
        callback = queue.get()
        if callback is None:
            return
        try:
            callback()
        except Exception:
            logging.getLogger("supervise").exception("a callback of a job raised")


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A script may end right after its last submit()."""
    for connection in list(_connections):
        connection.close()
