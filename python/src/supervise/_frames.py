"""The layout of frames, and their encoding. No I/O here; ipc/PROTOCOL.md is the contract."""

from __future__ import annotations

import struct
from typing import Optional

from supervise._messages import TaskInfo

VERSION = 1
MAX_FRAME = 1024
MAX_CALL = 990  # a job's task (text8) and its arguments
MAX_REPORT = 1000
MAGIC = 0x53

HELLO, WELCOME, REGISTER, READY, START_FAILED, JOB, DONE, SUBMIT, ACCEPTED = range(1, 10)
REFUSED, RESULT, CANCEL, TRIM, TRIMMED, RETIRE, PING, PONG, CLOSE = range(10, 19)
FORK, FORKED, UNSAFE = range(19, 22)
CALL, BEGUN, SOFT, SIGNAL = range(22, 26)
JOBS, SIZE = 26, 27
JOBS_TYPE = bytes((JOBS,))

CLIENT, WORKER, TEMPLATE, FRONT = 1, 2, 3, 4
FLAG_DESCRIPTOR, FLAG_TERMINATE = 1, 2
POOLS_LIMIT = 0xFFFFFFFF
POOLS_RETRIES = 0xFF
MAX_RETRIES = 100
MAX_SIGNAL = 64
MAX_JOINS = 2
FORK_DESCRIPTORS = 4  # besides those that its `born` and `joins` announce

REASONS = (  # from 1 up
    "queue_full",
    "unknown_task",
    "stopping",
    "degraded",
    "not_permitted",
    "too_many_clients",
    "bad_frame",
    "slow_reader",
    "version",
    "no_hello",
)
CAUSES = (  # from 0 up
    "unknown",
    "exit",
    "signal",
    "oom_worker",
    "oom_host",
    "memory_hard_limit",
    "time_limit",
    "revoked",
    "shutdown",
)
STATE_DONE, STATE_FAILED, STATE_LOST, STATE_DEAD = 2, 3, 4, 5
OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_LOST = 1, 2, 3

HEADER = struct.Struct("<BBHHBB")
JOB_HEAD = struct.Struct("<BBHHBBQHQQB")  # up to and with the length of the task's name
JOBS_ENTRY = struct.Struct("<QH")  # of JOBS, up to the arguments
DONE_HEAD = struct.Struct("<BBHHBBQ")
DONE_NONE = struct.Struct("<BBHHBBQBB")  # a whole DONE whose result is none
ENTRY_HEAD = struct.Struct("<QBH")  # of RESULT
U16 = struct.Struct("<H")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
MARK = struct.Struct("<QQ")  # job, attempt
HELLO_BODY = struct.Struct("<HHBI")
FORK_BODY = struct.Struct("<IBB")
FORKED_HEAD = struct.Struct("<II")
LIMITS = struct.Struct("<IIB")
CALL_HEAD = struct.Struct("<IBII")
BEGUN_BODY = struct.Struct("<QIQ")
SIGNAL_BODY = struct.Struct("<QB")


def frame(kind: int, body: bytes = b"", count: int = 0, flags: int = 0) -> bytes:
    size = 8 + len(body)
    if size > MAX_FRAME:
        raise ValueError(f"a frame of {size} bytes; the limit is {MAX_FRAME}")
    return HEADER.pack(MAGIC, kind, size, count, flags, 0) + body


def clean(text: str) -> bytes:
    """UTF-8 that the wire may carry, whatever an exception's message has in it."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace")


def head_of(text: bytes, most: int) -> bytes:
    """The first `most` bytes, cut at a character's border."""
    return text if len(text) <= most else text[: max(most, 0)].decode("utf-8", "ignore").encode()


def tail_of(text: bytes, most: int) -> bytes:
    """The last `most` bytes, cut at a character's border."""
    if len(text) <= most:
        return text
    return text[len(text) - max(most, 0) :].decode("utf-8", "ignore").encode()


