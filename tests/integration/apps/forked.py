"""Tasks about being forked; those of suite come along."""

import atexit
import os
import random
import secrets
import sys
import time
import uuid

import suite

import supervise

IMPORTED_BY = os.getpid()
_diary = open(suite.DIR / "diary", "a")  # noqa: SIM115  (left open on purpose)


@atexit.register
def goodbye():
    suite.note("goodbye")


@supervise.before_fork
def before():
    suite.note("before")


@supervise.after_fork
def after():
    suite.note("after")


@supervise.task
def parent() -> int:
    return os.getppid()


@supervise.task
def imported_by() -> int:
    return IMPORTED_BY


@supervise.task
def numbers() -> str:
    return f"{random.getrandbits(64)} {uuid.uuid4()} {secrets.token_hex(8)}"


@supervise.task
def write_diary(line: str):
    """Into a file that was opened at the import; nobody flushes it."""
    _diary.write(f"{line}\n")


@supervise.task
def daemonize(own_session: int) -> int:
    """Leaves a process behind whose parent is gone at once; returns its pid."""
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        if own_session:
            os.setsid()
        if os.fork() == 0:
            os.write(writer, b"%d" % os.getpid())
            time.sleep(600)
        os._exit(0)
    os.waitpid(middle, 0)
    return int(os.read(reader, 20))


@supervise.task
def say_and_hold(gate: str) -> int:
    print(f"out of {gate}")
    print(f"err of {gate}", file=sys.stderr)
    suite.hold(gate)
    return os.getpid()
