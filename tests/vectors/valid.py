"""The frames that a codec must accept, each by its message."""

from builders import (
    begun,
    call,
    cancel,
    close,
    done_with,
    entry,
    failure,
    fork,
    forked,
    hello,
    ints,
    job,
    job_entry,
    jobs_of,
    loss,
    refused,
    register,
    result,
    send_signal,
    submit,
    task,
    unsafe,
    value,
    welcome,
)
from wire import CAUSES, REASONS, U32_MAX, U64_MAX, UUID


def valid():
    yield "hello of a client", hello()
    yield "hello of a worker", hello(role="worker", pid=U32_MAX, version_max=3)
    yield "hello of a template", hello(role="template")
    yield "hello of a front", hello(role="front")
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
    yield "result with a descriptor", result(entry(value(None), "done"), descriptor=True)
    yield "result of a failed job with a descriptor", result(
        entry(failure("T" * 255, "m" * 739, ""), "failed"), descriptor=True)
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
    yield "call with the task's limits", call()
    yield "call without limits, first in its queue", call(
        priority=9, soft_time_limit_ms=0, time_limit_ms=0)
    yield "call with limits of its own", call(
        tag=U32_MAX, priority=0, soft_time_limit_ms=1, time_limit_ms=U32_MAX - 1)
    yield "call with one limit of its own", call(time_limit_ms=60000)
    yield "call with the longest names", call(task="t" * 255, key="k" * 255)
    yield "call with empty names", call(task="", key="")
    yield "call with a key that is not ASCII", call(key="ключ-鍵-🔑")
    yield "begun", begun()
    yield "begun, the largest", begun(id=U64_MAX, pid=U32_MAX, time_ns=U64_MAX)
    yield "soft", {"type": "soft", "id": 7}
    yield "soft, the largest", {"type": "soft", "id": U64_MAX}
    yield "signal", send_signal()
    yield "signal, the first", send_signal(number=1)
    yield "signal, the last", send_signal(id=U64_MAX, number=64)
    yield "size", {"type": "size", "workers": 4}
    yield "size, the largest", {"type": "size", "workers": U32_MAX}
    yield "jobs of one", jobs_of(job_entry({"int": 42}))
    yield "jobs with an int each", jobs_of(*(job_entry({"int": -n}, id=n) for n in range(16)))
    yield "jobs of every kind", jobs_of(
        job_entry(), job_entry({"int": 2**63 - 1}, id=0),
        job_entry({"uuid": UUID}, id=U64_MAX, attempt=65535),
        job_entry({"int": 1}, {"text": "ключ-鍵-🔑"}), job_entry({"text": ""}))
    yield "jobs without arguments, as many as fit", jobs_of(
        *(job_entry(id=n) for n in range(92)), task="a.b")
    yield "jobs with a hundred arguments", jobs_of(job_entry(*ints(100)), task="a")
    yield "jobs of the longest name", jobs_of(job_entry({"int": 1}), task="n" * 255)
    yield "jobs of the empty name", jobs_of(job_entry({"int": 1}), task="")
    yield "jobs of one of the largest call", jobs_of(
        job_entry(*[{"text": "x" * 255}] * 3, {"text": "y" * 186}), task="t" * 29)
