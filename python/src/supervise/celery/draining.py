"""What Celery's event loop would do while the pool is drained: by then it does not run any more."""

from __future__ import annotations

import logging
from typing import Any

_log = logging.getLogger("celery.pool")

_ACKNOWLEDGEMENTS = ("ack_log_error", "reject_log_error")


def keep_alive(hub: Any) -> None:
    """Fires due timers, the broker's heartbeats among them, and acknowledges what has ended."""
    try:
        hub.fire_timers()
    except Exception:  # also when a signal's handler drains in the middle of that very function
        _log.debug("a timer failed while the pool was drained", exc_info=True)
    acknowledge(hub)


def acknowledge(hub: Any) -> None:
    """Runs the acknowledgements that wait for the loop's next turn. Other things that wait there read
    more messages, for a pool that takes none; those stay."""
    for callback in _take_ready(hub):
        function = getattr(callback, "fun", None)
        if getattr(function, "__name__", None) in _ACKNOWLEDGEMENTS:
            try:
                callback()
            except Exception as error:
                hub.on_callback_error(callback, error)
        else:
            hub.call_soon(callback)


def _take_ready(hub: Any) -> list[Any]:
    if hasattr(hub, "_pop_ready"):
        return list(hub._pop_ready())
    ready = getattr(hub, "_ready", None)
    if not isinstance(ready, set):
        return []
    hub._ready = set()
    return list(ready)
