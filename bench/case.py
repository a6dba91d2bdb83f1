"""One engine in one scenario: what runs once a round, in a process of its own."""

from __future__ import annotations

import dataclasses
import json
from typing import Any


@dataclasses.dataclass(frozen=True)
class EngineSpec:
    """An engine and how it is set up. Everything left out is as the engine has it by default."""

    engine: str  # a key of engines.CLASSES, "floor", or "celery" with its own pool
    method: str = ""  # of starting workers: "fork", "forkserver", "spawn"; "" where there is one only
    workers: int = 2
    app: str = "light"  # light, heavy, slow: what the workers have imported
    preload: bool = False  # imported once, before the workers are forked, rather than by each of them
    max_tasks: int = 0  # jobs of a worker; 0: no recycling
    window: int = 0  # jobs that a worker holds at a time; 0: the engine's default

    @property
    def ours(self) -> bool:
        return self.engine == "supervise"

    @property
    def label(self) -> str:
        """What the tables call it."""
        if self.ours:
            details = [
                "template" if self.preload else "spawn",
                f"window {self.window}" if self.window else "",
            ]
        else:
            details = [self.method]
        told = ", ".join(detail for detail in details if detail)
        name = "bare dispatcher" if self.engine == "floor" else self.engine
        return f"{name} ({told})" if told else name


@dataclasses.dataclass(frozen=True)
class Case:
    scenario: str
    spec: EngineSpec
    quick: bool = False
    number: int = 0  # the scenario's own variable: milliseconds, clients, ...

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def parse(text: str) -> Case:
        fields: dict[str, Any] = json.loads(text)
        return Case(**{**fields, "spec": EngineSpec(**fields["spec"])})


@dataclasses.dataclass(frozen=True)
class Place:
    """What a case is given by the run."""

    folder: str  # for its sockets and files, empty; the run removes it
    program: str  # supervise
    cgroup_root: str  # for supervise's cgroups; "" where we may not make any


@dataclasses.dataclass
class Run:
    """What became of a case in one round."""

    case: Case
    round: int
    values: dict[str, float]
    error: str = ""  # instead of values: what went wrong
    note: str = ""  # besides them: it did not end, for example
    foreign: float = 0.0  # share of the machine that others had meanwhile, 0 to 1

    def dump(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def parse(fields: dict[str, Any]) -> Run:
        case = Case.parse(json.dumps(fields["case"]))
        return Run(**{**fields, "case": case})
