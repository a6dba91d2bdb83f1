"""What an application does at import that a template must come through, or end over with a clear word."""

from __future__ import annotations

from pathlib import Path

import pytest
from template_process import TemplateProcess
from worker_process import WorkerProcess

from supervise import _messages as m

TASKS = """
    import os, signal, sys

    @supervise.task
    def echo(value):
        return value
"""
TIMERS = """
    TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    for timer in TIMERS:
        signal.setitimer(timer, 1000)

    def running():
        return ",".join(str(timer) for timer in TIMERS if any(signal.getitimer(timer)))

    in_template = []
    os.register_at_fork(before=lambda: in_template.append(running()))

    @supervise.task
    def timers():
        return f"{in_template[0]}/{running()}"
"""
# The original waits until the copy has ended, and notes how.
COPY = """
    copy = os.fork()
    ended = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) if copy else None

    @supervise.task
    def how_the_copy_ended():
        return ended
"""


def test_timers_run_neither_in_a_template_nor_in_its_workers(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS + TIMERS) as template:
        assert template.start_and_check() == []
        with template.fork() as worker:
            assert worker.result("app.timers") == "/"
        for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):
            assert f"has set a timer ({name}) at import" in template.stderr()


@pytest.mark.parametrize(
    "end", ["", '    if not copy: raise ValueError("in the copy")', "    copy or sys.exit()"]
)
def test_a_copy_made_at_import_does_not_speak_for_the_template(tmp_path: Path, end: str) -> None:
    with TemplateProcess(tmp_path, TASKS + COPY + end) as template:
        assert template.start_and_check() == []
        with template.fork() as worker:
            assert worker.result("app.how_the_copy_ended") == 70
        said = template.stderr()
        assert said.count("a process that the application forked while it was imported came back") == 1
        assert "could not be imported" not in said


def test_a_copy_made_at_import_does_not_speak_for_a_worker(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, TASKS + COPY) as worker:
        worker.start()
        assert worker.result("app.how_the_copy_ended") == 70
        assert "a process that the application forked while it was imported came back" in worker.stderr()


def test_an_error_while_getting_ready_to_fork_is_a_failed_start(tmp_path: Path) -> None:
    source = (
        TASKS
        + """
    def broken():
        raise OSError(24, "Too many open files", "/proc/self/maps")
    import supervise._fork_safety
    supervise._fork_safety.gpu_contexts = broken
    """
    )
    with TemplateProcess(tmp_path, source) as template:
        template.welcome()
        failed = template.receive()
        assert isinstance(failed, m.StartFailed)
        assert failed.error_type == "OSError"
        assert failed.message.startswith("the template could not get ready to fork: [Errno 24] Too many")
        assert template.exit_code() == 1


def test_an_error_of_the_system_is_told_as_it_is(tmp_path: Path) -> None:
    """And not as one of the channel, which is well."""
    source = (
        TASKS
        + """
    class Random:
        def seed(self, numbers):
            raise OSError(5, "Input/output error", "/mnt/random")
    sys.modules["numpy.random"] = Random()
    """
    )
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.ask_for(1):
            assert template.exit_code() == 1
        assert "OSError: [Errno 5] Input/output error: '/mnt/random'" in template.stderr()
        assert "in _reseed_numpy" in template.stderr()
        assert "descriptor 3" not in template.stderr()
