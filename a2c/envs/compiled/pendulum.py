"""Pendulum: swing a pendulum up and hold it there, with a motor too weak to lift it (Gymnasium's version)."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.compiled.squares import squared, squared_single

GRAVITY = 10.0  # m/s^2
MASS = 1.0  # kg
LENGTH = 1.0  # m
MAX_SPEED = 8.0  # rad/s
MAX_TORQUE = 2.0  # N m
TIME_STEP = 0.05  # s
RESET_ANGLE = math.pi  # rad, either way
RESET_SPEED = 1.0  # rad/s, either way


def reset(state: NDArray[np.float64], random: NDArray[np.float64]) -> None:
    """Begins an episode at any angle, turning slowly.

    Args:
        state: [2], written: angle from upright (rad; never wrapped), and angular velocity (rad/s).
        random: [2], uniform in [0, 1).
    """
    state[0] = -RESET_ANGLE + (RESET_ANGLE - -RESET_ANGLE) * random[0]
    state[1] = -RESET_SPEED + (RESET_SPEED - -RESET_SPEED) * random[1]


def step(state: NDArray[np.float64], action: NDArray[np.float32], random: NDArray[np.float64]) -> tuple[float, bool]:
    """Applies a torque for one step, rounding to single precision wherever Gymnasium does with NumPy 2.

    Args:
        state: [2], as in `reset`; updated.
        action: [1], torque (N m); clipped here to [-2, 2].
        random: Not used.

    Returns:
        Reward, -(angle^2 + 0.1 speed^2 + 0.001 torque^2) of the state before the step, with the angle wrapped to
        [-pi, pi]; and False, as it never ends.
    """
    angle, speed = state[0], state[1]
    torque = min(max(action[0], np.float32(-MAX_TORQUE)), np.float32(MAX_TORQUE))
    wrapped = (angle + math.pi) % (2 * math.pi) - math.pi
    effort = np.float64(np.float32(0.001) * squared_single(torque))
    cost = squared(wrapped) + 0.1 * squared(speed) + effort

    turning = np.float64(np.float32(3.0 / (MASS * LENGTH**2)) * torque)
    acceleration = 3 * GRAVITY / (2 * LENGTH) * math.sin(angle) + turning
    speed = min(max(speed + acceleration * TIME_STEP, -MAX_SPEED), MAX_SPEED)
    state[0], state[1] = angle + speed * TIME_STEP, speed
    return -cost, False


def observe(state: NDArray[np.float64], obs: NDArray[np.float32]) -> None:
    """Observes the angle by its cosine and sine.

    Args:
        state: [2], as in `reset`.
        obs: [3], written: cosine and sine of the angle, and angular velocity (rad/s).
    """
    obs[0], obs[1], obs[2] = math.cos(state[0]), math.sin(state[0]), state[1]


_HIGH = np.array([1.0, 1.0, MAX_SPEED], np.float32)

PENDULUM_V1 = CompiledEnv(
    "Pendulum-v1",
    reset,
    step,
    observe,
    state_size=2,
    observation_space=gymnasium.spaces.Box(-_HIGH, _HIGH, dtype=np.float32),
    action_space=gymnasium.spaces.Box(-MAX_TORQUE, MAX_TORQUE, (1,), np.float32),
    max_episode_steps=200,
)
