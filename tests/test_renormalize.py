"""Statistics of observations move from rollout to rollout; what the networks say does not."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import a2c
from a2c.engines import first_layers
from a2c.kernels.rollout import SETTLED, renormalize
from a2c.learner import Learner
from a2c.spaces import rows_of

RNG = np.random.default_rng(0)

ROLLOUT = {"num_envs": 64, "rollout_length": 100}
LEFT_ALONE = {"learning_rate": 1e-30, "critic_learning_rate": 1e-30, "natural_kl": 1e-30}


class Mixed(gymnasium.Env):
    """Numbers and a choice are seen: a first layer also has weights that are looked up."""

    observation_space = spaces.Dict({"numbers": spaces.Box(-np.inf, np.inf, (3,)), "season": spaces.Discrete(4)})
    action_space = spaces.Dict({"push": spaces.Box(-1, 1, (2,)), "gear": spaces.Discrete(3)})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def learner_on(env, vectorization="local", **settings):
    config = a2c.Config("none", **{"hidden_sizes": (16, 8), "normalize_observations": True, **ROLLOUT, **settings})
    return Learner(config, a2c.make_envs(env, config.num_envs, vectorization=vectorization, seed=0))


def said(learner, rows):
    """What both networks make of observations, unclipped."""
    policy = learner.policy()
    return np.column_stack([policy._network("actor", rows, None)[0], policy.value(rows)])


def mixed(numbers):
    """Observations of Mixed."""
    space = Mixed.observation_space
    return np.array(
        [rows_of(space, {"numbers": row.astype(np.float32), "season": k % 4}) for k, row in enumerate(numbers)]
    )


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("hidden_sizes", [(), (16,), (16, 8)], ids=str)
def test_networks_say_the_same_when_statistics_move(engine, hidden_sizes):
    learner = learner_on(Mixed, engine=engine, hidden_sizes=hidden_sizes)
    mean, std = np.array([1e3, -2e-3, 0.5]), np.array([30, 1e-3, 2.0])
    moments, observed = learner._books.observations, learner._rollout.observed
    moments.seen[0], moments.mean[...], moments.variance[...] = SETTLED, mean, std**2
    rows = mixed(mean + std * RNG.normal(size=(50, 3)))
    once = said(learner, rows)
    for _ in range(4):
        observed[...] = mean + std * (1 + 2 * RNG.normal(size=observed.shape))
        renormalize(learner._books, learner._rollout, learner._first_layers, learner._engine.theta)
    assert (moments.mean > mean + 0.1 * std).all()
    assert (moments.variance > 1.2 * std**2).all()
    np.testing.assert_allclose(said(learner, rows), once, rtol=1e-4, atol=1e-5)
    assert abs(once - once.mean(0)).max() > 1e-3  # They say something.


@pytest.mark.parametrize(
    ("settings", "vectorization"),
    [
        ({}, "compiled"),
        ({}, "local"),
        ({"actor_step": "natural"}, "compiled"),
        ({"actor_step": "natural"}, "local"),
        ({"engine": "paddle"}, "local"),
    ],
    ids=str,
)
def test_an_update_that_learns_nothing_changes_no_policy(settings, vectorization):
    learner = learner_on("CartPole-v1", vectorization, **settings, **LEFT_ALONE)
    theta = learner._engine.theta.copy()
    learner.update(3)  # Until statistics have settled, weights stay as they are.
    np.testing.assert_allclose(learner._engine.theta, theta, rtol=1e-6, atol=1e-9)
    moments = learner._books.observations
    moments.seen[0] = SETTLED
    moments.mean[...] += np.sqrt(moments.variance)  # From where they will go back.
    rows = (moments.mean + np.sqrt(moments.variance) * RNG.normal(size=(50, 4))).astype(np.float32)
    once, mean = said(learner, rows), moments.mean.copy()
    learner.update(8)
    assert (abs(moments.mean - mean) > 0.1 * np.sqrt(moments.variance)).all()
    assert not np.allclose(learner._engine.theta, theta, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(said(learner, rows), once, rtol=1e-4, atol=1e-5)


def test_a_number_that_begins_to_vary_is_seen_anew():
    learner = learner_on(Mixed)
    moments, observed = learner._books.observations, learner._rollout.observed
    moments.seen[0], moments.mean[...], moments.variance[...] = SETTLED, 0.0, (1.0, 1.0, 0.0)
    observed[...] = RNG.normal(size=observed.shape) * (1.2, 0.8, 1.0)
    before = learner._parameters()
    renormalize(learner._books, learner._rollout, learner._first_layers, learner._engine.theta)
    after = learner._parameters()
    for network in ("actor", "critic"):
        weight, once = after[f"{network}.0.weight"], before[f"{network}.0.weight"]
        assert (weight[:2] != once[:2]).all()
        np.testing.assert_array_equal(weight[2:], once[2:])  # That number's, and those of choices.
    assert moments.variance[2] > 0.02


def test_without_normalization_nothing_moves():
    learner = learner_on("CartPole-v1", "compiled", normalize_observations=False, **LEFT_ALONE)
    theta = learner._engine.theta.copy()
    learner.update(3)
    np.testing.assert_allclose(learner._engine.theta, theta, rtol=1e-6, atol=1e-9)
    assert learner._books.observations.seen[0] == 0


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("hidden_sizes", [(), (5,)], ids=str)
def test_first_layers_are_found_in_theta(engine, hidden_sizes):
    learner = learner_on(Mixed, engine=engine, hidden_sizes=hidden_sizes)
    found, layers = learner._engine, first_layers(learner._engine, learner._architecture)
    found.theta[...] = np.arange(len(found.theta))
    named = found.views(found.theta)
    for network, (start, row, column, bias, units) in zip(("actor", "critic"), layers, strict=True):
        weight = named[f"{network}.0.weight"]
        j, h = np.meshgrid(np.arange(weight.shape[0]), np.arange(units), indexing="ij")
        np.testing.assert_array_equal(weight, found.theta[start + j * row + h * column])
        np.testing.assert_array_equal(named[f"{network}.0.bias"], found.theta[bias : bias + units])
