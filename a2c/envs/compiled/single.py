"""One compiled environment as an ordinary `gymnasium.Env`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.compiled.stepping import arrays_for, checked_seed


class SingleEnv(gymnasium.Env[Any, Any]):
    """Steps the machine code of a compiled environment once a call. A seed gives the episode it gives everywhere."""

    def __init__(self, env: CompiledEnv) -> None:
        """Compiles the environment where that has not been done.

        Raises:
            UserError: Numba cannot compile one of its functions.
        """
        self.metadata = {"render_modes": []}
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._functions = env.functions
        self._arrays = arrays_for(env, 1)
        self._is_box = isinstance(env.action_space, gymnasium.spaces.Box)

    @property
    def state(self) -> NDArray[np.float64]:
        """The state, [state_size]; to be read or written."""
        state: NDArray[np.float64] = self._arrays.state[0]
        return state

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins an episode: that of the seed, or the next of the generator that the last seed started."""
        super().reset(seed=seed)
        key = int(self.np_random.integers(2**31)) if seed is None else checked_seed(seed)
        self._functions.begin(self._arrays, 0, key)
        return self._arrays.obs[0].copy(), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One step."""
        arrays = self._arrays
        if self._is_box:
            arrays.action[0] = action
        else:
            arrays.choice[0] = action
        self._functions.step(arrays, 0)
        ended, cut = bool(arrays.terminated[0]), bool(arrays.truncated[0])
        return arrays.obs[0].copy(), float(arrays.reward[0]), ended, cut, {}
