"""The template: a real process that forks real workers."""

from __future__ import annotations

import os
from pathlib import Path

from template_process import TemplateProcess

from supervise import _frames as frames
from supervise import _messages as m

TASKS = """
    import os, random

    @supervise.task
    def echo(value):
        return value

    @supervise.task
    def parent():
        return os.getppid()
"""


def test_a_forked_worker_runs_jobs(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        assert template.start_and_check() == []
        with template.fork() as worker:
            assert worker.begun() == (0, 0)
            assert worker.run(41, "app.echo", "text") == m.Done("text")
            assert worker.begun() == (41, 1)
            assert worker.result("app.parent") == os.getpid()
            worker.send(frames.RETIRE)
            assert worker.exit_code() == 0
            assert worker.stderr() == ""
        template.send(frames.RETIRE)
        assert template.exit_code() == 0
        assert template.stderr() == ""
