"""Evaluation: whole episodes, exactly as many as asked, on seeds of their own."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from analytic import ConstantReward, MatchTheCue

import a2c
from a2c.evaluation import Evaluation, evaluate, in_words
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
    evaluation = evaluate(policy, MatchTheCue, {}, episodes, greedy=True, seed=0)
    assert len(evaluation.returns) == episodes
    assert evaluation.lengths == [8] * episodes


def test_the_same_seed_gives_the_same_returns_and_another_index_others(policy):
    def returns(**settings):
        return evaluate(policy, MatchTheCue, {}, 30, greedy=False, **settings).returns

    assert returns(seed=1) == returns(seed=1)
    assert returns(seed=1) != returns(seed=2)
    assert returns(seed=1) != returns(seed=1, index=1)


def test_sampling_differs_from_greed(policy):
    greedy, sampled = (evaluate(policy, MatchTheCue, {}, 30, greedy=g, seed=1).returns for g in (True, False))
    assert greedy != sampled


def test_the_summary_says_what_the_returns_were(policy):
    summary = evaluate(policy, MatchTheCue, {"length": 3}, 20, greedy=False, seed=0).summary()
    evaluation = evaluate(policy, MatchTheCue, {"length": 3}, 20, greedy=False, seed=0)
    assert summary == {
        "mean": np.mean(evaluation.returns),
        "std": np.std(evaluation.returns),
        "min": min(evaluation.returns),
        "max": max(evaluation.returns),
        "mean_length": 3.0,
        "episodes": 20,
        "greedy": False,
    }


def test_an_episode_that_does_not_end_is_given_up(policy, monkeypatch):
    monkeypatch.setattr("a2c.evaluation._MOST_STEPS", 100)
    with pytest.raises(a2c.UserError, match=r"an episode of MatchTheCue has not ended after 100 steps"):
        evaluate(policy, MatchTheCue, {"length": 1000}, 1, greedy=True, seed=0)


def test_an_evaluation_can_be_stopped_at_any_step(policy):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(policy, MatchTheCue, {}, 1, greedy=True, seed=0, check=check)


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_an_environment_that_dies_or_hangs_in_a_worker_changes_nothing(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    policy = a2c.load(a2c.train("fragile:Walk-v0", **quick))
    expected = evaluate(policy, "fragile:Walk-v0", {}, 3, greedy=False, seed=0)
    for how in (signal.SIGSEGV, 0):
        (tombs := tmp_path / str(int(how))).mkdir()
        kwargs, events = {"tombs": str(tombs), "at": 20, "how": int(how)}, []
        worker = {"in_worker": True, "env_timeout_seconds": 1.0, "note": events.extend}
        assert evaluate(policy, "fragile:Mortal-v0", kwargs, 3, greedy=False, seed=0, **worker) == expected
        assert [event.kind for event in events] == ["worker_restarts"]
    kwargs |= {"deaths": 100, "how": int(signal.SIGKILL)}
    with pytest.raises(
        a2c.WorkerError, match=r"3 workers were lost there, at environment 0, .*, during eval"
    ) as raised:
        evaluate(policy, "fragile:Mortal-v0", kwargs, 3, greedy=False, seed=0, **worker)
    assert len(raised.value.failure.actions) == 20


def test_returns_that_are_not_finite_are_reported_as_null():
    summary = Evaluation([float("nan"), 1.0], [3, 3], True).summary()
    assert summary["mean"] is None
    assert "not finite" in in_words(summary)


def test_an_environment_with_other_spaces_is_refused(policy):
    with pytest.raises(a2c.UserError, match="must be the same"):
        evaluate(policy, ConstantReward, {}, 1, greedy=True, seed=0)
