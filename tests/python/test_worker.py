"""The worker's loop: a real process on a real socketpair."""

from __future__ import annotations

import os
import signal
import struct
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from worker_process import WorkerProcess, job_frame

from supervise import _frames as frames
from supervise import _messages as m

TASKS = """
    import os, sys, time, uuid

    @supervise.task
    def echo(value):
        return value

    @supervise.task(time_limit=60, soft_time_limit=1.5, retries=2)
    def nothing(*ids):
        print("ids", *ids)

    @supervise.task
    def fails(number):
        raise ValueError(f"no report {number}")

    class Odd(Exception):
        class Inner(Exception):
            def __str__(self):
                raise RuntimeError("no words")

    @supervise.task
    def fails_oddly():
        raise Odd.Inner()

    @supervise.task
    def fails_because():
        try:
            {}["key"]
        except KeyError as error:
            raise OSError("second") from error

    @supervise.task
    def exits():
        sys.exit(3)

    @supervise.task
    def interrupts():
        raise KeyboardInterrupt

    @supervise.task
    def returns_a_dict():
        return {"rows": 10}

    @supervise.task
    def says_job():
        job = supervise.current_job()
        return f"{job.id} {job.task} {job.attempt} {job.deadline}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_worker_says_who_it_is_and_what_it_can_do(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        hello = worker.welcome()
        assert (hello.role, hello.pid) == (frames.WORKER, worker.pid)
        register = worker.receive()
        assert isinstance(register, m.Register)
        assert m.TaskInfo("app.echo", None, None, None) in register.tasks
        assert m.TaskInfo("app.nothing", 1500, 60_000, 2) in register.tasks
        assert worker.receive() == m.Ready()


def test_ids_go_in_and_one_comes_back(folder: Path) -> None:
    key = uuid.uuid4()
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        values: list[Any] = [0, -(2**63), 2**63 - 1, key, "", "ключ 🔑", "x" * 255]
        for job, value in enumerate(values, 1):
            assert worker.run(job, "app.echo", value) == m.Done(value)
        assert worker.run(90, "app.nothing", 1, key, "text") == m.Done(None)
        assert worker.stdout.readline() == f"ids 1 {key} text\n"
        assert worker.run(91, "app.nothing") == m.Done(None)


def test_a_failed_job_has_a_short_traceback_and_the_worker_lives_on(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        report = worker.run(1, "app.fails", 42)
        assert isinstance(report, m.Failed)
        assert (report.error_type, report.message) == ("ValueError", "no report 42")
        assert f'File "{folder}/app.py"' in report.traceback
        assert 'raise ValueError(f"no report {number}")' in report.traceback
        assert "_worker" not in report.traceback
        assert worker.run(2, "app.echo", 1) == m.Done(1)


def test_a_chained_failure_names_its_cause(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        report = worker.run(1, "app.fails_because")
        assert isinstance(report, m.Failed)
        assert report.error_type == "OSError"
        assert "KeyError: 'key'" in report.traceback
        assert "was the cause of" in report.traceback


def test_an_exception_without_words_is_reported_all_the_same(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        report = worker.run(1, "app.fails_oddly")
        assert isinstance(report, m.Failed)
        assert report.error_type == "app.Odd.Inner"
        assert report.message == "<its message raised RuntimeError>"


@pytest.mark.parametrize(
    ("task", "kind"), [("app.exits", "SystemExit"), ("app.interrupts", "KeyboardInterrupt")]
)
def test_an_exit_within_a_job_fails_the_job_only(folder: Path, task: str, kind: str) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        report = worker.run(1, task)
        assert isinstance(report, m.Failed)
        assert report.error_type == kind
        assert worker.run(2, "app.echo", 1) == m.Done(1)


def test_a_result_that_is_no_id_fails_the_job_and_says_what_to_do(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        report = worker.run(1, "app.returns_a_dict")
        assert isinstance(report, m.Failed)
        assert report.error_type == "supervise._errors.NotAnId"
        assert "the result is a dict" in report.message
        assert "return its ID" in report.message


def test_a_long_failure_keeps_its_traceback_s_last_lines(folder: Path) -> None:
    source = """
        def deeper(number):
            if number:
                deeper(number - 1)
            raise ValueError("m" * 300)

        @supervise.task
        def deep():
            deeper(50)
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        report = worker.run(1, "app.deep")
        assert isinstance(report, m.Failed)
        assert report.message == "m" * 300
        assert report.traceback.startswith("...\n  ")
        assert report.traceback.endswith('raise ValueError("m" * 300)\n')


