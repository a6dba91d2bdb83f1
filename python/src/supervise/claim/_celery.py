"""What is done inside of Celery, by its signals: arguments are loaded right before the task is called, and
removed after its message's ack.

Nothing here imports Celery before Celery itself is there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from supervise.claim import _keeper, _settings
from supervise.claim._claim import Claim, ClaimedArgs, sending_call
from supervise.claim._loading import load

_LOADED = "supervise_claims"  # an attribute of the running task's request: claims by digest

_connected = False


def connect_if_loaded() -> None:
    if not _connected and "celery" in sys.modules:
        connect()


def connect() -> None:
    """Raises ImportError where there is no Celery."""
    global _connected
    signals = import_module("celery.signals")
    import_module("supervise.claim._signature")
    receivers = {
        signals.before_task_publish: begin_sending,
        signals.after_task_publish: end_sending,
        signals.task_prerun: load_arguments,
        signals.task_received: watch_request,
        signals.worker_shutdown: finish,
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False, dispatch_uid=f"supervise.claim.{receiver.__name__}")
    _connected = True


def load_arguments(task: Any, args: Any, kwargs: Any, **_: Any) -> None:
    """Right before the call, in the process and thread of the call. What a receiver raises Celery only
    logs, so an error is kept in the arguments: the call then raises it, and the task fails."""
    if not isinstance(args, ClaimedArgs):
        return
    load(args, kwargs)
    if args.error is None:
        setattr(task.request, _LOADED, args.claims)
    else:
        task.request.args = args[:]  # for on_failure, and for backends that store the arguments


def watch_request(request: Any, **_: Any) -> None:
    """In the front, when a message has been decoded."""
    sending_call.set(False)  # in case the last sending failed
    args = request.request_dict.get("args")
    if isinstance(args, ClaimedArgs):
        _keeper.keeper().start()
        if _settings.settings().remove:
            _keeper.keeper().watch(request, request.message, args.entries)


def begin_sending(**_: Any) -> None:
    sending_call.set(True)


def end_sending(**_: Any) -> None:
    sending_call.set(False)


def finish(**_: Any) -> None:
    _keeper.keeper().finish(timeout=10)


def serializer_of(signature: Mapping[str, Any]) -> str:
    """By which name the signature's task will be sent, as far as this process knows."""
    named = (signature.get("options") or {}).get("serializer")
    celery = sys.modules.get("celery")
    if named or celery is None:
        return str(named)
    app = celery.current_app
    task = app.tasks.get(signature["task"])
    return str((task is not None and task.serializer) or app.conf.task_serializer)


def claims_at_hand() -> Mapping[str, Claim]:
    """What the task that runs in this thread was given, by digest. What it sends on is not stored again."""
    celery = sys.modules.get("celery")
    task = celery.current_task if celery is not None else None
    if not task:
        return {}
    found: Mapping[str, Claim] = task.request.get(_LOADED) or {}
    return found
