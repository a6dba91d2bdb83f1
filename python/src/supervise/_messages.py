"""The frames of ipc/PROTOCOL.md as values."""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

from supervise._ids import Id


class BadFrame(ValueError):
    """The peer broke the protocol. The connection cannot go on."""


class Done(NamedTuple):
    id: Optional[Id]


class Failed(NamedTuple):
    error_type: str
    message: str
    traceback: str


class Lost(NamedTuple):
    cause: str
    detail: str


Report = Union[Done, Failed, Lost]


class TaskInfo(NamedTuple):
    """None: the pool's own; a limit of 0: none at all."""

    name: str
    soft_time_limit_ms: Optional[int]
    time_limit_ms: Optional[int]
    retries: Optional[int]


class Hello(NamedTuple):
    version_min: int
    version_max: int
    role: int
    pid: int
    software: str


class Welcome(NamedTuple):
    version: int
    limit: int
    slot: int
    incarnation: int
    pool: str
    software: str
    descriptor: bool


class JobsFrame(NamedTuple):
    """Several jobs of one task: number, attempt and arguments of each."""

    task: str
    jobs: list[tuple[int, int, tuple[Id, ...]]]


class Register(NamedTuple):
    tasks: tuple[TaskInfo, ...]


class StartFailed(NamedTuple):
    error_type: str
    message: str


class JobFrame(NamedTuple):
    id: int
    attempt: int
    soft_deadline_ns: int
    deadline_ns: int
    task: str
    args: tuple[Id, ...]
    descriptor: bool


class DoneFrame(NamedTuple):
    id: int
    report: Report
    descriptor: bool


class Submit(NamedTuple):
    first_tag: int
    priority: int
    task: str
    jobs: tuple[tuple[Id, ...], ...]


class Accepted(NamedTuple):
    first_tag: int
    jobs: int
    first_id: int


class Refused(NamedTuple):
    first_tag: int
    jobs: int
    reason: str
    message: str


class Entry(NamedTuple):
    id: int
    state: int
    attempts: int
    report: Report


class Result(NamedTuple):
    entries: tuple[Entry, ...]
    descriptor: bool  # what came with DONE; then there is one entry


class Cancel(NamedTuple):
    terminate: bool
    ids: tuple[int, ...]


class Trimmed(NamedTuple):
    collected: int


class Ping(NamedTuple):
    token: int


class Pong(NamedTuple):
    token: int


class Close(NamedTuple):
    reason: str
    message: str


class Ready(NamedTuple):
    pass


class Trim(NamedTuple):
    pass


class Retire(NamedTuple):
    pass


class Fork(NamedTuple):
    number: int
    born: bool  # the directory of the cgroup to be born into comes along
    joins: int  # 0..2 control files of cgroups to join come along


class Forked(NamedTuple):
    number: int
    pid: int  # 0: it failed
    message: str


class Unsafe(NamedTuple):
    findings: tuple[str, ...]


class Call(NamedTuple):
    """A job whose payload is a descriptor. Limits as in TaskInfo, None being the task's own first."""

    tag: int
    priority: int
    soft_time_limit_ms: Optional[int]
    time_limit_ms: Optional[int]
    task: str
    key: str  # the caller's own name for the job


class Begun(NamedTuple):
    id: int
    pid: int
    time_ns: int  # CLOCK_MONOTONIC


class Soft(NamedTuple):
    """Its soft limit has passed, and its worker is told."""

    id: int


class Signal(NamedTuple):
    id: int
    number: int  # 1..64


class Size(NamedTuple):
    workers: int  # jobs that the pool runs at a time


Message = Union[
    Hello, Welcome, Register, Ready, StartFailed, JobFrame, JobsFrame, DoneFrame, Submit, Accepted,
    Refused, Result, Cancel, Trim, Trimmed, Retire, Ping, Pong, Close, Fork, Forked, Unsafe,
    Call, Begun, Soft, Signal, Size,
]  # fmt: skip
