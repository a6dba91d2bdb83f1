#!/usr/bin/env python3
"""Sends the gallery's tasks to a worker of our own, and shows what became of them and of the workers.

    show.py [--rabbitmq] [--supervise] [--compare] [--folder PICTURES] SUPERVISE

SUPERVISE is the program, as built in build/release/supervise; `run` gives it.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import celery
import servers
from billiard.exceptions import WorkerLostError
from celery import chain, chord, group
from watch import MB, Watch, print_stats

HERE = Path(__file__).resolve().parent
PYTHON_PACKAGE = HERE.parents[1] / "python/src"
PICTURES, ENLARGEMENTS, PEAKS, COPIES = 12, 24, 6, 150
SECONDS = 300  # for any step


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = read_options()
    try:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gallery-")))
            pictures = options.folder or folder / "pictures"
            pictures.mkdir(parents=True, exist_ok=True)
            redis = stack.enter_context(servers.redis(folder))
            broker = stack.enter_context(servers.rabbitmq(folder)) if options.rabbitmq else f"{redis}/0"
            set_environment(options.program, broker, f"{redis}/1", pictures)
            show_all(options, folder)
    except KeyboardInterrupt:
        sys.exit(130)
    if options.folder:
        print(f"\nThe album: {options.folder}/index.html")


def read_options():
    parser = argparse.ArgumentParser(prog="examples/celery/run", allow_abbrev=False)
    parser.add_argument("--rabbitmq", action="store_true", help="the broker is RabbitMQ, not Redis")
    parser.add_argument("--supervise", action="store_true", help="start supervise itself, with workers.toml")
    parser.add_argument("--compare", action="store_true", help="then do the same on prefork")
    parser.add_argument("--folder", type=lambda text: Path(text).resolve(), help="where the pictures go")
    parser.add_argument("program", type=lambda text: Path(text).resolve(), help=argparse.SUPPRESS)
    return parser.parse_args()


def set_environment(program, broker, results, pictures):
    """For the application, here and in the workers."""
    sys.path.insert(0, str(HERE))
    os.environ.update(
        GALLERY_BROKER=broker,
        GALLERY_RESULTS=results,
        GALLERY_FOLDER=str(pictures),
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        PYTHONPATH=str(PYTHON_PACKAGE),
        SUPERVISE_BIN=str(program),
        SUPERVISE_PYTHON_PACKAGE=str(PYTHON_PACKAGE),
        C_FORCE_ROOT="1",
    )


def show_all(options, folder):
    broker = "RabbitMQ" if options.rabbitmq else "Redis"
    print(f"Celery {celery.__version__} and {broker}; 2 workers, replaced when they have 100 MB", flush=True)
    start = supervise if options.supervise else front
    facts = {"supervise": show(start(folder), "supervise")}
    if options.compare:
        facts["prefork"] = show(front(folder, GALLERY_POOL="prefork"), "prefork")
        print(f"\n  {'':36}" + "".join(f"{name:>14}" for name in facts))
        for title in facts["prefork"]:
            print(f"  {title:36}" + "".join(f"{fact[title]:>14}" for fact in facts.values()))
    if facts["supervise"]["the panorama"] != "stopped":
        sys.exit("The panorama should have been stopped, with a reason.")


@contextlib.contextmanager
def front(folder, **environment):
    """`celery worker`; gives the process."""
    command = [sys.executable, "-m", "celery", "-A", "gallery", "worker", "-l", "INFO"]
    with started(command, folder / "worker.log", environment) as process:
        yield process


@contextlib.contextmanager
def supervise(folder):
    """Of workers.toml, which has it start the front."""
    run = folder / "run"
    run.mkdir(mode=0o700)
    command = [os.environ["SUPERVISE_BIN"], "--config", HERE / "workers.toml"]
    with started(command, folder / "supervise.log", {"RUNTIME_DIRECTORY": str(run)}) as process:
        yield process


@contextlib.contextmanager
def started(command, log, environment):
    """Until a front answers; it must end well."""
    from gallery.celery import app

    with servers.running(command, log, {**os.environ, **environment}, HERE) as process:
        patience = time.monotonic() + SECONDS
        while not app.control.ping(timeout=0.5):
            if process.poll() is not None or time.monotonic() > patience:
                sys.exit(f"{command[0]} does not start:\n{log.read_text(errors='replace')}")
        yield process
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with {process.returncode}:\n{log.read_text(errors='replace')}")


def show(context, title):
    """Sends everything, and prints what comes of it; returns the facts that one would compare."""
    from gallery import tasks
    from gallery.celery import app

    print(f"\n{title}")
    with context as process:
        watch = Watch(process.pid)
        facts = {}
        pictures = [chain(tasks.paint.si(n), tasks.thumbnail.si(n)) for n in range(PICTURES)]
        done, seconds = result_of(chord(pictures)(tasks.album.s()), watch)
        tell(f"{PICTURES} pictures, their thumbnails and an album (a chord)", f"{done} in it", seconds)

        done, seconds = result_of(tasks.publish.delay(), watch)
        tell("publish a site that is busy (a retry)", f"done at attempt {done}", seconds)

        jobs = group(tasks.enlarge.s(n % PICTURES, n) for n in range(ENLARGEMENTS))
        done, seconds = result_of(jobs(), watch)
        facts["workers for the enlargements"] = len(set(done))
        tell(f"{ENLARGEMENTS} enlargements that keep 14 MB each", f"{len(set(done))} workers", seconds)

        jobs = group(tasks.flip_through.s(n % PICTURES) for n in range(PEAKS))
        done, seconds = result_of(jobs(), watch)
        facts["workers for the peaks"] = len(set(done))
        tell(f"{PEAKS} peaks of 80 MB, given back", f"{len(set(done))} workers", seconds)

        done, seconds = result_of(tasks.panorama.delay(COPIES), watch)
        lost = isinstance(done, WorkerLostError)
        facts["the panorama"] = "stopped" if lost and "memory" in str(done) else str(done)[:14]
        tell(f"a panorama of {COPIES * 4} MB, by mistake", facts["the panorama"], seconds)
        if lost:
            print(f"      {type(done).__name__}: {done}")

        ((_, stats),) = app.control.inspect(timeout=10, limit=1).stats().items()
        print("  inspect stats:")
        print_stats(stats["pool"])
        facts["memory of all processes, at most"] = f"{watch.most / MB:.0f} MB"
    return facts


def result_of(result, watch):
    """With the seconds that it took. An error of the panorama is a result like others."""
    seconds = watch.wait(result, SECONDS)
    value = result.get(propagate=False)
    result.forget()
    return value, seconds


def tell(what, came_of_it, seconds):
    print(f"  {what:58} {came_of_it:22} {seconds:5.1f} s", flush=True)


if __name__ == "__main__":
    main()