def text8(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def text16(text: bytes) -> bytes:
    return U16.pack(len(text)) + text


def hello(role: int, pid: int, software: str) -> bytes:
    body = HELLO_BODY.pack(VERSION, VERSION, role, pid) + text8(head_of(clean(software), 255))
    return frame(HELLO, body)


def register(tasks: list[TaskInfo]) -> list[bytes]:
    """As many REGISTER frames as the tasks need."""
    entries = [
        text8(task.name.encode())
        + LIMITS.pack(
            POOLS_LIMIT if task.soft_time_limit_ms is None else task.soft_time_limit_ms,
            POOLS_LIMIT if task.time_limit_ms is None else task.time_limit_ms,
            POOLS_RETRIES if task.retries is None else task.retries,
        )
        for task in tasks
    ]
    return _packed(REGISTER, entries)


def _packed(kind: int, entries: list[bytes]) -> list[bytes]:
    frames = []
    body, count = b"", 0
    for entry in entries:
        if count and 8 + len(body) + len(entry) > MAX_FRAME:
            frames.append(frame(kind, body, count))
            body, count = b"", 0
        body += entry
        count += 1
    if count:
        frames.append(frame(kind, body, count))
    return frames


def start_failed(error_type: str, message: bytes) -> bytes:
    """The caller has cut `message` to what start_failed_room() says."""
    return frame(START_FAILED, text8(head_of(clean(error_type), 255)) + text16(message))


def start_failed_room(error_type: str) -> int:
    return MAX_FRAME - 8 - 1 - len(head_of(clean(error_type), 255)) - 2


def done(job: int, report: bytes, descriptor: bool = False) -> bytes:
    """`descriptor`: one is sent along."""
    return frame(DONE, U64.pack(job) + report, flags=FLAG_DESCRIPTOR if descriptor else 0)


def failed_report(error_type: str, message: str, traceback: str) -> bytes:
    kind = head_of(clean(error_type), 255)
    room = MAX_REPORT - 6 - len(kind)
    said = head_of(clean(message), room)
    trace = tail_of(clean(traceback), room - len(said))
    return b"\x02" + text8(kind) + text16(said) + text16(trace)


def submit_body(priority: int, task: bytes) -> bytes:
    """What stands between a SUBMIT's first tag and its entries."""
    return bytes((priority,)) + text8(task)


def submit(first_tag: int, body: bytes, jobs: list[bytes]) -> bytes:
    return frame(SUBMIT, U32.pack(first_tag) + body + b"".join(jobs), len(jobs))


def cancel(job: int, terminate: bool) -> bytes:
    return frame(CANCEL, U64.pack(job), 1, FLAG_TERMINATE if terminate else 0)


def call(
    tag: int,
    task: str,
    key: str,
    priority: int = 0,
    soft_time_limit_ms: Optional[int] = None,
    time_limit_ms: Optional[int] = None,
) -> bytes:
    """One job whose payload is the descriptor that must be sent along. Limits as in TaskInfo."""
    soft = POOLS_LIMIT if soft_time_limit_ms is None else soft_time_limit_ms
    limit = POOLS_LIMIT if time_limit_ms is None else time_limit_ms
    head = CALL_HEAD.pack(tag, priority, soft, limit)
    return frame(CALL, head + text8(task.encode()) + text8(key.encode()), flags=FLAG_DESCRIPTOR)


def begun(job: int, pid: int, time_ns: int) -> bytes:
    return frame(BEGUN, BEGUN_BODY.pack(job, pid, time_ns))


def send_signal(job: int, number: int) -> bytes:
    return frame(SIGNAL, SIGNAL_BODY.pack(job, number))


def trimmed(collected: int) -> bytes:
    return frame(TRIMMED, U32.pack(min(collected, 0xFFFFFFFF)))


def pong(token: int) -> bytes:
    return frame(PONG, U64.pack(token))


def forked(number: int, pid: int, message: str = "") -> bytes:
    room = MAX_FRAME - 8 - FORKED_HEAD.size - 2
    return frame(FORKED, FORKED_HEAD.pack(number, pid) + text16(head_of(clean(message), room)))


def unsafe(findings: list[str]) -> list[bytes]:
    """As many UNSAFE frames as the findings need; a finding too long for one is cut."""
    entries = [text16(head_of(clean(finding), MAX_FRAME - 8 - 2)) for finding in findings]
    return _packed(UNSAFE, entries)
