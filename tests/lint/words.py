"""Nothing committed depends on, or speaks of, the place where it was written."""

from __future__ import annotations

import re

from tests.lint.sources import Sources, line_of

# Each is written so that it does not match itself.
FORBIDDEN: list[tuple[str, str]] = [
    (r"/work[/]", "a path of one machine"),
    (r"/home[/]\w|/Users[/]\w", "a path of one person's machine"),
    (
        r"pypi[.]org|pythonhosted[.]org|crates[.]io|npmjs[.](org|com)|proxy[.]golang[.]org"
        r"|repo1?[.]maven|deb[.]debian[.]org",
        "a package registry's host: the machine's own configuration says where packages come from",
    ),
    (r"(?i)\b(clau[d]e|anthropi[c]|chat[g]pt|copilo[t]|openA[I])\b", "a tool that wrote the text"),
    (r"(?i)\b(sub)?agen[t]s?\b|\bhelper sessio[n]|\bco-authored-b[y]:", "a note on who wrote it"),
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
