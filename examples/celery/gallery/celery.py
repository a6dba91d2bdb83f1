"""The application. Without `worker_pool` it runs on prefork, as before."""

import os

from celery import Celery

app = Celery("gallery", include=["gallery.tasks"])
app.conf.update(
    broker_url=os.environ.get("GALLERY_BROKER", "redis://127.0.0.1:6379/0"),
    result_backend=os.environ.get("GALLERY_RESULTS", "redis://127.0.0.1:6379/1"),
    broker_connection_retry_on_startup=True,
    worker_concurrency=2,
    worker_max_memory_per_child=100_000,  # KiB: prefork's setting, obeyed by supervise, too
)

if os.environ.get("GALLERY_POOL") != "prefork":  # for `run --compare`; yours is one line
    app.conf.worker_pool = "supervise.celery:TaskPool"
    app.conf.supervise_config = {"pool": {"memory": {"hard": "250M"}}}
