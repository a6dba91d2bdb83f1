"""How a worker comes up, and how it says that it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from worker_process import MAIN, WorkerProcess

from supervise import _messages as m


def start_failed(worker: WorkerProcess) -> m.StartFailed:
    worker.welcome()
    message = worker.receive()
    assert isinstance(message, m.StartFailed)
    assert worker.exit_code() == 1
    return message


def test_an_import_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    source = """
        def load():
            raise ZeroDivisionError("at import")
        load()
    """
    with WorkerProcess(tmp_path, source) as worker:
        failed = start_failed(worker)
        assert failed.error_type == "ZeroDivisionError"
        assert failed.message.startswith("at import\n")
        assert failed.message.endswith('raise ZeroDivisionError("at import")')
        assert "ZeroDivisionError: at import" in worker.stderr()


def test_a_very_long_import_error_still_fits(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, 'raise ValueError("é" * 5000)') as worker:
        failed = start_failed(worker)
        assert failed.message.startswith("ééé")
        assert "é" * 5000 in worker.stderr()


@pytest.mark.parametrize("statement", ["raise SystemExit(0)", "raise KeyboardInterrupt"])
def test_an_application_that_exits_at_import_is_a_failed_start(tmp_path: Path, statement: str) -> None:
    with WorkerProcess(tmp_path, statement) as worker:
        start_failed(worker)


def test_an_application_without_tasks_is_told_how_to_mark_one(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "") as worker:
        failed = start_failed(worker)
        assert "@supervise.task" in failed.message
        assert "@supervise.task" in worker.stderr()


def test_a_missing_application_is_told_where_it_was_looked_for(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "", app="present") as worker:
        worker.channel.close()
        worker.exit_code()
    (tmp_path / "present.py").unlink()
    with WorkerProcess(tmp_path, "import nowhere.at_all") as worker:
        failed = start_failed(worker)
        assert failed.error_type == "ModuleNotFoundError"
        assert "No module named 'nowhere'" in failed.message
        assert "module_path" not in failed.message  # the application itself was found


def test_an_application_that_is_not_found_is_told_what_to_set(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "", app="shop.tasks") as worker:
        failed = start_failed(worker)
        assert str(tmp_path) in failed.message
        assert "module_path" in failed.message


def test_the_package_s_own_modules_do_not_shadow_the_application_s(tmp_path: Path) -> None:
    (tmp_path / "_ids.py").write_text("MINE = 5\n")
    source = """
        import _ids, sys

        @supervise.task
        def mine():
            return _ids.MINE

        @supervise.task
        def path():
            return sys.path[0]
    """
    with WorkerProcess(tmp_path, source) as worker:
        worker.start()
        assert worker.run(1, "app.mine") == m.Done(5)
        assert worker.run(2, "app.path") == m.Done(str(tmp_path))


def test_another_package_of_that_name_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "supervise").mkdir()
    (tmp_path / "supervise" / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    source = """
        @supervise.task
        def where():
            return supervise.__file__
    """
    with WorkerProcess(tmp_path, source) as worker:
        worker.start()
        assert worker.run(1, "app.where") == m.Done(str(MAIN.with_name("__init__.py")))


def test_a_worker_loads_neither_asyncio_nor_the_clients(tmp_path: Path) -> None:
    source = """
        import sys

        @supervise.task
        def heavy():
            heavy = {"asyncio", "logging", "concurrent.futures", "supervise._client", "inspect"}
            return ",".join(sorted(heavy & set(sys.modules)))
    """
    with WorkerProcess(tmp_path, source) as worker:
        worker.start()
        ours = worker.run(1, "app.heavy")
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(','.join(sorted(sys.modules)))"],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert isinstance(ours, m.Done)
    assert isinstance(ours.id, str)
    # The site's own start-up may have loaded some already.
    assert set(ours.id.split(",")) - {""} <= set(bare.stdout.strip().split(","))


def test_without_a_supervisor_it_says_what_it_is() -> None:
    for arguments, code in ((["app"], 70), ([], 64), (["app", "--path"], 64), (["a", "b"], 64)):
        run = subprocess.run(
            [sys.executable, str(MAIN), *arguments],
            text=True,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        assert run.returncode == code
        assert "Traceback" not in run.stderr
        assert run.stderr.count("\n") == 1


def test_no_task_is_registered_twice_when_submodules_import_each_other(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(
        "import supervise\n@supervise.task(name='short')\ndef long_name(): return 7\n"
    )
    with WorkerProcess(tmp_path, "import more") as worker:
        assert [task.name for task in worker.start()] == ["short"]
        assert worker.run(1, "short") == m.Done(7)
