"""Any Gymnasium space as rows of one array, and back.

A value of a space is a row. For a Box, a Discrete, a MultiDiscrete or a MultiBinary, a row is an array of the space's
shape and type. For a Dict or a Tuple of these, nested to any depth, a row is one element of a structured type, with a
field for each part, named by its path: "position", "0", "camera.left".

| from | to | by |
|---|---|---|
| a row | a value of the space | `value_of(space)(row)` |
| a value | a row | `rows_of(space, value)` |
| rows [N] | Gymnasium's batched form: arrays [N, ...] in dicts and tuples | `batched(space, rows)` |
| Gymnasium's batched form | rows [N] | `batch_of(space, values, n)` |
| rows | an array that a file can hold | `plain(rows)`, and back by `unplain` |
| a space | JSON and arrays | `describe(space)` and `to_arrays`, and back by `from_description` |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.errors import shown

Path = tuple[Any, ...]
"""The keys that lead to a part; () for a space without parts."""


Value = Callable[[Any], Any]


class PartOfTuple(spaces.Tuple[Any]):
    """A Tuple without the parts of another Tuple that cannot be numbers.

    `rows_of` reads values of both Tuples.
    """

    def __init__(self, some: list[gymnasium.Space[Any]], positions: tuple[int, ...], length: int) -> None:
        """Creates the Tuple of some parts.

        Args:
            some: The parts.
            positions: Their positions in the other Tuple.
            length: The number of parts of the other Tuple.
        """
        super().__init__(some)
        self.positions, self.length = positions, length


class Part(NamedTuple):
    """A space without parts inside another space."""

    name: str
    """Its field of a row; "" if the space has no other parts."""
    path: Path
    space: gymnasium.Space[Any]


def parts(space: gymnasium.Space[Any]) -> tuple[Part, ...]:
    """The parts of a space that can be numbers, in order."""
    found = [(path, leaf) for path, leaf in _leaves(space, ()) if is_numbers(leaf)]
    if not is_nested(space):
        return tuple(Part("", path, leaf) for path, leaf in found)
    names = unique_names([path for path, _ in found])
    return tuple(Part(name, path, leaf) for name, (path, leaf) in zip(names, found, strict=True))


def left_out(space: gymnasium.Space[Any]) -> tuple[tuple[Path, gymnasium.Space[Any]], ...]:
    """The parts of a space that cannot be numbers: texts, graphs, sequences."""
    return tuple((path, leaf) for path, leaf in _leaves(space, ()) if not is_numbers(leaf))


def is_numbers(space: gymnasium.Space[Any]) -> bool:
    """Whether a space without parts holds real numbers in arrays of one shape, at least one number each."""
    if 0 in (space.shape or ()):
        return False
    if isinstance(space, spaces.Box):
        return np.dtype(space.dtype).kind in "biuf"
    return isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def is_nested(space: gymnasium.Space[Any]) -> bool:
    """Whether the space has parts, so that a row is of a structured type."""
    return isinstance(space, spaces.Dict | spaces.Tuple)


def numbers_only(space: gymnasium.Space[Any]) -> gymnasium.Space[Any] | None:
    """The space without the parts that cannot be numbers: itself if all can, None if none can."""
    if not is_nested(space):
        return space if is_numbers(space) else None
    if not parts(space):
        return None
    if isinstance(space, spaces.Dict):
        pairs = [(key, numbers_only(inner)) for key, inner in space.spaces.items()]
        if all(kept is space.spaces[key] for key, kept in pairs):
            return space
        return spaces.Dict([(key, kept) for key, kept in pairs if kept is not None])
    assert isinstance(space, spaces.Tuple)  # noqa: S101 - for mypy: nested, and no Dict
    items = [numbers_only(inner) for inner in space.spaces]
    if all(kept is inner for kept, inner in zip(items, space.spaces, strict=True)):
        return space
    positions = tuple(number for number, kept in enumerate(items) if kept is not None)
    return PartOfTuple([kept for kept in items if kept is not None], positions, len(items))


def row_type(space: gymnasium.Space[Any]) -> np.dtype[Any]:
    """The type of a row, in this machine's byte order.

    `np.zeros((T, N), row_type(space))` has room for T x N rows.
    """
    if is_nested(space):
        return np.dtype([(part.name, _part_type(part.space)) for part in parts(space)])
    return _part_type(space)


def native(dtype: Any) -> np.dtype[Any]:
    """The type in this machine's byte order; float64 for longer types, which safetensors does not have."""
    found: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    return found if found.itemsize <= 8 else np.dtype(np.float64)


def part_of(rows: NDArray[Any], name: str) -> NDArray[Any]:
    """The part `name` of rows [...], as a view [..., *shape]."""
    return rows[name] if name else rows


