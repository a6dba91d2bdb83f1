"""An application that the test rewrites while workers of an earlier edition run."""

from .daemon import APPS

_TEXT = """
import suite
import supervise

NUMBER = {number}

@supervise.task
def number(*_ids) -> int:
    return NUMBER

@supervise.task
def slowly(_id: int = 0) -> int:
    suite.time.sleep(0.005)
    return NUMBER
"""


class Edition:
    """`pool()` runs the latest edition, whose tasks `edition.number` and `edition.slowly` return its
    number; the tasks of suite come along."""

    def __init__(self, folder):
        self._file = folder / "edition.py"
        self.publish(1)

    def pool(self, **changes):
        # Two editions of one second and one size would share a .pyc file.
        environment = {"PYTHONDONTWRITEBYTECODE": "1", **changes.pop("environment", {})}
        return {
            "app": "edition",
            "preload": True,
            "module_path": [str(self._file.parent), str(APPS)],
            "environment": environment,
            **changes,
        }

    def publish(self, number, more=""):
        self._file.write_text(_TEXT.format(number=number) + more)

    def publish_broken(self):
        self.publish(0, "raise RuntimeError('half-written edition')\n")
