"""The short way to read a frame says what the long one says, of good frames and of bad ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from supervise import _decode
from supervise import _frames as frames
from supervise import _messages as m
from supervise.celery import hot_frames

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/frames.json").read_text())
ALL = [bytes.fromhex(vector["hex"]) for vector in VECTORS]
TEXT = b"\x01\x03\x0f0.00012341 None"  # the report of a job that is done
LOST_TEXT = b"\x03" + TEXT[1:]


def head(kind: int, size: int, count: int = 0, flags: int = 0) -> bytes:
    return frames.HEADER.pack(frames.MAGIC, kind, size, count, flags, 0)


def result(report: bytes) -> bytes:
    return head(frames.RESULT, 19 + len(report), 1) + frames.ENTRY_HEAD.pack(7, 2, 1) + report


def job(texts: bytes) -> bytes:
    size = frames.JOB_HEAD.size - 1 + len(texts)
    return frames.JOB_HEAD.pack(frames.MAGIC, frames.JOB, size, 0, 1, 0, 7, 1, 5, 6, 0)[:-1] + texts


USUAL = [
    head(frames.ACCEPTED, 20, 1) + b"\x09\0\0\0" + b"\x07\0\0\0\0\0\0\0",
    frames.begun(7, 4711, 123_456_789),
    result(TEXT),
    result(b"\x01\x03\x00"),
    job(b"\x08proj.add\x01\x03\x06task-1"),
]
UNUSUAL = [
    result(b"\x01\x00"),
    result("\x01\x03\x02é".encode()),
    result(b"\x01\x03\x02\xff\xff"),
    result(b"\x01\x03\x02a\0"),
    result(LOST_TEXT),
    job(b"\x08proj.add\x00"),
    job("\x09proj.ädd\x01\x03\x06täsk".encode()),
    job(b"\x08proj.add\x02\x03\x01a\x03\x01b"),
    job(b"\x08proj.add\x01\x03\x07task-1"),
    job(b"\x08proj.add\x01\x03\x05task-1"),
]


def outcome(read: Callable[[bytes], Any], frame: bytes) -> object:
    try:
        return read(frame)
    except m.BadFrame:
        return "bad"


def job_in_the_long_way(frame: bytes) -> hot_frames.PayloadJob:
    message = _decode.decode(frame)
    if not isinstance(message, m.JobFrame) or not message.descriptor:
        raise m.BadFrame("")
    task = message.task.encode()
    return hot_frames.PayloadJob(
        message.id, message.attempt, message.soft_deadline_ns, message.deadline_ns, task
    )


def spoilt(frame: bytes) -> Iterator[bytes]:
    """The frame with each of its bytes changed, missing or doubled."""
    for at, byte in enumerate(frame):
        for other in {0, 1, 2, 3, 0x7F, 0xFF, byte ^ 1, (byte + 1) & 0xFF}:
            yield frame[:at] + bytes((other,)) + frame[at + 1 :]
        yield frame[:at] + frame[at + 1 :]
        yield frame[:at] + frame[at : at + 1] + frame[at:]


@pytest.mark.parametrize(
    "short, long", [(hot_frames.decode, _decode.decode), (hot_frames.payload_job, job_in_the_long_way)]
)
def test_both_ways_agree(short: Callable[[bytes], Any], long: Callable[[bytes], Any]) -> None:
    for frame in [*ALL, *USUAL, *UNUSUAL]:
        assert outcome(short, frame) == outcome(long, frame), frame.hex()
    for frame in [*USUAL, *UNUSUAL]:
        for other in spoilt(frame):
            assert outcome(short, other) == outcome(long, other), other.hex()


def test_the_usual_frames_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_decode, "decode")
    assert [type(hot_frames.decode(frame)) for frame in USUAL[:3]] == [m.Accepted, m.Begun, m.Result]
    assert hot_frames.payload_job(USUAL[4]) == (7, 1, 5, 6, b"proj.add")