def test_a_job_knows_itself(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        assert worker.run(5, "app.says_job") == m.Done("5 app.says_job 1 None")
        report = worker.run(6, "app.says_job", attempt=3, deadline=2_500_000_000)
        assert report == m.Done("6 app.says_job 3 2.5")


def test_outside_of_a_job_there_is_no_current_job() -> None:
    import supervise

    assert supervise.current_job() is None


def test_what_a_job_prints_is_there_before_it_ends(folder: Path) -> None:
    source = """
        @supervise.task
        def speaks(path):
            print("a line")
            with open(path) as gate:  # a FIFO: opens when the test has read the line
                gate.read()
            print("no newline", end="")
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        os.mkfifo(folder / "gate")
        worker.begin(1, "app.speaks", str(folder / "gate"))
        assert worker.stdout.readline() == "a line\n"
        (folder / "gate").write_text("go")
        assert worker.report(1) == m.Done(None)
        assert os.read(worker.stdout.fileno(), 100) == b"no newline"


def test_the_next_frame_is_not_read_while_a_job_runs(folder: Path) -> None:
    source = """
        import fcntl, struct, termios

        @supervise.task
        def unread(path):
            with open(path) as gate:
                gate.read()
            return struct.unpack("i", fcntl.ioctl(3, termios.FIONREAD, b"0000"))[0]

        @supervise.task
        def noop(): pass
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        os.mkfifo(folder / "gate")
        worker.begin(1, "app.unread", str(folder / "gate"))
        worker.begin(2, "app.noop")
        (folder / "gate").write_text("go")
        assert worker.report(1) == m.Done(len(job_frame(2, "app.noop")))
        assert worker.report(2) == m.Done(None)


def test_ping_and_trim_are_answered_between_jobs(folder: Path) -> None:
    source = """
        class Ring: pass

        @supervise.task
        def leave_garbage():
            import gc
            gc.collect()
            gc.disable()
            for _ in range(1000):
                ring = Ring()
                ring.itself = ring
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        worker.send(frames.PING, struct.pack("<Q", 99))
        assert worker.receive() == m.Pong(99)
        assert worker.run(1, "app.leave_garbage") == m.Done(None)
        worker.send(frames.TRIM)
        trimmed = worker.receive()
        assert isinstance(trimmed, m.Trimmed)
        assert trimmed.collected >= 1000


def test_retire_ends_it_after_atexit_functions(folder: Path) -> None:
    source = (
        TASKS
        + """
    import atexit
    atexit.register(print, "goodbye")
    """
    )
    with WorkerProcess(folder, source) as worker:
        worker.start()
        worker.begin(1, "app.echo", 1)
        worker.send(frames.RETIRE)
        assert worker.report(1) == m.Done(1)
        assert worker.exit_code() == 0
        assert worker.stdout.read() == "goodbye\n"
        assert worker.stderr() == ""


def test_a_thread_of_the_application_does_not_hold_the_exit(folder: Path) -> None:
    source = (
        TASKS
        + """
    import threading
    threading.Thread(target=threading.Event().wait, name="forgotten").start()
    """
    )
    with WorkerProcess(folder, source) as worker:
        worker.start()
        began = time.monotonic()
        worker.send(frames.RETIRE)
        assert worker.exit_code() == 0
        assert time.monotonic() - began < 15
        assert "forgotten still runs" in worker.stderr()


def test_the_supervisor_s_end_is_the_worker_s(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        worker.channel.close()
        assert worker.exit_code() == 0
        assert worker.stderr() == ""


def test_a_job_is_finished_though_the_supervisor_is_gone(folder: Path) -> None:
    source = """
        @supervise.task
        def last(gate, path):
            with open(gate) as file:
                file.read()
            with open(path, "w") as file:
                file.write("done")
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        os.mkfifo(folder / "gate")
        worker.begin(1, "app.last", str(folder / "gate"), str(folder / "result"))
        with (folder / "gate").open("w") as gate:  # opens when the job has begun
            worker.channel.close()
            gate.write("go")
        assert worker.exit_code() == 0
        assert (folder / "result").read_text() == "done"
        assert worker.stderr() == ""


def test_a_job_s_child_does_not_inherit_the_channel(folder: Path) -> None:
    source = """
        import subprocess, sys

        @supervise.task
        def look():
            code = "import os; print(os.path.exists('/proc/self/fd/3'))"
            run = subprocess.run([sys.executable, "-c", code], close_fds=False, text=True,
                                 stdout=subprocess.PIPE)
            return run.stdout.strip()
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        assert worker.run(1, "app.look") == m.Done("False")


def test_a_job_can_terminate_the_processes_that_it_started(folder: Path) -> None:
    source = """
        import multiprocessing, signal

        def child(ready):
            ready.release()
            signal.pause()

        @supervise.task
        def terminates():
            fork = multiprocessing.get_context("fork")
            ready = fork.Semaphore(0)
            process = fork.Process(target=child, args=[ready])
            process.start()
            ready.acquire()
            process.terminate()
            process.join()
            return process.exitcode
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        assert worker.run(1, "app.terminates") == m.Done(-signal.SIGTERM)


def test_a_forked_child_that_comes_back_is_ended_and_says_nothing(folder: Path) -> None:
    source = """
        import os

        @supervise.task
        def forks():
            pid = os.fork()
            if pid == 0:
                return 666
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        assert worker.run(1, "app.forks") == m.Done(70)
        assert "forked came back" in worker.stderr()
        assert worker.run(2, "app.forks") == m.Done(70)


def test_term_finishes_the_job_and_exits_with_0(folder: Path) -> None:
    source = """
        @supervise.task
        def waits(path):
            with open(path) as gate:
                gate.read()
            return 1
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        os.mkfifo(folder / "gate")
        worker.begin(1, "app.waits", str(folder / "gate"))
        with (folder / "gate").open("w") as gate:  # opens when the job has begun
            os.kill(worker.pid, signal.SIGTERM)
            gate.write("go")
        assert worker.report(1) == m.Done(1)
        assert worker.exit_code() == 0


def test_int_raises_in_a_job_without_a_soft_limit(folder: Path) -> None:
    source = """
        import supervise, time

        @supervise.task
        def waits(gate: str) -> int:
            try:
                open(gate).read()
            except supervise.SoftTimeLimitExceeded:
                return 7
            return 1
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        os.kill(worker.pid, signal.SIGINT)  # no job: nobody to tell
        os.mkfifo(folder / "gate")
        worker.begin(1, "app.waits", str(folder / "gate"))
        with (folder / "gate").open("w"):  # opens when the job has begun
            os.kill(worker.pid, signal.SIGINT)
            assert worker.report(1) == m.Done(7)


def test_the_mark_names_the_attempt_that_has_begun(folder: Path) -> None:
    mark = os.memfd_create("mark")
    os.truncate(mark, 16)
    with WorkerProcess(folder, TASKS, mark=mark) as worker:
        worker.start()
        assert os.pread(mark, 16, 0) == bytes(16)
        worker.begin(41, "app.nothing")
        worker.report(41)
        assert struct.unpack("<QQ", os.pread(mark, 16, 0)) == (41, 1)
    os.close(mark)


def test_term_ends_an_idle_worker(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        assert worker.run(1, "app.echo", 1) == m.Done(1)
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.exit_code() == 0


def test_the_application_keeps_its_own_signal_handlers(folder: Path) -> None:
    source = """
        import signal
        signal.signal(signal.SIGUSR2, lambda *_: print("usr2"))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        @supervise.task
        def kill():
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGUSR2)
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        assert worker.run(1, "app.kill") == m.Done(None)
        assert worker.stdout.readline() == "usr2\n"


