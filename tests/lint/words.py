"""Nothing committed depends on the machine where it was written, or was left half merged."""

from __future__ import annotations

import re

from tests.lint.sources import Sources, line_of

# Each is written so that it does not match itself.
FORBIDDEN: list[tuple[str, str]] = [
    (r"/work[/]", "a path of one machine"),
    (r"/home[/]\w|/Users[/]\w", "a path of one person's machine"),
    (r"^(<{7}|>{7}) |^={7}$", "a merge conflict"),
]


def check(sources: Sources) -> list[str]:
    errors = []
    for path, text in sources.texts.items():
        for pattern, meaning in FORBIDDEN:
            for match in re.finditer(pattern, text, re.MULTILINE):
                where = f"{path}:{line_of(text, match.start())}"
                errors.append(f'{where}: "{match[0]}" is {meaning}')
    return errors
