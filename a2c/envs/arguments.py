"""Checks of what callers pass to vector environments: actions, seeds, reset masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.errors import shown
from a2c.spaces import batch_of, is_nested, limits, parts, row_type


class ActionCheck:
    """Refuses actions that do not belong to the action space.

    Kind and shape are checked, and the range of discrete actions (Discrete, MultiDiscrete, MultiBinary): written into
    an integer array, 0.9 would become 0 and NaN an arbitrary number, and machine code that is given action 5 of 2 would
    read past the end of its tables. The bounds of a Box are not checked: as in Gymnasium's vector environments, actions
    reach the environment unchanged, and many environments clip them themselves.
    """

    def __init__(self, space: gymnasium.Space[Any], num_envs: int) -> None:
        """Prepares the checks.

        Args:
            space: The action space of one environment.
            num_envs: N.
        """
        self._space, self._num_envs = space, num_envs
        self._dtype = row_type(space).base
        self._parts = [_PartCheck(part.space, num_envs, part.name) for part in parts(space)]
        self._whole = None if is_nested(space) else self._parts[0]

    def __call__(self, action: NDArray[Any]) -> None:
        """Checks actions: rows [N] of the space.

        Raises:
            ValueError: They have another shape or kind, or a discrete action is out of range.
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
        """Actions as rows [N], from rows or from whatever else the space's batched form allows.

        Raises:
            TypeError: The actions are a single number.
            ValueError: As in `__call__`, or an action of a Box is NaN.
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
    """Checks actions of a space that is neither a Dict nor a Tuple, or one such part of a nested space."""

    def __init__(self, space: gymnasium.Space[Any], num_envs: int, name: str) -> None:
        self._space, self.name = space, name
        self._shape = (num_envs, *(space.shape or ()))
        self._dtype = row_type(space).base
        self._is_real = self._dtype.kind == "f"
        self._is_discrete = isinstance(space, gymnasium.spaces.Discrete)
        self._first, self._last = 0, 0  # range of a Discrete
        self._limits = limits(space)
        if self._limits is None and not self._is_real:  # A Box of integers allows whatever its type can hold.
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
            numbers = action.tolist()  # For a few numbers, a fifth of the time of NumPy's min and max.
            if min(numbers) < self._first or max(numbers) > self._last:
                raise self._outside(action, *self._limits)
        elif (action < self._limits[0]).any() or (action > self._limits[1]).any():
            raise self._outside(action, *self._limits)

    def read(self, actions: Any) -> NDArray[Any]:
        """Actions [N, ...] as an array, from any nesting of numbers."""
        try:
            array = np.asarray(actions)
        except ValueError as error:
            raise ValueError(
                f"the actions are {shown(actions)}; they must be an array of shape {self._shape}"
            ) from error
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
    """One seed per environment; from a single seed, environment i gets seed + i, as in Gymnasium.

    Raises:
        ValueError: There are not as many seeds as environments, or one is not a whole number from 0 to 2**63 - 1.
    """
    if seed is None or isinstance(seed, int | np.integer):
        return [None if seed is None else checked_seed(int(seed) + i) for i in range(num_envs)]
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str | bytes):
        raise ValueError(f"seed is {shown(seed)}; it must be a whole number, or a list of one for each environment")
    if len(seed) != num_envs:
        raise ValueError(f"{len(seed)} seeds for {num_envs} environments; there must be one for each")
    return [None if one is None else checked_seed(one) for one in seed]


def checked_seed(seed: Any) -> int:
    """The seed as an int.

    Raises:
        ValueError: It is not a whole number from 0 to 2**63 - 1.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise ValueError(f"seed is {shown(seed)}; it must be from 0 to 2**63 - 1")
    return int(seed)


def reset_mask(options: dict[str, Any] | None, num_envs: int) -> list[bool]:
    """Which environments to reset, [N]: those in `options["reset_mask"]`, or all.

    Raises:
        ValueError: The mask is not an array of N bools, or all of it is False.
    """
    mask = (options or {}).get("reset_mask", np.ones(num_envs, np.bool_))
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        raise ValueError(f"options['reset_mask'] is {mask!r}; it must be an array of {num_envs} bools")
    if not mask.any():
        raise ValueError("options['reset_mask'] is False everywhere; it must be True for at least one environment")
    return [bool(item) for item in mask]


def one_each(values: Any, num_envs: int) -> list[Any]:
    """One value of an attribute per environment: the items of a list or tuple; anything else is repeated for all.

    Raises:
        ValueError: There are not as many values as environments.
    """
    if not isinstance(values, list | tuple):
        return [values] * num_envs
    if len(values) != num_envs:
        raise ValueError(f"{len(values)} values for {num_envs} environments; there must be one for each")
    return list(values)
