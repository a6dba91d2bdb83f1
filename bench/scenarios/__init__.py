"""One module a scenario: which engines, what is measured, and the tables of it."""

from __future__ import annotations

import importlib

from bench.scenarios.base import Scenario

MODULES = ("noop", "single", "short", "recycling", "memory", "spawn", "churn", "scale", "clients")


def load(name: str) -> Scenario:
    scenario: Scenario = importlib.import_module(f"bench.scenarios.{name}").SCENARIO
    return scenario
