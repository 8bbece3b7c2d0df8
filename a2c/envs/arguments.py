"""What vector environments are handed, checked before anything is done with it: actions, seeds, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.errors import shown


class ActionCheck:
    """Refuses actions that are none of the space's.

    Kind, shape and, of a Discrete, range: an array of the block would take 0.9 for 0 and NaN for any number, and
    machine code would read beyond its tables at 5 of 2. A Box's bounds are not checked: as in Gymnasium's vector
    environments, actions go to the environment as they are, and many clip them themselves.
    """

    def __init__(self, space: gymnasium.Space[Any], num_envs: int) -> None:
        """What is right.

        Args:
            space: Of one environment: a Discrete or a real Box.
            num_envs: N.
        """
        self._space = space
        self._shape = (num_envs, *(space.shape or ()))
        self._is_discrete = isinstance(space, gymnasium.spaces.Discrete)
        self._kinds = "biu" if self._is_discrete else "fbiu"
        self._first = self._last = 0
        if isinstance(space, gymnasium.spaces.Discrete):
            self._first, self._last = int(space.start), int(space.start + space.n - 1)

    def __call__(self, action: NDArray[Any]) -> None:
        """Checks actions.

        Raises:
            ValueError: They are of another shape or kind, or one is outside a Discrete.
        """
        if action.shape != self._shape or action.dtype.kind not in self._kinds:
            kind = "whole numbers" if self._is_discrete else "real numbers"
            raise ValueError(f"the actions are {action.dtype} {action.shape}; they must be {kind} {self._shape}")
        if self._is_discrete and len(action) > _LONG:
            if action.min() < self._first or action.max() > self._last:
                raise self._outside(action)
        elif self._is_discrete:
            numbers = action.tolist()  # A fifth of the time of NumPy's min and max, for a few.
            if min(numbers) < self._first or max(numbers) > self._last:
                raise self._outside(action)

    def read(self, actions: Any) -> NDArray[Any]:
        """Actions as anybody may give them, as an array.

        Raises:
            TypeError: One number for all.
            ValueError: As `__call__`, or a Box's action is NaN.
        """
        try:
            array = np.asarray(actions)
        except ValueError as error:
            raise ValueError(f"the actions are {shown(actions)}, which is no array of shape {self._shape}") from error
        if array.ndim == 0:
            raise TypeError(f"the actions are {shown(actions)}; they must be an array of shape {self._shape}")
        self(array)
        if not self._is_discrete and np.isnan(array).any():
            n = int(np.flatnonzero(np.isnan(array.reshape(len(array), -1)).any(1))[0])
            raise ValueError(f"the action of environment {n} is {shown(array[n].tolist())}; it must be a number")
        return array

    def _outside(self, action: NDArray[Any]) -> ValueError:
        n = int(np.flatnonzero((action < self._first) | (action > self._last))[0])
        right = f"it must be from {self._first} to {self._last}"
        return ValueError(f"the action of environment {n} is {action[n]}; {right}, of {self._space}")


_LONG = 64


def seeds_for(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """A seed for each environment: seed + i of a single one, as everywhere in Gymnasium.

    Raises:
        ValueError: Not as many seeds as environments, or one that is no whole number from 0 to 2**63 - 1.
    """
    if seed is None or isinstance(seed, int | np.integer):
        return [None if seed is None else checked_seed(int(seed) + i) for i in range(num_envs)]
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str | bytes):
        raise ValueError(f"seed is {shown(seed)}; it must be a whole number, or one for each environment")
    if len(seed) != num_envs:
        raise ValueError(f"{len(seed)} seeds for {num_envs} environments; there must be one for each")
    return [None if one is None else checked_seed(one) for one in seed]


def checked_seed(seed: Any) -> int:
    """The seed as an int.

    Raises:
        ValueError: It is no whole number from 0 to 2**63 - 1.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise ValueError(f"seed is {shown(seed)}; it must be from 0 to 2**63 - 1")
    return int(seed)


def reset_mask(options: dict[str, Any] | None, num_envs: int) -> list[bool]:
    """Which environments a reset is for: those of `options["reset_mask"]`, or all.

    Raises:
        ValueError: The mask is no array of N bools, or names nobody.
    """
    mask = (options or {}).get("reset_mask", np.ones(num_envs, np.bool_))
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        raise ValueError(f"options['reset_mask'] is {mask!r}; it must be an array of {num_envs} bools")
    if not mask.any():
        raise ValueError("options['reset_mask'] names no environment; it must name at least one")
    return [bool(item) for item in mask]


def one_each(values: Any, num_envs: int) -> list[Any]:
    """Values of an attribute, one for each environment: a list or tuple has them, anything else is for all.

    Raises:
        ValueError: Not as many as environments.
    """
    if not isinstance(values, list | tuple):
        return [values] * num_envs
    if len(values) != num_envs:
        raise ValueError(f"{len(values)} values for {num_envs} environments; there must be one for each")
    return list(values)
