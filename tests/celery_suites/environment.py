"""For one version of Celery: an environment with it, and its t/integration from the source distribution
on PyPI, beneath build/celery-suites. Nothing of Celery's is in the repository."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path

from tests.stages.running import BUILD, run

HOME = BUILD / "celery-suites"

# What t/integration needs, whatever the version. setuptools: older versions import pkg_resources.
_TOOLS = (
    "setuptools<81",
    "wheel",
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "pytest-subtests==0.15.0",
    "cryptography",
    "pydantic",
    "django",
    "sqlalchemy",
    "tblib",
    "freezegun",
    "requests",
)

# The libraries of a version's own time, where today's no longer suit it; each with its reason.
PINS: dict[str, tuple[str, ...]] = {
    # Today's kombu wants a redis-py that is too new for these.
    "5.2.7": ("kombu==5.2.4", "redis==4.3.4"),
    "5.3.6": ("kombu==5.3.7",),
    "5.4.0": ("kombu==5.4.2",),
    # Its tests read from Redis without a time limit, which redis-py 8 has by default.
    "5.6.3": ("kombu==5.6.2",),
}


class Environment:
    def __init__(self, version: str) -> None:
        self.version = version
        self.folder = HOME / version
        self.python = self.folder / "venv/bin/python"
        self.suite = self.folder / "suite"  # holds t/

    def prepare(self) -> None:
        """Does nothing when all is there. Raises RuntimeError with the reason when it cannot."""
        wanted = [f"celery[redis]=={self.version}", *PINS.get(self.version, ()), *_TOOLS]
        stamp = self.folder / "stamp.json"
        if stamp.exists() and json.loads(stamp.read_text()) == wanted:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._run([sys.executable, "-m", "venv", self.folder / "venv"])
        self._pip("install", "setuptools<81", "wheel")
        self._pip("install", "--no-build-isolation", *wanted)
        self._fetch_suite()
        stamp.write_text(json.dumps(wanted))

    def starts_workers(self, file: str) -> bool:
        """Whether the tests of this file of the suite start workers of their own."""
        return "start_worker(" in (self.suite / file).read_text()

    def _fetch_suite(self) -> None:
        sources = self.folder / "source"
        only_source = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation")
        self._pip("download", *only_source, "--dest", str(sources), f"celery=={self.version}")
        (archive,) = sources.glob("celery-*.tar.gz")
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                _, _, name = member.name.partition("/")
                if member.isfile() and name.startswith("t/") and ".." not in name:
                    target = self.suite / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    extracted = tar.extractfile(member)
                    assert extracted is not None
                    target.write_bytes(extracted.read())
        if not (self.suite / "t/integration").is_dir():
            raise RuntimeError(f"the source distribution of Celery {self.version} has no t/integration")

    def _pip(self, *words: str) -> None:
        self._run([self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words])

    def _run(self, command: list[str | Path]) -> None:
        log = self.folder / "install.log"
        with open(log, "ab") as output:
            if run(command, output=output):
                raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{log.read_text()[-3000:]}")
