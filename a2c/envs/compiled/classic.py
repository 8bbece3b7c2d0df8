"""The compiled forms of Gymnasium's classic control, by Gymnasium's ids; they are registered as `a2c/<id>`."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs import classic_control as theirs
from gymnasium.envs.registration import load_env_creator

from a2c.envs.compiled.form import CompiledEnv


class Classic(NamedTuple):
    """An environment of Gymnasium that has a compiled form."""

    env: Any
    """Gymnasium's class."""
    max_episode_steps: int
    """The time limit with which Gymnasium registers it."""
    reward_threshold: float | None
    """The return at which Gymnasium considers it solved."""
    form: str
    """The compiled form, `module:NAME` within this package. It is imported only when used, as some of these modules
    import Numba."""


CLASSIC_CONTROL = {
    "CartPole-v0": Classic(theirs.CartPoleEnv, 200, 195.0, "cartpole:CARTPOLE_V0"),
    "CartPole-v1": Classic(theirs.CartPoleEnv, 500, 475.0, "cartpole:CARTPOLE_V1"),
    "Acrobot-v1": Classic(theirs.AcrobotEnv, 500, -100.0, "acrobot:ACROBOT_V1"),
    "MountainCar-v0": Classic(theirs.MountainCarEnv, 200, -110.0, "mountain_car:MOUNTAIN_CAR_V0"),
    "MountainCarContinuous-v0": Classic(
        theirs.Continuous_MountainCarEnv, 999, 90.0, "mountain_car:MOUNTAIN_CAR_CONTINUOUS_V0"
    ),
    "Pendulum-v1": Classic(theirs.PendulumEnv, 200, None, "pendulum:PENDULUM_V1"),
}
"""The environments that have a compiled form, by Gymnasium's ids."""

NAMESPACE = "a2c/"
"""The ids of the compiled forms begin so."""


def register_compiled() -> None:
    """Registers `a2c/CartPole-v1` and so on with Gymnasium, for `gymnasium.make` and `gymnasium.make_vec`."""
    for env_id, known in CLASSIC_CONTROL.items():
        if NAMESPACE + env_id not in gymnasium.registry:
            gymnasium.register(
                NAMESPACE + env_id,
                entry_point=f"{__package__}.{known.form}",
                vector_entry_point=f"{__package__}.many:{known.form.partition(':')[2]}",
                max_episode_steps=known.max_episode_steps,
                reward_threshold=known.reward_threshold,
            )


def registered_form(env_id: str) -> CompiledEnv | None:
    """The CompiledEnv that is registered under an id, without arguments and wrappers; else None.

    That is `a2c/<id>`, or a user's own: `gymnasium.register("Line-v0", entry_point=LINE)`.
    """
    spec = gymnasium.registry.get(env_id)
    if spec is None or spec.kwargs or spec.additional_wrappers:
        return None
    form = _loaded(spec.entry_point)
    if not isinstance(form, CompiledEnv) or spec.max_episode_steps not in (None, form.max_episode_steps):
        return None
    return form


def twin(env_id: str) -> str:
    """For `a2c/<id>`, Gymnasium's `<id>`, unless somebody registered one of them again; else the id itself."""
    own = env_id.removeprefix(NAMESPACE)
    if own == env_id or own not in CLASSIC_CONTROL:
        return env_id
    return own if registered_form(env_id) is not None and is_gymnasiums_own(own) else env_id


def is_gymnasiums_own(env_id: str) -> bool:
    """Whether an id of classic control still means what Gymnasium registers under it.

    Anybody may register an id again, with another time limit, arguments or class.
    """
    if env_id not in CLASSIC_CONTROL or env_id not in gymnasium.registry:
        return False
    spec, known = gymnasium.registry[env_id], CLASSIC_CONTROL[env_id]
    if spec.kwargs or spec.additional_wrappers or spec.max_episode_steps != known.max_episode_steps:
        return False
    return _loaded(spec.entry_point) is known.env


def _loaded(entry_point: Any) -> Any:
    """The object behind an entry point; None if there is none or it cannot be imported."""
    if not isinstance(entry_point, str):
        return entry_point
    try:
        return load_env_creator(entry_point)
    except Exception:  # noqa: BLE001 - making the environment will report whatever importing it raises
        return None


def classic_control(env_id: str) -> CompiledEnv | None:
    """The compiled form of Gymnasium's environment of this id; None if it has none."""
    if not is_gymnasiums_own(env_id):
        return None
    form: CompiledEnv = load_env_creator(f"{__package__}.{CLASSIC_CONTROL[env_id].form}")  # type: ignore[assignment]  # a CompiledEnv is callable
    return form
