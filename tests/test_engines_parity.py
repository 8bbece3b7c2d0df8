"""Both engines on the same rollouts: the same gradients, metrics and steps, up to rounding."""

import numpy as np
import pytest
from engine_cases import Case, distance
from generated import ACTIONS, OBSERVATIONS
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import a2c
from a2c.kernels.rollout import Rules, estimate
from a2c.learner import Learner
from a2c.returns import gae

CLOSE = 1e-5
"""Norm of the difference over norm, of gradients in float32."""

SPACES = {
    "2 choices": spaces.Discrete(2),
    "4 choices": spaces.Discrete(4),
    "5 choices": spaces.Discrete(5),
    "18 choices": spaces.Discrete(18),
    "1 action": spaces.Box(-1, 1, (1,), np.float32),
    "4 actions": spaces.Box(-1, 1, (4,), np.float32),
    "5 actions": spaces.Box(-1, 1, (5,), np.float32),
    "17 actions": spaces.Box(-1, 1, (17,), np.float32),
    "5 bits": spaces.MultiBinary(5),
    "choices and bits": spaces.Tuple([spaces.MultiDiscrete([3, 18]), spaces.MultiBinary(2)]),
    "all kinds": spaces.Dict(a=spaces.Discrete(5), b=spaces.Box(-1, 1, (3,)), c=spaces.MultiBinary(2)),
}


class Pair:
    """Both engines with the same parameters, and a rollout that both have acted in."""

    def __init__(self, space, shape=(4, 3), obs_size=5, ends=True, seed=0, observations=None, masked=False, **chosen):
        chosen = {"max_grad_norm": None, "entropy_coef": 0.3, "hidden_sizes": (7,), **chosen}
        observations = spaces.Box(-1, 1, (obs_size,)) if observations is None else observations
        self.cases = [
            Case(engine, observations, space, shape, masked, seed, **chosen) for engine in ("compiled", "paddle")
        ]
        ours, theirs = self.cases
        data, rng = ours.rollout, np.random.default_rng(seed)
        data.reward[...] = rng.normal(size=shape)
        if ours.architecture.memory_size:
            theirs.rollout.carry[...] = data.carry  # What is remembered of a step depends on which episodes end.
        elif ends:
            data.terminated[...], data.truncated[...] = rng.random((2, *shape)) < 0.15
        successors, pixels = (
            rng.permutation(array[1:].reshape(data.reward.size, array.shape[2])) for array in (data.inputs, data.pixels)
        )
        carry = rng.permutation(data.carry[1:].reshape(data.reward.size, -1))
        next_value = ours.engine.value(successors, pixels, carry).reshape(shape)
        data.next_value[...] = np.where(data.terminated, 0, next_value)
        data.advantage[...], data.returns[...] = gae(
            data.reward, data.value[:-1], data.next_value, data.terminated, data.truncated, 0.9, 0.8
        )
        # The compiled engine's advantages for both: nothing but the gradient may differ.
        for name in ("inputs", "pixels", "mask", "action"):
            np.testing.assert_array_equal(getattr(theirs.rollout, name), getattr(data, name))
        theirs.rollout.advantage[...], theirs.rollout.returns[...] = data.advantage, data.returns


def check(pair):
    ours, theirs = pair.cases
    for name in ("outputs", "value"):
        np.testing.assert_allclose(
            getattr(ours.rollout, name), getattr(theirs.rollout, name), rtol=1e-5, atol=1e-5, strict=True
        )
    (gradients, metrics), (their_gradients, their_metrics) = (case.gradient() for case in pair.cases)
    np.testing.assert_allclose(metrics, their_metrics, rtol=1e-4, atol=1e-5)
    assert distance(gradients, their_gradients) < CLOSE
    # What is small because its terms cancel out is as exact as they are: sums over rows, and G - V.
    least = 1e-1 * np.linalg.norm(np.concatenate([array.ravel() for array in their_gradients.values()]))
    data = ours.rollout
    value, returns = data.value[:-1], data.returns
    cancelled = (np.linalg.norm(value) + np.linalg.norm(returns)) / np.linalg.norm(value - returns)
    assert gradients.keys() == their_gradients.keys()
    for name, gradient in gradients.items():
        own = np.linalg.norm(their_gradients[name]) * (cancelled if name.startswith("critic") else 1)
        assert np.linalg.norm(gradient - their_gradients[name]) < CLOSE * max(own, least), name
    norms = [case.update().grad_norm for case in pair.cases]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden_sizes", [(), (7,), (16, 33), (33, 7, 8)], ids=str)
@pytest.mark.parametrize("space", SPACES)
def test_gradients_of_every_kind_of_network_agree(space, hidden_sizes, activation):
    check(Pair(SPACES[space], hidden_sizes=hidden_sizes, activation=activation))


