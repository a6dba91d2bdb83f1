"""What a worker answers to a task, and what the front makes of it.

The result of a task that went well is short: the task has stored the real one itself. It goes in the
frame. Everything else, exceptions above all, is pickled and goes in a descriptor.
"""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple, Optional

from supervise import _failure, _ids
from supervise import _frames as frames
from supervise import _messages as messages
from supervise.celery import payload

_RESULT, _ERROR = 0, 1  # what the descriptor has: for a Request's on_success or for its on_failure
_MAX_TEXT = 255  # bytes
_NOTHING = b"\x01\x00"  # the report of a job that is done and has no result
_NOT_FAILURES = ("Ignore", "Reject", "Retry")

Result = tuple[int, Any, float]  # whether it failed, what came of it, seconds


class Answer(NamedTuple):
    """One of the two."""

    result: Optional[Result] = None
    error: Any = None  # an ExceptionInfo


# --- in the worker


def send(channel: socket.socket, job: int, answer: Answer) -> None:
    short = None if answer.result is None else _short(answer.result)
    if short is not None:
        channel.send(frames.done(job, short))
        return
    try:
        value = (_RESULT, answer.result) if answer.result is not None else (_ERROR, answer.error)
        descriptor = payload.pack_value(value)
    except Exception as error:
        descriptor = payload.pack_value((_ERROR, _not_sendable(error, answer)))
    try:
        socket.send_fds(channel, [frames.done(job, _report(answer), True)], [descriptor])
    finally:
        os.close(descriptor)


def _short(result: Result) -> Optional[bytes]:
    """The report with all of it, when it fits."""
    failed, text, seconds = result
    if failed or not isinstance(text, str) or len(text) > _MAX_TEXT:
        return None
    whole = f"{seconds!r} {text}"
    try:
        size = len(whole.encode())
    except UnicodeEncodeError:
        return None
    return None if size > _MAX_TEXT or "\0" in whole else b"\x01" + _ids.encode_id(whole)


def _report(answer: Answer) -> bytes:
    """What supervise itself is told, for its counts and its log."""
    if answer.result is None:
        info = answer.error
    elif answer.result[0]:
        info = answer.result[1]
    else:
        return _NOTHING
    error = info.exception
    if type(error).__name__ == "ExceptionWithTraceback":
        error = error.exc
    if answer.result is not None and type(error).__name__ in _NOT_FAILURES:
        return _NOTHING
    name, message = _failure.type_name(error), _failure.message_of(error)
    room = frames.MAX_REPORT - 6 - len(frames.clean(name)[:255]) - len(frames.clean(message))
    return frames.failed_report(name, message, _failure.last_lines(info.traceback or "", room))


def _not_sendable(error: Exception, answer: Answer) -> Any:
    """As billiard says that a result could not be pickled."""
    from billiard.einfo import ExceptionInfo
    from billiard.pool import MaybeEncodingError

    value = answer.result if answer.result is not None else answer.error
    return ExceptionInfo((MaybeEncodingError, MaybeEncodingError(error, value), error.__traceback__))


# --- in the front


def read(report: messages.Report, descriptor: Optional[int]) -> Answer:
    """Raises whatever unpickling does."""
    if descriptor is not None:
        kind, value = payload.unpack_value(descriptor)
        return Answer(result=value) if kind == _RESULT else Answer(error=value)
    if isinstance(report, messages.Failed):
        raise RuntimeError(f"{report.error_type}: {report.message}")
    assert isinstance(report, messages.Done)
    seconds, _, text = str(report.id).partition(" ")
    return Answer(result=(0, text, float(seconds)))
