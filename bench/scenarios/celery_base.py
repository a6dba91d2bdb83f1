"""What the scenarios with Celery share."""

from __future__ import annotations

from bench.case import EngineSpec
from bench.engines import Stage
from bench.engines.celery_worker import CeleryWorker, Redis

PREFORK = EngineSpec("celery", "prefork")


def start_worker(spec: EngineSpec, stage: Stage, *options: str, **environment: str) -> CeleryWorker:
    """With a Redis of its own; returns when it answers. See CeleryWorker for the arguments."""
    redis = Redis(stage.place)
    stage.callback(redis.close)
    worker = CeleryWorker(spec, stage.place, redis, *options, **environment)
    stage.callback(worker.close)
    worker.wait_ready()
    return worker
