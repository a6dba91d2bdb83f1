"""The registry of tasks: what `@supervise.task` marks and what a worker offers."""

from __future__ import annotations

import math
import os
import sys
from types import CodeType, ModuleType
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union, overload

from supervise._frames import MAX_CALL, MAX_RETRIES, POOLS_LIMIT
from supervise._messages import TaskInfo

Function = TypeVar("Function", bound=Callable[..., object])

MAX_NAME = 255
_CO_GENERATORS = 0x20 | 0x80 | 0x200  # generator, coroutine, asynchronous generator
_MARK = "__supervise_task__"


class Task(NamedTuple):
    info: TaskInfo
    function: Callable[..., object]


registry: dict[str, Task] = {}


@overload
def task(function: Function, /) -> Function: ...


@overload
def task(
    *,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    retries: Optional[int] = None,
    name: Optional[str] = None,
) -> Callable[[Function], Function]: ...


def task(
    function: Optional[Function] = None,
    /,
    *,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    retries: Optional[int] = None,
    name: Optional[str] = None,
) -> Union[Function, Callable[[Function], Function]]:
    """Marks a function as a task. It stays an ordinary function for whoever calls it directly.

    time_limit: seconds after which the worker is killed; soft_time_limit: seconds after which
    SoftTimeLimitExceeded is raised in the job; retries: more attempts after a failed or lost one.
    Left out, the pool's own apply; a limit of 0 means none. name: instead of module.function.
    """
    if function is not None and not callable(function):
        raise TypeError(
            f"@supervise.task takes its settings by keyword, as in "
            f"@supervise.task(time_limit=60), not {function!r}"
        )
    soft = _milliseconds("soft_time_limit", soft_time_limit)
    hard = _milliseconds("time_limit", time_limit)
    if soft and hard and soft >= hard:
        raise ValueError(
            f"soft_time_limit={soft_time_limit} must be less than time_limit={time_limit}: it is "
            "what the job has for cleaning up"
        )
    _check_retries(retries)

    def mark(marked: Function) -> Function:
        _check_function(marked)
        chosen = _check_name(_default_name(marked) if name is None else name)
        _register(Task(TaskInfo(chosen, soft, hard, retries), marked))
        setattr(marked, _MARK, chosen)
        return marked

    return mark if function is None else mark(function)


def task_name(task: Union[str, Callable[..., object]]) -> str:
    """The name of what a client wants to run: a name, or a function that @supervise.task marked."""
    if isinstance(task, str):
        return _check_name(task)
    marked = getattr(task, _MARK, None)
    if isinstance(marked, str):
        return marked
    if callable(task):
        label = getattr(task, "__qualname__", repr(task))
        raise TypeError(
            f"{label} is not a task; mark it with @supervise.task, or pass the name of the task "
            'as a str, as in "reports.tasks.build"'
        )
    raise TypeError(f"a task is a function marked with @supervise.task, or its name as a str, not {task!r}")


def _register(new: Task) -> None:
    old = registry.get(new.info.name)
    if old is not None and _place(old.function) != _place(new.function):
        raise ValueError(
            f"two tasks are named {new.info.name!r}: {_describe(old.function)} and "
            f'{_describe(new.function)}; rename one, or give it @supervise.task(name="...")'
        )
    registry[new.info.name] = new


def _check_function(function: object) -> None:
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        raise TypeError(
            f"@supervise.task marks functions, not {function!r}; put it first (on top) of the "
            "decorators, or wrap the call in a function of its own"
        )
    if code.co_flags & _CO_GENERATORS:
        raise TypeError(
            f"{code.co_name} is a coroutine function or a generator, and a task is a plain "
            "function; call asyncio.run(...) inside one"
        )


def _default_name(function: Callable[..., object]) -> str:
    qualified = function.__qualname__
    if "<" in qualified:  # <locals> or <lambda>
        raise ValueError(
            f"{qualified} has no name that a client could use; move it to the top of its module, "
            'or give it @supervise.task(name="...")'
        )
    module = function.__module__
    if module == "__main__":
        module = _name_of_main(sys.modules["__main__"])
    return f"{module}.{qualified}"


def _name_of_main(main: ModuleType) -> str:
    """What a worker that imports the running script calls it."""
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:  # python -m package.module
        name = str(spec.name)
        return name[: -len(".__main__")] if name.endswith(".__main__") else name
    file = getattr(main, "__file__", None)
    return os.path.splitext(os.path.basename(str(file)))[0] if file else "__main__"


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a task's name is a str, not {name!r}")
    if not name or any(character.isspace() or character == "\0" for character in name):
        raise ValueError(f"a task's name has at least one character and no spaces: {name!r}")
    size = len(name.encode())
    if size > MAX_NAME:
        raise ValueError(f"a task's name has at most {MAX_NAME} bytes, and this one {size}: {name}")
    return name


def most_args(name: str) -> int:
    """How many bytes of arguments fit a call of this task."""
    return min(960, MAX_CALL - 1 - len(name.encode()))


def _milliseconds(what: str, seconds: Any) -> Optional[int]:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{what} is a number of seconds, as in {what}=60, not {seconds!r}")
    if not 0 <= seconds < POOLS_LIMIT / 1000:  # a NaN is not either
        raise ValueError(
            f"{what} is a number of seconds from 0 (none) to {POOLS_LIMIT // 1000 - 1} "
            f"(49 days), not {seconds!r}"
        )
    return math.ceil(seconds * 1000)


def _check_retries(retries: object) -> None:
    if retries is None:
        return
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise TypeError(f"retries is a whole number, not {retries!r}")
    if not 0 <= retries <= MAX_RETRIES:
        raise ValueError(f"retries is a number from 0 to {MAX_RETRIES}, not {retries}")


def _place(function: Callable[..., object]) -> tuple[str, int]:
    """The same for a module that is imported twice, different for two functions."""
    code: CodeType = function.__code__
    return os.path.abspath(code.co_filename), code.co_firstlineno


def _describe(function: Callable[..., object]) -> str:
    file, line = _place(function)
    return f"{function.__qualname__} ({file}, line {line})"
