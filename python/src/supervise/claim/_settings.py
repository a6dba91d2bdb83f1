"""Where this process's store is, and from what size on arguments go there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Optional, Union

from supervise.claim._directory import DirectoryStore
from supervise.claim._filesystem import FilesystemStore
from supervise.claim._redis import RedisStore
from supervise.claim._store import Store

# A path, a URL, a Store, or an object with fsspec's methods.
StoreLike = Union[str, "os.PathLike[str]", Store, Any]

_REDIS = ("redis://", "rediss://", "unix://")


# Not SUPERVISE_...: those variables are the daemon's own, and it does not hand them to its workers.
def _number(name: str, default: float) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"${name} must be a number, not {text!r}") from None


def _default_store() -> str:
    return os.environ.get("CLAIM_CHECK_STORE") or f"/var/tmp/supervise-claim-{os.geteuid()}"


@dataclass(frozen=True)
class Settings:
    """`threshold` is in bytes, `ttl` in seconds. `remove`: entries go when their task has ended."""

    store: StoreLike = field(default_factory=_default_store)
    threshold: int = field(default_factory=lambda: int(_number("CLAIM_CHECK_THRESHOLD", 64 * 1024)))
    ttl: float = field(default_factory=lambda: _number("CLAIM_CHECK_TTL", 7 * 24 * 3600))
    remove: bool = field(default_factory=lambda: _number("CLAIM_CHECK_REMOVE", 1) != 0)

    def __post_init__(self) -> None:
        if self.threshold < 0 or self.ttl <= 0:
            raise ValueError("the threshold must be at least 0 bytes and the time-to-live more than 0 s")


def open_store(where: StoreLike, ttl: float) -> Store:
    """`ttl` (seconds) is for stores whose entries expire by themselves."""
    if isinstance(where, Store):
        return where
    if isinstance(where, (str, os.PathLike)):
        text = os.fspath(where)
        if text.startswith(_REDIS):
            return RedisStore(text, ttl)
        if "://" in text and not text.startswith("file://"):
            return FilesystemStore.from_url(text)
        return DirectoryStore(text[len("file://") :] if text.startswith("file://") else text)
    if callable(getattr(where, "pipe_file", None)) and callable(getattr(where, "cat_file", None)):
        return FilesystemStore(where, "supervise-claim")
    raise TypeError(f"a store is a directory, a URL, or an object with fsspec's methods, not {where!r}")


_settings: Optional[Settings] = None
_opened: Optional[tuple[int, Settings, Store]] = None


def settings() -> Settings:
    global _settings
    if _settings is None:
        _settings = Settings()
    return _settings


def configure(**changes: Any) -> None:
    """Changes what is not None."""
    global _settings
    _settings = replace(settings(), **{name: value for name, value in changes.items() if value is not None})


def store() -> Store:
    """This process's own: connections and locks of the parent are not for a forked child."""
    global _opened
    current = settings()
    if _opened is None or _opened[0] != os.getpid() or _opened[1] is not current:
        _opened = (os.getpid(), current, open_store(current.store, current.ttl))
    return _opened[2]