def limits(space: gymnasium.Space[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """The lowest and highest value of each whole number of a part, [*shape] each; None for a Box."""
    match space:
        case spaces.Discrete():
            first = int(space.start)
            return np.array(first), np.array(first + int(space.n) - 1)
        case spaces.MultiDiscrete():
            start = space.start.astype(np.int64)
            return start, start + (space.nvec.astype(np.int64) - 1)
        case spaces.MultiBinary():
            return np.zeros(space.shape, np.int64), np.ones(space.shape, np.int64)
        case _:
            return None


# -- values and rows --


def value_of(space: gymnasium.Space[Any]) -> Value:
    """A function that makes a value of a space (of numbers only) from a row.

    `space.contains` accepts the value: a scalar for a Discrete, otherwise arrays of the space's own type and byte
    order, in dicts and tuples. It shares no memory with the row.

    Example:
        >>> space = spaces.Dict(x=spaces.Box(-1, 1, (2,)), n=spaces.Discrete(3))
        >>> value_of(space)(rows_of(space, {"n": 2, "x": [0.5, 1]}))["x"]
        array([0.5, 1. ], dtype=float32)
    """
    return _value(space, (), {part.path: part.name for part in parts(space)})


def is_value(space: gymnasium.Space[Any]) -> bool:
    """Whether an element of an array of rows [N] is already a value of the space."""
    if isinstance(space, spaces.Discrete):
        return True
    return not is_nested(space) and row_type(space).base == np.dtype(space.dtype) and bool(space.shape)


def _value(space: gymnasium.Space[Any], path: Path, names: Mapping[Path, str]) -> Value:
    if isinstance(space, spaces.Dict):
        named = [(key, _value(inner, (*path, key), names)) for key, inner in space.spaces.items()]
        return lambda row: {key: value(row) for key, value in named}
    if isinstance(space, spaces.Tuple):
        items = [_value(inner, (*path, number), names) for number, inner in enumerate(space.spaces)]
        return lambda row: tuple(value(row) for value in items)
    name, dtype = names[path], np.dtype(space.dtype)
    if isinstance(space, spaces.Discrete):
        scalar = dtype.type
        return (lambda row: scalar(row[name])) if name else scalar
    # Not `row[name].copy()`: a field of a packed row may be unaligned.
    return (lambda row: np.array(row[name], dtype)) if name else (lambda row: np.array(row, dtype))


def rows_of(space: gymnasium.Space[Any], value: Any, name: str = "obs") -> NDArray[Any]:
    """A value of a space (of numbers only) as a row: of shape (), or [*shape] if the space is not nested.

    Args:
        space: The space.
        value: Numbers, arrays or lists of numbers; a dict may have more keys than the space.
        name: The value's name in errors.

    Raises:
        ValueError: It is not a value of the space: another structure or shape, no number, or a number that the row
            cannot hold. The bounds of a Box are not checked.
    """
    return _read(space, value, (), name)


def batch_of(space: gymnasium.Space[Any], values: Any, n: int, name: str = "obs") -> NDArray[Any]:
    """N values of a space (of numbers only) in Gymnasium's batched form, as rows [N].

    Raises:
        ValueError: As `rows_of`.
    """
    return _read(space, values, (n,), name)


def batch_size(space: gymnasium.Space[Any], values: Any) -> int | None:
    """The number of values in Gymnasium's batched form; None if this is a single value, or not of the space."""
    sizes = set()
    try:
        for leaf, given, _ in _taken_apart(space, values, ""):
            array = np.asarray(given)
            sizes.add(len(array) if array.ndim == len(leaf.shape or ()) + 1 else None)
    except Exception:  # noqa: BLE001 - `rows_of` then says what is wrong with it
        return None
    return sizes.pop() if len(sizes) == 1 else None


def batched(space: gymnasium.Space[Any], rows: NDArray[Any]) -> Any:
    """Rows [N] of a space (of numbers only) in Gymnasium's batched form, copied: a value of `batch_space`."""
    if not is_nested(space):
        return np.array(rows, np.dtype(space.dtype))
    return _built(space, iter([np.array(rows[part.name], part.space.dtype) for part in parts(space)]))


def _built(space: gymnasium.Space[Any], leaves: Iterator[Any]) -> Any:
    """Dicts and tuples with the structure of a space, around objects for its parts, in order."""
    if isinstance(space, spaces.Dict):
        return {key: _built(inner, leaves) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_built(inner, leaves) for inner in space.spaces)
    return next(leaves)


def _read(space: gymnasium.Space[Any], value: Any, lead: tuple[int, ...], name: str) -> NDArray[Any]:
    if not is_nested(space):
        return _array(space, value, lead, name)
    rows: NDArray[Any] = np.zeros(lead, row_type(space))
    fields = iter(parts(space))
    for leaf, given, called in _taken_apart(space, value, name):
        rows[next(fields).name] = _array(leaf, given, lead, called)
    return rows


def _taken_apart(space: gymnasium.Space[Any], value: Any, name: str) -> Iterator[tuple[gymnasium.Space[Any], Any, str]]:
    """The parts of a space in order, each with the value's part and its name in errors."""
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is {shown(value)}; it must be a dict with {_listed(space.spaces)}")
        for key, inner in space.spaces.items():
            if key not in value:
                raise ValueError(f"{name} lacks {key!r}; it must have {_listed(space.spaces)}")
            yield from _taken_apart(inner, value[key], f"{name}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        count = len(space.spaces)
        if isinstance(space, PartOfTuple) and isinstance(value, tuple | list) and len(value) == space.length:
            value = [value[position] for position in space.positions]
        if not isinstance(value, tuple | list) or len(value) != count:
            raise ValueError(f"{name} is {shown(value)}; it must be a tuple of {count}")
        for number, inner in enumerate(space.spaces):
            yield from _taken_apart(inner, value[number], f"{name}[{number}]")
    else:
        yield space, value, name


def _array(space: gymnasium.Space[Any], value: Any, lead: tuple[int, ...], name: str) -> NDArray[Any]:
    """The value of a part as an array of its type, with exactly the same numbers."""
    try:
        array: NDArray[Any] = np.asarray(value)
    except Exception as error:  # A foreign array may raise anything here.
        raise ValueError(f"{name} is {shown(value)}, which is no array; it must be numbers") from error
    if array.dtype.kind not in "biuf" or (isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any()):
        raise ValueError(f"{name} is {shown(value)}; it must be numbers")
    shape = (*lead, *(space.shape or ()))
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must be {shape}")
    dtype = _part_type(space).base
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        wrong = np.zeros(shape, np.bool_)
        if dtype.kind != "f":
            wrong = cast != array
            if array.dtype.kind == "f":  # A cast from beyond the type's range is undefined.
                wrong |= ~(np.abs(array) < 2.0**63)
    right = f"what {dtype} can hold"
    found = limits(space)
    if found is not None:
        wrong |= (array < found[0]) | (array > found[1])
        right = f"whole numbers of {space}"
    if wrong.any():
        raise ValueError(f"{name} has {array[wrong].flat[0]}; it must be {right}")
    return cast


# -- rows as plain arrays, spaces compared --


def plain(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows as an array that a file can hold: structured rows as bytes [..., size of a row], others as they are."""
    if rows.dtype.names is None:
        return rows
    return np.ascontiguousarray(rows).reshape(rows.shape).view(np.uint8).reshape(*rows.shape, rows.dtype.itemsize)


def unplain(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of a type from the result of `plain`.

    Raises:
        ValueError: The array has another size or type.
    """
    if dtype.names is None:
        return array
    if array.dtype != np.uint8 or array.shape[-1:] != (dtype.itemsize,):
        raise ValueError(f"{array.dtype} {array.shape} is no array of rows of {dtype.itemsize} bytes")
    return np.ascontiguousarray(array).view(dtype).reshape(array.shape[:-1])


def same(ours: Any, theirs: Any, bounds: bool = True) -> bool:
    """Whether two spaces hold the same numbers, of any type, with their parts in the same order.

    Args:
        ours: A space.
        theirs: Another one.
        bounds: Whether to compare the bounds of Boxes; if not, only their shapes.
    """
    match ours, theirs:
        case spaces.Dict(), spaces.Dict():
            return list(ours.spaces) == list(theirs.spaces) and all(
                same(one, theirs.spaces[key], bounds) for key, one in ours.spaces.items()
            )
        case spaces.Tuple(), spaces.Tuple():
            return len(ours.spaces) == len(theirs.spaces) and all(
                same(one, another, bounds) for one, another in zip(ours.spaces, theirs.spaces, strict=True)
            )
        case spaces.Discrete(), spaces.Discrete():
            return bool(ours.n == theirs.n and ours.start == theirs.start)
        case spaces.MultiDiscrete(), spaces.MultiDiscrete():
            return np.array_equal(ours.nvec, theirs.nvec) and np.array_equal(ours.start, theirs.start)
        case spaces.MultiBinary(), spaces.MultiBinary():
            return bool(ours.shape == theirs.shape)
        case spaces.Box(), spaces.Box():
            if ours.shape != theirs.shape or not bounds:
                return bool(ours.shape == theirs.shape)
            # In the coarser of both types, because 0.1 in float32 and in float64 are different numbers.
            dtype = min(ours.dtype, theirs.dtype, key=lambda dtype: dtype.itemsize)
            pairs = ((ours.low, theirs.low), (ours.high, theirs.high))
            with np.errstate(all="ignore"):
                return all(np.array_equal(a.astype(dtype), b.astype(dtype)) for a, b in pairs)
        case _:
            return False


def named(path: Path) -> str:
    """The path of a part as a message shows it."""
    return ".".join(map(str, path))


def unique_names(paths: list[Path]) -> list[str]:
    """A name for each part of a nested space."""
    names: list[str] = []
    for path in paths:
        name = named(path) or "_"
        while name in names:  # {"a.b": ..., "a": {"b": ...}}
            name += "'"
        names.append(name)
    return names


def _listed(keys: Any) -> str:
    return ", ".join(map(repr, keys))


def _part_type(space: gymnasium.Space[Any]) -> np.dtype[Any]:
    return np.dtype((native(space.dtype), tuple(space.shape or ())))


def _leaves(space: gymnasium.Space[Any], path: Path) -> Iterator[tuple[Path, gymnasium.Space[Any]]]:
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for number, inner in enumerate(space.spaces):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, space
