"""CompiledEnvs: N compiled environments, stepped by one call of machine code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.compiled.stepping import arrays_for, checked_seed, failure
from a2c.envs.pool import Event
from a2c.envs.vector import Step, reset_mask, seeds_for, step_of
from a2c.kernels.compiler import compiled
from a2c.randomness import episode_seed

_STATE = ("state", "episode", "key", "steps")


class CompiledEnvs(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """N copies of a compiled environment, with the two faces of `Envs`.

    Episode k of environment i draws from `episode_seed(seed, i, k)`, as the same environment does in `Envs`: the
    numbers are the same.
    """

    placement = "compiled"

    def __init__(self, env: CompiledEnv, num_envs: int, seed: int) -> None:
        """Compiles the environment where that has not been done.

        Args:
            env: What is copied.
            num_envs: N.
            seed: Decides every episode.

        Raises:
            UserError: Numba cannot compile one of its functions.
        """
        self.num_envs, self.seed = num_envs, seed
        self.spec = None
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.render_mode = None
        self.single_observation_space, self.single_action_space = env.observation_space, env.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.functions = env.functions
        self.arrays = arrays_for(env, num_envs)
        self._is_box = isinstance(env.action_space, gymnasium.spaces.Box)

    @property
    def episodes(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; a view."""
        return self.arrays.episode

    @property
    def obs(self) -> NDArray[np.float32]:
        """[N, ...] what to act on next; a view."""
        return self.arrays.obs

    def begin(self) -> NDArray[np.float32]:
        """Begins the next episode of every environment and returns the observations, [N, ...]."""
        for n in range(self.num_envs):
            self._begin(n, None)
        return self.arrays.obs

    def advance(self, action: NDArray[Any]) -> Step:
        """Steps every environment: action [N, ...], numbered and scaled as the space says.

        Raises:
            ValueError: The actions have another shape or kind.
            EnvError: A function of the environment raised.
        """
        arrays = self.arrays
        actions = arrays.action if self._is_box else arrays.choice
        if action.shape != actions.shape or not np.can_cast(action.dtype, actions.dtype, "same_kind"):
            raise ValueError(
                f"the actions are {action.dtype} {action.shape}; they must be {actions.dtype} {actions.shape}"
            )
        actions[...] = action
        _call(self.functions.advance, arrays, 0, self.num_envs, self.seed)
        error = failure(arrays)
        if error is not None:
            raise error
        return step_of(arrays.obs, arrays.final_obs, arrays.reward, arrays.terminated, arrays.truncated)

    def mark(self) -> None:
        """Nothing to do: `state` is always as of now."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Where every environment stands; no step need be taken again."""
        return {name: getattr(self.arrays, name).copy() for name in _STATE}

    def restore(self, state: dict[str, NDArray[Any]], obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Puts every environment where it stood.

        Args:
            state: What `state` gave.
            obs: [N, ...] what was observed there.

        Returns:
            [N] False: none is anywhere else.

        Raises:
            KeyError: The state lacks an array.
            ValueError: An array has another shape or type, or an observation is not finite.
        """
        for name, array in [*((name, state[name]) for name in _STATE), ("obs", obs)]:
            ours = getattr(self.arrays, name)
            if array.shape != ours.shape or array.dtype != ours.dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be {ours.dtype} {ours.shape}")
        if not np.isfinite(obs).all():
            raise ValueError("obs holds what is not finite")
        for name in ("episode", "key", "steps"):
            if (state[name] < 0).any():
                raise ValueError(f"{name} holds {state[name].min()}; it must be at least 0")
        for name in _STATE:
            getattr(self.arrays, name)[...] = state[name]
        self.arrays.obs[...] = obs
        self.arrays.failed[...] = False
        return np.zeros(self.num_envs, np.bool_)

    def failure_at(self, n: int, episode: int, length: int, steps_ago: int) -> None:
        """Nothing: their steps are not recorded."""

    def take_events(self) -> list[Event]:
        """Nothing ever happens to them."""
        return []

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins an episode in every environment, or in those of `options["reset_mask"]`, [N] of bool.

        Args:
            seed: One for all (environment i gets seed + i), or one each; None: the episodes' own.
            options: Nothing else is read from them.

        Returns:
            Observations [N, ...] and no infos.

        Raises:
            ValueError: Not as many seeds as environments, a seed outside 0..2**63-1, or a mask of another kind
                or of nobody.
        """
        seeds, mask = seeds_for(seed, self.num_envs), reset_mask(options, self.num_envs)
        for n in np.flatnonzero(mask).tolist():
            self._begin(n, seeds[n])
        return self.arrays.obs.copy(), {}

    def step(
        self, actions: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Steps every environment and begins anew where an episode ended.

        There infos["final_obs"] holds its last observation, and infos["_final_obs"] says where that is.
        """
        step = self.advance(np.asarray(actions))
        done = step.terminated | step.truncated
        infos: dict[str, Any] = {}
        if done.any():
            final = np.full(self.num_envs, None, object)
            for n in np.flatnonzero(done):
                final[n] = self.arrays.final_obs[n].copy()
            infos = {"final_obs": final, "_final_obs": done}
        return step.obs.copy(), step.reward.copy(), step.terminated.copy(), step.truncated.copy(), infos

    def _begin(self, n: int, seed: int | None) -> None:
        """Begins the next episode of environment n, from its own seed if none is given."""
        self.arrays.episode[n] += 1
        own = episode_seed(self.seed, n, int(self.arrays.episode[n]))
        self.functions.begin(self.arrays, n, own if seed is None else checked_seed(int(seed)))


@compiled
def _call(advance: Any, arrays: Any, first: int, count: int, seed: int) -> None:
    advance(arrays, first, count, seed)
