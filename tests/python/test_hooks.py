"""before_fork and after_fork: when they run, and what happens when one fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from template_process import TemplateProcess
from worker_process import Peer, WorkerProcess

import supervise
from supervise import _frames as frames
from supervise import _messages as m

HOOKS = """
    import os
    SEEN = []

    @supervise.after_fork
    def late():
        SEEN.append(f"late {os.getpid()}")

    @supervise.before_fork
    def first():
        SEEN.append(f"first {os.getpid()}")

    @supervise.before_fork
    def second():
        SEEN.append(f"second {os.getpid()}")

    @supervise.after_fork
    def later():
        SEEN.append(f"later {os.getpid()}")

    @supervise.task
    def seen():
        return ", ".join(SEEN)
"""


def test_hooks_run_in_their_order_around_the_fork(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, HOOKS) as template:
        template.start_and_check()
        for number in (1, 2):
            with template.fork(number) as worker:
                before = f"first {template.pid}, second {template.pid}"
                after = f"late {worker.pid}, later {worker.pid}"
                assert worker.result("app.seen") == f"{before}, {after}"


def test_a_spawned_worker_runs_both(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, HOOKS) as worker:
        worker.start()
        order = ", ".join(f"{name} {worker.pid}" for name in ("first", "second", "late", "later"))
        assert worker.result("app.seen") == order


def test_before_fork_may_make_a_fork_safe(tmp_path: Path) -> None:
    source = """
        import threading
        STOP = threading.Event()
        THREAD = threading.Thread(target=STOP.wait)
        THREAD.start()

        @supervise.before_fork
        def stop():
            STOP.set()
            THREAD.join()

        @supervise.task
        def noop(): pass
    """
    with TemplateProcess(tmp_path, source) as template:
        assert template.start_and_check() == []


FAILING = """
    @supervise.{hook}
    def breaks():
        raise ValueError("no such database")

    @supervise.task
    def noop(): pass
"""


def failed(peer: Peer, hook: str) -> None:
    message = peer.receive()
    assert isinstance(message, m.StartFailed)
    assert message.error_type == "ValueError"
    first, rest = message.message.split("\n", 1)
    assert first.startswith(f"the {hook} hook app.breaks ({peer.folder}/app.py:")
    assert first.endswith(") failed: no such database")
    assert rest.endswith('raise ValueError("no such database")')
    assert peer.exit_code() == 1
    assert "ValueError: no such database" in peer.stderr()


def test_a_before_fork_hook_that_fails_is_a_failed_start_of_the_template(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, FAILING.format(hook="before_fork")) as template:
        template.welcome()
        failed(template, "before_fork")


def test_an_after_fork_hook_that_fails_is_a_failed_start_of_the_worker(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, FAILING.format(hook="after_fork")) as template:
        template.start_and_check()
        with template.ask_for(1) as worker:
            forked = template.receive()
            assert isinstance(forked, m.Forked)
            worker.pid = forked.pid
            failed(worker, "after_fork")
        assert template.receive_pong() == 5


@pytest.mark.parametrize("hook", ["before_fork", "after_fork"])
def test_a_hook_that_fails_is_a_failed_start_of_a_spawned_worker(tmp_path: Path, hook: str) -> None:
    with WorkerProcess(tmp_path, FAILING.format(hook=hook)) as worker:
        worker.welcome()
        failed(worker, hook)


def test_an_after_fork_hook_that_exits_is_a_failed_start(tmp_path: Path) -> None:
    source = FAILING.format(hook="after_fork").replace('raise ValueError("no such database")', "exit(0)")
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.ask_for(1) as worker:
            forked = template.receive()
            assert isinstance(forked, m.Forked)
            worker.pid = forked.pid
            assert isinstance(worker.receive(), m.StartFailed)
            assert worker.exit_code() == 1


def test_what_a_hook_prints_goes_to_the_worker_s_own_output(tmp_path: Path) -> None:
    source = """
        supervise.after_fork(lambda: print("ready soon", end=""))

        @supervise.task
        def noop(): pass
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            worker.send(frames.RETIRE)
            assert worker.exit_code() == 0
            assert worker.stdout.read() == "ready soon"


@pytest.mark.parametrize("mark", [supervise.before_fork, supervise.after_fork])
def test_what_cannot_be_a_hook_is_refused(mark: object) -> None:
    assert callable(mark)

    async def coroutine() -> None: ...

    with pytest.raises(TypeError, match="marks a function, not 5"):
        mark(5)
    with pytest.raises(TypeError, match=r"coroutine is a coroutine function.*asyncio\.run"):
        mark(coroutine)
