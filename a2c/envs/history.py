"""History: the actions of the episodes under way, from which an environment's state can be made again.

Episode k of an environment starts with a reset whose seed is known. So the state of a deterministic environment is
(which episode, the actions since): no pickle, and no help from the environment. Steps of all environments are kept
side by side in one array, which costs one copy of the actions a step; what no episode under way needs is dropped.

An episode that never ends therefore costs an action's bytes a step for ever, and a run pays that for being exact.
Another library, which steps us through Gymnasium's face and never asks for a state, shall not: there only the last
`UNMARKED_BYTES` are kept.
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
"""Of actions, while nobody marks and somebody else's loop does the stepping. 8 environments with 6 float32 each: 43,000
steps."""


class Course(NamedTuple):
    """How an environment came to where it stands."""

    episode: int
    """Number of the episode under way, from 0; -1: never reset."""
    seed: int
    """What that episode was reset with."""
    options: dict[str, Any] | None
    """What that reset was given besides."""
    actions: NDArray[Any]
    """[L, ...] taken since, the last of them."""
    root: int
    """What the seeds of the next episodes follow from: the run's seed, or that of a reset since."""
    first: int
    """Number of the episode from which on they do."""
    forgotten: int = 0
    """Actions before those, no longer kept: the course cannot be gone again."""

    @property
    def length(self) -> int:
        """Steps of the episode under way."""
        return self.forgotten + len(self.actions)


class _Episodes(NamedTuple):
    """The episodes under way at one moment."""

    number: NDArray[np.int64]  # [N] -1: never reset
    seed: NDArray[np.int64]  # [N]
    start: NDArray[np.int64]  # [N] how many vector steps had been made when it began
    root: NDArray[np.int64]  # [N] what the seeds of the next ones follow from
    first: NDArray[np.int64]  # [N] number of the episode from which on they do
    steps: int  # vector steps made by now


