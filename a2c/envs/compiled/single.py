"""One compiled environment as an ordinary `gymnasium.Env`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.arguments import checked_seed
from a2c.envs.compiled.functions import Declared
from a2c.envs.compiled.stepping import EnvArrays, arrays_for


class SingleEnv(gymnasium.Env[Any, Any]):
    """Steps the machine code of a compiled environment once per call; a seed gives the same episode as in a stepper."""

    def __init__(self, env: Declared, arrays: EnvArrays | None = None, row: int = 0) -> None:
        """Compiles the environment, unless that is done.

        Args:
            env: The compiled environment.
            arrays: The arrays of N of them, if this is to be one of those; None: arrays of its own.
            row: Its row in the arrays.

        Raises:
            UserError: Numba cannot compile one of its functions.
        """
        self.metadata = {"render_modes": []}
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.max_episode_steps = env.max_episode_steps
        functions, self._name = env.functions, env.name
        self._arrays, self._row = arrays_for(env, 1) if arrays is None else arrays, row
        self._begin, self._step = functions.begin.bound(self._arrays), functions.step.bound(self._arrays)
        self._is_box = isinstance(env.action_space, gymnasium.spaces.Box)

    @property
    def state(self) -> NDArray[np.float64]:
        """The state, [state_size]; may be written."""
        state: NDArray[np.float64] = self._arrays.state[self._row]
        return state

    @state.setter
    def state(self, state: NDArray[np.float64]) -> None:
        self._arrays.state[self._row] = state

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins the episode of a seed; without one, of a seed drawn from the generator of the last seed."""
        super().reset(seed=seed)
        key = int(self.np_random.integers(2**31)) if seed is None else checked_seed(seed)
        self._begin(self._row, key)
        return self._arrays.obs[self._row].copy(), {}

    def render(self) -> None:
        """Not supported.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"the compiled form of {self._name} cannot be drawn; set vectorization 'local' for one that can"
        )

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One step."""
        arrays, row = self._arrays, self._row
        if self._is_box:
            arrays.action[row] = action
        else:
            arrays.choice[row] = action
        self._step(row)
        ended, cut = bool(arrays.terminated[row]), bool(arrays.truncated[row])
        return arrays.obs[row].copy(), float(arrays.reward[row]), ended, cut, {}
