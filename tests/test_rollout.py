"""The collector: which values stand for which states."""

from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
from countdown import Countdown
from faulty import Faulty

import a2c
from a2c.distributions import Categorical, distribution_for
from a2c.normalize import NormalizedObservations, PlainObservations
from a2c.rollout import Collector, draw_noise


class Spy(NamedTuple):
    """An engine whose value is what the observation counts, and whose action is always the same."""

    action: int

    def act(self, obs, noise, slot):
        return np.full(len(obs), self.action), self.value(obs)

    def value(self, obs):
        return obs[:, 1].copy()


def collected(action, length, rollouts=1, normalizer=None):
    envs = a2c.make_envs(Countdown, 2, vectorization="local")
    collector = Collector(envs, Spy(action), Categorical(2, 0), normalizer or PlainObservations(), length, 0)
    results = [collector.collect(np.zeros((length, 2), np.float32), 0) for _ in range(rollouts)]
    envs.close()
    return results


def test_the_successor_of_a_truncation_is_the_final_observation():
    ((rollout, _),) = collected(action=0, length=5)
    assert rollout.truncated[:, 0].tolist() == [False, False, True, False, False]
    assert rollout.value[:, 0].tolist() == [0, 1, 2, 0, 1]
    assert rollout.next_value[:, 0].tolist() == [1, 2, 3, 1, 2]


def test_nothing_follows_a_termination():
    ((rollout, _),) = collected(action=1, length=5)
    assert rollout.terminated[:, 0].tolist() == [False, False, True, False, False]
    assert rollout.next_value[:, 0].tolist() == [1, 2, 0, 1, 2]


def test_a_truncation_in_the_last_step_bootstraps_too():
    ((rollout, _),) = collected(action=0, length=3)
    assert rollout.next_value[:, 0].tolist() == [1, 2, 3]


def test_a_rollout_goes_on_where_the_last_one_stopped():
    first, second = (rollout for rollout, _ in collected(action=0, length=2, rollouts=2))
    assert first.value[:, 0].tolist() == [0, 1]
    assert second.value[:, 0].tolist() == [2, 0]
    assert first.next_value[:, 0].tolist() == [1, 2]


def test_every_row_is_a_real_transition():
    ((rollout, _),) = collected(action=1, length=7)
    assert rollout.reward.tolist() == [[1, 1]] * 7  # a row of an autoreset would pay 0


def test_episodes_are_counted_over_rollouts():
    episodes = [episodes for _, episodes in collected(action=1, length=2, rollouts=4)]
    assert [e.number for e in episodes] == [0, 2, 2, 0]
    assert [e.length_sum for e in episodes] == [0, 6, 6, 0]
    assert [e.return_sum for e in episodes] == [0, 6, 6, 0]


def test_noise_of_an_update_is_a_function_of_seed_and_update():
    discrete, continuous = Categorical(2, 0), distribution_for(gymnasium.spaces.Box(-1, 1, (3,)))
    uniforms, normals = draw_noise(discrete, 5, 7, (2, 4)), draw_noise(continuous, 5, 7, (2, 4))
    assert (uniforms.shape, normals.shape) == ((2, 4), (2, 4, 3))
    assert ((uniforms >= 0) & (uniforms < 1)).all()
    assert (normals < 0).any()
    np.testing.assert_array_equal(draw_noise(discrete, 5, 7, (2, 4)), uniforms)
    np.testing.assert_array_equal(draw_noise(continuous, 5, 7, (1, 4)), normals[:1])
    assert not np.isin(draw_noise(discrete, 5, 8, (2, 4)), uniforms).any()
    assert not np.isin(draw_noise(discrete, 6, 7, (2, 4)), uniforms).any()


def test_an_error_on_the_way_leaves_no_half_rollout():
    envs = a2c.make_envs(lambda: Faulty(after=7), 1, vectorization="local")
    collector = Collector(envs, Spy(0), Categorical(2, 0), PlainObservations(), 4, 0)
    collector.collect(np.zeros((4, 1), np.float32), 0)
    before = {name: array.copy() for name, array in collector.state().items()}
    with pytest.raises(a2c.EnvError):
        collector.collect(np.zeros((4, 1), np.float32), 0)
    for name, array in collector.state().items():
        np.testing.assert_array_equal(array, before[name])
    envs.close()


def test_statistics_hold_still_during_a_rollout_and_move_after_it():
    normalizer = NormalizedObservations((3,))
    (first, _), (second, _) = collected(action=0, length=3, rollouts=2, normalizer=normalizer)
    # The first rollout is seen through the starting statistics (mean 0, deviation 1): as it is.
    assert first.obs[:, 0, 1].tolist() == [0, 1, 2]
    # The second sees the same counts through the first's mean 1 and deviation sqrt(2/3).
    np.testing.assert_allclose(second.obs[:, 0, 1], (np.array([0, 1, 2]) - 1) / np.sqrt(2 / 3), rtol=1e-5)
    # A step and its bootstrap are seen alike: V(s'_t) is V(s_{t+1}).
    np.testing.assert_array_equal(second.next_value[:-1], second.value[1:])
