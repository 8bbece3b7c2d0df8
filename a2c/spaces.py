"""Any Gymnasium space as rows of one array, and back.

A value of a space is a row. Where the space is a Box, a Discrete, a MultiDiscrete or a MultiBinary, a row is an array
of the space's shape and type. Where it is a Dict or a Tuple of these, nested however deep, a row is one element of a
structured type, with a field for each of these parts, named by the way to it: "position", "0", "camera.left".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Path = tuple[str | int, ...]
"""The keys that lead to a part: () to a space that has none."""


class Part(NamedTuple):
    """A space within a space that is itself not divided."""

    name: str
    """Its field of a row; "" where the row is the part."""
    path: Path
    space: gymnasium.Space[Any]


def parts(space: gymnasium.Space[Any]) -> tuple[Part, ...]:
    """The parts of a space that can be numbers, in order; none where there are none."""
    found = [(path, leaf) for path, leaf in _leaves(space, ()) if is_numbers(leaf)]
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return tuple(Part("", path, leaf) for path, leaf in found)
    names: list[str] = []
    for path, _ in found:
        name = ".".join(map(str, path)) or "_"
        while name in names:  # {"a.b": ..., "a": {"b": ...}}
            name += "'"
        names.append(name)
    return tuple(Part(name, path, leaf) for name, (path, leaf) in zip(names, found, strict=True))


def left_out(space: gymnasium.Space[Any]) -> tuple[tuple[Path, gymnasium.Space[Any]], ...]:
    """What cannot be numbers in a space: texts, graphs, sequences."""
    return tuple((path, leaf) for path, leaf in _leaves(space, ()) if not is_numbers(leaf))


def is_numbers(space: gymnasium.Space[Any]) -> bool:
    """Whether a space that is not divided holds arrays of numbers of one shape."""
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def row_type(space: gymnasium.Space[Any]) -> np.dtype[Any]:
    """The type of a row, in this machine's byte order.

    `np.zeros((T, N), row_type(space))` has room for T x N rows.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return np.dtype([(part.name, _part_type(part.space)) for part in parts(space)])
    return _part_type(space)


def part_of(rows: NDArray[Any], name: str) -> NDArray[Any]:
    """A part of rows [...], by its name: a view [..., *shape]."""
    return rows[name] if name else rows


def _part_type(space: gymnasium.Space[Any]) -> np.dtype[Any]:
    return np.dtype((np.dtype(space.dtype).newbyteorder("="), tuple(space.shape or ())))


def _leaves(space: gymnasium.Space[Any], path: Path) -> Iterator[tuple[Path, gymnasium.Space[Any]]]:
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for number, inner in enumerate(space.spaces):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, space


def plain(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows as arrays that files can hold: structured ones as bytes [..., itemsize]."""
    if rows.dtype.fields is None:
        return rows
    return np.ascontiguousarray(rows).view(np.uint8).reshape(*rows.shape, rows.dtype.itemsize)


def unplain(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """What `plain` was given, of that type."""
    return array if dtype.fields is None else np.ascontiguousarray(array).view(dtype).reshape(array.shape[:-1])
