"""A supervise of the front's own: started with it, configured from Celery's settings, stopped with it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from supervise.celery import application, toml
from supervise.celery.errors import PoolError

POOL = "celery"
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PATIENCE_SECONDS = 15.0
_PREFIX = "supervise-celery-"
_OLD_SECONDS = 3600.0
_NOT_IN_CONFIG = {  # of supervise_config, and where it is said instead
    ("supervisor", "runtime_dir"): "it is a folder of the front's own, in TMPDIR",
    ("pool", "kind"): 'it is "celery"',
    ("pool", "app"): "it is the front's",
    ("pool", "workers"): "worker_concurrency and worker_autoscale say it",
}
_MAX_SOCKET_PATH = 107  # sockaddr_un, unix(7)
_START_SECONDS = 60.0  # at least; worker_proc_alive_timeout's 4 s are too few for many an application


class Wishes(NamedTuple):
    """What Celery wants of the pool."""

    workers: int
    hostname: str
    preload: bool = True
    max_tasks: Optional[int] = None
    max_memory_kib: Optional[int] = None
    start_seconds: Optional[float] = None
    more: Mapping[str, Any] = {}  # the setting supervise_config: the tables "supervisor" and "pool"


class PrivateSupervise:
    def __init__(self, app: Any, wishes: Wishes) -> None:
        self._app = app
        self._wishes = wishes
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._lifeline = -1  # it ends when this is closed, by us or with us
        self._folder = ""
        _alive.add(self)

    @property
    def socket(self) -> str:
        return os.path.join(self._folder, "run", f"{POOL}.sock")

    @property
    def control(self) -> str:
        return os.path.join(self._folder, "run", "control.sock")

    def start(self, workers: int) -> None:
        """PoolError when there is no program to start."""
        program = find_program()
        self._clear()
        config_file = self._make_folder(workers)
        theirs, self._lifeline = os.pipe2(os.O_CLOEXEC)
        environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        environment["SUPERVISE_PYTHON_PACKAGE"] = os.path.dirname(_PACKAGE)
        _make_appending()
        try:
            self._process = subprocess.Popen(
                [program, "--config", config_file, "--lifeline", str(theirs)],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs],
                start_new_session=True,  # Ctrl-C is for the front
            )
        except OSError as error:
            raise PoolError(f"{program} cannot be started: {error.strerror}{_named_in()}") from None
        finally:
            os.close(theirs)

    def _make_folder(self, workers: int) -> str:
        """Returns the config file's path."""
        try:
            _sweep()
            self._folder = tempfile.mkdtemp(prefix=_PREFIX)  # 0700
            _check_length(self.control)
            app_file = os.path.join(self._folder, "app.pickle")
            _write(app_file, application.describe(self._app, self._wishes.hostname))
            config_file = os.path.join(self._folder, "workers.toml")
            settings = config(self._wishes._replace(workers=workers), self._folder, app_file)
            _write(config_file, toml.dumps(settings).encode())
        except OSError as error:
            self._clear()
            raise PoolError(
                f"there is no place for the files of the workers: {error}. Set TMPDIR to a folder with room "
                "that this user may write to"
            ) from None
        except PoolError:
            self._clear()
            raise
        return config_file

    def exit_code(self) -> Optional[int]:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def program(self) -> str:
        """What was started; empty before start()."""
        return "" if self._process is None else str(self._process.args[0])  # type: ignore[index]

    def stop(self, hurry: bool) -> None:
        """Waits for its end. In a hurry, what its workers run is killed, and never interrupted: then it
        would store a failure that nobody wants. Else it has the pool's grace."""
        process, self._process = self._process, None
        if process is not None:
            if hurry:
                self.let_go()
            else:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._clear()

    def _clear(self) -> None:
        self.let_go()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def let_go(self) -> None:
        """Ends the lifeline; in a fork of the front its copy, as it is the front's alone."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


_alive: weakref.WeakSet[PrivateSupervise] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_alive):
        one.let_go()
        one._process = None


os.register_at_fork(after_in_child=_after_fork)


def _named_in() -> str:
    return " ($SUPERVISE_BIN)" if os.environ.get("SUPERVISE_BIN") else ""


def _check_length(socket: str) -> None:
    if len(os.fsencode(socket)) > _MAX_SOCKET_PATH:
        raise PoolError(
            f"the path {socket} is too long for a socket, which has {_MAX_SOCKET_PATH} bytes: set TMPDIR to "
            "a folder with a shorter path"
        )


def find_program() -> str:
    named = os.environ.get("SUPERVISE_BIN")
    if named:
        return named
    folders = [os.path.join(_PACKAGE, "bin"), os.path.dirname(sys.executable), *os.get_exec_path()]
    found = shutil.which("supervise", path=os.pathsep.join(folders))
    if found is None:
        raise PoolError(
            "the program `supervise` was not found: not in $SUPERVISE_BIN, beside the Python package or the "
            "interpreter, or in PATH. Install it, or name it in $SUPERVISE_BIN"
        )
    return found


def _check_config(more: Mapping[str, Any]) -> None:
    for table in more:
        if table not in ("supervisor", "pool"):
            raise PoolError(f'supervise_config has no {table!r}: there are "supervisor" and "pool"')
    for (table, key), instead in _NOT_IN_CONFIG.items():
        if key in more.get(table, {}):
            raise PoolError(f'supervise_config["{table}"]["{key}"] is not to be set: {instead}')


def config(wishes: Wishes, folder: str, app_file: str) -> dict[str, Any]:
    """PoolError when the setting supervise_config says what is not its to say."""
    _check_config(wishes.more)
    recycle: dict[str, Any] = {}
    if wishes.max_tasks:
        recycle["max_tasks"] = int(wishes.max_tasks)
    if wishes.max_memory_kib:
        recycle["max_rss"] = int(wishes.max_memory_kib) * 1024
    pool = {
        "kind": "celery",
        "app": f"{application.FILE_MARK}{app_file}",
        "python": sys.executable,
        "directory": os.getcwd(),
        "workers": wishes.workers,
        "preload": wishes.preload,
        "start_timeout": max(float(wishes.start_seconds or 0), _START_SECONDS),
        "recycle": recycle,
        "output": {"lines_per_second": 1_000_000},
    }
    supervisor = {"runtime_dir": os.path.join(folder, "run"), "log": _log_settings(wishes.hostname)}
    return {
        "supervisor": _merged(supervisor, wishes.more.get("supervisor", {})),
        "pool": {POOL: _merged(pool, wishes.more.get("pool", {}))},
    }


def _log_settings(hostname: str) -> dict[str, Any]:
    """Where Celery logs, and as much of it as an operator wants to see there."""
    level = int(os.environ.get("CELERY_LOG_LEVEL") or logging.WARNING)
    settings = {"level": "warning" if level <= logging.WARNING else "error"}
    if level <= logging.DEBUG:
        settings["level"] = "info"
    if any(_is_socket(stream) for stream in (1, 2)):
        settings["level"] = "info"  # the workers' output comes this way, see application.join_outputs()
    log_file = os.environ.get("CELERY_LOG_FILE")
    if log_file:
        from celery.utils.nodenames import node_format

        path = os.path.abspath(node_format(log_file, hostname))
        if os.path.isdir(os.path.dirname(path)):
            settings["file"] = path
    return settings


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _merged(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(mine)
    for key, value in theirs.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _sweep() -> None:
    """Removes what fronts have left that were killed: folders of ours whose supervise has ended, too."""
    for name in os.listdir(tempfile.gettempdir()):
        folder = os.path.join(tempfile.gettempdir(), name)
        with contextlib.suppress(OSError):
            if name.startswith(_PREFIX) and os.lstat(folder).st_uid == os.getuid() and _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: str) -> bool:
    if time.time() - os.lstat(folder).st_mtime < _OLD_SECONDS:
        return False  # it may be about to start
    try:
        lock = os.open(os.path.join(folder, "run", "supervise.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # it runs
    finally:
        os.close(lock)
    return True


def _make_appending() -> None:
    """The workers open the files of our output for themselves, and append. Without this we would
    write over their lines where a shell has opened the file by `>`."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
                fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
