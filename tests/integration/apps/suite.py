"""The tasks that the integration tests run; $SUITE_DIR gets the workers' own account of them."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import supervise

DIR = Path(os.environ["SUITE_DIR"])
time.sleep(float(os.environ.get("SUITE_IMPORT_SECONDS", "0")))

_kept = []
if (DIR / "ballast").exists():  # megabytes that every worker from now on is born with
    _kept.append(b"x" * (int((DIR / "ballast").read_text()) << 20))


def note(what, number=0):
    """One line in this worker's tally, which survives any death of the process."""
    job = supervise.current_job()
    line = f"{what} {job.id if job else 0} {time.monotonic():.6f} {number}\n"
    file = os.open(DIR / f"tally.{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, line.encode())
    os.close(file)


note("import")


# Results


@supervise.task
def echo(value):
    return value


@supervise.task
def nothing(*_ids):
    pass


@supervise.task
def add(*numbers: int) -> int:
    return sum(numbers)


@supervise.task
def pid(_number: int = 0) -> int:
    return os.getpid()


@supervise.task
def counted(number: int) -> int:
    note("begin", number)
    note("end", number)
    return number


@supervise.task
def timed(number: int, milliseconds: int) -> int:
    note("begin", number)
    time.sleep(milliseconds / 1000)
    note("end", number)
    return number


@supervise.task
def hold(gate: str, number: int = 0) -> int:
    """Waits until the test opens the gate."""
    with open(DIR / f"{gate}.begun", "a") as begun:
        begun.write(f"{os.getpid()}\n")
    note("begin", number)
    while not (DIR / f"{gate}.go").exists():
        time.sleep(0.005)
    note("end", number)
    return number


@supervise.task
def hold_stubbornly(gate: str) -> int:
    """As hold(), and no soft limit gets it out of there."""
    while True:
        try:
            return hold(gate)
        except supervise.SoftTimeLimitExceeded:
            note("softly")


@supervise.task(name="suite.renamed")
def some_function() -> str:
    return "renamed"


@supervise.task
def attempt() -> int:
    return supervise.current_job().attempt


@supervise.task
def describe_job() -> str:
    job = supervise.current_job()
    return f"{job.id} {job.task} {job.attempt} {job.deadline is not None}"


# Failures


@supervise.task
def fail(number: int = 0):
    raise ValueError(f"no report {number}")


@supervise.task
def fail_at_length():
    raise ValueError("x" * 5000)


@supervise.task
def return_list():
    return [1, 2]


@supervise.task(retries=3)
def fail_twice(key: str) -> int:
    with open(DIR / f"{key}.tries", "a+") as tries:
        tries.write("x")
        tries.flush()
        tries.seek(0)
        if len(tries.read()) < 3:
            raise RuntimeError("not yet")
    return supervise.current_job().attempt


@supervise.task(retries=2)
def fail_always():
    note("begin")
    raise RuntimeError("never")


@supervise.task
def exit_with(code: int):
    sys.exit(code)


# Deaths


@supervise.task
def die_by(number: int):
    os.kill(os.getpid(), number)
    time.sleep(30)


@supervise.task
def segfault():
    ctypes.string_at(0)


@supervise.task
def exit_now(code: int):
    os._exit(code)


@supervise.task(retries=2)
def exit_each_time():
    note("begin")
    os._exit(3)


@supervise.task
def with_grandchildren(count: int) -> str:
    """Leaves processes behind, one of them in a session of its own; returns their pids."""
    children = [subprocess.Popen(["sleep", "600"], start_new_session=i % 2 == 1) for i in range(count)]
    _kept.extend(children)
    return " ".join(str(child.pid) for child in children)


@supervise.task
def grandchildren_then_die(count: int):
    (DIR / "grandchildren").write_text(with_grandchildren(count))
    os.kill(os.getpid(), signal.SIGKILL)


# Time


@supervise.task(soft_time_limit=0.2)
def stop_softly() -> str:
    try:
        time.sleep(30)
    except supervise.SoftTimeLimitExceeded:
        return "stopped softly"
    return "not stopped"


@supervise.task(soft_time_limit=0.2)
def ignore_nothing():
    time.sleep(30)


@supervise.task(time_limit=0.3)
def overrun():
    while True:
        try:
            time.sleep(30)
        except Exception:  # even one that swallows the soft limit is ended by the hard one
            pass


# Memory


def _own_rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@supervise.task
def rss() -> int:
    return _own_rss()


@supervise.task
def leak(megabytes: int) -> int:
    """Keeps so much for ever; returns this worker's RSS."""
    note("begin")
    _kept.append(b"x" * (megabytes << 20))
    note("end", _own_rss())
    return _own_rss()


@supervise.task
def spike(megabytes: int) -> int:
    """Takes so much in small blocks and frees all but the last, which pins the heap: only
    malloc_trim gives the rest back. Returns the RSS at its end."""
    size = 1000  # a constant expression would be one object
    blocks = [b"x" * size for _ in range(megabytes * 1024)]
    _kept.append(blocks.pop())
    del blocks
    return _own_rss()


@supervise.task
def grow(megabytes: int):
    """Grows in steps of 10 MB up to so much and stays there."""
    for _ in range(megabytes // 10):
        _kept.append(b"x" * (10 << 20))
        time.sleep(0.02)
    time.sleep(30)


@supervise.task
def grow_at_once(megabytes: int):
    _kept.append(b"x" * (megabytes << 20))
    time.sleep(30)


# Output


@supervise.task
def say(text: str):
    print(text)


@supervise.task
def complain(text: str):
    print(text, file=sys.stderr)


@supervise.task
def say_much(lines: int):
    for number in range(lines):
        print(f"line {number}")


@supervise.task
def say_long(size: int):
    print("y" * size)


@supervise.task
def write_raw(descriptor: int):
    """Writes bytes to a descriptor, past Python's own layers."""
    os.write(descriptor, b"\xff\xfe rubbish \x00 without an end")


@supervise.task
def write_to_channel():
    """Speaks to the supervisor past the worker's loop."""
    write_raw(3)
    time.sleep(30)


@supervise.task
def environment(name: str) -> str:
    return os.environ.get(name, "")


@supervise.task
def descriptors() -> str:
    """What each open descriptor is, in order."""
    numbers = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    names = {}
    for number in numbers:
        try:
            names[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass  # the one that listed the folder
    return "\n".join(names.values())


@supervise.task
def session() -> str:
    own = os.getpid()
    return f"{own == os.getpgrp()} {own == os.getsid(0)} {os.readlink('/proc/self/fd/0')}"


@supervise.task
def working_directory() -> str:
    return f"{os.getcwd()} {os.umask(0o22):o}"
