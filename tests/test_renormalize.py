"""Statistics of observations move from rollout to rollout; what the networks say does not."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import a2c
from a2c.engines import first_layers
from a2c.learner import Learner
from a2c.spaces import rows_of


class Wanders(gymnasium.Env):
    """Numbers whose mean and spread grow for as long as there is the environment; one begins to move late.

    A choice is seen beside them: a first layer also has weights that are looked up.
    """

    observation_space = spaces.Dict({"numbers": spaces.Box(-np.inf, np.inf, (3,)), "season": spaces.Discrete(4)})
    action_space = spaces.Dict({"push": spaces.Box(-1, 1, (2,)), "gear": spaces.Discrete(3)})

    def __init__(self):
        self._steps, self._episode = 0, 0

    def _see(self):
        self._steps += 1
        still = 0.0 if self._steps < 40 else float(self.np_random.normal())
        wide = 100 + self._steps * (1 + 0.3 * float(self.np_random.normal()))
        small = 1e-3 * float(self.np_random.normal()) - 1e-5 * self._steps
        return {"numbers": np.array([wide, small, still], np.float32), "season": self._steps % 4}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._episode = 0
        return self._see(), {}

    def step(self, action):
        self._episode += 1
        return self._see(), float(action["push"][0]), False, self._episode == 9, {}


LEFT_ALONE = {"learning_rate": 1e-30, "critic_learning_rate": 1e-30, "natural_kl": 1e-30}


def learner_on(env, vectorization="local", **settings):
    chosen = {"num_envs": 4, "rollout_length": 8, "hidden_sizes": (16, 8), "normalize_observations": True} | settings
    config = a2c.Config("none", **chosen)
    return Learner(config, a2c.make_envs(env, config.num_envs, vectorization=vectorization, seed=0))


def said(learner, rows):
    """What both networks make of observations."""
    policy = learner.policy()
    return np.column_stack([policy._network("actor", rows), policy.value(rows)])


def observations(learner):
    """Some, of about the size of those seen so far."""
    moments = learner._books.observations
    numbers = moments.mean + np.sqrt(moments.variance) * np.random.default_rng(0).normal(size=(50, len(moments.mean)))
    if isinstance(learner._envs.single_observation_space, spaces.Box):
        return numbers.astype(np.float32)
    space = learner._envs.single_observation_space
    return np.array(
        [rows_of(space, {"numbers": row.astype(np.float32), "season": k % 4}) for k, row in enumerate(numbers)]
    )


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("hidden_sizes", [(), (16,), (16, 8)], ids=str)
@pytest.mark.parametrize("actor_step", ["gradient", "natural"])
def test_networks_say_the_same_when_statistics_move(engine, hidden_sizes, actor_step):
    learner = learner_on(Wanders, engine=engine, hidden_sizes=hidden_sizes, actor_step=actor_step, **LEFT_ALONE)
    for _ in range(8):  # Until every number varies.
        learner.update()
    rows, before = observations(learner), learner._books.observations.mean.copy()
    once, theta = said(learner, rows), learner._engine.theta.copy()
    for _ in range(10):
        learner.update()
    assert (abs(learner._books.observations.mean - before)[:2] > 0.1 * abs(before)[:2]).all()
    assert not np.array_equal(theta, learner._engine.theta)
    np.testing.assert_allclose(said(learner, rows), once, rtol=2e-4, atol=2e-5)
    assert abs(once - once.mean(0)).max() > 1e-3  # They say something.


@pytest.mark.parametrize("vectorization", ["compiled", "local"])
def test_so_they_do_in_compiled_environments(vectorization):
    learner = learner_on("CartPole-v1", vectorization, **LEFT_ALONE)
    learner.update(3)
    rows, variance = observations(learner), learner._books.observations.variance.copy()
    once = said(learner, rows)
    learner.update(60)
    assert (abs(learner._books.observations.variance / variance - 1) > 0.01).all()
    np.testing.assert_allclose(said(learner, rows), once, rtol=2e-4, atol=2e-5)


def test_the_first_statistics_change_no_parameter_nor_does_a_number_that_begins_to_vary():
    learner = learner_on(Wanders, rollout_length=20, **LEFT_ALONE)
    theta = learner._engine.theta.copy()
    learner.update()
    np.testing.assert_allclose(learner._engine.theta, theta, rtol=1e-6, atol=1e-20)
    weights = learner._parameters()["actor.0.weight"]
    learner.update(2)  # The third number varies from 40 on.
    changed = learner._parameters()["actor.0.weight"]
    assert learner._books.observations.variance[2] > 0.1
    np.testing.assert_array_equal(changed[2], weights[2])
    np.testing.assert_array_equal(changed[3:], weights[3:])  # Those of choices.
    assert (changed[:2] != weights[:2]).all()


def test_without_normalization_nothing_moves():
    learner = learner_on(Wanders, normalize_observations=False, **LEFT_ALONE)
    theta = learner._engine.theta.copy()
    learner.update(5)
    np.testing.assert_allclose(learner._engine.theta, theta, rtol=1e-6, atol=1e-20)


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("hidden_sizes", [(), (5,)], ids=str)
def test_first_layers_are_found_in_theta(engine, hidden_sizes):
    found = learner_on(Wanders, engine=engine, hidden_sizes=hidden_sizes)._engine
    found.theta[...] = np.arange(len(found.theta))
    named = found.views(found.theta)
    for network, (start, row, column, bias, units) in zip(("actor", "critic"), first_layers(found), strict=True):
        weight = named[f"{network}.0.weight"]
        j, h = np.meshgrid(np.arange(weight.shape[0]), np.arange(units), indexing="ij")
        np.testing.assert_array_equal(weight, found.theta[start + j * row + h * column])
        np.testing.assert_array_equal(named[f"{network}.0.bias"], found.theta[bias : bias + units])
