"""What vector environments are handed, checked before anything is done with it: actions, seeds, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.errors import shown
from a2c.spaces import batch_of, is_nested, limits, parts, row_type


class ActionCheck:
    """Refuses actions that are none of the space's.

    Kind, shape and, of what is counted (Discrete, MultiDiscrete, MultiBinary), range: an array of the block would take
    0.9 for 0 and NaN for any number, and machine code would read beyond its tables at 5 of 2. A Box's bounds are not
    checked: as in Gymnasium's vector environments, actions go to the environment as they are, and many clip them
    themselves.
    """

    def __init__(self, space: gymnasium.Space[Any], num_envs: int) -> None:
        """What is right.

        Args:
            space: Of one environment.
            num_envs: N.
        """
        self._space, self._num_envs = space, num_envs
        self._dtype = row_type(space).base
        self._parts = [_PartCheck(part.space, num_envs, part.name) for part in parts(space)]
        self._whole = None if is_nested(space) else self._parts[0]

    def __call__(self, action: NDArray[Any]) -> None:
        """Checks actions: rows [N] of the space.

        Raises:
            ValueError: They are of another shape or kind, or one is outside what is counted.
        """
        if self._whole is not None:
            self._whole(action)
            return
        if action.shape != (self._num_envs,) or action.dtype != self._dtype:
            raise ValueError(
                f"the actions are {action.dtype} {action.shape}; they must be {self._num_envs} rows of {self._space}"
            )
        for part in self._parts:
            part(action[part.name])

    def read(self, actions: Any) -> NDArray[Any]:
        """Actions as anybody may give them, or rows, as rows [N].

        Raises:
            TypeError: One number for all.
            ValueError: As `__call__`, or a Box's action is NaN.
        """
        if self._whole is not None:
            return self._whole.read(actions)
        is_rows = isinstance(actions, np.ndarray) and actions.dtype == self._dtype
        rows: NDArray[Any] = actions if is_rows else batch_of(self._space, actions, self._num_envs, "actions")
        self(rows)
        for part in self._parts:
            part.require_numbers(rows[part.name])
        return rows


class _PartCheck:
    """Refuses actions that are none of a space that is not divided, or of such a part of one."""

    def __init__(self, space: gymnasium.Space[Any], num_envs: int, name: str) -> None:
        self._space, self.name = space, name
        self._shape = (num_envs, *(space.shape or ()))
        self._dtype = row_type(space).base
        self._is_real = self._dtype.kind == "f"
        self._is_discrete = isinstance(space, gymnasium.spaces.Discrete)
        self._first, self._last = 0, 0  # of a Discrete
        self._limits = limits(space)
        if self._limits is None and not self._is_real:  # Of a Box of whole numbers, all that its type holds is right.
            self._limits = np.array(np.iinfo(self._dtype).min), np.array(np.iinfo(self._dtype).max)
        elif self._is_discrete and self._limits is not None:
            self._first, self._last = int(self._limits[0]), int(self._limits[1])

    def __call__(self, action: NDArray[Any]) -> None:
        """Checks actions [N, ...]."""
        if action.shape != self._shape or action.dtype.kind not in ("fbiu" if self._is_real else "biu"):
            kind = "real numbers" if self._is_real else "whole numbers"
            raise ValueError(
                f"the actions{self._for()} are {action.dtype} {action.shape}; they must be {kind} {self._shape}"
            )
        if self._limits is None:
            return
        if self._is_discrete and len(action) <= _LONG:
            numbers = action.tolist()  # A fifth of the time of NumPy's min and max, for a few.
            if min(numbers) < self._first or max(numbers) > self._last:
                raise self._outside(action, *self._limits)
        elif (action < self._limits[0]).any() or (action > self._limits[1]).any():
            raise self._outside(action, *self._limits)

    def read(self, actions: Any) -> NDArray[Any]:
        """Actions as anybody may give them, as an array."""
        try:
            array = np.asarray(actions)
        except ValueError as error:
            raise ValueError(f"the actions are {shown(actions)}, which is no array of shape {self._shape}") from error
        if array.ndim == 0:
            raise TypeError(f"the actions are {shown(actions)}; they must be an array of shape {self._shape}")
        self(array)
        self.require_numbers(array)
        return array

    def require_numbers(self, action: NDArray[Any]) -> None:
        """Refuses NaN."""
        if self._is_real and np.isnan(action).any():
            n = int(np.flatnonzero(np.isnan(action.reshape(len(action), -1)).any(1))[0])
            value = shown(action[n].tolist())
            raise ValueError(f"the action{self._for()} of environment {n} is {value}; it must be a number")

    def _outside(self, action: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> ValueError:
        n, *index = np.argwhere((action < low) | (action > high))[0].tolist()
        place = tuple(index)
        where = f" at index {index[0] if len(index) == 1 else place}" if index else ""
        first, last = np.broadcast_to(low, action.shape[1:])[place], np.broadcast_to(high, action.shape[1:])[place]
        return ValueError(
            f"the action{self._for()} of environment {n} is {action[(n, *place)]}{where}; it must be from {first} to "
            f"{last}, of {self._space}"
        )

    def _for(self) -> str:
        return f" for {self.name!r}" if self.name else ""


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
