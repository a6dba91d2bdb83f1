"""A signature with values in the store. Imported only where Celery is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from supervise.claim._loading import resolve
from supervise.claim._outgoing import CLAIMED

_Signature: Any = import_module("celery.canvas").Signature


@_Signature.register_type(name=CLAIMED)
class ClaimedSignature(_Signature):  # type: ignore[misc]
    """Celery sends it like any other. Called directly, as errbacks of several parameters are, in whichever
    process noticed the failure, it loads its values first."""

    @classmethod
    def from_dict(cls, d: Any, app: Any = None) -> Any:
        return cls(d, app=app)

    def __call__(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        args, kwargs, _ = self._merge(partial_args, partial_kwargs, None)
        args, kwargs = resolve(args, kwargs)
        return self.type(*args, **kwargs)
