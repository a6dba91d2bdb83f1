"""How a client finds its pool, and what happens when the connection ends."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_supervisor import (
    DONE,
    FAILED,
    FakeSupervisor,
    Peer,
    accepted,
    close,
    done_report,
    echo,
    result,
    welcome,
)  # fmt: skip

import supervise
from supervise import _address
from supervise import _frames as frames
from supervise import _messages as m
from supervise._timeout import WaitTimeout

Start = Callable[..., FakeSupervisor]
Connect = Callable[..., supervise.Client]


def silent(peer: Peer, message: m.Message) -> None:
    if isinstance(message, m.Submit):
        peer.supervisor.accept(peer, message)


def test_a_pool_that_is_nowhere_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUPERVISE_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/a:{tmp_path}/b")
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{tmp_path}/x")
    looked = [f"{tmp_path}/a", f"{tmp_path}/b", f"{tmp_path}/x/supervise", "/run/supervise"]
    with pytest.raises(supervise.PoolGone) as caught:
        supervise.Client("no-such-pool")
    assert ", ".join([*looked, f"/tmp/supervise-{os.getuid()}"]) in str(caught.value)
    assert "$SUPERVISE_RUNTIME_DIR" in str(caught.value)
    assert caught.value.reason == "not_found"
    assert isinstance(caught.value, ConnectionError)


def test_a_mistyped_pool_is_told_its_near_miss(supervisor: Start, connect: Connect) -> None:
    supervisor(echo, pool="reports")
    with pytest.raises(supervise.PoolGone, match="Did you mean 'reports'"):
        connect("report")
    with pytest.raises(supervise.PoolGone, match="Pools there: reports"):
        connect("mail")


def test_the_runtime_directory_may_come_from_the_environment(
    supervisor: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor(echo)
    monkeypatch.setenv("SUPERVISE_RUNTIME_DIR", str(tmp_path))
    with supervise.Client("test", timeout=20) as client:
        assert client.submit("m.t", 1).result(timeout=20) == 1


def test_the_runtime_directory_may_have_a_very_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    here = os.open(folder, os.O_RDONLY)
    fake = FakeSupervisor(Path(f"/proc/self/fd/{here}"), echo)
    with supervise.Client("test", runtime_dir=str(folder), timeout=20) as client:
        assert client.submit("m.t", 1).result(timeout=20) == 1
    fake.stop()
    os.close(here)


def test_a_folder_in_tmp_of_another_user_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Status:
        st_uid = os.getuid() + 1

    monkeypatch.setattr(os, "lstat", lambda path: Status)
    assert not _address._is_ours("/tmp/supervise-1000")
    assert _address._is_ours("/run/supervise")


@pytest.mark.parametrize("pool", ["", "a/b", "../a", "a\0b"])
def test_a_pool_s_name_is_checked(pool: str) -> None:
    with pytest.raises(ValueError, match="a pool's name"):
        supervise.Client(pool)


def test_a_socket_that_nobody_listens_on_says_so(tmp_path: Path, connect: Connect) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(tmp_path / "test.sock"))
    with pytest.raises(supervise.PoolGone, match="not running any more") as caught:
        connect()
    assert caught.value.reason == "unreachable"


def test_a_pool_that_takes_no_connection_is_a_timeout(tmp_path: Path, connect: Connect) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "test.sock"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as first:
            first.connect(str(tmp_path / "test.sock"))
            with pytest.raises(WaitTimeout, match="takes no connections"):
                connect(timeout=0.05)


def test_a_pool_that_is_not_ready_in_time_is_a_timeout(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(echo)
    fake.greet = lambda peer: True  # type: ignore[method-assign]
    with pytest.raises(WaitTimeout, match=r"not ready after 0.05 s.*supervise status"):
        connect(timeout=0.05)


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (close("not_permitted", "uid 1000 is not among `clients`"), "not_permitted", "uid 1000"),
        (close("degraded", "the pool has tripped"), "degraded", "has tripped"),
        (welcome(version=2), "version", "version=2"),
        (b"rubbish!", "bad_frame", "begins with 0x72"),
    ],
)
def test_a_refused_hello_says_why(
    supervisor: Start, connect: Connect, reply: bytes, reason: str, words: str
) -> None:
    fake = supervisor(echo)

    def greet(peer: Peer) -> bool:
        peer.send(reply)
        return True

    fake.greet = greet  # type: ignore[method-assign]
    with pytest.raises(supervise.PoolGone, match=words) as caught:
        connect()
    assert caught.value.reason == reason


def test_a_supervisor_that_hangs_up_ends_every_open_future(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(silent)
    client = connect()
    futures = [client.submit("m.t", n) for n in range(100)]
    assert futures[-1].job_id == 100
    called = threading.Event()
    futures[0].add_done_callback(lambda _: called.set())
    fake.peers[0].socket.shutdown(socket.SHUT_RDWR)
    for future in futures:
        with pytest.raises(supervise.PoolGone, match="has ended or restarted") as caught:
            future.result(timeout=20)
        assert caught.value.reason == "lost"
        assert not future.cancel()
    assert called.wait(20)
    assert futures[0].job_id == 1  # it was accepted, and that stays true


def test_the_supervisor_s_reason_for_closing_is_told(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(silent)
    future = connect().submit("m.t", 1)
    assert future.job_id
    fake.peers[0].send(close("slow_reader", "1 MiB waited"))
    error = future.exception(timeout=20)
    assert isinstance(error, supervise.PoolGone)
    assert error.reason == "slow_reader"
    assert "1 MiB waited" in str(error)


def test_the_next_submit_after_a_loss_connects_anew(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(echo)
    client = connect()
    assert client.submit("m.t", 1).result(timeout=20) == 1
    lost = client._connection
    assert lost is not None
    fake.peers[0].socket.shutdown(socket.SHUT_RDWR)
    lost._reader.join(20)
    assert client.submit("m.t", 2).result(timeout=20) == 2
    assert len(fake.peers) == 2


@pytest.mark.parametrize(
    "rubbish",
    [
        b"x",
        frames.frame(frames.RETIRE),
        accepted(77, 1, 1),
        accepted(1, 2, 1),
        accepted(1, 1, 1)[:-1],
        result((9, DONE, 1, done_report())),
        result((1, FAILED, 1, done_report())),
        result((1, DONE, 1, done_report(5))) + b"\0",
        result((1, DONE, 1, done_report(5)))[:-1],
    ],
)
def test_rubbish_from_the_supervisor_ends_the_connection(
    supervisor: Start, connect: Connect, rubbish: bytes
) -> None:
    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            if rubbish[1:2] == bytes((frames.RESULT,)):
                peer.supervisor.accept(peer, message)
            peer.send(rubbish)

    supervisor(handle)
    error = connect().submit("m.t", 1).exception(timeout=20)
    assert isinstance(error, supervise.PoolGone)
    assert error.reason == "bad_frame"
    assert "the supervisor of pool 'test' sent" in str(error)


def test_what_a_bad_frame_said_before_its_fault_is_told(supervisor: Start, connect: Connect) -> None:
    both = threading.Event()

    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            peer.supervisor.accept(peer, message)
            if peer.supervisor.next_job == 3:
                both.wait(20)
                good, bad = (1, DONE, 1, done_report(5)), (99, DONE, 1, done_report())
                peer.send(result(good, bad))

    supervisor(handle)
    client = connect()
    first, second = client.submit("m.t", 1), client.submit("m.t", 2)
    called = threading.Event()
    first.add_done_callback(lambda _: called.set())
    both.set()
    assert called.wait(20)
    assert first.result(timeout=20) == 5
    assert isinstance(second.exception(timeout=20), supervise.PoolGone)


def test_a_ping_is_answered(supervisor: Start, connect: Connect) -> None:
    answered = threading.Event()

    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Pong):
            assert message.token == 7
            answered.set()

    fake = supervisor(handle)
    connect()
    fake.peers[0].send(frames.frame(frames.PING, (7).to_bytes(8, "little")))
    assert answered.wait(20)


def test_close_does_not_wait_for_results_but_jobs_are_sent(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(silent)
    client = connect()
    futures = [client.submit("m.t", n) for n in range(1000)]
    client.close()
    assert sum(len(s.jobs) for s in fake.submits()) == 1000
    for future in futures:
        with pytest.raises(supervise.PoolGone, match="client was closed"):
            future.result(timeout=0)
    with pytest.raises(supervise.PoolGone, match="is closed"):
        client.submit("m.t", 1)
    with pytest.raises(supervise.PoolGone, match="is closed"):
        list(client.map("m.t", [1]))
    client.close()


def test_results_that_arrived_before_close_are_kept(supervisor: Start, connect: Connect) -> None:
    supervisor(echo)
    with connect() as client:
        futures = [client.submit("m.t", n) for n in range(100)]
        futures[-1].result(timeout=20)
    assert [f.result(timeout=0) for f in futures] == list(range(100))


def test_a_client_may_be_dropped_without_a_warning(supervisor: Start, connect: Connect) -> None:
    fake = supervisor(echo)
    client = supervise.Client("test", runtime_dir=str(fake.folder), timeout=20)
    client.submit("m.t", 1).result(timeout=20)
    connection = client._connection
    assert connection is not None
    del client
    gc.collect()
    connection._reader.join(20)
    assert not connection._reader.is_alive()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="3.12 warns of any fork beside a thread")
def test_a_forked_child_gets_a_connection_of_its_own(supervisor: Start, connect: Connect) -> None:
    fork_and_check(supervisor, connect)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the warning is newer")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_a_connection_of_its_own_despite_the_warning(
    supervisor: Start, connect: Connect
) -> None:
    fork_and_check(supervisor, connect)


def fork_and_check(supervisor: Start, connect: Connect) -> None:
    gate = threading.Event()

    def handle(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Submit):
            if message.jobs[0] == (1,):  # the parent's, which ends after the child
                jobs = peer.supervisor.accept(peer, message)
                gate.wait(30)
                peer.send(result((jobs[0], DONE, 1, done_report(1))))
            else:
                echo(peer, message)

    fake = supervisor(handle)
    client = connect()
    parents = client.submit("m.t", 1)
    assert parents.job_id == 1
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            error = parents.exception(timeout=0)
            assert isinstance(error, supervise.PoolGone)
            assert error.reason == "forked"
            assert client.submit("m.t", 2).result(timeout=20) == 2
            client.close()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    gate.set()
    assert parents.result(timeout=20) == 1
    assert len(fake.peers) == 2
