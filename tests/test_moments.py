"""Running statistics: of observations, and of returns."""

import numpy as np
import pytest
from gymnasium import spaces

from a2c.kernels.rollout import Books, Rules, see, settle
from a2c.kernels.statistics import merge_rows
from a2c.model.architecture import architecture_for
from a2c.model.inputs import inputs_of, normalize
from a2c.moments import Moments
from a2c.rollout import rollout_for

RNG = np.random.default_rng(0)


def update(moments, data):
    """Takes a batch [B, D] into statistics."""
    merge_rows(data, moments.seen, moments.mean, moments.variance)


@pytest.fixture(params=["NumPy", "machine code"])
def seen(request):
    """What networks see of data [B, D], by the policy and by training."""

    def by_kernel(data, moments):
        inputs = np.full((len(data), data.shape[1] + 1), 9, np.float32)
        see(True, moments, data, inputs, 0, len(data))
        assert (inputs[:, -1] == 9).all()
        return inputs[:, :-1]

    return normalize if request.param == "NumPy" else by_kernel


def test_running_moments_equal_those_of_everything_at_once():
    data = RNG.normal(1e4, 3, size=(1000, 2))
    moments = Moments.of(2)
    for batch in np.split(data, [1, 10, 500]):
        update(moments, batch)
    assert moments.seen.tolist() == [1000]
    np.testing.assert_allclose(moments.mean, data.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, data.var(0), rtol=1e-9)


def test_normalized_observations_have_mean_zero_and_deviation_one_and_are_clipped(seen):
    data = RNG.normal(5, 2, size=(10_000, 3))
    moments = Moments.of(3)
    update(moments, data)
    inputs = seen(data, moments)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(inputs.std(0), 1, atol=1e-3)
    assert seen(np.full((1, 3), 1e9), moments).tolist() == [[10, 10, 10]]
    assert seen(np.full((1, 3), -1e9), moments).tolist() == [[-10, -10, -10]]


def test_an_observation_that_never_changes_becomes_zero(seen):
    moments = Moments.of(1)
    update(moments, np.full((100, 1), 7.0))
    assert seen(np.full((1, 1), 7.0), moments).tolist() == [[0.0]]


def test_large_observations_that_differ_little_stay_different(seen):
    data = 1.7e9 + 0.01 * np.arange(1000.0)[:, None]
    moments = Moments.of(1)
    update(moments, data)
    assert seen(data, moments).std() == pytest.approx(1, abs=1e-3)


def test_a_policy_normalises_as_training_does_to_the_bit():
    moments = Moments.of(4)
    update(moments, RNG.normal([0, 5, -1e6, 1e-9], [1, 2, 1e-3, 1e-12], size=(100, 4)))
    data = RNG.normal([0, 5, -1e6, 1e-9], [1, 2, 1e-3, 1e-12], size=(1000, 4))
    inputs = np.zeros((1000, 4), np.float32)
    see(True, moments, data, inputs, 0, 1000)
    np.testing.assert_array_equal(normalize(data, moments), inputs)


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": np.zeros(3)},
        {"variance": np.ones((3, 1))},
        {"mean": np.zeros(2, np.float32)},
        {"mean": np.array([0, np.nan])},
        {"variance": np.array([1.0, -1.0])},
        {"count": np.zeros(2)},
        {"count": np.zeros(1, np.int64)},
    ],
    ids=str,
)
def test_statistics_that_cannot_be_are_refused(damage):
    moments = Moments.of(2)
    before = moments.state()
    with pytest.raises(ValueError, match=r"mean|variance|count"):
        moments.restore(moments.state() | damage)
    for name, array in moments.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_statistics_of_another_shape_but_as_many_numbers_are_taken():
    """0.3 and before kept those of an image in its shape."""
    moments = Moments.of(4)
    moments.restore({"count": np.ones(()), "mean": np.arange(4.0).reshape(2, 2), "variance": np.ones((2, 2))})
    assert (moments.seen.tolist(), moments.mean.tolist()) == ([1], [0, 1, 2, 3])


def test_statistics_are_saved_and_restored():
    first, second = Moments.of(2), Moments.of(2)
    update(first, RNG.normal(size=(10, 2)))
    state = first.state()
    second.restore(state)
    batch = RNG.normal(size=(4, 2))
    np.testing.assert_array_equal(normalize(batch, first), normalize(batch, second))
    update(first, batch), update(second, batch)
    np.testing.assert_array_equal(normalize(batch, first), normalize(batch, second))
    assert state["count"].tolist() == [10]  # a copy


