"""Any Gymnasium space as rows of one array, and back.

A value of a space is a row. Where the space is a Box, a Discrete, a MultiDiscrete or a MultiBinary, a row is an array
of the space's shape and type. Where it is a Dict or a Tuple of these, nested however deep, a row is one element of a
structured type, with a field for each of these parts, named by the way to it: "position", "0", "camera.left".

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
"""The keys that lead to a part: () to a space that has none."""

Arrays = dict[str, NDArray[Any]]

Value = Callable[[Any], Any]


class Part(NamedTuple):
    """A space within a space that is itself not divided."""

    name: str
    """Its field of a row; "" where the row is the part."""
    path: Path
    space: gymnasium.Space[Any]


def parts(space: gymnasium.Space[Any]) -> tuple[Part, ...]:
    """The parts of a space that can be numbers, in order; none where there are none."""
    found = [(path, leaf) for path, leaf in _leaves(space, ()) if is_numbers(leaf)]
    if not is_nested(space):
        return tuple(Part("", path, leaf) for path, leaf in found)
    names = _names([path for path, _ in found])
    return tuple(Part(name, path, leaf) for name, (path, leaf) in zip(names, found, strict=True))


def left_out(space: gymnasium.Space[Any]) -> tuple[tuple[Path, gymnasium.Space[Any]], ...]:
    """What cannot be numbers in a space: texts, graphs, sequences."""
    return tuple((path, leaf) for path, leaf in _leaves(space, ()) if not is_numbers(leaf))


def is_numbers(space: gymnasium.Space[Any]) -> bool:
    """Whether a space that is not divided holds arrays of real numbers of one shape."""
    if isinstance(space, spaces.Box):
        return np.dtype(space.dtype).kind in "biuf"
    return isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def is_nested(space: gymnasium.Space[Any]) -> bool:
    """Whether a row is of a structured type."""
    return isinstance(space, spaces.Dict | spaces.Tuple)


def numbers_only(space: gymnasium.Space[Any]) -> gymnasium.Space[Any] | None:
    """The space without the parts that cannot be numbers: itself where all can, None where none can."""
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
    return spaces.Tuple([kept for kept in items if kept is not None])


def row_type(space: gymnasium.Space[Any]) -> np.dtype[Any]:
    """The type of a row, in this machine's byte order.

    `np.zeros((T, N), row_type(space))` has room for T x N rows.
    """
    if is_nested(space):
        return np.dtype([(part.name, _part_type(part.space)) for part in parts(space)])
    return _part_type(space)


def part_of(rows: NDArray[Any], name: str) -> NDArray[Any]:
    """A part of rows [...], by its name: a view [..., *shape]."""
    return rows[name] if name else rows


def limits(space: gymnasium.Space[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """The lowest and highest of each number of a part that counts, [*shape] each; None of a Box, which measures."""
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
    """What makes a value of a space (of numbers only) from a row.

    The value is what `space.contains` holds for one: a scalar of a Discrete, arrays of the space's own type (whatever
    its byte order), in dicts and tuples. It shares no memory with the row.

    Example:
        >>> space = spaces.Dict(x=spaces.Box(-1, 1, (2,)), n=spaces.Discrete(3))
        >>> value_of(space)(rows_of(space, {"n": 2, "x": [0.5, 1]}))["x"]
        array([0.5, 1. ], dtype=float32)
    """
    return _value(space, (), {part.path: part.name for part in parts(space)})


def is_value(space: gymnasium.Space[Any]) -> bool:
    """Whether a row, in an array of rows [N], is a value of the space already."""
    if isinstance(space, spaces.Discrete):
        return True
    return not is_nested(space) and np.dtype(space.dtype).isnative and bool(space.shape)


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
    # Not `row[name].copy()`: the field of a packed row may lie at an odd address.
    return (lambda row: np.array(row[name], dtype)) if name else (lambda row: np.array(row, dtype))


def rows_of(space: gymnasium.Space[Any], value: Any, name: str = "obs") -> NDArray[Any]:
    """A value of a space (of numbers only) as a row: of shape (), or [*shape] where the space is not nested.

    Args:
        space: Of the value.
        value: Numbers, arrays or lists of them; more keys in a dict than the space has do not matter.
        name: What an error calls it.

    Raises:
        ValueError: It is none of the space's: another structure or shape, no number, or one that the row cannot hold.
            The bounds of a Box are not looked at.
    """
    return _read(space, value, (), name)


def batch_of(space: gymnasium.Space[Any], values: Any, n: int, name: str = "obs") -> NDArray[Any]:
    """N values of a space (of numbers only) in Gymnasium's batched form, as rows [N].

    Raises:
        ValueError: As `rows_of`.
    """
    return _read(space, values, (n,), name)


def batch_size(space: gymnasium.Space[Any], values: Any) -> int | None:
    """Of how many values this is Gymnasium's batched form; None: it is one value, or none of the space's."""
    for part in parts(space):
        array: Any = values
        try:
            for key in part.path:
                array = array[key]
            array = np.asarray(array)
        except Exception:  # noqa: BLE001 - whatever it is, `rows_of` says what is wrong with it
            return None
        return len(array) if array.ndim == len(part.space.shape or ()) + 1 else None
    return None


def batched(space: gymnasium.Space[Any], rows: NDArray[Any]) -> Any:
    """Rows [N] of a space (of numbers only) in Gymnasium's batched form, copied: what `batch_space` contains."""
    if not is_nested(space):
        return np.array(rows, np.dtype(space.dtype))
    return _built(space, iter([np.array(rows[part.name], part.space.dtype) for part in parts(space)]))


