"""Other setups: a supervise that runs already, workers that are spawned, and Django."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from billiard.exceptions import WorkerLostError
from celery_front import BINARY, TOP, Front

Make = Callable[..., Front]

CONFIG = """
[supervisor]
runtime_dir = "{folder}/run"
cgroup_root = "{cgroup}"

[pool.work]
kind = "celery"
app = "proj:app"
python = "{python}"
directory = "{directory}"
workers = 2
preload = {preload}
"""


class Running:
    """A supervise with a pool of kind "celery", which fronts attach to."""

    def __init__(self, front: Front, folder: Path, preload: bool) -> None:
        self.folder = folder
        self.socket = folder / "run" / "work.sock"
        config = CONFIG.format(
            folder=folder,
            cgroup=front.cgroup + "-own",
            python=sys.executable,
            directory=front.folder,
            preload=str(preload).lower(),
        )
        (folder / "workers.toml").write_text(config)
        self._environment = {**front.environment, "SUPERVISE_PYTHON_PACKAGE": str(TOP / "python/src")}
        self._log = front.folder / "supervise.log"

    def start(self) -> None:
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                [str(BINARY), "--config", str(self.folder / "workers.toml")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0


def test_a_front_waits_for_a_supervise_that_starts_later(make_front: Make) -> None:
    front = make_front()
    running = Running(front, Path(front.environment["TMPDIR"]), preload=True)
    front.start("-c", "2", ready=False, SUPERVISE_SOCKET=str(running.socket))
    front.until(lambda: "takes no task for the moment" in front.log(), "it to wait")
    running.start()
    try:
        assert front.get("add", 1, 2) == 3
    finally:
        running.stop()


@pytest.fixture
def attached(make_front: Make) -> Iterator[tuple[Front, Running]]:
    front = make_front()
    running = Running(front, Path(front.environment["TMPDIR"]), preload=True)
    running.start()
    front.until(running.socket.exists, "the pool's socket")
    yield front.start("-c", "2", SUPERVISE_SOCKET=str(running.socket)), running
    if running.process.poll() is None:
        running.stop()


def test_a_front_attaches_to_a_running_supervise(attached: tuple[Front, Running]) -> None:
    front, running = attached
    assert front.get("add", 1, 2) == 3
    one, worker = front.hold("one")
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        one.get(timeout=60)
    assert front.stop() == 0
    assert running.process.poll() is None  # it is not the front's to stop
    front.start("-c", "2", SUPERVISE_SOCKET=str(running.socket))
    assert front.get("add", 2, 2) == 4


def test_a_front_waits_for_its_supervise_to_come_back(attached: tuple[Front, Running]) -> None:
    front, running = attached
    assert front.get("add", 1, 2) == 3
    running.stop()
    result = front.send("add", 2, 3)
    front.until(lambda: result.id in front.log(), "the task to be there")
    running.start()
    assert result.get(timeout=60) == 5
    assert "There is a supervise again" in front.log()


def test_what_runs_when_a_cold_front_leaves_a_supervise_that_stays(attached: tuple[Front, Running]) -> None:
    front, running = attached
    one, worker = front.hold("one", "hold_late")
    front.signal(signal.SIGQUIT)
    front.wait()
    front.until(lambda: not os.path.exists(f"/proc/{worker}"), "its worker to end")
    front.release("one")
    front.start("-c", "2", SUPERVISE_SOCKET=str(running.socket))
    assert one.get(timeout=60) == "one"


def test_workers_have_the_applications_own_variables(make_front: Make) -> None:
    """It may be a client of another supervise. What is meant for the supervisor alone, they have not."""
    source = """
@app.task
def variables():
    return {name: value for name, value in os.environ.items() if name.startswith("SUPERVISE_")}
"""
    front = make_front(source).start("-c", "1", SUPERVISE_OF_OTHERS="/run/others.sock", SUPERVISE_TIER="D")
    found = front.get("variables")
    assert found["SUPERVISE_OF_OTHERS"] == "/run/others.sock"
    assert found["SUPERVISE_POOL"] == "celery"
    assert not {"SUPERVISE_TIER", "SUPERVISE_PYTHON_PACKAGE"} & set(found)


def test_workers_that_are_spawned(make_front: Make) -> None:
    source = 'app.conf.supervise_config["pool"] = {"preload": False}\n'
    front = make_front(source).start("-c", "2", "--max-tasks-per-child", "3")
    assert [front.get("add", number, 1) for number in range(10)] == list(range(1, 11))
    assert "/ForkPoolWorker-1]" in front.log() or "/ForkPoolWorker-2]" in front.log()
    assert front.stop() == 0


EMBEDDED = """
import os
from celery import Celery
from parts import Count

def main():
    app = Celery("embedded")
    app.add_defaults({
        "broker_url": os.environ["TEST_BROKER"],
        "result_backend": os.environ["TEST_BACKEND"],
        "worker_pool": "supervise.celery:TaskPool",
        "supervise_config": {"supervisor": {"cgroup_root": os.environ["TEST_CGROUP"]}},
        "task_time_limit": 51,
    })
    app.register_task(Count)
    app.worker_main(["worker", "-c", "1", "-l", "INFO"])

if __name__ == "__main__":
    main()
"""

PARTS = """
from celery import Task

class Count(Task):
    name = "count"

    def run(self, text):
        return [len(text), self.app.conf.task_time_limit]
"""


def test_an_application_that_is_in_no_module(make_front: Make) -> None:
    front = make_front()
    (front.folder / "embedded.py").write_text(EMBEDDED)
    (front.folder / "parts.py").write_text(PARTS)
    front.run([sys.executable, "embedded.py"])
    assert front.app.send_task("count", ["four"]).get(timeout=60) == [4, 51]
    assert front.stop() == 0


DJANGO_SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
USE_TZ = True
CELERY_TASK_TIME_LIMIT = 50
"""

DJANGO_SOURCE = """
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.fixups.clear()
from celery.fixups.django import fixup
fixup(app)
app.autodiscover_tasks()
"""

DJANGO_TASKS = """
from celery import shared_task

@shared_task
def count():
    from django.db import connection
    with connection.cursor() as cursor:
        cursor.execute("select 41 + 1")
        return cursor.fetchone()[0]

@shared_task
def is_connected():
    from django.db import connection
    from celery import current_app
    return [connection.connection is not None, current_app.conf.task_time_limit]
"""


@pytest.mark.parametrize("preload", [True, False])
def test_django(make_front: Make, preload: bool) -> None:
    if importlib.util.find_spec("django") is None:
        pytest.skip("there is no Django")
    source = DJANGO_SOURCE + f'app.conf.supervise_config["pool"] = {{"preload": {preload}}}\n'
    front = make_front(source)
    (front.folder / "settings.py").write_text(DJANGO_SETTINGS)
    (front.folder / "shop").mkdir()
    (front.folder / "shop" / "__init__.py").touch()
    (front.folder / "shop" / "models.py").touch()
    (front.folder / "shop" / "tasks.py").write_text(DJANGO_TASKS)
    front.start("-c", "1", DJANGO_SETTINGS_MODULE="settings")
    count, is_connected = (f"shop.tasks.{name}" for name in ("count", "is_connected"))
    assert front.app.send_task(count).get(timeout=60) == 42
    # Closed after each task, by the fixup that worker_init installs; and the settings are the front's.
    assert front.app.send_task(is_connected).get(timeout=60) == [False, 50]
