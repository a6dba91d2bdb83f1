"""The arithmetic."""

import pytest

from bench import stats


def test_a_percentile_is_a_value_that_occurred():
    values = [float(number) for number in range(100, 0, -1)]
    assert stats.percentile(values, 50) == 50
    assert stats.percentile(values, 99) == 99
    assert stats.percentile(values, 100) == 100
    assert stats.percentile([7.0], 1) == 7.0


@pytest.mark.parametrize("percent", [0, 101, -5])
def test_a_percentile_outside_the_range_is_refused(percent):
    with pytest.raises(ValueError, match="percentile"):
        stats.percentile([1.0], percent)


def test_nothing_has_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        stats.percentile([], 50)


def test_a_summary_has_median_and_extremes():
    assert stats.summarize([3.0, 1.0, 10.0, 2.0]) == (2.5, 1.0, 10.0, 4)
    assert stats.summarize([]) is None


def test_ratios_are_taken_within_rounds():
    ours, theirs = {1: 10.0, 2: 30.0, 4: 5.0}, {1: 5.0, 2: 10.0, 3: 1.0}
    assert stats.ratios(ours, theirs) == [2.0, 3.0]


def test_a_peer_that_did_nothing_gives_no_ratio():
    assert stats.ratios({1: 10.0}, {1: 0.0}) == []


def test_the_best_of_a_round_may_be_another_engine_in_the_next():
    engines = [{1: 5.0, 2: 1.0}, {1: 3.0, 2: 4.0, 3: 9.0}]
    assert stats.best_of(engines, higher_is_better=True) == {1: 5.0, 2: 4.0, 3: 9.0}
    assert stats.best_of(engines, higher_is_better=False) == {1: 3.0, 2: 1.0, 3: 9.0}


def test_capacity_is_full_when_no_worker_waited():
    assert stats.capacity(600, 0.010, 2, 3.0) == pytest.approx(1.0)
    assert stats.capacity(300, 0.010, 2, 3.0) == pytest.approx(0.5)


def test_the_share_of_others_is_what_we_did_not_use():
    assert stats.foreign_share(3.0, 1.0, 2.0, 2) == pytest.approx(0.5)


def test_the_share_of_others_stays_a_share():
    assert stats.foreign_share(1.0, 1.2, 2.0, 2) == 0.0  # ticks are coarse
    assert stats.foreign_share(9.0, 0.0, 2.0, 2) == 1.0
    assert stats.foreign_share(9.0, 0.0, 0.0, 2) == 0.0