def test_a_job_for_a_task_that_is_not_there_fails(folder: Path) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        report = worker.run(1, "app.missing", 1)
        assert isinstance(report, m.Failed)
        assert "no task 'app.missing'" in report.message


@pytest.mark.parametrize(
    "rubbish",
    [
        b"rubbish",
        b"\x53\x06" + bytes(40),
        job_frame(1, "app.echo", 1) + b"\0",
        job_frame(1, "app.echo", 1)[:-1],
        job_frame(1, "app.echo", "text")[:-1] + b"\xff",
        frames.frame(frames.READY),
        bytes(2000),
    ],
    ids=["text", "zeroes", "long", "short", "not UTF-8", "not for a worker", "too long"],
)
def test_rubbish_ends_the_worker_with_a_message(folder: Path, rubbish: bytes) -> None:
    with WorkerProcess(folder, TASKS) as worker:
        worker.start()
        worker.channel.send(rubbish)
        assert worker.exit_code() == 70
        assert worker.stderr().startswith("supervise: the supervisor sent ")
        assert "Traceback" not in worker.stderr()


def test_a_job_that_closes_the_channel_ends_the_worker_with_a_message(folder: Path) -> None:
    source = """
        import os

        @supervise.task
        def closes():
            os.close(3)
    """
    with WorkerProcess(folder, source) as worker:
        worker.start()
        worker.begin(1, "app.closes")
        assert worker.exit_code() == 70
        assert "descriptor 3) is unusable" in worker.stderr()
