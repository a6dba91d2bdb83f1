"""The frames that a codec must refuse, each as its bytes."""

import struct

from builders import entry, failure, ints, job_entry, loss, value
from wire import (
    DESCRIPTOR,
    TERMINATE,
    args_bytes,
    entry_bytes,
    frame,
    id_bytes,
    job_entry_bytes,
    report_bytes,
    text8,
    text16,
)


def bad_job(args, name=b"t"):
    return frame("job", struct.pack("<QHQQ", 7, 1, 0, 0) + text8(name) + args)


def bad_text(data):
    """A job with one text ID of these bytes."""
    return bad_job(b"\1\3" + text8(data))


def call_bytes(priority=4, task=b"t", key=b"key"):
    return struct.pack("<IBII", 3, priority, 0, 0) + text8(task) + text8(key)


def invalid():
    job_head = struct.pack("<QHQQ", 7, 1, 0, 0)
    ping_body = struct.pack("<Q", 1)
    one_int = args_bytes(ints(1))
    some_task = struct.pack("<IIB", 0, 0, 0)
    done_head = struct.pack("<Q", 7)
    submit_head = struct.pack("<IB", 0, 4) + text8("t")
    nothing = report_bytes(value(None))
    jobs_head = text8("t")
    one_job = job_entry_bytes(job_entry({"int": 1}))
    call_body = call_bytes()
    begun_body = struct.pack("<QIQ", 7, 1, 1)

    # The header.
    yield "an empty record", b""
    yield "one byte", b"\x53"
    yield "a header cut short", frame("ready")[:7]
    yield "a wrong magic", frame("ready", magic=0x54)
    yield "type 0", frame(0)
    yield "type 27", frame(27)
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
    yield "a descriptor with a result of two", frame(
        "result", entry_bytes(entry(value(None), "done")) * 2, 2, DESCRIPTOR)
    yield "terminate in a result of one", frame(
        "result", entry_bytes(entry(value(None), "done")), 1, TERMINATE)
    yield "a descriptor with a submit of one", frame("submit", submit_head + one_int, 1, DESCRIPTOR)
    yield "a descriptor with a submit of two", frame("submit", submit_head + one_int * 2, 2,
                                                     DESCRIPTOR)
    yield "a descriptor with jobs", frame("jobs", jobs_head + one_job, 1, DESCRIPTOR)
    yield "call without its descriptor's flag", frame("call", call_body)
    yield "terminate in a call", frame("call", call_body, flags=DESCRIPTOR | TERMINATE)
    yield "a descriptor with begun", frame("begun", begun_body, flags=DESCRIPTOR)
    yield "a descriptor with soft", frame("soft", done_head, flags=DESCRIPTOR)
    yield "a descriptor with signal", frame("signal", done_head + b"\x0f", flags=DESCRIPTOR)
    yield "a descriptor with size", frame("size", b"\0" * 4, flags=DESCRIPTOR)
    yield "terminate in a signal", frame("signal", done_head + b"\x0f", flags=TERMINATE)
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
    yield "a call without its key", frame("call", call_body[:-4], flags=DESCRIPTOR)
    yield "a call with its key cut short", frame("call", call_body[:-1], flags=DESCRIPTOR)
    yield "a call with a byte left over", frame("call", call_body + b"\0", flags=DESCRIPTOR)
    yield "begun without a time", frame("begun", begun_body[:-8])
    yield "begun with a byte left over", frame("begun", begun_body + b"\0")
    yield "soft with half a job", frame("soft", b"\0" * 4)
    yield "soft with a byte left over", frame("soft", done_head + b"\0")
    yield "size with half a number", frame("size", b"\0" * 2)
    yield "size with a byte left over", frame("size", b"\0" * 5)
    yield "a signal without its number", frame("signal", done_head)
    yield "a signal with a byte left over", frame("signal", done_head + b"\x0f\0")
    yield "jobs with a name only", frame("jobs", jobs_head, 1)
    yield "jobs that end within a job's number", frame("jobs", jobs_head + one_job[:7], 1)
    yield "jobs that end within an attempt", frame("jobs", jobs_head + one_job[:9], 1)
    yield "jobs that end before arguments", frame("jobs", jobs_head + one_job[:10], 1)
    yield "jobs that end within an int", frame("jobs", jobs_head + one_job[:-1], 1)
    yield "jobs with a byte left over", frame("jobs", jobs_head + one_job + b"\0", 1)
    yield "jobs with fewer IDs than one says", frame(
        "jobs", jobs_head + struct.pack("<QH", 7, 1) + b"\2" + id_bytes({"int": 1}), 1)
    yield "jobs with a text cut short", frame(
        "jobs", jobs_head + struct.pack("<QH", 7, 1) + b"\1\3\4abc", 1)

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
    yield "jobs of none", frame("jobs", jobs_head)
    yield "jobs with a count of 0 and one of them", frame("jobs", jobs_head + one_job)
    yield "jobs with too small a count", frame("jobs", jobs_head + one_job * 3, 2)
    yield "jobs with too large a count", frame("jobs", jobs_head + one_job * 3, 4)
    yield "jobs with the largest count", frame("jobs", jobs_head + one_job * 3, 65535)
    yield "a count in a call", frame("call", call_body, 1, DESCRIPTOR)
    yield "a count in begun", frame("begun", begun_body, 1)
    yield "a count in soft", frame("soft", done_head, 1)
    yield "a count in size", frame("size", b"\0" * 4, 1)
    yield "a count in a signal", frame("signal", done_head + b"\x0f", 1)
    yield "accepted for nothing", frame("accepted", struct.pack("<IQ", 0, 1))
    yield "refused for nothing", frame("refused", struct.pack("<IB", 0, 1) + text16(""))

    # Values out of range.
    yield "role 0", frame("hello", struct.pack("<HHBI", 1, 1, 0, 1) + text8(""))
    yield "role 5", frame("hello", struct.pack("<HHBI", 1, 1, 5, 1) + text8(""))
    yield "born twice", frame("fork", struct.pack("<IBB", 1, 2, 0), flags=DESCRIPTOR)
    yield "3 cgroups to join", frame("fork", struct.pack("<IBB", 1, 1, 3), flags=DESCRIPTOR)
    yield "101 retries", frame("register", text8("t") + struct.pack("<IIB", 0, 0, 101), 1)
    yield "254 retries", frame("register", text8("t") + struct.pack("<IIB", 0, 0, 254), 1)
    yield "priority 10", frame("submit", struct.pack("<IB", 0, 10) + text8("t") + one_int, 1)
    yield "attempt 0", frame("job", struct.pack("<QHQQ", 7, 0, 0, 0) + text8("t") + one_int)
    yield "attempt 0 among jobs", frame(
        "jobs", jobs_head + one_job + job_entry_bytes(job_entry({"int": 1}, attempt=0)), 2)
    yield "jobs with 101 arguments", frame(
        "jobs", jobs_head + struct.pack("<QH", 7, 1) + b"\x65" + id_bytes({"text": ""}) * 101, 1)
    yield "jobs of one of too large a call", frame("jobs", text8("t" * 30) + job_entry_bytes(
        job_entry(*[{"text": "x" * 255}] * 3, {"text": "y" * 186})), 1)
    yield "jobs with ID kind 0", frame(
        "jobs", jobs_head + struct.pack("<QH", 7, 1) + b"\1\0" + b"\0" * 8, 1)
    yield "a call of priority 10", frame("call", call_bytes(priority=10), flags=DESCRIPTOR)
    yield "signal 0", frame("signal", done_head + b"\0")
    yield "signal 65", frame("signal", done_head + b"\x41")
    yield "signal 255", frame("signal", done_head + b"\xff")
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
    yield "a NUL in a call's task", frame("call", call_bytes(task=b"\0"), flags=DESCRIPTOR)
    yield "a NUL in a call's key", frame("call", call_bytes(key=b"a\0"), flags=DESCRIPTOR)
    yield "bad UTF-8 in a call's key", frame("call", call_bytes(key=b"\xff"), flags=DESCRIPTOR)
    yield "bad UTF-8 in the name of jobs", frame("jobs", text8(b"\xff") + one_job, 1)
    yield "a NUL in a text among jobs", frame("jobs", jobs_head + one_job + struct.pack(
        "<QH", 8, 1) + b"\1\3" + text8(b"a\0b"), 2)
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
