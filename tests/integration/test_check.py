"""`supervise check`: all errors of a file at once, each with its place and what to write."""

import re
import subprocess

import pytest

from support.daemon import BINARY

GOOD = '[pool.p]\napp = "suite"\n'

# (file, [(line, words in the message)])
BROKEN = {
    "a mistyped key": (
        '[pool.p]\napp = "a"\nmax_task = 5\nwokers = 2\n',
        [(3, "unknown"), (4, "workers")],
    ),
    "a mistyped table": ('[pol.p]\napp = "a"\n', [(1, "there is no pool"), (1, "did you mean pool")]),
    "no pool": ("[supervisor]\n", [(1, "pool")]),
    "no app": ("[pool.p]\nworkers = 2\n", [(1, "app")]),
    "wrong types": ('[pool.p]\napp = 5\nworkers = "two"\n', [(2, "app"), (3, "workers")]),
    "bad sizes and times": (
        GOOD + '[pool.p.recycle]\nmax_rss = "12Q"\nmax_age = "soon"\n',
        [(4, "512M"), (5, "30s")],
    ),
    "values out of range": (
        GOOD + "workers = 0\n[pool.p.recycle]\nmax_tasks = -1\nmax_tasks_jitter = 3.0\n",
        [(3, "workers"), (5, "max_tasks"), (6, "0.9")],
    ),
    "limits the wrong way round": (
        GOOD + '[pool.p.jobs]\nsoft_time_limit = "5m"\ntime_limit = "1m"\n',
        [(4, "time_limit")],
    ),
    "a broken line": ('[pool.p]\napp = "a\nworkers = 1\n', [(2, "")]),
    "a key given twice": ('[pool.p]\napp = "a"\napp = "b"\n', [(3, "app")]),
    "min above max": (GOOD + "workers = { min = 4, max = 2 }\n", [(3, "min")]),
    "a name with a slash": ('[pool."a/b"]\napp = "a"\n', [(1, "name")]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_every_error_has_its_place_and_says_what_to_write(tmp_path, what):
    text, errors = BROKEN[what]
    config = tmp_path / "workers.toml"
    config.write_text(text)
    run = subprocess.run([str(BINARY), "check", str(config)], capture_output=True, text=True, timeout=20)
    assert run.returncode == 78
    found = re.findall(rf"^{re.escape(str(config))}:(\d+):(\d+): error: (.+)$", run.stdout + run.stderr, re.M)
    assert [int(line) for line, _, _ in found] == [line for line, _ in errors], run.stdout + run.stderr
    for (_, column, message), (_, word) in zip(found, errors):
        assert int(column) >= 1 and word in message
