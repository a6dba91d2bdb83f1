"""One adapter for each engine, all with the same few methods."""

from __future__ import annotations

import contextlib
import importlib

from bench.case import EngineSpec, Place
from bench.engines.base import Engine

# Modules are imported only when their engine runs: a forked worker inherits what its parent has.
CLASSES = {
    "supervise": "bench.engines.ours:Supervise",
    "multiprocessing.Pool": "bench.engines.pools:MultiprocessingPool",
    "billiard.Pool": "bench.engines.pools:BilliardPool",
    "ProcessPoolExecutor": "bench.engines.executors:StandardExecutor",
    "loky": "bench.engines.executors:Loky",
    "pebble": "bench.engines.executors:Pebble",
}


class Stage(contextlib.ExitStack):
    """Where a case starts its engine. Leaving it ends the engine: after the values are written down,
    since that is when some engines hang."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    def start(self, spec: EngineSpec) -> Engine:
        module, _, name = CLASSES[spec.engine].partition(":")
        engine: Engine = getattr(importlib.import_module(module), name)(spec, self.place)
        self.callback(engine.close)
        return engine
