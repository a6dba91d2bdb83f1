"""The data plane by hand, from ipc/PROTOCOL.md alone: for frames that no honest peer sends."""

import os
import socket
import struct

HELLO, WELCOME, REGISTER, READY, START_FAILED, JOB, DONE, SUBMIT, ACCEPTED = range(1, 10)
REFUSED, RESULT, CANCEL, TRIM, TRIMMED, RETIRE, PING, PONG, CLOSE = range(10, 19)
CALL = 22
MAX_FRAME = 1024
REASONS = {
    1: "queue_full",
    2: "unknown_task",
    3: "stopping",
    4: "degraded",
    5: "not_permitted",
    6: "too_many_clients",
    7: "bad_frame",
    8: "slow_reader",
    9: "version",
    10: "no_hello",
}


def text8(text):
    data = text.encode()
    return bytes([len(data)]) + data


def frame(kind, body=b"", *, count=0, flags=0, size=None, magic=0x53, reserved=0):
    total = 8 + len(body) if size is None else size
    return struct.pack("<BBHHBB", magic, kind, total, count, flags, reserved) + body


def hello(role=1, lowest=1, highest=1):
    return frame(HELLO, struct.pack("<HHBI", lowest, highest, role, os.getpid()) + text8("test"))


def arguments(*numbers):
    return bytes([len(numbers)]) + b"".join(b"\x01" + struct.pack("<q", n) for n in numbers)


def submit(task, *jobs, tag=1, priority=5):
    body = struct.pack("<IB", tag, priority) + text8(task) + b"".join(arguments(*job) for job in jobs)
    return frame(SUBMIT, body, count=len(jobs))


class Peer:
    """One raw connection to a pool's socket."""

    def __init__(self, path, *, greet=True, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        if greet:
            self.send(hello())
            assert self.receive()[0] == WELCOME

    def send(self, data):
        self.socket.send(data)

    def receive(self):
        """(type, count, body) of the next frame; (None, 0, b"") at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:  # what we sent was not read; what was sent to us still comes
            data = self.socket.recv(65536)
        if not data:
            return None, 0, b""
        _, kind, size, count, _, _ = struct.unpack_from("<BBHHBB", data)
        assert size == len(data)
        return kind, count, data[8:]

    def expect_close(self):
        """Reads on to CLOSE and the end of the stream; returns (reason, message)."""
        reason = message = None
        while True:
            kind, _, body = self.receive()
            if kind is None:
                assert reason is not None, "closed without a reason"
                return reason, message
            if kind == CLOSE:
                reason, message = REASONS[body[0]], body[3:].decode()

    def ping(self, token=7):
        """A round trip: everything sent before has been read."""
        self.send(frame(PING, struct.pack("<Q", token)))
        while True:
            kind, _, body = self.receive()
            if kind == PONG:
                return struct.unpack("<Q", body)[0]
            assert kind is not None, "closed"

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
