"""The collector: which values stand for which states."""

import itertools

import gymnasium
import numpy as np
import pytest
from countdown import Countdown
from faulty import Faulty

import a2c
from a2c.acting import Behaviour
from a2c.collector import Collector
from a2c.kernels.heads import draw, table_of
from a2c.kernels.rollout import Books, Rules, draw_part, renormalize, settle
from a2c.model.architecture import architecture_for, factors_of
from a2c.model.factors import Actions
from a2c.moments import Moments
from a2c.rollout import rollout_for


class Spy:
    """An engine whose value is what the observation counts, and whose action is always the same."""

    theta = np.zeros(0, np.float32)

    def __init__(self, action, column=1):
        self._action, self._column = action, column

    def views(self, flat):
        return {}

    def forward(self, rollout, t):
        if t < len(rollout.outputs):
            rollout.outputs[t] = np.where(np.arange(rollout.outputs.shape[2]) == self._action, 1e4, 0)
        rollout.value[t] = self.value(rollout.inputs[t], rollout.pixels[t], rollout.carry[t])

    def value(self, inputs, pixels, carry):
        return inputs[:, self._column].copy()


class Collecting:
    """A collector, and the verbs of an update around it."""

    def __init__(self, env, num_envs, action, length, normalizes=False, column=1):
        self.envs = a2c.make_envs(env, num_envs, vectorization="local")
        observation_space, action_space = self.envs.single_observation_space, self.envs.single_action_space
        architecture = architecture_for(observation_space, action_space, (), "tanh", normalizes)
        self.rules = Rules(0, 0.99, 1.0, False, False, normalizes, False)
        self.books = Books(
            Moments.of(architecture.num_real), Moments.of(1),
            np.zeros(num_envs), np.zeros(num_envs), np.zeros(num_envs, np.int64),
        )  # fmt: skip
        self.rollout = rollout_for(architecture, length, num_envs, self.envs.mask.shape[1], False)
        behaviour = Behaviour(Spy(action, column), self.books.observations)
        self.collector = Collector(
            self.envs, architecture, Actions(action_space), self.rules, self.books, self.rollout, behaviour
        )
        self.updates = 0

    def collect(self):
        """A rollout, its arrays copied, as the next one is written where it lay; and the episodes that ended."""
        self.collector.collect(self.updates, 0)
        rollout = self.rollout._make(array.copy() for array in self.rollout)
        self.updates += 1
        episodes = settle(self.rules, self.books, self.rollout)
        if self.rules.normalize_observations:
            renormalize(self.books, self.rollout, np.zeros((0, 5), np.int64), np.zeros(0, np.float32))
        return rollout, episodes


def collected(action, length, rollouts=1, normalizes=False):
    collecting = Collecting(Countdown, 2, action, length, normalizes)
    results = [collecting.collect() for _ in range(rollouts)]
    collecting.envs.close()
    return results


def test_the_successor_of_a_truncation_is_the_final_observation():
    ((rollout, _),) = collected(action=0, length=5)
    assert rollout.truncated[:, 0].tolist() == [False, False, True, False, False]
    assert rollout.value[:-1, 0].tolist() == [0, 1, 2, 0, 1]
    assert rollout.next_value[:, 0].tolist() == [1, 2, 3, 1, 2]


def test_nothing_follows_a_termination():
    ((rollout, _),) = collected(action=1, length=5)
    assert rollout.terminated[:, 0].tolist() == [False, False, True, False, False]
    assert rollout.next_value[:, 0].tolist() == [1, 2, 0, 1, 2]


def test_a_truncation_in_the_last_step_bootstraps_too():
    ((rollout, _),) = collected(action=0, length=3)
    assert rollout.next_value[:, 0].tolist() == [1, 2, 3]


def test_the_last_row_is_what_is_acted_on_next():
    ((rollout, _),) = collected(action=1, length=4)
    assert rollout.value[:, 0].tolist() == [0, 1, 2, 0, 1]
    assert rollout.inputs[:, 0, 1].tolist() == [0, 1, 2, 0, 1]
    assert rollout.observed[:, 0, 1].tolist() == [0, 1, 2, 0, 1]


def test_a_rollout_goes_on_where_the_last_one_stopped():
    first, second = (rollout for rollout, _ in collected(action=0, length=2, rollouts=2))
    assert first.value[:-1, 0].tolist() == [0, 1]
    assert second.value[:-1, 0].tolist() == [2, 0]
    assert first.next_value[:, 0].tolist() == [1, 2]
    np.testing.assert_array_equal(second.inputs[0], first.inputs[2])


def test_every_row_is_a_real_transition():
    ((rollout, _),) = collected(action=1, length=7)
    assert rollout.reward.tolist() == [[1, 1]] * 7  # a row of an autoreset would pay 0


