"""What a process of a pool prints: it goes to the supervisor's log, line by line."""

from __future__ import annotations

import contextlib
import io
import sys


def prepare() -> None:
    """What a job prints goes to the log as it is printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def flush() -> None:
    # A job may have closed or replaced them; that is no reason to lose its result. Once a job, hence
    # not contextlib.suppress(), which costs three times as much.
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        pass


def say(text: str) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write(f"supervise: {text}\n")
