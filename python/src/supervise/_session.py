"""A client's side of the talk, without I/O: which job is where, and what each frame changes.

Client and AsyncClient both own one and do nothing but move its frames. Not locked: its owner is.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Optional

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
NEVER = 8

_TAGS = 2**32
# A batch this small is held back while so many SUBMITs are unanswered; then it goes out fuller.
WINDOW = 4
_ACCEPTED_FRAME = struct.Struct("<BBHHBBIQ")
# Entries of RESULT whose job is done, without a result and with an int.
_COMMON = ((struct.Struct("<QBH2s"), _ids.KIND_NONE), (struct.Struct("<QBH10s"), _ids.KIND_INT))


class Entry:
    """One submitted job. receive() returns it when it has come to the state `wanted`, or a later one."""

    __slots__ = ("attempts", "error", "job", "report", "state", "wanted")
    report: bytes  # with the result

    def __init__(self, wanted: int = NEVER) -> None:
        self.state = WAITING
        self.job = 0  # once it was accepted
        self.attempts = 0
        self.error: Optional[SuperviseError] = None
        self.wanted = wanted

    def outcome(self) -> tuple[Optional[Id], Optional[SuperviseError]]:
        """The result or the error of an entry in a final state."""
        if self.state == DONE:
            return (None if self.report[1] == 0 else _ids.decode_id(self.report, 1)), None
        if self.error is None:
            self.error = self._make_error()
        return None, self.error

    def changed(self) -> None:
        """For the session's owner to call when receive() or lose() has returned it."""

    def _make_error(self) -> SuperviseError:
        report = _decode.decode_report(self.report)
        dead = self.state == DEAD
        if isinstance(report, messages.Failed):
            return JobFailed(*report, self.job, self.attempts, dead)
        assert isinstance(report, messages.Lost)
        return JobLost(*report, self.job, self.attempts, dead)


class Call(Entry):
    """A job that keeps its arguments, to be sent with others."""

    __slots__ = ("args",)
    args: bytes


class Session:
    def __init__(self) -> None:
        self.outbox: deque[bytes] = deque()  # whole frames, in order
        self.closed: Optional[messages.Close] = None  # what the supervisor said last
        self._awaiting: dict[int, list[Entry]] = {}  # by first tag; sent and not yet answered
        self._changed: list[Entry] = []  # by the frame that is being taken in
        self._jobs: dict[int, Entry] = {}  # accepted and not yet ended
        self._next_tag = 1
        self._body = b""  # the batch that is being filled
        self._batch: list[Entry] = []
        self._args: list[bytes] = []
        self._size = 0

    # --- towards the supervisor

    def add(self, body: bytes, args: bytes, entry: Entry) -> None:
        """Puts one job in the batch; `body` is frames.submit_body().

        A full batch goes out at once, others when few answers are due: a busy client's frames are full.
        """
        size = self._size + len(args)
        if body is not self._body or size > frames.MAX_FRAME:
            self.seal()
            self._body = body
            size = 12 + len(body) + len(args)
        self._size = size
        self._batch.append(entry)
        self._args.append(args)
        if len(self._awaiting) < WINDOW:
            self.seal()

    def add_all(self, body: bytes, calls: Sequence[Call]) -> None:
        """As add(), but only full batches go out; seal() sends the rest."""
        size = self._size if body is self._body else frames.MAX_FRAME
        for call in calls:
            args = call.args
            size += len(args)
            if size > frames.MAX_FRAME:
                self.seal()
                self._body = body
                size = 12 + len(body) + len(args)
            self._batch.append(call)
            self._args.append(args)
        self._size = size

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
        """After an answer: as in add()."""
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

    def receive(self, frame: bytes) -> list[Entry]:
        """Takes one frame in; returns the wanted entries that it changed."""
        changed: list[Entry] = []
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

    def _other(self, message: messages.Message, changed: list[Entry]) -> None:
        if isinstance(message, messages.Refused):
            for entry in self._take(message.first_tag, message.jobs):
                entry.error = JobRefused(message.reason, message.message)
                entry.state = REFUSED
                if entry.wanted <= REFUSED:
                    changed.append(entry)
        elif isinstance(message, messages.Ping):
            self.outbox.append(frames.pong(message.token))
        elif isinstance(message, messages.Close):
            self.closed = message
        else:
            raise BadFrame(f"a {type(message).__name__}, which is not for a client")

    def lose(self, error: SuperviseError) -> list[Entry]:
        """The connection is over: every open entry ends with `error`. Returns the wanted ones."""
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
        return changed + [entry for entry in lost if entry.wanted <= GONE]

    def _take(self, first_tag: int, count: int) -> list[Entry]:
        """The first `count` entries of a batch; what is left of it waits for its own answer."""
        batch = self._awaiting.get(first_tag, [])
        if len(batch) < count:
            raise BadFrame(f"an answer to {count} jobs from tag {first_tag}, which were not sent")
        del self._awaiting[first_tag]
        if len(batch) > count:
            self._awaiting[first_tag + count] = batch[count:]
            del batch[count:]
        return batch

    def _accepted(self, frame: bytes, changed: list[Entry]) -> None:
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
            if entry.wanted <= ACCEPTED:
                changed.append(entry)

    def _results(self, frame: bytes, changed: list[Entry]) -> None:
        _, count, _ = _decode.check_header(frame)
        pop = self._jobs.pop
        for job, state, attempts, report in _entries(frame, count):
            entry = pop(job, None)
            if entry is None:
                raise BadFrame(f"a result of job {job}, which is not open here")
            entry.attempts = attempts
            entry.report = report
            entry.state = state  # last: other threads look at it without the lock
            if entry.wanted <= state:
                changed.append(entry)


def _entries(frame: bytes, count: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Job, state, attempts and report of each entry of a RESULT; most are all alike."""
    for layout, kind in _COMMON:
        step = layout.size
        if (
            len(frame) == 8 + count * step
            and frame[16::step].count(DONE) == count
            and frame[19::step].count(frames.OUTCOME_DONE) == count
            and frame[20::step].count(kind) == count
        ):
            return layout.iter_unpack(memoryview(frame)[8:])
    return _any_entries(frame, count)


def _any_entries(frame: bytes, count: int) -> Iterator[tuple[int, int, int, bytes]]:
    at = 8
    for _ in range(count):
        end = _decode.entry_end(frame, at)
        yield (*frames.ENTRY_HEAD.unpack_from(frame, at), frame[at + 11 : end])
        at = end
    if at != len(frame):
        raise BadFrame(f"a RESULT with {len(frame) - at} bytes left over")
