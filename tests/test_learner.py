"""The algorithm on environments with known answers, and what must not change its bits."""

import numpy as np
import pytest
from analytic import ChooseAndAim, ConstantReward, HitTheTarget, MatchTheCue, PayLater, SetTheDials

import a2c
from a2c.envs.make import kind_of
from a2c.evaluation import evaluate
from a2c.learner import Learner


def learned(env, updates, **settings):
    """A learner after some updates, and the last rollout's metrics."""
    chosen = {"num_envs": 8, "rollout_length": 8, "hidden_sizes": (16,), "learning_rate": 1e-2, **settings}
    config = a2c.Config("analytic", **chosen)
    envs = a2c.make_envs(env, config.num_envs, vectorization="local", seed=config.seed)
    learner = Learner(config, envs)
    for _ in range(updates):
        learner.update()
    envs.close()
    return learner


def mean_return(learner, env, greedy=True):
    return evaluate(learner.policy(), kind_of(env, {}, 1), episodes=20, greedy=greedy).mean


def value_of_the_only_state(learner):
    return float(learner.policy().value(np.ones((1, 1), np.float32))[0])


# -- values --


@pytest.mark.parametrize("gae_lambda", [0.0, 0.95, 1.0])
def test_under_a_time_limit_the_value_is_that_of_going_on_for_ever(gae_lambda):
    learner = learned(ConstantReward, 600, gamma=0.9, gae_lambda=gae_lambda)
    assert value_of_the_only_state(learner) == pytest.approx(1 / (1 - 0.9), rel=0.05)


def test_where_the_task_ends_the_value_is_what_is_left():
    learner = learned(lambda: ConstantReward(terminates=True), 600, gamma=0.9, gae_lambda=1.0, rollout_length=10)
    left = np.mean([(1 - 0.9**k) / (1 - 0.9) for k in range(1, 6)])
    assert value_of_the_only_state(learner) == pytest.approx(left, rel=0.05)
    assert left < 0.3 / (1 - 0.9)


def test_a_baseline_takes_a_time_limit_for_the_end():
    # The limit is after 10 steps; five of six steps of a rollout have seen it.
    learner = learned(lambda: ConstantReward(length=10), 600, gamma=0.9, critic="baseline", rollout_length=60)
    left = np.mean([(1 - 0.9**k) / (1 - 0.9) for k in range(1, 11)])
    assert value_of_the_only_state(learner) == pytest.approx(left, rel=0.05)


@pytest.mark.parametrize("critic", ["baseline", "none"])
def test_credits_an_action_for_what_was_observed_later(critic):
    # There is a critic of both choices alike; only what came later tells them apart.
    learner = learned(PayLater, 300, critic=critic, gamma=1.0, rollout_length=16)
    assert mean_return(learner, PayLater, greedy=False) > 0.9


def test_return_normalization_brings_values_to_order_one():
    learner = learned(lambda: ConstantReward(length=50), 300, gamma=0.99, normalize_returns=True)
    # Discounted returns of 0 to 40 have a deviation of about 11, so 1 / (1 - gamma) = 100 becomes about 9.
    assert 4 < value_of_the_only_state(learner) < 20


# -- policies --


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_learns_to_match_a_cue(optimizer, engine):
    learner = learned(MatchTheCue, 300, optimizer=optimizer, engine=engine)
    assert mean_return(learner, MatchTheCue) == 8


def test_learns_actions_that_are_numbered_from_elsewhere():
    def env():
        return MatchTheCue(start=-1)

    assert mean_return(learned(env, 300), env) == 8


@pytest.mark.parametrize("gae_lambda", [0.0, 1.0])
def test_credits_an_action_for_what_it_brings_later(gae_lambda):
    # With lambda = 0 the second state's value cannot tell the choices apart: only longer returns can.
    learner = learned(PayLater, 300, gae_lambda=gae_lambda, gamma=1.0)
    brought = mean_return(learner, PayLater, greedy=False)
    assert brought > 0.9 if gae_lambda == 1.0 else brought < 0.9


def test_learns_continuous_actions_in_the_units_of_their_box():
    learner = learned(HitTheTarget, 1500, learning_rate=3e-3, normalize_returns=True, gamma=0.5)
    # An untrained policy stays near the middle: about -8 * 2 * 3.4. Half a unit off in 8 is -4.
    assert mean_return(learner, HitTheTarget) > -4


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_learns_several_choices_from_a_dict_of_choices(engine):
    learner = learned(SetTheDials, 600, engine=engine, entropy_coef=0.05)
    assert mean_return(learner, SetTheDials) > 0.98 * 8


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_learns_a_choice_and_a_number_at_once(engine):
    learner = learned(ChooseAndAim, 800, engine=engine, learning_rate=5e-3, gamma=0.5)
    # Aiming at the middle always would bring 6; off by .2, the right aim brings 7.7.
    assert mean_return(learner, ChooseAndAim) > 7.6


@pytest.mark.parametrize(
    "settings",
    [
        {"normalize_observations": True},
        {"normalize_advantage": True},
        {"initialization": "xavier", "activation": "relu"},
        {"schedule": "linear", "total_steps": 64 * 300},
        {"schedule": "exponential", "decay_every_steps": 6400},
        {"hidden_sizes": (16, 16)},
        {"entropy_coef": 0.01},
        {"max_grad_norm": None},
        {"critic": "baseline", "rollout_length": 16},
        {"critic": "none", "rollout_length": 16},
    ],
    ids=str,
)
def test_learns_with_every_option(settings):
    assert mean_return(learned(MatchTheCue, 300, **settings), MatchTheCue) > 7.5


# -- bits --


@pytest.mark.parametrize("critic", ["baseline", "none"])
def test_without_bootstrap_threads_and_workers_do_not_change_the_bits(critic):
    alone = bits(num_workers=0, critic=critic, num_threads=1)
    assert bits(num_workers=2, critic=critic, num_threads=2) == alone


def bits(**settings):
    """Parameters after 200 updates, in an environment where workers matter."""
    placement = {name: settings.pop(name) for name in ("num_workers", "isolate_envs") if name in settings}
    config = a2c.Config("CartPole-v1", num_envs=6, rollout_length=5, hidden_sizes=(16,), **settings)
    envs = a2c.make_envs("CartPole-v1", 6, seed=config.seed, **placement)
    learner = Learner(config, envs)
    for _ in range(200):
        learner.update()
    envs.close()
    return {name: array.tobytes() for name, array in learner.state().items()}


@pytest.mark.parametrize(("engine", "normalized"), [("compiled", False), ("compiled", True), ("paddle", True)])
def test_local_and_workers_give_identical_bits_over_200_updates(engine, normalized):
    settings = {"engine": engine, "normalize_observations": normalized, "normalize_returns": normalized}
    alone = bits(num_workers=0, **settings)
    for placement in (
        {"num_workers": 1},
        {"num_workers": 2},
        {"num_workers": 3},
        {"num_workers": 2, "isolate_envs": True},
    ):
        assert bits(**placement, **settings) == alone


def test_another_seed_gives_another_run():
    assert bits(num_workers=0, seed=1)["actor.0.weight"] != bits(num_workers=0, seed=2)["actor.0.weight"]
