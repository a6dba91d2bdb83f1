"""Where things are."""

from pathlib import Path

BENCH = Path(__file__).resolve().parent
TOP = BENCH.parent
APPS = BENCH / "apps"
BUILD = TOP / "build"
FLOOR = BUILD / "bench/dispatcher"
ECHO = BENCH / "floor/echo.py"
RAW = BUILD / "bench/results.json"
