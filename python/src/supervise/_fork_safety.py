"""What makes it unsafe to fork workers off this process: threads, connections, GPU contexts.

Each finding is one text for people. docs/FORK_SAFETY.md says what to do about them.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Collection
from typing import Optional

from supervise._hooks import describe
from supervise._import_watch import ImportWatch

_MOMENT = 1.0  # seconds, in which a thread that was joined ends
_PF_EXITING = 0x4
_SERVICES = {
    1883: "MQTT",
    3306: "MySQL",
    4222: "NATS",
    5432: "PostgreSQL",
    5671: "RabbitMQ",
    5672: "RabbitMQ",
    6379: "Redis",
    6432: "PgBouncer",
    9042: "Cassandra",
    9092: "Kafka",
    9200: "Elasticsearch",
    11211: "memcached",
    27017: "MongoDB",
}
_SERVICES_BY_PATH = {
    ".s.PGSQL": "PostgreSQL",
    "mysql": "MySQL",
    "redis": "Redis",
    "memcached": "memcached",
    "mongodb": "MongoDB",
    "docker": "Docker",
}
_GPU_DEVICES = {"/dev/nvidia": "CUDA", "/dev/kfd": "ROCm"}
_GPU_LIBRARIES = {"CUDA": "/libcuda.so", "ROCm": "/libhsa-runtime64.so"}


def open_sockets() -> set[int]:
    """The inodes of this process's sockets."""
    return {inode for _, inode in _sockets()}


def findings(watch: ImportWatch, inherited: set[int]) -> list[str]:
    """`inherited`: the sockets that were there before the import, by their inodes."""
    return list(dict.fromkeys([*_threads(watch), *_connections(watch, inherited), *gpu_contexts()]))


def _threads(watch: ImportWatch) -> list[str]:
    others = _other_threads()
    if not others:
        return []
    # Libraries like OpenBLAS end their threads when the process forks. Those do not count.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "... is multi-threaded": that is the question
        child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    pythons = {thread.native_id: thread for thread in threading.enumerate() if thread.native_id}
    others = _lasting_threads(pythons.keys())
    found = [_python_thread(thread, watch) for tid, thread in pythons.items() if tid in others]
    for name, count in Counter(name for tid, name in others.items() if tid not in pythons).items():
        found.append(
            f"{count} threads of a library, named {name!r}"
            if count > 1
            else f"a thread of a library, named {name!r}"
        )
    return found


def _lasting_threads(known: Collection[int]) -> dict[int, str]:
    """All threads but this. One that was joined has told its end, and may still be about to reach
    it: such unknown ones get a moment."""
    patience = time.monotonic() + _MOMENT
    while True:
        others = _other_threads()
        if all(tid in known for tid in others) or time.monotonic() > patience:
            return others
        time.sleep(0.002)


def _other_threads() -> dict[int, str]:
    """The names of all threads but this, by their ids."""
    threads = {}
    for tid in map(int, os.listdir("/proc/self/task")):
        if tid == threading.get_native_id():
            continue
        try:
            with open(f"/proc/self/task/{tid}/stat", "rb") as file:
                head, _, tail = file.read().rpartition(b") ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if not int(tail.split()[6]) & _PF_EXITING:
            threads[tid] = head.partition(b"(")[2].decode(errors="replace")
    return threads


def _python_thread(thread: threading.Thread, watch: ImportWatch) -> str:
    target = getattr(thread, "_target", None)
    runs = describe(target if callable(target) else getattr(thread, "function", type(thread).run))
    who = watch.starter(thread)
    return f"the thread {thread.name!r}, which runs {runs}" + (f", started {who}" if who else "")


def _sockets() -> list[tuple[int, int]]:
    """Descriptor and inode of each."""
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            status = os.fstat(fd)
        except OSError:
            continue  # the one that listed the folder
        if stat.S_ISSOCK(status.st_mode):
            found.append((fd, status.st_ino))
    return found


def _connections(watch: ImportWatch, inherited: set[int]) -> list[str]:
    found = []
    for fd, inode in _sockets():
        if inode in inherited:
            continue
        peer = _peer(fd)
        if peer:
            who = watch.connector(inode)
            found.append(f"a connection to {peer}" + (f", made {who}" if who else ""))
    return found


def _peer(fd: int) -> Optional[str]:
    """None for a socket whose sharing is harmless: one that is not connected, or of datagrams."""
    try:
        one = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        if one.type == socket.SOCK_DGRAM:
            return None
        address = one.getpeername()
    except OSError:
        return None
    finally:
        one.detach()
    if one.family in (socket.AF_INET, socket.AF_INET6):
        service = _SERVICES.get(address[1])
        return f"{address[0]}:{address[1]}" + (f" ({service})" if service else "")
    if one.family == socket.AF_UNIX:
        return _unix_peer(address)
    return repr(address)


def _unix_peer(address: object) -> str:
    if not address:
        return "an unnamed Unix socket (a socket pair; an event loop has one)"
    path = address.decode(errors="replace") if isinstance(address, bytes) else str(address)
    path = path.replace("\0", "@")  # an abstract name
    service = next((name for part, name in _SERVICES_BY_PATH.items() if part in path), None)
    return path + (f" ({service})" if service else "")


def gpu_contexts(maps: str = "/proc/self/maps", descriptors: str = "/proc/self/fd") -> list[str]:
    """A driver's library that is loaded and has its device open."""
    with open(maps, encoding="utf-8", errors="replace") as file:
        mapped = file.read()
    found = {}
    for fd in os.listdir(descriptors):
        try:
            path = os.readlink(f"{descriptors}/{fd}")
        except OSError:
            continue
        for device, kind in _GPU_DEVICES.items():
            if path.startswith(device) and _GPU_LIBRARIES[kind] in mapped:
                found[kind] = f"a {kind} context: {path} is open"
    torch = sys.modules.get("torch")
    if "CUDA" not in found and torch is not None and torch.cuda.is_initialized():
        found["CUDA"] = "a CUDA context, of torch"
    return list(found.values())
