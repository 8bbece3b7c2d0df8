"""Distributions against SciPy, in NumPy and in Paddle."""

import gymnasium
import numpy as np
import paddle
import pytest
import scipy.special
import scipy.stats

from a2c.distributions import Categorical, distribution_for

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(50, 4)) * 3
MEAN, LOG_STD = RNG.normal(size=(50, 3)), np.array([-1.0, 0.0, 0.5])


def gaussian(low=-1.0, high=1.0, size=3):
    return distribution_for(gymnasium.spaces.Box(low, high, (size,), np.float32))


@pytest.fixture(params=["numpy", "paddle"])
def arrays(request):
    """The array module, and a conversion into it."""
    return (np, np.asarray) if request.param == "numpy" else (paddle, paddle.to_tensor)


def test_categorical_log_prob_equals_scipys_log_softmax(arrays):
    xp, to = arrays
    action = RNG.integers(0, 4, 50)
    ours, _ = Categorical(4, 0).log_prob_and_entropy(xp, (to(LOGITS),), to(action))
    expected = scipy.special.log_softmax(LOGITS, -1)[np.arange(50), action]
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=1e-9)


def test_categorical_entropy_equals_scipys(arrays):
    xp, to = arrays
    _, ours = Categorical(4, 0).log_prob_and_entropy(xp, (to(LOGITS),), to(np.zeros(50, np.int64)))
    np.testing.assert_allclose(
        np.asarray(ours), scipy.stats.entropy(scipy.special.softmax(LOGITS, -1), axis=-1), rtol=1e-9
    )


def test_gaussian_log_prob_equals_scipys(arrays):
    xp, to = arrays
    action = RNG.normal(size=(50, 3))
    ours, _ = gaussian().log_prob_and_entropy(xp, (to(MEAN), to(LOG_STD)), to(action))
    expected = scipy.stats.norm(MEAN, np.exp(LOG_STD)).logpdf(action).sum(-1)
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=1e-9)


def test_gaussian_entropy_equals_scipys(arrays):
    xp, to = arrays
    _, ours = gaussian().log_prob_and_entropy(xp, (to(MEAN), to(LOG_STD)), to(MEAN))
    assert float(ours) == pytest.approx(scipy.stats.norm(0, np.exp(LOG_STD)).entropy().sum(), rel=1e-9)


def test_log_prob_survives_logits_that_would_overflow(arrays):
    xp, to = arrays
    ours, _ = Categorical(2, 0).log_prob_and_entropy(xp, (to(np.array([[1e4, 0.0]])),), to(np.array([1])))
    assert np.asarray(ours).tolist() == [-1e4]


def test_categorical_samples_are_the_inverse_of_the_cumulative_distribution():
    logits = np.log(np.array([[0.2, 0.5, 0.3]], np.float32)).repeat(5, 0)
    noise = np.array([0.0, 0.19, 0.21, 0.69, 0.71], np.float32)
    assert Categorical(3, 0).sample((logits,), noise).tolist() == [0, 0, 1, 1, 2]


def test_the_largest_noise_still_gives_an_action():
    noise = np.full(1000, np.nextafter(np.float32(1), np.float32(0)))
    logits = RNG.normal(size=(1000, 7)).astype(np.float32)
    assert Categorical(7, 0).sample((logits,), noise).max() <= 6


def test_categorical_samples_have_the_right_frequencies():
    p = np.array([0.1, 0.6, 0.3])
    distribution = Categorical(3, 0)
    noise = distribution.draw_noise(np.random.default_rng(1), (100_000,))
    action = distribution.sample((np.log(p).astype(np.float32)[None].repeat(100_000, 0),), noise)
    assert scipy.stats.chisquare(np.bincount(action), p * 100_000).pvalue > 1e-3


def test_gaussian_samples_have_the_right_moments():
    distribution = gaussian()
    noise = distribution.draw_noise(np.random.default_rng(1), (100_000,))
    action = distribution.sample((np.full((100_000, 3), 0.5, np.float32), LOG_STD.astype(np.float32)), noise)
    np.testing.assert_allclose(action.mean(0), 0.5, atol=0.02)
    np.testing.assert_allclose(action.std(0), np.exp(LOG_STD), rtol=0.02)


def test_modes_are_the_most_probable_actions():
    assert Categorical(3, 0).mode((np.array([[0.0, 2.0, 1.0]]),)).tolist() == [1]
    assert gaussian().mode((MEAN, LOG_STD)) is MEAN


def test_discrete_actions_are_numbered_as_the_environment_does():
    distribution = distribution_for(gymnasium.spaces.Discrete(3, start=5))
    assert distribution.to_env(np.array([0, 2])).tolist() == [5, 7]


def test_a_bounded_box_spans_minus_one_to_one():
    distribution = gaussian(-2, 6)
    action = distribution.to_env(np.array([[-1, 0, 1], [-9, 0.5, 9]], np.float32))
    assert action.tolist() == [[-2, 2, 6], [-2, 4, 6]]


def test_an_unbounded_box_is_not_scaled_and_a_half_bounded_one_starts_at_its_bound():
    low, high = np.array([-np.inf, 5, -np.inf], np.float32), np.array([np.inf, np.inf, 9], np.float32)
    distribution = distribution_for(gymnasium.spaces.Box(low, high))
    assert distribution.to_env(np.array([[-50, -1, -1], [2, 2, 2]], np.float32)).tolist() == [[-50, 5, 8], [2, 7, 9]]


def test_a_box_of_float64_gets_actions_that_it_contains():
    space = gymnasium.spaces.Box(-0.1, 0.1, (3,), np.float64)
    action = distribution_for(space).to_env(np.array([[-9, 0, 9]], np.float32))
    assert action.dtype == np.float64
    assert action[0] in space


def test_actions_take_the_shape_of_their_box():
    distribution = distribution_for(gymnasium.spaces.Box(-1, 1, (2, 3), np.float32))
    assert distribution.head_size == 6
    assert distribution.to_env(np.zeros((4, 6), np.float32)).shape == (4, 2, 3)


def test_a_space_without_distribution_is_refused():
    with pytest.raises(TypeError, match="MultiBinary"):
        distribution_for(gymnasium.spaces.MultiBinary(3))