@pytest.mark.parametrize("memory_size", [0, 16])
@pytest.mark.parametrize("critic", ["baseline", "none"])
@pytest.mark.parametrize("space", ["2 choices", "5 actions", "all kinds"])
def test_gradients_without_bootstrap_agree(space, critic, memory_size):
    pair = Pair(SPACES[space], (9, 5), hidden_sizes=(16, 7), critic=critic, memory_size=memory_size)
    rules = Rules(0, 0.9, 0.8, False, False, False, False, bootstraps=False, has_baseline=critic == "baseline")
    data, theirs = (case.rollout for case in pair.cases)
    estimate(rules, data, 0, 5)
    theirs.advantage[...], theirs.returns[...] = data.advantage, data.returns
    assert 0 < (data.advantage == 0).sum() < data.advantage.size  # Some episodes end, and some do not.
    check(pair)


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_a_step_without_an_observed_return_weighs_nothing(engine):
    case = Case(engine, spaces.Box(-1, 1, (5,)), SPACES["2 choices"], (4, 3), critic="baseline", max_grad_norm=None)
    data = case.rollout
    data.reward[...] = 1
    data.terminated[1] = True
    data.scaled_reward[...] = data.reward
    estimate(Rules(0, 0.9, 0.8, False, False, False, False, bootstraps=False), data, 0, 3)
    gradients, _ = case.gradient()
    data.action[2:] = 1 - data.action[2:]  # What was done after the last end of an episode does not matter.
    changed, _ = case.gradient()
    assert distance(changed, gradients) < 1e-6
    data.action[:2] = 1 - data.action[:2]
    changed, _ = case.gradient()
    assert distance(changed, gradients) > 1e-2


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_without_critic_there_is_no_gradient_of_it(engine):
    gradients, metrics = Case(engine, spaces.Box(-1, 1, (5,)), SPACES["2 choices"], (4, 3), critic="none").gradient()
    for name, gradient in gradients.items():
        assert (np.abs(gradient).max() == 0) == name.startswith("critic"), name
    assert metrics.loss == pytest.approx(metrics.policy_loss)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 1), (8, 64), (33, 40), (256, 1)], ids=str)
@pytest.mark.parametrize("space", ["2 choices", "5 actions", "all kinds"])
def test_gradients_of_rollouts_of_every_size_agree(space, shape, ends):
    check(Pair(SPACES[space], shape, obs_size=33, hidden_sizes=(33, 7), ends=ends))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("space", ["2 choices", "17 actions"])
def test_gradients_of_big_networks_agree(space, activation):
    check(Pair(SPACES[space], (8, 64), obs_size=100, hidden_sizes=(256, 256), activation=activation, num_threads=2))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("hidden_sizes", [(), (7,), (16, 33)], ids=str)
@settings(max_examples=40)
@given(
    observations=OBSERVATIONS,
    actions=ACTIONS,
    activation=st.sampled_from(("tanh", "relu")),
    shape=st.sampled_from(((4, 3), (1, 1), (3, 50))),
    seed=st.integers(0, 2**32 - 1),
)
def test_engines_agree_on_every_pair_of_spaces(masked, hidden_sizes, observations, actions, activation, shape, seed):
    chosen = {"hidden_sizes": hidden_sizes, "activation": activation}
    check(Pair(actions, shape, seed=seed, observations=observations, masked=masked, **chosen))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("hidden_sizes", [(), (7,), (16, 33)], ids=str)
@settings(max_examples=15)
@given(observations=OBSERVATIONS, actions=ACTIONS, seed=st.integers(0, 2**32 - 1))
def test_engines_agree_on_the_log_probability_and_entropy_of_every_step(
    masked, hidden_sizes, observations, actions, seed
):
    pair = Pair(actions, (2, 2), seed=seed, observations=observations, masked=masked, hidden_sizes=hidden_sizes)
    means = []
    for at in np.ndindex(2, 2):
        for case in pair.cases:  # The policy's loss is then the log-probability of one step, over four.
            case.rollout.advantage[...] = 0
            case.rollout.advantage[at] = -4
        (_, ours), (_, theirs) = (case.gradient() for case in pair.cases)
        assert ours.policy_loss == pytest.approx(theirs.policy_loss, rel=CLOSE, abs=CLOSE)
        assert ours.entropy == pytest.approx(theirs.entropy, rel=CLOSE, abs=CLOSE)
        means.append(ours.policy_loss)
    for case in pair.cases:
        case.rollout.advantage[...] = -1
        assert case.gradient()[1].policy_loss == pytest.approx(np.mean(means), rel=1e-4, abs=1e-4)


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


@pytest.mark.parametrize("critic", ["baseline", "none"])
def test_50_updates_without_bootstrap_lead_to_the_same_parameters(critic):
    settings = {"critic": critic, "rollout_length": 50, "normalize_returns": True}
    (before, ours, rows), (_, theirs, their_rows) = (
        trained(engine, "CartPole-v1", **settings) for engine in ("compiled", "paddle")
    )
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=0, atol=1e-4)
        is_trained = critic == "baseline" or not name.startswith("critic")
        assert np.array_equal(array, before[name]) != is_trained, name
    np.testing.assert_allclose(rows, their_rows, rtol=1e-3, atol=1e-2)


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
