"""The template: a real process that forks real workers."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from template_process import TemplateProcess

from supervise import _frames as frames
from supervise import _messages as m

TASKS = """
    import os

    @supervise.task
    def echo(value):
        return value

    @supervise.task
    def parent():
        return os.getppid()
"""


def descriptors(pid: int) -> dict[int, str]:
    folder = f"/proc/{pid}/fd"
    return {int(fd): os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)}


def test_a_forked_worker_runs_jobs(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        assert template.start_and_check() == []
        with template.fork() as worker:
            assert worker.begun() == (0, 0)
            assert worker.run(41, "app.echo", "text") == m.Done("text")
            assert worker.begun() == (41, 1)
            worker.send(frames.RETIRE)
            assert worker.exit_code() == 0
            assert worker.stderr() == ""


def test_a_forked_worker_is_a_child_of_the_supervisor(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.result("app.parent") == os.getpid()
            assert os.getsid(worker.pid) == worker.pid


def test_workers_outlive_their_template(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        with template.fork(1) as one, template.fork(2) as two:
            os.kill(template.pid, signal.SIGKILL)
            assert template.exit_code() == -signal.SIGKILL
            assert one.result("app.echo", 1) == 1
            os.kill(two.pid, signal.SIGKILL)
            assert two.exit_code() == -signal.SIGKILL
            assert one.result("app.parent") == os.getpid()
            one.send(frames.RETIRE)
            assert one.exit_code() == 0


def test_each_fork_is_answered_in_order_with_its_number(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        workers = [template.ask_for(number) for number in (7, 8, 9)]
        for number, worker in zip((7, 8, 9), workers):
            forked = template.receive()
            assert isinstance(forked, m.Forked)
            assert (forked.number, forked.message) == (number, "")
            worker.pid = forked.pid
        for worker in workers:
            with worker:
                assert worker.receive() == m.Ready()
                assert worker.result("app.echo", "each") == "each"


def test_a_worker_has_no_descriptor_but_its_own(tmp_path: Path) -> None:
    source = (
        TASKS
        + """
    FILE = open(os.path.join(os.path.dirname(__file__), "kept"), "w")
    """
    )
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        before = descriptors(template.pid)
        with template.fork(1) as one, template.fork(2) as two:
            assert template.receive_pong() == 5
            assert descriptors(template.pid) == before
            for worker in (one, two):
                # 0 to 3, the application's file, and the mapping's own descriptor of the mark.
                names = descriptors(worker.pid)
                assert sorted(names)[:4] == [0, 1, 2, 3]
                rest = sorted(names[fd] for fd in names if fd > 3)
                assert rest == sorted([str(tmp_path / "kept"), "/memfd:mark (deleted)"])
            assert descriptors(one.pid)[3] != descriptors(two.pid)[3]
            assert descriptors(template.pid)[3] not in descriptors(one.pid).values()


def test_low_descriptors_that_the_application_closed_do_no_harm(tmp_path: Path) -> None:
    source = TASKS + "    os.close(0); os.close(1)\n"
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.result("app.echo", 5) == 5
            assert descriptors(worker.pid)[0] == "/dev/null"
            assert descriptors(worker.pid)[1].startswith("pipe:")


def test_a_template_registers_the_tasks_and_answers_ping(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.welcome()
        register = template.receive()
        assert isinstance(register, m.Register)
        assert {task.name for task in register.tasks} == {"app.echo", "app.parent"}
        assert template.receive() == m.Ready()
        assert template.receive_pong() == 5


@pytest.mark.parametrize("how", ["retire", "end of stream"])
def test_a_template_ends_with_0_and_its_workers_stay(tmp_path: Path, how: str) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        with template.fork() as worker:
            if how == "retire":
                template.send(frames.RETIRE)
            else:
                template.channel.close()
            assert template.exit_code() == 0
            assert template.stderr() == ""
            assert worker.result("app.echo", 3) == 3


def test_term_ends_a_template_whatever_the_application_made_of_it(tmp_path: Path) -> None:
    source = TASKS + "    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        os.kill(template.pid, signal.SIGTERM)
        assert template.exit_code() == -signal.SIGTERM


def test_a_template_that_cannot_import_says_so(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, "raise ZeroDivisionError('at import')") as template:
        template.welcome()
        failed = template.receive()
        assert isinstance(failed, m.StartFailed)
        assert failed.error_type == "ZeroDivisionError"
        assert failed.message.startswith("at import\n")
        assert template.exit_code() == 1


@pytest.mark.parametrize("count", [0, 3, 5, 7])
def test_a_fork_with_a_wrong_number_of_descriptors_ends_the_template(tmp_path: Path, count: int) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        template.send_fork(frames.FORK_BODY.pack(1, 0, 0), [1] * count)
        assert template.exit_code() == 70
        assert f"a FORK with {count} descriptors instead of 4" in template.stderr()


def test_a_frame_that_is_not_for_a_template_ends_it(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        template.send(frames.TRIM)
        assert template.exit_code() == 70
        assert "a Trim, which is not for a template" in template.stderr()


def test_a_template_without_room_for_the_descriptors_goes_on(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        used = max(descriptors(template.pid)) + 1
        hard = resource.prlimit(template.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(template.pid, resource.RLIMIT_NOFILE, (used + 2, hard))
        with template.ask_for(1):
            answer = template.receive()
            assert answer == m.Forked(1, 0, "EMFILE: Too many open files")
        resource.prlimit(template.pid, resource.RLIMIT_NOFILE, (hard, hard))
        with template.fork(2) as worker:
            assert worker.result("app.echo", 1) == 1


def test_a_group_that_is_none_is_a_failed_fork(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        with template.ask_for(1, group=folder):
            answer = template.receive()
            assert isinstance(answer, m.Forked)
            assert (answer.number, answer.pid) == (1, 0)
            assert answer.message == "EBADF: Bad file descriptor"
        with template.fork(2) as worker:
            assert worker.result("app.echo", 1) == 1
    os.close(folder)


THREAD_ID = """
    import threading, time

    @supervise.task
    def thread_id():
        clock = time.pthread_getcpuclockid(threading.get_ident())
        return ~(clock >> 3)  # of which the library makes a thread's clock, clock_getcpuclockid(3)
