"""A signature with values in the store. Imported only where Celery is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from supervise.claim._celery import serializer_of
from supervise.claim._claim import Claim
from supervise.claim._loading import resolve
from supervise.claim._outgoing import CLAIMED

_Signature: Any = import_module("celery.canvas").Signature

# Which entries the messages of a serializer may refer to.
_FORMATS = {"claim-json": ("json",), "claim-pickle": ("json", "pickle")}


@_Signature.register_type(name=CLAIMED)
class ClaimedSignature(_Signature):  # type: ignore[misc]
    """Sent by one of our serializers it passes its claims on. By another, or when it is called directly, as
    errbacks of several parameters are, it loads its values first, in the process that does so."""

    @classmethod
    def from_dict(cls, d: Any, app: Any = None) -> Any:
        return cls(d, app=app)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        named = options.get("serializer") or self.options.get("serializer")
        formats = _FORMATS.get(serializer_of({"task": self.task, "options": {"serializer": named}}), ())
        values = (*self.args, *self.kwargs.values())
        if all(value.format in formats for value in values if isinstance(value, Claim)):
            return super().apply_async(args, kwargs, **options)
        return self._with_values().apply_async(args, kwargs, **options)

    def __call__(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        return self._with_values()(*partial_args, **partial_kwargs)

    def _with_values(self) -> Any:
        args, kwargs = resolve(self.args, self.kwargs)
        plain = {**self, "args": tuple(args), "kwargs": kwargs, "subtask_type": None}
        return _Signature(plain, app=self._app)
