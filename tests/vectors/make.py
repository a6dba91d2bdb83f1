#!/usr/bin/env python3
"""Writes frames.json from ipc/PROTOCOL.md alone, sharing no code with either codec under test.

Run it after a change of the protocol: python3 tests/vectors/make.py
"""

import json
import struct
import uuid
from pathlib import Path

TYPES = {
    "hello": 1, "welcome": 2, "register": 3, "ready": 4, "start_failed": 5, "job": 6, "done": 7,
    "submit": 8, "accepted": 9, "refused": 10, "result": 11, "cancel": 12, "trim": 13,
    "trimmed": 14, "retire": 15, "ping": 16, "pong": 17, "close": 18,
    "fork": 19, "forked": 20, "unsafe": 21,
}
ROLES = {"client": 1, "worker": 2, "template": 3}
STATES = {"done": 2, "failed": 3, "lost": 4, "dead": 5}
REASONS = ["", "queue_full", "unknown_task", "stopping", "degraded", "not_permitted",
           "too_many_clients", "bad_frame", "slow_reader", "version", "no_hello"]
CAUSES = ["unknown", "exit", "signal", "oom_worker", "oom_host", "memory_hard_limit",
          "time_limit", "revoked", "shutdown"]
DESCRIPTOR, TERMINATE = 1, 2
POOLS_OWN = 0xFFFFFFFF

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
UUID = "0123fedc-4567-89ab-cdef-0123456789ab"


