"""What an application has run around the fork of its workers.

`@supervise.before_fork` functions run once, after the import of the application and before the
first fork; `@supervise.after_fork` functions in every worker, before its first job. A worker that
is spawned and not forked runs both, in this order.
"""

from __future__ import annotations

import os
from types import CodeType
from typing import Any, Callable, TypeVar

Hook = Callable[[], object]
Function = TypeVar("Function", bound=Hook)

_CO_GENERATORS = 0x20 | 0x80 | 0x200  # generator, coroutine, asynchronous generator

before: list[Hook] = []
after: list[Hook] = []


def before_fork(function: Function) -> Function:
    """Marks a function without arguments, to close what the workers must not share: connections,
    threads. Those marked run in the order in which they were marked."""
    before.append(_checked("before_fork", function))
    return function


def after_fork(function: Function) -> Function:
    """Marks a function without arguments, to open what each worker needs of its own. Those marked
    run in the order in which they were marked."""
    after.append(_checked("after_fork", function))
    return function


def _checked(name: str, function: Hook) -> Hook:
    if not callable(function):
        raise TypeError(f"@supervise.{name} marks a function, not {function!r}")
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType) and code.co_flags & _CO_GENERATORS:
        raise TypeError(
            f"{code.co_name} is a coroutine function or a generator, and a hook is a plain "
            "function; call asyncio.run(...) inside one"
        )
    return function


def describe(function: Callable[..., Any]) -> str:
    """The name of a function, with its place where it has one."""
    name = getattr(function, "__qualname__", None)
    if name is None:
        return repr(function)
    label = f"{getattr(function, '__module__', None) or '?'}.{name}"
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return label
    return f"{label} ({os.path.abspath(code.co_filename)}:{code.co_firstlineno})"
