"""Jobs that keep coming while the test does something else."""

import collections
import threading

AT_A_TIME = 20


class SteadyLoad(threading.Thread):
    """As a context manager: keeps `AT_A_TIME` jobs of a task waiting or running, each with its own
    number as the only ID. At the end none may have failed but those that are allowed for."""

    def __init__(self, sv, task, pool="p"):
        super().__init__(name="steady load")
        self._client = sv.client(pool)
        self._task = task
        self._end = threading.Event()
        self._more = threading.Condition()
        self.results = []  # of job 0, 1, ...
        self.failures = []
        self.may_fail = 0

    def run(self):
        pending = collections.deque()
        number = 0
        with self._client as client:
            while pending or not self._end.is_set():
                while len(pending) < AT_A_TIME and not self._end.is_set():
                    pending.append(client.submit(self._task, number))
                    number += 1
                if pending:
                    self._settle(pending.popleft())

    def _settle(self, future):
        try:
            result = future.result(timeout=60)
        except Exception as error:
            self.failures.append(error)
            result = None
        with self._more:
            self.results.append(result)
            self._more.notify_all()

    def wait_more(self, jobs, timeout=60):
        """Until so many more jobs than now have ended."""
        with self._more:
            wanted = len(self.results) + jobs
            assert self._more.wait_for(lambda: len(self.results) >= wanted, timeout), "no progress"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self._end.set()
        self.join()
        if kind is None:
            assert self.results and len(self.failures) <= self.may_fail, self.failures[:3]
