"""MountainCar: an engine too weak for the hill has to gain speed first (Moore 1990; Gymnasium's two versions)."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.compiled.form import CompiledEnv
from a2c.kernels.compiler import compiled

GRAVITY = 0.0025
MIN_POSITION = -1.2
MAX_POSITION = 0.6
MAX_SPEED = 0.07
RESET_LOW = -0.6  # the valley is at -pi / 6
RESET_HIGH = -0.4

FORCE = 0.001
GOAL = 0.5

POWER = 0.0015  # the force of the continuous action 1
MAX_ACTION = 1.0
GOAL_CONTINUOUS = 0.45
GOAL_REWARD = 100.0


def reset(state: NDArray[np.float64], random: NDArray[np.float64]) -> None:
    """Begins an episode at rest near the bottom of the valley.

    Args:
        state: [2], written: position, and velocity (position per step).
        random: [1], uniform in [0, 1).
    """
    state[0] = RESET_LOW + (RESET_HIGH - RESET_LOW) * random[0]
    state[1] = 0.0


def step(state: NDArray[np.float64], action: int, random: NDArray[np.float64]) -> tuple[float, bool]:
    """Drives for one step.

    Args:
        state: [2], as in `reset`; updated.
        action: 0 drives to the left, 1 not at all, 2 to the right.
        random: Not used.

    Returns:
        Reward, -1 for every step; and whether the car is at the goal.
    """
    velocity = state[1] + ((action - 1) * FORCE - GRAVITY * math.cos(3.0 * state[0]))
    velocity = min(max(velocity, -MAX_SPEED), MAX_SPEED)
    position = min(max(state[0] + velocity, MIN_POSITION), MAX_POSITION)
    if position == MIN_POSITION and velocity < 0.0:  # The car hit the wall on the left.
        velocity = 0.0
    state[0], state[1] = position, velocity
    return -1.0, bool(position >= GOAL and velocity >= 0.0)


def observe(state: NDArray[np.float64], obs: NDArray[np.float32]) -> None:
    """Observes position and velocity, in both versions.

    Args:
        state: [2] or [3], as in `reset` or `reset_continuous`.
        obs: [2], written: position, and velocity (position per step).
    """
    obs[0], obs[1] = state[0], state[1]


def reset_continuous(state: NDArray[np.float64], random: NDArray[np.float64]) -> None:
    """Begins an episode at rest near the bottom of the valley.

    Args:
        state: [3], written: position, velocity (position per step), and 1 after the first step: from then on Gymnasium
            stores the first two in single precision.
        random: [1], uniform in [0, 1).
    """
    state[0] = RESET_LOW + (RESET_HIGH - RESET_LOW) * random[0]
    state[1] = 0.0
    state[2] = 0.0


@compiled
def rounded(x: float, single: bool) -> float:
    """x rounded to single precision if `single`, else x."""
    return np.float64(np.float32(x)) if single else x


def step_continuous(
    state: NDArray[np.float64], action: NDArray[np.float32], random: NDArray[np.float64]
) -> tuple[float, bool]:
    """Drives for one step, rounding to single precision wherever Gymnasium does with NumPy 2.

    Args:
        state: [3], as in `reset_continuous`; updated.
        action: [1], from -1, full power to the left, to 1, full power to the right; clipped here.
        random: Not used.

    Returns:
        Reward, -action^2 / 10, plus 100 at the goal; and whether the car is at the goal.
    """
    single = state[2] == 1.0
    limit = rounded(MAX_SPEED, single)
    left, right = rounded(MIN_POSITION, single), rounded(MAX_POSITION, single)
    goal = rounded(GOAL_CONTINUOUS, single)

    pull = GRAVITY * math.cos(rounded(3.0 * state[0], single))
    if action[0] < -MAX_ACTION:
        push = -MAX_ACTION * POWER - pull
    elif action[0] > MAX_ACTION:
        push = MAX_ACTION * POWER - pull
    else:
        push = np.float64(action[0] * np.float32(POWER) - np.float32(pull))
    velocity = rounded(state[1] + rounded(push, single), single)
    velocity = min(max(velocity, -limit), limit)
    position = rounded(state[0] + velocity, single)
    position = min(max(position, left), right)
    if position == left and velocity < 0.0:
        velocity = 0.0
    terminated = position >= goal and velocity >= 0.0

    state[0], state[1], state[2] = np.float32(position), np.float32(velocity), 1.0
    force = np.float64(action[0])  # Not float(), which in Numba leaves a float32 a float32.
    return (GOAL_REWARD if terminated else 0.0) - force * force * 0.1, terminated


_OBSERVATIONS = gymnasium.spaces.Box(
    np.array([MIN_POSITION, -MAX_SPEED], np.float32), np.array([MAX_POSITION, MAX_SPEED], np.float32), dtype=np.float32
)

MOUNTAIN_CAR_V0 = CompiledEnv(
    "MountainCar-v0",
    reset,
    step,
    observe,
    state_size=2,
    observation_space=_OBSERVATIONS,
    action_space=gymnasium.spaces.Discrete(3),
    max_episode_steps=200,
    reset_randoms=1,
)
MOUNTAIN_CAR_CONTINUOUS_V0 = CompiledEnv(
    "MountainCarContinuous-v0",
    reset_continuous,
    step_continuous,
    observe,
    state_size=3,
    observation_space=_OBSERVATIONS,
    action_space=gymnasium.spaces.Box(-MAX_ACTION, MAX_ACTION, (1,), np.float32),
    max_episode_steps=999,
    reset_randoms=1,
)
