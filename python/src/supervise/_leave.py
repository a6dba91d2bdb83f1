"""The end of a process of a pool: atexit functions run, files are written out, and that is all.

Freeing a large heap object by object takes seconds, and the process ends anyway.
"""

from __future__ import annotations

import _io
import atexit
import contextlib
import gc
import os
import sys
import threading
import time
import weakref
from typing import Any, NoReturn

from supervise import _output

EXIT_SECONDS = 5.0  # that the application's threads and atexit functions get

_exit_code = 0
_frozen_files: list[weakref.ref[Any]] = []


def prepare() -> None:
    """Call it before the application is imported."""
    # Registered first, it runs last: after the application's own atexit functions.
    atexit.register(_skip_teardown)


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
    """A normal exit, except that the application's threads cannot hold it for ever."""

    def watch() -> None:
        time.sleep(EXIT_SECONDS)
        held = [t.name for t in threading.enumerate() if not t.daemon and t is not main_thread]
        _output.say(
            f"{', '.join(held) or 'an atexit function'} still runs {EXIT_SECONDS:.0f} s after the "
            "worker's end; leaving without it (make the thread a daemon, or end it)"
        )
        _output.flush()
        os._exit(code)

    global _exit_code
    _exit_code = code
    main_thread = threading.main_thread()
    with contextlib.suppress(RuntimeError):  # no thread to be had: then nothing may hold us
        threading.Thread(target=watch, name="supervise-exit", daemon=True).start()
    sys.exit(code)


def _is_file(thing: object) -> bool:
    # By the type alone: isinstance() would ask a lazy object for its __class__ and so wake it.
    return issubclass(type(thing), _io._IOBase)


def _skip_teardown() -> None:
    young = [thing for thing in gc.get_objects() if _is_file(thing)]
    for thing in [*young, *(file() for file in _frozen_files)]:
        with contextlib.suppress(Exception):
            thing.flush()
    os._exit(_exit_code)
