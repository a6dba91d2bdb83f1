"""Celery's scenarios: their names, their tables and what is judged of them."""

import dataclasses

from bench import celery_targets
from bench.case import Case, EngineSpec, Run
from bench.results import Results
from bench.scenarios import MODULES, named
from bench.scenarios.celery_base import PREFORK
from bench.scenarios.celery_recycling import SCENARIO, gain

OURS = EngineSpec("supervise", preload=True)


def results(*runs):
    """Of (scenario, spec, round, values)."""
    found = {name: Results([]) for name in MODULES}
    for scenario, spec, number, values in runs:
        found[scenario].runs.append(Run(Case(scenario, spec), number, values))
    return found


def verdicts(found):
    return {verdict.target: verdict for judge in celery_targets.JUDGES for verdict in judge(found)}


def every(spec, max_tasks):
    return dataclasses.replace(spec, max_tasks=max_tasks)


def test_a_name_stands_for_all_scenarios_that_begin_with_it():
    assert set(named("celery")) == {name for name in MODULES if name.startswith("celery_")}
    assert named("noop") == ["noop"]
    assert named("no") == []


def test_nothing_is_met_or_missed_without_figures():
    assert {verdict.met for verdict in verdicts(results()).values()} == {None}


def test_rates_are_compared_within_their_rounds():
    found = results(
        ("celery_rate", OURS, 1, {"plain_rate": 900.0, "plain_front": 300e-6}),
        ("celery_rate", PREFORK, 1, {"plain_rate": 600.0, "plain_front": 400e-6}),
        ("celery_rate", OURS, 2, {"plain_rate": 100.0, "plain_front": 900e-6}),
        ("celery_rate", PREFORK, 2, {"plain_rate": 200.0, "plain_front": 400e-6}),
    )
    rate = verdicts(found)["Celery, no-op tasks a second: at least prefork's"]
    assert (rate.figure, rate.met) == ("1.00 (0.50..1.50)", True)
    front = verdicts(found)[
        "Celery, the front's processor time a task: at most prefork's main process's (ratio)"
    ]
    assert (front.figure, front.met) == ("1.50 (0.75..2.25)", False)


def test_recycling_has_a_ratio_for_each_number_of_tasks():
    found = results(
        ("celery_recycling", every(OURS, 10), 1, {"rate": 160.0}),
        ("celery_recycling", every(PREFORK, 10), 1, {"rate": 10.0}),
        ("celery_recycling", every(OURS, 1), 1, {"rate": 19.0}),
        ("celery_recycling", every(PREFORK, 1), 1, {"rate": 1.0}),
    )
    assert gain(found["celery_recycling"], 10) == [16.0]
    met = {target: verdict.met for target, verdict in verdicts(found).items()}
    assert met["Celery, no-op tasks a second, recycled every 10: at least 8 times prefork's"] is True
    assert met["Celery, no-op tasks a second, recycled every 1: at least 20 times prefork's"] is False
    assert met["Celery, no-op tasks a second, recycled every 100: at least 2 times prefork's"] is None
    (table,) = SCENARIO.tables(found["celery_recycling"])
    assert [row.cells for row in table.rows] == [
        ["supervise (template)", "-", "160", "19.0"],
        ["celery (prefork)", "-", "10.0", "1.00"],
        ["ours / prefork", "", "16.0", "19.0"],
    ]
    assert [row.ours for row in table.rows] == [True, False, False]


def test_memory_is_judged_by_ours_and_shown_beside_preforks():
    found = results(
        ("celery_spike", OURS, 1, {"recycles": 2.0}),
        ("celery_spike", PREFORK, 1, {"recycles": 30.0}),
        ("celery_arguments", OURS, 1, {"peak": 0.5}),
        ("celery_arguments", PREFORK, 1, {"peak": 134.0}),
    )
    spike, growth = [verdict for target, verdict in verdicts(found).items() if "MB" in target]
    assert (spike.figure, spike.met) == ("2; prefork 30", False)
    assert (growth.figure, growth.met) == ("0.5; prefork 134", True)
