"""Which part may include what: the arrows of ARCHITECTURE.md, checked."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from tests.lint.sources import Include, Sources, includes

# Each room and the rooms whose headers it may include; its own always.
LAYERS: dict[str, set[str]] = {
    "base": set(),
    "config": {"base"},
    "ipc": {"base"},
    "supervisor/process": {"base", "config", "ipc"},
    "supervisor/pool": {"base", "config", "ipc", "supervisor/process"},
    "supervisor/control": {"base", "config", "ipc", "supervisor/process", "supervisor/pool"},
    "supervisor/cli": {
        "base", "config", "ipc", "supervisor/process", "supervisor/pool", "supervisor/control",
    },
}  # fmt: skip
# The daemon itself (supervisor/*.cpp) sits on top of all rooms, and tests on top of that. What the
# public folder of the supervisor holds belongs to the top too, but for plain values.
PLAIN_VALUES = "supervisor/include/supervise/snapshot.hpp"

# Libraries that belong to few files: prefix of the header -> (who may include it, why).
SEAMS: list[tuple[str, tuple[str, ...], str]] = [
    ("toml++/", ("config/*", "tests/unit/config/*"), "only config reads TOML"),
    ("spdlog/", ("base/log*.cpp",), "everything else logs through supervise::Logger"),
    ("boost/process", ("base/process_v2.hpp", "base/process_impl.cpp"), "its API moves: one seam"),
    (
        "boost/beast",
        ("supervisor/control/*", "supervisor/cli/*", "tests/*", "bench/*"),
        "HTTP is the control plane's",
    ),
    (
        "boost/json",
        ("supervisor/control/*", "supervisor/cli/*", "tests/*", "bench/*"),
        "JSON is the control plane's",
    ),
    ("CLI/", ("supervisor/cli/*",), "only the command line parses arguments"),
    ("catch2/", ("tests/support/catch.hpp",), "versions 2 and 3 differ: one seam"),
    ("boost/asio.hpp", (), "it costs two seconds a file: include the narrow headers"),
]

# What a public header may ask of its users' machines: the standard library and these.
PUBLIC_BOOST = ("boost/asio/awaitable.hpp", "boost/asio/any_io_executor.hpp", "boost/system/",
                "boost/throw_exception.hpp", "boost/assert/source_location.hpp")  # fmt: skip

# Decisions without I/O: a test drives them with plain values, so no Asio comes near them.
PURE = re.compile(
    r"^supervisor/pool/(\w*policy|worker_state|backoff|exit_verdict|job_queue)\.[ch]pp$"
    r"|^config/units\.[ch]pp$|^ipc/message\.[ch]pp$"
)


def room_of(path: str) -> str | None:
    """The room that a C++ file belongs to; None: the daemon on top, or not the product's."""
    for room in LAYERS:
        if path.startswith(room + "/"):
            return room
    return None


def check(sources: Sources) -> list[str]:
    errors = []
    for path, text in sources.cpp():
        for include in includes(text):
            where = f"{path}:{include.line}: "
            problem = _own(sources, path, include) if include.own else _foreign(path, include)
            if problem:
                errors.append(where + problem)
        if PURE.match(path):
            errors += _pure(sources, path)
    return errors


def _own(sources: Sources, path: str, include: Include) -> str | None:
    target = sources.resolve(path, include.name)
    if target is None:
        return f'"{include.name}" is no file of the project; other headers go in <>'
    room, other = room_of(path), room_of(target)
    if target.startswith("tests/") and not path.startswith(("tests/", "bench/")):
        return f"{target} is for tests"
    if room is None or (target == PLAIN_VALUES and room.startswith("supervisor/")):
        return None
    if other is None:
        return f"{room} may not include {target}, which sits above it"
    if other != room and other not in LAYERS[room]:
        return f"{room} may not include {target}: dependencies point one way (see LAYERS)"
    return None


def _foreign(path: str, include: Include) -> str | None:
    name = include.name
    for prefix, owners, reason in SEAMS:
        if name.startswith(prefix) and not any(fnmatchcase(path, owner) for owner in owners):
            return f"<{name}> is not for this file: {reason}"
    if "/include/" in path and "/" in name and not name.startswith(("sys/", *PUBLIC_BOOST)):
        return f"<{name}> in a public header: users would need it too"
    return None


def _pure(sources: Sources, path: str) -> list[str]:
    return [
        f"{path}:1: a pure file must not see Asio, but {part} includes <{include.name}>"
        + " (supervise/time.hpp has TimePoint)" * part.endswith("/clock.hpp")
        for part in sources.closure(path)
        for include in includes(sources.texts[part])
        if include.name.startswith("boost/asio")
    ]
