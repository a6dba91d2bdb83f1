"""What all jobs of a task and a priority have in common on the wire, made once."""

from __future__ import annotations

from typing import Callable, Union

from supervise import _frames as frames
from supervise import _task

Task = Union[str, Callable[..., object]]

_MOST = 1000  # a program has fewer tasks; one that makes names up must not grow


class Bodies(dict[tuple[Task, int], tuple[bytes, int]]):
    """The part of a SUBMIT before its entries, and the bytes that are left for a job's IDs.

    Looked up as a dict by (task, priority), where the task is a name or a function; make() what is
    missing.
    """

    def make(self, task: Task, priority: int) -> tuple[bytes, int]:
        if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= 9:
            raise ValueError(f"priority is a number from 0 to 9 (9 goes first), not {priority!r}")
        name = _task.task_name(task)
        found = self.get((name, priority))
        if found is None:
            if len(self) >= _MOST:
                self.clear()
            found = frames.submit_body(priority, name.encode()), _task.most_args(name)
            self[name, priority] = found
        self[task, priority] = found
        return found
