"""SIGUSR1: an exception in the job whose soft deadline has passed, and nothing else ever."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from worker_process import WorkerProcess

from supervise import _messages as m

SOURCE = """
    import os, threading

    def wait_for_signal(path):
        # Nobody writes to the FIFO: only a signal's exception ends the wait.
        with open(path) as gate:
            gate.read()

    @supervise.task
    def waits(path):
        wait_for_signal(path)

    @supervise.task
    def cleans_up(path):
        try:
            wait_for_signal(path)
        except supervise.SoftTimeLimitExceeded:
            return "cleaned up"

    @supervise.task
    def cleans_up_and_is_signalled_again(path):
        try:
            wait_for_signal(path)
        except supervise.SoftTimeLimitExceeded:
            os.kill(os.getpid(), __import__("signal").SIGUSR1)
            return "once"

    @supervise.task
    def echo(value):
        return value

    @supervise.task
    def spins(count):
        for _ in range(count):
            pass
        return count
"""


def begin_and_signal(worker: WorkerProcess, folder: Path, task: str, soft: int) -> m.Report:
    """Sends SIGUSR1 when the job has begun, and ends the wait if that did not."""
    gate = folder / "gate"
    gate.unlink(missing_ok=True)
    os.mkfifo(gate)
    worker.begin(1, task, str(gate), soft=soft)
    with gate.open("w"):  # opens when the job has
        os.kill(worker.pid, signal.SIGUSR1)
        if soft and soft <= time.monotonic_ns():
            return worker.report(1)
        worker.begin(2, "app.echo", 2)  # another frame waits; the signal must not touch it
    report = worker.report(1)
    assert worker.report(2) == m.Done(2)
    return report


def test_a_job_past_its_soft_deadline_gets_the_exception(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, SOURCE) as worker:
        worker.start()
        report = begin_and_signal(worker, tmp_path, "app.waits", time.monotonic_ns())
        assert isinstance(report, m.Failed)
        assert report.error_type == "supervise._errors.SoftTimeLimitExceeded"
        assert "soft time limit" in report.message
        assert "in wait_for_signal" in report.traceback
        assert worker.run(3, "app.echo", 3) == m.Done(3)


def test_a_job_may_clean_up_and_return(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, SOURCE) as worker:
        worker.start()
        report = begin_and_signal(worker, tmp_path, "app.cleans_up", time.monotonic_ns())
        assert report == m.Done("cleaned up")


def test_the_exception_comes_once(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, SOURCE) as worker:
        worker.start()
        task = "app.cleans_up_and_is_signalled_again"
        assert begin_and_signal(worker, tmp_path, task, time.monotonic_ns()) == m.Done("once")


def test_a_job_before_its_soft_deadline_ignores_the_signal(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, SOURCE) as worker:
        worker.start()
        later = time.monotonic_ns() + 3600 * 10**9
        assert begin_and_signal(worker, tmp_path, "app.waits", later) == m.Done(None)


def test_a_job_without_a_soft_limit_ignores_the_signal(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, SOURCE) as worker:
        worker.start()
        assert begin_and_signal(worker, tmp_path, "app.waits", 0) == m.Done(None)


def test_an_idle_worker_ignores_the_signal(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, SOURCE) as worker:
        worker.start()
        assert worker.run(1, "app.echo", 1, soft=1) == m.Done(1)
        for _ in range(20):
            os.kill(worker.pid, signal.SIGUSR1)
        assert worker.run(2, "app.echo", 2) == m.Done(2)


def test_signals_at_any_moment_give_one_report_a_job(tmp_path: Path) -> None:
    """Jobs of every length, past their deadline, under a hail of signals: the loop never dies."""
    with WorkerProcess(tmp_path, SOURCE) as worker:
        worker.start()
        over = threading.Event()

        def hail() -> None:
            while not over.is_set():
                os.kill(worker.pid, signal.SIGUSR1)

        thread = threading.Thread(target=hail)
        thread.start()
        try:
            done = failed = 0
            for job in range(1, 301):
                # The longest outlasts the hailing thread's turn on one CPU.
                report = worker.run(job, "app.spins", 10 ** (job % 7), soft=1)
                if isinstance(report, m.Failed):
                    assert report.error_type == "supervise._errors.SoftTimeLimitExceeded"
                    failed += 1
                else:
                    assert report == m.Done(10 ** (job % 7))
                    done += 1
        finally:
            over.set()
            thread.join()
        assert done + failed == 300
        assert failed > 0
        assert worker.run(9999, "app.echo", 1) == m.Done(1)
