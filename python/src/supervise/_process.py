"""One process of a pool, worker or template, from its first to its last line."""

from __future__ import annotations

import socket
import sys
from typing import NoReturn

from supervise import _leave, _output
from supervise._process_title import ProcessTitle
from supervise._start import CHANNEL, EXIT_PROTOCOL


def main(app: str, pool: str, template: bool) -> NoReturn:
    """`pool` is its name, for the process's title; empty: the title stays."""
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
        title.set("template" if template else "worker")
    if template:
        from supervise._template import Template

        _leave.leave(Template(channel, title).run(app))
    from supervise._worker import Worker

    _leave.leave(Worker(channel).run(app))
