"""The end of a process of a pool: atexit functions run, files are written out, and that is all.

Freeing a large heap object by object takes seconds, and the process ends anyway.
"""

from __future__ import annotations

import _io
import atexit
import contextlib
import gc
import os
import threading
import weakref
from typing import Any, NoReturn

from supervise import _output, _signals

EXIT_SECONDS = 5.0  # that the application's threads and atexit functions get

_frozen_files: list[weakref.ref[Any]] = []


def note_frozen_files() -> None:
    """Before gc.freeze(), which hides them from gc.get_objects(): which files to write out at the
    end. Writes them out now, too: what is in a buffer at a fork would be written twice."""
    for thing in gc.get_objects():
        if _is_file(thing):
            with contextlib.suppress(Exception):
                thing.flush()
            with contextlib.suppress(Exception):
                if thing.writable():
                    _frozen_files.append(weakref.ref(thing))


def leave(code: int) -> NoReturn:
    """A normal exit up to the interpreter's tear-down, except that the application's threads and
    atexit functions cannot hold it for ever. Should one of them not even let a signal handler run,
    then the supervisor's patience ends."""

    def on_alarm(signal_number: int, frame: object) -> None:
        held = [t.name for t in threading.enumerate() if not t.daemon and t is not main_thread]
        _output.say(
            f"{', '.join(held) or 'an atexit function'} still runs {EXIT_SECONDS:.0f} s after the "
            "worker's end; leaving without it (make the thread a daemon, or end it)"
        )
        _output.flush()
        os._exit(code)

    main_thread = threading.main_thread()
    _signals.alarm(EXIT_SECONDS, on_alarm)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        _flush_files()
        os._exit(code)


def leave_at_once(code: int) -> NoReturn:
    """As leave(), without waiting for threads and without running atexit functions."""
    try:
        _flush_files()
    finally:
        os._exit(code)


def _flush_files() -> None:
    young = [thing for thing in gc.get_objects() if _is_file(thing)]
    for thing in [*young, *(file() for file in _frozen_files)]:
        with contextlib.suppress(Exception):
            thing.flush()
    _output.flush()  # whatever the application put in their place


def _is_file(thing: object) -> bool:
    # By the type alone: isinstance() would ask a lazy object for its __class__ and so wake it.
    return issubclass(type(thing), _io._IOBase)