class History:
    """What N environments did since their resets.

    A moment can be marked: `state` gives that one, however many steps came after it. Unmarked, it gives the present.
    """

    def __init__(self, num_envs: int, action_space: gymnasium.Space[Any], seed: int, offset: int = 0) -> None:
        """Nothing has begun.

        Args:
            num_envs: N.
            action_space: Of one environment.
            seed: The run's seed.
            offset: Which of the run's environments is the first of these, by which its episodes are seeded.
        """
        self._seed, self._offset = seed, offset
        row = row_type(action_space)
        self._dtype = row.base
        # As small as holds every action; what `actions` gives has the space's type again.
        kept: Any = self._dtype
        found = limits(action_space)
        if found is not None:
            first, last = int(found[0].min()), int(found[1].max())
            kept = np.promote_types(np.min_scalar_type(first), np.min_scalar_type(last))
        self._actions: NDArray[Any] = np.empty((64, num_envs, *row.shape), kept)
        self._dropped = 0  # vector steps that came before row 0
        self._rows = 0
        nothing = np.full(num_envs, -1, np.int64)
        self._number, self._seeds, self._start = nothing, np.zeros_like(nothing), np.zeros_like(nothing)
        self._root, self._first = np.full_like(nothing, seed), np.zeros_like(nothing)
        self._given = np.zeros(num_envs, np.bool_)  # whether that was given to a reset
        self._options: dict[int, dict[str, Any]] = {}  # of those environments whose reset was given some
        self._most_rows: int | None = None  # kept while nothing is marked
        self._marked: _Episodes | None = None

    def begin(self, n: int, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Environment n was reset: with this seed, from which its later ones follow, or that of its next episode."""
        self._number[n] += 1
        if seed is not None:
            self._root[n], self._first[n], self._given[n] = seed, self._number[n], True
        self._seeds[n] = self.seed_of(n, int(self._number[n])) if seed is None else seed
        self._start[n] = self._dropped + self._rows
        self._options.pop(n, None)
        if options:
            self._options[n] = options

    def begin_anew(self, seed: int) -> None:
        """From the next resets on, the environments go through the episodes of another seed."""
        self._root[...], self._first[...], self._given[...] = seed, self._number + 1, False

    def append(self, action: NDArray[Any]) -> None:
        """All environments were stepped with an action [N, ...]."""
        if self._rows == len(self._actions):
            self._make_room()
        self._actions[self._rows] = action
        self._rows += 1

    def mark(self) -> None:
        """From here on, `state` is as of now."""
        self._marked = self._now()

    def bound(self) -> None:
        """From here on, no more than the last `UNMARKED_BYTES` are kept unless `mark` is called."""
        if self._most_rows is None:
            self._most_rows = max(64, UNMARKED_BYTES // max(1, self._actions[0].nbytes))

    def seed_of(self, n: int, episode: int) -> int:
        """The seed of an episode of environment n that was begun without one of its own."""
        return episode_seed(int(self._root[n]), self._offset + n, episode - int(self._first[n]))

    def given_seeds(self) -> list[int | None]:
        """[N] the seed of the last reset that gave one; None: there was none."""
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
        """[N] which episode is under way."""
        return self._number.copy()

    def course(self, n: int) -> Course:
        """How environment n came to where it stands now."""
        begin = int(self._start[n]) - self._dropped
        actions = self._actions[max(0, begin) : self._rows, n].astype(self._dtype)
        root, first = int(self._root[n]), int(self._first[n])
        options = self._options.get(n)
        return Course(int(self._number[n]), int(self._seeds[n]), options, actions, root, first, max(0, -begin))

    def actions(self, n: int, length: int, steps_ago: int) -> NDArray[Any]:
        """The last actions [length, ...] of environment n up to some steps ago, since the mark's episodes or later.

        Fewer where they are no longer kept.
        """
        stop = self._rows - steps_ago
        return self._actions[max(0, stop - length) : stop, n].astype(self._dtype)

    def state(self) -> Arrays:
        """The episodes under way at the last mark, their actions one after another, as `plain` writes them.

        Raises:
            ValueError: Nothing was marked, and an episode is longer than what is kept then.
        """
        marked = self._marked or self._now()
        stop = marked.steps - self._dropped
        if int(marked.start.min()) < self._dropped:
            raise ValueError(
                f"an episode is {marked.steps - int(marked.start.min())} steps long, of which the last {stop} are "
                "kept; mark() before it keeps all"
            )
        parts = [self._actions[start:stop, n] for n, start in enumerate(marked.start - self._dropped)]
        state = {
            "episode": marked.number,
            "seed": marked.seed,
            "length": np.array([len(part) for part in parts], np.int64),
            "actions": plain(np.concatenate(parts)),
        }
        # A run never resets with seeds of its own: its checkpoints are without.
        if (marked.root != self._seed).any() or marked.first.any():
            state |= {"root": marked.root, "first": marked.first}
        return state

    def restore(self, state: Arrays) -> None:
        """Continues from a `state()`, in which every episode was begun without options.

        Raises:
            KeyError: It lacks an array.
            ValueError: An array has another shape or type, or holds what cannot be.
        """
        num_envs = len(self._number)
        run: Arrays = {"root": np.full(num_envs, self._seed), "first": np.zeros(num_envs, np.int64)}
        state = run | state
        for name in ("episode", "seed", "length", *run):
            array = state[name]
            if array.shape != (num_envs,) or array.dtype != np.int64 or (array < 0).any():
                raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be {num_envs} whole numbers from 0")
        kept = self._actions
        length, actions = state["length"], unplain(state["actions"], kept.dtype)
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
        self._root[...], self._first[...] = state["root"], state["first"]
        self._options = {}
        self.mark()

    def _make_room(self) -> None:
        """Drops the steps that no episode needs, now or at the mark; where that is less than half, doubles the room."""
        needed = int(min(self._start.min(), (self._marked or self._now()).start.min())) - self._dropped
        if self._most_rows is not None and self._marked is None and len(self._actions) >= self._most_rows:
            needed = max(needed, self._rows // 2)
        needed = max(0, needed)  # What an episode longer than that needs is gone already.
        kept = self._actions[needed : self._rows]
        size = len(self._actions) * (2 if len(kept) > len(self._actions) // 2 else 1)
        actions = np.empty((size, *self._actions.shape[1:]), self._actions.dtype)
        actions[: len(kept)] = kept
        self._actions, self._rows, self._dropped = actions, len(kept), self._dropped + needed


def part_of(state: Arrays, first: int, last: int) -> Arrays:
    """The `state()` of environments first..last-1 alone, out of that of all.

    Example:
        >>> of_all = {"episode": np.array([4, 7]), "length": np.array([2, 1]), "actions": np.array([5, 6, 9])}
        >>> {name: array.tolist() for name, array in part_of(of_all, 1, 2).items()}
        {'episode': [7], 'length': [1], 'actions': [9]}
    """
    part = {name: array[first:last] for name, array in state.items() if name != "actions"}
    ends = np.cumsum(np.concatenate([[0], state["length"]]))
    return part | {"actions": state["actions"][ends[first] : ends[last]]}
