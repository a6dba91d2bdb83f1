"""One module a scenario: which engines, what is measured, and the tables of it."""

from __future__ import annotations

import importlib

from bench.scenarios.base import Scenario

MODULES = (
    "noop",
    "single",
    "short",
    "recycling",
    "memory",
    "spawn",
    "churn",
    "scale",
    "clients",
    "celery_rate",
    "celery_recycling",
    "celery_latency",
    "celery_spike",
    "celery_arguments",
)


def named(name: str) -> list[str]:
    """The scenario of this name, or those whose names begin with it: celery, say."""
    return [module for module in MODULES if module == name or module.startswith(f"{name}_")]


def load(name: str) -> Scenario:
    scenario: Scenario = importlib.import_module(f"bench.scenarios.{name}").SCENARIO
    return scenario
