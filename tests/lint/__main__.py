"""python3 -m tests.lint [CHECK...] : runs the checks, prints what they find, and ends with 1 then."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lint import coroutines, layers, sizes, words
from tests.lint.sources import Sources

CHECKS = {
    "layers": layers.check,
    "coroutines": coroutines.check,
    "sizes": sizes.check,
    "words": words.check,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
        return 64
    sources = Sources.of_repository(Path(__file__).resolve().parents[2])
    errors = [error for name in names or CHECKS for error in CHECKS[name](sources)]
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
