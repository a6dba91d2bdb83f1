"""The jobs of the bench: plain functions, the same ones for every engine."""

import os
import time


def noop(number: int) -> int:
    return number


def nap1(number: int) -> int:
    """A job of 1 ms that waits for something else, as most jobs do."""
    time.sleep(0.001)
    return number


def nap10(number: int) -> int:
    time.sleep(0.010)
    return number


def whoami(number: int) -> int:
    """The worker's pid, slowly enough for every worker to get one of a handful."""
    time.sleep(0.020)
    return os.getpid()


ALL = (noop, nap1, nap10, whoami)
