"""The functions that `gymnasium.make_vec("a2c/CartPole-v1", 1024)` calls, one for each compiled form."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from typing import Any

from a2c.envs.compiled.classic import CLASSIC_CONTROL
from a2c.envs.make import make_envs
from a2c.envs.vector import Envs
from a2c.errors import UserError

_IDS = {known.form.partition(":")[2]: env_id for env_id, known in CLASSIC_CONTROL.items()}


def __getattr__(name: str) -> Callable[..., Envs]:
    """`CARTPOLE_V1(num_envs=N)` and so on: N compiled environments behind one `gymnasium.vector.VectorEnv`."""
    if name not in _IDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return functools.partial(_many, _IDS[name])


def _many(env_id: str, num_envs: int, max_episode_steps: int | None = None, **kwargs: Any) -> Envs:
    limit = CLASSIC_CONTROL[env_id].max_episode_steps
    if max_episode_steps not in (None, limit):
        raise UserError(
            f"max_episode_steps is {max_episode_steps}; a vector environment of a2c/{env_id} has the fixed limit "
            f"{limit}; set vectorization_mode='sync' to change it"
        )
    # As in Gymnasium, a `reset` without a seed gives other episodes every time.
    return make_envs(env_id, num_envs, env_kwargs=kwargs, vectorization="compiled", seed=secrets.randbelow(2**31))
