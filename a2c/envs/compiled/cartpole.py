"""CartPole: balance a pole on a cart pushed left or right (Barto, Sutton and Anderson 1983; Gymnasium's version)."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.compiled.form import CompiledEnv

GRAVITY = 9.8  # m/s^2
CART_MASS = 1.0  # kg
POLE_MASS = 0.1  # kg
TOTAL_MASS = POLE_MASS + CART_MASS
HALF_LENGTH = 0.5  # m, of the pole
POLE_MOMENT = POLE_MASS * HALF_LENGTH  # kg m
FORCE = 10.0  # N
TIME_STEP = 0.02  # s
POSITION_LIMIT = 2.4  # m, either way
ANGLE_LIMIT = 12 * 2 * math.pi / 360  # 12 degrees either way, in rad
RESET_LIMIT = 0.05  # each number of the state starts within this, either way


def reset(state: NDArray[np.float64], random: NDArray[np.float64]) -> None:
    """Begins an episode near the middle, almost upright and almost at rest.

    Args:
        state: [4], written: the cart's position (m) and velocity (m/s), the pole's angle from upright (rad) and angular
            velocity (rad/s).
        random: [4], uniform in [0, 1).
    """
    for i in range(4):
        state[i] = -RESET_LIMIT + (RESET_LIMIT - -RESET_LIMIT) * random[i]


def step(state: NDArray[np.float64], action: int, random: NDArray[np.float64]) -> tuple[float, bool]:
    """Pushes the cart for one step of Euler's method.

    Args:
        state: [4], as in `reset`; updated.
        action: 0 pushes to the left, 1 to the right.
        random: Not used.

    Returns:
        Reward, 1 for every step; and whether the cart left the track or the pole fell.
    """
    position, velocity, angle, angular_velocity = state[0], state[1], state[2], state[3]
    force = FORCE if action == 1 else -FORCE
    cos, sin = math.cos(angle), math.sin(angle)
    thrust = (force + POLE_MOMENT * (angular_velocity * angular_velocity) * sin) / TOTAL_MASS
    angular_acceleration = (GRAVITY * sin - cos * thrust) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS)
    )
    acceleration = thrust - POLE_MOMENT * angular_acceleration * cos / TOTAL_MASS

    state[0] = position + TIME_STEP * velocity
    state[1] = velocity + TIME_STEP * acceleration
    state[2] = angle + TIME_STEP * angular_velocity
    state[3] = angular_velocity + TIME_STEP * angular_acceleration
    terminated = abs(state[0]) > POSITION_LIMIT or abs(state[2]) > ANGLE_LIMIT
    return 1.0, bool(terminated)


def observe(state: NDArray[np.float64], obs: NDArray[np.float32]) -> None:
    """Observes the whole state.

    Args:
        state: [4], as in `reset`.
        obs: [4], written: the state in single precision.
    """
    for i in range(4):
        obs[i] = state[i]


# Twice the limits, so that the observation that ends an episode lies within them.
_HIGH = np.array([2 * POSITION_LIMIT, np.inf, 2 * ANGLE_LIMIT, np.inf], np.float32)
_OBSERVATIONS = gymnasium.spaces.Box(-_HIGH, _HIGH, dtype=np.float32)
_ACTIONS = gymnasium.spaces.Discrete(2)

CARTPOLE_V0 = CompiledEnv(
    "CartPole-v0",
    reset,
    step,
    observe,
    state_size=4,
    observation_space=_OBSERVATIONS,
    action_space=_ACTIONS,
    max_episode_steps=200,
)
CARTPOLE_V1 = CompiledEnv(
    "CartPole-v1",
    reset,
    step,
    observe,
    state_size=4,
    observation_space=_OBSERVATIONS,
    action_space=_ACTIONS,
    max_episode_steps=500,
)
