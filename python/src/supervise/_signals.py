"""Signal handlers, set without the enums of the module signal: looking each up there copies two dozen
pages of a forked worker."""

from __future__ import annotations

import signal
from _signal import getsignal as _get  # type: ignore[import-not-found]
from _signal import signal as _set
from types import FrameType
from typing import Callable, Optional

from supervise._current import on_interrupt, on_soft_limit

Handler = Callable[[int, Optional[FrameType]], None]

_INT, _USR1, _TERM, _ALRM = map(int, (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM, signal.SIGALRM))
_DEFAULT, _IGNORE = int(signal.SIG_DFL), int(signal.SIG_IGN)


def before_import() -> None:
    # The application may set its own while it is imported; a worker's are set again after.
    _set(_INT, _IGNORE)
    _set(_USR1, on_soft_limit)


def of_template() -> None:
    """Whatever the application made of SIGTERM."""
    _set(_TERM, _DEFAULT)


def of_worker(on_term: Handler) -> None:
    _set(_USR1, on_soft_limit)
    _set(_INT, on_interrupt)
    _set(_TERM, on_term)


def of_a_jobs_child(on_term: Handler) -> None:
    """Whoever forked it may want to end it: multiprocessing's terminate() does so by SIGTERM."""
    if _get(_TERM) == on_term:
        _set(_TERM, _DEFAULT)


def stop_timers() -> list[str]:
    """The interval timers of setitimer(2), one of which alarm(2) sets, too; returns which ran. A fork has
    none of its parent's."""
    timers = {"ITIMER_REAL": 0, "ITIMER_VIRTUAL": 1, "ITIMER_PROF": 2}
    return [name for name, number in timers.items() if any(signal.setitimer(number, 0))]


def alarm(seconds: float, on_alarm: Handler) -> None:
    _set(_ALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
