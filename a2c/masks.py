"""Action masks: turns each form in which environments say which actions are allowed into one row of zeros and ones.

The row has K entries, the parts of the action space one after another: one for each action of a Discrete and of each
factor of a MultiDiscrete, two for each bit of a MultiBinary ("may be 0", "may be 1"), none for a Box.

Reference: `mask` of Gymnasium's `Space.sample`, and MaskablePPO of Stable-Baselines3 Contrib, whose flat form the
method `action_masks` usually returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.errors import shown
from a2c.spaces import parts

KEY = "action_mask"
"""The mask's key in a Dict observation and in an info."""

Mask = NDArray[np.uint8]


def mask_sizes(action_space: gymnasium.Space[Any]) -> list[int]:
    """The number of entries of each factor of an action, in order."""
    sizes: list[int] = []
    for _, _, space in parts(action_space):
        match space:
            case spaces.Discrete():
                sizes.append(int(space.n))
            case spaces.MultiDiscrete():
                sizes += space.nvec.reshape(-1).tolist()
            case spaces.MultiBinary():
                sizes += [2] * int(np.prod(space.shape))
    return sizes


def mask_size(action_space: gymnasium.Space[Any]) -> int:
    """K, the length of a mask; 0 if no action can be forbidden."""
    return sum(mask_sizes(action_space))


class MaskReader:
    """Reads masks of one action space."""

    def __init__(self, action_space: gymnasium.Space[Any]) -> None:
        self._space = action_space
        sizes = mask_sizes(action_space)
        self._size, self._starts = sum(sizes), np.cumsum([0, *sizes[:-1]])

    def __call__(self, mask: Any) -> Mask:
        """A mask in any of its forms, as a row [K].

        Raises:
            ValueError: It has another shape, holds something other than 0 and 1, or allows nothing. The text continues
                "gave an ...".
        """
        flat = self._quickly(mask)
        if flat is None:
            flat = _flat(self._space, mask, "")
        if len(self._starts) == 1 and flat.any():
            return flat
        # Not a sum: 256 ones would wrap around to 0 in a byte.
        is_possible = np.maximum.reduceat(flat, self._starts)
        if not is_possible.all():
            raise ValueError(f"action_mask that allows nothing{self._where(is_possible)}; it must allow one")
        return flat

    def _quickly(self, mask: Any) -> Mask | None:
        """The mask, if it is a row of bytes or bools, as most are: ten times as fast as `_flat`."""
        if type(mask) is np.ndarray and mask.shape == (self._size,) and mask.dtype.itemsize == 1:
            data = mask.tobytes()
            if not data.strip(b"\x00\x01"):
                return np.frombuffer(data, np.uint8)
        return None

    def _where(self, is_possible: Mask) -> str:
        """Names the factor that has no allowed action, if there are several factors."""
        if len(is_possible) == 1:
            return ""
        number = int(np.argmin(is_possible))
        for name, _, space in parts(self._space):
            count = len(mask_sizes(space))
            if number < count:
                which = f" at index {number}" if count > 1 else ""
                return f" for {name!r}{which}" if name else which
            number -= count
        return ""


def _flat(space: gymnasium.Space[Any], mask: Any, name: str) -> Mask:
    """A mask of a space, or of the part of it called `name`, as one row of zeros and ones."""
    if mask is None:
        return np.ones(mask_size(space), np.uint8)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = _inner(space, mask, name)
        if inner is None:
            size = mask_size(space)
            return _bits(mask, [(size,)], f"{size} numbers, or have the structure of the actions", name)
        return np.concatenate([np.empty(0, np.uint8), *inner])
    match space:
        case spaces.Discrete():
            return _bits(mask, [(int(space.n),)], f"shape {(int(space.n),)}", name)
        case spaces.MultiDiscrete():
            return _of_factors(space.nvec, mask, name)
        case spaces.MultiBinary():
            return _of_bits(tuple(space.shape), mask, name)
        case _:
            raise ValueError(f"action_mask{_of(name)} of a Box ({shown(mask)}); it must be None")


