"""The two ways in which values are written down, here and in kombu's own messages."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Callable, Union


@dataclass(frozen=True)
class Format:
    """`dumps` gives what kombu wants of an encoder, `loads` takes what kombu or a store has."""

    name: str
    dumps: Callable[[Any], Union[str, bytes]]
    loads: Callable[[Any], Any]

    def to_bytes(self, value: Any) -> bytes:
        data = self.dumps(value)
        return data.encode() if isinstance(data, str) else data


def _json() -> Any:
    return import_module("kombu.utils.json")


def _pickle_dumps(value: Any) -> bytes:
    kombu = import_module("kombu.serialization")
    data: bytes = kombu.pickle.dumps(value, protocol=kombu.pickle_protocol)
    return data


JSON = Format("json", lambda value: str(_json().dumps(value)), lambda data: _json().loads(data))
PICKLE = Format("pickle", _pickle_dumps, lambda data: import_module("kombu.serialization").pickle_loads(data))

FORMATS = {format.name: format for format in (JSON, PICKLE)}
