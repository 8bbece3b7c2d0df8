"""CompiledEnvs: N compiled environments, stepped by one call of machine code."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from a2c.envs.arguments import ActionCheck, one_each, reset_mask, seeds_for
from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.compiled.single import SingleEnv
from a2c.envs.compiled.stepping import arrays_for, failure
from a2c.envs.pool import Event
from a2c.envs.vector import Step, step_of
from a2c.kernels.compiler import compiled
from a2c.randomness import episode_seed

_STATE = ("state", "episode", "key", "steps")


class CompiledEnvs(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """N copies of a compiled environment, with the two faces of `Envs`.

    Episode k of environment i draws from `episode_seed(seed, i, k)`, and after `reset(seed=s)` from what follows from
    s, as the same environment does in `Envs`: the numbers are the same.
    """

    placement = "compiled"
    num_workers = 0
    autoreset_mode = AutoresetMode.SAME_STEP

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
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": []}
        self.render_mode = None
        self.single_observation_space, self.single_action_space = env.observation_space, env.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.functions = env.functions
        self.arrays = arrays_for(env, num_envs)
        self._env = env
        self._is_box = isinstance(env.action_space, gymnasium.spaces.Box)
        self._check_action = ActionCheck(env.action_space, num_envs)
        # What the seeds of episodes follow from, and the number of the episode from which on they do, [N] each; and
        # whether some environment was given a seed of its own.
        self._root, self._first = np.full(num_envs, seed, np.int64), np.zeros(num_envs, np.int64)
        self._given, self._is_given = np.zeros(num_envs, np.bool_), False
        self._posted: NDArray[Any] | None = None  # actions of `step_async`

    def __len__(self) -> int:
        """N."""
        return self.num_envs

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
            ValueError: The actions have another shape or kind, or one is outside a Discrete.
            ResetNeeded: An environment was never reset.
            EnvError: A function of the environment raised.
        """
        self._require_begun("advance")
        self._check_action(action)
        arrays = self.arrays
        (arrays.action if self._is_box else arrays.choice)[...] = action
        _call(self.functions.advance, arrays, 0, self.num_envs, self.seed)
        error = failure(arrays)
        if error is not None:
            raise error
        if self._is_given:  # Machine code knows one seed for all.
            for n in np.flatnonzero(arrays.terminated | arrays.truncated).tolist():
                self.functions.begin(arrays, n, self._seed_of(n))
        return step_of(arrays.obs, arrays.final_obs, arrays.reward, arrays.terminated, arrays.truncated)

    @property
    def machine_code(self) -> CompiledEnvs:
        """What steps them without returning to Python."""
        return self

    @property
    def mask(self) -> NDArray[np.uint8]:
        """[N, 0]: their actions cannot be forbidden."""
        return np.ones((self.num_envs, 0), np.uint8)

    def failure(self, error: Exception) -> None:
        """Nothing: their steps are not recorded."""

    def mark(self) -> None:
        """Nothing to do: `state` is always as of now."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Where every environment stands; no step need be taken again."""
        state = {name: getattr(self.arrays, name).copy() for name in _STATE}
        return state | {"root": self._root.copy(), "first": self._first.copy()} if self._is_given else state

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
        seeds = {name: state[name] for name in ("root", "first") if "root" in state}
        own = {"root": self._root, "first": self._first}
        for name, array in [*((name, state[name]) for name in _STATE), ("obs", obs), *seeds.items()]:
            ours = own[name] if name in own else getattr(self.arrays, name)
            if array.shape != ours.shape or array.dtype != ours.dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be {ours.dtype} {ours.shape}")
        if not np.isfinite(obs).all():
            raise ValueError("obs holds what is not finite")
        for name in ("episode", "key", "steps"):
            if (state[name] < 0).any():
                raise ValueError(f"{name} holds {state[name].min()}; it must be at least 0")
        for name in _STATE:
            getattr(self.arrays, name)[...] = state[name]
        self._given[...] = self._is_given = "root" in state
        self._root[...] = state.get("root", self.seed)
        self._first[...] = state.get("first", 0)
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
            seed: One for all (environment i gets seed + i), or one each; the later episodes follow from it, too. None:
                each environment goes on to its next episode.
            options: Nothing else is read from them.

        Returns:
            Observations [N, ...] and no infos.

        Raises:
            ValueError: Not as many seeds as environments, a seed outside 0..2**63-1, or a mask of another kind
                or of nobody.
            ClosedEnvironmentError: They are closed.
            AlreadyPendingCallError: A step is under way.
        """
        self._require_in_step("reset")
        seeds, mask = seeds_for(seed, self.num_envs), reset_mask(options, self.num_envs)
        for n in np.flatnonzero(mask).tolist():
            self._begin(n, seeds[n])
        return self.arrays.obs.copy(), {}

    def step_async(self, actions: Any) -> None:
        """Takes the actions [N, ...]; `step_wait` brings what they lead to.

        Raises:
            TypeError: One number for all.
            ValueError: The actions have another shape or kind, one is outside a Discrete, or NaN.
            ResetNeeded: An environment was never reset.
        """
        self._require_begun("step_async")
        self._posted = self._check_action.read(actions)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Steps every environment and begins anew where an episode ended.

        There infos["final_obs"] holds its last observation, and infos["_final_obs"] says where that is.

        Raises:
            NoAsyncCallError: No step is under way.
            EnvError: A function of the environment raised.
        """
        if self._posted is None:
            raise gymnasium.error.NoAsyncCallError("step_wait was called without step_async before it", "step")
        actions, self._posted = self._posted, None
        step = self.advance(actions)
        done = step.terminated | step.truncated
        infos: dict[str, Any] = {}
        if done.any():
            final = np.full(self.num_envs, None, object)
            for n in np.flatnonzero(done):
                final[n] = self.arrays.final_obs[n].copy()
            infos = {"final_obs": final, "_final_obs": done}
        return step.obs.copy(), step.reward.copy(), step.terminated.copy(), step.truncated.copy(), infos

    def step(
        self, actions: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """`step_async` and `step_wait`."""
        self.step_async(actions)
        return self.step_wait()

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Each environment's method called with the same arguments, or its attribute read; in order."""
        self._require_in_step("call")
        found = [getattr(one, name) for one in self._singles]
        return tuple(one(*args, **kwargs) if callable(one) else one for one in found)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Each environment's attribute, in order: `state`, say."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Sets an attribute: a list or tuple gives each environment its own value, anything else is for all.

        Raises:
            AttributeError: The compiled form has none of that name: nothing would ever read it.
        """
        values = one_each(values, self.num_envs)
        self._require_in_step("set_attr")
        if name not in dir(self._singles[0]):
            raise AttributeError(
                f"the compiled form of {self._env.name} has no attribute {name!r}; its dynamics are fixed, and "
                "vectorization 'local' makes environments whose are not"
            )
        for one, value in zip(self._singles, values, strict=True):
            setattr(one, name, value)

    def render(self) -> None:
        """Draws nothing.

        Raises:
            NotImplementedError: Always; it says what draws.
        """
        raise NotImplementedError(f"the compiled form of {self._env.name} draws nothing; vectorization 'local' does")

    @property  # type: ignore[misc]  # VectorEnv lets it be set; here, as in SyncVectorEnv, each environment has its own
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]  # as above
        """A generator each, as an ordinary environment has after a reset with that seed; machine code needs none."""
        return tuple(seeding.np_random(seed)[0] for seed in self.np_random_seed)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # one each, as SyncVectorEnv has
        """What each environment's course follows from: the seed of the last reset that gave one, else its episode's."""
        return tuple(np.where(self._given, self._root, self.arrays.key).tolist())

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing is open; takes what `AsyncVectorEnv.close` does."""

    @functools.cached_property
    def _singles(self) -> list[SingleEnv]:
        """Each of them as an ordinary environment."""
        return [SingleEnv(self._env, self.arrays, n) for n in range(self.num_envs)]

    def _begin(self, n: int, seed: int | None) -> None:
        """Begins the next episode of environment n: from a seed, from which the later ones follow, or its own."""
        self.arrays.episode[n] += 1
        if seed is not None:
            self._root[n], self._first[n] = seed, self.arrays.episode[n]
            self._given[n] = self._is_given = True
        self.functions.begin(self.arrays, n, self._seed_of(n) if seed is None else seed)

    def _seed_of(self, n: int) -> int:
        """The seed of the episode of environment n that is under way, where it was begun without one."""
        return episode_seed(int(self._root[n]), n, int(self.arrays.episode[n] - self._first[n]))

    def _require_begun(self, name: str) -> None:
        self._require_in_step(name)
        if self.arrays.episode.min() < 0:
            n = int(self.arrays.episode.argmin())
            raise gymnasium.error.ResetNeeded(f"{name} was called before reset of environment {n}")

    def _require_in_step(self, name: str) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError(f"{name} was called after close")
        if self._posted is not None:
            raise gymnasium.error.AlreadyPendingCallError(f"{name} was called before step_wait", "step")


@compiled
def _call(advance: Any, arrays: Any, first: int, count: int, seed: int) -> None:
    advance(arrays, first, count, seed)
