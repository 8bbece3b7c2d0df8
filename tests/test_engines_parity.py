"""Both engines on the same rollouts: the same gradients, metrics and steps, up to rounding."""

import gymnasium
import numpy as np
import pytest
from a2c.distributions import distribution_for
from a2c.mlp import initial_parameters

import a2c
from a2c.engines import choose_engine
from a2c.learner import Learner
from a2c.policy import architecture_for
from a2c.returns import gae
from a2c.rollout import Rollout

CLOSE = 1e-5
"""Norm of the difference over norm, of gradients in float32."""

SPACES = {
    "2 choices": gymnasium.spaces.Discrete(2),
    "4 choices": gymnasium.spaces.Discrete(4),
    "5 choices": gymnasium.spaces.Discrete(5),
    "18 choices": gymnasium.spaces.Discrete(18),
    "1 action": gymnasium.spaces.Box(-1, 1, (1,), np.float32),
    "4 actions": gymnasium.spaces.Box(-1, 1, (4,), np.float32),
    "5 actions": gymnasium.spaces.Box(-1, 1, (5,), np.float32),
    "17 actions": gymnasium.spaces.Box(-1, 1, (17,), np.float32),
}


class Pair:
    """Both engines with the same parameters, and a rollout that both have acted in."""

    def __init__(self, space, shape=(4, 3), obs_size=5, ends=True, seed=0, **settings):
        length, num_envs = shape
        self.settings = {
            "max_grad_norm": None,
            "entropy_coef": 0.3,
            "adam_beta1": 0.0,
            "hidden_sizes": (7,),
            **settings,
        }
        self.configs = [
            a2c.Config("none", engine=name, num_envs=num_envs, rollout_length=length, **self.settings)
            for name in ("compiled", "paddle")
        ]
        config, self.distribution = self.configs[0], distribution_for(space)
        self.architecture = architecture_for((obs_size,), config.hidden_sizes, config.activation, self.distribution)
        initial = initial_parameters(self.architecture, "xavier", -0.5, seed)
        rng = np.random.default_rng(seed)
        for name, array in initial.items():
            if name.endswith("bias"):
                array[...] = rng.normal(size=array.shape) / 2
        self.engines = [
            choose_engine(config, self.architecture, self.distribution, initial)[0] for config in self.configs
        ]
        obs = rng.normal(size=(length, num_envs, obs_size)).astype(np.float32)
        noise = self.distribution.draw_noise(rng, shape)
        reward = rng.normal(size=shape)
        terminated, truncated = (rng.random((2, *shape)) < 0.15) if ends else np.zeros((2, *shape), bool)
        successors = rng.normal(size=obs.shape).astype(np.float32).reshape(-1, obs_size)
        self.acted = [self.act(engine, obs, noise) for engine in self.engines]
        # The compiled engine's actions and advantages for both: nothing but the update may differ.
        action, value = self.acted[0]
        next_value = np.where(terminated, 0, self.engines[0].value(successors).reshape(shape)).astype(np.float32)
        self.rollouts = [
            Rollout(obs, action, reward, terminated, truncated, own_value, next_value) for _, own_value in self.acted
        ]
        self.advantage, self.returns = gae(reward, value, next_value, terminated, truncated, 0.9, 0.8)

    def act(self, engine, obs, noise):
        acted = [engine.act(obs[t], noise[t], t) for t in range(len(obs))]
        return tuple(np.stack(parts) for parts in zip(*acted, strict=True))

    def update(self, rate=1e-3):
        """Metrics of both engines."""
        return [
            engine.update(rollout, self.advantage, self.returns, rate)
            for engine, rollout in zip(self.engines, self.rollouts, strict=True)
        ]

    def gradients(self):
        """Of both engines, by parameter: with beta1 = 0 it is the first moment itself."""
        states = [engine.state() for engine in self.engines]
        return [{name: state[f"optimizer.moment1.{name}"] for name in self.architecture.shapes()} for state in states]


def distance(a, b):
    """Relative, of arrays or of all arrays of two dictionaries."""
    if isinstance(a, dict):
        a, b = (np.concatenate([array.ravel() for array in arrays.values()]) for arrays in (a, b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)


def check(pair):
    (action, value), (their_action, their_value) = pair.acted
    if action.dtype == np.int64:
        np.testing.assert_array_equal(action, their_action, strict=True)
    else:
        np.testing.assert_allclose(action, their_action, rtol=1e-5, atol=1e-5, strict=True)
    np.testing.assert_allclose(value, their_value, rtol=1e-5, atol=1e-5, strict=True)
    ours, theirs = pair.update()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    gradients, their_gradients = pair.gradients()
    assert distance(gradients, their_gradients) < CLOSE
    for name, gradient in gradients.items():
        assert distance(gradient, their_gradients[name]) < CLOSE, name


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden_sizes", [(), (7,), (16, 33), (33, 7, 8)], ids=str)
@pytest.mark.parametrize("space", SPACES)
def test_gradients_of_every_kind_of_network_agree(space, hidden_sizes, activation):
    check(Pair(SPACES[space], hidden_sizes=hidden_sizes, activation=activation))


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 1), (8, 64), (33, 40), (256, 1)], ids=str)
@pytest.mark.parametrize("space", ["2 choices", "5 actions"])
def test_gradients_of_rollouts_of_every_size_agree(space, shape, ends):
    check(Pair(SPACES[space], shape, obs_size=33, hidden_sizes=(33, 7), ends=ends))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("space", ["2 choices", "17 actions"])
def test_gradients_of_big_networks_agree(space, activation):
    check(Pair(SPACES[space], (8, 64), obs_size=100, hidden_sizes=(256, 256), activation=activation, num_threads=2))


# -- whole training --


def trained(engine, env_id, **settings):
    """Parameters before and after 50 updates, and what each update said of itself."""
    config = a2c.Config(env_id, engine=engine, **settings)
    envs = a2c.make_envs(env_id, config.num_envs, vectorization="local", seed=config.seed)
    learner = Learner(config, envs)
    before = learner.policy().parameters
    rows = learner.update(50)
    envs.close()
    return before, learner.policy().parameters, rows


@pytest.mark.parametrize("normalizes", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_50_updates_from_the_same_seed_lead_to_the_same_parameters(env_id, optimizer, normalizes):
    settings = {"optimizer": optimizer, "normalize_observations": normalizes, "normalize_returns": normalizes}
    (before, ours, rows), (same_before, theirs, their_rows) = (
        trained(engine, env_id, **settings) for engine in ("compiled", "paddle")
    )
    for name, array in ours.items():
        np.testing.assert_array_equal(before[name], same_before[name])
        np.testing.assert_allclose(array, theirs[name], rtol=0, atol=1e-4)
    assert max(np.abs(ours[name] - before[name]).max() for name in ours) > 1e-2
    # Losses of Pendulum are hundreds to thousands, and returns are sums over 200 steps.
    np.testing.assert_allclose(rows, their_rows, rtol=1e-3, atol=1e-2)
