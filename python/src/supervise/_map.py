"""Which calls of a map() to send next, and which result to give next. No I/O: both clients use it.

Never more than `most` jobs are open. What the supervisor refuses for a full queue is sent again
when jobs of this map have ended, or after a pause when none is open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Callable, Optional, Union

from supervise import _ids
from supervise._errors import JobRefused
from supervise._ids import Id
from supervise._session import DONE, REFUSED, WAITING, Call

MOST_OPEN = 2000
_AT_ONCE = 200  # calls, two frames of them: then they are sent before more are asked for
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5

Item = Union[Id, tuple[Id, ...]]


def encode_items(items: Iterable[Item], most_args: int) -> Iterator[bytes]:
    encode = _ids.encode_args
    for item in items:
        yield encode(item if isinstance(item, tuple) else (item,), most_args)


class MapCall(Call):
    """One call of a map; sent again when it was refused for a full queue."""

    __slots__ = ("_window",)

    def __init__(self, args: bytes, window: MapWindow) -> None:
        # Entry's fields, here: one call fewer for each job.
        self.state = WAITING
        self.job = 0
        self.error = None
        self.wanted = DONE
        self.args = args
        self._window = window

    def changed(self) -> None:
        self._window.ended(self)

    @property
    def refused_for_now(self) -> bool:
        return (
            self.state == REFUSED and isinstance(self.error, JobRefused) and self.error.reason == "queue_full"
        )


class MapWindow:
    """Used by the thread that maps, but for ended(), which its connection's reader calls."""

    def __init__(self, calls: Iterator[bytes], limit: int, ordered: bool) -> None:
        self.wake: Optional[Callable[[], object]] = None  # called once, at the next end of a call
        self._fresh = calls
        self._most = max(1, min(limit, MOST_OPEN))
        self._ordered = ordered
        self._kept: deque[MapCall] = deque()  # to be given, in this order
        self._refused: deque[MapCall] = deque()
        self._sent = 0
        self.ends = 0  # written by ended() only, as the next one is: no lock is needed
        self._good_ends = 0  # not refused for a full queue
        self._seen = 0  # of these, by calls()
        self._credit = 0  # refused calls that may be sent again
        self._pause = 0.0
        self._filling = True
        self._exhausted = False

    def calls(self) -> list[MapCall]:
        """The calls to send now; ask again until there is none."""
        ends = self._good_ends - self._seen
        self._seen += ends
        if ends:
            self._pause = 0.0
        calls: list[MapCall] = []
        if self._refused:
            self._credit += 2 * ends  # one place in the queue is free, and maybe another one
            while self._refused and self._credit > 0:
                self._credit -= 1
                call = self._refused.popleft()
                call.state = WAITING
                call.error = None
                calls.append(call)
        else:
            self._credit = 0
            calls = self._fresh_calls()
        self._sent += len(calls)
        return calls

    def _fresh_calls(self) -> list[MapCall]:
        room = self._most - self._open
        if self._ordered:  # a slow first job holds many results back
            room = min(room, 2 * self._most - len(self._kept))
        if not self._filling and room < self._most // 2:
            return []  # half at a time, so that frames are full
        count = max(0, min(room, _AT_ONCE))
        calls = [MapCall(args, self) for args in islice(self._fresh, count)]
        if self._ordered:
            self._kept += calls
        self._filling = len(calls) == _AT_ONCE
        if len(calls) < count:
            self._exhausted = True
        return calls

    def ready(self) -> Optional[MapCall]:
        """The next result to give, if it is there."""
        kept = self._kept
        if kept and kept[0].state >= DONE and not kept[0].refused_for_now:
            return kept.popleft()
        return None

    @property
    def _open(self) -> int:
        return self._sent - self.ends

    @property
    def waiting(self) -> bool:
        """Whether any job of the map is open; its end is what to wait for."""
        return self._open > 0

    @property
    def over(self) -> bool:
        return self._exhausted and not self._open and not self._refused and not self._kept

    def next_pause(self) -> float:
        """Seconds to wait when the queue is full of others' jobs; then one call may be sent."""
        self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE)
        self._credit = 1
        return self._pause

    def ended(self, call: MapCall) -> None:
        if call.state == REFUSED and call.refused_for_now:
            self._refused.append(call)
        else:
            self._good_ends += 1
            if not self._ordered:
                self._kept.append(call)
        self.ends += 1  # after what it stands for: the other thread looks at it first
        wake = self.wake
        if wake is not None:
            self.wake = None
            wake()
