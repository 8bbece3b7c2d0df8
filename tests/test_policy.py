"""What is deployed does what was trained: the policy, in NumPy, and the compiled engine choose the same actions."""

import numpy as np
import pytest
from engine_cases import Case, random_masks
from generated import ACTIONS, OBSERVATIONS, rows_of
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from a2c.kernels.heads import table_of
from a2c.kernels.rollout import choose
from a2c.kernels.statistics import merge_rows
from a2c.model.inputs import inputs_of
from a2c.moments import Moments
from a2c.policy import Policy
from a2c.spaces import parts, plain, same, value_of

ROWS = 12


class Both:
    """A policy, and the compiled engine that it could come from."""

    def __init__(self, observation_space, action_space, normalizes, masked, seed, hidden_sizes=(7,)):
        self.case = Case(
            "compiled", observation_space, action_space, (1, ROWS), masked, seed % 1000, hidden_sizes=hidden_sizes
        )
        architecture, rng = self.case.architecture, np.random.default_rng(seed)
        self.rows = rows_of(observation_space, ROWS, seed % 1000)
        moments = Moments.of(architecture.num_real) if normalizes else None
        if moments is not None:
            data = rng.normal(2, 3, size=(20, architecture.num_real))
            merge_rows(data, moments.seen, moments.mean, moments.variance)
        self.policy = Policy("x", observation_space, action_space, architecture, self.case.parameters(), moments)
        self.mask = random_masks(rng, self.case.actions.factors, self.case.num_masks, ROWS) if masked else None
        self.noise = self.case.actions.draw_noise(rng, ROWS)
        self.case.rollout.inputs[0], self.case.rollout.pixels[0] = inputs_of(architecture, self.rows, moments)
        self.case.engine.forward(self.case.rollout, 0)

    def columns(self):
        """Actions as training chooses them, [ROWS, C]."""
        case, action = self.case, np.zeros_like(self.noise)
        log_std = case.parameters().get("log_std", np.zeros(0, np.float32))
        mask = np.ones((ROWS, 0), np.uint8) if self.mask is None else self.mask
        choose(
            table_of(case.actions.factors, case.num_masks), log_std, case.rollout.outputs[0], self.noise, mask, action,
            0, ROWS,
        )  # fmt: skip
        return action

    def alike(self, ours, theirs):
        """Whether rows of actions are the same, real numbers up to rounding."""
        for part in parts(self.case.actions.space):
            one, other = (rows[part.name] if part.name else rows for rows in (ours, theirs))
            if isinstance(part.space, spaces.Box):
                # Halves may be rounded either way, and numbers of float16 at the third digit.
                whole = part.space.dtype.kind in "iu"
                one, other = one.astype(np.float64), other.astype(np.float64)
                np.testing.assert_allclose(
                    one, other, rtol=2e-3 if part.space.dtype == np.float16 else 1e-4, atol=1 if whole else 1e-4
                )
            else:
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("normalizes", [False, True])
@settings(max_examples=60)
@given(
    observations=OBSERVATIONS,
    actions=ACTIONS,
    seed=st.integers(0, 2**32 - 1),
    hidden_sizes=st.sampled_from(((), (7,), (16, 33))),
)
def test_the_policy_and_the_compiled_engine_choose_the_same_actions(
    normalizes, masked, observations, actions, seed, hidden_sizes
):
    both = Both(observations, actions, normalizes, masked, seed, hidden_sizes)
    with np.errstate(over="ignore"):
        trained = both.case.actions.to_rows(both.columns())
        deployed = both.policy.act_batch(both.rows, both.noise, both.mask)[0]
    assert deployed.dtype == trained.dtype
    assert deployed.shape == trained.shape
    both.alike(deployed, trained)
    value = both.policy.value(both.rows)
    np.testing.assert_allclose(value, both.case.rollout.value[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@settings(max_examples=60)
@given(observations=OBSERVATIONS, actions=ACTIONS, seed=st.integers(0, 2**32 - 1), greedy=st.booleans())
def test_a_policy_gives_what_the_space_contains(masked, observations, actions, seed, greedy):
    both = Both(observations, actions, False, masked, seed)
    rows = both.policy.act_batch(both.rows, None if greedy else both.noise, both.mask)[0]
    for row in rows:
        assert actions.contains(value_of(actions)(row))


@settings(max_examples=30)
@given(observations=OBSERVATIONS, actions=ACTIONS, seed=st.integers(0, 2**32 - 1))
def test_the_greedy_action_is_that_without_chance(observations, actions, seed):
    both = Both(observations, actions, False, True, seed)
    mode = both.case.actions.mode(both.case.rollout.outputs[0], both.mask)
    with np.errstate(over="ignore"):
        both.alike(both.policy.act_batch(both.rows, None, both.mask)[0], both.case.actions.to_rows(mode))


@pytest.mark.parametrize("space", [spaces.Discrete(4, start=2), spaces.MultiBinary(3), spaces.MultiDiscrete([3, 4])])
def test_what_is_masked_is_not_done(space):
    both = Both(spaces.Discrete(5), space, False, True, 3)
    for seed in range(50):
        noise = both.policy.draw_noise(np.random.default_rng(seed), ROWS)
        both.noise = noise
        np.testing.assert_array_equal(
            both.policy.act_batch(both.rows, noise, both.mask)[0], both.case.actions.to_rows(both.columns())
        )


@pytest.mark.parametrize("normalizes", [False, True])
@settings(max_examples=40)
@given(observations=OBSERVATIONS, actions=ACTIONS, seed=st.integers(0, 2**32 - 1))
def test_a_policy_that_was_saved_and_loaded_acts_the_same(tmp_path_factory, normalizes, observations, actions, seed):
    both = Both(observations, actions, normalizes, True, seed)
    folder = tmp_path_factory.mktemp("policy")
    for name, data in both.policy.to_files().items():
        (folder / name).write_bytes(data)
    loaded = Policy.load(folder)
    assert same(loaded.observation_space, observations)
    assert same(loaded.action_space, actions)
    with np.errstate(over="ignore"):
        before, after = (one.act_batch(both.rows, both.noise, both.mask)[0] for one in (both.policy, loaded))
    assert plain(before).tobytes() == plain(after).tobytes()
    assert both.policy.value(both.rows).tobytes() == loaded.value(both.rows).tobytes()


@pytest.mark.parametrize("normalizes", [False, True])
@settings(max_examples=30)
@given(observations=OBSERVATIONS, actions=ACTIONS, seed=st.integers(0, 2**32 - 1))
def test_predict_is_act(normalizes, observations, actions, seed):
    policy = Both(observations, actions, normalizes, False, seed).policy
    for obs in rows_of(observations, 3, seed % 1000):
        value = value_of(observations)(obs)
        predicted, state = policy.predict(value, episode_start=[True], deterministic=True)
        assert state is None
        np.testing.assert_equal(predicted, policy.act(value))
