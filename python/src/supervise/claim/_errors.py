"""What goes wrong with claims. Each error takes one text, so that a result backend can rebuild it."""

from __future__ import annotations

from supervise._errors import SuperviseError


class ClaimError(SuperviseError):
    """Base of the claim check's errors."""


class ClaimMissing(ClaimError):
    """The store has no such entry."""


class ClaimCorrupt(ClaimError):
    """The entry is not what the producer stored: its size or its SHA-256 differs."""


class StoreError(ClaimError):
    """The store cannot be used: full, not writable, unreachable, open to others."""
