"""What a private supervise is told: its config, and the description of the application."""

from __future__ import annotations

import fcntl
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task
from celery_front import BINARY

from supervise.celery import application, private_supervise, toml
from supervise.celery.errors import PoolError
from supervise.celery.private_supervise import PrivateSupervise, Wishes, config, find_program

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


def settings(tmp_path: Path, **wishes: Any) -> dict[str, Any]:
    return config(Wishes(**{"workers": 2, "hostname": "celery@here", **wishes}), str(tmp_path), "/tmp/app")


def test_celerys_settings_become_supervises(tmp_path: Path) -> None:
    pool = settings(tmp_path, max_tasks=7, max_memory_kib=200_000, preload=False)["pool"]["celery"]
    assert (pool["kind"], pool["app"], pool["workers"]) == ("celery", "@/tmp/app", 2)
    assert pool["recycle"] == {"max_tasks": 7, "max_rss": 204_800_000}
    assert pool["preload"] is False and pool["python"] == sys.executable
    assert pool["directory"] == os.getcwd()


def test_the_start_has_a_minute_or_what_celery_gives_it(tmp_path: Path) -> None:
    assert settings(tmp_path, start_seconds=4.0)["pool"]["celery"]["start_timeout"] == 60
    assert settings(tmp_path, start_seconds=90.0)["pool"]["celery"]["start_timeout"] == 90


def test_supervise_config_goes_over_all_that_table_by_table(tmp_path: Path) -> None:
    more = {
        "supervisor": {"log": {"level": "info"}},
        "pool": {"recycle": {"max_age": "6h"}, "memory": {"hard": "1G"}, "spare": 2},
    }
    made = settings(tmp_path, max_tasks=7, more=more)
    assert made["supervisor"]["log"]["level"] == "info"
    assert made["supervisor"]["runtime_dir"] == f"{tmp_path}/run"
    pool = made["pool"]["celery"]
    assert pool["recycle"] == {"max_tasks": 7, "max_age": "6h"}
    assert (pool["memory"], pool["spare"]) == ({"hard": "1G"}, 2)


@pytest.mark.parametrize(
    "more, told",
    [
        ({"pools": {}}, "no 'pools'"),
        ({"supervisor": {"runtime_dir": "/run/x"}}, "runtime_dir.*TMPDIR"),
        ({"pool": {"workers": 9}}, "workers.*worker_concurrency"),
    ],
)
def test_supervise_config_does_not_say_what_celery_says(
    tmp_path: Path, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(PoolError, match=told):
        settings(tmp_path, more=more)


def test_a_path_too_long_for_sockets_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("SUPERVISE_BIN", "/bin/false")
    with pytest.raises(PoolError, match="too long for a socket.*set TMPDIR"):
        PrivateSupervise(Celery("proj"), Wishes(workers=1, hostname="celery@here")).start(1)
    assert os.listdir(folder) == []


def test_a_folder_that_takes_no_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/self")
    monkeypatch.setenv("SUPERVISE_BIN", "/bin/false")
    with pytest.raises(PoolError, match="no place for the files.*Set TMPDIR"):
        PrivateSupervise(Celery("proj"), Wishes(workers=1, hostname="celery@here")).start(1)


def test_it_logs_where_celery_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_LOG_FILE", f"{tmp_path}/%n%I.log")
    monkeypatch.setenv("CELERY_LOG_LEVEL", "10")
    log = settings(tmp_path)["supervisor"]["log"]
    assert log == {"level": "info", "file": f"{tmp_path}/celery.log"}


def test_toml_is_what_toml_readers_read() -> None:
    tables = {
        "supervisor": {"runtime_dir": '/tmp/a "b"\\c\n\x7f\u00e9', "log": {"level": "info"}},
        "pool": {"a-b": {"workers": 3, "preload": True, "list": ["x", 'y"'], "share": 0.5, "none": {}}},
    }
    assert tomllib.loads(toml.dumps(tables)) == tables


def test_the_daemon_accepts_such_a_config(tmp_path: Path) -> None:
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not there")
    file = tmp_path / "workers.toml"
    more = {"pool": {"memory": {"hard": "1G"}, "environment": {"A": 'b"c'}}}
    file.write_text(toml.dumps(settings(tmp_path, max_tasks=7, max_memory_kib=200_000, more=more)))
    checked = subprocess.run([str(BINARY), "check", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "error" not in checked.stderr


def test_the_program_is_found_by_name_or_by_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "supervise"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.delenv("SUPERVISE_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == str(program)
    monkeypatch.setenv("SUPERVISE_BIN", "/elsewhere/supervise")
    assert find_program() == "/elsewhere/supervise"


def test_what_a_killed_front_has_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = {name: tmp_path / f"supervise-celery-{name}" for name in ("left", "runs", "young", "ended")}
    for folder in folders.values():
        (folder / "run").mkdir(parents=True)
    (folders["ended"] / "run" / "supervise.lock").touch()
    with open(folders["runs"] / "run" / "supervise.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("left", "runs", "ended"):
            os.utime(folders[name], (0, 0))
        private_supervise._sweep()
    assert [name for name, folder in folders.items() if folder.exists()] == ["runs", "young"]


def test_an_application_is_described_by_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("some_project")
    app = Celery("proj", broker="memory://", set_as_current=False)
    module.celery_app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_project", module)
    app.conf.task_time_limit = 55
    app.conf.beat_schedule_filename = lambda: None  # cannot be pickled
    described = application.Description(*pickle.loads(application.describe(app, "celery@here")))
    assert (described.name, described.pickled, described.hostname) == (
        "some_project:celery_app",
        b"",
        "celery@here",
    )
    assert pickle.loads(described.settings["task_time_limit"]) == 55
    assert "beat_schedule_filename" not in described.settings


class Registered(Task):  # type: ignore[misc]
    name = "registered"


def test_an_application_that_is_in_no_module_is_pickled_with_settings_and_tasks() -> None:
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.add_defaults({"result_backend": "cache+memory://"})
    app.register_task(Registered)
    app.task(name="decorated")(test_an_application_is_described_by_where_it_is)
    described = application.Description(*pickle.loads(application.describe(app, "celery@here")))
    assert described.name == ""
    assert pickle.loads(described.pickled).main == "proj"
    assert pickle.loads(described.settings["result_backend"]) == "cache+memory://"
    assert "task_time_limit" not in described.settings
    assert [pickle.loads(task) for task in described.tasks] == [Registered]
