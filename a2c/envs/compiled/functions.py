"""The types of a CompiledEnv's functions, before and after they are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from a2c.kernels.machine_code import Function

State = NDArray[np.float64]
Reset = Callable[[State, NDArray[np.float64]], None]
Step = Callable[[State, Any, NDArray[np.float64]], tuple[float, bool]]
Observe = Callable[[State, NDArray[np.float32]], None]


class Functions(NamedTuple):
    """The machine code of an environment; `envs` is a `a2c.envs.compiled.stepping.EnvArrays`."""

    begin: Function
    """begin(envs, n, key): begins an episode in environment n with the random numbers of a key."""
    step: Function
    """step(envs, n): steps environment n; if its episode ends, no other begins."""
    advance: Function
    """advance(envs, first, count, seed): steps environments first..first+count-1; then the next ones begin."""


class Declared(Protocol):
    """What `a2c.CompiledEnv` declares: sizes, spaces, machine code."""

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
