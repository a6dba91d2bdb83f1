"""The bench's command line; bench/run has installed and built what it needs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import machine, picture, report, runner
from bench.case import Case, EngineSpec, Place, Run
from bench.engines.ours import config_text
from bench.paths import BENCH, BUILD, RAW
from bench.scenarios import MODULES, load, named
from bench.scenarios.base import Features, Scenario

ROUNDS, QUICK_ROUNDS = 5, 2
BUILT = BUILD / "release/supervise"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description="supervise and its peers, side by side.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help="scenarios, or what their names begin with (celery); all when left out",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="two rounds and small counts: a few minutes")
    parser.add_argument("--list", action="store_true", help="name the scenarios, and end")
    parser.add_argument("--rounds", type=int, help=f"instead of {ROUNDS} ({QUICK_ROUNDS} with --quick)")
    parser.add_argument(
        "--program", type=Path, default=BUILT,
        help="measure this supervise; without it build/release is built",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=BENCH, help="folder of RESULTS.md and results.svg")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if not named(name)]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(MODULES)}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds takes a number from 1")
    if not os.access(arguments.program, os.X_OK):
        parser.error(f"{arguments.program} is not a program")
    return arguments


def find_features(program: Path) -> Features:
    """Asks the program itself what it knows: `check` refuses keys that it does not, and warns of those
    that it does not heed."""

    def knows(spec: EngineSpec) -> bool:
        with tempfile.TemporaryDirectory(prefix="supervise-bench-") as folder:
            file = Path(folder, "workers.toml")
            file.write_text(config_text(spec, Place(folder, str(program), "")))
            done = subprocess.run([program, "check", file], capture_output=True, text=True, check=False)
        return done.returncode == 0 and "warning:" not in done.stderr

    plain = EngineSpec("supervise")
    if not knows(plain):
        sys.exit(f"bench: {program} does not accept the bench's config; is it a supervise of this tree?")
    return Features(
        template=knows(dataclasses.replace(plain, preload=True)),
        window=knows(dataclasses.replace(plain, window=16)),
    )


def run_scenario(scenario: Scenario, cases: list[Case], rounds: int, bench: runner.Runner) -> list[Run]:
    """Every case once a round, each round begun by another one."""
    runs: list[Run] = []
    started = time.monotonic()
    for number in range(1, rounds + 1):
        first = (number - 1) % len(cases)
        for case in cases[first:] + cases[:first]:
            progress(f"{scenario.name}: round {number} of {rounds}, {case.spec.label}")
            runs.append(bench.run(case, number, scenario.limit))
    troubles = sum(bool(run.error or run.note) for run in runs)
    told = f", {troubles} with trouble" if troubles else ""
    progress("")
    print(f"{scenario.name} ... {len(runs)} runs, {time.monotonic() - started:.0f} s{told}", flush=True)
    return runs


def progress(text: str) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)


def keep(new: list[Run], facts: dict[str, str]) -> list[Run]:
    """Remembers the runs; returns them with those of the scenarios that were not run this time, as long
    as they are from the same machine, versions and revision."""
    kept: list[Run] = []
    if RAW.exists():
        stored = json.loads(RAW.read_text())
        if stored["facts"] == facts:
            renewed = {run.case.scenario for run in new}
            kept = [Run.parse(fields) for fields in stored["runs"]]
            kept = [run for run in kept if run.case.scenario not in renewed]
    runs = kept + new
    RAW.parent.mkdir(parents=True, exist_ok=True)
    RAW.write_text(json.dumps({"facts": facts, "runs": [run.dump() for run in runs]}))
    return runs


def main() -> int:
    arguments = parse()
    if arguments.list:
        for name in MODULES:
            print(f"{name:16} {load(name).title}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runner.adopt_orphans()
    program = arguments.program.resolve()
    features = find_features(program)
    facts = machine.facts(program, built_here=arguments.program == BUILT)
    bench = runner.Runner(str(program))
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    new: list[Run] = []
    asked = [module for name in arguments.names for module in named(name)]
    for name in dict.fromkeys(asked) or MODULES:
        scenario = load(name)
        cases = scenario.cases(arguments.quick, features)
        if cases:
            new += run_scenario(scenario, cases, scenario.rounds(rounds), bench)
        else:
            print(f"{name} ... left out: this supervise has no template", flush=True)
    runs = keep(new, facts)
    arguments.out.mkdir(parents=True, exist_ok=True)
    drawing = picture.draw(runs)
    if drawing:
        (arguments.out / "results.svg").write_text(drawing)
    (arguments.out / "RESULTS.md").write_text(report.markdown(facts, runs, bool(drawing)))
    print(arguments.out / "RESULTS.md")
    failed = [run for run in new if run.case.spec.ours and (run.error or run.note)]
    for run in failed:
        print(f"supervise failed in {run.case.scenario}, round {run.round}: {run.error or run.note}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        runner.end_descendants()
        sys.exit(130)
