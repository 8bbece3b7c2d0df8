"""History: records the actions of the episodes under way, so that an environment's state can be rebuilt by replay.

Episode k of an environment starts with a reset whose seed is known. So the state of a deterministic environment is
(number of the episode, actions since its reset): no pickle, and no help from the environment. One array holds the steps
of all environments side by side, which costs one copy of the actions per step; steps before the oldest episode under
way are dropped.

An episode that never ends therefore takes an action's bytes per step for ever. A run accepts that as the price of being
exact. Other libraries, which use us as a Gymnasium VectorEnv and never ask for a state, need not: for them only the
last `UNMARKED_BYTES` are recorded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.randomness import episode_seed
from a2c.spaces import limits, plain, row_type, unplain

Arrays = dict[str, NDArray[Any]]

UNMARKED_BYTES = 8 * 2**20
"""Bytes of actions recorded while `bound` holds. For 8 environments with 6 float32 each, that is 43,000 steps."""


class Recording(NamedTuple):
    """One environment's episode so far. Replaying it brings a deterministic environment to the same state."""

    episode: int
    """Number of the episode under way, from 0; -1: never reset."""
    seed: int
    """The seed of its reset."""
    options: dict[str, Any] | None
    """The options of its reset."""
    actions: NDArray[Any]
    """[L, ...] the last L actions since that reset."""
    root: int
    """The seed from which those of the next episodes follow: the run's, or that of a later reset."""
    first: int
    """Number of the first episode whose seed follows from `root`."""
    dropped: int = 0
    """How many actions before these were dropped; if any, the episode cannot be replayed."""

    @property
    def length(self) -> int:
        """Steps of the episode under way."""
        return self.dropped + len(self.actions)


class _Episodes(NamedTuple):
    """The episodes under way at one moment."""

    number: NDArray[np.int64]  # [N] -1: never reset
    seed: NDArray[np.int64]  # [N]
    start: NDArray[np.int64]  # [N] how many vector steps had been made when it began
    root: NDArray[np.int64]  # [N] the seed from which those of the next episodes follow
    first: NDArray[np.int64]  # [N] number of the first episode whose seed follows from root
    steps: int  # vector steps made by then


