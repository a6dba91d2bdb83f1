"""What a scenario asks of an engine."""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench import procfs
from bench.case import EngineSpec, Place

Task = Callable[[int], int]  # a function of apps/jobs.py


class Engine(ABC):
    """A started pool of workers."""

    def __init__(self, spec: EngineSpec, place: Place) -> None:
        self.spec = spec
        self.place = place

    @abstractmethod
    def submit_all(self, task: Task, numbers: Iterable[int]) -> list[int]:
        """Submits every job before it asks for the first result."""

    @abstractmethod
    def map(self, task: Task, numbers: Iterable[int]) -> Iterator[int]:
        """The engine's own lazy map, one job an item."""

    @abstractmethod
    def call(self, task: Task, number: int) -> int:
        """One job, and its result."""

    @abstractmethod
    def submit(self, task: Task, number: int, then: Callable[[bool], None]) -> None:
        """Submits a job; then(whether it succeeded) is called when it has ended, in any thread."""

    @abstractmethod
    def close(self) -> None: ...

    def processes(self) -> list[int]:
        """Every process of the engine, this one included."""
        return [os.getpid(), *procfs.descendants(os.getpid())]


def import_app(name: str) -> None:
    """Also what the workers of a pool without preloading run first."""
    if name != "light":
        importlib.import_module(name)


def preload_by_fork(spec: EngineSpec) -> None:
    if spec.preload and spec.method == "fork":
        import_app(spec.app)


def preload_modules(spec: EngineSpec) -> list[str]:
    """What a fork server imports, beside the main module."""
    return ["jobs", *([spec.app] if spec.app != "light" else [])] if spec.preload else ["jobs"]


def initializer(spec: EngineSpec) -> dict[str, Any]:
    """For the workers, where nobody has imported the application for them; as all pools' arguments are."""
    if spec.preload or spec.app == "light":
        return {}
    return {"initializer": import_app, "initargs": (spec.app,)}
