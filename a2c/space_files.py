"""Spaces to and from files: the structure as JSON, the bounds of Boxes as arrays. The files may be a stranger's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.errors import shown
from a2c.spaces import PartOfTuple, Path, native, parts, row_type, unique_names

Arrays = dict[str, NDArray[Any]]


def describe(space: gymnasium.Space[Any], depth: int = 0) -> Any:
    """A space of numbers as JSON, without the bounds of its Boxes, which `to_arrays` gives.

    Raises:
        TypeError: It has a part that is not numbers, a key that JSON cannot hold, or is nested too deep. The text
            continues after the space's name.
    """
    if depth > _DEEPEST:
        raise TypeError(f"is nested more than {_DEEPEST} deep, too deep for a policy's file")
    match space:
        case spaces.Dict():
            pairs = [[_key(key), describe(inner, depth + 1)] for key, inner in space.spaces.items()]
            return {"kind": "dict", "parts": pairs}
        case spaces.Tuple():
            described: dict[str, Any] = {"kind": "tuple", "parts": [describe(one, depth + 1) for one in space.spaces]}
            if isinstance(space, PartOfTuple):
                described |= {"positions": list(space.positions), "length": space.length}
            return described
        case spaces.Box():
            written, held = np.dtype(space.dtype), native(space.dtype)
            return {"kind": "box", "type": (written if written.itemsize == held.itemsize else held).str}
        case spaces.Discrete():
            kind = np.dtype(space.dtype).str
            return {"kind": "discrete", "n": int(space.n), "start": int(space.start), "type": kind}
        case spaces.MultiDiscrete():
            kind, nvec, start = np.dtype(space.dtype).str, space.nvec.tolist(), space.start.tolist()
            return {"kind": "multi_discrete", "nvec": nvec, "start": start, "type": kind}
        case spaces.MultiBinary():
            return {"kind": "multi_binary", "shape": list(space.shape)}
        case _:
            raise TypeError(f"has {space}, which cannot be written")


def _key(key: Any) -> Any:
    """A key of a Dict as JSON: text, a number, None, or a list for a tuple of these."""
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int | np.integer):
        return int(key)
    if isinstance(key, float | np.floating) and np.isfinite(key):
        return float(key)
    if key is None:
        return None
    if isinstance(key, tuple):
        return [_key(one) for one in key]
    raise TypeError(f"has the key {shown(key)}; it must be text, a number, None, or a tuple of these")


def _key_of(described: Any) -> Any:
    """The key of a Dict from its JSON; the inverse of `_key`.

    Raises:
        ValueError: It is not a key.
    """
    if isinstance(described, list):
        return tuple(_key_of(one) for one in described)
    if type(described) in (str, int, float) or described is None:
        return described
    raise ValueError(f"{shown(described)} is no key of a space")


def to_arrays(space: gymnasium.Space[Any], prefix: str) -> Arrays:
    """The bounds of a space's Boxes, "prefix.low" and "prefix.high"; for a part, "prefix.<its name>.low" and so on."""
    arrays: Arrays = {}
    for part in parts(space):
        if isinstance(part.space, spaces.Box):
            native = row_type(part.space).base
            arrays[_joined(prefix, part.name, "low")] = part.space.low.astype(native)
            arrays[_joined(prefix, part.name, "high")] = part.space.high.astype(native)
    return arrays


def from_description(description: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> gymnasium.Space[Any]:
    """The space from the results of `describe` and `to_arrays`. They may be a stranger's: nothing in them is executed.

    Raises:
        KeyError: An array is missing.
        ValueError: The description or an array is not valid.
    """
    found = list(_described(description, (), 0))
    is_nested_ = description["kind"] in ("dict", "tuple")
    names = unique_names([path for path, _ in found]) if is_nested_ else [""]
    leaves = iter([_leaf(one, arrays, _joined(prefix, name)) for name, (_, one) in zip(names, found, strict=True)])
    return _space(description, leaves)


_DEEPEST = 32
_MOST_BITS = 2**24
_TYPES = {np.dtype(order + code).str for code in "?bBhHiIlLqQefd" for order in "<>"}


def _described(description: Any, path: Path, depth: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The parts of a description, in order, each with its path."""
    if depth > _DEEPEST:
        raise ValueError(f"a space is nested more than {_DEEPEST} deep")
    match description:
        case {"kind": "dict", "parts": list(pairs)}:
            keys = [_key_of(pair[0]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
            if len(keys) != len(pairs):
                raise ValueError(f"{shown(pairs)} are no named parts of a space")
            if len(set(keys)) != len(keys):
                raise ValueError(f"{shown(keys)} are names of parts, one of them twice")
            for key, (_, inner) in zip(keys, pairs, strict=True):
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
            return spaces.Dict([(_key_of(key), _space(inner, leaves)) for key, inner in pairs])
        case {"kind": "tuple", "parts": list(items), "positions": list(positions), "length": int(length)}:
            if len(positions) != len(items) or positions != sorted({n for n in range(length) if n in positions}):
                raise ValueError(f"{shown(positions)} are no places of {len(items)} parts of {length}")
            return PartOfTuple([_space(inner, leaves) for inner in items], tuple(positions), length)
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
            # Before 1.3, Gymnasium's Discrete was always int64 and had no argument dtype.
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


def _joined(*names: str) -> str:
    return ".".join(name for name in names if name)
