"""One task in the pool, from Celery's apply_async() to its end."""

from __future__ import annotations

import itertools
import logging
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from celery.worker import state as worker_state

from supervise.celery.payload import Call

Callback = Optional[Callable[..., object]]

_numbers = itertools.count()
_log = logging.getLogger("celery.pool")


class Job:
    """Celery keeps a weak reference, and may call terminate()."""

    __slots__ = (
        "__weakref__",
        "_accept_callback",
        "_callback",
        "_error_callback",
        "_propagated",
        "_terminate",
        "_timeout_callback",
        "call",
        "dropped",
        "id",
        "key",
        "limit",
        "number",
        "pid",
        "recalled",
        "signal",
        "soft_limit",
        "tag",
        "task",
        "waits",
    )

    def __init__(
        self,
        call: Call,
        terminate: Callable[[Job, int], None],
        *,
        callback: Callback = None,
        accept_callback: Callback = None,
        timeout_callback: Callback = None,
        error_callback: Callback = None,
        soft_limit: Optional[float] = None,
        limit: Optional[float] = None,
        propagated: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.number = next(_numbers)  # prefork's, in texts only
        self.call: Optional[Call] = call  # until it has begun
        self.key = call.id
        self.task = call.task
        self.soft_limit = soft_limit  # seconds
        self.limit = limit
        self.tag = 0  # of its CALL; 0: it waits here
        self.id = 0  # supervise's; 0: not yet accepted
        self.pid: Optional[int] = None  # of its worker, once it has begun
        self.signal: Optional[int] = None  # the last that was asked for
        self.waits = False  # for room; it may be revoked meanwhile
        self.recalled = False  # supervise was asked not to begin it; then it ends as revoked
        self.dropped = False  # nobody wants to hear of it any more
        self._terminate = terminate
        self._callback = callback
        self._accept_callback = accept_callback
        self._timeout_callback = timeout_callback
        self._error_callback = error_callback
        self._propagated: tuple[type[BaseException], ...] = (*propagated, MemoryError)

    @property
    def begun(self) -> bool:
        return self.pid is not None

    def terminate(self, signal: int) -> None:
        """Celery calls this after TaskPool.terminate_job(), or instead where the task has not begun."""
        if self.signal is None:
            self._terminate(self, signal)

    def is_unwanted(self) -> bool:
        """Whether is_revoked() will say yes; nobody is told yet."""
        if self.key in worker_state.revoked:
            return True
        expires = getattr(getattr(self._accept_callback, "__self__", None), "expires", None)
        return expires is not None and datetime.now(timezone.utc if expires.tzinfo else None) > expires

    def is_revoked(self) -> bool:
        """Asks Celery's Request, which then tells the world."""
        revoked = getattr(getattr(self._accept_callback, "__self__", None), "revoked", None)
        return bool(revoked()) if callable(revoked) else False

    # --- what Celery's Request is told; prefork's order is the caller's to keep

    def tell_begun(self, time: float) -> None:
        self._tell(self._accept_callback, self.pid, time)

    def tell_result(self, result: tuple[int, Any, float]) -> None:
        self._tell(self._callback, result)

    def tell_error(self, info: Any) -> None:
        self._tell(self._error_callback, info)

    def tell_timeout(self, soft: bool) -> None:
        seconds = self.soft_limit if soft else self.limit
        self._tell(self._timeout_callback, soft=soft, timeout=seconds)

    def _tell(self, callback: Callback, *args: Any, **kwargs: Any) -> None:
        if callback is None:
            return
        try:
            callback(*args, **kwargs)
        except self._propagated:
            raise
        except Exception as error:
            _log.error("Pool callback raised exception: %r", error, exc_info=True)


def milliseconds(seconds: Optional[float]) -> int:
    """0: none. The pool's own limits are the front's to apply."""
    return min(max(round(seconds * 1000), 1), 0xFFFFFFFE) if seconds else 0
