"""`Daemon`: one supervise process under observation."""

import contextlib
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from . import leftovers, toml
from .leftovers import until

TOP = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("SUPERVISE_BINARY", TOP / "build/release/supervise")).resolve()
APPS = TOP / "tests/integration/apps"
# A command that runs another, so that each supervisor has a cgroup of its own from the service manager.
LAUNCHER = shlex.split(os.environ.get("SUPERVISE_TEST_LAUNCHER", ""))
SANITIZER = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "ThreadSanitizer")
_count = 0


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def send(self, data):
        with contextlib.suppress(BrokenPipeError):  # one that is refused is answered before it asks
            super().send(data)


class Gate:
    """Holds the jobs of task `suite.hold` back until the test opens it."""

    def __init__(self, folder, name):
        self.name = name
        self._begun = folder / f"{name}.begun"
        self._go = folder / f"{name}.go"

    def begun(self):
        """Pids of the workers whose jobs wait here or have waited, in order."""
        return [int(line) for line in self._begun.read_text().split()] if self._begun.exists() else []

    def wait(self, jobs=1, timeout=30):
        until(lambda: len(self.begun()) >= jobs, timeout, f"{jobs} jobs at gate {self.name}")
        return self.begun()

    def open(self):
        self._go.touch()


class Daemon:
    """Writes a config, runs the binary on it, and knows afterwards whether anything was left."""

    def __init__(self, pools, supervisor=None):
        global _count
        _count += 1
        # AF_UNIX paths end at 108 bytes, which pytest's own folders use up.
        self.folder = Path(tempfile.mkdtemp(prefix="sv-", dir="/tmp"))
        os.chmod(self.folder, 0o755)
        self.runtime_dir = self.folder / "run"
        self.work = self.folder / "work"
        self.work.mkdir()
        self.work.chmod(0o777)
        self.cgroup_root = f"/supervise-test-{os.getpid()}-{_count}"
        self.mark = f"SV_TEST_MARK={self.cgroup_root}."
        self.config_file = self.folder / "workers.toml"
        self.log_file = self.folder / "stderr"
        self.process = None
        self.was_killed = False
        self.cgroups_may_stay = False  # nobody is there to remove them after SIGKILL
        self.config = {
            "supervisor": {
                "runtime_dir": str(self.runtime_dir),
                **({} if LAUNCHER else {"cgroup_root": self.cgroup_root}),
                "log": {"level": "debug", "format": "json"},
                **(supervisor or {}),
            },
            "pools": {name: self.pool_config(**pool) for name, pool in pools.items()},
        }
        self.write_config()

    def pool_config(self, **changes):
        pool = {
            "app": "suite",
            "python": sys.executable,
            "workers": 1,
            "module_path": [str(APPS)],
            "restart": {"backoff": {"first": "10ms", "most": "1s"}, "burst": 0},
            "environment": {},
        }
        pool.update(changes)
        pool["environment"] = {"SUITE_DIR": str(self.work), **pool["environment"]}
        return pool

    def write_config(self, text=None):
        self.config_file.write_text(toml.dumps(self.config) if text is None else text)

    # Starting and ending

    def start(self, *, ready=True, env=None, arguments=("--config",)):
        name, _, value = self.mark.partition("=")
        self.environment = {**os.environ, name: value, **(env or {})}
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*LAUNCHER, str(BINARY), *arguments, str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        if ready:
            self.wait_running()
        return self

    def wait_running(self, timeout=60):
        """Until every wanted worker is ready; a spare is none of them."""

        def full(pool):
            ready = [w for w in pool["workers"] if w["slot"] > 0 and w["state"] in ("idle", "busy")]
            return len(ready) >= pool["workers_wanted"]

        def running(status):
            return all(pool["state"] == "running" and full(pool) for pool in status["pools"].values())

        return self.wait_for(running, "all pools to run", timeout)

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=60):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {timeout} s\n{self.log_tail()}") from None

    def stop(self, timeout=60):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        self.was_killed = self.cgroups_may_stay = True
        self.process.kill()
        self.process.wait()

    def close(self):
        """Ends it and asserts that nothing is left."""
        problems = []
        try:
            if self.process is not None and self.process.poll() is None:
                code = self.stop()
                if code != 0:
                    problems.append(f"exit code {code} after SIGTERM")
        except AssertionError as error:
            problems.append(str(error))
            self.kill()
        problems += self.leftovers()
        text = self.log()
        problems += [f"sanitizer: {word}" for word in SANITIZER if word in text]
        report = "\n".join(problems) + "\n" + self.log_tail()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not problems, report

    def leftovers(self, timeout=5):
        """Names what is left of it, and takes it away."""
        with contextlib.suppress(AssertionError):
            until(lambda: not leftovers.processes(self.mark), timeout, "processes to go")
        problems = []
        for pid in leftovers.processes(self.mark):
            with contextlib.suppress(OSError):
                command = Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ")
                problems.append(f"process left: {pid} {command.decode(errors='replace')}")
                os.kill(pid, signal.SIGKILL)
        for group in leftovers.cgroups(self.cgroup_root):
            # The root that a killed one had made is not its heir's to remove.
            if not self.cgroups_may_stay and not (self.was_killed and group.name == self.cgroup_root[1:]):
                problems.append(f"cgroup left: {group}")
            leftovers.remove_cgroup(group)
        if not self.cgroups_may_stay:
            problems += [f"socket left: {path}" for path in leftovers.sockets(self.runtime_dir)]
        return problems

    # Looking at it

    def http(self, method, path, body=None, timeout=30):
        """(status, parsed JSON) of a request on the control socket."""
        connection = UnixHTTP(self.runtime_dir / "control.sock", timeout)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def status(self):
        code, status = self.http("GET", "/status")
        assert code == 200, status
        return status

    def pool(self, name="p"):
        return self.status()["pools"][name]

    def workers(self, name="p"):
        """The slots' own workers: neither successors that wait nor those on their way out."""
        workers = self.pool(name)["workers"]
        return [w for w in workers if not w["successor"] and w["state"] != "retiring"]

    def pids(self, name="p"):
        return sorted(worker["pid"] for worker in self.workers(name))

    def wait_for(self, predicate, what, timeout=30):
        """The first status for which `predicate(status)` holds."""
        last = {}

        def look():
            if self.process.poll() is not None:
                raise AssertionError(
                    f"ended with {self.process.returncode} while the test waited "
                    f"for {what}\n{self.log_tail()}"
                )
            try:
                last["status"] = self.status()
            except (ConnectionError, FileNotFoundError):
                return None
            return last["status"] if predicate(last["status"]) else None

        return until(look, timeout, lambda: f"{what}\n{json.dumps(last, indent=1)}\n{self.log_tail()}")

    def wait_pool(self, predicate, what, name="p", timeout=30):
        return self.wait_for(lambda s: predicate(s["pools"][name]), what, timeout)["pools"][name]

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_tail(self, lines=60):
        told = [line for line in self.log().splitlines() if '"control.request"' not in line]
        return "\n".join(told[-lines:])

    def events(self, event=None, **fields):
        """Log lines as dicts; `event` and `fields` choose."""
        found = []
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if event in (None, entry["event"]) and all(
                    entry.get(key) == value for key, value in fields.items()
                ):
                    found.append(entry)
        return found

    def wait_event(self, event, count=1, timeout=30, **fields):
        until(
            lambda: len(self.events(event, **fields)) >= count,
            timeout,
            lambda: f"{count} of {event} {fields}\n{self.log_tail()}",
        )
        return self.events(event, **fields)[-1]

    # Acting on it

    def cli(self, *arguments, runtime_dir=True, timeout=60):
        """Runs the same binary as a client."""
        environment = {key: value for key, value in os.environ.items() if key != "SUPERVISE_RUNTIME_DIR"}
        if runtime_dir:
            environment["SUPERVISE_RUNTIME_DIR"] = str(self.runtime_dir)
        return subprocess.run(
            [str(BINARY), *map(str, arguments)],
            env=environment,
            text=True,
            capture_output=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def client(self, pool="p", **options):
        import supervise

        return supervise.Client(pool, runtime_dir=str(self.runtime_dir), **options)

    def gate(self, name="gate"):
        return Gate(self.work, name)

    def tally(self, kind="end"):
        """What the workers themselves wrote down: (pid, job id, seconds, id) of each `kind`."""
        rows = []
        for path in sorted(self.work.glob("tally.*")):
            pid = int(path.suffix[1:])
            for line in path.read_text().splitlines():
                what, job, when, number = line.split()
                if what == kind:
                    rows.append((pid, int(job), float(when), int(number)))
        return rows
