"""The Celery application of the bench, the same for its client, for prefork and for supervise."""

import json
import os
import time

import jobs
import redis
from celery import Celery

app = Celery("celery_app", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_routes={"celery_app.noop*": "bench", "celery_app.stamp": "bench"},
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH_MULTIPLIER", "4")),
    supervise_config=json.loads(os.environ.get("BENCH_SUPERVISE", "{}")),
)
if "BENCH_CLAIMS" in os.environ:
    import supervise.claim

    app.conf.update(task_serializer="claim-json", accept_content=["json", "claim-json"])
    supervise.claim.register(store=os.environ["BENCH_CLAIMS"])

STAMPS = "bench-stamps"
_PIECE = 1000  # bytes, small enough for malloc's heap, which does not shrink by itself


@app.task(ignore_result=True)
def noop(number: int) -> int:
    return number


@app.task
def noop_with_result(number: int) -> int:
    return number


@app.task(ignore_result=True)
def stamp() -> None:
    """Says when it ran: the first and the last of a queue are such."""
    address = os.environ["BENCH_REDIS_SOCKET"]
    with redis.Redis(unix_socket_path=address) as client:
        client.rpush(STAMPS, repr(time.monotonic()))


@app.task
def whoami() -> int:
    return jobs.whoami(0)


@app.task
def spike(megabytes: int) -> int:
    """Uses so much memory, and gives it back."""
    pieces = [bytes(_PIECE) for _ in range(megabytes * 1_000_000 // _PIECE)]
    pieces.clear()
    return os.getpid()


@app.task
def size_of(text: str) -> int:
    time.sleep(0.005)
    return len(text)
