"""No file is too long to be read in one sitting."""

from __future__ import annotations

from tests.lint.sources import Sources

HEADER, SOURCE, TEST = 150, 400, 500


def limit(path: str) -> int:
    if path.startswith("tests/"):
        return TEST
    return HEADER if path.endswith(".hpp") else SOURCE


def check(sources: Sources) -> list[str]:
    errors = []
    for path, text in sources.texts.items():
        if path.endswith((".hpp", ".cpp", ".py")):
            lines = text.count("\n")
            if lines > limit(path):
                errors.append(f"{path}:{lines}: {lines} lines, at most {limit(path)}: split it")
    return errors
