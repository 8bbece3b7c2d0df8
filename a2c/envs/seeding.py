"""Randomness that `reset(seed=...)` does not reach: spaces are seeded here; process-wide generators are detected."""

from __future__ import annotations

import contextlib
import copy
import random
import weakref
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

PYTHONS, NUMPYS = 1, 2
"""Bits that stand for the process-wide generators `random` and `np.random`."""

_NAMES = {PYTHONS: "Python's random", NUMPYS: "NumPy's np.random"}

_LOOKS_EVERY = 1024
_MASK128 = (1 << 128) - 1


_taken: weakref.WeakValueDictionary[int, gymnasium.Space[Any]] = weakref.WeakValueDictionary()
"""Spaces that belong to an environment of this process, by id()."""


def give_own_spaces(env: gymnasium.Env[Any, Any]) -> None:
    """Copies the spaces that an environment shares with others, so that others do not advance their generators.

    A space may be an attribute of the class, or one object that several environments use, whole or as a part.
    """
    copies: dict[int, Any] = {}  # So that a space with two names stays one space.
    for layer, name, space in _with_names(env):
        if isinstance(layer, gymnasium.Wrapper) and space is getattr(layer.env, name, None):
            continue  # The wrapper passes on the space of the layer below.
        of_class = vars(type(layer)).get(name)
        if (of_class is not None and not isinstance(of_class, property)) or any(
            _taken.get(id(part)) is part for part in _undivided([space])
        ):
            with contextlib.suppress(AttributeError, TypeError):  # A class with __slots__ may not allow it.
                setattr(layer, name, copy.deepcopy(space, copies))
    for part in _undivided([space for _, _, space in _with_names(env)]):
        _taken[id(part)] = part


def _with_names(env: gymnasium.Env[Any, Any]) -> Iterator[tuple[Any, str, gymnasium.Space[Any]]]:
    """(layer, attribute, space) for the spaces of an environment and of its wrappers, the outermost first."""
    layer: Any = env
    while True:
        for name in ("action_space", "observation_space"):
            if isinstance(space := getattr(layer, name, None), gymnasium.Space):
                yield layer, name, space
        if not isinstance(layer, gymnasium.Wrapper):
            return
        layer = layer.env


class Spaces:
    """Seeds what an environment's reset may leave unseeded: the spaces of all its layers, and `np_random`.

    If a reset does not pass its seed on (`super().reset(seed=seed)`), the operating system would seed `np_random`. So
    we put a generator of ours there, until a reset replaces it with a seeded one.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        """Replaces `np_random`; spaces are looked up when `seed` is called, as the environment may replace them."""
        self._env, self._own = env, env.unwrapped
        self._ours: np.random.Generator | None = None
        # Not if the class overrides `np_random`: it may be anything.
        if getattr(type(self._own), "np_random", None) is gymnasium.Env.np_random:
            self._ours = self._own.np_random = np.random.Generator(np.random.PCG64(0))
        self._found: tuple[Any, Any] = (None, None)
        self._generators: list[np.random.PCG64] = []
        self._others: list[gymnasium.Space[Any]] = []

    def seed(self, seed: int) -> None:
        """Makes all later samples a function of the seed.

        `space.seed` makes a new generator, which takes as long as two steps of CartPole, and most environments never
        sample. Setting the state of the existing generator takes a tenth of that.
        """
        if self._own.action_space is not self._found[0] or self._own.observation_space is not self._found[1]:
            self._find()
        if self._ours is not None and self._own.np_random is not self._ours:
            self._ours = None  # The environment's reset has seeded it.
        if self._ours is not None:
            _put(self._ours.bit_generator, seed, len(self._generators))
        for number, generator in enumerate(self._generators):
            _put(generator, seed, number)
        for space in self._others:
            space.seed(seed)

    def _find(self) -> None:
        """Collects each space once, from the outermost wrapper to the environment itself."""
        self._found = self._own.action_space, self._own.observation_space
        self._generators, self._others = [], []
        for space in _undivided([space for _, _, space in _with_names(self._env)]):
            # Other spaces may consist of several, each with a generator: those are seeded by `space.seed`.
            if isinstance(space, _SINGLE) and isinstance(space.np_random.bit_generator, np.random.PCG64):
                self._generators.append(space.np_random.bit_generator)
            else:
                self._others.append(space)


_SINGLE = (
    gymnasium.spaces.Box,
    gymnasium.spaces.Discrete,
    gymnasium.spaces.MultiDiscrete,
    gymnasium.spaces.MultiBinary,
)
"""Spaces that sample with a single generator."""


def _undivided(spaces: list[gymnasium.Space[Any]]) -> list[gymnasium.Space[Any]]:
    """The leaves of Dicts and Tuples, each once; seeding the Dict or Tuple itself would make new generators."""
    found: list[gymnasium.Space[Any]] = []
    left = spaces[::-1]
    while left:
        space = left.pop()
        if type(space) is gymnasium.spaces.Dict:
            left += list(space.spaces.values())[::-1]
        elif type(space) is gymnasium.spaces.Tuple:
            left += space.spaces[::-1]
        elif not any(space is one for one in found):
            found.append(space)
    return found


def _put(generator: Any, seed: int, number: int) -> None:
    """Sets the state of a PCG64, a different one for each seed and number."""
    state = (seed + 1) * 0xDA942042E4DD58B5_2360ED051FC65DA5 + number * 0x9E3779B97F4A7C15
    generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state & _MASK128, "inc": 0x5851F42D4C957F2D_14057B7EF767814F},
        "has_uint32": 0,
        "uinteger": 0,
    }


class Watch:
    """Detects, every now and then, that code between `begin` and `end` draws from a process-wide generator.

    All environments of a process share those, so their numbers depend on which environments share a process, and a
    replay cannot reproduce them.
    """

    def __init__(self) -> None:
        self.found = 0  # PYTHONS and NUMPYS
        self._steps, self._next = 0, 1
        self._before: tuple[Any, ...] | None = None

    def is_due(self) -> bool:
        """Whether to look at this step: at the first, second, fourth, ... and at every 1,024th."""
        self._steps += 1
        if self._steps < self._next:
            return False
        self._next = min(2 * self._next, self._next + _LOOKS_EVERY)
        return True

    def begin(self) -> None:
        """Remembers the states of the generators."""
        self._before = _states()

    def end(self) -> None:
        """Compares them, and adds what changed to `found`."""
        if self._before is not None:
            for bit, before, after in zip((PYTHONS, NUMPYS), self._before, _states(), strict=True):
                if before != after:
                    self.found |= bit
        self._before = None


def _states() -> tuple[Any, Any]:
    numpys: Any = np.random.get_state()  # noqa: NPY002 - the legacy generator is the one to detect
    _, key, *rest = numpys
    return random.getstate(), (key.tobytes(), *rest)


def seed_process(seed: int) -> None:
    """Seeds the process-wide generators of a worker.

    Otherwise all workers would inherit one state of `np.random` from the server that forks them, and draw the same
    numbers.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for environments that use the legacy generator


def in_words(found: int) -> str:
    """A sentence on what a Watch found."""
    names = " and ".join(name for bit, name in _NAMES.items() if found & bit)
    return (
        f"environments draw from {names}, which episode seeds do not reach, so results change with the number of "
        "workers and after a resume; draw from self.np_random, which is seeded for every episode"
    )
