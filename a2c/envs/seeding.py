"""Chance that `reset(seed=...)` does not reach: an environment's spaces are seeded here, the rest is found out."""

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
"""Bits that name the generators of a whole process: `random`, and `np.random`."""

_NAMES = {PYTHONS: "Python's random", NUMPYS: "NumPy's np.random"}

_LOOKS_EVERY = 1024
_MASK128 = (1 << 128) - 1


_taken: weakref.WeakValueDictionary[int, gymnasium.Space[Any]] = weakref.WeakValueDictionary()
"""Spaces that environments of this process sample from, by their identity."""


def give_own_spaces(env: gymnasium.Env[Any, Any]) -> None:
    """Copies the spaces that an environment shares with others, so that sampling from them is its own.

    They may be shared by all of a class, or be one object that several are given, whole or as a part of theirs.
    """
    copies: dict[int, Any] = {}  # One that has two names keeps being one.
    for layer, name, space in _with_names(env):
        if isinstance(layer, gymnasium.Wrapper) and space is getattr(layer.env, name, None):
            continue  # It has what the one below has.
        of_class = vars(type(layer)).get(name)
        if (of_class is not None and not isinstance(of_class, property)) or any(
            _taken.get(id(part)) is part for part in _undivided([space])
        ):
            with contextlib.suppress(AttributeError, TypeError):  # Of one without room for attributes.
                setattr(layer, name, copy.deepcopy(space, copies))
    for part in _undivided([space for _, _, space in _with_names(env)]):
        _taken[id(part)] = part


def _with_names(env: gymnasium.Env[Any, Any]) -> Iterator[tuple[Any, str, gymnasium.Space[Any]]]:
    """The spaces of an environment and of its wrappers, from the outermost on, and where each stands."""
    layer: Any = env
    while True:
        for name in ("action_space", "observation_space"):
            if isinstance(space := getattr(layer, name, None), gymnasium.Space):
                yield layer, name, space
        if not isinstance(layer, gymnasium.Wrapper):
            return
        layer = layer.env


class Spaces:
    """The spaces of an environment and of its wrappers, which it may sample from; and what its reset leaves unseeded.

    A reset that does not pass its seed on (`super().reset(seed=seed)`) leaves `np_random` to the operating system: a
    generator of ours stands there, until a reset puts the environment's own in its place.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        """Finds them; those that the environment replaces later are found then."""
        self._env, self._own = env, env.unwrapped
        self._ours: np.random.Generator | None = None
        # Of one that puts something of its own in the place of `np_random`, nothing is known.
        if getattr(type(self._own), "np_random", None) is gymnasium.Env.np_random:
            self._ours = self._own.np_random = np.random.Generator(np.random.PCG64(0))
        self._found: tuple[Any, Any] = (None, None)
        self._generators: list[np.random.PCG64] = []
        self._others: list[gymnasium.Space[Any]] = []

    def seed(self, seed: int) -> None:
        """Makes what they sample from here on a function of the seed.

        `space.seed` makes a new generator, which takes as long as two steps of CartPole; most environments never
        sample. Putting the generator that is there into another state takes a tenth of that.
        """
        if self._own.action_space is not self._found[0] or self._own.observation_space is not self._found[1]:
            self._find()
        if self._ours is not None and self._own.np_random is not self._ours:
            self._ours = None  # It was seeded.
        if self._ours is not None:
            _put(self._ours.bit_generator, seed, len(self._generators))
        for number, generator in enumerate(self._generators):
            _put(generator, seed, number)
        for space in self._others:
            space.seed(seed)

    def _find(self) -> None:
        """Each space once, from the outermost wrapper to the environment itself."""
        self._found = self._own.action_space, self._own.observation_space
        self._generators, self._others = [], []
        for space in _undivided([space for _, _, space in _with_names(self._env)]):
            # What is made of others in a way of its own has a generator for each.
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
"""Spaces that sample with one generator of their own."""


def _undivided(spaces: list[gymnasium.Space[Any]]) -> list[gymnasium.Space[Any]]:
    """What dicts and tuples are made of, once each: seeding these as Gymnasium does it makes generators anew."""
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
    """Puts a PCG64 into a state of its own for each seed and number."""
    state = (seed + 1) * 0xDA942042E4DD58B5_2360ED051FC65DA5 + number * 0x9E3779B97F4A7C15
    generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state & _MASK128, "inc": 0x5851F42D4C957F2D_14057B7EF767814F},
        "has_uint32": 0,
        "uinteger": 0,
    }


class Watch:
    """Looks, every now and then, whether what is done between `begin` and `end` draws from a generator of the process.

    Those are nobody's in particular: what one environment draws, another in the same process does not. The numbers then
    depend on which environments share a process, and cannot be brought back.
    """

    def __init__(self) -> None:
        self.found = 0  # bits
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
        """What follows is watched."""
        self._before = _states()

    def end(self) -> None:
        """Up to here."""
        if self._before is not None:
            for bit, before, after in zip((PYTHONS, NUMPYS), self._before, _states(), strict=True):
                if before != after:
                    self.found |= bit
        self._before = None


def _states() -> tuple[Any, Any]:
    numpys: Any = np.random.get_state()  # noqa: NPY002 - the one that is looked for
    _, key, *rest = numpys
    return random.getstate(), (key.tobytes(), *rest)


def seed_process(seed: int) -> None:
    """Seeds the generators of this process, a worker.

    A fork server has one state of `np.random`, and every worker that it forks would draw the same numbers from it.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - environments that use it are why


def in_words(found: int) -> str:
    """What was found, for a person."""
    names = " and ".join(name for bit, name in _NAMES.items() if found & bit)
    return (
        f"environments draw from {names}, which no episode's seed governs: other numbers of workers and a resumed run "
        "give other results; self.np_random is seeded for every episode"
    )
