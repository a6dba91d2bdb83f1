#!/usr/bin/env python3
"""Writes each frame of the shared vectors to a file of its own, as a corpus for fuzz_frames."""

import json
import sys
from pathlib import Path

corpus = Path(sys.argv[1])
corpus.mkdir(parents=True, exist_ok=True)
vectors = json.loads((Path(__file__).parents[1] / "vectors" / "frames.json").read_text())
for number, vector in enumerate(vectors):
    (corpus / f"{number:03}").write_bytes(bytes.fromhex(vector["hex"]))
