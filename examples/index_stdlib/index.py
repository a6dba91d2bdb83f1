#!/usr/bin/env python3
"""Indexes Python's own standard library with two pools side by side, and shows what they cost.

    index.py SUPERVISE          the program, as built in build/release/supervise

Each pool gets one job for every file, and the job gets nothing but the file's ID in a database.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from watch import Watch

import supervise

HERE = Path(__file__).resolve().parent
POOLS = ("plain", "recycled")
PASSES = 2  # the second one finds the caches full
NOT_OURS = {"test", "tests", "idle_test", "site-packages", "dist-packages"}

SCHEMA = """
PRAGMA journal_mode = WAL;   -- the workers of both pools write at the same time
CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT, root TEXT);
CREATE TABLE name (pool TEXT, file INTEGER, name TEXT, line INTEGER);
CREATE TABLE count (pool TEXT, file INTEGER, tokens INTEGER, names INTEGER, imports INTEGER,
                    PRIMARY KEY (pool, file));
CREATE INDEX name_of_file ON name (pool, file);
"""


def make_database(path):
    """The table of files; returns the connection and the IDs."""
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(file for file in root.rglob("*.py") if not NOT_OURS & set(file.parts))
    database = sqlite3.connect(path, timeout=60)
    database.executescript(SCHEMA)
    with database:
        database.executemany(
            "INSERT INTO file (path, root) VALUES (?, ?)",
            [(str(file), str(root)) for file in files],
        )
    return database, [row[0] for row in database.execute("SELECT id FROM file ORDER BY id")]


def start_supervisor(program, folder, database):
    """The daemon on workers.toml, with its sockets and its log in `folder`."""
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(folder), "INDEX_DATABASE": str(database)}
    with open(folder / "log", "wb") as log:
        # A process group of its own: Ctrl-C is ours to handle, and stop_supervisor() passes it on.
        return subprocess.Popen(
            [program, "--config", HERE / "workers.toml"],
            env=environment,
            stderr=log,
            start_new_session=True,
        )


def connect(pool, folder, daemon):
    """A client of the pool, as soon as the daemon has opened its socket."""
    while True:
        try:
            return supervise.Client(pool, runtime_dir=str(folder))
        except supervise.PoolGone:
            if daemon.poll() is not None:
                sys.exit(f"supervise ended with {daemon.returncode}:\n{(folder / 'log').read_text()}")
            time.sleep(0.05)


def stop_supervisor(daemon):
    """SIGTERM drains: running jobs finish, and nothing is left behind."""
    if daemon.poll() is None:
        daemon.terminate()
    return daemon.wait()


def index(program, folder):
    database, file_ids = make_database(folder / "index.db")
    stdlib = sysconfig.get_path("stdlib")
    print(f"{len(file_ids)} files of {stdlib}, {PASSES} times, by each of two pools")
    daemon = start_supervisor(program, folder, folder / "index.db")
    try:
        watch = Watch(program, folder, len(file_ids) * PASSES)
        clients = {pool: connect(pool, folder, daemon) for pool in POOLS}
        futures = [
            client.submit("tasks.index_file", file_id)
            for _ in range(PASSES)
            for file_id in file_ids
            for client in clients.values()
        ]
        while not all(future.done() for future in futures):
            watch.show()
            time.sleep(0.25)
        for future in futures:
            future.result()  # raises, if a job failed or was lost
        watch.summary()
        for client in clients.values():
            client.close()
    finally:
        code = stop_supervisor(daemon)

    counts = {
        pool: database.execute(
            "SELECT COUNT(*), SUM(tokens), SUM(names), SUM(imports) FROM count WHERE pool = ?",
            (pool,),
        ).fetchone()
        for pool in POOLS
    }
    database.close()
    files, tokens, names, imports = counts["recycled"]
    print(
        f"\nIn the database, from either pool: {files} files, {tokens} tokens, {names} names, "
        f"{imports} imports resolved"
    )
    if counts["plain"] != counts["recycled"] or files != len(file_ids):
        sys.exit(f"the two pools do not agree: {counts}")
    return code


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="index-stdlib-") as folder:
            sys.exit(index(os.path.abspath(sys.argv[1]), Path(folder)))
    except KeyboardInterrupt:
        sys.exit(130)


main()
