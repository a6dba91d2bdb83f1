"""A Redis or a RabbitMQ of our own: on loopback, with all its files in a folder of ours, and in the
end gone. What the system runs is not touched."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # Debian's in PATH wants root, to become user rabbitmq
START_SECONDS = 120
STOP_SECONDS = 60


@contextlib.contextmanager
def redis(folder):
    """Gives the URL, without the database's number."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
    with running(command, folder / "redis.log") as server:
        wait_for(port, server, folder / "redis.log")
        yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def rabbitmq(folder):
    """Gives the URL."""
    port, names_port = free_port(), free_port()
    environment = {
        **os.environ,
        "HOME": str(folder),  # of the cookie
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names_port),
        "RABBITMQ_NODENAME": f"gallery-{os.getpid()}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    (folder / "plugins").write_text("[].\n")
    log = folder / "rabbitmq.log"
    with running(["epmd", "-port", str(names_port)], folder / "epmd.log", environment) as names:
        wait_for(names_port, names, folder / "epmd.log")
        with running([RABBITMQ], log, environment) as server:
            wait_for(port, server, log)
            yield f"amqp://guest:guest@127.0.0.1:{port}//"


@contextlib.contextmanager
def running(command, log_file, environment=None, directory=None):
    """The process, which ends with this block, and all that it has started with it."""
    with open(log_file, "ab") as log:
        # A session of its own: Ctrl-C is ours to handle.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):  # a second Ctrl-C: no more patience
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(port, process, log_file):
    patience = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        if process.poll() is not None or time.monotonic() > patience:
            sys.exit(f"{process.args[0]} does not start:\n{Path(log_file).read_text(errors='replace')}")
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