def _built(space: gymnasium.Space[Any], leaves: Iterator[Any]) -> Any:
    """What has the structure of a space, from what stands for its parts, in order."""
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
    """The parts of a space in order, each with what a value has for it and what to call that."""
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is {shown(value)}; it must be a dict with {_listed(space.spaces)}")
        for key, inner in space.spaces.items():
            if key not in value:
                raise ValueError(f"{name} lacks {key!r}; it must have {_listed(space.spaces)}")
            yield from _taken_apart(inner, value[key], f"{name}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        count = len(space.spaces)
        if not isinstance(value, tuple | list) or len(value) != count:
            raise ValueError(f"{name} is {shown(value)}; it must be a tuple of {count}")
        for number, inner in enumerate(space.spaces):
            yield from _taken_apart(inner, value[number], f"{name}[{number}]")
    else:
        yield space, value, name


def _array(space: gymnasium.Space[Any], value: Any, lead: tuple[int, ...], name: str) -> NDArray[Any]:
    """What was given for a part, as an array of its type; the same numbers."""
    try:
        array: NDArray[Any] = np.asarray(value)
    except Exception as error:  # Whatever the conversion of a foreign array raises.
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
            if array.dtype.kind == "f":  # Beyond the type's range, what a cast gives is anybody's guess.
                wrong |= ~(np.abs(array) < 2.0**63)
    right = f"what {dtype} can hold"
    found = limits(space)
    if found is not None:
        wrong |= (array < found[0]) | (array > found[1])
        right = f"whole numbers of {space}"
    if wrong.any():
        raise ValueError(f"{name} has {array[wrong].flat[0]}; it must be {right}")
    return cast


# -- rows and files --


def plain(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows as an array that a file can hold: bytes [..., size of a row] of structured ones, any other array itself."""
    if rows.dtype.names is None:
        return rows
    return np.ascontiguousarray(rows).reshape(rows.shape).view(np.uint8).reshape(*rows.shape, rows.dtype.itemsize)


def unplain(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of a type from what `plain` gave for them.

    Raises:
        ValueError: It is of another size or type.
    """
    if dtype.names is None:
        return array
    if array.dtype != np.uint8 or array.shape[-1:] != (dtype.itemsize,):
        raise ValueError(f"{array.dtype} {array.shape} is no array of rows of {dtype.itemsize} bytes")
    return np.ascontiguousarray(array).view(dtype).reshape(array.shape[:-1])


def describe(space: gymnasium.Space[Any]) -> Any:
    """A space of numbers only as JSON, without the bounds of its Boxes, which `to_arrays` gives.

    Raises:
        TypeError: It has another part, or a key that JSON does not know.
    """
    match space:
        case spaces.Dict():
            for key in space.spaces:
                if type(key) not in (str, int):
                    raise TypeError(f"{space} has the key {key!r}; only text and whole numbers can be written")
            return {"kind": "dict", "parts": [[key, describe(inner)] for key, inner in space.spaces.items()]}
        case spaces.Tuple():
            return {"kind": "tuple", "parts": [describe(inner) for inner in space.spaces]}
        case spaces.Box():
            return {"kind": "box", "type": np.dtype(space.dtype).str}
        case spaces.Discrete():
            kind = np.dtype(space.dtype).str
            return {"kind": "discrete", "n": int(space.n), "start": int(space.start), "type": kind}
        case spaces.MultiDiscrete():
            kind, nvec, start = np.dtype(space.dtype).str, space.nvec.tolist(), space.start.tolist()
            return {"kind": "multi_discrete", "nvec": nvec, "start": start, "type": kind}
        case spaces.MultiBinary():
            return {"kind": "multi_binary", "shape": list(space.shape)}
        case _:
            raise TypeError(f"{space} cannot be written")


def to_arrays(space: gymnasium.Space[Any], prefix: str) -> Arrays:
    """The bounds of a space's Boxes: "prefix.low" and "prefix.high", of a part "prefix.<its name>.low" and so on."""
    arrays: Arrays = {}
    for part in parts(space):
        if isinstance(part.space, spaces.Box):
            native = _part_type(part.space).base
            arrays[_joined(prefix, part.name, "low")] = part.space.low.astype(native)
            arrays[_joined(prefix, part.name, "high")] = part.space.high.astype(native)
    return arrays


def from_description(description: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> gymnasium.Space[Any]:
    """The space that `describe` and `to_arrays` gave. It may come from a stranger: nothing in it can run.

    Raises:
        KeyError: An array is missing.
        ValueError: The description or an array is none of a space.
    """
    found = list(_described(description, (), 0))
    is_nested_ = description["kind"] in ("dict", "tuple")
    names = _names([path for path, _ in found]) if is_nested_ else [""]
    leaves = iter([_leaf(one, arrays, _joined(prefix, name)) for name, (_, one) in zip(names, found, strict=True)])
    return _space(description, leaves)


_DEEPEST = 32
_MOST_BITS = 2**24
_TYPES = {np.dtype(order + code).str for code in "?bBhHiIlLqQefd" for order in "<>"}


def _described(description: Any, path: Path, depth: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The parts that a description has, in order."""
    if depth > _DEEPEST:
        raise ValueError(f"a space is nested more than {_DEEPEST} deep")
    match description:
        case {"kind": "dict", "parts": list(pairs)}:
            keys = [pair[0] for pair in pairs if isinstance(pair, list) and len(pair) == 2]
            if len(keys) != len(pairs) or not all(type(key) in (str, int) for key in keys):
                raise ValueError(f"{shown(pairs)} are no named parts of a space")
            if len(set(keys)) != len(keys):
                raise ValueError(f"{shown(keys)} are names of parts, one of them twice")
            for key, inner in pairs:
                yield from _described(inner, (*path, key), depth + 1)
        case {"kind": "tuple", "parts": list(items)}:
            for number, inner in enumerate(items):
                yield from _described(inner, (*path, number), depth + 1)
        case {"kind": str()}:
            yield path, description
        case _:
            raise ValueError(f"{shown(description)} describes no space")


def _space(description: dict[str, Any], leaves: Iterator[gymnasium.Space[Any]]) -> gymnasium.Space[Any]:
    match description:
        case {"kind": "dict", "parts": list(pairs)}:
            return spaces.Dict([(key, _space(inner, leaves)) for key, inner in pairs])
        case {"kind": "tuple", "parts": list(items)}:
            return spaces.Tuple([_space(inner, leaves) for inner in items])
        case _:
            return next(leaves)


def _leaf(description: dict[str, Any], arrays: Mapping[str, NDArray[Any]], name: str) -> gymnasium.Space[Any]:
    match description:
        case {"kind": "box", "type": str(kind)} if kind in _TYPES:
            low, high = arrays[f"{name}.low"], arrays[f"{name}.high"]
            dtype = np.dtype(kind)
            is_of_type = low.dtype == high.dtype == dtype.newbyteorder("=")
            if not is_of_type or low.shape != high.shape or not (low <= high).all():
                raise ValueError(f"{name}.low and {name}.high are not the limits of a space of {dtype}")
            return spaces.Box(low.astype(dtype), high.astype(dtype), low.shape, dtype)
        case {"kind": "discrete", "n": int(n), "start": int(start), "type": str(kind)} if _is_whole(kind):
            dtype = np.dtype(kind)
            if n < 1 or not _fits(dtype, n, start, start + n - 1):
                raise ValueError(f"{name} has {n} numbers from {start}; there must be some, and {dtype} hold them")
            # Before 1.3 Gymnasium knew none but int64 here, and no argument to say so.
            return spaces.Discrete(n, start=start) if dtype == np.int64 else spaces.Discrete(n, start=start, dtype=kind)
        case {"kind": "multi_discrete", "nvec": list(ns), "start": list(starts), "type": str(kind)} if _is_whole(kind):
            dtype = np.dtype(kind)
            nvec, start_at = np.array(ns, object), np.array(starts, object)
            if nvec.shape != start_at.shape or not all(type(one) is int for one in [*nvec.flat, *start_at.flat]):
                raise ValueError(f"{name} has {shown(ns)} numbers from {shown(starts)}, which is no space")
            for count, first in zip(nvec.flat, start_at.flat, strict=True):
                if count < 1 or not _fits(dtype, count, first, first + count - 1):
                    raise ValueError(f"{name} has {count} numbers from {first}; there must be some, in {dtype}")
            return spaces.MultiDiscrete(nvec.astype(dtype), dtype=kind, start=start_at.astype(dtype))
        case {"kind": "multi_binary", "shape": list(shape)} if all(type(size) is int and size > 0 for size in shape):
            if not shape or int(np.prod(np.array(shape, object))) > _MOST_BITS:
                raise ValueError(f"{name} has the shape {shown(shape)}; it must be that of some bits")
            return spaces.MultiBinary(shape if len(shape) > 1 else shape[0])
        case _:
            raise ValueError(f"{name} is {shown(description)}, which describes no space")


def _is_whole(kind: str) -> bool:
    return kind in _TYPES and np.dtype(kind).kind in "iu"


def _fits(dtype: np.dtype[Any], *numbers: int) -> bool:
    held = np.iinfo(dtype)
    return all(held.min <= number <= min(held.max, 2**63 - 1) for number in numbers)


def same(ours: Any, theirs: Any, bounds: bool = True) -> bool:
    """Whether two spaces hold the same numbers, in whatever type, their parts in the same order.

    Args:
        ours: A space.
        theirs: Another one.
        bounds: Whether the bounds of Boxes count; if not, only their shapes do.
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
            # In the coarser of both types: 0.1 is another number in each.
            dtype = min(ours.dtype, theirs.dtype, key=lambda dtype: dtype.itemsize)
            pairs = ((ours.low, theirs.low), (ours.high, theirs.high))
            with np.errstate(all="ignore"):
                return all(np.array_equal(a.astype(dtype), b.astype(dtype)) for a, b in pairs)
        case _:
            return False


def named(path: Path) -> str:
    """The way to a part as a message shows it."""
    return ".".join(map(str, path))


def _names(paths: list[Path]) -> list[str]:
    """A name for each part of a nested space."""
    names: list[str] = []
    for path in paths:
        name = named(path) or "_"
        while name in names:  # {"a.b": ..., "a": {"b": ...}}
            name += "'"
        names.append(name)
    return names


def _joined(*names: str) -> str:
    return ".".join(name for name in names if name)


def _listed(keys: Any) -> str:
    return ", ".join(map(repr, keys))


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
