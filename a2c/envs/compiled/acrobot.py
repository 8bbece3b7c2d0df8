"""Acrobot: swing up two links by a motor between them (Sutton 1996; Gymnasium's version)."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.compiled.squares import squared
from a2c.kernels.compiler import compiled

GRAVITY = 9.8  # m/s^2
LENGTH = 1.0  # m, of the first link
CENTRE_1 = 0.5  # m, from a link's joint to its centre of mass
CENTRE_2 = 0.5
MASS_1 = 1.0  # kg
MASS_2 = 1.0
INERTIA_1 = 1.0  # kg m^2
INERTIA_2 = 1.0
MAX_SPEED_1 = 4 * math.pi  # rad/s
MAX_SPEED_2 = 9 * math.pi
TIME_STEP = 0.2  # s
HALF_STEP = TIME_STEP / 2.0
RESET_LIMIT = 0.1  # each number of the state starts within this, either way
HEIGHT = 1.0  # m above the fixed joint, which the free end must pass


@compiled
def accelerations(angle_1: float, angle_2: float, speed_1: float, speed_2: float, torque: float) -> tuple[float, float]:
    """Angular accelerations of the two joints, as in Sutton and Barto's book (1998, section 11.3).

    Args:
        angle_1: Of the first link from hanging down (rad).
        angle_2: Of the second link from the first one's direction (rad).
        speed_1: Rate of angle_1 (rad/s).
        speed_2: Rate of angle_2 (rad/s).
        torque: On the joint between them (N m).

    Returns:
        Of angle_1 and of angle_2 (rad/s^2).
    """
    cos, sin = math.cos(angle_2), math.sin(angle_2)
    d1 = MASS_1 * CENTRE_1**2 + MASS_2 * (LENGTH**2 + CENTRE_2**2 + 2 * LENGTH * CENTRE_2 * cos) + INERTIA_1 + INERTIA_2
    d2 = MASS_2 * (CENTRE_2**2 + LENGTH * CENTRE_2 * cos) + INERTIA_2
    phi2 = MASS_2 * CENTRE_2 * GRAVITY * math.cos(angle_1 + angle_2 - math.pi / 2.0)
    phi1 = (
        -MASS_2 * LENGTH * CENTRE_2 * squared(speed_2) * sin
        - 2 * MASS_2 * LENGTH * CENTRE_2 * speed_2 * speed_1 * sin
        + (MASS_1 * CENTRE_1 + MASS_2 * LENGTH) * GRAVITY * math.cos(angle_1 - math.pi / 2.0)
        + phi2
    )
    acceleration_2 = (torque + d2 / d1 * phi1 - MASS_2 * LENGTH * CENTRE_2 * squared(speed_1) * sin - phi2) / (
        MASS_2 * CENTRE_2**2 + INERTIA_2 - squared(d2) / d1
    )
    return -(d2 * acceleration_2 + phi1) / d1, acceleration_2


@compiled
def wrapped(angle: float) -> float:
    """The same angle in [-pi, pi]; NaN beyond 1e6, which no dynamics reaches and the loops would take for ever for."""
    if not abs(angle) < 1e6:
        return math.nan
    while angle > math.pi:
        angle -= 2 * math.pi
    while angle < -math.pi:
        angle += 2 * math.pi
    return angle


def reset(state: NDArray[np.float64], random: NDArray[np.float64]) -> None:
    """Begins an episode with both links hanging down, almost at rest.

    Args:
        state: [4], written: the angle of the first link from hanging down and of the second from the first one's
            direction (rad), and their rates (rad/s).
        random: [4], uniform in [0, 1).
    """
    for i in range(4):
        state[i] = np.float32(-RESET_LIMIT + (RESET_LIMIT - -RESET_LIMIT) * random[i])


def step(state: NDArray[np.float64], action: int, random: NDArray[np.float64]) -> tuple[float, bool]:
    """Applies a torque for one step of the Runge-Kutta method of order 4.

    Args:
        state: [4], as in `reset`; updated.
        action: The torque on the joint between the links is action - 1 (N m).
        random: Not used.

    Returns:
        Reward: 0 for the step that passes the height, -1 for every other; and whether it passed.
    """
    torque = action - 1.0
    x1, x2, v1, v2 = state[0], state[1], state[2], state[3]
    # The four stages: accelerations a, b, c, d; speeds q, r, s.
    a1, a2 = accelerations(x1, x2, v1, v2, torque)
    q1, q2 = v1 + HALF_STEP * a1, v2 + HALF_STEP * a2
    b1, b2 = accelerations(x1 + HALF_STEP * v1, x2 + HALF_STEP * v2, q1, q2, torque)
    r1, r2 = v1 + HALF_STEP * b1, v2 + HALF_STEP * b2
    c1, c2 = accelerations(x1 + HALF_STEP * q1, x2 + HALF_STEP * q2, r1, r2, torque)
    s1, s2 = v1 + TIME_STEP * c1, v2 + TIME_STEP * c2
    d1, d2 = accelerations(x1 + TIME_STEP * r1, x2 + TIME_STEP * r2, s1, s2, torque)

    x1 = wrapped(x1 + TIME_STEP / 6.0 * (v1 + 2.0 * q1 + 2.0 * r1 + s1))
    x2 = wrapped(x2 + TIME_STEP / 6.0 * (v2 + 2.0 * q2 + 2.0 * r2 + s2))
    v1 += TIME_STEP / 6.0 * (a1 + 2.0 * b1 + 2.0 * c1 + d1)
    v2 += TIME_STEP / 6.0 * (a2 + 2.0 * b2 + 2.0 * c2 + d2)
    state[0], state[1] = x1, x2
    state[2] = min(max(v1, -MAX_SPEED_1), MAX_SPEED_1)
    state[3] = min(max(v2, -MAX_SPEED_2), MAX_SPEED_2)
    terminated = -math.cos(x1) - math.cos(x2 + x1) > HEIGHT
    return 0.0 if terminated else -1.0, terminated


def observe(state: NDArray[np.float64], obs: NDArray[np.float32]) -> None:
    """Observes the angles by their cosines and sines.

    Gymnasium computes these in single precision after a reset, and only then: about 1 in 2,000 of the numbers in first
    observations differs from ours in its last bit.

    Args:
        state: [4], as in `reset`.
        obs: [6], written: cosine and sine of the first angle, of the second angle, and their rates (rad/s).
    """
    obs[0], obs[1] = math.cos(state[0]), math.sin(state[0])
    obs[2], obs[3] = math.cos(state[1]), math.sin(state[1])
    obs[4], obs[5] = state[2], state[3]


_HIGH = np.array([1.0, 1.0, 1.0, 1.0, MAX_SPEED_1, MAX_SPEED_2], np.float32)

ACROBOT_V1 = CompiledEnv(
    "Acrobot-v1",
    reset,
    step,
    observe,
    state_size=4,
    observation_space=gymnasium.spaces.Box(-_HIGH, _HIGH, dtype=np.float32),
    action_space=gymnasium.spaces.Discrete(3),
    max_episode_steps=500,
)
