"""The client for asyncio: the same session on the event loop, without a thread."""

from __future__ import annotations

import asyncio
import socket
import time
import warnings
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any, Optional, Union

from supervise import _address, _ids, _map
from supervise._bodies import Bodies, Task
from supervise._errors import PoolGone, SuperviseError
from supervise._ids import Id
from supervise._messages import BadFrame, Welcome
from supervise._session import ACCEPTED, DONE, Call, Entry, Session

_NOW = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_FRAMES_AT_ONCE = 64  # then the loop's other callbacks have their turn
_FULL_OUTBOX = 64  # frames; submit() waits above


class AsyncJob(Entry):
    """An accepted job: `await job` gives its result. Cancelling the one who waits leaves it be."""

    __slots__ = ("_link", "_waiters")

    def __init__(self, link: _Link) -> None:
        super().__init__(wanted=ACCEPTED)
        self._link = link
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def job_id(self) -> int:
        return self.job

    def done(self) -> bool:
        return self.state >= DONE

    async def result(self) -> Optional[Id]:
        """What the task returned. Raises JobFailed, JobLost, JobRefused or PoolGone."""
        await self._reach(DONE)
        value, error = self.outcome()
        if error is not None:
            raise error.with_traceback(None)
        return value

    def __await__(self) -> Generator[Any, None, Optional[Id]]:
        return self.result().__await__()

    def cancel(self, terminate: bool = False) -> bool:
        """As JobFuture.cancel(): asks the supervisor; False when the job has ended already."""
        if self.state != ACCEPTED:
            return False
        self._link.cancel(self.job, terminate)
        return True

    async def _reach(self, least: int) -> None:
        while self.state < least:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def changed(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class AsyncClient:
    """`async with AsyncClient("reports") as client:`; the arguments are those of Client.

    When the connection is lost, open jobs raise PoolGone, and the next submit() connects anew.
    """

    def __init__(self, pool: str, *, runtime_dir: Optional[str] = None, timeout: float = 30) -> None:
        self.pool = pool
        self._runtime_dir = runtime_dir
        self._timeout = timeout
        self._bodies = Bodies()
        self._link: Optional[_Link] = None
        self._connecting: Optional[asyncio.Task[_Link]] = None
        self._closed = False

    async def submit(self, task: Task, *ids: Id, priority: int = 0) -> AsyncJob:
        """Sends one job and returns when it is accepted. Raises JobRefused when it is not."""
        job = await self._send(task, ids, priority)
        await job._reach(ACCEPTED)
        if not job.job:
            assert job.error is not None
            raise job.error.with_traceback(None)
        return job

    async def call(self, task: Task, *ids: Id, priority: int = 0) -> Optional[Id]:
        """Sends one job and returns its result."""
        job = await self._send(task, ids, priority)
        return await job.result()

    def map(
        self,
        task: Task,
        ids: Iterable[_map.Item],
        *,
        priority: int = 0,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> AsyncIterator[Union[Id, SuperviseError, None]]:
        """As Client.map(), for `async for`."""
        body, most_args = self._bodies.make(task, priority)
        calls = _map.encode_items(ids, most_args)
        return self._run_map(body, calls, ordered, return_exceptions)

    async def _run_map(
        self, body: bytes, calls: Any, ordered: bool, return_exceptions: bool
    ) -> AsyncIterator[Union[Id, SuperviseError, None]]:
        link = await self._connect()
        window = _map.MapWindow(calls, link.limit, ordered)
        progress = asyncio.Event()
        while True:
            ends = window.ends
            while some := window.calls():
                link.add_all(body, some)
            while (ready := window.ready()) is not None:
                value, error = ready.outcome()
                if error is None:
                    yield value
                elif return_exceptions:
                    yield error
                else:
                    raise error
            if window.over:
                return
            if window.ends != ends:
                continue
            if window.waiting:
                progress.clear()
                window.wake = progress.set
                await progress.wait()
            else:
                await asyncio.sleep(window.next_pause())

    async def close(self) -> None:
        """As Client.close(): waits until what was submitted is accepted or refused, no longer."""
        self._closed = True
        if self._link is not None:
            await self._link.close(self._timeout)

    async def __aenter__(self) -> AsyncClient:
        await self._connect()
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        link = getattr(self, "_link", None)
        if link is not None and link.error is None:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"<supervise.AsyncClient of pool {self.pool!r}>"

    async def _send(self, task: Task, ids: tuple[Id, ...], priority: int) -> AsyncJob:
        try:
            body, most_args = self._bodies[task, priority]
        except (KeyError, TypeError):
            body, most_args = self._bodies.make(task, priority)
        args = _ids.encode_args(ids, most_args)
        link = await self._connect()
        await link.room()
        job = AsyncJob(link)
        link.add(body, args, job)
        return job

    async def _connect(self) -> _Link:
        """The connection, a new one if there is none that works; one attempt for all who ask."""
        if self._closed:
            raise PoolGone("closed", f"the client of pool {self.pool!r} is closed")
        link = self._link
        if link is not None and link.error is None:
            if link.loop is not asyncio.get_running_loop():
                raise RuntimeError(f"{self!r} belongs to another event loop; make one for each")
            return link
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._open_link())
            self._connecting.add_done_callback(self._connected)
        return await asyncio.shield(self._connecting)

    def _connected(self, connecting: asyncio.Task[_Link]) -> None:
        self._connecting = None
        if not connecting.cancelled():
            connecting.exception()  # whoever waits raises it; nobody may be left who does

    async def _open_link(self) -> _Link:
        path = _address.find(self.pool, self._runtime_dir)
        link = _Link(self.pool)
        try:
            await link.open(path, self._timeout)
        except BaseException as error:
            link.end(error if isinstance(error, SuperviseError) else PoolGone("closed"))
            raise
        self._link = link
        return link


class _Link:
    """One connection."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.loop = asyncio.get_running_loop()
        self.error: Optional[SuperviseError] = None
        self.limit = 0
        self._session = Session()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._welcome: Optional[asyncio.Future[Welcome]] = None  # while it is waited for
        self._flushing = False
        self._writing = False
        self._waiters: list[asyncio.Future[None]] = []  # for anything to move on

    async def open(self, path: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not _address.attempt(self._socket, self.pool, path):
            if time.monotonic() >= deadline:
                raise _address.full_backlog(self.pool, path)
            await asyncio.sleep(_address.FULL_BACKLOG_SECONDS)
        self._welcome = self.loop.create_future()
        self.loop.add_reader(self._socket, self._on_readable)
        try:
            self._socket.send(_address.hello(), _NOW)
            welcome = await asyncio.wait_for(self._welcome, max(deadline - time.monotonic(), 0))
        except asyncio.TimeoutError:
            raise _address.not_ready(self.pool, timeout) from None
        except OSError as error:
            if isinstance(error, SuperviseError):
                raise
            raise PoolGone("lost", f"pool {self.pool!r} hung up on HELLO: {error}") from error
        self._welcome = None
        self.limit = welcome.limit

    def add(self, body: bytes, args: bytes, job: AsyncJob) -> None:
        if self.error is not None:
            raise self.error.with_traceback(None)
        self._session.add(body, args, job)
        self._flush_soon()

    def add_all(self, body: bytes, calls: Sequence[Call]) -> None:
        if self.error is not None:
            raise self.error.with_traceback(None)
        self._session.add_all(body, calls)
        self._flush_soon()

    def cancel(self, job: int, terminate: bool) -> None:
        if self.error is None:
            self._session.cancel(job, terminate)
            self._flush_soon()

    async def room(self) -> None:
        """Waits while the supervisor reads more slowly than jobs come."""
        while self.error is None and len(self._session.outbox) > _FULL_OUTBOX:
            await self._next_move()

    async def close(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self.error is None and self._session.unanswered and time.monotonic() < deadline:
            try:
                await asyncio.wait_for(self._next_move(), deadline - time.monotonic())
            except asyncio.TimeoutError:
                break
        self.end(PoolGone("closed", "the client was closed before the job's end"))

    def end(self, error: SuperviseError) -> None:
        if self.error is not None:
            return
        self.error = error
        self.loop.remove_reader(self._socket)
        self.loop.remove_writer(self._socket)
        self._socket.close()
        for job in self._session.lose(error):
            job.changed()
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_exception(error)
        self._moved()

    async def _next_move(self) -> None:
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _moved(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _flush_soon(self) -> None:
        """Once for all that is submitted in this turn of the loop: their frames are full."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self.error is not None:
            return
        self._session.seal()
        outbox = self._session.outbox
        try:
            while outbox:
                self._socket.send(outbox[0], _NOW)
                outbox.popleft()
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self.loop.add_writer(self._socket, self._flush)
            return
        except OSError:
            outbox.clear()  # the reader finds out what the supervisor said last
        if self._writing:
            self._writing = False
            self.loop.remove_writer(self._socket)
        if self._waiters:
            self._moved()

    def _on_readable(self) -> None:
        try:
            for _ in range(_FRAMES_AT_ONCE):
                frame = _address.receive(self._socket)
                if self._welcome is not None and not self._welcome.done():
                    self._welcome.set_result(_address.welcome(self.pool, frame))
                    continue
                if not frame:
                    self._lost("its supervisor has ended or restarted")
                    return
                for job in self._session.receive(frame):
                    job.changed()
                if self._session.closed is not None:
                    self.end(_address.closed(self.pool, self._session.closed))
                    return
        except BlockingIOError:
            pass
        except BadFrame as broken:
            self.end(PoolGone("bad_frame", f"the supervisor of pool {self.pool!r} sent {broken}"))
        except SuperviseError as error:  # instead of WELCOME
            self.end(error)
        except OSError as broken_off:
            self._lost(str(broken_off))
        if self._session.outbox:
            self._flush_soon()
        if self._waiters:
            self._moved()

    def _lost(self, why: str) -> None:
        self.end(PoolGone("lost", f"the connection to pool {self.pool!r} was lost: {why}"))
