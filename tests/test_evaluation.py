"""Evaluation: whole episodes, exactly as many as asked, on seeds of their own."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from analytic import ConstantReward, MatchTheCue

import a2c
from a2c.envs.make import kind_of
from a2c.evaluation import Evaluation, Evaluator, Layout, evaluate, in_words, shown_returns
from a2c.learner import Learner


@pytest.fixture(scope="module")
def policy():
    config = a2c.Config("analytic", num_envs=1, hidden_sizes=(4,), initialization="xavier")
    envs = a2c.make_envs(MatchTheCue, 1)
    learner = Learner(config, envs)
    envs.close()
    return learner.policy()


@pytest.mark.parametrize("episodes", [1, 5, 16, 17, 40])
def test_runs_as_many_whole_episodes_as_asked(policy, episodes):
    evaluation = evaluate(policy, kind_of(MatchTheCue, {}, 0), episodes, greedy=True)
    assert len(evaluation.returns) == episodes
    assert evaluation.lengths == [8] * episodes


def test_the_same_seed_gives_the_same_returns_and_another_index_others(policy):
    def returns(seed, **settings):
        return evaluate(policy, kind_of(MatchTheCue, {}, seed), 30, greedy=False, **settings).returns

    assert returns(seed=1) == returns(seed=1)
    assert returns(seed=1) != returns(seed=2)
    assert returns(seed=1) != returns(seed=1, index=1)


def test_sampling_differs_from_greed(policy):
    greedy, sampled = (evaluate(policy, kind_of(MatchTheCue, {}, 1), 30, greedy=g).returns for g in (True, False))
    assert greedy != sampled


def test_the_summary_says_what_the_returns_were(policy):
    summary = evaluate(policy, kind_of(MatchTheCue, {"length": 3}, 0), 20, greedy=False).summary()
    evaluation = evaluate(policy, kind_of(MatchTheCue, {"length": 3}, 0), 20, greedy=False)
    assert summary == {
        "mean": np.mean(evaluation.returns),
        "std": np.std(evaluation.returns),
        "min": min(evaluation.returns),
        "max": max(evaluation.returns),
        "mean_length": 3.0,
        "episodes": 20,
        "unfinished": 0,
        "greedy": False,
    }


def test_an_episode_that_does_not_end_is_given_up_and_counts_with_what_it_had(policy, monkeypatch):
    monkeypatch.setattr("a2c.evaluation.MOST_STEPS", 100)
    evaluation = evaluate(policy, kind_of(MatchTheCue, {"length": 1000}, 0), 3, greedy=True)
    assert (evaluation.lengths, evaluation.unfinished) == ([100] * 3, 3)
    assert in_words(evaluation.summary()).endswith("over 3 greedy episodes, 3 of them unfinished")


def test_environments_are_used_again_for_the_same_episodes(policy):
    made = []

    def make():
        made.append(1)
        return MatchTheCue()

    evaluator = Evaluator(kind_of(make, {}, 5), Layout(num_envs=4))
    results = [evaluator.evaluate(policy, 8, greedy=False, index=index) for index in (1, 0, 1)]
    evaluator.close()
    assert len(made) == 4
    assert results[0] == results[2] != results[1]
    assert results[0] == evaluate(policy, kind_of(MatchTheCue, {}, 5), 8, False, 1, layout=Layout(num_envs=4))


@pytest.mark.parametrize(
    ("total_steps", "episodes"), [(100, 10), (8 * 10 * 5 * 3, 30), (8 * 10 * 5 * 4 - 1, 30), (10**6, 100)]
)
def test_auto_evaluates_as_many_rounds_as_fit_in_a_fifth_of_the_run(policy, total_steps, episodes):
    evaluator = Evaluator(kind_of(MatchTheCue, {}, 0), Layout(num_envs=10))
    evaluation = evaluator.evaluate(policy, "auto", greedy=True, total_steps=total_steps)
    evaluator.close()
    assert (len(evaluation.returns), set(evaluation.lengths)) == (episodes, {8})


@pytest.mark.parametrize("num_envs", [1, 3, 10, 200])
def test_auto_evaluates_at_least_ten_episodes_and_about_a_hundred_at_most(policy, num_envs):
    evaluator = Evaluator(kind_of(MatchTheCue, {}, 0), Layout(num_envs=num_envs))
    few, many = (len(evaluator.evaluate(policy, "auto", True, total_steps=s).returns) for s in (1, 10**9))
    evaluator.close()
    assert few == {1: 10, 3: 12, 10: 10, 200: 100}[num_envs]
    assert many == 100


def test_what_is_shown_says_how_far_an_evaluation_has_come(policy):
    ended = []
    evaluator = Evaluator(kind_of(MatchTheCue, {}, 0), Layout(num_envs=2))
    evaluator.evaluate(policy, 5, greedy=True, show=ended.append)
    evaluator.close()
    assert ended == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.955, 0.948], ["0.9550", "0.9480"]),
        ([500.0, 0.0], ["500.0", "0.0"]),
        ([-165.23, 1.0], ["-165.2", "1.0"]),
        ([21.345], ["21.34"]),
        ([0.0], ["0.0"]),
        ([1e-5], ["0.000010"]),
        ([None, float("inf"), 2.0], ["not finite", "not finite", "2.000"]),
        ([1e30], ["1e+30"]),
    ],
    ids=str,
)
def test_returns_have_as_many_digits_as_tell_them_apart(values, shown):
    assert shown_returns(values) == shown


def test_an_evaluation_can_be_stopped_at_any_step(policy):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(policy, kind_of(MatchTheCue, {}, 0), 1, greedy=True, check=check)


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_an_environment_that_dies_or_hangs_in_a_worker_changes_nothing(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    policy = a2c.load(a2c.train("fragile:Walk-v0", **quick))
    expected = evaluate(policy, kind_of("fragile:Walk-v0", {}, 0), 3, greedy=False)
    for how in (signal.SIGSEGV, 0):
        (tombs := tmp_path / str(int(how))).mkdir()
        kwargs, events = {"tombs": str(tombs), "at": 20, "how": int(how)}, []
        worker = Layout(num_workers=1, isolate=True, env_timeout_seconds=1.0, note=events.extend)
        assert evaluate(policy, kind_of("fragile:Mortal-v0", kwargs, 0), 3, greedy=False, layout=worker) == expected
        assert [event.kind for event in events] == ["worker_restarts"]
    kwargs |= {"deaths": 100, "how": int(signal.SIGKILL)}
    with pytest.raises(
        a2c.WorkerError, match=r"3 workers were lost there, at environment 0, .*, during eval"
    ) as raised:
        evaluate(policy, kind_of("fragile:Mortal-v0", kwargs, 0), 3, greedy=False, layout=worker)
    assert len(raised.value.failed_episode.actions) == 20


def test_returns_that_are_not_finite_are_reported_as_null():
    summary = Evaluation([float("nan"), 1.0], [3, 3], True).summary()
    assert summary["mean"] is None
    assert "not finite" in in_words(summary)


def test_an_environment_with_other_spaces_is_refused(policy):
    with pytest.raises(a2c.UserError, match="must be the same"):
        evaluate(policy, kind_of(ConstantReward, {}, 0), 1, greedy=True)
