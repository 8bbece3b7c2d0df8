"""History: the actions of the episodes under way, from which an environment's state can be made again.

Episode k of an environment starts with a reset whose seed is known. So the state of a deterministic environment is
(which episode, the actions since): no pickle, and no help from the environment. Steps of all environments are kept
side by side in one array, which costs one copy of the actions a step; what no episode under way needs is dropped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.randomness import episode_seed

Arrays = dict[str, NDArray[Any]]


class Course(NamedTuple):
    """How an environment came to where it stands."""

    episode: int
    """Number of the episode under way, from 0; -1: never reset."""
    seed: int
    """What that episode was reset with."""
    options: dict[str, Any] | None
    """What that reset was given besides."""
    actions: NDArray[Any]
    """[L, ...] taken since."""


class _Episodes(NamedTuple):
    """The episodes under way at one moment."""

    number: NDArray[np.int64]  # [N] -1: never reset
    seed: NDArray[np.int64]  # [N]
    start: NDArray[np.int64]  # [N] how many vector steps had been made when it began
    steps: int  # vector steps made by now


class History:
    """What N environments did since their resets.

    A moment can be marked: `state` gives that one, however many steps came after it. Unmarked, it gives the present.
    """

    def __init__(self, num_envs: int, action_space: gymnasium.Space[Any], seed: int) -> None:
        """Nothing has begun.

        Args:
            num_envs: N.
            action_space: Of one environment.
            seed: The run's seed.
        """
        self._seed = seed
        self._dtype = action_space.dtype
        # As small as holds every action; what `actions` gives has the space's type again.
        kept: Any = self._dtype
        if isinstance(action_space, gymnasium.spaces.Discrete):
            first, last = int(action_space.start), int(action_space.start + action_space.n - 1)
            kept = np.promote_types(np.min_scalar_type(first), np.min_scalar_type(last))
        self._actions: NDArray[Any] = np.empty((64, num_envs, *(action_space.shape or ())), kept)
        self._dropped = 0  # vector steps that came before row 0
        self._rows = 0
        nothing = np.full(num_envs, -1, np.int64)
        self._number, self._seeds, self._start = nothing, np.zeros_like(nothing), np.zeros_like(nothing)
        self._options: dict[int, dict[str, Any]] = {}  # of those environments whose reset was given some
        self._marked: _Episodes | None = None

    def begin(self, n: int, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Environment n was reset: with this seed, or that of its next episode."""
        self._number[n] += 1
        self._seeds[n] = episode_seed(self._seed, n, int(self._number[n])) if seed is None else seed
        self._start[n] = self._dropped + self._rows
        self._options.pop(n, None)
        if options:
            self._options[n] = options

    def append(self, action: NDArray[Any]) -> None:
        """All environments were stepped with an action [N, ...]."""
        if self._rows == len(self._actions):
            self._make_room()
        self._actions[self._rows] = action
        self._rows += 1

    def mark(self) -> None:
        """From here on, `state` is as of now."""
        self._marked = self._now()

    def _now(self) -> _Episodes:
        return _Episodes(self._number.copy(), self._seeds.copy(), self._start.copy(), self._dropped + self._rows)

    def numbers(self) -> NDArray[np.int64]:
        """[N] which episode is under way."""
        return self._number.copy()

    def course(self, n: int) -> Course:
        """How environment n came to where it stands now."""
        actions = self._actions[int(self._start[n]) - self._dropped : self._rows, n].astype(self._dtype)
        return Course(int(self._number[n]), int(self._seeds[n]), self._options.get(n), actions)

    def actions(self, n: int, length: int, steps_ago: int) -> NDArray[Any]:
        """The last actions [length, ...] of environment n up to some steps ago, since the mark's episodes or later."""
        stop = self._rows - steps_ago
        return self._actions[stop - length : stop, n].astype(self._dtype)

    def state(self) -> Arrays:
        """The episodes under way at the last mark, their actions one after another."""
        marked = self._marked or self._now()
        stop = marked.steps - self._dropped
        parts = [self._actions[start:stop, n] for n, start in enumerate(marked.start - self._dropped)]
        return {
            "episode": marked.number,
            "seed": marked.seed,
            "length": np.array([len(part) for part in parts], np.int64),
            "actions": np.concatenate(parts),
        }

    def restore(self, state: Arrays) -> None:
        """Continues from a `state()`, in which every episode was begun without options.

        Raises:
            KeyError: It lacks an array.
            ValueError: An array has another shape or type, or holds what cannot be.
        """
        num_envs = len(self._number)
        for name in ("episode", "seed", "length"):
            array = state[name]
            if array.shape != (num_envs,) or array.dtype != np.int64 or (array < 0).any():
                raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be {num_envs} whole numbers from 0")
        length, actions = state["length"], state["actions"]
        kept = self._actions
        if actions.dtype != kept.dtype or actions.shape[1:] != kept.shape[2:] or len(actions) != sum(length.tolist()):
            raise ValueError(
                f"actions is {actions.dtype} {actions.shape}; it must be {kept.dtype} {(sum(length), *kept.shape[2:])}"
            )
        self._rows, self._dropped = int(length.max()), 0
        self._actions = np.empty((max(64, 2 * self._rows), *kept.shape[1:]), kept.dtype)
        self._start[...] = self._rows - length
        for n, part in enumerate(np.split(actions, np.cumsum(length)[:-1])):
            self._actions[self._start[n] : self._rows, n] = part
        self._number[...], self._seeds[...] = state["episode"], state["seed"]
        self._options = {}
        self.mark()

    def _make_room(self) -> None:
        """Drops the steps that no episode needs, now or at the mark; where that is less than half, doubles the room."""
        needed = int(min(self._start.min(), (self._marked or self._now()).start.min())) - self._dropped
        kept = self._actions[needed : self._rows]
        size = len(self._actions) * (2 if len(kept) > len(self._actions) // 2 else 1)
        actions = np.empty((size, *self._actions.shape[1:]), self._actions.dtype)
        actions[: len(kept)] = kept
        self._actions, self._rows, self._dropped = actions, len(kept), self._dropped + needed
