"""What a store of entries does. An ID is 32 hexadecimal digits, drawn at random by the producer."""

from __future__ import annotations

from abc import ABC, abstractmethod

from supervise.claim._errors import ClaimMissing


class Store(ABC):
    """Holds bytes by their IDs. Used by several processes, and by several threads of each.

    Every method raises StoreError when the store cannot be used.
    """

    @abstractmethod
    def put(self, id: str, data: bytes) -> None:
        """Keeps `data`, whole or not at all."""

    @abstractmethod
    def get(self, id: str) -> bytes:
        """Raises ClaimMissing where there is no such entry."""

    @abstractmethod
    def remove(self, id: str) -> None:
        """Does nothing where there is no such entry."""

    @abstractmethod
    def sweep(self, ttl: float) -> int:
        """Removes what is older than `ttl` seconds; how many those were. A store that does so by itself
        says 0."""

    def link(self, old: str, new: str) -> None:
        """Gives an entry a second ID with a life of its own. Raises ClaimMissing as get() does.

        Stores that can do it without moving the data do it so.
        """
        self.put(new, self.get(old))


def missing(id: str, where: str) -> ClaimMissing:
    return ClaimMissing(
        f"entry {id} is not in {where}: its message was delivered again after its task had ended, or it is "
        "older than the store's time-to-live, or this process uses another store than the producer"
    )
