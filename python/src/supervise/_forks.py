"""What a forked child must forget: connections and locks that belong to its parent's threads."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forgetful(Protocol):
    def after_fork(self) -> None: ...


_watched: weakref.WeakSet[Forgetful] = weakref.WeakSet()


def watch(one: Forgetful) -> None:
    """Has one.after_fork() called in a child, before anything else runs there."""
    _watched.add(one)


def _in_child() -> None:
    for one in list(_watched):
        one.after_fork()


os.register_at_fork(after_in_child=_in_child)
