#!/usr/bin/env python3
"""Writes frames.json from ipc/PROTOCOL.md alone, sharing no code with either codec under test.

Run it after a change of the protocol: python3 tests/vectors/make.py
"""

import json
from pathlib import Path

from invalid import invalid
from valid import valid
from wire import encode


def main():
    vectors = []
    for name, message in valid():
        data = encode(message)
        assert len(data) <= 1024, name
        vectors.append({"name": name, "hex": data.hex(), "message": message})
    for name, data in invalid():
        vectors.append({"name": name, "hex": data.hex(), "error": True})
    names = [vector["name"] for vector in vectors]
    assert len(names) == len(set(names)), "two vectors of one name"
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    Path(__file__).with_name("frames.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(vectors)} vectors")


if __name__ == "__main__":
    main()
