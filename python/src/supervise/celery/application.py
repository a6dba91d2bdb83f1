"""The Celery application, from the front to the workers.

A worker is a fresh interpreter, or forked from one: it imports the application as `celery -A` does.
Workers of a private supervise are told by a file where the front found it, and what the front
changed in its settings.
"""

from __future__ import annotations

import contextlib
import multiprocessing.spawn
import os
import pickle
import sys
from typing import Any, NamedTuple

FILE_MARK = "@"  # of an APP argument that is a file's path
_MAIN = "__main__"


class Description(NamedTuple):
    """The content of that file."""

    preparation: dict[str, Any]  # for multiprocessing.spawn.prepare(): sys.path, perhaps the script
    name: str  # "module:attribute" where the application is; empty: `pickled` is all there is
    settings: dict[str, bytes]  # as the front has them, each pickled: those that importing does not give
    pickled: bytes
    tasks: list[bytes]  # pickled classes of tasks that `pickled` has not with it
    hostname: str
    outputs: tuple[str, str]  # paths of the front's standard output and standard error


class Loaded(NamedTuple):
    app: Any
    hostname: str
    outputs: tuple[str, ...] = ()  # as in Description


# --- in the front


def describe(app: Any, hostname: str) -> bytes:
    """The content of the file."""
    name = _find_name(app)
    preparation = multiprocessing.spawn.get_preparation_data("ForkPoolWorker")
    kept = {"sys_path", "sys_argv"}
    if name.startswith(f"{_MAIN}:") or any(task.__module__ == _MAIN for task in app.tasks.values()):
        kept |= {"init_main_from_name", "init_main_from_path"}
    description = Description(
        preparation={key: value for key, value in preparation.items() if key in kept},
        name=name,
        settings=_picklable(app.conf.changes if name else _set(app)),
        pickled=b"" if name else pickle.dumps(app),
        tasks=[] if name else _task_classes(app),
        hostname=hostname,
        outputs=(f"/proc/{os.getpid()}/fd/1", f"/proc/{os.getpid()}/fd/2"),
    )
    return pickle.dumps(tuple(description))


def _find_name(app: Any) -> str:
    """Where importing gives this very object; empty when it is in no module's names."""
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] in ("celery", "kombu", "supervise", "__mp_main__"):
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app:
                return f"{module_name}:{attribute}"
    return ""


def _set(app: Any) -> dict[str, Any]:
    """The settings that are not Celery's defaults. An application that is pickled has only its changes
    with it, not what add_defaults() and the like have given."""
    defaults = app.conf.maps[-1]
    return {key: app.conf[key] for key in defaults if app.conf[key] is not defaults[key]}


def _task_classes(app: Any) -> list[bytes]:
    """Those that an application was given as classes. Tasks made of functions come with their modules."""
    found = []
    for task in app.tasks.values():
        with contextlib.suppress(pickle.PicklingError, AttributeError):  # a function's is in no module
            found.append(pickle.dumps(type(task)))
    return found


def _picklable(settings: Any) -> dict[str, bytes]:
    """Those that are not, a function in a module's settings say, the worker has from its import."""
    found = {}
    for key, value in dict(settings).items():
        with contextlib.suppress(Exception):
            found[key] = pickle.dumps(value)
    return found


# --- in a worker


def load(argument: str) -> Loaded:
    """`argument`: what `celery -A` takes, or `@PATH` of a description."""
    if not argument.startswith(FILE_MARK):
        from celery.app.utils import find_app
        from celery.utils.nodenames import default_nodename

        return Loaded(find_app(argument), default_nodename(os.environ.get("SUPERVISE_CELERY_HOSTNAME")))
    with open(argument[1:], "rb") as file:
        description = Description(*pickle.loads(file.read()))
    join_outputs(description.outputs)
    _prepare(description.preparation)
    if description.name:
        app = _named(description.name)
    else:
        # The modules of the tasks have an application of their own; with this their tasks are
        # registered with ours as well. Celery looks when it is imported.
        os.environ["FORKED_BY_MULTIPROCESSING"] = "1"
        app = pickle.loads(description.pickled)
        del os.environ["FORKED_BY_MULTIPROCESSING"]
    app.conf.update({key: pickle.loads(value) for key, value in description.settings.items()})
    for task in description.tasks:
        with contextlib.suppress(TypeError):  # a class that wants arguments
            app.register_task(pickle.loads(task)())
    return Loaded(app, description.hostname, description.outputs)


def _prepare(preparation: dict[str, Any]) -> None:
    script = preparation.get("init_main_from_path")
    if script:
        os.environ["MP_MAIN_FILE"] = script  # Celery calls its tasks as the front does
    if os.getcwd() not in preparation["sys_path"]:
        preparation["sys_path"].insert(0, os.getcwd())  # the front has it there while it imports, too
    multiprocessing.spawn.prepare(preparation)


def _named(name: str) -> Any:
    import importlib

    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def join_outputs(paths: tuple[str, ...]) -> None:
    """What a worker prints and logs goes where the front's own does, as with prefork. A socket
    cannot be opened so: then it goes to supervise, which logs it."""
    for stream, path in enumerate(paths, 1):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC)
            os.dup2(descriptor, stream)
            os.close(descriptor)
