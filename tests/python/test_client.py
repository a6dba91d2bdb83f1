"""Client and JobFuture against a fake supervisor on real sockets."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_supervisor import (
    DEAD,
    DONE,
    FAILED,
    LOST,
    FakeSupervisor,
    Peer,
    done_report,
    echo,
    lost_report,
    refused,
    result,
)  # fmt: skip

import supervise
from supervise import _frames as frames
from supervise import _messages as m
from supervise._timeout import WaitTimeout

Start = Callable[..., FakeSupervisor]
Connect = Callable[..., supervise.Client]

FAILURE = frames.failed_report("ValueError", "no report 42", '  File "tasks.py", line 3\n')


def answers(*entries: tuple[int, int, bytes]) -> Any:
    """A handler that accepts all and ends each job with (state, attempts, report) in turn."""
    waiting = list(entries)

    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            for job in peer.supervisor.accept(peer, message):
                state, attempts, report = waiting.pop(0)
                peer.send(result((job, state, attempts, report)))

    return handle


def silent(peer: Peer, message: m.Message) -> None:
    """Accepts all and ends nothing; a cancelled job is lost."""
    if isinstance(message, m.Submit):
        peer.supervisor.accept(peer, message)
    elif isinstance(message, m.Cancel):
        for job in message.ids:
            attempts = 1 if message.terminate else 0
            peer.send(result((job, LOST, attempts, lost_report("revoked", "cancelled"))))


@pytest.mark.parametrize("value", [0, -(2**63), 2**63 - 1, uuid.uuid4(), "", "ключ" * 20])
def test_a_job_s_result_is_an_id(supervisor: Start, connect: Connect, value: Any) -> None:
    supervisor(echo)
    future = connect().submit("m.t", value)
    assert future.result(timeout=20) == value
    assert type(future.result()) is type(value)
    assert future.exception() is None
    assert future.done()
    assert (future.job_id, future.attempts) == (1, 1)


def test_a_job_may_have_no_ids_and_no_result(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    assert connect().submit("m.t").result(timeout=20) is None


def test_a_marked_function_is_sent_by_its_name_with_its_priority(
    supervisor: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervise._task.registry", {})

    @supervise.task(name="reports.build")
    def build(number: int) -> None: ...

    fake = supervisor(echo)
    client = connect()
    client.submit(build, 7, priority=9).result(timeout=20)
    client.submit("reports.build", 8).result(timeout=20)
    sent = [(s.task, s.priority, s.jobs) for s in fake.submits()]
    assert sent == [("reports.build", 9, ((7,),)), ("reports.build", 0, ((8,),))]


def test_the_job_s_number_is_there_while_it_runs(supervisor: Start, connect: Connect) -> None:
    supervisor(silent)
    client = connect()
    first, second = client.submit("m.t", 1), client.submit("m.t", 2)
    assert (first.job_id, second.job_id) == (1, 2)
    assert not first.done()
    assert repr(first) == "<JobFuture job 1: accepted>"


def test_a_failed_job_raises_what_the_worker_said(supervisor: Start, connect: Connect) -> None:
    supervisor(answers((FAILED, 1, FAILURE)))
    with pytest.raises(supervise.JobFailed) as caught:
        connect().submit("m.t", 42).result(timeout=20)
    error = caught.value
    assert (error.remote_type, error.remote_message) == ("ValueError", "no report 42")
    assert error.remote_traceback == '  File "tasks.py", line 3\n'
    assert (error.job_id, error.attempts, error.dead) == (1, 1, False)
    assert str(error).startswith("job 1 failed: ValueError: no report 42\nin the worker:\n")


def test_a_lost_job_raises_its_cause(supervisor: Start, connect: Connect) -> None:
    supervisor(answers((LOST, 1, lost_report("oom_worker", "anon 512M of 512M"))))
    with pytest.raises(supervise.JobLost) as caught:
        connect().submit("m.t", 1).result(timeout=20)
    assert (caught.value.cause, caught.value.detail) == ("oom_worker", "anon 512M of 512M")
    assert str(caught.value) == "job 1 was lost: oom_worker (anon 512M of 512M)"


def test_a_dead_job_raises_how_its_last_attempt_ended(supervisor: Start, connect: Connect) -> None:
    supervisor(answers((DEAD, 3, lost_report("signal", "9")), (DEAD, 4, FAILURE)))
    client = connect()
    lost = client.submit("m.t", 1).exception(timeout=20)
    assert isinstance(lost, supervise.JobLost)
    assert (lost.cause, lost.dead, lost.attempts) == ("signal", True, 3)
    assert "dead after 3 attempts" in str(lost)
    future = client.submit("m.t", 1)
    failed = future.exception(timeout=20)
    assert isinstance(failed, supervise.JobFailed)
    assert (failed.dead, failed.attempts, future.attempts) == (True, 4, 4)


def test_errors_survive_pickling(supervisor: Start, connect: Connect) -> None:
    import pickle

    supervisor(answers((DEAD, 3, FAILURE)))
    error = connect().submit("m.t", 1).exception(timeout=20)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, supervise.JobFailed)
    assert (str(again), again.dead) == (str(error), True)


def test_an_unknown_task_is_refused_with_the_near_misses(supervisor: Start, connect: Connect) -> None:
    words = "no task 'm.tt' in pool test; did you mean 'm.t'?"

    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.send(refused(message.first_tag, len(message.jobs), "unknown_task", words))

    supervisor(handle)
    future = connect().submit("m.tt", 1)
    with pytest.raises(supervise.JobRefused) as caught:
        future.result(timeout=20)
    assert (caught.value.reason, caught.value.message) == ("unknown_task", words)
    with pytest.raises(supervise.JobRefused, match="did you mean"):
        future.job_id  # noqa: B018
    assert not future.cancel()


def test_a_frame_may_be_accepted_in_part(supervisor: Start, connect: Connect) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            jobs = peer.supervisor.accept(peer, message, len(message.jobs) // 2)
            rest = len(message.jobs) - len(jobs)
            peer.send(refused(message.first_tag + len(jobs), rest, "queue_full", "10 of 10"))
            for job, ids in zip(jobs, message.jobs):
                peer.send(result((job, DONE, 1, done_report(ids[0]))))

    fake = supervisor(handle)
    client = connect()
    futures = [client.submit("m.t", n) for n in range(2000)]
    ended = [future.exception(timeout=20) for future in futures]
    at = 0
    assert max(len(s.jobs) for s in fake.submits()) > 10  # they did share frames
    for submit in fake.submits():
        half, size = len(submit.jobs) // 2, len(submit.jobs)
        assert [ids[0] for ids in submit.jobs] == list(range(at, at + size))
        assert [futures[n].result() for n in range(at, at + half)] == [*range(at, at + half)]
        for error in ended[at + half : at + size]:
            assert isinstance(error, supervise.JobRefused)
            assert error.reason == "queue_full"
        at += size
    assert at == 2000


def test_what_is_no_id_raises_at_once(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(echo)
    client = connect()
    with pytest.raises(supervise.NotAnId):
        client.submit("m.t", {"rows": 1})  # type: ignore[arg-type]
    with pytest.raises(supervise.TooLarge):
        client.submit("m.t", *range(101))
    with pytest.raises(supervise.TooLarge, match="961 bytes; the limit is 960"):
        client.submit("m.t", *["x" * 255] * 3, "x" * 187)
    with pytest.raises(supervise.TooLarge, match="960 bytes; the limit is 934"):
        client.submit("n" * 55, *["x" * 255] * 3, "x" * 186)
    for priority in (10, -1, True, "high"):
        with pytest.raises(ValueError, match="0 to 9"):
            client.submit("m.t", 1, priority=priority)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="task"):
        client.submit(["m.t"], 1)  # type: ignore[arg-type]
    client.submit("n" * 29, *["x" * 255] * 3, "x" * 186).result(timeout=20)
    assert [len(s.jobs) for s in fake.submits()] == [1]


def test_a_result_that_does_not_come_is_a_timeout(supervisor: Start, connect: Connect) -> None:
    supervisor(silent)
    future = connect().submit("m.t", 1)
    for kind in (TimeoutError, concurrent.futures.TimeoutError, supervise.SuperviseError):
        with pytest.raises(kind, match="has not ended within 0.01 s"):
            future.result(timeout=0.01)
    with pytest.raises(WaitTimeout):
        future.exception(timeout=0)


def test_a_queued_job_can_be_cancelled(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(silent)
    client = connect()
    future = client.submit("m.t", 1)
    assert not future.cancelled()
    assert future.cancel()
    with pytest.raises(supervise.JobLost, match="revoked"):
        future.result(timeout=20)
    assert future.cancelled()
    assert not future.cancel()
    running = client.submit("m.t", 2)
    assert running.cancel(terminate=True)
    assert isinstance(running.exception(timeout=20), supervise.JobLost)
    cancels = [message for message in fake.received if isinstance(message, m.Cancel)]
    assert cancels == [m.Cancel(False, (1,)), m.Cancel(True, (2,))]


def test_callbacks_may_submit_and_wait(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    client = connect()
    seen: list[Any] = []
    ended = threading.Event()

    def again(future: supervise.JobFuture) -> None:
        seen.append(future.result())
        if len(seen) < 5:
            client.submit("m.t", len(seen)).add_done_callback(again)
            assert client.submit("m.t", 99).result(timeout=20) == 99
        else:
            ended.set()

    client.submit("m.t", 0).add_done_callback(again)
    assert ended.wait(20)
    assert seen == [0, 1, 2, 3, 4]


def test_a_callback_of_an_ended_job_is_called_at_once(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    future = connect().submit("m.t", 5)
    future.result(timeout=20)
    seen: list[Any] = []
    future.add_done_callback(seen.append)
    assert seen == [future]


def test_a_callback_that_raises_is_logged_and_stops_no_other(
    supervisor: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def handle(peer: Peer, message: m.Message) -> None:
        gate.wait(20)
        echo(peer, message)

    supervisor(handle)
    future = connect().submit("m.t", 5)
    ended = threading.Event()
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda _: ended.set())
    gate.set()
    assert ended.wait(20)
    assert "a callback of a job raised" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_many_threads_share_a_client(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    client = connect()
    wrong: list[Any] = []

    def run(base: int) -> None:
        futures = [client.submit("m.t", base + n) for n in range(500)]
        wrong.extend(n for n, f in enumerate(futures) if f.result(timeout=20) != base + n)

    threads = [threading.Thread(target=run, args=(base * 1000,)) for base in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_supervisor_that_does_not_read_blocks_nobody_for_ever(supervisor: Start, connect: Connect) -> None:
    """Its results must come in while it takes no jobs, and submit() must end with an error."""
    reads = threading.Event()
    held: list[tuple[Peer, m.Submit]] = []

    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            if not held:
                held.append((peer, message))
                reads.wait(30)
            echo(peer, message)

    supervisor(handle)
    client = connect(timeout=0.5)
    futures = [client.submit("m.t", 0)]
    with pytest.raises(WaitTimeout, match="has read nothing for 0.5 s; the job was not sent"):
        while True:
            futures.append(client.submit("m.t", len(futures)))
    assert len(futures) > 1000
    reads.set()
    assert [f.result(timeout=30) for f in futures] == list(range(len(futures)))


def test_a_script_that_ends_after_submit_has_sent_its_jobs(supervisor: Start, tmp_path: Path) -> None:
    fake = supervisor(silent)
    code = f"""
