"""From claims back to values: where the task runs, and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from supervise.claim import _settings
from supervise.claim._claim import Claim, ClaimedArgs
from supervise.claim._errors import ClaimCorrupt
from supervise.claim._formats import FORMATS

_resolves_here = False


def resolve(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with every claim among them replaced by its value. Others stay as they are.

    Raises ClaimMissing, ClaimCorrupt or StoreError. Claims inside of a signature stay claims: they are
    loaded by the task that the signature calls.
    """
    return [_loaded(value) for value in args], {name: _loaded(value) for name, value in kwargs.items()}


def load(args: ClaimedArgs, kwargs: dict[str, Any]) -> None:
    """Puts the values in the places of the claims, once. What goes wrong is kept in `args.error`."""
    if args.claims is not None or args.error is not None:
        return
    claims = [value for value in (*args, *kwargs.values()) if isinstance(value, Claim)]
    try:
        loaded, named = resolve(args, kwargs)
    except Exception as error:
        args.error = error
    else:
        args[:] = loaded
        kwargs.update(named)
        args.claims = {claim.digest: claim for claim in claims}


def resolve_in_this_process() -> None:
    """From now on messages are decoded with their values; where that fails, the use of `args` raises.

    For a process that runs everything it decodes: a consumer of plain kombu, or a prefork child. Celery
    needs no such call, and its main process must not make it: that decodes all that it prefetches.
    """
    global _resolves_here
    _resolves_here = True


def resolves_here() -> bool:
    return _resolves_here


def _loaded(value: Any) -> Any:
    if not isinstance(value, Claim):
        return value
    store = _settings.store()
    data = store.get(value.id)
    if len(data) != value.size or hashlib.sha256(data).hexdigest() != value.digest:
        raise ClaimCorrupt(
            f"entry {value.id} in {store!r} is not what the producer stored there: {len(data):,} bytes of "
            f"{value.size:,}, or its SHA-256 differs"
        )
    return FORMATS[value.format].loads(data)
