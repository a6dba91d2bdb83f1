"""The front of a pool that supervise runs: `celery worker` with supervise's pool, whatever pool the
application has chosen.

Reports on its channel when it consumes and when it leaves, gives memory back when it is asked to, ends with
its supervise, and follows the size of the pool.
SUPERVISE_SOCKET is set for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

from supervise import _decode, _leave, _start
from supervise import _frames as frames
from supervise import _messages as messages
from supervise._worker import trim
from supervise.celery import application

_POOL = "supervise"  # as -P knows it
_BEGIN_SECONDS = 5.0  # for the event loop to turn
_LAST_SECONDS = 20.0  # for a warm shutdown, once supervise is gone


def main(channel: socket.socket, app: str, arguments: list[str]) -> NoReturn:
    """`arguments` go to `celery worker`."""
    prepared: list[bool] = []
    code = _start.exit_code_of(lambda: prepared.append(_prepare(channel, app)))
    if not prepared:  # also where supervise has gone meanwhile, which is no failure
        _leave.leave_at_once(code)
    sys.argv = ["celery", "-q", "-A", app, "worker", "-P", _POOL, *arguments]
    from celery.bin.celery import main as celery

    sys.exit(celery())


def _prepare(channel: socket.socket, app: str) -> bool:
    os.environ.pop("REMAP_SIGTERM", None)  # SIGTERM is supervise's word for a warm shutdown
    what = f"the Celery application {app} could not be loaded"
    _start.attempt(channel, what, lambda: _load(app))
    _forget_options()
    _start.greet(channel, frames.FRONT)

    from celery import signals

    def leave() -> None:
        with contextlib.suppress(OSError):
            channel.send(frames.frame(frames.RETIRE))

    def tell(sender: Any, **_: Any) -> None:
        sender.pool.follow(sender)
        sender.pool.leaving = leave
        _retreat_on_sigterm(sender.pool)
        channel.send(frames.frame(frames.READY))

    signals.worker_ready.connect(tell, weak=False)
    threading.Thread(target=_listen, args=[channel], name="supervise-front", daemon=True).start()
    return True


def _forget_options() -> None:
    """Of `celery worker`, in the environment: what supervise decides is not decided there."""
    from celery.bin.worker import worker

    for option in worker.params:
        os.environ.pop(f"CELERY_WORKER_{option.name.upper()}", None)


def _load(app: str) -> None:
    # Before anything imports celery.bin.worker, whose -P takes the names that are known by then.
    from celery.concurrency import ALIASES

    ALIASES[_POOL] = "supervise.celery.prefork:TaskPool"
    application.load(app)

    from celery.apps import worker

    worker.install_worker_restart_handler = _end_on_hangup


def _retreat_on_sigterm(pool: Any) -> None:
    """Celery's own, a warm shutdown, follows at a second one, where there is no event loop, and where that
    stands still since there is no broker."""
    celerys = signal.getsignal(signal.SIGTERM)

    def on_sigterm(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, celerys)
        pool.leaving()
        retreat = pool.retreat()
        if retreat is None:
            _terminate()
            return

        def look() -> None:
            if not retreat.begun:
                _terminate()

        timer = threading.Timer(_BEGIN_SECONDS, look)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, on_sigterm)


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _end_on_hangup(worker: Any, sig: str = "SIGHUP") -> None:
    """In place of Celery's handler, which runs the program again: starting is up to supervise."""
    from celery import platforms

    platforms.signals[sig] = lambda *_: _terminate()


def _listen(channel: socket.socket) -> None:
    """The channel ends when supervise does. What ends this ends the front: nothing else would see it."""
    try:
        with contextlib.suppress(OSError):
            while frame := channel.recv(frames.MAX_FRAME + 1):
                if isinstance(_decode.decode(frame), messages.Trim):
                    channel.send(frames.trimmed(trim()))
    finally:
        _terminate()
        time.sleep(_LAST_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
