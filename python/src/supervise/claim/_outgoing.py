"""A message on its way out: which of its values go to the store.

Every entry belongs to one message. A claim that a message got from another (a callback's, a chain's next
step's, a retry's) is therefore given a second ID, without its data being moved.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from supervise.claim import _celery
from supervise.claim._claim import Claim, leaving
from supervise.claim._errors import ClaimError, ClaimMissing
from supervise.claim._formats import JSON, Format
from supervise.claim._store import Store

# What a signature with values in the store says it is, so that Celery makes it a ClaimedSignature.
CLAIMED = "supervise.claim"
_CANVAS = ("chain", "group", "chord")


def signatures(value: Any) -> Iterator[Mapping[str, Any]]:
    """All calls of single tasks in callbacks, a chain or a chord."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from signatures(each)
    elif _is_signature(value):
        canvas = value["subtask_type"] in _CANVAS
        if not canvas:
            yield value
        for parts in (value.get("kwargs") if canvas else None, value.get("options")):
            for part in (parts or {}).values():
                yield from signatures(part)


def _is_signature(value: Any) -> bool:
    return isinstance(value, Mapping) and "task" in value and "subtask_type" in value


class Outgoing:
    def __init__(self, format: Format, store: Store, threshold: int) -> None:
        self.mark = secrets.token_hex(16)
        self.claims = 0  # how often a claim was written into the message
        self._format = format
        self._store = store
        self._threshold = threshold
        self._own: dict[str, Claim] = {}  # by the ID of what was passed on; a new one has its own

    @contextmanager
    def encoding(self) -> Iterator[None]:
        """Around all that encodes parts of the message. After an error nothing is left in the store."""
        token = leaving.set(self)
        try:
            yield
        except BaseException:
            for claim in self._own.values():
                with suppress(ClaimError):
                    self._store.remove(claim.id)
            raise
        finally:
            leaving.reset(token)

    def pass_on(self, claim: Claim) -> Claim:
        """The claim that this message has of its own for the same value."""
        self.claims += 1
        if self._format is JSON and claim.format != JSON.name:
            raise ClaimError(
                f"an argument of {claim.size:,} bytes was stored by claim-pickle and cannot go on in a "
                "claim-json message: give all tasks of a workflow the same serializer"
            )
        if claim.id not in self._own:
            new = Claim(secrets.token_hex(16), claim.size, claim.digest, claim.format)
            self._store.link(claim.id, new.id)
            self._own[claim.id] = self._own[new.id] = new
        return self._own[claim.id]

    def check_in(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The same call, with at most `threshold` bytes of values; the largest go to the store first."""
        values: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        pieces = {}
        for slot, value in values.items():
            before = self.claims
            piece = self._format.to_bytes(value)
            if self.claims == before:  # else it is a claim, or a signature that holds some
                pieces[slot] = piece
        excess = sum(map(len, pieces.values())) - self._threshold
        for slot, piece in sorted(pieces.items(), key=lambda item: len(item[1]), reverse=True):
            if excess <= 0:
                break
            values[slot] = self._keep(piece)
            excess -= len(piece)
        return [values[position] for position in range(len(args))], {name: values[name] for name in kwargs}

    def check_in_embedded(self, value: Any) -> Any:
        """The same callbacks, chain or chord, with each signature's call checked in."""
        if isinstance(value, (list, tuple)):
            return [self.check_in_embedded(each) for each in value]
        if not _is_signature(value):
            return value
        signature = dict(value)
        kind = signature["subtask_type"]
        if kind in _CANVAS:
            signature["kwargs"] = self._each(signature.get("kwargs"))
        elif kind in (None, CLAIMED):
            known = len(self._own)
            signature["args"], signature["kwargs"] = self.check_in(
                signature.get("args") or (), signature.get("kwargs") or {}
            )
            if len(self._own) > known:
                signature["subtask_type"] = CLAIMED
        signature["options"] = self._each(signature.get("options"))
        return signature

    def _each(self, values: Any) -> dict[str, Any]:
        return {name: self.check_in_embedded(value) for name, value in (values or {}).items()}

    def _keep(self, data: bytes) -> Claim:
        digest = hashlib.sha256(data).hexdigest()
        new = Claim(secrets.token_hex(16), len(data), digest, self._format.name)
        at_hand = _celery.claims_at_hand().get(digest)
        if at_hand is None or at_hand.format != new.format or not self._link(at_hand, new):
            self._store.put(new.id, data)
        self._own[new.id] = new
        return new

    def _link(self, old: Claim, new: Claim) -> bool:
        try:
            self._store.link(old.id, new.id)
        except ClaimMissing:
            return False
        return True
