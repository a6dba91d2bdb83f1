"""A dict as TOML: as much of it as a config file needs."""

import json


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(value) if isinstance(value, str) else str(value)


def dumps(config):
    """`{"supervisor": {...}, "pools": {NAME: {...}}}` as the text of a config file."""
    lines = ["[supervisor]"]
    lines += [f"{key} = {_value(value)}" for key, value in config["supervisor"].items()]
    for name, pool in config["pools"].items():
        lines += ["", f"[pool.{name}]"]
        lines += [f"{key} = {_value(value)}" for key, value in pool.items()]
    return "\n".join(lines) + "\n"
