"""Frames from bytes. Checks everything: this is what correctness rests on.

The two hot paths, a worker's JOB and a client's RESULT, read the common case by themselves and
come here for everything else.
"""

from __future__ import annotations

import struct
from typing import Callable, Optional

from supervise import _frames as frames
from supervise import _ids
from supervise._ids import BadId, Id
from supervise._messages import (
    Accepted,
    BadFrame,
    Begun,
    Call,
    Cancel,
    Close,
    Done,
    DoneFrame,
    Entry,
    Failed,
    Fork,
    Forked,
    Hello,
    JobFrame,
    JobsFrame,
    Lost,
    Message,
    Ping,
    Pong,
    Ready,
    Refused,
    Register,
    Report,
    Result,
    Retire,
    Signal,
    Size,
    Soft,
    StartFailed,
    Submit,
    TaskInfo,
    Trim,
    Trimmed,
    Unsafe,
    Welcome,
)  # fmt: skip

_WELCOME = struct.Struct("<HIHI")
_JOB = struct.Struct("<QHQQ")
_SUBMIT = struct.Struct("<IB")
_ACCEPTED = struct.Struct("<IQ")
_ONE_INT = bytes((1, _ids.KIND_INT))
_unpack_ids = struct.Struct("<q").unpack_from


class _Reader:
    """Reads fields in order. Any read past the end is a BadFrame."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 8) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise BadFrame("a frame that ends within a field")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def fields(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def u8(self) -> int:
        return self.take(1)[0]

    def u64(self) -> int:
        return self.fields(frames.U64)[0]

    def text8(self) -> str:
        return self._text(self.u8())

    def text16(self) -> str:
        return self._text(self.fields(frames.U16)[0])

    def _text(self, size: int) -> str:
        data = self.take(size)
        if b"\x00" in data:
            raise BadFrame("a text with a NUL byte")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise BadFrame("a text that is not UTF-8") from None

    def args(self) -> tuple[Id, ...]:
        try:
            end = _ids.args_end(self.data, self.at)
            ids = _ids.decode_args(self.data[self.at : end])
        except IndexError:
            raise BadFrame("arguments that are cut short") from None
        except BadId as error:
            raise BadFrame(str(error)) from None
        self.at = end
        return ids

    def call_args(self, task: str) -> tuple[Id, ...]:
        start = self.at
        ids = self.args()
        if 1 + len(task.encode()) + self.at - start > frames.MAX_CALL:
            raise BadFrame(f"a task's name and arguments of more than {frames.MAX_CALL} bytes")
        return ids

    def report(self, outcomes: tuple[int, ...]) -> Report:
        start = self.at
        outcome = self.u8()
        if outcome not in outcomes:
            raise BadFrame(f"a report of outcome {outcome}")
        report: Report
        if outcome == frames.OUTCOME_DONE:
            report = Done(self._result())
        elif outcome == frames.OUTCOME_FAILED:
            report = Failed(self.text8(), self.text16(), self.text16())
        else:
            report = Lost(_named(frames.CAUSES, self.u8(), 0, "cause"), self.text16())
        if self.at - start > frames.MAX_REPORT:
            raise BadFrame(f"a report of {self.at - start} bytes")
        return report

    def _result(self) -> Optional[Id]:
        if self.data[self.at : self.at + 1] == _ids.NONE:
            self.at += 1
            return None
        try:
            end = _ids.id_end(self.data, self.at)
            value = _ids.decode_id(self.data, self.at)
        except IndexError:
            raise BadFrame("a result that is cut short") from None
        except BadId as error:
            raise BadFrame(str(error)) from None
        self.at = end
        return value


def _named(names: tuple[str, ...], number: int, first: int, what: str) -> str:
    if not first <= number < first + len(names):
        raise BadFrame(f"{what} {number}")
    return names[number - first]


_COUNTED = (
    frames.REGISTER,
    frames.SUBMIT,
    frames.ACCEPTED,
    frames.REFUSED,
    frames.RESULT,
    frames.CANCEL,
    frames.UNSAFE,
    frames.JOBS,
)
_MAY_CARRY = (frames.WELCOME, frames.JOB, frames.DONE, frames.FORK, frames.CALL)
_MUST_CARRY = (frames.FORK, frames.CALL)


def check_header(data: bytes) -> tuple[int, int, int]:
    """Type, count and flags of a whole record."""
    if len(data) < 8:
        raise BadFrame(f"a record of {len(data)} bytes")
    magic, kind, size, count, flags, reserved = frames.HEADER.unpack_from(data)
    if magic != frames.MAGIC:
        raise BadFrame(f"a record that begins with {magic:#04x} and not with {frames.MAGIC:#04x}")
    if len(data) > frames.MAX_FRAME:
        raise BadFrame(f"a frame of more than {frames.MAX_FRAME} bytes")
    if size != len(data):
        raise BadFrame(f"a frame of {len(data)} bytes that says it has {size}")
    if kind not in _BODIES:
        raise BadFrame(f"a frame of the unknown type {kind}")
    allowed = frames.FLAG_TERMINATE if kind == frames.CANCEL else 0
    if kind in _MAY_CARRY or (kind == frames.RESULT and count == 1):
        allowed = frames.FLAG_DESCRIPTOR
    if flags & ~allowed or reserved or (kind in _MUST_CARRY and not flags):
        raise BadFrame(f"a frame of type {kind} with flags {flags:#04x}")
    if (count != 0) != (kind in _COUNTED):
        raise BadFrame(f"a frame of type {kind} with {count} entries")
    return kind, count, flags


def decode(data: bytes) -> Message:
    """The message in a record; BadFrame, in words for people, for anything else."""
    kind, count, flags = check_header(data)
    reader = _Reader(data)
    message = _BODIES[kind](reader, count, flags)
    if reader.at != len(data):
        raise BadFrame(f"a frame of type {kind} with {len(data) - reader.at} bytes left over")
    return message


def _hello(reader: _Reader, count: int, flags: int) -> Message:
    low, high, role, pid = reader.fields(frames.HELLO_BODY)
    if role not in (frames.CLIENT, frames.WORKER, frames.TEMPLATE, frames.FRONT):
        raise BadFrame(f"role {role}")
    return Hello(low, high, role, pid, reader.text8())


def _task_info(reader: _Reader) -> TaskInfo:
    name = reader.text8()
    soft, limit, retries = reader.fields(frames.LIMITS)
    if frames.MAX_RETRIES < retries < frames.POOLS_RETRIES:
        raise BadFrame(f"{retries} retries")
    return TaskInfo(
        name,
        _limit(soft),
        _limit(limit),
        None if retries == frames.POOLS_RETRIES else retries,
    )


def _job(reader: _Reader, count: int, flags: int) -> Message:
    job, attempt, soft, deadline = reader.fields(_JOB)
    if attempt == 0:
        raise BadFrame("a job's attempt 0")
    task = reader.text8()
    return JobFrame(job, attempt, soft, deadline, task, reader.call_args(task), bool(flags))


def jobs_of(frame: bytes) -> tuple[bytes, list[tuple[int, int, tuple[Id, ...]]]]:
    """A JOBS frame: the task's name, and of each job its number, attempt and arguments."""
    _, count, _ = check_header(frame)
    reader = _Reader(frame)
    name = reader.text8()
    jobs = _entries(reader, count, name)
    if reader.at != len(frame):
        raise BadFrame(f"a JOBS with {len(frame) - reader.at} bytes left over")
    return name.encode(), jobs


