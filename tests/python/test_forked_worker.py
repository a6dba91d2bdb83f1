"""What a forked worker has fresh, what it keeps of its template, and how it ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from template_process import ForkedWorker, TemplateProcess
from worker_process import WorkerProcess

from supervise import _frames as frames
from supervise import _messages as m


def test_workers_have_random_numbers_of_their_own(tmp_path: Path) -> None:
    source = """
        import os, random, secrets, ssl, tempfile, uuid
        random.seed(1)

        @supervise.task
        def numbers():
            name = next(tempfile._get_candidate_names())
            return f"{random.random()} {secrets.token_hex(4)} {ssl.RAND_bytes(8).hex()} {uuid.uuid1()} {name}"
    """
    with TemplateProcess(tmp_path, source) as template:
        assert template.start_and_check() == []
        with template.fork(1) as one, template.fork(2) as two:
            first, second = one.result("app.numbers"), two.result("app.numbers")
            for mine, yours in zip(first.split(), second.split()):
                assert mine != yours


def test_workers_have_numpy_s_random_numbers_of_their_own(tmp_path: Path, has_numpy: None) -> None:
    source = """
        import numpy.random
        numpy.random.seed(1)

        @supervise.task
        def number():
            return str(numpy.random.random())
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork(1) as one, template.fork(2) as two:
            assert one.result("app.number") != two.result("app.number")


def test_logging_works_though_a_lock_was_held_at_the_fork(tmp_path: Path) -> None:
    source = """
        import logging, os, sys
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        HANDLER = logging.getLogger().handlers[0]
        os.register_at_fork(before=HANDLER.acquire, after_in_parent=HANDLER.release)

        @supervise.task
        def logs():
            logging.warning("a line")
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.result("app.logs") is None
            assert worker.stdout.readline() == "a line\n"


def test_each_worker_prints_to_its_own_output(tmp_path: Path) -> None:
    source = """
        import os, sys
        sys.stdout.write("unfinished at import")
        os.register_at_fork(after_in_parent=lambda: sys.stdout.write(", at a fork"))

        @supervise.task
        def says(what):
            print(what)
            print(what, "wrong", file=sys.stderr)
            os.system("echo of a child")
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork(1) as one, template.fork(2) as two:
            one.result("app.says", "one")
            two.result("app.says", "two")
            one.send(frames.RETIRE)
            two.send(frames.RETIRE)
            assert (one.exit_code(), two.exit_code()) == (0, 0)
            assert one.stdout.read() == "one\nof a child\n"
            assert two.stdout.read() == "two\nof a child\n"
            assert (one.stderr(), two.stderr()) == ("one wrong\n", "two wrong\n")
        template.send(frames.RETIRE)
        assert template.exit_code() == 0
        assert template.stdout.read() == "unfinished at import, at a fork, at a fork"


def test_a_worker_s_threads_and_processes_know_who_they_are(tmp_path: Path) -> None:
    source = """
        import gc, multiprocessing, os, threading

        @supervise.task
        def same():
            main = threading.main_thread()
            assert main is threading.current_thread()
            assert main.ident == threading.get_ident()
            assert threading.get_native_id() == os.getpid()
            assert multiprocessing.current_process().pid == os.getpid()
            assert multiprocessing.parent_process() is None
            assert gc.isenabled() and gc.get_freeze_count() > 1000
            done = []
            thread = threading.Thread(target=lambda: done.append(threading.get_native_id()))
            thread.start()
            thread.join()
            with multiprocessing.get_context("fork").Pool(1) as pool:
                assert pool.apply(os.getppid) == os.getpid()
            assert done != [os.getpid()]
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.run(1, "app.same") == m.Done(None)


def test_the_collector_is_left_off_where_the_application_turned_it_off(tmp_path: Path) -> None:
    source = """
        import gc
        gc.disable()
        gc.set_threshold(123, 4, 5)

        @supervise.task
        def collector():
            return f"{gc.isenabled()} {gc.get_threshold()}"
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.result("app.collector") == "False (123, 4, 5)"


def test_the_collector_is_as_in_a_spawned_worker(tmp_path: Path) -> None:
    source = """
        import gc

        @supervise.task
        def collector():
            return f"{gc.isenabled()} {gc.get_threshold()}"
    """
    with WorkerProcess(tmp_path, source) as spawned:
        spawned.start()
        usual = spawned.result("app.collector")
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.result("app.collector") == usual


def test_processes_are_named_after_pool_and_role(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, "@supervise.task\ndef noop(): pass\n") as template:
        template.start_and_check()
        with template.fork() as worker:
            for process, role in ((template, "template"), (worker, "worker")):
                proc = Path(f"/proc/{process.pid}")
                assert (proc / "comm").read_text() == f"test {role}\n"
                assert (proc / "cmdline").read_bytes() == f"supervise: test {role}\0".encode()