def _inner(space: gymnasium.Space[Any], mask: Any, name: str) -> list[Mask] | None:
    """The masks of the parts of a nested space, if the mask has its structure; None if it is flat."""
    if isinstance(space, spaces.Dict) and isinstance(mask, Mapping):
        for key in mask:
            if key not in space.spaces:
                raise ValueError(f"action_mask with {key!r}; it must have {', '.join(map(repr, space.spaces))}")
        for key, one in space.spaces.items():
            if key not in mask and mask_size(one):
                raise ValueError(f"action_mask without {key!r}; None there allows everything")
        return [_flat(one, mask.get(key), _join(name, key)) for key, one in space.spaces.items()]
    if isinstance(space, spaces.Tuple) and isinstance(mask, tuple | list) and not all(map(_is_number, mask)):
        if len(mask) != len(space.spaces):
            raise ValueError(f"action_mask{_of(name)} of {len(mask)} parts; it must be {len(space.spaces)}")
        pairs = zip(space.spaces, mask, strict=True)
        return [_flat(one, of_one, _join(name, number)) for number, (one, of_one) in enumerate(pairs)]
    return None


def _of_factors(nvec: NDArray[Any], mask: Any, name: str) -> Mask:
    """A mask of a MultiDiscrete: either one for each factor, nested like the factors, or all in one row."""
    if isinstance(mask, np.ndarray) and mask.dtype == object:
        mask = list(mask)
    sizes = nvec.reshape(-1).tolist()
    flat = (sum(sizes),)
    if mask is None:
        return np.ones(flat, np.uint8)
    right = f"one mask for each of the sizes {shown(sizes)}, or {flat[0]} numbers"
    if not isinstance(mask, tuple | list) or all(map(_is_number, mask)):
        shapes: list[tuple[int, ...]] = [flat]
        if len(set(sizes)) == 1:
            shapes.append((*nvec.shape, sizes[0]))
        return _bits(mask, shapes, right, name)
    if len(mask) != len(nvec):
        raise ValueError(f"action_mask{_of(name)} of {len(mask)} masks; it must be {right}")
    if nvec.ndim > 1:
        return np.concatenate([_of_factors(one, of_one, name) for one, of_one in zip(nvec, mask, strict=True)])
    rows = [
        np.ones(size, np.uint8) if one is None else _bits(one, [(size,)], f"shape {(size,)}", _join(name, number))
        for number, (size, one) in enumerate(zip(sizes, mask, strict=True))
    ]
    return np.concatenate(rows)


def _of_bits(shape: tuple[int, ...], mask: Any, name: str) -> Mask:
    """A mask of a MultiBinary: Gymnasium's form (0: must be 0, 1: must be 1, 2: free), or pairs "may be 0, 1"."""
    count = int(np.prod(shape))
    right = f"shape {shape} (0: must be 0, 1: must be 1, 2: free), or {2 * count} numbers"
    array = _numbers(mask, right, name)
    if array.shape != shape:
        return _bits(array, [(2 * count,), (*shape, 2)], right, name)
    flat = array.reshape(-1)
    wrong = ~((flat == 0) | (flat == 1) | (flat == 2))
    if wrong.any():
        raise ValueError(f"action_mask{_of(name)} with {flat[wrong][0]}; it must hold 0, 1 and 2")
    return np.stack([flat != 1, flat != 0], 1).reshape(-1).astype(np.uint8)


def _bits(mask: Any, shapes: list[tuple[int, ...]], right: str, name: str) -> Mask:
    array = _numbers(mask, right, name)
    if array.shape not in shapes:
        raise ValueError(f"action_mask{_of(name)} of shape {array.shape}; it must be {_the(right)}")
    flat = array.reshape(-1)
    if array.dtype.kind != "b":
        wrong = (flat != 0) & (flat != 1)
        if wrong.any():
            raise ValueError(
                f"action_mask{_of(name)} with {flat[wrong][0]}; it must hold 0 (may not be done) and 1 (may be)"
            )
    return flat.astype(np.uint8)


def _numbers(mask: Any, right: str, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(mask)
    except Exception as error:  # A foreign array may raise anything here.
        raise ValueError(
            f"action_mask{_of(name)} that is no array ({shown(mask)}); it must be {_the(right)}"
        ) from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"action_mask{_of(name)} that is {shown(mask)}; it must be {_the(right)}")
    return array


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.generic)


def _the(right: str) -> str:
    return f"of {right}" if right.startswith("shape") else right


def _of(name: str) -> str:
    return f" for {name!r}" if name else ""


def _join(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)
