"""The claim check: large arguments of Celery tasks go to a store, and only their IDs travel.

    app.conf.update(task_serializer="claim-json", accept_content=["json", "claim-json"])
    supervise.claim.register(store="/var/lib/shop/claims")

The broker and Celery's main process then see a `Claim` in place of each large argument; the process that runs
the task loads it right before the call. docs/CLAIM_CHECK.md says how.
"""

from __future__ import annotations

from typing import Optional

from supervise.claim import _celery, _settings
from supervise.claim._claim import Claim
from supervise.claim._directory import DirectoryStore
from supervise.claim._errors import ClaimCorrupt, ClaimError, ClaimMissing, StoreError
from supervise.claim._filesystem import FilesystemStore
from supervise.claim._loading import resolve, resolve_in_this_process
from supervise.claim._redis import RedisStore
from supervise.claim._serializer import CLAIM_JSON, CLAIM_PICKLE
from supervise.claim._settings import StoreLike
from supervise.claim._store import Store

__all__ = [
    "Claim",
    "ClaimCorrupt",
    "ClaimError",
    "ClaimMissing",
    "DirectoryStore",
    "FilesystemStore",
    "RedisStore",
    "Store",
    "StoreError",
    "register",
    "resolve",
    "resolve_in_this_process",
    "sweep",
]


def register(
    store: Optional[StoreLike] = None,
    threshold: Optional[int] = None,
    ttl: Optional[float] = None,
    remove: Optional[bool] = None,
) -> None:
    """Makes the serializers `claim-json` and `claim-pickle` known to kombu, in producers and workers alike.

    `store`: a directory, a URL (`redis://`, or what fsspec knows), an object with fsspec's methods or a
    `Store`; the same for all processes. `threshold`: how many bytes of encoded arguments a call may
    carry. `ttl`: after how many seconds an entry that nobody removed is swept; longer than any
    countdown. `remove`: False leaves all to the time-to-live, for messages that several workers get.

    What is not given stays as it is: at first `$CLAIM_CHECK_STORE`, `_THRESHOLD`, `_TTL` and `_REMOVE`,
    or `/var/tmp/supervise-claim-UID`, 64 KiB, 7 days, True. Needs kombu.
    """
    _settings.configure(store=store, threshold=threshold, ttl=ttl, remove=remove)
    CLAIM_JSON.register()
    CLAIM_PICKLE.register()
    try:
        _celery.connect()
    except ModuleNotFoundError as error:
        if error.name != "celery":
            raise


def sweep() -> int:
    """Removes the entries older than the time-to-live; how many. Celery workers do so by themselves."""
    return _settings.store().sweep(_settings.settings().ttl)