def test_plain_observations_are_only_converted():
    architecture = architecture_for(spaces.Box(-1, 300, (2,), np.int16), spaces.Discrete(2), (), "tanh", False)
    inputs, pixels = inputs_of(architecture, np.array([[3, 255]], np.int16), None)
    assert pixels.shape == (1, 0)
    assert (inputs.dtype, inputs.tolist()) == (np.float32, [[3.0, 255.0]])
    kept = np.zeros((1, 2), np.float32)
    see(False, Moments.of(2), np.array([[3.0, 255.0]]), kept, 0, 1)
    assert kept.tolist() == [[3.0, 255.0]]


# -- returns --


class Returns:
    """`settle` on rewards [T, N], and what it remembers."""

    def __init__(self, num_envs, gamma, normalizes=True):
        self._num_envs, self._normalizes = num_envs, normalizes
        self._architecture = architecture_for(spaces.Box(-1, 1, (1,)), spaces.Discrete(2), (), "tanh", False)
        self._rules = Rules(0, gamma, 1.0, False, False, False, normalizes)
        self.books = Books(
            Moments.of(1), Moments.of(1), np.zeros(num_envs), np.zeros(num_envs), np.zeros(num_envs, np.int64)
        )

    def __call__(self, reward, terminated, truncated):
        rollout = rollout_for(self._architecture, len(reward), self._num_envs, 0, self._normalizes)
        rollout.reward[...], rollout.terminated[...], rollout.truncated[...] = reward, terminated, truncated
        settle(self._rules, self.books, rollout)
        np.testing.assert_array_equal(rollout.reward, reward)  # as the environment gave it
        self.rollout = rollout
        return rollout.scaled_reward

    def state(self):
        return {"running": self.books.running.copy(), **self.books.scaled.state()}

    def restore(self, state):
        self.books.running[...] = state["running"]
        self.books.scaled.restore(state)


@pytest.mark.parametrize("truncates", [False, True])
def test_rewards_are_divided_by_the_deviation_of_the_discounted_return(truncates):
    # One environment, gamma 0.5: R = 1, 2.5, then (an end) 4, 2 + ... as below.
    reward = np.array([[1.0], [2.0], [4.0], [0.0]])
    end, no = np.array([[False], [True], [False], [False]]), np.zeros((4, 1), bool)
    discounted = [1.0, 2.0 + 0.5 * 1.0, 4.0, 0.0 + 0.5 * 4.0]
    terminated, truncated = (no, end) if truncates else (end, no)
    scaled = Returns(num_envs=1, gamma=0.5)(reward, terminated, truncated)
    np.testing.assert_allclose(scaled, reward / np.std(discounted), rtol=1e-6)


def random_rewards():
    """Rewards, terminations and truncations, [6, 2]."""
    return RNG.normal(size=(6, 2)), *(RNG.random((2, 6, 2)) < 0.2)


def test_returns_go_on_from_rollout_to_rollout():
    reward, terminated, truncated = random_rewards()
    whole, halves = (Returns(2, 0.9) for _ in range(2))
    whole(reward, terminated, truncated)
    for half in (slice(3), slice(3, None)):
        halves(reward[half], terminated[half], truncated[half])
    for name, value in whole.state().items():
        np.testing.assert_allclose(halves.state()[name], value, rtol=1e-12)


def test_restored_statistics_of_returns_continue():
    rollout = random_rewards()
    first, second = (Returns(2, 0.9) for _ in range(2))
    first(*rollout)
    second.restore(first.state())
    np.testing.assert_array_equal(first(*rollout), second(*rollout))
    for name, value in first.state().items():
        np.testing.assert_array_equal(second.state()[name], value)


def test_where_it_is_off_rewards_are_untouched():
    reward, no = np.array([[1e6]]), np.array([[False]])
    returns = Returns(1, 0.9, normalizes=False)
    before = returns.state()
    assert returns(reward, no, no) is returns.rollout.reward
    assert returns.rollout.scaled_reward.tolist() == [[1e6]]
    for name, value in returns.state().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scaled_rewards_do_not_depend_on_the_units_of_reward(scale):
    reward, no = RNG.normal(size=(50, 4)), np.zeros((50, 4), bool)
    here = Returns(4, 0.9)(reward, no, no)
    there = Returns(4, 0.9)(scale * reward, no, no)
    np.testing.assert_allclose(here, there, rtol=0.02)
