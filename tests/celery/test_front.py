"""supervise runs the front itself: a table [pool.NAME.front], with real Celery and Redis."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from brokers import Redis
from celery_front import BINARY
from served import Served
from worker_process import MAIN, PYTHON

Make = Callable[..., Served]

# What a task's arrival costs the front; for a handler that leaks.
GROWS = """
from celery import signals
kept = []

@signals.task_received.connect
def keep(request, **_):
    kept.append(bytearray(b"x") * (sum(request.args[1:2]) << 20))

@app.task
def count(number, costs=0):
    note(str(number))
"""


@pytest.fixture
def make(tmp_path: Path, redis_server: Redis) -> Iterator[Make]:
    """make(...) gives one that is not started; at the end each must have left nothing."""
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not there")
    made: list[Served] = []

    def served(source: str = "", broker: str = "", **keys: Any) -> Served:
        folder = tmp_path / f"served-{len(made)}"
        folder.mkdir()
        redis_server.flush()
        made.append(Served(folder, broker or redis_server.url(0), redis_server.url(1), source=source, **keys))
        return made[-1]

    yield served
    for each in made:
        each.close()


@pytest.mark.parametrize("preload", [True, False], ids=["forked", "spawned"])
def test_supervise_runs_the_front_and_the_workers(make: Make, preload: bool) -> None:
    served = make(pool={"preload": preload}, front={"queues": ["celery", "mail"]}).serve()
    assert served.get("add", 1, 2) == 3
    assert served.get("add", 1, 3, queue="mail") == 4
    stats = served.control("stats")
    assert stats["pool"]["implementation"] == "supervise.celery.prefork:TaskPool"
    assert stats["pool"]["max-concurrency"] == 2
    (front,) = served.fronts()
    assert front["pid"] == stats["pid"]
    assert front["state"] == "ready"
    assert front["node"].startswith("work@")
    assert front["rss_bytes"] > 1 << 20
    assert f"{front['node']} ready" in served.supervise_says("status")
    assert "front.output pool=work" in served.log()
    assert served.stop() == 0


@pytest.mark.parametrize("tier", ["C", "D"])
def test_it_does_so_where_there_are_no_cgroups(make: Make, tier: str) -> None:
    served = make().serve(SUPERVISE_TIER=tier)
    assert served.get("add", 1, 2) == 3
    assert served.stop() == 0


def test_a_task_goes_on_when_its_front_is_killed(make: Make) -> None:
    served = make().serve()
    result, _ = served.hold("long")
    os.kill(served.fronts()[0]["pid"], signal.SIGKILL)
    assert served.wait_for_front(2)["node"] == served.fronts()[0]["node"]
    assert served.get("add", 1, 2) == 3
    served.release("long")
    assert result.get(timeout=60) == "long"
    assert served.status()["front_restarts"] == {"signal": 1}
    assert "front.died" in served.log()


def test_a_front_that_was_told_to_hang_up_is_followed_by_another(make: Make) -> None:
    served = make().serve()
    os.kill(served.fronts()[0]["pid"], signal.SIGHUP)
    served.wait_for_front(2)
    assert served.get("add", 1, 2) == 3


@pytest.mark.parametrize("way", ["remote shutdown", "TERM"])
def test_a_front_that_shuts_down_by_itself_is_followed_at_once(make: Make, way: str) -> None:
    served = make(pool={"workers": 2}).serve()
    held, _ = served.hold("held")
    if way == "TERM":
        os.kill(served.fronts()[0]["pid"], signal.SIGTERM)
    else:
        served.app.control.shutdown()
    served.wait_for_front(2)
    assert [front["state"] for front in served.fronts()] == ["ready", "stopping"]
    assert served.get("add", 1, 2) == 3
    assert not held.ready()
    served.release("held")
    assert held.get(timeout=60) == "held"
    served.until(lambda: len(served.fronts()) == 1, "the first to go")
    assert served.status()["front_restarts"] == {"left": 1}
    assert served.status()["advice"] == ""
    assert "front.died" not in served.log()


def test_a_second_front_takes_over_while_the_first_finishes_what_it_holds(make: Make) -> None:
    served = make(pool={"workers": 3}).serve()
    held, _ = served.hold("held", task="hold_late")
    said = served.supervise_says("recycle", "work", "--front")
    assert said == "front 2 of work will take over; supervise status shows when it is ready\n"
    served.wait_for_front(2)
    served.until(lambda: [f["state"] for f in served.fronts()] == ["ready", "stopping"], "the first to stop")
    second, first = served.fronts()
    assert second["node"].split("@")[0] == first["node"].split("@")[0] + "-2"
    for number in range(20):
        assert served.get("add", number, 1) == number + 1
    assert not held.ready()
    served.release("held")
    assert held.get(timeout=60) == "held"
    served.until(lambda: len(served.fronts()) == 1, "the first to go")
    assert served.notes() == [note for note in served.notes() if note.startswith("held ")]
    assert len(served.notes()) == 1  # it ran once
    assert served.status()["front_recycles"] == {"requested": 1}
    assert served.status()["front_restarts"] == {}


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_what_the_first_has_not_begun_goes_to_the_second_at_once(
    make: Make, broker: str, request: pytest.FixtureRequest
) -> None:
    url = "" if broker == "redis" else request.getfixturevalue("rabbitmq_server").url()
    served = make(broker=url).serve()
    (stays, _), (goes, _) = served.hold("stays"), served.hold("goes")
    waiting = [served.send("add", number, 1) for number in range(3)]
    later = served.send("add", 10, 1, countdown=10)
    served.until(lambda: len(re.findall("proj.add.* received", served.log())) == 4, "the first to have all")
    served.supervise_says("recycle", "work", "--front")
    served.wait_for_front(2)
    served.until(lambda: len(re.findall("proj.add.* received", served.log())) == 8, "the second to have them")
    served.release("goes")
    assert [result.get(timeout=60) for result in waiting] == [1, 2, 3]
    assert later.get(timeout=60) == 11
    assert goes.get(timeout=60) == "goes"
    assert [front["state"] for front in served.fronts()] == ["ready", "stopping"]
    served.release("stays")
    assert stays.get(timeout=60) == "stays"
    served.until(lambda: len(served.fronts()) == 1, "the first to go")


def test_a_front_that_grows_is_replaced_and_no_task_is_lost_or_done_twice(make: Make) -> None:
    served = make(GROWS, front={"memory": {"max_rss": "150M"}}).serve()
    results = [served.send("count", number, 1) for number in range(300)]
    for result in results:
        result.get(timeout=60)
    served.until(lambda: served.status()["front_recycles"].get("max_rss", 0) >= 1, "a hand-over")
    served.until(lambda: len(served.fronts()) == 1, "the old one to go")
    assert Counter(served.notes()) == {str(number): 1 for number in range(300)}
    assert served.status()["front_restarts"] == {}


def test_a_front_at_its_hard_line_is_killed_and_another_serves(make: Make) -> None:
    served = make(GROWS, front={"memory": {"hard": "220M"}}).serve()
    served.send("count", 1, 200)  # not delivered again for an hour, as it goes with Redis
    served.wait_for_front(2)
    assert served.status()["front_restarts"] == {"memory_hard_limit": 1}
    assert "reached front.memory.hard = 220 MiB" in served.log()
    assert served.get("add", 1, 2) == 3


BROKEN = """
if "SUPERVISE_SOCKET" in os.environ and os.path.exists(HERE + "/broken"):
    raise ImportError("it is broken in the front")
