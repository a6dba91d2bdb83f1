"""A store in Redis 6.2 or newer, or a server that speaks the same; entries expire by themselves."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from supervise.claim._errors import StoreError
from supervise.claim._store import Store, missing

PREFIX = "supervise:claim:"


class RedisStore(Store):
    """`ttl` is in seconds. No wait for the server is longer than 30 s, unless the URL says so
    (`?socket_timeout=`)."""

    def __init__(self, url: str, ttl: float) -> None:
        redis = import_module("redis")
        self._client: Any = redis.Redis.from_url(url, socket_timeout=30, socket_connect_timeout=10)
        self._error: type[Exception] = redis.RedisError
        parts = urlsplit(url)  # the URL may hold a password
        port = f":{parts.port}" if parts.port else ""
        self._where = f"the Redis at {parts.hostname or ''}{port}{parts.path}"
        self._ttl = max(1, round(ttl))

    def __repr__(self) -> str:
        return self._where

    def put(self, id: str, data: bytes) -> None:
        if not self._ask(lambda: self._client.set(PREFIX + id, data, ex=self._ttl, nx=True)):
            raise StoreError(f"{self!r} has an entry {id} already")

    def get(self, id: str) -> bytes:
        data = self._ask(lambda: self._client.get(PREFIX + id))
        if data is None:
            raise missing(id, repr(self))
        return bytes(data)

    def link(self, old: str, new: str) -> None:
        def copy() -> Any:
            pipe = self._client.pipeline(transaction=True)
            pipe.copy(PREFIX + old, PREFIX + new)
            pipe.expire(PREFIX + new, self._ttl)
            return pipe.execute()

        if not self._ask(copy)[0]:
            raise missing(old, repr(self))

    def remove(self, id: str) -> None:
        self._ask(lambda: self._client.unlink(PREFIX + id))

    def sweep(self, ttl: float) -> int:
        return 0

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._error as error:
            raise StoreError(f"{self!r} does not serve: {error}") from error
