"""Messages with every field at a plain value; a vector says only what it is about."""

from wire import UUID


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
            "jobs": list(jobs), **changed}


def jobs_of(*entries, task="reports.tasks.build"):
    return {"type": "jobs", "task": task, "jobs": list(entries)}


def job_entry(*args, **changed):
    return {"id": 7, "attempt": 1, "args": list(args), **changed}


def call(**changed):
    return {"type": "call", "tag": 3, "priority": 4, "soft_time_limit_ms": None,
            "time_limit_ms": None, "task": "reports.tasks.build", "key": UUID, **changed}


def begun(**changed):
    return {"type": "begun", "id": 7, "pid": 4712, "time_ns": 1_000_000_001, **changed}


def send_signal(**changed):
    return {"type": "signal", "id": 7, "number": 15, **changed}


def result(*entries, descriptor=False):
    return {"type": "result", "entries": list(entries), "descriptor": descriptor}


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
