"""A learner in environments of generated spaces: what is masked is never done, and a state goes on to the same bits."""

import contextlib
import copy

import gymnasium
import numpy as np
import pytest
from generated import ACTIONS, OBSERVATIONS
from hypothesis import given, settings
from hypothesis import strategies as st

import a2c
from a2c.learner import Learner
from a2c.masks import mask_sizes
from a2c.spaces import plain


class Masked(gymnasium.Env):
    """Shows samples of its space, and raises at what its masks, flat ones, forbid. Episodes have 7 steps."""

    def __init__(self, observation_space, action_space):
        # Its own: what is sampled from one space by several would depend on who came first.
        self.observation_space, self.action_space = copy.deepcopy(observation_space), action_space
        self._sizes = mask_sizes(action_space)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next()

    def step(self, action):
        assert self.action_space.contains(action), action
        self._require_allowed(action)
        self._steps += 1
        obs, info = self._next()
        return obs, float(self.np_random.normal()), False, self._steps == 7, info

    def _next(self):
        parts = [self.np_random.integers(0, 2, size, dtype=np.uint8) for size in self._sizes]
        for part in parts:
            part[self.np_random.integers(len(part))] = 1
        self._masks = parts
        return self.observation_space.sample(), {"action_mask": np.concatenate(parts)} if parts else {}

    def _require_allowed(self, action):
        for mask, choice in zip(self._masks, choices(self.action_space, action), strict=True):
            assert mask[choice], (self._masks, action)


def choices(space, action):
    """The number from 0 of each choice, and each bit, of an action."""
    match space:
        case gymnasium.spaces.Dict():
            return [one for key, inner in space.spaces.items() for one in choices(inner, action[key])]
        case gymnasium.spaces.Tuple():
            return [one for inner, part in zip(space.spaces, action, strict=True) for one in choices(inner, part)]
        case gymnasium.spaces.Discrete():
            return [int(action) - int(space.start)]
        case gymnasium.spaces.MultiDiscrete():
            return (action.astype(np.int64) - space.start).ravel().tolist()
        case gymnasium.spaces.MultiBinary():
            return action.ravel().tolist()
        case _:
            return []


def state_bytes(learner):
    return {name: array.tobytes() for name, array in learner.state().items()}


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@settings(max_examples=15)
@given(observations=OBSERVATIONS, actions=ACTIONS, seed=st.integers(0, 1000))
def test_a_state_goes_on_to_the_same_bits_and_masks_are_obeyed(engine, observations, actions, seed):
    config = a2c.Config(
        "masked", num_envs=3, rollout_length=4, hidden_sizes=(5,), seed=seed, engine=engine, normalize_returns=True,
        normalize_observations=bool(seed % 2),
    )  # fmt: skip

    def begun():
        envs = a2c.make_envs(lambda: Masked(observations, actions), 3, vectorization="local", seed=seed)
        stack.callback(envs.close)
        return Learner(config, envs)

    with contextlib.ExitStack() as stack:
        learner = begun()
        learner.update(5)
        state = {name: array.copy() for name, array in learner.state().items()}
        assert all(array.dtype.names is None for array in state.values())
        learner.update(3)
        again = begun()
        again.restore(state, 5)
        np.testing.assert_array_equal(plain(again._collector.obs), state["collector.obs"])
        again.update(3)
        assert state_bytes(again) == state_bytes(learner)
