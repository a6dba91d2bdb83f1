"""The bench's own modules are found from the top of the repository, its jobs in apps/."""

import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(BENCH.parent), str(BENCH / "apps"), str(BENCH.parent / "python/src")]
