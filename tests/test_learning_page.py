"""The statistics of docs/results.md, worked by hand."""

import pytest

from benchmarks.defaults import OURS, RANDOM, THEIRS, gained
from benchmarks.learning import curve
from benchmarks.learning_page import first_of_five, interval, iqm
from benchmarks.tuning.kept import of_trial, while_drifting
from benchmarks.tuning.studies import Trial


def test_the_interquartile_mean_leaves_out_the_lowest_and_the_highest_quarter():
    assert iqm([-1000, 1, 2, 3, 4, 5, 6, 1000]) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_of_equal_seeds_the_interval_is_a_point():
    assert interval([500.0] * 10) == (500.0, 500.0)


def test_the_interval_holds_the_interquartile_mean_and_no_more_than_the_seeds():
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 30.0]
    low, high = interval(values)
    assert 1.0 < low < iqm(values) < high < 12.0


def test_five_evaluations_in_a_row_are_found_where_the_first_of_them_is():
    steps = list(range(2_000, 26_000, 2_000))
    returns = [500, 500, 500, 500, 474, 475, 480, 490, 500, 500, 500, 500]
    assert first_of_five({"steps": steps, "return": returns}) == 12_000
    assert first_of_five({"steps": steps[:9], "return": returns[:9]}) is None


def test_a_curve_has_the_seconds_that_training_took_up_to_each_evaluation():
    rows = [
        {"steps": 100, "steps_per_second": 50.0},
        {"steps": 200, "steps_per_second": 100.0, "evaluation_return": 1.5},
        {"steps": 300, "steps_per_second": 200.0},
        {"steps": 400, "steps_per_second": 200.0, "evaluation_return": 2.5},
    ]
    assert curve(rows) == {"steps": [200, 400], "seconds": [3.0, 4.0], "return": [1.5, 2.5]}


def test_what_is_gained_over_random_actions_is_compared_where_returns_are_negative_too():
    runs = {OURS: [-40.0, -50.0], THEIRS: [-60.0, -60.0], RANDOM: [-150.0, -150.0]}
    found = gained({learner: [{"final": value} for value in finals] for learner, finals in runs.items()})
    assert found == pytest.approx(105 / 90)


def test_a_trial_with_a_switch_is_not_shown_what_its_base_reached_while_networks_drifted():
    base = Trial("base", {"total_steps": 1}, range(2))
    switched = base._replace(settings=base.settings | {"switch": ["averaged", 0.9]})
    now, before = ({"seed": 0, "settings": base.settings | more} for more in ({}, {"switch": ["drifting"]}))
    runs = [now, before]
    assert (of_trial(runs, base), while_drifting(runs, base)) == ([now], [before])
    assert (of_trial(runs, switched), while_drifting(runs, switched)) == ([], [])
