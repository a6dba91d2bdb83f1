"""What every store does, and what a directory refuses."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import SECONDS, SOURCES

import supervise.claim
from supervise.claim import ClaimMissing, DirectoryStore, FilesystemStore, RedisStore, StoreError
from supervise.claim._settings import open_store

FIRST, SECOND = "0" * 32, "f" * 32


@pytest.fixture(params=["directory", "redis", "fsspec memory", "fsspec local", "fsspec object"])
def store(request, directory, redis, redis_server):
    """One of each kind, as open_store() makes it of what a user gives."""
    if request.param == "directory":
        return open_store(directory, ttl=60)
    if request.param == "redis":
        return open_store(redis_server.url, ttl=60)
    fsspec = pytest.importorskip("fsspec")
    if request.param == "fsspec memory":
        fsspec.filesystem("memory").store.clear()
        return open_store("memory://claims", ttl=60)
    local = fsspec.filesystem("local")
    if request.param == "fsspec local":
        return open_store(f"local://{directory}", ttl=60)
    return open_store(fsspec.filesystem("dir", path=str(directory), fs=local), ttl=60)


def test_a_store_gives_back_what_was_put(store):
    data = bytes(range(256)) * 1000
    store.put(FIRST, data)
    assert store.get(FIRST) == data


def test_a_missing_entry_is_named_with_its_place(store):
    store.put(SECOND, b"other")
    with pytest.raises(ClaimMissing, match=FIRST):
        store.get(FIRST)
    with pytest.raises(ClaimMissing, match=FIRST):
        store.link(FIRST, "1" * 32)


def test_a_linked_entry_outlives_the_one_it_was_made_of(store):
    store.put(FIRST, b"data")
    store.link(FIRST, SECOND)
    store.remove(FIRST)
    store.remove(FIRST)
    assert store.get(SECOND) == b"data"
    with pytest.raises(ClaimMissing):
        store.get(FIRST)


def test_a_sweep_spares_what_is_younger_than_the_time_to_live(store):
    store.put(FIRST, b"data")
    assert store.sweep(3600) == 0
    assert store.get(FIRST) == b"data"


def test_a_sweep_removes_what_is_older_and_nothing_else(directory):
    store = DirectoryStore(str(directory))
    assert store.sweep(60) == 0
    store.put(FIRST, b"old")
    store.put(SECOND, b"new")
    (directory / "README").write_text("somebody else's")
    for name in (FIRST, "README"):
        os.utime(directory / name, (0, 0))
    assert store.sweep(60) == 1
    assert sorted(path.name for path in directory.iterdir()) == ["README", SECOND]


def test_a_sweep_of_an_fsspec_file_system_goes_by_its_times(directory):
    pytest.importorskip("fsspec")
    store = open_store(f"local://{directory}", ttl=60)
    assert store.sweep(60) == 0
    store.put(FIRST, b"old")
    store.put(SECOND, b"new")
    os.utime(directory / FIRST, (0, 0))
    assert store.sweep(60) == 1
    assert [path.name for path in directory.iterdir()] == [SECOND]


def test_passing_an_entry_on_renews_its_time(directory):
    store = DirectoryStore(str(directory))
    store.put(FIRST, b"data")
    os.utime(directory / FIRST, (0, 0))
    store.link(FIRST, SECOND)
    assert store.sweep(60) == 0


def test_the_command_sweeps_for_cron(directory, monkeypatch):
    DirectoryStore(str(directory)).put(FIRST, b"old")
    os.utime(directory / FIRST, (0, 0))
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "CLAIM_CHECK_STORE": str(directory)}
    command = [sys.executable, "-m", "supervise.claim", "sweep"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (0, "1 entries removed\n")
    assert list(directory.iterdir()) == []


def test_entries_in_redis_expire_by_themselves(redis, redis_server):
    store = open_store(redis_server.url, ttl=90)
    store.put(FIRST, b"data")
    redis.expire(f"supervise:claim:{FIRST}", 5)
    store.link(FIRST, SECOND)
    assert 5 < redis.ttl(f"supervise:claim:{SECOND}") <= 90


def test_a_redis_that_is_gone_is_named_without_its_password():
    store = RedisStore("redis://:secret@127.0.0.1:1/0", ttl=60)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/0 does not serve") as caught:
        store.put(FIRST, b"data")
    assert "secret" not in str(caught.value)


def test_a_directory_is_for_its_user_alone(directory):
    before = os.umask(0)
    try:
        DirectoryStore(str(directory)).put(FIRST, b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / FIRST).stat().st_mode) == 0o600


def test_a_directory_that_others_may_enter_is_refused(directory):
    directory.mkdir(mode=0o755)
    with pytest.raises(StoreError, match=r"open to other users \(mode 0755\)"):
        DirectoryStore(str(directory)).put(FIRST, b"data")
    assert list(directory.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_a_directory_of_another_user_is_refused(directory):
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)
    with pytest.raises(StoreError, match="belongs to the user 65534"):
        DirectoryStore(str(directory)).put(FIRST, b"data")


def test_links_in_a_directory_are_not_followed(directory, tmp_path):
    store = DirectoryStore(str(directory))
    store.put(FIRST, b"data")
    (tmp_path / "secret").write_text("secret")
    (directory / SECOND).symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError):
        store.get(SECOND)
    with pytest.raises(StoreError):
        store.put(SECOND, b"overwritten")
    assert (tmp_path / "secret").read_text() == "secret"


def test_an_entry_is_never_overwritten(directory):
    store = DirectoryStore(str(directory))
    store.put(FIRST, b"data")
    with pytest.raises(StoreError, match="File exists"):
        store.put(FIRST, b"other")
    assert store.get(FIRST) == b"data"


def test_a_place_that_cannot_be_a_directory_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        DirectoryStore(str(tmp_path / "file" / "claims")).put(FIRST, b"data")
    with pytest.raises(ValueError, match="absolute"):
        DirectoryStore("claims")
    with pytest.raises(TypeError, match="a store is"):
        open_store(42, ttl=60)


def test_two_producers_at_once_make_one_directory(directory):
    def produce(letter):
        store = DirectoryStore(str(directory))
        for number in range(50):
            store.put(f"{letter * 16}{number:016x}", letter.encode())

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(produce, "ab")) == [None, None]
    assert len(list(directory.iterdir())) == 100


def test_a_file_system_without_hard_links_gets_a_copy(directory, monkeypatch):
    def link(*args, **kwargs):
        raise PermissionError(1, "Operation not permitted")

    store = DirectoryStore(str(directory))
    store.put(FIRST, b"data")
    monkeypatch.setattr(os, "link", link)
    store.link(FIRST, SECOND)
    assert store.get(SECOND) == b"data"
    assert (directory / SECOND).stat().st_nlink == 1


IN_A_MOUNT = textwrap.dedent("""
    import os, subprocess, sys
    from supervise.claim import register, StoreError
    from kombu.exceptions import EncodeError
    from kombu.serialization import dumps
    place, options = sys.argv[1:]
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    register(store=place, threshold=1000)
    try:
        dumps((["a" * 30_000, "b" * 900_000], {}, {"callbacks": None}), "claim-json")
    except EncodeError as error:
        assert isinstance(error.__context__, StoreError), repr(error.__context__)
        print(error)
        print(os.listdir(place))
