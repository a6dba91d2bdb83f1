"""The time-out of a wait. Apart from the other errors, for what it has to import before 3.11."""

from __future__ import annotations

import sys

from supervise._errors import SuperviseError

# Before 3.11 a future's time-out and the built-in one are two classes; callers catch either.
if sys.version_info >= (3, 11):

    class WaitTimeout(SuperviseError, TimeoutError):
        """What was waited for did not come in time. The job itself goes on."""

else:
    import concurrent.futures

    class WaitTimeout(SuperviseError, concurrent.futures.TimeoutError, TimeoutError):
        """What was waited for did not come in time. The job itself goes on."""
