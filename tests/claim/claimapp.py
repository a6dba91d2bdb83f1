"""The application of the tests: run by real workers, and imported by the tests, which are its producers.

$CLAIM_APP has its settings as JSON: broker, backend, store, threshold, ttl, serializer, conf (for Celery).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os

from celery import Celery
from celery.exceptions import Ignore, Reject
from celery.signals import worker_process_init

import supervise.claim

SETTINGS = json.loads(os.environ.get("CLAIM_APP", "{}"))
SERIALIZER = SETTINGS.get("serializer", "claim-json")

if SETTINGS.get("register", True):
    supervise.claim.register(
        store=SETTINGS.get("store"), threshold=SETTINGS.get("threshold"), ttl=SETTINGS.get("ttl")
    )

if SETTINGS.get("children_resolve"):
    worker_process_init.connect(lambda **_: supervise.claim.resolve_in_this_process(), weak=False)

app = Celery("claimapp", broker=SETTINGS.get("broker", "memory://"), backend=SETTINGS.get("backend"))
app.conf.update(
    task_serializer=SERIALIZER,
    accept_content=["json", SERIALIZER, *SETTINGS.get("accept", [])],
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    result_expires=None,
    **SETTINGS.get("conf", {}),
)
task = functools.partial(app.task, shared=False)  # a test may import this module again


def short(value: object) -> str:
    """What a test compares instead of a large value."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return f"{len(text)}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@task()
def digest(*args, **kwargs):
    return [short(value) for value in args] + [[name, short(kwargs[name])] for name in sorted(kwargs)]


@task()
def grow(size, letter="x"):
    return letter * size


@task()
def join(parts, *others):
    return [short(part) for part in parts] + [short(other) for other in others]


@task()
def append(start, end):
    return start + end


@task(bind=True, max_retries=3)
def succeed_at(self, value, attempt):
    """Succeeds at its `attempt`-th retry; says how often the value is on the disk then."""
    if self.request.retries < attempt:
        raise self.retry(countdown=0)
    return [self.request.retries, short(value), files()]


def files():
    """How many files have names in the store; one may have several."""
    if not os.path.isdir(SETTINGS["store"]):
        return 0
    with os.scandir(SETTINGS["store"]) as listing:
        return len({entry.inode() for entry in listing})


@task(bind=True, max_retries=1)
def retry_quietly(self, value):
    if self.request.retries:
        app.backend.client.rpush("seen", short(value))
    else:
        self.retry(countdown=0, throw=False)
    return "done"


@task(bind=True)
def send_on(self, value):
    """Gives its own argument to another task."""
    return digest.delay(value, "small").id


@task()
def fail(value):
    raise RuntimeError(f"failed with {short(value)}")


@task()
def on_error(request, error, traceback, *values):
    """Called by Celery in the process that noticed the failure."""
    app.backend.client.rpush("errors", json.dumps([request.id, type(error).__name__, *map(short, values)]))


@task()
def on_error_by_id(task_id, *, note):
    """Sent by Celery as a task of its own, since it takes one positional argument."""
    app.backend.client.rpush("errors", json.dumps([task_id, short(note)]))


@task()
def ignored(value):
    raise Ignore()


@task(bind=True, acks_late=True)
def rejected(self, value):
    app.backend.client.rpush("seen", short(value))
    raise Reject("no", requeue=False)


@task(bind=True, acks_late=True, reject_on_worker_lost=True)
def die_once(self, value):
    """Waits to be killed the first time it runs, and says who may do it."""
    client = app.backend.client
    if client.incr("runs") == 1:
        client.rpush("victims", os.getpid())
        client.blpop("never", timeout=120)
    return [int(client.get("runs")), short(value)]


# Celery 5.7 publishes such a task again from its main process, which has only the claims.
@task(bind=True, retry_on_worker_lost=True, max_retries=2, default_retry_delay=0)
def retried_when_lost(self, value):
    if self.request.retries == 0:
        app.backend.client.rpush("victims", os.getpid())
        app.backend.client.blpop("never", timeout=120)
    return [self.request.retries, short(value)]


@task(bind=True)
def wait(self, value):
    """Says that it began, and goes on at a word."""
    app.backend.client.rpush("began", self.request.id)
    app.backend.client.blpop("go", timeout=120)
    return short(value)


for name, serializer in SETTINGS.get("serializers", {}).items():
    app.tasks[name].serializer = serializer
