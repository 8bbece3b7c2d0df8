"""Gymnasium's classic control in compiled form, by Gymnasium's ids."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.envs import classic_control as theirs
from gymnasium.envs.registration import load_env_creator

from a2c.envs.compiled.form import CompiledEnv

CLASSIC_CONTROL: dict[str, tuple[Any, int]] = {
    "CartPole-v0": (theirs.CartPoleEnv, 200),
    "CartPole-v1": (theirs.CartPoleEnv, 500),
    "Acrobot-v1": (theirs.AcrobotEnv, 500),
    "MountainCar-v0": (theirs.MountainCarEnv, 200),
    "MountainCarContinuous-v0": (theirs.Continuous_MountainCarEnv, 999),
    "Pendulum-v1": (theirs.PendulumEnv, 200),
}
"""What there is in compiled form: Gymnasium's class, and the time limit under which Gymnasium registers it."""


def is_gymnasiums_own(env_id: str) -> bool:
    """Whether an id of classic control stands for what Gymnasium registers under it.

    Anybody may register an id again, with another time limit, reward or class; a name is not an environment.
    """
    if env_id not in CLASSIC_CONTROL or env_id not in gymnasium.registry:
        return False
    spec, (own_class, limit) = gymnasium.registry[env_id], CLASSIC_CONTROL[env_id]
    if spec.entry_point is None or spec.kwargs or spec.additional_wrappers or spec.max_episode_steps != limit:
        return False
    entry_point: Any = spec.entry_point
    if isinstance(entry_point, str):
        try:
            entry_point = load_env_creator(entry_point)
        except Exception:  # noqa: BLE001 - whatever importing it raises is said where the environment is made
            return False
    return entry_point is own_class


def classic_control(env_id: str) -> CompiledEnv | None:
    """The compiled form of an environment, or None where there is none."""
    if not is_gymnasiums_own(env_id):
        return None
    # Imported one by one: some of these modules compile something as they are imported.
    match env_id:
        case "CartPole-v0" | "CartPole-v1":
            from a2c.envs.compiled import cartpole

            return cartpole.CARTPOLE_V0 if env_id == "CartPole-v0" else cartpole.CARTPOLE_V1
        case "Acrobot-v1":
            from a2c.envs.compiled import acrobot

            return acrobot.ACROBOT_V1
        case "MountainCar-v0":
            from a2c.envs.compiled import mountain_car

            return mountain_car.MOUNTAIN_CAR_V0
        case "MountainCarContinuous-v0":
            from a2c.envs.compiled import mountain_car

            return mountain_car.MOUNTAIN_CAR_CONTINUOUS_V0
        case "Pendulum-v1":
            from a2c.envs.compiled import pendulum

            return pendulum.PENDULUM_V1
        case _:
            return None
