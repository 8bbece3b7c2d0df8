"""Running statistics."""

import numpy as np
import pytest

from a2c.normalize import NormalizedObservations, PlainObservations, ReturnNormalizer, RunningMoments

RNG = np.random.default_rng(0)


def test_running_moments_equal_those_of_everything_at_once():
    data = RNG.normal(1e4, 3, size=(1000, 2))
    moments = RunningMoments((2,))
    for batch in np.split(data, [1, 10, 500]):
        moments.update(batch)
    assert moments.count.tolist() == [1000]
    np.testing.assert_allclose(moments.mean, data.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, data.var(0), rtol=1e-9)


def test_normalized_observations_have_mean_zero_and_deviation_one_and_are_clipped():
    data = RNG.normal(5, 2, size=(10_000, 3))
    normalizer = NormalizedObservations((3,))
    normalizer.update(data)
    seen = normalizer(data)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std(0), 1, atol=1e-3)
    assert normalizer(np.full((1, 3), 1e9)).tolist() == [[10, 10, 10]]


def test_an_observation_that_never_changes_becomes_zero():
    normalizer = NormalizedObservations((1,))
    normalizer.update(np.full((100, 1), 7.0))
    assert normalizer(np.full((1, 1), 7.0)).tolist() == [[0.0]]


def test_large_observations_that_differ_little_stay_different():
    data = 1.7e9 + 0.01 * np.arange(1000.0)[:, None]
    normalizer = NormalizedObservations((1,))
    normalizer.update(data)
    assert normalizer(data).std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": np.zeros(3)},
        {"variance": np.ones((2, 1))},
        {"mean": np.zeros(2, np.float32)},
        {"mean": np.array([0, np.nan])},
        {"variance": np.array([1.0, -1.0])},
        {"count": np.zeros(())},
    ],
    ids=str,
)
def test_statistics_that_cannot_be_are_refused(damage):
    normalizer = NormalizedObservations((2,))
    with pytest.raises(ValueError, match=r"mean|variance|count"):
        normalizer.restore(normalizer.state() | damage)


def test_statistics_are_saved_and_restored():
    first, second = NormalizedObservations((2,)), NormalizedObservations((2,))
    first.update(RNG.normal(size=(10, 2)))
    second.restore(first.state())
    batch = RNG.normal(size=(4, 2))
    np.testing.assert_array_equal(first(batch), second(batch))
    first.update(batch), second.update(batch)
    np.testing.assert_array_equal(first(batch), second(batch))


def test_plain_observations_are_only_converted():
    assert PlainObservations()(np.array([[3, 255]], np.uint8)).tolist() == [[3.0, 255.0]]
    assert PlainObservations().state() == {}


@pytest.mark.parametrize("truncates", [False, True])
def test_rewards_are_divided_by_the_deviation_of_the_discounted_return(truncates):
    # One environment, gamma 0.5: R = 1, 2.5, then (an end) 4, 2 + ... as below.
    reward = np.array([[1.0], [2.0], [4.0], [0.0]])
    end, no = np.array([[False], [True], [False], [False]]), np.zeros((4, 1), bool)
    discounted = [1.0, 2.0 + 0.5 * 1.0, 4.0, 0.0 + 0.5 * 4.0]
    terminated, truncated = (no, end) if truncates else (end, no)
    scaled = ReturnNormalizer(True, num_envs=1, gamma=0.5)(reward, terminated, truncated)
    np.testing.assert_allclose(scaled, reward / np.std(discounted), rtol=1e-6)


def random_rewards():
    """Rewards, terminations and truncations, [6, 2]."""
    return RNG.normal(size=(6, 2)), *(RNG.random((2, 6, 2)) < 0.2)


def test_returns_go_on_from_rollout_to_rollout():
    reward, terminated, truncated = random_rewards()
    whole, halves = (ReturnNormalizer(True, 2, 0.9) for _ in range(2))
    whole(reward, terminated, truncated)
    for half in (slice(3), slice(3, None)):
        halves(reward[half], terminated[half], truncated[half])
    for name, value in whole.state().items():
        np.testing.assert_allclose(halves.state()[name], value, rtol=1e-12)


def test_a_restored_return_normalizer_continues():
    rollout = random_rewards()
    first, second = (ReturnNormalizer(True, 2, 0.9) for _ in range(2))
    first(*rollout)
    second.restore(first.state())
    np.testing.assert_array_equal(first(*rollout), second(*rollout))
    for name, value in first.state().items():
        np.testing.assert_array_equal(second.state()[name], value)


def test_where_it_is_off_rewards_are_untouched():
    reward, no = np.array([[1e6]]), np.array([[False]])
    assert ReturnNormalizer(False, 1, 0.9)(reward, no, no) is reward


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scaled_rewards_do_not_depend_on_the_units_of_reward(scale):
    reward, no = RNG.normal(size=(50, 4)), np.zeros((50, 4), bool)
    here = ReturnNormalizer(True, 4, 0.9)(reward, no, no)
    there = ReturnNormalizer(True, 4, 0.9)(scale * reward, no, no)
    np.testing.assert_allclose(here, there, rtol=0.02)
