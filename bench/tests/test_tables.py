"""Results, tables, targets and the report, from runs that are made up."""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree

import pytest

from bench import picture, report, targets
from bench.case import Case, EngineSpec, Run
from bench.results import Results
from bench.scenarios import MODULES
from bench.scenarios.recycling import kept
from bench.stats import summarize
from bench.table import Column, cell, engine_table, grid_table, number

OURS = EngineSpec("supervise")
POOL = EngineSpec("multiprocessing.Pool", "fork")
LOKY = EngineSpec("loky")
FLOOR = EngineSpec("floor")


def runs_of(scenario, spec, *rounds, **more):
    """One run for each dict of values (or error text)."""
    case = Case(scenario, spec, **more)
    return [
        Run(case, number, values) if isinstance(values, dict) else Run(case, number, {}, error=values)
        for number, values in enumerate(rounds, 1)
    ]


def rates(submit, lazy_map):
    return {"submit_rate": submit, "map_rate": lazy_map}


def noop_runs():
    return [
        *runs_of("noop", OURS, rates(40e3, 90e3), rates(20e3, 60e3)),
        *runs_of("noop", FLOOR, {"map_rate": 100e3}, {"map_rate": 100e3}),
        *runs_of("noop", POOL, rates(10e3, 40e3), rates(8e3, 20e3)),
        *runs_of("noop", LOKY, rates(5e3, 5e3), "no end within 60 s"),
    ]


def verdicts(runs):
    found = {name: Results([]) for name in MODULES}
    for run in runs:
        found[run.case.scenario].runs.append(run)
    return {row.cells[0]: row.cells[1:] for row in targets.table(found).rows}


def test_ours_is_compared_with_the_best_peer_of_each_round_but_not_with_the_floor():
    table = engine_table(Results(noop_runs()), [Column("map", "map_rate", "rate", ratio="higher")])
    rows = {row.cells[0]: row.cells[1:] for row in table.rows}
    assert rows["supervise (spawn)"] == ["75,000 (60,000..90,000)", "2.62 (2.25..3.00)"]
    assert rows["multiprocessing.Pool (fork)"] == ["30,000 (20,000..40,000)", ""]


def test_a_lower_time_is_compared_with_the_lowest():
    runs = [
        *runs_of("single", OURS, {"p50": 20e-6}),
        *runs_of("single", POOL, {"p50": 40e-6}),
        *runs_of("single", LOKY, {"p50": 80e-6}),
    ]
    table = engine_table(Results(runs), [Column("p50", "p50", "us", ratio="lower")])
    assert table.rows[0].cells == ["supervise (spawn)", "20.0", "0.50"]


def test_an_engine_without_figures_says_why():
    runs = [*runs_of("noop", LOKY, "no end within 60 s", "no end within 60 s")]
    table = engine_table(Results(runs), [Column("map", "map_rate", "rate")])
    assert table.rows[0].cells == ["loky", "no end within 60 s"]


def test_a_table_is_markdown_with_ours_in_bold():
    text = engine_table(Results(noop_runs()), [Column("map", "map_rate", "rate")], title="T").markdown()
    lines = text.splitlines()
    assert lines[:4] == ["**T**", "", "| engine | map |", "| --- | ---: |"]
    assert lines[4] == "| **supervise (spawn)** | 75,000 (60,000..90,000) |"


def test_a_grid_has_a_column_for_each_number():
    runs = [run for n in (1, 8) for run in runs_of("clients", OURS, {"rate": n * 1000.0}, number=n)]
    table = grid_table(Results(runs), "rate", "rate", title="")
    assert table.heads == ["engine", "1", "8"]
    assert table.rows[0].cells == ["supervise (spawn)", "1,000", "8,000"]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (123456.7, "rate", "123,457"),
        (0.0000123, "us", "12.3"),
        (0.00123, "ms", "1.23"),
        (0.9712, "share", "97.1 %"),
        (1.0, "share", "100 %"),
        (5.83, "mb", "5.8"),
        (3, "count", "3"),
    ],
)
def test_numbers_have_the_digits_that_they_deserve(value, kind, text):
    assert number(value, kind) == text


