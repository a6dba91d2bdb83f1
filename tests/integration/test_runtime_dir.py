"""One supervisor a runtime directory; its sockets are for those who may use them."""

import os
import stat

import pytest

from support.daemon import Daemon


def test_a_second_supervisor_is_refused_and_names_the_first(start):
    sv = start()
    second = Daemon({"p": {}}, {"runtime_dir": str(sv.runtime_dir)})
    try:
        second.start(ready=False)
        assert second.wait_exit() not in (0, 78)
        assert str(sv.process.pid) in second.log()
    finally:
        second.runtime_dir = second.folder  # the sockets there belong to the first
        second.close()
    with sv.client() as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


def test_a_stale_lock_and_stale_sockets_are_taken_over(start):
    sv = start()
    first = sv.process.pid
    sv.kill()
    assert sv.runtime_dir.exists()
    sv.start()
    assert sv.status()["supervisor"]["pid"] == sv.process.pid != first
    with sv.client() as client:
        assert client.submit("suite.echo", 1).result(timeout=20) == 1


NOBODY = 65534


def as_nobody(act):
    """Runs `act` in a child that is user nobody; returns what it raises by name, or "done"."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            os.write(write, b"done")
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode()[:500])
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(pid, 0)
    return text


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which needs root")
def test_strangers_may_neither_submit_nor_control(start):
    sv = start()

    def submit():
        with sv.client() as client:
            client.submit("suite.echo", 1).result(timeout=20)

    answer = as_nobody(submit)
    assert answer.startswith("PoolGone") and str(sv.runtime_dir) in answer
    assert as_nobody(lambda: sv.http("GET", "/status")).startswith("PermissionError")


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which needs root")
def test_users_that_the_config_names_may_submit_and_no_more(start):
    sv = start(pools={"open": {"clients": ["nobody"]}, "closed": {}})

    def submit(pool):
        with sv.client(pool) as client:
            assert client.submit("suite.echo", 1).result(timeout=20) == 1

    assert as_nobody(lambda: submit("open")) == "done"
    assert "PoolGone" in as_nobody(lambda: submit("closed"))
    assert as_nobody(lambda: sv.http("POST", "/stop", {})) != "done"
    assert sv.status()["supervisor"]["stopping"] is False


def test_the_directory_is_private_unless_others_are_let_in(start):
    sv = start()
    assert stat.S_IMODE(os.stat(sv.runtime_dir).st_mode) == 0o700
    sv.stop()
    assert not list(sv.runtime_dir.glob("*.sock"))


def test_a_foreign_file_in_the_way_is_not_removed(make):
    sv = make()
    sv.runtime_dir.mkdir()
    (sv.runtime_dir / "p.sock").write_text("mine")
    sv.start(ready=False)
    sv.wait_exit()
    assert (sv.runtime_dir / "p.sock").read_text() == "mine"
    assert "p.sock" in sv.log()