def _entries(reader: _Reader, count: int, task: str) -> list[tuple[int, int, tuple[Id, ...]]]:
    unpack, data = frames.JOBS_ENTRY.unpack_from, reader.data
    jobs = []
    for _ in range(count):
        at = reader.at
        try:
            job, attempt = unpack(data, at)
        except struct.error:
            raise BadFrame("a JOBS that is cut short") from None
        if attempt == 0:
            raise BadFrame("a job's attempt 0")
        reader.at = at + 10
        ids: tuple[Id, ...]
        if data[at + 10 : at + 12] == _ONE_INT and at + 20 <= len(data):  # what most jobs have
            ids = _unpack_ids(data, at + 12)
            reader.at = at + 20
        else:
            ids = reader.call_args(task)
        jobs.append((job, attempt, ids))
    return jobs


def _jobs(reader: _Reader, count: int, flags: int) -> Message:
    task = reader.text8()
    return JobsFrame(task, _entries(reader, count, task))


def _done(reader: _Reader, count: int, flags: int) -> Message:
    job = reader.u64()
    return DoneFrame(job, reader.report((frames.OUTCOME_DONE, frames.OUTCOME_FAILED)), bool(flags))


def _submit(reader: _Reader, count: int, flags: int) -> Message:
    first_tag, priority = reader.fields(_SUBMIT)
    if priority > 9:
        raise BadFrame(f"priority {priority}")
    task = reader.text8()
    jobs = tuple(reader.call_args(task) for _ in range(count))
    return Submit(first_tag, priority, task, jobs)


def _accepted(reader: _Reader, count: int, flags: int) -> Message:
    first_tag, first_id = reader.fields(_ACCEPTED)
    return Accepted(first_tag, count, first_id)


def _refused(reader: _Reader, count: int, flags: int) -> Message:
    first_tag = reader.fields(frames.U32)[0]
    reason = _named(frames.REASONS, reader.u8(), 1, "reason")
    return Refused(first_tag, count, reason, reader.text16())


