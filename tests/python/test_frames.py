"""The Python codec against the vectors that the C++ codec is tested with too."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any, Callable

import pytest

from supervise import _frames as frames
from supervise import _ids
from supervise import _messages as m
from supervise._decode import decode, jobs_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "frames.json").read_text())
VALID = [vector for vector in VECTORS if "message" in vector]
INVALID = [vector for vector in VECTORS if "error" in vector]
STATES = {2: "done", 3: "failed", 4: "lost", 5: "dead"}


def name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def id_of(value: Any) -> Any:
    if value is None:
        return None
    ((kind, content),) = value.items()
    return uuid.UUID(content) if kind == "uuid" else content


def id_json(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, int):
        return {"int": value}
    return {"uuid": str(value)} if isinstance(value, uuid.UUID) else {"text": value}


def ids_json(ids: tuple[Any, ...]) -> list[Any]:
    return [id_json(value) for value in ids]


def report_json(report: m.Report) -> dict[str, Any]:
    if isinstance(report, m.Done):
        return {"outcome": "done", "id": id_json(report.id)}
    if isinstance(report, m.Failed):
        return {"outcome": "failed", **report._asdict()}
    return {"outcome": "lost", **report._asdict()}


def message_json(message: m.Message) -> dict[str, Any]:
    fields = message._asdict()
    if isinstance(message, m.Hello):
        fields["role"] = {1: "client", 2: "worker", 3: "template", 4: "front"}[message.role]
    elif isinstance(message, m.Register):
        fields["tasks"] = [task._asdict() for task in message.tasks]
    elif isinstance(message, m.JobFrame):
        fields["args"] = ids_json(message.args)
    elif isinstance(message, m.JobsFrame):
        fields["jobs"] = [
            {"id": job, "attempt": attempt, "args": ids_json(args)} for job, attempt, args in message.jobs
        ]
    elif isinstance(message, m.DoneFrame):
        fields["report"] = report_json(message.report)
    elif isinstance(message, m.Submit):
        fields["jobs"] = [ids_json(job) for job in message.jobs]
    elif isinstance(message, m.Result):
        fields["entries"] = [
            {**e._asdict(), "state": STATES[e.state], "report": report_json(e.report)}
            for e in message.entries
        ]
    elif isinstance(message, (m.Accepted, m.Refused)):
        fields["count"] = fields.pop("jobs")
    elif isinstance(message, m.Cancel):
        fields["ids"] = list(message.ids)
    elif isinstance(message, m.Unsafe):
        fields["findings"] = list(message.findings)
    kinds = {"JobFrame": "job", "JobsFrame": "jobs", "DoneFrame": "done", "StartFailed": "start_failed"}
    kind = kinds.get(type(message).__name__, type(message).__name__.lower())
    return {"type": kind, **fields}


@pytest.mark.parametrize("vector", VALID, ids=name)
def test_a_valid_frame_gives_its_message(vector: dict[str, Any]) -> None:
    assert message_json(decode(bytes.fromhex(vector["hex"]))) == vector["message"]


@pytest.mark.parametrize("vector", INVALID, ids=name)
def test_an_invalid_frame_is_refused_with_a_reason(vector: dict[str, Any]) -> None:
    with pytest.raises(m.BadFrame, match=r"\w"):
        decode(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", VALID, ids=name)
def test_a_valid_frame_cut_anywhere_is_refused(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    for size in range(len(data)):
        cut = data[:2] + size.to_bytes(2, "little") + data[4:size] if size >= 4 else data[:size]
        with pytest.raises(m.BadFrame):
            decode(cut)


WRITERS: dict[str, Callable[..., bytes]] = {
    "call": frames.call,
    "begun": lambda id, pid, time_ns: frames.begun(id, pid, time_ns),
    "signal": lambda id, number: frames.send_signal(id, number),
}
JOBS = [vector for vector in VECTORS if vector["hex"][2:4] == f"{frames.JOBS:02x}"]


@pytest.mark.parametrize("vector", JOBS, ids=name)
def test_a_worker_reads_jobs_as_everybody_does(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    if "error" in vector:
        with pytest.raises(m.BadFrame, match=r"\w"):
            jobs_of(data)
    else:
        message = decode(data)
        assert isinstance(message, m.JobsFrame)
        assert jobs_of(data) == (message.task.encode(), message.jobs)


def encoded(message: dict[str, Any]) -> bytes | None:
    """The frame as this package writes it; None for what only a supervisor writes."""
    kind = message["type"]
    if kind == "hello":
        if (message["version_min"], message["version_max"]) != (1, 1):
            return None
        roles = {"client": frames.CLIENT, "worker": frames.WORKER, "template": frames.TEMPLATE}
        role = roles.get(message["role"], frames.FRONT)
        return frames.hello(role, message["pid"], message["software"])
    if kind == "register":
        (data,) = frames.register([m.TaskInfo(**task) for task in message["tasks"]])
        return data
    if kind == "start_failed":
        return frames.start_failed(message["error_type"], message["message"].encode())
    if kind == "done":
        return frames.done(message["id"], report_of(message["report"]), message["descriptor"])
    if kind == "submit":
        body = frames.submit_body(message["priority"], message["task"].encode())
        jobs = [_ids.encode_args(tuple(id_of(i) for i in job)) for job in message["jobs"]]
        return frames.submit(message["first_tag"], body, jobs)
    if kind == "cancel" and len(message["ids"]) == 1:
        return frames.cancel(message["ids"][0], message["terminate"])
    if kind == "trimmed":
        return frames.trimmed(message["collected"])
    if kind == "forked":
        return frames.forked(message["number"], message["pid"], message["message"])
    if kind == "unsafe":
        (data,) = frames.unsafe(message["findings"])
        return data
    if kind in WRITERS:
        return WRITERS[kind](**{key: value for key, value in message.items() if key != "type"})
    if kind == "pong":
        return frames.pong(message["token"])
    if kind == "ready":
        return frames.frame(frames.READY)
    return None


def report_of(report: dict[str, Any]) -> bytes:
    if report["outcome"] == "done":
        return b"\x01" + (_ids.NONE if report["id"] is None else _ids.encode_id(id_of(report["id"])))
    return frames.failed_report(report["error_type"], report["message"], report["traceback"])


OURS = [vector for vector in VALID if encoded(vector["message"]) is not None]


@pytest.mark.parametrize("vector", OURS, ids=name)
def test_a_message_gives_the_frame(vector: dict[str, Any]) -> None:
    data = encoded(vector["message"])
    assert data is not None
    assert data.hex() == vector["hex"]


def test_every_type_that_this_side_writes_is_among_the_vectors() -> None:
    types = {vector["message"]["type"] for vector in OURS}
    assert types == {
        "hello", "register", "start_failed", "ready", "done", "submit", "cancel", "trimmed", "pong",
        "forked", "unsafe", "call", "begun", "signal",
    }  # fmt: skip


def test_many_tasks_are_split_over_frames() -> None:
    tasks = [m.TaskInfo(f"m.{'t' * 100}{n}", 1, 2, 3) for n in range(50)]
    sent = frames.register(tasks)
    assert len(sent) > 1
    read: list[m.TaskInfo] = []
    for data in sent:
        message = decode(data)
        assert isinstance(message, m.Register)
        read += message.tasks
    assert read == tasks


def test_many_findings_are_split_over_frames_and_a_long_one_is_cut() -> None:
    sent = frames.unsafe(["short", "é" * 1000, "c" * 600, "d" * 600])
    read: list[str] = []
    for data in sent:
        message = decode(data)
        assert isinstance(message, m.Unsafe)
        read += message.findings
    assert read == ["short", "é" * 507, "c" * 600, "d" * 600]


def test_a_failure_cuts_the_traceback_first_and_at_its_beginning() -> None:
    report = frames.failed_report("E", "m" * 500, "a" * 1000 + "the end")
    assert len(report) == frames.MAX_REPORT
    message = decode(frames.done(1, report))
    assert isinstance(message, m.DoneFrame)
    failed = message.report
    assert isinstance(failed, m.Failed)
    assert failed.message == "m" * 500
    assert failed.traceback.endswith("the end")


def test_a_failure_with_a_long_message_cuts_its_end() -> None:
    message = decode(frames.done(1, frames.failed_report("E", "first" + "é" * 1000, "tb")))
    assert isinstance(message, m.DoneFrame)
    failed = message.report
    assert isinstance(failed, m.Failed)
    assert failed.message.startswith("firsté")
    assert failed.traceback in ("", "b")  # one byte may be over, after a cut within a character


def test_a_failure_may_say_what_is_no_text() -> None:
    message = decode(frames.done(1, frames.failed_report("E", "nul \0 surrogate \udc80", "")))
    assert isinstance(message, m.DoneFrame)
    failed = message.report
    assert isinstance(failed, m.Failed)
    assert failed.message == "nul \\0 surrogate \\udc80"
