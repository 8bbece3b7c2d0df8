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
from a2c.envs.compiled.stepping import MachineCode, arrays_for, failure
from a2c.envs.history import Course
from a2c.envs.memory import Block
from a2c.envs.stepper import Arrays, Event, Info
from a2c.kernels.compiler import compiled
from a2c.randomness import episode_seed

_STATE = ("state", "episode", "key", "steps")


class CompiledStepper:
    """A `Stepper` of N copies of a compiled environment.

    Episode k of environment i draws from `episode_seed(seed, i, k)`, and after a reset with a seed from what follows
    from that, as the same environment does elsewhere: the numbers are the same. Where an environment stands is in its
    state: no step need be taken again, and none is recorded.

    Attributes:
        arrays: What machine code works on.
    """

    placement = "compiled"
    num_workers = num_here = beats = at = 0
    broken = is_stepping = False

    def __init__(self, env: CompiledEnv, num_envs: int, seed: int) -> None:
        """Compiles the environment where that has not been done.

        Args:
            env: What is copied.
            num_envs: N.
            seed: Decides every episode.

        Raises:
            UserError: Numba cannot compile one of its functions.
        """
        self.num_envs, self._seed = num_envs, seed
        self.events: list[Event] = []
        self._functions = env.functions
        self.arrays = arrays = arrays_for(env, num_envs)
        self._env = env
        is_box = isinstance(env.action_space, gymnasium.spaces.Box)
        mask = np.zeros((num_envs, 0), np.uint8)  # Their actions cannot be forbidden.
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
        # What the seeds of episodes follow from, and the number of the episode from which on they do, [N] each; whether
        # that was given to a reset; and whether some of it is not what machine code knows.
        self._root, self._first = np.full(num_envs, seed, np.int64), np.zeros(num_envs, np.int64)
        self._given, self._is_given = np.zeros(num_envs, np.bool_), False

    @property
    def machine_code(self) -> MachineCode:
        """What steps them without returning to Python."""
        return MachineCode(self.arrays, self._functions.advance)

    def hold(self) -> None:
        """Nothing to do: nobody steps them from here in Python."""

    def release(self) -> None:
        """Nothing to do."""

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of the masked environments; there are no infos, and options are not read."""
        for n in np.flatnonzero(mask).tolist():
            seed = seeds[n]
            self.arrays.episode[n] += 1
            if seed is not None:
                self._root[n], self._first[n] = seed, self.arrays.episode[n]
                self._given[n] = self._is_given = True
            self._functions.begin(self.arrays, n, self._seed_of(n) if seed is None else seed)
        return [{} for _ in range(self.num_envs)]

    def begin_anew(self, seed: int) -> None:
        """From the next reset on, the environments go through the episodes of another seed, as if made with it."""
        self._root[...], self._first[...], self._given[...] = seed, self.arrays.episode + 1, False
        self._is_given = True

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Takes the actions [N, ...]."""
        self.block.action[...] = action

    def finish(self) -> list[Info]:
        """Steps every environment and begins anew where an episode ended; there are no infos.

        Raises:
            EnvError: A function of the environment raised.
        """
        arrays = self.arrays
        _call(self._functions.advance, arrays, 0, self.num_envs, self._seed)
        error = failure(arrays)
        if error is not None:
            raise error
        if self._is_given:  # Machine code knows one seed for all.
            for n in np.flatnonzero(arrays.terminated | arrays.truncated).tolist():
                self._functions.begin(arrays, n, self._seed_of(n))
        return [{} for _ in range(self.num_envs)]

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; -1 where there was no reset."""
        return self.arrays.episode.copy()

    def mark(self) -> None:
        """Nothing to do: `state` is always as of now."""

    def bound(self) -> None:
        """Nothing to do: nothing is remembered."""

    def state(self) -> Arrays:
        """Where every environment stands."""
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
        self._root[...] = state.get("root", self._seed)
        self._first[...] = state.get("first", 0)
        self.arrays.obs[...] = obs
        self.arrays.failed[...] = False
        return np.zeros(self.num_envs, np.bool_)

    def take_events(self) -> list[Event]:
        """Nothing ever happens to them."""
        return []

    def course_to(self, n: int) -> Course:
        """Never called: this process steps none of them in Python."""
        raise NotImplementedError

    def failure(self, error: Exception) -> None:
        """Nothing: their steps are not recorded."""

    def failure_at(self, n: int, episode: int, length: int, steps_ago: int) -> None:
        """Nothing: their steps are not recorded."""

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called with the same arguments, or its attribute read; [N]."""
        found = [getattr(one, name) for one in self._singles]
        return [one(*args, **kwargs) if callable(one) else one for one in found]

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Sets an attribute of each environment to its own value, [N].

        Raises:
            AttributeError: The compiled form has none of that name: nothing would ever read it.
        """
        if name not in dir(self._singles[0]):
            raise AttributeError(
                f"the compiled form of {self._env.name} has no attribute {name!r}; its dynamics are fixed, and "
                "vectorization 'local' makes environments whose are not"
            )
        for one, value in zip(self._singles, values, strict=True):
            setattr(one, name, value)

    def generators(self) -> list[np.random.Generator]:
        """A generator each, as an ordinary environment has after a reset with that seed; machine code needs none."""
        return [seeding.np_random(seed)[0] for seed in self.generator_seeds()]

    def generator_seeds(self) -> list[int]:
        """What each environment's course follows from: the seed of the last reset that gave one, else its episode's."""
        seeds: list[int] = np.where(self._given, self._root, self.arrays.key).tolist()
        return seeds

    def close(self) -> None:
        """Nothing is open."""

    @functools.cached_property
    def _singles(self) -> list[SingleEnv]:
        """Each of them as an ordinary environment."""
        return [SingleEnv(self._env, self.arrays, n) for n in range(self.num_envs)]

    def _seed_of(self, n: int) -> int:
        """The seed of the episode of environment n that is under way, where it was begun without one."""
        return episode_seed(int(self._root[n]), n, int(self.arrays.episode[n] - self._first[n]))


@compiled
def _call(advance: Any, arrays: Any, first: int, count: int, seed: int) -> None:
    advance(arrays, first, count, seed)
