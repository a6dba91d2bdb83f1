"""A client's side of the talk, without I/O: which job is where, and what each frame changes.

Client and AsyncClient both own one and do nothing but move its frames. Not locked: its owner is.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Generic, Optional, TypeVar

from supervise import _decode, _ids
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._errors import JobFailed, JobLost, JobRefused, SuperviseError
from supervise._ids import Id
from supervise._messages import BadFrame

# An entry's state. Those from DONE up are the wire's, and final like the two after them.
WAITING, ACCEPTED = 0, 1
DONE, FAILED, LOST, DEAD = 2, 3, 4, 5
REFUSED, GONE = 6, 7

_TAGS = 2**32
# A batch this small is held back while so many SUBMITs are unanswered; then it goes out fuller.
WINDOW = 4
_ENTRY = struct.Struct("<QBHBB")  # of RESULT, up to and with the kind of a done job's ID
_NOTHING = b"\x01\x00"  # the report of a task that returned None
_ACCEPTED_FRAME = struct.Struct("<BBHHBBIQ")


class Entry:
    """One submitted job. `watched` asks for it to be among those that receive() returns."""

    __slots__ = ("attempts", "error", "job", "report", "state", "watched")

    def __init__(self) -> None:
        self.state = WAITING
        self.job = 0  # once it was accepted
        self.attempts = 0
        self.report = b""
        self.error: Optional[SuperviseError] = None
        self.watched = False

    def outcome(self) -> tuple[Optional[Id], Optional[SuperviseError]]:
        """The result or the error of an entry in a final state."""
        if self.state == DONE:
            return (None if self.report[1] == 0 else _ids.decode_id(self.report, 1)), None
        if self.error is None:
            self.error = self._make_error()
        return None, self.error

    def _make_error(self) -> SuperviseError:
        report = _decode.decode_report(self.report)
        dead = self.state == DEAD
        if isinstance(report, messages.Failed):
            return JobFailed(*report, self.job, self.attempts, dead)
        assert isinstance(report, messages.Lost)
        return JobLost(*report, self.job, self.attempts, dead)


AnyEntry = TypeVar("AnyEntry", bound=Entry)


class Session(Generic[AnyEntry]):
    def __init__(self) -> None:
        self.outbox: deque[bytes] = deque()  # whole frames, in order
        self.closed: Optional[messages.Close] = None  # what the supervisor said last
        self._awaiting: dict[int, list[AnyEntry]] = {}  # by first tag; sent and not yet answered
        self._changed: list[AnyEntry] = []  # by the frame that is being taken in
        self._jobs: dict[int, AnyEntry] = {}  # accepted and not yet ended
        self._next_tag = 1
        self._body = b""  # the batch that is being filled
        self._batch: list[AnyEntry] = []
        self._args: list[bytes] = []
        self._size = 0

    # --- towards the supervisor

    def add(self, body: bytes, args: bytes, entry: AnyEntry) -> None:
        """Puts one job in the batch; `body` is frames.submit_body(). seal() sends the batch."""
        size = self._size + len(args)
        if body is not self._body or size > frames.MAX_FRAME:
            self.seal()
            self._body = body
            size = 12 + len(body) + len(args)
        self._size = size
        self._batch.append(entry)
        self._args.append(args)

    def seal(self) -> None:
        """Moves the batch to the outbox."""
        batch = self._batch
        if batch:
            first = self._next_tag
            if first + len(batch) > _TAGS:
                first = 1
            self._next_tag = first + len(batch)
            self._awaiting[first] = batch
            self.outbox.append(frames.submit(first, self._body, self._args))
            self._batch = []
            self._args = []
        self._body = b""

    def seal_if_quiet(self) -> None:
        """seal(), unless answers are due that will call for it: a busy client's frames are full."""
        if self._batch and len(self._awaiting) < WINDOW:
            self.seal()

    def cancel(self, job: int, terminate: bool) -> None:
        self.outbox.append(frames.cancel(job, terminate))

    @property
    def unanswered(self) -> bool:
        """Whether a job is neither accepted nor refused yet."""
        return bool(self._batch or self._awaiting)

    @property
    def open(self) -> bool:
        """Whether any job's end is still to come."""
        return bool(self._batch or self._awaiting or self._jobs)

    # --- from the supervisor

    def receive(self, frame: bytes) -> list[AnyEntry]:
        """Takes one frame in; returns the watched entries that it changed."""
        changed: list[AnyEntry] = []
        self._changed = changed
        kind = frame[1] if len(frame) >= 8 else 0
        if kind == frames.RESULT:
            self._results(frame, changed)
        elif kind == frames.ACCEPTED:
            self._accepted(frame, changed)
        else:
            self._other(_decode.decode(frame), changed)
        self._changed = []
        return changed

    def _other(self, message: messages.Message, changed: list[AnyEntry]) -> None:
        if isinstance(message, messages.Refused):
            for entry in self._take(message.first_tag, message.jobs):
                entry.error = JobRefused(message.reason, message.message)
                entry.state = REFUSED
                if entry.watched:
                    changed.append(entry)
        elif isinstance(message, messages.Ping):
            self.outbox.append(frames.pong(message.token))
        elif isinstance(message, messages.Close):
            self.closed = message
        else:
            raise BadFrame(f"a {type(message).__name__}, which is not for a client")

    def lose(self, error: SuperviseError) -> list[AnyEntry]:
        """The connection is over: every open entry ends with `error`. Returns the watched ones."""
        lost = [entry for batch in self._awaiting.values() for entry in batch]
        lost += self._batch
        lost += self._jobs.values()
        for entry in lost:
            entry.error = error
            entry.state = GONE
        self.outbox.clear()
        self._awaiting.clear()
        self._jobs.clear()
        self._batch = []
        self._args = []
        self._body = b""
        # A frame that turned out bad in its middle had changed some, which nobody has heard of.
        changed, self._changed = self._changed, []
        return changed + [entry for entry in lost if entry.watched]

    def _take(self, first_tag: int, count: int) -> list[AnyEntry]:
        """The first `count` entries of a batch; what is left of it waits for its own answer."""
        batch = self._awaiting.get(first_tag, [])
        if len(batch) < count:
            raise BadFrame(f"an answer to {count} jobs from tag {first_tag}, which were not sent")
        del self._awaiting[first_tag]
        if len(batch) > count:
            self._awaiting[first_tag + count] = batch[count:]
            del batch[count:]
        return batch

    def _accepted(self, frame: bytes, changed: list[AnyEntry]) -> None:
        if len(frame) != _ACCEPTED_FRAME.size:
            _decode.decode(frame)
        magic, _, size, count, flags, reserved, first_tag, job = _ACCEPTED_FRAME.unpack(frame)
        if magic != frames.MAGIC or size != len(frame) or flags or reserved or not count:
            _decode.decode(frame)
        jobs = self._jobs
        for entry in self._take(first_tag, count):
            entry.job = job
            entry.state = ACCEPTED
            jobs[job] = entry
            job += 1
            if entry.watched:
                changed.append(entry)

    def _results(self, frame: bytes, changed: list[AnyEntry]) -> None:
        _, count, _ = _decode.check_header(frame)
        unpack, jobs = _ENTRY.unpack_from, self._jobs
        size = len(frame)
        at = 8
        for _ in range(count):
            try:
                job, state, attempts, outcome, kind = unpack(frame, at)
                if outcome == 1 and state == DONE and kind == 0:
                    report = _NOTHING
                    at += 13
                else:
                    start = at + 11
                    at = _decode.entry_end(frame, at)
                    report = frame[start:at]
            except struct.error:
                raise BadFrame("a RESULT that is cut short") from None
            entry = jobs.pop(job, None)
            if entry is None:
                raise BadFrame(f"a result of job {job}, which is not open here")
            entry.attempts = attempts
            entry.report = report
            entry.state = state
            if entry.watched:
                changed.append(entry)
        if at != size:
            raise BadFrame(f"a RESULT with {size - at} bytes left over")
