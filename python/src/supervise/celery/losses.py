"""How many workers each task has killed, across its redeliveries to this front."""

from __future__ import annotations

from collections import OrderedDict

_MOST = 10_000  # task ids that are remembered, the latest ones


class Losses:
    def __init__(self, most: int) -> None:
        """`most`: that many workers a task may kill; 0: any number."""
        self.most = most
        self._counts: OrderedDict[str, int] = OrderedDict()

    def add(self, task_id: str) -> int:
        """One more; how many it has killed by now."""
        count = self._counts.pop(task_id, 0) + 1
        self._counts[task_id] = count
        if len(self._counts) > _MOST:
            self._counts.popitem(last=False)
        return count

    def is_too_many(self, count: int) -> bool:
        return 0 < self.most <= count

    def forget(self, task_id: str) -> None:
        if self._counts:
            self._counts.pop(task_id, None)
