"""Returns, worked by hand."""

import numpy as np
import pytest

from a2c.returns import explained_variance, gae, observed, standardize


def column(*values, dtype=float):
    return np.array(values, dtype)[:, None]


NO = column(0, 0, dtype=bool)


def test_lambda_one_gives_the_n_step_return():
    # G_1 = 2 + 0.5 * 8 = 6;  G_0 = 1 + 0.5 * 6 = 4;  A = G - V = 4 - 3, 6 - 4
    advantage, returns = gae(column(1, 2), column(3, 4), column(4, 8), NO, NO, 0.5, 1.0)
    assert returns.ravel().tolist() == [4, 6]
    assert advantage.ravel().tolist() == [1, 2]


def test_lambda_zero_gives_the_one_step_error():
    # delta_0 = 1 + 0.5 * 4 - 3 = 0;  delta_1 = 2 + 0.5 * 8 - 4 = 2
    advantage, returns = gae(column(1, 2), column(3, 4), column(4, 8), NO, NO, 0.5, 0.0)
    assert advantage.ravel().tolist() == [0, 2]
    assert returns.ravel().tolist() == [3, 6]


def test_lambda_between_weighs_later_errors():
    # delta = 0, 2;  A_1 = 2;  A_0 = 0 + 0.5 * 0.5 * 2 = 0.5
    advantage, _ = gae(column(1, 2), column(3, 4), column(4, 8), NO, NO, 0.5, 0.5)
    assert advantage.ravel().tolist() == [0.5, 2]


def test_termination_stops_the_bootstrap():
    # Ended at 0: G_0 = 1, whatever the critic thinks of the final state; the next step is another episode.
    terminated = column(1, 0, dtype=bool)
    _, returns = gae(column(1, 2), column(3, 4), column(100, 8), terminated, NO, 0.5, 1.0)
    assert returns.ravel().tolist() == [1, 6]


def test_truncation_bootstraps_from_the_final_observation():
    # Cut at 0: G_0 = 1 + 0.5 * V(final) = 1 + 0.5 * 10, and nothing of the next episode flows back.
    truncated = column(1, 0, dtype=bool)
    _, returns = gae(column(1, 2), column(3, 4), column(10, 8), NO, truncated, 0.5, 1.0)
    assert returns.ravel().tolist() == [6, 6]


def test_both_flags_count_as_termination():
    both = column(1, 0, dtype=bool)
    _, returns = gae(column(1, 2), column(3, 4), column(10, 8), both, both, 0.5, 1.0)
    assert returns.ravel().tolist() == [1, 6]


def test_a_nan_behind_a_termination_does_not_spread():
    terminated = column(1, 0, dtype=bool)
    advantage, _ = gae(column(1, 2), column(3, 4), column(np.nan, 8), terminated, NO, 0.5, 1.0)
    assert np.isfinite(advantage).all()


def test_environments_do_not_mix():
    rng = np.random.default_rng(0)
    reward, value, next_value = rng.normal(size=(3, 6, 4))
    terminated, truncated = rng.random((2, 6, 4)) < 0.2
    together, _ = gae(reward, value, next_value, terminated, truncated, 0.9, 0.8)
    for n in range(4):
        one = slice(n, n + 1)
        alone, _ = gae(
            reward[:, one], value[:, one], next_value[:, one], terminated[:, one], truncated[:, one], 0.9, 0.8
        )
        np.testing.assert_array_equal(alone, together[:, one])


def test_arrays_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        gae(column(1, 2), column(3, 4)[:1], column(4, 8), NO, NO, 0.5, 1.0)


@pytest.mark.parametrize("flag", ["terminated", "truncated"])
def test_without_bootstrap_returns_are_those_to_the_end_of_the_episode_be_it_a_time_limit(flag):
    # Two episodes end, at 1 and 2; the fourth step's goes on. G_1 = 2, G_0 = 1 + 0.5 * 2, G_2 = 4; A = G - V.
    end, no = column(0, 1, 1, 0, dtype=bool), column(0, 0, 0, 0, dtype=bool)
    ends = {"terminated": no, "truncated": no, flag: end}
    advantage, returns = observed(column(1, 2, 4, 8), column(3, 1, 1, 9), **ends, gamma=0.5, has_baseline=True)
    assert returns.ravel().tolist() == [2, 2, 4, 9]
    assert advantage.ravel().tolist() == [-1, 1, 3, 0]


def test_without_baseline_the_advantage_is_the_return():
    end, no = column(0, 1, 1, 0, dtype=bool), column(0, 0, 0, 0, dtype=bool)
    advantage, _ = observed(column(1, 2, 4, 8), column(3, 1, 1, 9), end, no, 0.5, has_baseline=False)
    assert advantage.ravel().tolist() == [2, 2, 4, 0]


def test_observed_returns_of_episodes_that_end_are_gae_with_lambda_one():
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(2, 6, 4))
    next_value = np.roll(value, -1, 0)  # V of the state acted on next
    terminated, no = rng.random((6, 4)) < 0.3, np.zeros((6, 4), bool)
    terminated[-1] = True
    ours = observed(reward, value, terminated, no, 0.9, has_baseline=True)
    theirs = gae(reward, value, next_value, terminated, no, 0.9, 1.0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_nan_of_a_critic_that_is_not_used_does_not_spread():
    end = column(0, 1, dtype=bool)
    advantage, _ = observed(column(1, 2), column(np.nan, np.nan), end, NO, 0.5, has_baseline=False)
    assert np.isfinite(advantage).all()


def test_observed_refuses_arrays_of_different_shape():
    with pytest.raises(ValueError, match="differ in shape"):
        observed(column(1, 2), column(3, 4)[:1], NO, NO, 0.5, has_baseline=True)


def test_standardized_advantages_have_mean_zero_and_deviation_one():
    scaled = standardize(np.array([[1, 2], [3, 6]], np.float32))
    assert scaled.mean() == pytest.approx(0, abs=1e-6)
    assert scaled.std() == pytest.approx(1, abs=1e-6)


def test_equal_advantages_are_standardized_to_zero():
    assert standardize(np.full((2, 2), 3, np.float32)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("value", "expected"), [([1, 2, 3], 1.0), ([2, 2, 2], 0.0), ([3, 2, 1], -3.0)])
def test_explained_variance_of_a_perfect_a_constant_and_a_contrary_critic(value, expected):
    assert explained_variance(np.array(value, float), np.array([1.0, 2.0, 3.0])) == pytest.approx(expected)


def test_returns_that_do_not_vary_leave_nothing_to_explain():
    assert explained_variance(np.array([1.0, 2.0]), np.array([3.0, 3.0])) == 0.0