"""
REFUSED = """
    import ctypes, errno, supervise._fork

    def refused(self, group):
        ctypes.set_errno(errno.EPERM)
        return -1

    supervise._fork.Forker._clone3 = refused
"""


def test_where_clone3_is_refused_clone_does(tmp_path: Path) -> None:
    """Filters of older containers do. A child of clone(2) is as good, but for its group."""
    with TemplateProcess(tmp_path, TASKS + REFUSED) as template:
        template.start_and_check()
        group = os.open(tmp_path, os.O_RDONLY)
        with template.ask_for(1, group=group):
            assert template.receive() == m.Forked(1, 0, "EPERM: Operation not permitted")
        os.close(group)
        for number in (2, 3):
            with template.fork(number) as worker:
                assert worker.result("app.parent") == os.getpid()
                worker.send(frames.RETIRE)
                assert worker.exit_code() == 0


@pytest.mark.parametrize("refused", ["", REFUSED], ids=["clone3", "clone"])
def test_the_c_library_of_a_worker_knows_the_thread_s_id(tmp_path: Path, refused: str) -> None:
    with TemplateProcess(tmp_path, THREAD_ID + refused) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.result("app.thread_id") == worker.pid


def test_a_worker_writes_0_to_each_group_that_it_joins(tmp_path: Path) -> None:
    files = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("tasks", "procs")]
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        with template.ask_for(1, joins=files) as worker:
            forked = template.receive()
            assert isinstance(forked, m.Forked)
            worker.pid = forked.pid
            assert worker.receive() == m.Ready()
            assert [os.pread(file, 9, 0) for file in files] == [b"0", b"0"]
    for file in files:
        os.close(file)


def test_a_worker_that_cannot_join_says_so_and_ends(tmp_path: Path) -> None:
    unwritable = os.open("/dev/null", os.O_RDONLY)
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        with template.ask_for(1, joins=[unwritable]) as worker:
            forked = template.receive()
            assert isinstance(forked, m.Forked)
            worker.pid = forked.pid
            failed = worker.receive()
            assert isinstance(failed, m.StartFailed)
            assert "joining a cgroup: Bad file descriptor" in failed.message
            assert worker.exit_code() == 1
            assert "joining a cgroup" in worker.stderr()
        assert template.receive_pong() == 5
    os.close(unwritable)


def test_a_worker_s_channel_ends_with_the_worker(tmp_path: Path) -> None:
    """No other process, the template included, may hold it open."""
    with TemplateProcess(tmp_path, TASKS) as template:
        template.start_and_check()
        with template.fork(1) as one, template.fork(2):
            os.kill(one.pid, signal.SIGKILL)
            one.exit_code()
            assert one.channel.recv(1025) == b""
            with pytest.raises(BrokenPipeError):
                one.channel.send(b"x")
