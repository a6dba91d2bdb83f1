"""RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench import targets
from bench.case import Run
from bench.results import LOADED, Results
from bench.scenarios import MODULES, load

NOTES = """\
Figures are medians (min..max) of the rounds; in each round every engine had its turn, in rotated order. *Ours
/ best peer* is the median of the ratios within the rounds: peers are all but supervise and the bare
dispatcher. Where more is better, above 1 is ours; for times and memory, below 1 is. [README.md](README.md)
says how it is measured."""


def markdown(facts: Mapping[str, str], runs: Iterable[Run], pictured: bool) -> str:
    found = {name: Results([]) for name in MODULES}
    for run in runs:
        found[run.case.scenario].runs.append(run)
    parts = [
        "# Results",
        "Written by `bench/run`; do not edit.",
        "\n".join(f"- {name}: {text}" for name, text in facts.items()),
        NOTES,
        "## What it has to show",
        targets.table(found).markdown(),
    ]
    if pictured:
        parts.append("![The main figures as bars](results.svg)")
    for name, results in found.items():
        if results.runs:
            parts += _section(name, results)
    return "\n\n".join(parts) + "\n"


def _section(name: str, results: Results) -> list[str]:
    scenario = load(name)
    tables = [table.markdown() for table in scenario.tables(results) if table.rows]
    return [f"## {scenario.title}", scenario.about, *tables, _conditions(results)]


def _conditions(results: Results) -> str:
    """How many rounds, what else the machine did, what went wrong."""
    rounds = len({run.round for run in results.runs})
    shares = sorted(run.foreign for run in results.runs)
    quick = ", a quick run with small counts" if any(run.case.quick for run in results.runs) else ""
    text = (
        f"{rounds} round{'s' * (rounds != 1)}{quick}. Others had {shares[len(shares) // 2]:.0%} of the "
        f"machine in the median run, {shares[-1]:.0%} at most"
    )
    loaded = results.loaded_rounds()
    if loaded:
        told = ", ".join(f"{number} ({share:.0%})" for number, share in sorted(loaded.items()))
        text += f"; **loaded rounds** (a run with more than {LOADED:.0%}): {told}"
    lines = [f"*{text}.*"]
    for run in results.runs:
        if run.error or run.note:
            every = f", recycled every {run.case.spec.max_tasks}" if run.case.spec.max_tasks else ""
            lines.append(f"- {run.case.spec.label}{every}, round {run.round}: {run.error or run.note}")
    return "\n".join([lines[0], "", *lines[1:]]).strip()
