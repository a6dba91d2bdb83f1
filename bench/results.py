"""The runs of a scenario, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.case import Case, EngineSpec, Run
from bench.stats import best_of

LOADED = 0.25  # the share of the machine that others may have in a quiet run

Choice = Callable[[Case], bool]


class Results:
    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)

    def only(self, chosen: Choice) -> Results:
        return Results(run for run in self.runs if chosen(run.case))

    def cases(self) -> list[Case]:
        """Each once, in the order of the plan (the first round's is not rotated)."""
        return list(dict.fromkeys(run.case for run in self.runs))

    def specs(self, reduce: Callable[[EngineSpec], EngineSpec] = lambda spec: spec) -> list[EngineSpec]:
        return list(dict.fromkeys(reduce(case.spec) for case in self.cases()))

    def values(self, chosen: Choice, metric: str) -> dict[int, float]:
        """By round. `chosen` picks one case."""
        return {
            run.round: run.values[metric]
            for run in self.runs
            if chosen(run.case) and not run.error and metric in run.values
        }

    def best_peer(self, metric: str, *, higher_is_better: bool) -> dict[int, float]:
        """By round, the best of all that is neither ours nor the floor."""
        peers = [case for case in self.cases() if not case.spec.ours and case.spec.engine != "floor"]
        return best_of(
            (self.values(lambda case, peer=peer: case == peer, metric) for peer in peers),  # type: ignore[misc]
            higher_is_better=higher_is_better,
        )

    def trouble(self, chosen: Choice) -> str:
        """In a few words, why there is no figure."""
        errors = [run.error for run in self.runs if chosen(run.case) and run.error]
        return errors[0].splitlines()[-1][:80] if errors else "-"

    def loaded_rounds(self) -> dict[int, float]:
        """Rounds in which others had more than LOADED of the machine during a run, with the most."""
        worst: dict[int, float] = {}
        for run in self.runs:
            worst[run.round] = max(worst.get(run.round, 0.0), run.foreign)
        return {number: share for number, share in worst.items() if share > LOADED}