"""


def test_an_application_that_the_front_cannot_import_is_told_of(make: Make) -> None:
    served = make(BROKEN)
    (served.folder / "broken").touch()
    served.serve(ready=False)
    served.until(lambda: "it is broken in the front" in served.status().get("advice", ""), "its failure")
    assert "its front did not start: start failed: ImportError" in served.status()["advice"]
    (served.folder / "broken").unlink()
    served.until(lambda: served.status()["state"] == "running", "the front to heal")
    assert served.get("add", 1, 2) == 3


def test_the_present_front_goes_on_where_the_next_one_fails(make: Make) -> None:
    served = make(BROKEN).serve()
    (served.folder / "broken").touch()
    served.supervise_says("recycle", "work", "--front")
    served.until(lambda: "the one before it goes on" in served.status()["advice"], "the failure")
    assert served.get("add", 1, 2) == 3
    (served.folder / "broken").unlink()
    served.supervise_says("recycle", "work", "--front")
    served.wait_for_front(3)
    assert served.status()["advice"] == ""


@pytest.mark.skipif(
    kombu.VERSION < (5, 3), reason="forgets to read when a connection that never came about is collected"
)
def test_a_broker_that_comes_later_is_waited_for(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "late"
    folder.mkdir()
    server = Redis(folder)
    served = make(broker=server.url(0), pool={"start_timeout": "3s"}).serve(ready=False)
    served.until(lambda: "Cannot connect to redis" in served.log(), "the front to try")
    assert [front["state"] for front in served.fronts()] == ["connecting"]
    assert served.status()["state"] == "starting"
    server.start()
    try:
        served.until(lambda: served.status()["state"] == "running", "the pool to run")
        assert served.fronts()[0]["incarnation"] == 1
        assert served.get("add", 1, 2) == 3
        assert served.stop() == 0
    finally:
        served.forget_client()
        server.stop()


def test_a_drain_lets_what_runs_end_and_takes_no_more(make: Make) -> None:
    served = make().serve()
    held, _ = served.hold("held")
    served.signal(signal.SIGTERM)
    served.until(lambda: "pool.stopping" in served.log(), "the drain")
    served.until(lambda: served.fronts()[0]["state"] == "stopping", "the front to stop")
    served.until(lambda: "Canceling queue celery" in served.log(), "Celery to stop consuming")
    served.release("held")
    assert served.wait() == 0
    assert held.get(timeout=60) == "held"
    served.until(lambda: not served.supervises(), "everything to end")


def test_a_drain_of_a_paused_pool_gives_back_what_waits(make: Make) -> None:
    served = make(pool={"grace": "10m"}).serve()
    served.supervise_says("pause", "work")
    waiting = [served.send("add", number, 1) for number in range(6)]
    served.until(lambda: served.status()["jobs"]["queued"] == 2, "the pool to be handed what it can run")
    assert served.stop() == 0  # long before the grace is over
    served.serve()
    assert [result.get(timeout=60) for result in waiting] == [1, 2, 3, 4, 5, 6]


def test_what_still_runs_at_the_graces_end_goes_back_to_the_broker(make: Make) -> None:
    served = make(pool={"grace": "1s"}).serve()
    held, _ = served.hold("held", task="hold_late")
    assert served.stop() == 0
    served.release("held")
    served.serve()
    assert held.get(timeout=60) == "held"
    assert len(served.notes()) == 2


def test_the_front_follows_the_size_of_its_pool(make: Make) -> None:
    served = make().serve()
    served.inspect(lambda stats: stats["prefetch_count"] == 8)
    served.supervise_says("scale", "work", "4")
    served.inspect(lambda stats: stats["prefetch_count"] == 16)
    held = [served.hold(name)[0] for name in "abcd"]  # all at a time
    served.supervise_says("scale", "work", "1")
    served.control("pool_grow", n=1)
    served.until(lambda: served.status()["workers_wanted"] == 2, "Celery's own command to be obeyed")
    for name in "abcd":
        served.release(name)
    assert [result.get(timeout=60) for result in held] == list("abcd")
    assert len(served.fronts()) == 1
    assert served.status()["front_recycles"] == {}


def test_a_reload_replaces_the_front_whose_settings_have_changed(make: Make) -> None:
    served = make().serve()
    served.front_keys["queues"] = ["mail"]
    served.write_config()
    assert 'front.queues [] -> ["mail"]' in served.supervise_says("reload")
    served.wait_for_front(2)
    assert served.get("add", 1, 2, queue="mail") == 3


def test_new_code_reaches_the_front_too(make: Make) -> None:
    served = make().serve()
    project = served.folder / "proj.py"
    project.write_text(project.read_text() + "\n@app.task\ndef new():\n    return 'new'\n")
    served.supervise_says("reload")
    served.wait_for_front(2)
    served.until(lambda: len(served.fronts()) == 1, "the one that knows no such task to go")
    assert served.get("new") == "new"
    assert served.status()["front_recycles"] == {"config": 1}


@pytest.mark.parametrize("preload", [True, False], ids=["forked", "spawned"])
def test_a_task_that_is_new_waits_for_workers_that_know_it(make: Make, preload: bool) -> None:
    served = make(pool={"preload": preload}).serve()
    held, _ = served.hold("held")
    project = served.folder / "proj.py"
    project.write_text(project.read_text() + "\n@app.task\ndef new():\n    return 'new'\n")
    served.supervise_says("recycle", "work", *(["--template"] if preload else []))
    served.release("held")
    served.wait_for_front(2)
    served.until(lambda: len(served.fronts()) == 1, "the one that knows no such task to go")
    assert [served.get("new") for _ in range(10)] == ["new"] * 10
    assert held.get(timeout=60) == "held"


def test_the_front_ends_with_a_supervise_that_was_killed(make: Make) -> None:
    served = make().serve()
    assert served.fronts()[0]["pid"] in served.supervises()
    served.signal(signal.SIGKILL)
    served.wait()
    served.until(lambda: not served.supervises(), "the workers and the front to end")


def test_a_front_whose_supervise_has_gone_before_it_is_up_ends(tmp_path: Path) -> None:
    (tmp_path / "proj.py").write_text("from celery import Celery\napp = Celery('proj', broker='memory://')\n")
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    options = ["--path", str(tmp_path), "--pool", "work", "--front", "-c", "1", "-n", "work@here"]
    pid = os.posix_spawn(
        PYTHON,
        [PYTHON, str(MAIN), "proj", *options],
        {**os.environ, "SUPERVISE_SOCKET": str(tmp_path / "work.sock")},
        file_actions=[(os.POSIX_SPAWN_DUP2, its.fileno(), 3)],
    )
    its.close()
    ended = os.pidfd_open(pid)
    try:
        waited = select.select([ended], [], [], 30)[0]
    finally:
        os.close(ended)
        os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert waited and code == 0


def test_a_pool_restart_where_the_workers_are_spawned(make: Make) -> None:
    served = make("app.conf.worker_pool_restarts = True\n", pool={"preload": False, "workers": 1}).serve()
    before = served.get("pid")
    assert served.control("pool_restart") == {"ok": "reload started"}
    served.until(lambda: served.get("pid") != before, "another worker")


def test_what_celery_resizes_stays_elastic(make: Make) -> None:
    served = make(pool={"workers": {"min": 1, "max": 6}}).serve()
    served.control("pool_shrink", n=1)
    served.until(lambda: "workers=5 min=1" in served.log(), "its most to be less, and its least what it was")


def test_the_environment_does_not_decide_what_supervise_does(make: Make) -> None:
    served = make().serve(CELERY_WORKER_AUTOSCALE="6,1", CELERY_WORKER_CONCURRENCY="7")
    stats = served.control("stats")
    assert "autoscaler" not in stats
    assert stats["pool"]["max-concurrency"] == 2


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """That other users can reach; pytest's own they cannot."""
    if os.geteuid() != 0:
        pytest.skip("only root can start workers as another user")
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_a_front_of_another_user_controls_its_pool(open_folder: Path, redis_server: Redis) -> None:
    redis_server.flush()
    urls = redis_server.url(0), redis_server.url(1)
    restarts = "app.conf.worker_pool_restarts = True\n"
    served = Served(open_folder, *urls, source=restarts, pool={"user": "nobody", "group": "nogroup"})
    os.chmod(served.environment["TMPDIR"], 0o711)
    try:
        served.serve()
        assert served.pool()["state"] == "running"
        before = served.get("pid")
        assert "ok" in served.control("pool_grow", n=1)
        assert served.status()["workers_wanted"] == 3
        assert "ok" in served.control("pool_shrink", n=2)
        assert served.status()["workers_wanted"] == 1
        assert served.control("pool_restart") == {"ok": "reload started"}
        served.until(lambda: served.get("pid") != before, "another worker")
    finally:
        served.close()
