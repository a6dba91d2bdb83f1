"""The project's files as the checks see them: texts by path, C++ without comments, includes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

CPP_SUFFIXES = (".hpp", ".cpp")

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>|"[^"\n]+")', re.MULTILINE)
_NOT_CODE = re.compile(
    r"""//[^\n]*                            # a comment to the end of the line
      | /\*.*?\*/                           # a comment in between
      | R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+' # a character, not the ' within 10'000
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Include:
    line: int
    name: str  # as written, without its quotes
    own: bool  # in quotes: a file of the project


@dataclass(frozen=True)
class Sources:
    """`texts` maps a path from the top of the repository to what is in the file."""

    texts: Mapping[str, str]

    @staticmethod
    def of_repository(top: Path) -> Sources:
        """All text files that are committed or about to be."""
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=top, check=True, capture_output=True, text=True,
        )  # fmt: skip
        texts = {}
        for name in sorted(set(listing.stdout.split("\0")) - {""}):
            path = top / name
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                if b"\0" not in data:
                    texts[name] = data.decode("utf-8", errors="replace")
        return Sources(texts)

    def cpp(self) -> Iterator[tuple[str, str]]:
        return ((path, text) for path, text in self.texts.items() if path.endswith(CPP_SUFFIXES))

    @cached_property
    def _public_headers(self) -> dict[str, str]:
        """`supervise/x.hpp` as users write it -> where it is kept."""
        return {
            path.partition("/include/")[2]: path
            for path in self.texts
            if "/include/" in path and path.endswith(".hpp")
        }

    def resolve(self, includer: str, name: str) -> str | None:
        """The path of the file that `#include "name"` means, or None when there is none."""
        beside = _normal(PurePosixPath(includer).parent / name)
        for candidate in (beside, name, f"supervisor/{name}", self._public_headers.get(name)):
            if candidate in self.texts:
                return candidate
        return None

    def closure(self, path: str) -> list[str]:
        """`path` and every project file that it includes, directly or not."""
        found: dict[str, None] = {}
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found[current] = None
                for include in includes(self.texts[current]):
                    target = self.resolve(current, include.name) if include.own else None
                    if target is not None:
                        waiting.append(target)
        return sorted(found)


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def includes(text: str) -> list[Include]:
    return [
        Include(line_of(text, match.start(1)), match[1][1:-1], match[1].startswith('"'))
        for match in _INCLUDE.finditer(text)
    ]


def code_only(text: str) -> str:
    """C++ with comments and literals blanked out; every other character keeps its place."""
    return _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
