"""Frames from messages, as ipc/PROTOCOL.md has them, with `struct` alone."""

import struct
import uuid

TYPES = {
    "hello": 1, "welcome": 2, "register": 3, "ready": 4, "start_failed": 5, "job": 6, "done": 7,
    "submit": 8, "accepted": 9, "refused": 10, "result": 11, "cancel": 12, "trim": 13,
    "trimmed": 14, "retire": 15, "ping": 16, "pong": 17, "close": 18,
    "fork": 19, "forked": 20, "unsafe": 21, "call": 22, "begun": 23, "soft": 24, "signal": 25,
    "jobs": 26, "size": 27,
}
ROLES = {"client": 1, "worker": 2, "template": 3, "front": 4}
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
    return (text8(task["name"]) + limits_bytes(soft, limit)
            + struct.pack("<B", 0xFF if retries is None else retries))


def limits_bytes(soft, limit):
    return struct.pack("<II", POOLS_OWN if soft is None else soft,
                       POOLS_OWN if limit is None else limit)


def job_entry_bytes(job):
    return struct.pack("<QH", job["id"], job["attempt"]) + args_bytes(job["args"])


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
                     + b"".join(map(args_bytes, m["jobs"])), len(m["jobs"]))
    if kind == "accepted":
        return frame(kind, struct.pack("<IQ", m["first_tag"], m["first_id"]), m["count"])
    if kind == "refused":
        return frame(kind, struct.pack("<IB", m["first_tag"], REASONS.index(m["reason"]))
                     + text16(m["message"]), m["count"])
    if kind == "result":
        return frame(kind, b"".join(map(entry_bytes, m["entries"])), len(m["entries"]),
                     descriptor)
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
    if kind == "call":
        return frame(kind, struct.pack("<IB", m["tag"], m["priority"])
                     + limits_bytes(m["soft_time_limit_ms"], m["time_limit_ms"])
                     + text8(m["task"]) + text8(m["key"]), flags=DESCRIPTOR)
    if kind == "begun":
        return frame(kind, struct.pack("<QIQ", m["id"], m["pid"], m["time_ns"]))
    if kind == "soft":
        return frame(kind, struct.pack("<Q", m["id"]))
    if kind == "signal":
        return frame(kind, struct.pack("<QB", m["id"], m["number"]))
    if kind == "size":
        return frame(kind, struct.pack("<I", m["workers"]))
    if kind == "jobs":
        return frame(kind, text8(m["task"]) + b"".join(map(job_entry_bytes, m["jobs"])),
                     len(m["jobs"]))
    assert kind == "close"
    return frame(kind, struct.pack("<B", REASONS.index(m["reason"])) + text16(m["message"]))
