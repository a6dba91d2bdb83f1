"""What stands for a value in the store: in messages, and in every process that does not run the task."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from supervise.claim._errors import ClaimError

if TYPE_CHECKING:
    from supervise.claim._outgoing import Outgoing

_ID = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

# The message of ours that is being encoded.
leaving: ContextVar[Optional[Outgoing]] = ContextVar("leaving", default=None)
# The IDs of the entries of the message that is being decoded.
arriving: ContextVar[Optional[list[str]]] = ContextVar("arriving", default=None)
# Whether Celery is sending the call of a task, by whichever serializer; also after it failed to.
sending_call: ContextVar[bool] = ContextVar("sending_call", default=False)


@dataclass(frozen=True, repr=False)
class Claim:
    """One value in the store. `size` is in bytes, as stored; `digest` its SHA-256 in hexadecimal."""

    id: str
    size: int
    digest: str
    format: str

    def __repr__(self) -> str:
        return f"<claim of {self.size:,} bytes>"

    def __json__(self) -> object:
        """Called by kombu's JSON encoder: a reference in the call of a task, elsewhere a text for people."""
        message = leaving.get()
        if message is not None:
            own = message.pass_on(self)
            return {message.mark: [own.id, own.size, own.digest]}
        if sending_call.get():
            raise ClaimError(
                f"an argument of {self.size:,} bytes is in the store, but this call is sent by a serializer "
                "that knows nothing of stores: set the task's own to claim-json or claim-pickle"
            )
        return repr(self)

    def __reduce__(self) -> tuple[Any, ...]:
        message = leaving.get()
        own = self if message is None else message.pass_on(self)
        return revive, (own.id, own.size, own.digest, own.format)


def revive(id: object, size: object, digest: object, format: str) -> Claim:
    """A claim from a message; what others wrote there is checked, for an ID becomes a file's name."""
    if not (
        isinstance(id, str)
        and _ID.fullmatch(id)
        and isinstance(size, int)
        and size >= 0
        and isinstance(digest, str)
        and _DIGEST.fullmatch(digest)
    ):
        raise ClaimError(f"the message has a malformed claim: {(id, size, digest)!r:.200}")
    entries = arriving.get()
    if entries is not None:
        entries.append(id)
    return Claim(id, size, digest, format)


class ClaimedArgs(list[Any]):
    """The positional arguments of a message that has entries in the store; `entries` has the IDs of all.

    After loading either `claims` has what the values were, by their digests, or `error` why there are
    none: to call the task with these arguments then raises it, as an ordinary failure of that task.
    """

    def __init__(self, args: list[Any], entries: list[str]) -> None:
        super().__init__(args)
        self.entries = entries
        self.claims: Optional[dict[str, Claim]] = None
        self.error: Optional[BaseException] = None

    def __iter__(self) -> Any:
        if self.error is not None:
            raise self.error
        return super().__iter__()

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self[:],)
