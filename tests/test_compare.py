"""Two groups of runs: statistics as rliable's, what is said of them, and what cannot be compared."""

import json
import re

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from a2c.cli import main
from a2c.errors import UserError
from a2c.presets import configure, origins
from a2c.report import statistics
from a2c.report.comparison import compared, percent
from a2c.run.folder import Run

OURS = np.array(
    [
        [102.515, 97.358], [112.808, 102.098], [89.287, 107.232], [126.08, 118.942], [85.925, 74.692],
        [87.535, 100.827], [53.499, 95.624],
    ]
)  # fmt: skip
THEIRS = np.array([[116.912, 126.432], [116.609, 83.937], [128.107, 118.927], [99.261, 121.622], [117.291, 115.883]])
"""Those of benchmarks/peers/rliable_figures.py, which prints what is compared with here."""

PAIRS = [(OURS[:, task], THEIRS[:, task]) for task in range(2)]


@pytest.mark.parametrize(
    ("task", "means", "bounds", "improvement"),
    [
        (0, (95.614, 116.93733333333334), (76.90854999999999, 108.99646500000001), 0.17142857142857143),
        (1, (100.62780000000001, 118.81066666666668), (90.83523, 108.569915), 0.22857142857142856),
    ],
)
def test_points_and_intervals_are_those_of_rliable(task, means, bounds, improvement):
    ours, theirs = PAIRS[task]
    np.testing.assert_allclose([statistics.interquartile_mean(one) for one in (ours, theirs)], means, rtol=1e-12)
    assert statistics.probability_of_improvement(ours, theirs) == pytest.approx(improvement, abs=1e-12)
    drawn = np.random.RandomState(0)  # What rliable draws with.
    values = statistics.interquartile_mean(np.array([ours[drawn.choice(7, (7, 1))[:, 0]] for _ in range(200)]))
    np.testing.assert_allclose(statistics.interval(values), bounds, rtol=1e-12)


SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=8).map(lambda values: np.array(values, np.float64))


@settings(max_examples=60)
@given(ours=SCORES, theirs=SCORES)
def test_the_probability_of_improvement_is_mann_and_whitneys(ours, theirs):
    expected = scipy.stats.mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
    assert statistics.probability_of_improvement(ours, theirs) == pytest.approx(expected, abs=1e-12)
    assert statistics.probability_of_improvement(theirs, ours) == pytest.approx(1 - expected, abs=1e-12)


def test_an_interval_of_improvement_is_that_of_runs_drawn_again_one_environment_after_another():
    found = statistics.estimate_of_improvement(PAIRS, np.random.default_rng(0))
    rng, values = np.random.default_rng(0), 0.0
    for pair in PAIRS:
        ours, theirs = (one[statistics.resamples(len(one), statistics.RESAMPLES, rng)] for one in pair)
        each = [statistics.probability_of_improvement(a, b) for a, b in zip(ours, theirs, strict=True)]
        values = values + np.array(each) / 2
    np.testing.assert_allclose(found, [0.2, *statistics.interval(values)], atol=1e-12)


def test_an_interval_holds_what_it_is_of_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        ours, theirs = rng.normal(1, 1, 12), rng.normal(0, 1, 12)
        low, high = statistics.estimate_of_difference(ours, theirs, rng)[1:]
        held += low <= 1 <= high
    assert 170 <= held <= 200  # 190 expected; percentile intervals of a dozen are somewhat narrow.


@pytest.mark.parametrize("sizes", [(3, 3), (4, 4), (5, 6)])
def test_chance_is_that_of_the_exact_test(sizes):
    rng = np.random.default_rng(0)
    for shift in (0.0, 1.0, 3.0):
        ours, theirs = rng.normal(shift, 1, sizes[0]), rng.normal(0, 1, sizes[1])
        expected = scipy.stats.mannwhitneyu(ours, theirs, method="exact").pvalue
        assert statistics.chance_of_as_much([(ours, theirs)], rng) == pytest.approx(expected, abs=0.015)


@pytest.fixture
def made(tmp_path):
    """Makes the folder of a finished run that reached something, without training it."""

    def make(score, env_id="CartPole-v1", summary=None, **settings):
        config = configure(env_id, "none", {"run_dir": str(tmp_path / "runs"), **settings})
        run = Run.create(config, origins(config, "none"), False)
        ends = {"mean": score}
        values = {"steps": config.total_steps, "stopped_by": None, "evaluation": ends, "final_evaluation": ends}
        (run.path / "summary.json").write_text(json.dumps(values | (summary or {})))
        return run

    return make


def test_a_group_that_is_better_is_called_so_and_the_settings_that_differ_are_named(made):
    better = [made(score, learning_rate=0.1) for score in (9.0, 10.0, 11.0, 12.0, 13.0)]
    worse = [made(score, learning_rate=0.01) for score in (1.0, 2.0, 3.0, 4.0, 9.5)]
    for groups, name in ((better, worse), "A"), ((worse, better), "B"):
        found = compared(groups)
        assert found.is_sure
        assert found.to_json()["better"] == name
        assert found.verdict().startswith(f"{name} is better: a run of {name} ends above one of ")
        assert "with probability 0.96 (" in found.verdict()
    assert found.settings == {"learning_rate": ("0.01", "0.1")}
    (environment,) = found.environments.values()
    assert environment.difference.point == pytest.approx(3.0 - 11.0)


