"""Run with `pytest -c python/pyproject.toml tests/python`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "python" / "src"))
