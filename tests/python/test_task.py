"""@supervise.task: names, settings, and what is refused."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

import supervise
from supervise import _task


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_task, "registry", {})
    yield


def plain(number: int) -> int:
    return number + 1


def other(number: int) -> int:
    return number


def info(name: str) -> Any:
    return _task.registry[name].info


def test_a_bare_mark_takes_the_pool_s_settings() -> None:
    assert supervise.task(plain) is plain
    assert info("test_task.plain") == ("test_task.plain", None, None, None)


def test_settings_are_seconds() -> None:
    supervise.task(time_limit=60, soft_time_limit=0.0004, retries=100)(plain)
    assert info("test_task.plain") == ("test_task.plain", 1, 60_000, 100)


def test_a_limit_of_0_means_none_at_all() -> None:
    supervise.task(time_limit=0, soft_time_limit=30, retries=0)(plain)
    assert info("test_task.plain") == ("test_task.plain", 30_000, 0, 0)


def test_a_name_of_its_own() -> None:
    supervise.task(name="reports.build")(plain)
    assert _task.task_name(plain) == "reports.build"
    assert list(_task.registry) == ["reports.build"]


def test_a_task_is_still_a_function() -> None:
    assert supervise.task(retries=1)(plain)(41) == 42


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"time_limit": "60"}, TypeError, "number of seconds, as in time_limit=60"),
        ({"time_limit": True}, TypeError, "number of seconds"),
        ({"time_limit": -1}, ValueError, "from 0"),
        ({"time_limit": float("nan")}, ValueError, "from 0"),
        ({"soft_time_limit": float("inf")}, ValueError, "from 0"),
        ({"soft_time_limit": 60, "time_limit": 60}, ValueError, "less than"),
        ({"retries": 101}, ValueError, "from 0 to 100"),
        ({"retries": -1}, ValueError, "from 0 to 100"),
        ({"retries": 1.0}, TypeError, "whole number"),
        ({"retries": True}, TypeError, "whole number"),
        ({"name": ""}, ValueError, "at least one character"),
        ({"name": "a b"}, ValueError, "no spaces"),
        ({"name": "n" * 256}, ValueError, "255"),
        ({"name": 5}, TypeError, "is a str"),
    ],
)
def test_a_wrong_setting_says_what_is_right(
    settings: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        supervise.task(**settings)(plain)
    assert not _task.registry


def test_a_setting_by_position_says_how_to_write_it() -> None:
    with pytest.raises(TypeError, match=r"@supervise\.task\(time_limit=60\)"):
        supervise.task(60)  # type: ignore[call-overload]


async def coroutine(number: int) -> None: ...


def generator(number: int) -> Iterator[int]:
    yield number


@pytest.mark.parametrize("function", [coroutine, generator])
def test_a_coroutine_or_generator_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=r"asyncio\.run"):
        supervise.task(function)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="marks functions"):
        supervise.task(print)


def test_a_local_function_needs_a_name() -> None:
    def local() -> None: ...

    with pytest.raises(ValueError, match="top of its module"):
        supervise.task(local)
    supervise.task(name="local")(local)
    assert list(_task.registry) == ["local"]


def test_two_tasks_of_one_name_are_refused_and_both_are_named() -> None:
    supervise.task(name="same")(plain)
    with pytest.raises(ValueError, match=r"plain \(.*test_task.py, line \d+\) and other"):
        supervise.task(name="same")(other)


def test_a_module_that_is_imported_again_may_register_again() -> None:
    supervise.task(plain)
    again = types.FunctionType(plain.__code__, {}, "plain")
    again.__module__ = __name__
    supervise.task(again)
    assert _task.registry["test_task.plain"].function is again


@pytest.mark.parametrize(
    ("spec", "file", "module"),
    [
        (None, "/srv/app/tasks.py", "tasks"),
        ("reports.tasks", "/srv/app/reports/tasks.py", "reports.tasks"),
        ("reports.__main__", "/srv/app/reports/__main__.py", "reports"),
    ],
)
def test_a_task_of_the_running_script_has_the_name_that_a_worker_gives_it(
    monkeypatch: pytest.MonkeyPatch, spec: str, file: str, module: str
) -> None:
    main = types.ModuleType("__main__")
    main.__file__ = file
    main.__spec__ = None if spec is None else types.SimpleNamespace(name=spec)  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "__main__", main)
    build = types.FunctionType(plain.__code__, {}, "build")
    build.__module__, build.__qualname__ = "__main__", "build"
    supervise.task(build)
    assert _task.task_name(build) == f"{module}.build"


def test_a_function_that_is_not_marked_cannot_be_submitted() -> None:
    with pytest.raises(TypeError, match=r"other is not a task; mark it"):
        _task.task_name(other)
    with pytest.raises(TypeError, match="or its name as a str"):
        _task.task_name(5)  # type: ignore[arg-type]


def test_a_long_name_leaves_less_room_for_ids() -> None:
    assert _task.most_args("n" * 29) == 960
    assert _task.most_args("n" * 30) == 959
    assert _task.most_args("n" * 255) == 734
