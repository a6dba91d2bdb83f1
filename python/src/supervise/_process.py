"""One process of a pool, worker or template, from its first to its last line."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, NoReturn, Optional, Union

from supervise import _leave, _output
from supervise._process_title import ProcessTitle
from supervise._start import CHANNEL, EXIT_PROTOCOL

if TYPE_CHECKING:
    from supervise._template import Template
    from supervise._worker import Worker


def main(
    app: str, pool: str, template: bool, celery: bool = False, front: Optional[list[str]] = None
) -> NoReturn:
    """`pool` is its name, for the process's title; empty: the title stays. `celery`: the pool's kind.
    `front`: the arguments of a front; None for other processes."""
    try:
        channel = socket.socket(fileno=CHANNEL)
        channel.set_inheritable(False)
        channel.setblocking(True)
    except OSError as error:
        _output.say(f"descriptor {CHANNEL} is not a socket ({error}); supervise starts this script")
        sys.exit(EXIT_PROTOCOL)
    _output.prepare()
    title = ProcessTitle(pool) if pool else None
    if title is not None:
        title.set("front" if front is not None else "template" if template else "worker")
    if front is not None:
        from supervise.celery.front import main as run_front

        run_front(channel, app, front)
    _leave.leave(_process(channel, title, template, celery).run(app))


def _process(
    channel: socket.socket, title: Optional[ProcessTitle], template: bool, celery: bool
) -> Union[Template, Worker]:
    # Each loads only what it needs.
    if template and celery:
        from supervise.celery.template import CeleryTemplate

        return CeleryTemplate(channel, title)
    if template:
        from supervise._template import Template

        return Template(channel, title)
    if celery:
        from supervise.celery.child import CeleryWorker

        return CeleryWorker(channel)
    from supervise._worker import Worker

    return Worker(channel)