import sys
sys.path.insert(0, {str(Path(supervise.__file__).parents[1])!r})
import supervise
client = supervise.Client("test", runtime_dir={str(tmp_path)!r})
for number in range(5000):
    client.submit("m.t", number)
supervise.Client("test", runtime_dir={str(tmp_path)!r}).submit("m.t", 5000)
"""
    run = subprocess.run([sys.executable, "-c", code], text=True, stderr=subprocess.PIPE)
    assert (run.returncode, run.stderr) == (0, "")
    sent = [ids[0] for submit in fake.submits() for ids in submit.jobs]
    assert sorted(map(int, map(str, sent))) == list(range(5001))


def test_a_future_outlives_its_client(supervisor: Start, connect: Connect, tmp_path: Path) -> None:
    supervisor(echo)
    future = supervise.Client("test", runtime_dir=str(tmp_path)).submit("m.t", 3)
    assert future.result(timeout=20) == 3


def test_no_descriptor_or_thread_is_left(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(echo)
    client = connect()
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for number in range(20):
        with supervise.Client("test", runtime_dir=str(fake.folder)) as one:
            future = one.submit("m.t", number)
            future.add_done_callback(lambda _: None)
            assert future.result(timeout=20) == number
    assert client.submit("m.t", 1).result(timeout=20) == 1
    for thread in list(threading.enumerate()):
        if thread.name.startswith("supervise-callbacks"):
            thread.join(20)
    for peer in fake.peers[1:]:
        peer.ended.wait(20)
    for thread in fake.threads[2:]:
        thread.join(20)
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors
