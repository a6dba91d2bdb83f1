"""A supervisor of a few lines: real sockets, real frames, no workers. A handler decides each job.

Runs in a thread of the test, or as `python fake_supervisor.py DIR POOL` for measuring.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).parents[2] / "python" / "src"))

from supervise import _frames as frames
from supervise import _ids
from supervise import _messages as m
from supervise._decode import decode

DONE, FAILED, LOST, DEAD = 2, 3, 4, 5


def welcome(limit: int = 10_000, pool: str = "test", version: int = 1) -> bytes:
    body = struct.pack("<HIHI", version, limit, 0, 0)
    return frames.frame(frames.WELCOME, body + frames.text8(pool.encode()) + frames.text8(b"fake 0"))


def close(reason: str, message: str) -> bytes:
    number = frames.REASONS.index(reason) + 1
    return frames.frame(frames.CLOSE, bytes((number,)) + frames.text16(message.encode()))


def accepted(first_tag: int, count: int, first_id: int) -> bytes:
    return frames.frame(frames.ACCEPTED, struct.pack("<IQ", first_tag, first_id), count)


def refused(first_tag: int, count: int, reason: str, message: str) -> bytes:
    number = frames.REASONS.index(reason) + 1
    body = struct.pack("<IB", first_tag, number) + frames.text16(message.encode())
    return frames.frame(frames.REFUSED, body, count)


def done_report(value: Any = None) -> bytes:
    return b"\x01" + (b"\x00" if value is None else _ids.encode_id(value))


def lost_report(cause: str, detail: str) -> bytes:
    return bytes((3, frames.CAUSES.index(cause))) + frames.text16(detail.encode())


def result(*entries: tuple[int, int, int, bytes]) -> bytes:
    body = b"".join(struct.pack("<QBH", j, state, n) + report for j, state, n, report in entries)
    return frames.frame(frames.RESULT, body, len(entries))


class Peer:
    """One client's connection, as the supervisor's side has it."""

    def __init__(self, connection: socket.socket, supervisor: FakeSupervisor) -> None:
        self.socket = connection
        self.supervisor = supervisor
        self.ended = threading.Event()

    def send(self, data: bytes) -> None:
        self.socket.send(data)

    def receive(self) -> Optional[m.Message]:
        data = self.socket.recv(1025)
        return decode(data) if data else None


# What a handler is given: the peer, the message. It answers through the peer.
Handler = Callable[[Peer, m.Message], None]


class FakeSupervisor:
    def __init__(self, folder: Path, handler: Handler, pool: str = "test", limit: int = 10_000) -> None:
        self.folder, self.pool, self.limit = folder, pool, limit
        self.handler = handler
        self.next_job = 1
        self.received: list[m.Message] = []
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(folder / f"{pool}.sock"))
        self._listener.listen(16)
        self._stop_reads, self._stop_writes = os.pipe()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            ready = select.select([self._listener.fileno(), self._stop_reads], [], [])[0]
            if self._stop_reads in ready:
                return
            connection, _ = self._listener.accept()
            peer = Peer(connection, self)
            self.peers.append(peer)
            thread = threading.Thread(target=self._talk, args=(peer,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _talk(self, peer: Peer) -> None:
        try:
            while True:
                message = peer.receive()
                if message is None:
                    break
                self.received.append(message)
                if isinstance(message, m.Hello) and self.greet(peer):
                    continue
                self.handler(peer, message)
        except (ConnectionError, OSError):
            pass
        except BaseException as error:
            self.errors.append(error)
        peer.socket.close()
        peer.ended.set()

    def greet(self, peer: Peer) -> bool:
        peer.send(welcome(self.limit, self.pool))
        return True

    def accept(self, peer: Peer, submit: m.Submit, count: Optional[int] = None) -> list[int]:
        """Accepts the first `count` jobs of a SUBMIT, all by default; gives their numbers."""
        count = len(submit.jobs) if count is None else count
        first = self.next_job
        self.next_job += count
        if count:
            peer.send(accepted(submit.first_tag, count, first))
        return list(range(first, first + count))

    def submits(self) -> list[m.Submit]:
        return [message for message in self.received if isinstance(message, m.Submit)]

    def stop(self) -> None:
        os.write(self._stop_writes, b"x")
        self.threads[0].join()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self._listener.close()
        os.close(self._stop_reads)
        os.close(self._stop_writes)
        if self.errors:
            raise self.errors[0]


def echo(peer: Peer, message: m.Message) -> None:
    """Runs every job at once; its result is its first ID."""
    if isinstance(message, m.Submit):
        jobs = peer.supervisor.accept(peer, message)
        for job, ids in zip(jobs, message.jobs):
            peer.send(result((job, DONE, 1, done_report(ids[0] if ids else None))))


def serve_fast(folder: str, pool: str) -> None:
    """Answers one client's SUBMITs of one-int jobs as fast as Python can: for measuring."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(os.path.join(folder, f"{pool}.sock"))
    listener.listen(4)
    print("ready", flush=True)
    connection, _ = listener.accept()
    connection.recv(1025)
    connection.send(welcome(1_000_000))
    head, entry = struct.Struct("<BBHHBBI"), struct.Struct("<QBHBB")
    job = 1
    while True:
        data = connection.recv(1025)
        if not data:
            return
        _, kind, _, count, _, _, tag = head.unpack_from(data)
        assert kind == frames.SUBMIT
        connection.send(accepted(tag, count, job))
        for first in range(job, job + count, 78):
            some = range(first, min(first + 78, job + count))
            body = b"".join([entry.pack(j, DONE, 1, 1, 0) for j in some])
            connection.send(frames.frame(frames.RESULT, body, len(some)))
        job += count


if __name__ == "__main__":
    serve_fast(*sys.argv[1:])
