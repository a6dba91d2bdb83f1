"""A lane: one pytest with a part of the suite's tests, with a Redis and a worker of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.celery_suites.environment import Environment
from tests.celery_suites.servers import redis
from tests.stages.running import BUILD, TOP, run

INSIDE = Path(__file__).resolve().parent / "inside"
BINARY = Path(os.environ.get("SUPERVISE_BINARY", BUILD / "release/supervise")).resolve()
POOLS = {"prefork": "prefork", "supervise": "supervise.celery:TaskPool"}
TEST_SECONDS = 300  # as the suite has it for most
LANE_SECONDS = 1800
LEFT_OUT = "t/integration/test_backend.py"  # Azure's backend: wants its libraries, and an account


@dataclass
class Outcome:
    """What became of one test."""

    state: str = "lost"  # passed, failed, skipped, xfailed; lost: begun, and no word of it since
    seconds: float = 0.0
    text: str = ""  # of a failure

    @property
    def good(self) -> bool:
        return self.state in ("passed", "xfailed")


@dataclass
class Lane:
    environment: Environment
    pool: str  # a key of POOLS
    worker: str  # "embedded" or "external"
    tests: list[str]  # node ids
    folder: Path  # for logs
    broker_url: str = ""  # Redis's when empty
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def run(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "tests").write_text("\n".join(self.tests))
        with redis(self.folder) as address, _cgroup() as cgroup, _short_folder() as temporary:
            url = f"redis://{address}:6379/0"
            self._pytest(
                ["-p", "no:cacheprovider", *sorted({test.partition("::")[0] for test in self.tests})],
                TEST_BROKER=self.broker_url or url,
                TEST_BACKEND=url,
                REDIS_HOST=address,
                REDIS_PORT="6379",
                SUITE_POOL=POOLS[self.pool],
                SUITE_WORKER=self.worker,
                SUITE_CGROUP=cgroup,
                SUITE_TESTS=str(self.folder / "tests"),
                SUITE_REPORT=str(self.folder / "report"),
                SUITE_WORKER_LOG=str(self.folder / "worker.log"),
                SUPERVISE_BIN=str(BINARY),
                TMPDIR=temporary,
            )
        self.outcomes = read_report(self.folder / "report")
        for test in self.tests:
            self.outcomes.setdefault(test, Outcome(text="not begun"))

    def _pytest(self, words: Iterable[str], **variables: str) -> None:
        run_pytest(self.environment, self.folder / "pytest.log", words, **variables)


def run_pytest(environment: Environment, log: Path, words: Iterable[str], **variables: str) -> int:
    command: list[str | Path] = [environment.python, "-m", "pytest", "-c", INSIDE / "pytest.ini"]
    command += ["--rootdir", environment.suite, "-p", "celery.contrib.pytest", "-p", "suite_plugin"]
    command += ["-q", "--tb=native", "-ra", f"--timeout={TEST_SECONDS}", "--timeout-method=signal", *words]
    path = [environment.suite, INSIDE, TOP / "python/src"]
    variables = {
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "C_FORCE_ROOT": "1",
        "WORKER_LOGLEVEL": "INFO",  # some tests look for lines of the log; Celery's tox.ini has it, too
        "PATH": f"{environment.python.parent}{os.pathsep}{os.environ['PATH']}",
        **variables,
    }
    with open(log, "ab") as output:
        return run(command, output=output, env=variables, cwd=environment.suite, timeout=LANE_SECONDS)


def collect(environment: Environment) -> list[str]:
    """All of the suite's tests, in its order."""
    log = environment.folder / "collected.log"
    log.unlink(missing_ok=True)
    words = ["--collect-only", f"--ignore={LEFT_OUT}", "t/integration"]
    status = run_pytest(environment, log, words)
    text = log.read_text(errors="replace")
    tests = [line for line in text.splitlines() if line.startswith("t/integration/") and "::" in line]
    if status or not tests:
        raise RuntimeError(f"Celery {environment.version}: its tests could not be collected:\n{text[-3000:]}")
    return tests


def read_report(path: Path) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        note = json.loads(line)
        outcome = outcomes.setdefault(note["test"], Outcome())
        if "phase" not in note:
            continue
        outcome.seconds += note["seconds"]
        state = note["outcome"]
        worse = state == "failed" or (state in ("skipped", "xfailed") and outcome.state != "failed")
        if worse or (note["phase"] == "call" and not note["part"] and outcome.state == "lost"):
            outcome.state = state
            outcome.text = outcome.text or note["text"]
    return outcomes


@contextlib.contextmanager
def _cgroup() -> Iterator[str]:
    """The name of a cgroup that the lane's supervise may make at the top of the hierarchies."""
    name = f"supervise-suite-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        yield f"/{name}"
    finally:
        for hierarchy in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory"):
            for folder, _, _ in os.walk(f"{hierarchy}/{name}", topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


@contextlib.contextmanager
def _short_folder() -> Iterator[str]:
    """A path of a Unix socket ends at 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="scs-", dir="/tmp") as folder:
        yield folder
