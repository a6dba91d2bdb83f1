"""Writes TOML, as much of it as supervise's config needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def dumps(tables: Mapping[str, Any]) -> str:
    """Tables of tables, at any depth."""
    lines: list[str] = []
    _table(lines, (), tables)
    return "\n".join(lines) + "\n"


def _table(lines: list[str], path: tuple[str, ...], table: Mapping[str, Any]) -> None:
    if path:
        lines.append(f"[{'.'.join(map(_text, path))}]")
    lines += [f"{_text(key)} = {_value(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        if _is_table(value):
            _table(lines, (*path, key), value)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return _text(str(value))


def _text(text: str) -> str:
    # A JSON string is a TOML one but for DEL, and for surrogates, which are no text at all.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