def test_episodes_are_counted_over_rollouts():
    episodes = [episodes for _, episodes in collected(action=1, length=2, rollouts=4)]
    # How many ended, the sum of their returns, the sum of their lengths.
    assert episodes == [(0, 0, 0), (2, 6, 6), (2, 6, 6), (0, 0, 0)]


MIXED = gymnasium.spaces.Tuple(
    [gymnasium.spaces.Discrete(2), gymnasium.spaces.Box(-1, 1, (3,)), gymnasium.spaces.MultiBinary(2)]
)


def drawn(space, seed, update, shape):
    """The noise of an update [T, N, C]; of a space of one column, [T, N]."""
    factors = factors_of(space)
    columns = sum(factor.columns for factor in factors)
    noise = np.full((*shape, columns), np.nan, np.float32)
    draw(table_of(factors, 0), seed, update, noise.reshape(-1), columns, 0, shape[0] * shape[1])
    return noise[..., 0] if columns == 1 else noise


def test_noise_of_an_update_is_a_function_of_seed_and_update():
    discrete, continuous = gymnasium.spaces.Discrete(2), gymnasium.spaces.Box(-1, 1, (3,))
    uniforms, normals = drawn(discrete, 5, 7, (2, 4)), drawn(continuous, 5, 7, (2, 4))
    assert (uniforms.shape, normals.shape) == ((2, 4), (2, 4, 3))
    assert ((uniforms >= 0) & (uniforms < 1)).all()
    assert (normals < 0).any()
    np.testing.assert_array_equal(drawn(discrete, 5, 7, (2, 4)), uniforms)
    np.testing.assert_array_equal(drawn(continuous, 5, 7, (1, 4)), normals[:1])
    assert not np.isin(drawn(discrete, 5, 8, (2, 4)), uniforms).any()
    assert not np.isin(drawn(discrete, 6, 7, (2, 4)), uniforms).any()


def test_noise_of_several_factors_is_uniform_for_choices_and_normal_for_numbers():
    noise = drawn(MIXED, 5, 7, (200, 10)).reshape(-1, 6)
    choices, numbers = noise[:, [0, 4, 5]], noise[:, 1:4]
    assert ((choices >= 0) & (choices < 1)).all()
    np.testing.assert_allclose(choices.mean(0), 0.5, atol=0.03)
    np.testing.assert_allclose([numbers.mean(), numbers.std()], [0, 1], atol=0.05)
    assert len(np.unique(noise)) > 0.99 * noise.size
    assert np.abs(np.corrcoef(noise.T) - np.eye(6)).max() < 0.1
    np.testing.assert_array_equal(drawn(MIXED, 5, 7, (200, 10)).reshape(-1, 6), noise)
    assert not np.isin(drawn(MIXED, 5, 8, (2, 4)), noise).all()


def test_any_rows_of_noise_are_drawn_alone_to_the_same_bits():
    factors = table_of(factors_of(MIXED), 0)
    whole, parts = np.zeros((2, 20 * 6), np.float32)
    draw(factors, 3, 1, whole, 6, 0, 20)
    for first, rows in [(13, 7), (0, 1), (1, 12)]:
        draw(factors, 3, 1, parts[first * 6 :], 6, first, rows)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_the_noise_of_some_environments_is_theirs_in_the_noise_of_all(parts):
    factors, bounds = table_of(factors_of(MIXED), 0), np.linspace(0, 7, parts + 1).astype(int)
    whole = drawn(MIXED, 3, 1, (5, 7))
    for first, last in itertools.pairwise(bounds.tolist()):
        part = np.full((5, last - first, 6), np.nan, np.float32)
        draw_part(factors, 3, 1, part, first, 7)
        np.testing.assert_array_equal(part, whole[:, first:last])


def test_an_error_on_the_way_leaves_no_half_rollout():
    collecting = Collecting(lambda: Faulty(after=7), 1, action=0, length=4)
    collecting.collect()
    before = {name: array.copy() for name, array in collecting.collector.state().items()}
    with pytest.raises(a2c.EnvError):
        collecting.collect()
    for name, array in collecting.collector.state().items():
        np.testing.assert_array_equal(array, before[name])
    collecting.envs.close()


def test_statistics_hold_still_during_a_rollout_and_move_after_it():
    (first, _), (second, _) = collected(action=0, length=3, rollouts=2, normalizes=True)
    # The first rollout is seen through the starting statistics (mean 0, deviation 1): as it is.
    assert first.inputs[:-1, 0, 1].tolist() == [0, 1, 2]
    # The second sees the same counts through the first's mean 1 and deviation sqrt(2/3).
    np.testing.assert_allclose(second.inputs[:-1, 0, 1], (np.array([0, 1, 2]) - 1) / np.sqrt(2 / 3), rtol=1e-5)
    # A step and its bootstrap are seen alike: V(s'_t) is V(s_{t+1}).
    np.testing.assert_array_equal(second.next_value[:-1], second.value[1:-1])
    # What is kept as observed is not normalised.
    assert second.observed[:-1, 0, 1].tolist() == [0, 1, 2]
