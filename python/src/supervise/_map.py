"""Which calls of a map() to send next, and which result to give next. No I/O: both clients use it.

Never more than `most` jobs are open. What the supervisor refuses for a full queue is sent again
when jobs of this map have ended, or after a pause when none is open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, Optional, Union

from supervise import _ids
from supervise._errors import JobRefused
from supervise._ids import Id
from supervise._session import REFUSED, AnyEntry

MOST_OPEN = 2000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5

Item = Union[Id, tuple[Id, ...]]


def encode_items(items: Iterable[Item], most_args: int) -> Iterator[bytes]:
    for item in items:
        yield _ids.encode_args(item if isinstance(item, tuple) else (item,), most_args)


class _Call(Generic[AnyEntry]):
    __slots__ = ("args", "entry")

    def __init__(self, args: bytes) -> None:
        self.args = args
        self.entry: Optional[AnyEntry] = None  # when it has ended


class MapWindow(Generic[AnyEntry]):
    def __init__(self, calls: Iterator[bytes], limit: int, ordered: bool) -> None:
        self._fresh = calls
        self._most = max(1, min(limit, MOST_OPEN))
        self._ordered = ordered
        self._open: dict[AnyEntry, _Call[AnyEntry]] = {}
        self._refused: deque[_Call[AnyEntry]] = deque()
        self._kept: deque[_Call[AnyEntry]] = deque()  # to be given, in this order
        self._credit = 0  # refused calls that may be sent again
        self._pause = 0.0
        self._exhausted = False

    def calls(self) -> Iterator[_Call[AnyEntry]]:
        """The calls to send now. Each is followed by sent(), before the next is asked for."""
        if self._refused:
            while self._refused and self._credit > 0:
                self._credit -= 1
                yield self._refused.popleft()
        elif len(self._open) <= self._most // 2:
            # Half at a time, so that frames are full.
            while not self._exhausted and len(self._open) < self._most:
                if self._ordered and len(self._kept) >= 2 * self._most:
                    return  # a slow first job holds many results back
                args = next(self._fresh, None)
                if args is None:
                    self._exhausted = True
                    return
                call: _Call[AnyEntry] = _Call(args)
                if self._ordered:
                    self._kept.append(call)
                yield call

    def sent(self, call: _Call[AnyEntry], entry: AnyEntry) -> None:
        self._open[entry] = call

    def ended(self, entry: AnyEntry) -> None:
        call = self._open.pop(entry)
        if (
            entry.state == REFUSED
            and isinstance(entry.error, JobRefused)
            and entry.error.reason == "queue_full"
        ):
            self._refused.append(call)
            return
        self._pause = 0.0
        self._credit += 2  # one place in the queue is free, and maybe another one
        call.entry = entry
        if not self._ordered:
            self._kept.append(call)

    def ready(self) -> Optional[AnyEntry]:
        """The next result to give, if it is there."""
        if self._kept and self._kept[0].entry is not None:
            return self._kept.popleft().entry
        return None

    @property
    def waiting(self) -> bool:
        """Whether any job of the map is open; its end is what to wait for."""
        return bool(self._open)

    @property
    def over(self) -> bool:
        return self._exhausted and not self._open and not self._refused and not self._kept

    def next_pause(self) -> float:
        """Seconds to wait when the queue is full of others' jobs; then one call may be sent."""
        self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE)
        self._credit = 1
        return self._pause
