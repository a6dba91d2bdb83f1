"""The workers' side: what the pool in main.cpp imports."""

import supervise


@supervise.task
def square(number: int) -> int:
    return number * number