""")


@pytest.mark.parametrize(
    "options, reason",
    [("size=200k,mode=700", "No space left on device"), ("ro,mode=700", "Read-only file system")],
    ids=["full", "not writable"],
)
def test_the_producer_gets_the_error_of_a_store_that_takes_nothing(tmp_path, options, reason):
    unshare = ["unshare", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", IN_A_MOUNT, str(tmp_path), options],
        env={**os.environ, "PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    message, left = done.stdout.splitlines()
    assert message == f"cannot store an entry in the directory {tmp_path}: {reason}"
    assert left == "[]"


def test_any_object_with_the_methods_of_fsspec_is_a_store(register):
    class Bucket:
        def __init__(self):
            self.files = {}

        def pipe_file(self, path, data):
            self.files[path] = data

        def cat_file(self, path):
            if path not in self.files:
                raise FileNotFoundError(path)
            return self.files[path]

    bucket = Bucket()
    store = open_store(bucket, ttl=60)
    assert isinstance(store, FilesystemStore)
    store.put(FIRST, b"data")
    assert bucket.files == {f"supervise-claim/{FIRST}": b"data"}
    with pytest.raises(ClaimMissing):
        store.get(SECOND)


def test_the_settings_are_checked_when_they_are_given():
    with pytest.raises(ValueError, match="threshold"):
        supervise.claim.register(threshold=-1)
    with pytest.raises(ValueError, match="time-to-live"):
        supervise.claim.register(ttl=0)


def test_numbers_in_the_environment_are_checked(monkeypatch):
    monkeypatch.setenv("CLAIM_CHECK_THRESHOLD", "64K")
    with pytest.raises(ValueError, match=r"\$CLAIM_CHECK_THRESHOLD must be a number, not '64K'"):
        supervise.claim.register()
