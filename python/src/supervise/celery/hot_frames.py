"""Reads the frames that every task has, in fewer steps than `_decode` takes. All others, and whatever
is not as it should be, are left to that."""

from __future__ import annotations

import struct
from typing import NamedTuple

from supervise import _decode, _ids
from supervise import _frames as frames
from supervise import _messages as messages

_ACCEPTED = struct.Struct("<8sIQ")
_ACCEPTED_HEAD = frames.HEADER.pack(frames.MAGIC, frames.ACCEPTED, _ACCEPTED.size, 1, 0, 0)
_BEGUN = struct.Struct("<8sQIQ")
_BEGUN_HEAD = frames.HEADER.pack(frames.MAGIC, frames.BEGUN, _BEGUN.size, 0, 0, 0)
_RESULT = struct.Struct("<2sH4sQBH2sB")  # with one entry, up to and with the length of its text
_RESULT_START = bytes((frames.MAGIC, frames.RESULT))
_ONE_ENTRY = b"\x01\0\0\0"  # its count, no flags
_DONE_TEXT = bytes((frames.OUTCOME_DONE, _ids.KIND_TEXT))
_ONE_TEXT = bytes((1, _ids.KIND_TEXT))
_JOB_HEAD = (frames.MAGIC, frames.JOB, 0, frames.FLAG_DESCRIPTOR, 0)


def decode(frame: bytes) -> messages.Message:
    """As _decode.decode()."""
    size = len(frame)
    if size == _BEGUN.size:
        head, job, pid, time_ns = _BEGUN.unpack(frame)
        if head == _BEGUN_HEAD:
            return messages.Begun(job, pid, time_ns)
    if size == _ACCEPTED.size:
        head, tag, job = _ACCEPTED.unpack(frame)
        if head == _ACCEPTED_HEAD:
            return messages.Accepted(tag, 1, job)
    if size >= _RESULT.size:
        start, said, rest, job, state, attempts, report_head, length = _RESULT.unpack_from(frame)
        if (
            start == _RESULT_START
            and rest == _ONE_ENTRY
            and state == frames.STATE_DONE
            and report_head == _DONE_TEXT
            and size == said == _RESULT.size + length
        ):
            text = frame[_RESULT.size :]
            if 0 not in text and text.isascii():
                report = messages.Done(text.decode())
                return messages.Result((messages.Entry(job, state, attempts, report),), False)
    return _decode.decode(frame)


class PayloadJob(NamedTuple):
    id: int
    attempt: int
    soft_deadline_ns: int
    deadline_ns: int
    task: bytes


def payload_job(frame: bytes) -> PayloadJob:
    """A JOB with a descriptor. BadFrame where it is anything else, or malformed."""
    size, head_size = len(frame), frames.JOB_HEAD.size
    texts = frame[head_size:]  # the task's name; then, as the only argument, the caller's name for the job
    if size > head_size and texts.isascii() and 0 not in texts:
        magic, kind, said, count, flags, reserved, *rest = frames.JOB_HEAD.unpack_from(frame)
        job, attempt, soft, hard, length = rest
        if (
            (magic, kind, count, flags, reserved) == _JOB_HEAD
            and size == said <= frames.MAX_FRAME
            and attempt
            and texts[length : length + 2] == _ONE_TEXT
            and length + 3 + texts[length + 2] == len(texts)
        ):
            return PayloadJob(job, attempt, soft, hard, texts[:length])
    message = _decode.decode(frame)
    if not isinstance(message, messages.JobFrame) or not message.descriptor:
        raise messages.BadFrame(
            f"a {type(message).__name__} without a payload, which is not for a Celery worker"
        )
    task = message.task.encode()
    return PayloadJob(message.id, message.attempt, message.soft_deadline_ns, message.deadline_ns, task)
