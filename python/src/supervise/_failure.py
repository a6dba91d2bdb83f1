"""Exceptions as text: what a client sees of a job that failed, and of an application that did."""

from __future__ import annotations

import os
import traceback
from types import TracebackType
from typing import Optional

from supervise import _frames as frames

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_CHAIN = 3  # exceptions of one failure that are described


def type_name(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:
        return f"<its message raised {type_name(second)}>"


def report(error: BaseException) -> bytes:
    """The report of a failed job. Whole lines of the traceback go before the wire would cut it."""
    kind, message = type_name(error), message_of(error)
    try:
        trace = short_traceback(error)
    except Exception as second:  # no memory, too deep, a loader that breaks: the job still failed
        trace = f"<no traceback: {type_name(second)}>"
    room = frames.MAX_REPORT - 6 - len(frames.clean(kind)[:255]) - len(frames.clean(message))
    return frames.failed_report(kind, message, last_lines(trace, room))


def short_traceback(error: BaseException) -> str:
    """Where it was raised, without this package's frames, and what it was raised because of."""
    parts: list[str] = []
    current: Optional[BaseException] = error
    for _ in range(_CHAIN):
        if current is None:
            break
        parts.append(_frames_of(current.__traceback__))
        cause = current.__cause__
        link = "was the cause of"
        if cause is None and not current.__suppress_context__:
            cause, link = current.__context__, "was being handled, during which came"
        if cause is not None:
            parts.append(f"{type_name(cause)}: {message_of(cause)[:200]}\n  {link}:\n")
        current = cause
    return "".join(reversed(parts))


def last_lines(text: str, most: int) -> str:
    """The end of `text` that takes at most `most` bytes, from the start of a line."""
    data = frames.clean(text)
    if len(data) <= most:
        return text
    mark = b"...\n"
    cut = frames.tail_of(data, most - len(mark))
    newline = cut.find(b"\n") + 1
    return (mark + cut[newline:]).decode() if newline else ""


def _frames_of(trace: Optional[TracebackType]) -> str:
    lines = []
    for frame in traceback.extract_tb(trace):
        if frame.filename.startswith((_HERE, "<frozen importlib")):
            continue
        lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n')
        if frame.line:
            lines.append(f"    {frame.line}\n")
    return "".join(lines)
