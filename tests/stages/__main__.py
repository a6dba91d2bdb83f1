"""tests/run [STAGE...] [-k EXPR] | --list"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType

from tests.stages.running import interrupt_all
from tests.stages.stages import SELECTABLE, STAGES
from tests.stages.tally import Tally


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Installs what is needed, builds, and runs the tests."
    )
    parser.add_argument("stages", metavar="STAGE", nargs="*", help="all when none is named")
    parser.add_argument("--list", action="store_true", help="say which stages there are")
    parser.add_argument(
        "-k", metavar="EXPR", help="only tests with this in their names; without lint and install"
    )
    arguments = parser.parse_args()
    if arguments.list:
        for name, stage in STAGES.items():
            print(f"{name:13} {stage.__doc__}")
        return 0
    unknown = [name for name in arguments.stages if name not in STAGES]
    if unknown:
        parser.error(f"no stage {', '.join(unknown)}; there are: {', '.join(STAGES)}")
    wanted = arguments.stages or list(SELECTABLE[:3] if arguments.k else STAGES)
    if arguments.k and (deaf := [name for name in wanted if name not in SELECTABLE]):
        parser.error(f"-k selects no part of {', '.join(deaf)}")

    catch_signals()
    total = Tally()
    try:
        for name in wanted:
            total.add(_run(name, arguments.k))
    except KeyboardInterrupt:
        print("\ninterrupted: stopping what still runs", flush=True)
        interrupt_all()
        return 130
    if total.failures:
        print("\nFailed:", *total.failures, sep="\n  ")
    if not (total.passed or total.failed):
        total.fails("no test was run")
        print("\nNo test was run.")
    print(f"\n{total}", flush=True)
    return 1 if total.failed else 0


def catch_signals() -> None:
    """All that ask for the end do as Ctrl-C does, so that one way of stopping is enough."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _run(name: str, expression: str | None) -> Tally:
    print(f"\n== {name} ==", flush=True)
    started = time.monotonic()
    try:
        tally = STAGES[name](expression)
    except Exception as error:  # a stage that breaks must not hide those after it
        tally = Tally(failed=1, failures=[f"{type(error).__name__}: {error}"])
    tally.failures = [f"{name}: {failure}" for failure in tally.failures]
    # Not the form of the closing line, which is there once.
    print(
        f"-- {name}: passed {tally.passed}, failed {tally.failed}, skipped {tally.skipped}"
        f" in {time.monotonic() - started:.0f} s --",
        flush=True,
    )
    return tally


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