def _entry(reader: _Reader) -> Entry:
    job, state, attempts = reader.fields(frames.ENTRY_HEAD)
    if not frames.STATE_DONE <= state <= frames.STATE_DEAD:
        raise BadFrame(f"a result of state {state}")
    report = reader.report((frames.OUTCOME_DONE, frames.OUTCOME_FAILED, frames.OUTCOME_LOST))
    return Entry(job, state, attempts, report)


def _result(reader: _Reader, count: int, flags: int) -> Message:
    return Result(tuple(_entry(reader) for _ in range(count)), bool(flags))


_STATES = {  # the outcomes that a job's state goes with
    frames.STATE_DONE: (frames.OUTCOME_DONE,),
    frames.STATE_FAILED: (frames.OUTCOME_FAILED,),
    frames.STATE_LOST: (frames.OUTCOME_LOST,),
    frames.STATE_DEAD: (frames.OUTCOME_FAILED, frames.OUTCOME_LOST),
}


def entry_end(data: bytes, at: int) -> int:
    """Where the entry of a RESULT that starts at `at` ends, when it is one that makes sense."""
    reader = _Reader(data, at)
    entry = _entry(reader)
    if data[at + 11] not in _STATES[entry.state]:
        raise BadFrame(f"a result of state {entry.state} with a report of another outcome")
    return reader.at


def decode_report(data: bytes) -> Report:
    """A whole report, as entry_end() delimits it."""
    reader = _Reader(data, 0)
    return reader.report((frames.OUTCOME_DONE, frames.OUTCOME_FAILED, frames.OUTCOME_LOST))


def _welcome(reader: _Reader, count: int, flags: int) -> Message:
    version, limit, slot, incarnation = reader.fields(_WELCOME)
    pool, software = reader.text8(), reader.text8()
    return Welcome(version, limit, slot, incarnation, pool, software, bool(flags))


def _fork(reader: _Reader, count: int, flags: int) -> Message:
    number, born, joins = reader.fields(frames.FORK_BODY)
    if born > 1 or joins > frames.MAX_JOINS:
        raise BadFrame(f"a fork born {born} times that joins {joins} groups")
    return Fork(number, bool(born), joins)


def _forked(reader: _Reader, count: int, flags: int) -> Message:
    number, pid = reader.fields(frames.FORKED_HEAD)
    return Forked(number, pid, reader.text16())


def _limit(milliseconds: int) -> Optional[int]:
    return None if milliseconds == frames.POOLS_LIMIT else milliseconds


def _call(reader: _Reader, count: int, flags: int) -> Message:
    tag, priority, soft, limit = reader.fields(frames.CALL_HEAD)
    if priority > 9:
        raise BadFrame(f"priority {priority}")
    return Call(tag, priority, _limit(soft), _limit(limit), reader.text8(), reader.text8())


def _signal(reader: _Reader, count: int, flags: int) -> Message:
    job, number = reader.fields(frames.SIGNAL_BODY)
    if not 1 <= number <= frames.MAX_SIGNAL:
        raise BadFrame(f"signal {number}")
    return Signal(job, number)


_BODIES: dict[int, Callable[[_Reader, int, int], Message]] = {
    frames.HELLO: _hello,
    frames.WELCOME: _welcome,
    frames.REGISTER: lambda r, count, flags: Register(tuple(_task_info(r) for _ in range(count))),
    frames.READY: lambda r, count, flags: Ready(),
    frames.START_FAILED: lambda r, count, flags: StartFailed(r.text8(), r.text16()),
    frames.JOB: _job,
    frames.DONE: _done,
    frames.SUBMIT: _submit,
    frames.ACCEPTED: _accepted,
    frames.REFUSED: _refused,
    frames.RESULT: _result,
    frames.CANCEL: lambda r, count, flags: Cancel(bool(flags), tuple(r.u64() for _ in range(count))),
    frames.TRIM: lambda r, count, flags: Trim(),
    frames.TRIMMED: lambda r, count, flags: Trimmed(*r.fields(frames.U32)),
    frames.RETIRE: lambda r, count, flags: Retire(),
    frames.PING: lambda r, count, flags: Ping(r.u64()),
    frames.PONG: lambda r, count, flags: Pong(r.u64()),
    frames.CLOSE: lambda r, count, flags: Close(_named(frames.REASONS, r.u8(), 1, "reason"), r.text16()),
    frames.FORK: _fork,
    frames.FORKED: _forked,
    frames.JOBS: _jobs,
    frames.UNSAFE: lambda r, count, flags: Unsafe(tuple(r.text16() for _ in range(count))),
    frames.CALL: _call,
    frames.BEGUN: lambda r, count, flags: Begun(*r.fields(frames.BEGUN_BODY)),
    frames.SOFT: lambda r, count, flags: Soft(r.u64()),
    frames.SIGNAL: _signal,
    frames.SIZE: lambda r, count, flags: Size(*r.fields(frames.U32)),
}