def text8(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<B", len(data)) + data


def text16(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<H", len(data)) + data


def id_bytes(value):
    if value is None:
        return b"\0"
    (kind, content), = value.items()
    if kind == "int":
        return struct.pack("<Bq", 1, content)
    if kind == "uuid":
        return b"\2" + uuid.UUID(content).bytes
    return b"\3" + text8(content)


def args_bytes(ids):
    return struct.pack("<B", len(ids)) + b"".join(map(id_bytes, ids))


def report_bytes(report):
    outcome = report["outcome"]
    if outcome == "done":
        return b"\1" + id_bytes(report["id"])
    if outcome == "failed":
        return (b"\2" + text8(report["error_type"]) + text16(report["message"])
                + text16(report["traceback"]))
    return struct.pack("<BB", 3, CAUSES.index(report["cause"])) + text16(report["detail"])


def frame(kind, body=b"", count=0, flags=0, *, magic=0x53, size=None, reserved=0):
    """A frame as the protocol has it, or, by the keywords, one that breaks it."""
    number = TYPES[kind] if isinstance(kind, str) else kind
    size = 8 + len(body) if size is None else size
    return struct.pack("<BBHHBB", magic, number, size, count, flags, reserved) + body


def task_bytes(task):
    soft, limit, retries = task["soft_time_limit_ms"], task["time_limit_ms"], task["retries"]
    return text8(task["name"]) + struct.pack(
        "<IIB", POOLS_OWN if soft is None else soft, POOLS_OWN if limit is None else limit,
        0xFF if retries is None else retries)


def entry_bytes(entry):
    return (struct.pack("<QBH", entry["id"], STATES[entry["state"]], entry["attempts"])
            + report_bytes(entry["report"]))


def encode(m):
    kind = m["type"]
    descriptor = DESCRIPTOR if m.get("descriptor") else 0
    if kind == "hello":
        return frame(kind, struct.pack("<HHBI", m["version_min"], m["version_max"],
                                       ROLES[m["role"]], m["pid"]) + text8(m["software"]))
    if kind == "welcome":
        return frame(kind, struct.pack("<HIHI", m["version"], m["limit"], m["slot"],
                                       m["incarnation"])
                     + text8(m["pool"]) + text8(m["software"]), flags=descriptor)
    if kind == "register":
        return frame(kind, b"".join(map(task_bytes, m["tasks"])), len(m["tasks"]))
    if kind in ("ready", "trim", "retire"):
        return frame(kind)
    if kind == "start_failed":
        return frame(kind, text8(m["error_type"]) + text16(m["message"]))
    if kind == "job":
        return frame(kind, struct.pack("<QHQQ", m["id"], m["attempt"], m["soft_deadline_ns"],
                                       m["deadline_ns"]) + text8(m["task"]) + args_bytes(m["args"]),
                     flags=descriptor)
    if kind == "done":
        return frame(kind, struct.pack("<Q", m["id"]) + report_bytes(m["report"]),
                     flags=descriptor)
    if kind == "submit":
        return frame(kind, struct.pack("<IB", m["first_tag"], m["priority"]) + text8(m["task"])
                     + b"".join(map(args_bytes, m["jobs"])), len(m["jobs"]), descriptor)
    if kind == "accepted":
        return frame(kind, struct.pack("<IQ", m["first_tag"], m["first_id"]), m["count"])
    if kind == "refused":
        return frame(kind, struct.pack("<IB", m["first_tag"], REASONS.index(m["reason"]))
                     + text16(m["message"]), m["count"])
    if kind == "result":
        return frame(kind, b"".join(map(entry_bytes, m["entries"])), len(m["entries"]))
    if kind == "cancel":
        return frame(kind, struct.pack(f"<{len(m['ids'])}Q", *m["ids"]), len(m["ids"]),
                     TERMINATE if m["terminate"] else 0)
    if kind == "trimmed":
        return frame(kind, struct.pack("<I", m["collected"]))
    if kind in ("ping", "pong"):
        return frame(kind, struct.pack("<Q", m["token"]))
    if kind == "fork":
        return frame(kind, struct.pack("<IBB", m["number"], m["born"], m["joins"]),
                     flags=DESCRIPTOR)
    if kind == "forked":
        return frame(kind, struct.pack("<II", m["number"], m["pid"]) + text16(m["message"]))
    if kind == "unsafe":
        return frame(kind, b"".join(map(text16, m["findings"])), len(m["findings"]))
    assert kind == "close"
    return frame(kind, struct.pack("<B", REASONS.index(m["reason"])) + text16(m["message"]))


# Builders of messages with every field at a plain value; a vector says only what it is about.

def hello(**changed):
    return {"type": "hello", "version_min": 1, "version_max": 1, "role": "client", "pid": 4711,
            "software": "supervise-python 0.1.0", **changed}


def welcome(**changed):
    return {"type": "welcome", "version": 1, "limit": 10000, "slot": 0, "incarnation": 0,
            "pool": "reports", "software": "supervise 0.1.0", "descriptor": False, **changed}


def task(name="reports.tasks.build", soft=None, limit=None, retries=None):
    return {"name": name, "soft_time_limit_ms": soft, "time_limit_ms": limit, "retries": retries}


def register(*tasks):
    return {"type": "register", "tasks": list(tasks)}


def job(**changed):
    return {"type": "job", "id": 7, "attempt": 1, "soft_deadline_ns": 0, "deadline_ns": 0,
            "task": "reports.tasks.build", "args": [{"int": 42}], "descriptor": False, **changed}


def done_with(report, **changed):
    return {"type": "done", "id": 7, "report": report, "descriptor": False, **changed}


def submit(*jobs, **changed):
    return {"type": "submit", "first_tag": 0, "priority": 4, "task": "reports.tasks.build",
            "jobs": list(jobs), "descriptor": False, **changed}


def result(*entries):
    return {"type": "result", "entries": list(entries)}


def entry(report, state, **changed):
    return {"id": 7, "state": state, "attempts": 1, "report": report, **changed}


def cancel(*ids, terminate=False):
    return {"type": "cancel", "terminate": terminate, "ids": list(ids)}


def value(id_):
    return {"outcome": "done", "id": id_}


def failure(error_type="ValueError", message="no report 42", traceback="File tasks.py, line 3"):
    return {"outcome": "failed", "error_type": error_type, "message": message,
            "traceback": traceback}


def loss(cause, detail=""):
    return {"outcome": "lost", "cause": cause, "detail": detail}


def refused(**changed):
    return {"type": "refused", "first_tag": 3, "count": 1, "reason": "queue_full",
            "message": "the queue holds 10000 jobs already", **changed}


def close(reason, message):
    return {"type": "close", "reason": reason, "message": message}


def fork(**changed):
    return {"type": "fork", "number": 1, "born": True, "joins": 1, **changed}


def forked(**changed):
    return {"type": "forked", "number": 1, "pid": 4712, "message": "", **changed}


def unsafe(*findings):
    return {"type": "unsafe", "findings": list(findings)}


def ints(count):
    return [{"int": n} for n in range(count)]


def valid():
    yield "hello of a client", hello()
    yield "hello of a worker", hello(role="worker", pid=U32_MAX, version_max=3)
    yield "hello of a template", hello(role="template")
    yield "hello with nothing said", hello(version_min=0, version_max=0, pid=0, software="")
    yield "hello with the longest text", hello(software="s" * 255)
    yield "welcome to a client", welcome()
    yield "welcome to a worker", welcome(limit=0, slot=65535, incarnation=U32_MAX)
    yield "welcome with a descriptor", welcome(limit=0, slot=1, descriptor=True)
    yield "register of one task that says nothing", register(task())
    yield "register of a task that says all", register(task("a.b", 500, 60000, 3))
    yield "register with no limits at all", register(task("a.b", 0, 0, 0))
    yield "register with the largest values", register(task("a.b", U32_MAX - 1, U32_MAX - 1, 100))
    yield "register of many tasks", register(*(task(f"module.task_{n:02}", n, 2 * n, n)
                                               for n in range(30)))
    yield "register of an empty name", register(task(""))
    yield "ready", {"type": "ready"}
    yield "start failed", {"type": "start_failed", "error_type": "ImportError",
                           "message": "No module named 'reports'\n  line 1"}
    yield "start failed, the largest", {"type": "start_failed", "error_type": "E" * 255,
                                        "message": "m" * (1024 - 8 - 256 - 2)}
    yield "job with one int", job()
    yield "job with no arguments", job(args=[])
    yield "job with every kind of ID", job(
        id=U64_MAX, attempt=65535, soft_deadline_ns=1, deadline_ns=U64_MAX,
        args=[{"int": -1}, {"uuid": UUID}, {"text": "ключ-鍵-🔑"}])
    yield "job with the ints' ends", job(args=[{"int": -2**63}, {"int": 2**63 - 1}, {"int": 0}])
    yield "job with an empty text and an empty name", job(task="", args=[{"text": ""}])
    yield "job with a hundred arguments", job(args=ints(100))
    yield "job with the largest arguments", job(
        task="t" * 29, args=[{"text": "x" * 255}] * 3 + [{"text": "y" * 186}])
    yield "job with the longest name", job(task="n" * 255)
    yield "job with a descriptor", job(descriptor=True)
    yield "job with the widest characters' borders", job(
        args=[{"text": "\x01\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"}])
    yield "done with nothing", done_with(value(None))
    yield "done with an int", done_with(value({"int": -42}))
    yield "done with a uuid", done_with(value({"uuid": UUID}))
    yield "done with the longest text", done_with(value({"text": "r" * 255}), id=U64_MAX)
    yield "done with a descriptor", done_with(value(None), descriptor=True)
    yield "done, but failed", done_with(failure())
    yield "done, but failed without a word", done_with(failure("", "", ""))
    yield "done with the largest report", done_with(failure("T" * 255, "m" * 300, "b" * 439))
    yield "submit of one job", submit(ints(1))
    yield "submit of one job without arguments", submit([])
    yield "submit of many jobs", submit(*([{"int": n}] for n in range(99)), first_tag=U32_MAX,
                                        priority=9)
    yield "submit of mixed jobs", submit([], [{"uuid": UUID}], [{"text": "é"}, {"int": 1}],
                                         priority=0)
    yield "submit of a job of the largest call", submit(
        [{"text": "x" * 255}] * 3 + [{"text": "y" * 186}], task="t" * 29)
    yield "submit with a descriptor", submit(ints(2), descriptor=True)
    yield "accepted", {"type": "accepted", "first_tag": 3, "count": 2, "first_id": 1001}
    yield "accepted, the largest", {"type": "accepted", "first_tag": U32_MAX, "count": 65535,
                                    "first_id": U64_MAX}
    for reason in REASONS[1:]:
        yield f"refused: {reason}", refused(reason=reason)
        yield f"close: {reason}", close(reason, f"because of {reason}")
    yield "refused, the largest", refused(count=65535, message="m" * (1024 - 8 - 5 - 2))
    yield "close without a word", close("stopping", "")
    yield "result of a done job", result(entry(value({"int": 1}), "done"))
    yield "result of a failed job", result(entry(failure(), "failed", attempts=3))
    yield "result of a dead job", result(entry(failure(), "dead", attempts=65535))
    yield "result of a job that never began", result(entry(loss("revoked", "cancelled"), "lost",
                                                           attempts=0))
    for cause in CAUSES:
        yield f"result of a lost job: {cause}", result(entry(loss(cause, "signal 9"), "lost"))
    yield "result with the largest report", result(entry(failure("T" * 255, "m" * 739, ""),
                                                         "failed"))
    yield "result of many jobs", result(*(entry(value(None), "done", id=n) for n in range(78)))
    yield "cancel of one job", cancel(7)
    yield "cancel with terminate", cancel(7, U64_MAX, terminate=True)
    yield "cancel of as many as fit", cancel(*range(1, 128))
    yield "trim", {"type": "trim"}
    yield "trimmed", {"type": "trimmed", "collected": 12345}
    yield "trimmed, the most", {"type": "trimmed", "collected": U32_MAX}
    yield "retire", {"type": "retire"}
    yield "ping", {"type": "ping", "token": 0x0123456789ABCDEF}
    yield "pong", {"type": "pong", "token": U64_MAX}
    yield "fork into a cgroup that joins another", fork()
    yield "fork with no cgroup", fork(number=0, born=False, joins=0)
    yield "fork with every cgroup", fork(number=U32_MAX, joins=2)
    yield "fork that only joins", fork(born=False, joins=2)
    yield "forked", forked()
    yield "forked, the largest pid", forked(number=U32_MAX, pid=U32_MAX)
    yield "forked, but failed", forked(pid=0, message="Resource temporarily unavailable")
    yield "forked, the largest", forked(pid=0, message="m" * (1024 - 8 - 8 - 2))
    yield "unsafe for one reason", unsafe("2 threads: one of module grpc")
    yield "unsafe for many reasons", unsafe(*(f"finding {n}: é" for n in range(60)))
    yield "unsafe, the largest", unsafe("f" * (1024 - 8 - 2))
    yield "unsafe without a word", unsafe("", "")


def bad_job(args, name=b"t"):
    return frame("job", struct.pack("<QHQQ", 7, 1, 0, 0) + text8(name) + args)


def bad_text(data):
    """A job with one text ID of these bytes."""
    return bad_job(b"\1\3" + text8(data))


def invalid():
    job_head = struct.pack("<QHQQ", 7, 1, 0, 0)
    ping_body = struct.pack("<Q", 1)
    one_int = args_bytes(ints(1))
    some_task = struct.pack("<IIB", 0, 0, 0)
    done_head = struct.pack("<Q", 7)
    submit_head = struct.pack("<IB", 0, 4) + text8("t")
    nothing = report_bytes(value(None))

    # The header.
    yield "an empty record", b""
    yield "one byte", b"\x53"
    yield "a header cut short", frame("ready")[:7]
    yield "a wrong magic", frame("ready", magic=0x54)
    yield "type 0", frame(0)
    yield "type 22", frame(22)
    yield "type 255", frame(255)
    yield "a record shorter than its size", frame("ping", ping_body, size=17)
    yield "a record longer than its size", frame("ping", ping_body, size=15)
    yield "a size of 0", frame("ready", size=0)
    yield "a size in the wrong byte order", frame("ping", ping_body, size=0x1000)
    yield "a frame of 1025 bytes", frame("start_failed", text8("E") + text16("m" * 1013))
    yield "a reserved byte that is not 0", frame("ready", reserved=1)
    yield "an unknown flag", frame("job", job_head + text8("t") + one_int, flags=4)
    yield "the highest flag", frame("ready", flags=0x80)
    yield "a count where there is none", frame("ping", ping_body, count=1)
    yield "a count in a job", frame("job", job_head + text8("t") + one_int, count=1)

    # Flags with the wrong type.
    yield "a descriptor with ping", frame("ping", ping_body, flags=DESCRIPTOR)
    yield "a descriptor with cancel", frame("cancel", ping_body, 1, DESCRIPTOR)
    yield "a descriptor with result", frame("result", entry_bytes(entry(value(None), "done")), 1,
                                            DESCRIPTOR)
    yield "a descriptor with a submit of two", frame("submit", submit_head + one_int * 2, 2,
                                                     DESCRIPTOR)
    yield "fork without its descriptors' flag", frame("fork", struct.pack("<IBB", 1, 0, 0))
    yield "terminate in a fork", frame("fork", struct.pack("<IBB", 1, 0, 0),
                                       flags=DESCRIPTOR | TERMINATE)
    yield "a descriptor with forked", frame("forked", b"\1" * 8 + text16(""), flags=DESCRIPTOR)
    yield "a descriptor with unsafe", frame("unsafe", text16("f"), 1, DESCRIPTOR)
    yield "terminate in a job", frame("job", job_head + text8("t") + one_int, flags=TERMINATE)

    # Bodies that end too early or too late.
    yield "ready with a body", frame("ready", b"\0")
    yield "ping without a token", frame("ping")
    yield "ping with half a token", frame("ping", b"\0" * 4)
    yield "ping with a byte left over", frame("ping", ping_body + b"\0")
    yield "hello without its text", frame("hello", struct.pack("<HHBI", 1, 1, 1, 1))
    yield "hello with a text cut short", frame("hello", struct.pack("<HHBI", 1, 1, 1, 1) + b"\5abc")
    yield "hello with a byte left over", frame(
        "hello", struct.pack("<HHBI", 1, 1, 1, 1) + text8("abc") + b"\0")
    yield "a job that ends within its head", frame("job", job_head[:-1])
    yield "a job without arguments' count", bad_job(b"")
    yield "a job with fewer IDs than it says", bad_job(b"\2" + id_bytes({"int": 1}))
    yield "a job with more IDs than it says", bad_job(b"\1" + id_bytes({"int": 1}) * 2)
    yield "a job with an int cut short", bad_job(b"\1\1" + b"\0" * 7)
    yield "a job with a uuid cut short", bad_job(b"\1\2" + b"\0" * 15)
    yield "a job with a text cut short", bad_job(b"\1\3\4abc")
    yield "a job with an ID that is only its kind", bad_job(b"\1\3")
    yield "a close with a text16 cut short", frame("close", b"\3" + struct.pack("<H", 300) + b"m")
    yield "a close with half a text16's length", frame("close", b"\3\1")
    yield "a fork that ends before its joins", frame("fork", b"\0" * 5, flags=DESCRIPTOR)
    yield "a fork with a byte left over", frame("fork", b"\0" * 7, flags=DESCRIPTOR)
    yield "forked with its message cut short", frame(
        "forked", struct.pack("<IIH", 1, 0, 5) + b"abcd")
    yield "a finding cut short", frame("unsafe", struct.pack("<H", 5) + b"abcd", 1)

    # Counts.
    yield "a register of nothing", frame("register")
    yield "a register with a count of 0 and an entry", frame("register", text8("t") + some_task)
    yield "a register with too small a count", frame("register", (text8("t") + some_task) * 2, 1)
    yield "a register with too large a count", frame("register", text8("t") + some_task, 2)
    yield "a submit of nothing", frame("submit", submit_head)
    yield "a submit with too small a count", frame("submit", submit_head + one_int * 2, 1)
    yield "a submit with too large a count", frame("submit", submit_head + one_int, 2)
    yield "a submit with the largest count", frame("submit", submit_head + one_int, 65535)
    yield "a result of nothing", frame("result")
    yield "a result with too large a count", frame(
        "result", entry_bytes(entry(value(None), "done")), 2)
    yield "a cancel of nothing", frame("cancel")
    yield "a cancel with too small a count", frame("cancel", ping_body * 2, 1)
    yield "a cancel with too large a count", frame("cancel", ping_body, 2)
    yield "unsafe for no reason", frame("unsafe")
    yield "unsafe with too small a count", frame("unsafe", text16("f") * 2, 1)
    yield "unsafe with too large a count", frame("unsafe", text16("f"), 2)
    yield "a count in a fork", frame("fork", b"\0" * 6, 1, DESCRIPTOR)
    yield "a count in forked", frame("forked", struct.pack("<II", 1, 1) + text16(""), 1)
    yield "accepted for nothing", frame("accepted", struct.pack("<IQ", 0, 1))
    yield "refused for nothing", frame("refused", struct.pack("<IB", 0, 1) + text16(""))

    # Values out of range.
    yield "role 0", frame("hello", struct.pack("<HHBI", 1, 1, 0, 1) + text8(""))
    yield "role 4", frame("hello", struct.pack("<HHBI", 1, 1, 4, 1) + text8(""))
    yield "born twice", frame("fork", struct.pack("<IBB", 1, 2, 0), flags=DESCRIPTOR)
    yield "3 cgroups to join", frame("fork", struct.pack("<IBB", 1, 1, 3), flags=DESCRIPTOR)
    yield "101 retries", frame("register", text8("t") + struct.pack("<IIB", 0, 0, 101), 1)
    yield "254 retries", frame("register", text8("t") + struct.pack("<IIB", 0, 0, 254), 1)
    yield "priority 10", frame("submit", struct.pack("<IB", 0, 10) + text8("t") + one_int, 1)
    yield "attempt 0", frame("job", struct.pack("<QHQQ", 7, 0, 0, 0) + text8("t") + one_int)
    yield "101 arguments", bad_job(b"\x65" + id_bytes({"text": ""}) * 101)
    yield "961 bytes of arguments", bad_job(args_bytes(
        [{"text": "x" * 255}] * 3 + [{"text": "y" * 187}]))
    yield "a call too large for a job frame", frame(
        "submit", struct.pack("<IB", 0, 4) + text8("t" * 30)
        + args_bytes([{"text": "x" * 255}] * 3 + [{"text": "y" * 186}]), 1)
    yield "ID kind 0 among arguments", bad_job(b"\1\0")
    yield "ID kind 4", bad_job(b"\1\4" + b"\0" * 8)
    yield "refused for reason 0", frame("refused", struct.pack("<IB", 0, 0) + text16(""), 1)
    yield "refused for reason 11", frame("refused", struct.pack("<IB", 0, 11) + text16(""), 1)
    yield "close for reason 0", frame("close", b"\0" + text16(""))
    yield "close for reason 11", frame("close", b"\x0b" + text16(""))
    yield "a result that is still queued", frame(
        "result", struct.pack("<QBH", 7, 0, 1) + nothing, 1)
    yield "a result that is still running", frame(
        "result", struct.pack("<QBH", 7, 1, 1) + nothing, 1)
    yield "a result of state 6", frame("result", struct.pack("<QBH", 7, 6, 1) + nothing, 1)

    # Reports.
    yield "done without a report", frame("done", done_head)
    yield "a report of outcome 0", frame("done", done_head + b"\0\0")
    yield "a report of outcome 4", frame("done", done_head + b"\4\0")
    yield "a report of done without an ID", frame("done", done_head + b"\1")
    yield "a report with two IDs", frame("done", done_head + b"\1\0\0")
    yield "a report of lost from a worker", frame(
        "done", done_head + report_bytes(loss("exit", "1")))
    yield "a report with its traceback cut short", frame(
        "done", done_head + b"\2" + text8("E") + text16("m") + b"\5\0abc")
    yield "a report of cause 9", frame(
        "result", struct.pack("<QBH", 7, 4, 1) + b"\3\x09" + text16(""), 1)
    yield "a report of 1001 bytes", frame(
        "done", done_head + report_bytes(failure("T" * 255, "m" * 300, "b" * 440)))

    # Texts.
    yield "a NUL in a text ID", bad_text(b"a\0b")
    yield "a NUL in a task name", bad_job(one_int, name=b"t\0")
    yield "a NUL in a message", frame("close", b"\3" + text16(b"\0"))
    yield "a NUL in a report", frame("done", done_head + report_bytes(failure(message="a\0")))
    yield "a NUL in a finding", frame("unsafe", text16("f") + text16(b"\0"), 2)
    yield "bad UTF-8 in forked", frame("forked", struct.pack("<II", 1, 0) + text16(b"\xff"))
    yield "a lone continuation byte", bad_text(b"\x80")
    yield "a leading byte alone", bad_text(b"\xc3")
    yield "a leading byte before ASCII", bad_text(b"\xc3a")
    yield "three bytes cut to two", bad_text(b"\xe2\x82")
    yield "four bytes cut to three", bad_text(b"\xf0\x9f\x94")
    yield "an overlong slash of two bytes", bad_text(b"\xc0\xaf")
    yield "an overlong NUL of two bytes", bad_text(b"\xc0\x80")
    yield "an overlong C1", bad_text(b"\xc1\xbf")
    yield "an overlong slash of three bytes", bad_text(b"\xe0\x80\xaf")
    yield "the largest overlong of three bytes", bad_text(b"\xe0\x9f\xbf")
    yield "the largest overlong of four bytes", bad_text(b"\xf0\x8f\xbf\xbf")
    yield "the first surrogate", bad_text(b"\xed\xa0\x80")
    yield "the last surrogate", bad_text(b"\xed\xbf\xbf")
    yield "one above U+10FFFF", bad_text(b"\xf4\x90\x80\x80")
    yield "a leading byte F5", bad_text(b"\xf5\x80\x80\x80")
    yield "a byte FF", bad_text(b"\xff")
    yield "Latin-1 in a task name", bad_job(one_int, name="é".encode("latin-1"))
    yield "a bad character after a long ASCII text", bad_text(b"a" * 200 + b"\xff")
    yield "bad UTF-8 in a report", frame(
        "done", done_head + b"\2" + text8("E") + text16(b"\xff") + text16(""))


def main():
    vectors = []
    for name, message in valid():
        data = encode(message)
        assert len(data) <= 1024, name
        vectors.append({"name": name, "hex": data.hex(), "message": message})
    for name, data in invalid():
        vectors.append({"name": name, "hex": data.hex(), "error": True})
    names = [vector["name"] for vector in vectors]
    assert len(names) == len(set(names)), "two vectors of one name"
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    Path(__file__).with_name("frames.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(vectors)} vectors")


if __name__ == "__main__":
    main()
