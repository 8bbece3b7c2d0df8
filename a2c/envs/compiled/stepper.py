"""CompiledStepper: N compiled environments, stepped by one call of machine code."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.compiled.single import SingleEnv
from a2c.envs.compiled.stepping import MachineCode, arrays_for, env_error
from a2c.envs.history import Recording
from a2c.envs.memory import Block
from a2c.envs.stepper import Arrays, Event, Info
from a2c.kernels.layout import Bound
from a2c.randomness import episode_seed

_STATE = ("state", "episode", "key", "steps")


class CompiledStepper:
    """A `Stepper` of N copies of a compiled environment.

    Episode k of environment i draws from `episode_seed(seed, i, k)`, as with every other stepper, so a CompiledEnv
    gives the same numbers everywhere. The state of an environment is an array, so it is saved and restored directly:
    nothing is replayed, and no actions are recorded.

    Attributes:
        arrays: The environments, for machine code.
    """

    placement = "compiled"
    num_workers = num_here = beats = at = 0
    broken = is_stepping = False

    def __init__(self, env: CompiledEnv, num_envs: int, seed: int) -> None:
        """Allocates the environments, which are compiled when the first one begins.

        Args:
            env: The compiled environment.
            num_envs: N.
            seed: Decides every episode.
        """
        self.num_envs, self._seed = num_envs, seed
        self.events: list[Event] = []
        self.arrays = arrays = arrays_for(env, num_envs)
        self._env = env
        is_box = isinstance(env.action_space, gymnasium.spaces.Box)
        mask = np.zeros((num_envs, 0), np.uint8)  # They have no action masks.
        self.block = Block(
            arrays.action if is_box else arrays.choice,
            arrays.obs,
            arrays.final_obs,
            arrays.reward,
            arrays.terminated,
            arrays.truncated,
            np.zeros(num_envs, np.bool_),  # They have no lives.
            mask,
            np.zeros((num_envs, 0)),  # Nor infos.
        )
        # Episode `first + j` has the seed episode_seed(root, n, j), [N] each; whether the root was passed to a reset;
        # and whether any differs from (seed, 0), the only ones that machine code knows.
        self._root, self._first = np.full(num_envs, seed, np.int64), np.zeros(num_envs, np.int64)
        self._given, self._is_given = np.zeros(num_envs, np.bool_), False

    @property
    def machine_code(self) -> MachineCode:
        """The arrays and the function that steps them without returning to Python."""
        return MachineCode(self.arrays, self._env)

    @functools.cached_property
    def _begin(self) -> Bound:
        return self._env.functions.begin.bound(self.arrays)

    @functools.cached_property
    def _advance(self) -> Bound:
        return self._env.functions.advance.bound(self.arrays)

    def hold(self) -> None:
        """Nothing to do: Python steps none of them."""

    def release(self) -> None:
        """Nothing to do."""

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of the masked environments; infos are empty, and options are ignored."""
        for n in np.flatnonzero(mask).tolist():
            seed = seeds[n]
            self.arrays.episode[n] += 1
            if seed is not None:
                self._root[n], self._first[n] = seed, self.arrays.episode[n]
                self._given[n] = self._is_given = True
            self._begin(n, self._seed_of(n) if seed is None else seed)
        return [{} for _ in range(self.num_envs)]

    def begin_anew(self, seed: int) -> None:
        """Behaves, from the next reset on, as if made with another seed."""
        self._root[...], self._first[...], self._given[...] = seed, self.arrays.episode + 1, False
        self._is_given = True

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Takes the actions [N, ...]."""
        self.block.action[...] = action

    def finish(self) -> list[Info]:
        """Steps every environment and begins the next episode of those whose episode ended; there are no infos.

        Raises:
            EnvError: A function of the environment raised.
        """
        arrays = self.arrays
        self._advance(0, self.num_envs, self._seed)
        error = env_error(arrays)
        if error is not None:
            raise error
        if self._is_given:  # Machine code began them with the one seed that it knows: begin them again with theirs.
            for n in np.flatnonzero(arrays.terminated | arrays.truncated).tolist():
                self._begin(n, self._seed_of(n))
        return [{} for _ in range(self.num_envs)]

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; -1: never reset."""
        return self.arrays.episode.copy()

    def mark(self) -> None:
        """Nothing to do: `state` always describes the present."""

    def bound(self) -> None:
        """Nothing to do: no actions are recorded."""

    def state(self) -> Arrays:
        """The present state of every environment."""
        state = {name: getattr(self.arrays, name).copy() for name in _STATE}
        return state | {"root": self._root.copy(), "first": self._first.copy()} if self._is_given else state

    def restore(self, state: dict[str, NDArray[Any]], obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Puts every environment into a state.

        Args:
            state: What `state` returned.
            obs: [N, ...] the observations in that state.

        Returns:
            [N] False: every one of them is restored.

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
            raise ValueError("obs holds numbers that are not finite")
        for name in ("episode", "key", "steps"):
            if (state[name] < 0).any():
                raise ValueError(f"{name} holds {state[name].min()}; it must be at least 0")
        for name in _STATE:
            getattr(self.arrays, name)[...] = state[name]
        self._given[...] = self._is_given = "root" in state
        self._root[...] = state.get("root", self._seed)
        self._first[...] = state.get("first", 0)
        self.arrays.obs[...] = obs
        self.arrays.failed[...] = False
        return np.zeros(self.num_envs, np.bool_)

    def take_events(self) -> list[Event]:
        """None: machine code has no events."""
        return []

    def recording_to(self, n: int) -> Recording:
        """Never called: Python steps none of them."""
        raise NotImplementedError

    def failed_episode(self, error: Exception) -> None:
        """Nothing: their steps are not recorded."""

    def episode_up_to(self, n: int, episode: int, length: int, steps_ago: int) -> None:
        """Nothing: their steps are not recorded."""

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called with the same arguments, or its attribute read; [N]."""
        found = [getattr(one, name) for one in self._singles]
        return [one(*args, **kwargs) if callable(one) else one for one in found]

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Sets an attribute of each environment to its own value, [N].

        Raises:
            AttributeError: The compiled form has no attribute of that name, so nothing would ever read it.
        """
        if name not in dir(self._singles[0]):
            raise AttributeError(
                f"the compiled form of {self._env.name} has no attribute {name!r}, as its dynamics are fixed; set "
                "vectorization 'local' for environments that can be changed"
            )
        for one, value in zip(self._singles, values, strict=True):
            setattr(one, name, value)

    def generators(self) -> list[np.random.Generator]:
        """The generator that each would have as an ordinary environment after a reset; machine code uses none."""
        return [seeding.np_random(seed)[0] for seed in self.generator_seeds()]

    def generator_seeds(self) -> list[int]:
        """[N] the seed that was last passed to a reset of each environment; if none was, that of its episode."""
        seeds: list[int] = np.where(self._given, self._root, self.arrays.key).tolist()
        return seeds

    def close(self) -> None:
        """Nothing is open."""

    @functools.cached_property
    def _singles(self) -> list[SingleEnv]:
        """Each of them as an ordinary environment on the same arrays."""
        return [SingleEnv(self._env, self.arrays, n) for n in range(self.num_envs)]

    def _seed_of(self, n: int) -> int:
        """The seed of environment n's episode under way, if its reset was passed none."""
        return episode_seed(int(self._root[n]), n, int(self.arrays.episode[n] - self._first[n]))
