"""What no honest peer does: each gets its error, and nobody else notices."""

import contextlib
import os
import random
import resource
import socket
import struct
import subprocess

import pytest

import supervise
from support import wire
from support.daemon import BINARY
from support.leftovers import rss_bytes, until
from support.wire import Peer, frame, hello

PING = frame(wire.PING, struct.pack("<Q", 1))


@pytest.fixture(autouse=True)
def still_works(request):
    """After each test the shared daemon does a job, by the same worker as ever."""
    if "shared" not in request.fixturenames:
        yield
        return
    sv = request.getfixturevalue("shared")
    before = sv.pids()
    yield
    with sv.client() as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1
    assert sv.pids() == before and sv.pool()["restarts"] == {}


def peer(sv, **options):
    return Peer(sv.runtime_dir / "p.sock", **options)


BROKEN = {
    "one byte": b"S",
    "a cut header": frame(wire.PING)[:5],
    "a cut frame": PING[:-1],
    "bytes left over": PING + b"\0",
    "a wrong magic": frame(wire.PING, b"\0" * 8, magic=0x54),
    "a reserved byte": frame(wire.PING, b"\0" * 8, reserved=1),
    "a size too small": frame(wire.PING, b"\0" * 8, size=8),
    "a size too large": frame(wire.PING, b"\0" * 8, size=600),
    "an unknown type": frame(99),
    "type zero": frame(0),
    "unknown flags": frame(wire.PING, b"\0" * 8, flags=0x80),
    "a descriptor promised": frame(
        wire.SUBMIT,
        struct.pack("<IB", 1, 5) + wire.text8("suite.echo") + wire.arguments(1),
        count=1,
        flags=1,
    ),
    "a count where there is none": frame(wire.PING, b"\0" * 8, count=3),
    "a worker's frame": frame(wire.READY),
    "a supervisor's frame": frame(wire.ACCEPTED, struct.pack("<IQ", 1, 1), count=1),
    "a second hello": hello(),
    "a priority of ten": wire.submit("suite.echo", (1,), priority=10),
    "more entries than said": frame(
        wire.SUBMIT,
        struct.pack("<IB", 1, 5) + wire.text8("suite.echo") + wire.arguments(1) * 3,
        count=2,
    ),
    "fewer entries than said": frame(
        wire.SUBMIT,
        struct.pack("<IB", 1, 5) + wire.text8("suite.echo") + wire.arguments(1),
        count=400,
    ),
    "an unknown kind of id": frame(
        wire.SUBMIT,
        struct.pack("<IB", 1, 5) + wire.text8("suite.echo") + b"\x01\x09" + b"\0" * 8,
        count=1,
    ),
    "a text that is not UTF-8": frame(
        wire.SUBMIT,
        struct.pack("<IB", 1, 5) + wire.text8("suite.echo") + b"\x01\x03\x02\xff\xfe",
        count=1,
    ),
    "a NUL in a name": wire.submit("suite\0echo", (1,)),
    "one byte more than the maximum": frame(wire.SUBMIT, b"\0" * (wire.MAX_FRAME - 7), count=1),
    "sixty thousand bytes": frame(wire.SUBMIT, b"\0" * 60000, count=1),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_frame_closes_its_connection_with_a_reason(shared, what):
    with peer(shared) as victim, peer(shared) as bystander:
        victim.send(BROKEN[what])
        reason, message = victim.expect_close()
        assert reason == "bad_frame" and message
        assert bystander.ping() == 7


def test_a_frame_of_the_maximum_size_is_good(shared):
    with peer(shared) as client:
        body = struct.pack("<IB", 1, 5) + wire.text8("suite.nothing")
        room = wire.MAX_FRAME - 8 - len(body)
        entries = []
        while room >= 300:
            entries.append(wire.arguments(*range(10)))
            room -= len(entries[-1])
        text = "x" * min(255, room - 3)
        entries.append(b"\x01\x03" + bytes([len(text)]) + text.encode())
        room -= len(entries[-1])
        while room:  # what is left, in jobs without ids (one byte each)
            entries.append(b"\x00")
            room -= 1
        data = frame(wire.SUBMIT, body + b"".join(entries), count=len(entries))
        assert len(data) == wire.MAX_FRAME
        client.send(data)
        kind, count, _ = client.receive()
        assert (kind, count) == (wire.ACCEPTED, len(entries))
        ended = 0
        while ended < len(entries):
            kind, count, _ = client.receive()
            assert kind == wire.RESULT
            ended += count


def test_random_bytes(shared):
    rng = random.Random(1)
    for _ in range(300):
        with peer(shared, greet=rng.random() < 0.5) as victim:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for _ in range(5):
                    victim.send(rng.randbytes(rng.randrange(1, 2000)))
            victim.expect_close()


def test_mutated_frames(shared):
    """Good frames with a few bytes changed: an answer or a CLOSE, never silence or a crash."""
    rng = random.Random(2)
    good = [
        PING,
        wire.submit("suite.echo", (1,)),
        frame(wire.CANCEL, struct.pack("<Q", 1), count=1),
    ]
    for _ in range(500):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with peer(shared) as victim:
            with contextlib.suppress(BrokenPipeError):
                victim.send(bytes(data))
                victim.send(PING)
            kind = -1
            while kind not in (wire.PONG, wire.CLOSE):
                kind, _, _ = victim.receive()
                assert kind is not None


def test_no_hello_and_a_foreign_version(shared):
    with peer(shared, greet=False) as victim:
        victim.send(PING)
        assert victim.expect_close()[0] in ("no_hello", "bad_frame")
    with peer(shared, greet=False) as victim:
        victim.send(hello(lowest=7, highest=9))
        reason, message = victim.expect_close()
        assert reason == "version" and "1" in message
    with peer(shared, greet=False) as victim:
        victim.send(hello(role=2))
        assert victim.expect_close()[0] in ("bad_frame", "not_permitted")


def test_a_client_that_sends_a_descriptor_unasked(shared):
    with peer(shared) as victim:
        socket.send_fds(victim.socket, [PING], [0, 1, 2])
        assert victim.expect_close()[0] == "bad_frame"
    before = len(os.listdir(f"/proc/{shared.process.pid}/fd"))
    for _ in range(50):
        with peer(shared) as victim:
            socket.send_fds(victim.socket, [PING], [0])
            victim.expect_close()
    until(
        lambda: len(os.listdir(f"/proc/{shared.process.pid}/fd")) <= before,
        10,
        "the descriptors to be closed",
    )


def test_a_payload_job_is_refused_and_its_descriptor_closed(shared):
    def open_files():
        return len(os.listdir(f"/proc/{shared.process.pid}/fd"))

    before = open_files()
    limits = struct.pack("<IBII", 1, 4, 0, 0)
    call = frame(wire.CALL, limits + b"\x0dsuite.nothing" + b"\x03key", flags=1)
    with peer(shared) as client:
        for _ in range(100):
            socket.send_fds(client.socket, [call], [0])
        for _ in range(100):
            kind, count, body = client.receive()
            assert (kind, count) == (wire.REFUSED, 1)
            assert b"take no payload" in body
    until(lambda: open_files() <= before, 10, "the descriptors to be closed")


def test_cancelling_strangers_jobs_and_none(shared):
    with shared.client() as client, peer(shared) as stranger:
        future = client.submit("suite.timed", 5, 200)
        stranger.send(frame(wire.CANCEL, struct.pack("<3Q", 0, 2**64 - 1, future.job_id), count=3, flags=2))
        stranger.ping()
        assert future.result(timeout=20) == 5


def test_a_thousand_idle_clients(start, sanitized):
    sv = start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    before = rss_bytes(sv.process.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(peer(sv))
        assert sv.pool()["clients"] == 1000
        with sv.client() as client:
            assert client.submit("suite.echo", 1).result(timeout=20) == 1
        if not sanitized:
            assert rss_bytes(sv.process.pid) - before < 30 << 20
    sv.wait_pool(lambda p: p["clients"] == 0, "the clients to be forgotten")


def test_one_client_too_many_is_turned_away(start):
    sv = start(jobs={"max_clients": 3})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(peer(sv)) for _ in range(3)]
        extra = stack.enter_context(peer(sv, greet=False))
        with contextlib.suppress(BrokenPipeError):  # it may be refused before its HELLO
            extra.send(hello())
        assert extra.expect_close()[0] == "too_many_clients"
        for _ in range(20):
            with pytest.raises(supervise.PoolGone) as caught:
                sv.client()
            assert caught.value.reason == "too_many_clients"
        assert clients[0].ping() == 7


def test_a_client_that_never_reads_is_not_waited_for(start, sanitized):
    sv = start(workers=2)
    before = rss_bytes(sv.process.pid)
    with peer(sv) as deaf, sv.client() as client:
        deaf.socket.setblocking(False)
        jobs = [(n,) for n in range(30)]
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            for tag in range(0, 300_000, 30):
                deaf.send(wire.submit("suite.nothing", *jobs, tag=tag))
        assert list(client.map("suite.echo", range(100))) == list(range(100))
        if not sanitized:
            assert rss_bytes(sv.process.pid) - before < 15 << 20


def test_a_client_that_sends_and_vanishes(shared):
    for _ in range(50):
        with peer(shared) as client:
            client.send(wire.submit("suite.nothing", *[(n,) for n in range(20)]))
    shared.wait_pool(lambda p: p["jobs"]["queued"] == p["jobs"]["running"] == 0, "an empty queue")


def test_a_worker_that_writes_to_its_channel_itself(start):
    sv = start()
    with sv.client() as client:
        with pytest.raises(supervise.JobLost, match="channel|frame"):
            client.submit("suite.write_to_channel").result(timeout=20)
        assert client.submit("suite.echo", 1).result(timeout=20) == 1
    assert sum(sv.pool()["restarts"].values()) == 1
    assert sv.events("worker.protocol_error")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /status HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /status HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    ],
)
def test_rubbish_on_the_control_socket(shared, request_bytes):
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(20)
        control.connect(str(shared.runtime_dir / "control.sock"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            control.sendall(request_bytes)
            control.shutdown(socket.SHUT_WR)
            while control.recv(65536):
                pass
    assert shared.status()["pools"]


def test_control_clients_that_never_finish_their_request(shared):
    with contextlib.ExitStack() as stack:

        def stall(count):
            for _ in range(count):
                control = stack.enter_context(socket.socket(socket.AF_UNIX))
                control.connect(str(shared.runtime_dir / "control.sock"))
                with contextlib.suppress(BrokenPipeError):  # one too many may be closed by now
                    control.send(b"GET /sta")

        stall(50)
        assert shared.status()["pools"]
        stall(50)
        code, answer = shared.http("GET", "/status")
        assert code == 503 and answer["error"]["code"] == "too_many_connections"
        assert shared.cli("status").returncode == 75
    until(lambda: shared.http("GET", "/status")[0] == 200, 10, "the control plane to be free again")


@pytest.mark.parametrize(
    "text",
    [
        "# " + "x" * (1 << 20),
        "[pool.p]\napp = '" + "x" * (1 << 20) + "'\n",
        "".join(f"[pool.p{n}]\napp = 'a'\n" for n in range(40_000)),
        "a = " + "[" * 500_000,
        "\0" * (1 << 20),
    ],
    ids=["comment", "value", "pools", "nesting", "NULs"],
)
def test_a_config_of_a_megabyte(tmp_path, text):
    config = tmp_path / "workers.toml"
    config.write_text(text)
    run = subprocess.run([str(BINARY), "check", str(config)], capture_output=True, timeout=60)
    assert run.returncode == 78
    assert str(config).encode() in run.stdout + run.stderr
    assert len(run.stdout + run.stderr) < 100_000
