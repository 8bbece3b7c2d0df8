"""The ladder: its statistics by hand, a rung from end to end, and a page that is that of the committed results."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from studies import gradients, ladder, ladder_page, rungs, runs
from studies.gradients import NUM_ENVS, batches, cosine, estimates, mean_return, spread
from studies.ladder_page import IN_A_ROW, estimate_of_median, steps_to_solve
from studies.runs import RATE_SEEDS, SEEDS, Contestant, Task, area

DOCS = Path(__file__).parent.parent / "docs"


def steps_of(reward, terminated, value):
    """Steps of one environment."""
    columns = [np.array(array)[:, None] for array in (reward, terminated, np.zeros(len(reward), bool), value)]
    reward, terminated, truncated, value = columns
    following = np.vstack([value[1:], [[0.0]]])
    nothing = np.zeros((len(reward), 1, 1), np.float32)
    return gradients.Steps(nothing, nothing, reward, terminated, truncated, value, following)


# -- statistics --


def test_a_task_is_solved_where_the_first_of_three_evaluations_in_a_row_is():
    run = {"steps": [10, 20, 30, 40, 50, 60], "return": [9, 9, 1, 9, 9, 9]}
    assert IN_A_ROW == 3
    assert steps_to_solve(run, 9) == 40
    assert steps_to_solve(run, 9.5) == math.inf


def test_the_median_of_runs_of_which_most_never_solved_is_never():
    assert estimate_of_median(np.array([1.0, 2.0] + [math.inf] * 18)).point == math.inf
    point, low, high = estimate_of_median(np.array([5.0] * 20))
    assert (point, low, high) == (5, 5, 5)


def test_every_part_of_a_training_counts_as_much_in_its_area_and_an_empty_one_as_the_one_before():
    # Of 20 parts of 10 steps, the first two have returns 1 and 3 (of two rows); the others saw no end.
    rows = [{"steps": 10, "episode_return": 1.0}, {"steps": 15, "episode_return": 2.0}]
    rows += [{"steps": 20, "episode_return": 4.0}, {"steps": 200}]
    assert area(rows, 200) == pytest.approx((1 + 19 * 3) / 20)
    assert area([{"steps": 200}], 200) is None


def test_seeds_are_those_that_nothing_was_chosen_on():
    assert len(SEEDS) == 20
    assert not {*SEEDS} & {*RATE_SEEDS}


# -- gradients --


@pytest.mark.parametrize("layout", [1, 8, 32])
def test_batches_hold_every_step_once_and_as_many_environments_as_they_say(layout):
    rows = batches(512, 256, layout)
    assert sorted(rows.ravel().tolist()) == list(range(512 * NUM_ENVS))
    assert all(len({*(batch % NUM_ENVS)}) == layout for batch in rows)


def test_estimators_worked_by_hand():
    # One episode of three steps: G = 1.75, 1.5, 1 with a discount of .5; delta = 1 + .5 * 4 - 2, 1 + .5 * 6 - 4, 1 - 6.
    found = estimates(steps_of([1.0, 1, 1], [False, False, True], np.float32([2, 4, 6])), 0.5)
    assert found["REINFORCE"].ravel().tolist() == [1.75, 1.5, 1]
    assert found["REINFORCE with a baseline"].ravel().tolist() == [-0.25, -2.5, -5]
    assert found["one-step actor-critic"].ravel().tolist() == [1, 0, -5]
    np.testing.assert_allclose(found["8 steps, lambda 1"], found["REINFORCE with a baseline"])


def test_the_mean_return_is_that_of_episodes_that_ended():
    assert mean_return(steps_of([1.0, 2, 4, 8], [False, True, True, False], np.zeros(4, np.float32))) == 3.5


def test_spread_and_cosine_by_hand():
    assert spread(np.array([[0.0, 1.0], [2.0, 1.0]])) == 2
    assert cosine(np.array([1.0, 0.0]), np.array([3.0, 4.0])) == pytest.approx(0.6)


# -- a rung from end to end --


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A rung that takes seconds, whose results lie in the test's folder."""
    contestants = (
        Contestant("A2C", {"hidden_sizes": (8,)}),
        Contestant("REINFORCE", {"hidden_sizes": (8,), "num_envs": 1, "rollout_length": 256, "critic": "none"}),
    )
    rung = rungs.Rung("Tiny", contestants, ("tiny",))
    tasks = {"tiny": Task("CartPole-v1", 2_000, 15.0)}
    monkeypatch.setattr(runs, "RESULTS", tmp_path)
    monkeypatch.setattr(runs, "RATES", (1e-3, 1e-2))
    monkeypatch.setattr(runs, "RATE_SEEDS", range(2))
    monkeypatch.setattr(rungs, "RUNGS", {"tiny": rung})
    for module in (ladder, ladder_page):
        monkeypatch.setattr(module, "TASKS", tasks)
    monkeypatch.setattr(ladder, "RATE_SEEDS", range(2))
    monkeypatch.setattr(ladder, "SEEDS", range(10, 12))
    monkeypatch.setattr(ladder_page, "SEEDS", range(10, 12))
    return rung


def test_a_rung_from_its_rates_to_its_table_and_figure(tiny, capsys):
    ladder.measure(ladder.rates(["tiny"]), jobs=1)
    wanted = ladder.runs(["tiny"], None)
    assert {(name, seed) for _, name, _, seed in wanted} == {(n, s) for n in ("A2C", "REINFORCE") for s in (10, 11)}
    first = dict([wanted.popitem()])
    ladder.measure(first, jobs=1)
    assert len(ladder.missing(ladder.runs(["tiny"], None))) == 3  # What is there is not made again.
    ladder.measure(ladder.runs(["tiny"], None), jobs=1)
    table = ladder_page.of_rung(tiny).splitlines()
    assert [row.split("|")[2].strip() for row in table[2:]] == ["A2C", "REINFORCE"]
    assert all("of 2" in row for row in table[2:])
    figure = ladder_page.figure_of(tiny)
    drawn = {line.get_label(): line.get_xydata() for line in figure.axes[0].get_lines()}
    plt.close(figure)
    evaluations = [run["return"] for run in runs.finished("tiny") if run["name"] == "A2C"]
    np.testing.assert_allclose(drawn["A2C"][:, 1], np.mean(evaluations, 0))


# -- the page --


def test_the_tables_of_the_page_are_those_of_the_committed_results():
    page = (DOCS / "ladder.md").read_text(encoding="utf-8")
    assert ladder_page.with_tables(page) == page


@pytest.mark.parametrize("name", ladder_page.FIGURES)
def test_figures_are_drawn_through_the_committed_results(name):
    figure = ladder_page.FIGURES[name]()
    with Image.open(DOCS / f"ladder_{name}.png") as picture:
        assert picture.text[ladder_page.NUMBERS] == ladder_page.digest(figure)
    plt.close(figure)


def test_the_page_shows_every_figure():
    page = (DOCS / "ladder.md").read_text(encoding="utf-8")
    assert all(f"(ladder_{name}.png)" in page for name in ladder_page.FIGURES)
