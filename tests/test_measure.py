"""Runs of a benchmark side by side."""

import copy
import math

import pytest

from benchmarks.measure import complete, side_by_side


def test_a_run_that_fails_costs_no_other_and_is_raised_at_the_end(capsys):
    found = {}
    with pytest.raises(ValueError, match=r"nonnegative|domain"):
        for label, result in side_by_side(math.sqrt, {"4": (4,), "-1": (-1,), "9": (9,), "16": (16,)}, 1):
            found[label] = result
    assert found == {"4": 2.0, "9": 3.0, "16": 4.0}
    assert capsys.readouterr().out.startswith("-1: ValueError: ")


def test_what_has_not_begun_is_dropped_where_results_are_not_wanted_any_more():
    results = side_by_side(math.sqrt, {str(number): (number,) for number in range(500)}, 1)
    next(results)
    results.close()
    assert list(results) == []


def made(row, column, seed):
    return {"seed": seed, "final": seed / 2}


def test_what_a_table_lacks_is_made_and_kept_in_the_order_of_seeds():
    tables = [{"a": {"x": [{"seed": 1, "final": 9.0}]}}]
    wanted = {(row, "x", seed): (row, "x", seed) for seed in (1, 0) for row in ("a", "b")}
    cells = [cell for cell, _ in complete(made, lambda: copy.deepcopy(tables[-1]), tables.append, wanted, 1)]
    assert sorted(cells) == [("a", "x", 0), ("b", "x", 0), ("b", "x", 1)]
    assert len(tables) == 4
    assert tables[-1] == {
        "a": {"x": [{"seed": 0, "final": 0.0}, {"seed": 1, "final": 9.0}]},
        "b": {"x": [{"seed": 0, "final": 0.0}, {"seed": 1, "final": 0.5}]},
    }