class History:
    """The actions of N environments since their resets.

    After `mark`, `state` describes the moment of the mark, however many steps came after it; before, the present.
    """

    def __init__(self, num_envs: int, action_space: gymnasium.Space[Any], seed: int, offset: int = 0) -> None:
        """Allocates the record; no environment has been reset.

        Args:
            num_envs: N.
            action_space: The action space of one environment.
            seed: The run's seed.
            offset: The number that the first of these environments has in the run; its episodes are seeded by that.
        """
        self._seed, self._offset = seed, offset
        row = row_type(action_space)
        self._dtype = row.base
        # The smallest type that holds every action; `recording` and `actions` return the space's type.
        stored: Any = self._dtype
        found = limits(action_space)
        if found is not None:
            first, last = int(found[0].min()), int(found[1].max())
            stored = np.promote_types(np.min_scalar_type(first), np.min_scalar_type(last))
        self._actions: NDArray[Any] = np.empty((64, num_envs, *row.shape), stored)
        self._dropped = 0  # vector steps before row 0
        self._rows = 0
        nothing = np.full(num_envs, -1, np.int64)
        self._number, self._seeds, self._start = nothing, np.zeros_like(nothing), np.zeros_like(nothing)
        self._root, self._first = np.full_like(nothing, seed), np.zeros_like(nothing)
        self._given = np.zeros(num_envs, np.bool_)  # whether the root was the seed of a reset
        self._options: dict[int, dict[str, Any]] = {}  # of the last reset, by environment; without empty ones
        self._most_rows: int | None = None  # stored at most while nothing is marked
        self._marked: _Episodes | None = None

    def begin(self, n: int, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Records a reset of environment n.

        Args:
            n: Which environment.
            seed: The seed that was passed, from which those of later episodes follow; None: the next in order.
            options: What was passed as options.
        """
        self._number[n] += 1
        if seed is not None:
            self._root[n], self._first[n], self._given[n] = seed, self._number[n], True
        self._seeds[n] = self.seed_of(n, int(self._number[n])) if seed is None else seed
        self._start[n] = self._dropped + self._rows
        self._options.pop(n, None)
        if options:
            self._options[n] = options

    def begin_anew(self, seed: int) -> None:
        """Makes the next episodes the first ones of another seed."""
        self._root[...], self._first[...], self._given[...] = seed, self._number + 1, False

    def append(self, action: NDArray[Any]) -> None:
        """Records a step of all environments: action [N, ...]."""
        if self._rows == len(self._actions):
            self._make_room()
        self._actions[self._rows] = action
        self._rows += 1

    def mark(self) -> None:
        """Makes `state` describe this moment from now on."""
        self._marked = self._now()

    def bound(self) -> None:
        """Limits the record to the last `UNMARKED_BYTES`, until `mark` is called."""
        if self._most_rows is None:
            self._most_rows = max(64, UNMARKED_BYTES // max(1, self._actions[0].nbytes))

    def seed_of(self, n: int, episode: int) -> int:
        """The seed of an episode of environment n whose reset was passed none."""
        return episode_seed(int(self._root[n]), self._offset + n, episode - int(self._first[n]))

    def given_seeds(self) -> list[int | None]:
        """[N] the last seed that was passed to a reset; None: none ever was."""
        return [int(root) if given else None for root, given in zip(self._root, self._given, strict=True)]

    def _now(self) -> _Episodes:
        return _Episodes(
            self._number.copy(),
            self._seeds.copy(),
            self._start.copy(),
            self._root.copy(),
            self._first.copy(),
            self._dropped + self._rows,
        )

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way."""
        return self._number.copy()

    def recording(self, n: int) -> Recording:
        """The episode so far of environment n."""
        begin = int(self._start[n]) - self._dropped
        actions = self._actions[max(0, begin) : self._rows, n].astype(self._dtype)
        root, first = int(self._root[n]), int(self._first[n])
        options = self._options.get(n)
        return Recording(int(self._number[n]), int(self._seeds[n]), options, actions, root, first, max(0, -begin))

    def actions(self, n: int, length: int, steps_ago: int) -> NDArray[Any]:
        """The actions [length, ...] of environment n that end `steps_ago` vector steps ago.

        They must not be older than the episodes at the mark; fewer are returned if some were dropped.
        """
        stop = self._rows - steps_ago
        return self._actions[max(0, stop - length) : stop, n].astype(self._dtype)

    def state(self) -> Arrays:
        """The episodes under way at the last mark; `actions` joins those of all environments, in the form of `plain`.

        Raises:
            ValueError: Nothing was marked, and an episode is longer than the record.
        """
        marked = self._marked or self._now()
        stop = marked.steps - self._dropped
        if int(marked.start.min()) < self._dropped:
            raise ValueError(
                f"an episode is {marked.steps - int(marked.start.min())} steps long, of which only the last {stop} are "
                "recorded; call mark() before it to record all"
            )
        parts = [self._actions[start:stop, n] for n, start in enumerate(marked.start - self._dropped)]
        state = {
            "episode": marked.number,
            "seed": marked.seed,
            "length": np.array([len(part) for part in parts], np.int64),
            "actions": plain(np.concatenate(parts)),
        }
        # A run never passes a seed to a reset, so its checkpoints do not have these.
        if (marked.root != self._seed).any() or marked.first.any():
            state |= {"root": marked.root, "first": marked.first}
        return state

    def restore(self, state: Arrays) -> None:
        """Continues from a `state()`. Options of resets are not part of it.

        Raises:
            KeyError: An array is missing.
            ValueError: An array has another shape or type, or a negative number.
        """
        num_envs = len(self._number)
        run: Arrays = {"root": np.full(num_envs, self._seed), "first": np.zeros(num_envs, np.int64)}
        state = run | state
        for name in ("episode", "seed", "length", *run):
            array = state[name]
            if array.shape != (num_envs,) or array.dtype != np.int64 or (array < 0).any():
                raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be {num_envs} whole numbers from 0")
        old = self._actions
        length, actions = state["length"], unplain(state["actions"], old.dtype)
        if actions.dtype != old.dtype or actions.shape[1:] != old.shape[2:] or len(actions) != sum(length.tolist()):
            raise ValueError(
                f"actions is {actions.dtype} {actions.shape}; it must be {old.dtype} {(sum(length), *old.shape[2:])}"
            )
        self._rows, self._dropped = int(length.max()), 0
        self._actions = np.empty((max(64, 2 * self._rows), *old.shape[1:]), old.dtype)
        self._start[...] = self._rows - length
        for n, part in enumerate(np.split(actions, np.cumsum(length)[:-1])):
            self._actions[self._start[n] : self._rows, n] = part
        self._number[...], self._seeds[...] = state["episode"], state["seed"]
        self._root[...], self._first[...] = state["root"], state["first"]
        self._options = {}
        self.mark()

    def _make_room(self) -> None:
        """Drops the steps that no episode needs, now or at the mark; doubles the array if more than half remains."""
        needed = int(min(self._start.min(), (self._marked or self._now()).start.min())) - self._dropped
        if self._most_rows is not None and self._marked is None and len(self._actions) >= self._most_rows:
            needed = max(needed, self._rows // 2)
        needed = max(0, needed)  # Negative if the start of a long episode was dropped already.
        rest = self._actions[needed : self._rows]
        size = len(self._actions) * (2 if len(rest) > len(self._actions) // 2 else 1)
        actions = np.empty((size, *self._actions.shape[1:]), self._actions.dtype)
        actions[: len(rest)] = rest
        self._actions, self._rows, self._dropped = actions, len(rest), self._dropped + needed


def part_of(state: Arrays, first: int, last: int) -> Arrays:
    """The `state()` of environments first..last-1 alone, out of the state of all.

    Example:
        >>> of_all = {"episode": np.array([4, 7]), "length": np.array([2, 1]), "actions": np.array([5, 6, 9])}
        >>> {name: array.tolist() for name, array in part_of(of_all, 1, 2).items()}
        {'episode': [7], 'length': [1], 'actions': [9]}
    """
    part = {name: array[first:last] for name, array in state.items() if name != "actions"}
    ends = np.cumsum(np.concatenate([[0], state["length"]]))
    return part | {"actions": state["actions"][ends[first] : ends[last]]}
