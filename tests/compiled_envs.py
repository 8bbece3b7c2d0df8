"""Environments in compiled form, for tests: `compiled_envs:DRIFT` and others."""

import gymnasium
import numpy as np

from a2c import CompiledEnv


def _reset_countdown(state, random):
    state[0] = int(100 * random[0])
    state[1] = 0


def _step_countdown(state, action, random):
    state[1] += 1
    return float(action), state[1] == 3 and action == 1


def _observe_countdown(state, obs):
    obs[0], obs[1] = state[0], state[1]


COUNTDOWN = CompiledEnv(
    "Countdown",
    _reset_countdown,
    _step_countdown,
    _observe_countdown,
    state_size=2,
    observation_space=gymnasium.spaces.Box(0, 100, (2,), np.float32),
    action_space=gymnasium.spaces.Discrete(2),
    max_episode_steps=3,
)
"""Ends after 3 steps: truncated, and also terminated if the last action was 1. Shows a random number and a count."""


def _reset_drift(state, random):
    for i in range(3):
        state[i] = random[i] + random[i + 3] - 1.0


def _step_drift(state, action, random):
    for i in range(3):
        state[i] = 0.9 * state[i] + 0.1 * action[i] + 0.2 * (random[i] - 0.5)
    return -abs(state[0]) - state[1] * state[1], random[3] < 0.05


def _observe_drift(state, obs):
    for i in range(3):
        obs[0, i] = state[i]
        obs[1, i] = state[i] * state[i]


def drift(max_episode_steps=None):
    return CompiledEnv(
        "Drift",
        _reset_drift,
        _step_drift,
        _observe_drift,
        state_size=3,
        observation_space=gymnasium.spaces.Box(-10, 10, (2, 3), np.float32),
        action_space=gymnasium.spaces.Box(-2, 1, (3,), np.float32),
        max_episode_steps=max_episode_steps,
        reset_randoms=6,
        step_randoms=4,
    )


DRIFT = drift()
"""Continuous actions, random steps and ends, no time limit, observations of two dimensions."""


def _reset_dice(state, random):
    state[0], state[1] = random[0], 0.0


def _step_dice(state, action, random):
    reward = 1.0 if action - 5 == int(3 * state[0]) else -0.5
    state[0] = random[0]
    state[1] += 1
    return reward, random[1] < 0.03


def _observe_dice(state, obs):
    for i in range(3):
        obs[i] = 1.0 if i == int(3 * state[0]) else 0.0
    obs[3] = 0.1 * state[1]


DICE = CompiledEnv(
    "Dice",
    _reset_dice,
    _step_dice,
    _observe_dice,
    state_size=2,
    observation_space=gymnasium.spaces.Box(0, 100, (4,), np.float32),
    action_space=gymnasium.spaces.Discrete(3, start=5),
    max_episode_steps=13,
    reset_randoms=1,
    step_randoms=2,
)
"""Discrete actions from 5 on, random steps and ends, and a time limit."""


def _reset_nearest(state, random):
    state[0], state[1] = random[0], np.inf


def _step_nearest(state, action, random):
    state[0] = random[0] + 0.01 * action
    state[1] = min(state[1], state[0])
    return -state[1], random[1] < 0.1


def _observe_nearest(state, obs):
    obs[0], obs[1] = state[0], min(state[1], 10.0)


NEAREST = CompiledEnv(
    "Nearest",
    _reset_nearest,
    _step_nearest,
    _observe_nearest,
    state_size=2,
    observation_space=gymnasium.spaces.Box(0, 10, (2,), np.float32),
    action_space=gymnasium.spaces.Discrete(2),
    max_episode_steps=50,
)
"""Half of its state is infinite until the first step: the smallest number so far."""


def souring(after, what):
    """An environment without end whose "reward" or "observation" (`what`) becomes NaN after so many steps."""
    in_reward = what == "reward"

    def reset(state, random):
        state[0] = 0.0

    def step(state, action, random):
        state[0] += 1
        return np.nan if in_reward and state[0] >= after else 0.1 * state[0], False

    def observe(state, obs):
        obs[0] = np.nan if not in_reward and state[0] >= after else 0.01 * state[0]
        obs[1] = 1.0

    return CompiledEnv(
        "Souring",
        reset,
        step,
        observe,
        state_size=1,
        observation_space=gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32),
        action_space=gymnasium.spaces.Discrete(2),
        max_episode_steps=None,
    )


def _observe_poisoned(state, obs):
    obs[0], obs[1] = state[0], np.inf if state[1] == 2 and state[0] > 90 else 0.0


POISONED = CompiledEnv(
    "Poisoned",
    _reset_countdown,
    _step_countdown,
    _observe_poisoned,
    state_size=2,
    observation_space=gymnasium.spaces.Box(0, 100, (2,), np.float32),
    action_space=gymnasium.spaces.Discrete(2),
    max_episode_steps=3,
)
"""Some of its episodes show an infinity after 2 steps."""
