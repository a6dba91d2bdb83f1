"""One supervisor a runtime directory; its sockets are for those who may use them."""

import os
import stat

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


def test_the_directory_is_made_and_its_files_are_not_for_everyone(start):
    sv = start()
    assert (
        stat.S_IMODE(os.stat(sv.runtime_dir / "control.sock").st_mode) & 0o007 == 0
        or stat.S_IMODE(os.stat(sv.runtime_dir).st_mode) & 0o007 == 0
        or _peers_are_checked(sv)
    )
    sv.stop()
    assert not list(sv.runtime_dir.glob("*.sock"))


def _peers_are_checked(sv):
    """The modes may be open where SO_PEERCRED is asked: a stranger gets a refusal."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            status, _ = sv.http("GET", "/status")
            code = 0 if status == 403 else 1
        except (ConnectionError, PermissionError):
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_foreign_file_in_the_way_is_not_removed(make):
    sv = make()
    sv.runtime_dir.mkdir()
    (sv.runtime_dir / "p.sock").write_text("mine")
    sv.start(ready=False)
    sv.wait_exit()
    assert (sv.runtime_dir / "p.sock").read_text() == "mine"
    assert "p.sock" in sv.log()
