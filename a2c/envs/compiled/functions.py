"""The three functions that make an environment, and what compiled code needs to know of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

State = NDArray[np.float64]
Reset = Callable[[State, NDArray[np.float64]], None]
Step = Callable[[State, Any, NDArray[np.float64]], tuple[float, bool]]
Observe = Callable[[State, NDArray[np.float32]], None]


class Functions(NamedTuple):
    """What is compiled of an environment, for `a2c.envs.compiled.stepping.EnvArrays`."""

    begin: Any
    """begin(envs, n, key): starts an episode in environment n from the random numbers of a key."""
    step: Any
    """step(envs, n): steps environment n; does not begin anew where its episode ends."""
    advance: Any
    """advance(envs, first, count, seed): steps environments first..first+count-1, and begins anew where one ended."""


class Declared(Protocol):
    """An environment as `a2c.CompiledEnv` declares it: its numbers, its spaces, its machine code."""

    name: str
    observation_space: gymnasium.spaces.Box
    action_space: gymnasium.spaces.Discrete | gymnasium.spaces.Box
    max_episode_steps: int | None
    state_size: int
    reset_randoms: int
    step_randoms: int

    @property
    def functions(self) -> Functions:
        """The compiled functions."""
        ...