def test_a_cell_leaves_out_a_range_that_is_none():
    assert cell(summarize([2.0, 2.0]), "times") == "2.00"
    assert cell(summarize([0.9, 0.8, 0.7]), "share") == "80.0 % (70.0..90.0)"
    assert cell(None, "times") == ""


def test_capacity_kept_is_relative_to_the_same_round():
    plain = dataclasses.replace(OURS, app="slow")
    runs = [
        *runs_of("recycling", plain, {"used": 0.8}, {"used": 1.0}),
        *runs_of("recycling", dataclasses.replace(plain, max_tasks=10), {"used": 0.4}, {"used": 0.9}),
    ]
    assert kept(Results(runs), plain, 10) == {1: 0.5, 2: 0.9}


def test_targets_are_met_or_missed_by_their_median():
    found = verdicts(noop_runs())
    assert found["no-op jobs, submit: at least 3 times `multiprocessing.Pool.apply_async`"] == [
        "3.25 (2.50..4.00)",
        "met",
    ]
    assert found["no-op jobs, map: at least 0.6 of the bare dispatcher"] == ["0.75 (0.60..0.90)", "met"]
    slower = [run for run in noop_runs() if run.case.spec != OURS]
    slower += runs_of("noop", OURS, {"submit_rate": 20e3, "map_rate": 50e3})
    assert verdicts(slower)["no-op jobs, map: at least 0.6 of the bare dispatcher"] == [
        "0.50",
        "**missed**",
    ]


def test_a_target_that_was_met_with_a_window_says_so():
    faster = runs_of("noop", dataclasses.replace(OURS, window=8), rates(50e3, 80e3), rates(50e3, 80e3))
    found = verdicts([*noop_runs(), *faster])
    assert found["no-op jobs, map: at least 0.6 of the bare dispatcher"] == ["0.80, with `window = 8`", "met"]


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert set(map(tuple, verdicts([]).values())) == {("not measured", "-")}


def churn_run(**changes):
    names = [name for _, name, _ in _watched()]
    values = {f"{name}_{when}": 10.0 for name in names for when in ("before", "after")}
    return runs_of("churn", OURS, {**values, "per_minute": 1000.0, "recycles": 5000.0, "late": 0, **changes})


def _watched():
    from bench.scenarios.churn import WATCHED

    return WATCHED


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "met"),
        ({"template_rss_after": 10.5}, "met"),
        ({"template_rss_after": 12.0}, "**missed**"),
        ({"daemon_rss_after": 12.0}, "**missed**"),
        ({"daemon_fds_after": 11.0}, "**missed**"),
        ({"cgroups_after": 11.0}, "**missed**"),
        ({"per_minute": 700.0}, "**missed**"),
    ],
)
def test_growth_and_too_few_recycles_are_misses(changes, verdict):
    target = "1,000 recycles a minute for five minutes: no growth"
    assert verdicts(churn_run(**changes))[target][1] == verdict


def test_loaded_rounds_are_those_with_a_loaded_run():
    runs = noop_runs()
    runs[1].foreign = 0.4
    assert Results(runs).loaded_rounds() == {2: 0.4}


def test_a_run_survives_being_stored():
    run = runs_of("noop", dataclasses.replace(POOL, max_tasks=3), {"map_rate": 1.0}, number=7)[0]
    assert Run.parse(json.loads(json.dumps(run.dump()))) == run


def test_the_report_names_conditions_and_troubles():
    runs = noop_runs()
    runs[0].foreign = 0.3
    text = report.markdown({"machine": "2 cores"}, runs, pictured=False)
    assert "- machine: 2 cores" in text
    assert "**loaded rounds** (a run with more than 25%): 1 (30%)" in text
    assert "- loky, round 2: no end within 60 s" in text
    assert "## Recycling" not in text  # it was not run


def test_the_picture_is_well_formed_and_has_a_bar_for_each_figure():
    drawing = picture.draw(noop_runs())
    root = ElementTree.fromstring(drawing)
    bars = root.findall(".//{http://www.w3.org/2000/svg}rect")
    assert [bar.get("class") for bar in bars] == ["ours", "peer", "peer", "ours", "floor", "peer", "peer"]
    assert picture.draw([]) == ""
