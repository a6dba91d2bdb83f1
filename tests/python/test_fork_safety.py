"""What a template says of an application that makes forking unsafe, and of one that does not."""

from __future__ import annotations

import socket
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from template_process import TemplateProcess

from supervise import _fork_safety
from supervise import _messages as m
from supervise._import_watch import ImportWatch

TASK = """
    @supervise.task
    def noop(): pass
"""


def findings(folder: Path, source: str, **modules: str) -> list[str]:
    """Of an application with this source and these modules beside it. Forks a worker anyway: it is
    the supervisor that decides."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    with TemplateProcess(folder, textwrap.dedent(source) + textwrap.dedent(TASK)) as template:
        found = template.start_and_check()
        with template.fork() as worker:
            worker.result("app.noop")
    return found


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def test_threads_are_named_with_what_they_run_and_who_started_them(tmp_path: Path) -> None:
    pool = """
        import threading

        class Pool(threading.Thread):
            def run(self):
                threading.Event().wait()

        def start():
            threading.Thread(target=refresh, name="refresher", daemon=True).start()
            Pool(name="pooled", daemon=True).start()

        def refresh():
            threading.Event().wait()
    """
    found = findings(tmp_path, "import pool\npool.start()\n", pool=pool)
    assert sorted(found) == [
        f"the thread 'pooled', which runs pool.Pool.run ({tmp_path}/pool.py:5), "
        f"started by pool at the import of app ({tmp_path}/app.py:3)",
        f"the thread 'refresher', which runs pool.refresh ({tmp_path}/pool.py:12), "
        f"started by pool at the import of app ({tmp_path}/app.py:3)",
    ]


def test_threads_of_libraries_are_counted_by_their_names(tmp_path: Path) -> None:
    source = """
        import _thread, threading
        def named():
            with open("/proc/thread-self/comm", "w") as file:
                file.write("poller")
            ready.release()
            threading.Event().wait()
        ready = threading.Semaphore(0)
        for _ in range(3):
            _thread.start_new_thread(named, ())
            ready.acquire()
    """
    assert findings(tmp_path, source) == ["3 threads of a library, named 'poller'"]


def test_a_thread_that_has_ended_does_not_count(tmp_path: Path) -> None:
    source = """
        import threading
        thread = threading.Thread(target=print)
        thread.start()
        thread.join()
    """
    assert findings(tmp_path, source) == []


def test_threads_that_end_when_the_process_forks_do_not_count(tmp_path: Path) -> None:
    source = """
        import os, threading
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        os.register_at_fork(before=lambda: (stop.set(), thread.join()))
    """
    assert findings(tmp_path, source) == []


def test_numpy_is_safe(tmp_path: Path, has_numpy: None) -> None:
    source = """
        import numpy
        numpy.ones((500, 500)) @ numpy.ones((500, 500))  # OpenBLAS starts its threads
    """
    assert findings(tmp_path, source) == []


def test_a_connection_is_named_with_its_peer_and_the_line_that_made_it(
    tmp_path: Path, server: socket.socket
) -> None:
    port = server.getsockname()[1]
    library = """
        import socket
        def connect(port):
            return socket.create_connection(("127.0.0.1", port))
    """
    source = f"import client\nCONNECTION = client.connect({port})\n"
    assert findings(tmp_path, source, client=library) == [
        f"a connection to 127.0.0.1:{port}, made by client at the import of app ({tmp_path}/app.py:3)"
    ]


def test_a_connection_that_only_a_hook_closes_is_no_finding(tmp_path: Path, server: socket.socket) -> None:
    source = f"""
        import socket
        CONNECTION = socket.create_connection(("127.0.0.1", {server.getsockname()[1]}))
        supervise.before_fork(CONNECTION.close)
    """
    assert findings(tmp_path, source) == []


def test_a_connection_over_a_unix_socket_says_what_its_path_tells(tmp_path: Path) -> None:
    path = str(tmp_path / ".s.PGSQL.5432")
    source = f"""
        import socket
        CONNECTION = socket.socket(socket.AF_UNIX)
        CONNECTION.connect({path!r})
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert findings(tmp_path, source) == [
            f"a connection to {path} (PostgreSQL), made at the import of app ({tmp_path}/app.py:5)"
        ]


def test_an_event_loop_is_told_by_its_socket_pair(tmp_path: Path) -> None:
    found = findings(tmp_path, "import asyncio\nLOOP = asyncio.new_event_loop()\n")
    assert found == ["a connection to an unnamed Unix socket (a socket pair; an event loop has one)"]


def test_sockets_that_may_be_shared_are_no_findings(tmp_path: Path) -> None:
    source = """
        import socket
        LISTENER = socket.create_server(("127.0.0.1", 0))
        DATAGRAMS = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        DATAGRAMS.connect(("127.0.0.1", 9))
        FRESH = socket.socket()
    """
    assert findings(tmp_path, source) == []


@pytest.mark.parametrize(("port", "service"), [(5432, "PostgreSQL"), (6379, "Redis"), (5672, "RabbitMQ")])
def test_well_known_ports_are_told(port: int, service: str) -> None:
    with socket.socket() as server:
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            pytest.skip(f"port {port} is taken")
        server.listen()
        before = _fork_safety.open_sockets()
        with ImportWatch() as watch, socket.create_connection(("127.0.0.1", port)):
            found = _fork_safety._connections(watch, before)
    (one,) = found
    assert one.startswith(f"a connection to 127.0.0.1:{port} ({service}), made by test_fork_safety")


def test_the_watch_leaves_no_trace(server: socket.socket) -> None:
    import threading

    start, names = threading.Thread.start, set(vars(socket.socket))
    with ImportWatch():
        assert threading.Thread.start is not start
        assert "connect" in vars(socket.socket)
    assert threading.Thread.start is start
    assert set(vars(socket.socket)) == names


def test_the_watch_leaves_a_wrapper_of_the_application_in_place() -> None:
    import threading

    start = threading.Thread.start
    calls = []
    try:
        with ImportWatch() as watch:
            watched = threading.Thread.start

            def instrumented(self: threading.Thread) -> None:
                calls.append(self)
                watched(self)

            threading.Thread.start = instrumented  # type: ignore[method-assign]
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        assert calls == [thread]
        assert watch.starter(thread) == ""
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("library", "device", "expected"),
    [
        ("libcuda.so.535.54.03", "/dev/nvidia0", ["a CUDA context: /dev/nvidia0 is open"]),
        ("libhsa-runtime64.so.1", "/dev/kfd", ["a ROCm context: /dev/kfd is open"]),
        ("libcuda.so.1", "/dev/null", []),
        ("libnvidia-ml.so.1", "/dev/nvidiactl", []),
    ],
)
def test_a_gpu_context_is_told_by_library_and_device(
    tmp_path: Path, library: str, device: str, expected: list[str]
) -> None:
    (tmp_path / "maps").write_text(f"7f00-7f01 r-xp 00000000 fe:00 1234  /usr/lib/{library}\n")
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd" / "9").symlink_to(device)
    assert _fork_safety.gpu_contexts(str(tmp_path / "maps"), str(tmp_path / "fd")) == expected


def test_without_ctypes_nothing_is_forked_and_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "ctypes.py").write_text("raise ImportError('no libffi')\n")
    with TemplateProcess(tmp_path, textwrap.dedent(TASK)) as template:
        (finding,) = template.start_and_check()
        assert finding == "this Python has no ctypes (no libffi), by which workers are forked"
        with template.ask_for(1):
            answer = template.receive()
            assert answer == m.Forked(1, 0, f"ENOSYS: {finding}")