def test_what_cannot_be_told_is_said(made):
    alike = [made(score) for score in (1.0, 2.0, 3.0, 4.0)], [made(score) for score in (1.5, 2.5, 3.5, 0.5)]
    assert compared(alike).verdict().startswith("These runs do not show which is better: ")
    assert compared(alike).to_json()["better"] is None
    few = [made(score) for score in (1.0, 2.0, 3.0)], [made(score) for score in (4.0, 5.0, 6.0)]
    assert compared(few).verdict().startswith("These runs are too few to tell: all of B's end above all of A's, but ")
    same = [made(5.0)], [made(5.0)]
    assert (
        "probability 0.50 (0.50 to 0.50), and chance alone does as much in 100 % of cases." in compared(same).verdict()
    )
    assert compared(same).chance == 1


@given(st.floats(0, 1))
def test_a_chance_is_printed_as_a_person_would_write_it_and_never_rounded_to_never_or_always(chance):
    bound, number = re.fullmatch(r"(less than |more than |)(\d{1,3}(?:\.\d{1,3})?) %", percent(chance)).groups()
    if bound:
        assert (chance < float(number) / 100) == (bound == "less than ")
    else:
        assert float(number) / 100 == pytest.approx(chance, abs=0.005, rel=0.06)
        assert (0 < float(number) < 100) or chance == 1


@pytest.mark.parametrize(
    ("chance", "text"),
    [
        (1 / 10_001, "less than 0.01 %"),
        (0.0001, "0.01 %"),
        (0.0046, "0.46 %"),
        (0.055, "5.5 %"),
        (0.0999, "10 %"),
        (0.69, "69 %"),
        (0.9951, "99.5 %"),
        (0.9995, "more than 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_chances_as_texts(chance, text):
    assert percent(chance) == text


def test_several_environments_count_alike_whatever_their_returns(made):
    ours = [
        made(score, env_id)
        for env_id, scores in {"CartPole-v1": (5, 6, 7), "Acrobot-v1": (-90, -91)}.items()
        for score in scores
    ]
    theirs = [
        made(score, env_id)
        for env_id, scores in {"Acrobot-v1": (-80, -81), "CartPole-v1": (1, 2, 3)}.items()
        for score in scores
    ]
    found = compared((ours, theirs))
    assert found.improvement.point == 0.5
    assert list(found.environments) == ["CartPole-v1", "Acrobot-v1"]
    assert [one.improvement.point for one in found.environments.values()] == [1, 0]


def test_the_same_runs_give_the_same_figures(made):
    groups = [made(score) for score in (1.0, 5.0, 3.0)], [made(score) for score in (2.0, 2.5, 9.0, 1.0)]
    assert compared(groups).to_json() == compared(groups).to_json()


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        ({"steps": 1}, "has not ended; a2c resume .* continues it"),
        ({"stopped_by": "SIGINT"}, "has not ended"),
        ({"final_evaluation": None}, "no evaluation of its final policy: it was trained with final_eval_episodes 0"),
        ({"final_evaluation": 5}, "has None for a mean return; it must be a number"),
        ({"final_evaluation": {"mean": "high"}}, "has 'high' for a mean return"),
        ({"final_evaluation": {"mean": float("nan")}}, "has nan for a mean return"),
    ],
)
def test_a_run_that_has_no_score_is_named(made, summary, message):
    with pytest.raises(UserError, match=message):
        compared(([made(1.0)], [made(1.0, summary=summary)]))


def test_groups_must_share_environments_and_no_run(made):
    run = made(1.0)
    with pytest.raises(UserError, match="is in both groups; a run must be in one"):
        compared(([run], [made(1.0), run]))
    with pytest.raises(UserError, match="only B has runs on Acrobot-v1; both groups must have the same environments"):
        compared(([run], [made(1.0), made(1.0, "Acrobot-v1")]))


def test_the_command_prints_a_table_and_a_verdict_or_one_json_object(made, capsys):
    groups = [[str(made(score, gamma=g).path) for score in (1, 2, 3, 4)] for g in (0.9, 0.99)]
    assert main(["compare", *groups[0], "--", *groups[1]]) == 0
    out = capsys.readouterr().out
    assert "CartPole-v1, final policies\n" in out
    assert "  gamma: 0.9 (A), 0.99 (B)\n" in out
    assert max(map(len, out.splitlines())) <= 80
    assert main(["compare", *groups[0], "--", *groups[1], "--which", "best", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["which"] == "best"
    assert found["environments"]["CartPole-v1"]["A"]["scores"] == [1, 2, 3, 4]
    assert found["settings"] == {"gamma": {"A": "0.9", "B": "0.99"}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("RUN RUN", "compare got 1 group of runs; it must be two, with -- between them"),
        ("", "compare got 1 group of runs; it must be two"),
        ("RUN -- RUN -- RUN", "compare got 3 groups of runs; it must be two"),
        ("-- RUN", "compare got no run for A; it takes A... -- B..."),
        ("RUN --", "compare got no run for B; it takes A... -- B..."),
        ("nowhere -- RUN", "there is no run folder nowhere"),
    ],
)
def test_what_are_no_two_groups_gets_one_sentence(made, capsys, words, message):
    path = str(made(1.0).path)
    assert main(["compare", *(path if word == "RUN" else word for word in words.split())]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