# --- signals


SIGNALS = """
    import signal

    @supervise.task
    def waits(path):
        with open(path) as gate:  # a FIFO that nobody writes to, unless the test does
            gate.read()
        return "went on"

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
"""


def begin(worker: ForkedWorker, folder: Path, soft: int) -> Path:
    os.mkfifo(folder / "gate")
    worker.begin(1, "app.waits", str(folder / "gate"), soft=soft)
    return folder / "gate"


def test_the_soft_limit_s_signal_works(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, SIGNALS) as template:
        template.start_and_check()
        with template.fork() as worker, begin(worker, tmp_path, time.monotonic_ns()).open("w"):
            os.kill(worker.pid, signal.SIGUSR1)
            report = worker.report(1)
            assert isinstance(report, m.Failed)
            assert report.error_type == "supervise._errors.SoftTimeLimitExceeded"


def test_term_finishes_the_job_and_ends_the_worker(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, SIGNALS) as template:
        template.start_and_check()
        with template.fork() as worker:
            with begin(worker, tmp_path, 0).open("w") as gate:
                os.kill(worker.pid, signal.SIGTERM)
                gate.write("go")
            assert worker.report(1) == m.Done("went on")
            assert worker.exit_code() == 0


def test_int_does_nothing_to_a_template_and_ends_a_worker_s_job(tmp_path: Path) -> None:
    with TemplateProcess(tmp_path, SIGNALS) as template:
        template.start_and_check()
        os.kill(template.pid, signal.SIGINT)
        with template.fork() as worker, begin(worker, tmp_path, 0).open("w"):
            os.kill(worker.pid, signal.SIGINT)
            report = worker.report(1)
            assert isinstance(report, m.Failed)
            assert report.error_type == "supervise._errors.SoftTimeLimitExceeded"


# --- the end


def test_the_end_runs_atexit_functions_and_writes_out_files(tmp_path: Path) -> None:
    source = """
        import atexit, os, pathlib
        HERE = pathlib.Path(__file__).parent
        EARLY = open(HERE / "early", "w")
        EARLY.write("written at import\\n")
        atexit.register(lambda: print("goodbye", os.getpid()))

        @supervise.task
        def writes(number):
            global LATE
            LATE = open(HERE / f"late.{number}", "w")
            LATE.write(f"late {number}\\n")
            EARLY.write(f"early {number}\\n")
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        assert (tmp_path / "early").read_text() == "written at import\n"
        for number in (1, 2):
            with template.fork(number) as worker:
                worker.result("app.writes", number)
                worker.send(frames.RETIRE)
                assert worker.exit_code() == 0
                assert worker.stdout.read() == f"goodbye {worker.pid}\n"
                assert (tmp_path / f"late.{number}").read_text() == f"late {number}\n"
        assert (tmp_path / "early").read_text() == "written at import\nearly 1\nearly 2\n"


def test_a_file_that_the_application_dropped_is_not_kept_open(tmp_path: Path) -> None:
    source = """
        import os
        KEPT = open(os.path.join(os.path.dirname(__file__), "kept"), "w")

        @supervise.task
        def drops():
            global KEPT
            descriptor = KEPT.fileno()
            KEPT = None
            return str(os.path.exists(f"/proc/self/fd/{descriptor}"))
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            assert worker.result("app.drops") == "False"


@pytest.mark.parametrize("what", ["a thread", "an atexit function"])
def test_nothing_of_the_application_holds_the_exit_for_ever(tmp_path: Path, what: str) -> None:
    source = """
        import atexit, threading

        @supervise.task
        def holds(what):
            wait = threading.Event().wait
            if what == "a thread":
                threading.Thread(target=wait, name=what).start()
            else:
                atexit.register(wait)
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            worker.result("app.holds", what)
            worker.send(frames.RETIRE)
            assert worker.exit_code() == 0
            assert f"{what} still runs" in worker.stderr()


def test_an_atexit_function_that_fails_does_not_keep_files_from_being_written(tmp_path: Path) -> None:
    source = """
        import atexit, os
        FILE = open(os.path.join(os.path.dirname(__file__), "file"), "w")

        @atexit.register
        def fails():
            raise ValueError("at exit")

        @supervise.task
        def writes():
            FILE.write("text")
    """
    with TemplateProcess(tmp_path, source) as template:
        template.start_and_check()
        with template.fork() as worker:
            worker.result("app.writes")
            worker.send(frames.RETIRE)
            assert worker.exit_code() == 0
            assert (tmp_path / "file").read_text() == "text"
            assert "ValueError: at exit" in worker.stderr()
