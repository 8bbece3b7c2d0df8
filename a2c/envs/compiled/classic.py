"""Gymnasium's classic control in compiled form, by Gymnasium's ids."""

from __future__ import annotations

from a2c.envs.compiled.form import CompiledEnv

CLASSIC_CONTROL = (
    "CartPole-v0",
    "CartPole-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
)


def classic_control(env_id: str) -> CompiledEnv | None:
    """The compiled form of an environment, or None where there is none."""
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
