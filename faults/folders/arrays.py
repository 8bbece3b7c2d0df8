"""Damage to arrays: headers of safetensors, types, shapes, values. Each says what it did."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np

from a2c import files
from faults.folders.copies import Copy


def header_changed(copy: Copy) -> str:
    rng, path = copy.rng, copy.pick("*.safetensors")
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    name = rng.choice(sorted(header.keys() - {"__metadata__"}))
    entry, other = header[name], header[rng.choice(sorted(header.keys() - {"__metadata__"}))]
    huge = rng.choice((-1, 0, 1, 2**31, 2**32, 2**53, 2**63, 2**64 - 1, 2**64, 2**70, 0.5, None, "1", True))
    way = rng.choice(("length", "dtype", "shape", "offsets", "overlap", "twice", "name", "metadata", "deep", "entry"))
    length, text = None, None
    match way:
        case "length":
            length = rng.choice((0, 1, size - 1, size + 1, len(data), 100_000_001, 2**31, 2**63, 2**64 - 1))
        case "dtype":
            dtypes = ("F64", "F32", "F16", "BF16", "I64", "I8", "U64", "BOOL", "F8_E4M3", "C64", "F4", "X", "", None, 1)
            entry["dtype"] = rng.choice(dtypes)
        case "shape":
            entry["shape"] = rng.choice(([], [0], [0, 2**62], [huge], [2**32, 2**32, 0], [huge, huge], [1] * 100, huge))
        case "offsets":
            entry["data_offsets"][rng.randrange(2)] = rng.choice((huge, len(body), len(body) + 1))
        case "overlap":
            entry["data_offsets"] = other["data_offsets"]
        case "twice":
            text = json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(other)}}}"
        case "name":
            names = (
                "../../x",
                "/etc/x",
                "",
                "x" * 100_000,
                "a\nb",
                "\x1b[2J",
                "\0",
                "\ud800",
                "__class__",
                "__metadata__",
            )
            header[rng.choice(names)] = header.pop(name)
        case "metadata":
            header["__metadata__"] = rng.choice(({"a": 1}, [], "x", {"x": "y" * 100_000}, {"format": "pt"}, huge))
        case "deep":
            depth = rng.choice((100, 1_000, 100_000))
            text = '{"a":' * depth + "1" + "}" * depth
        case "entry":
            header[name] = rng.choice(([], {}, None, {"dtype": "F32"}, "x", huge))
    encoded = (text or json.dumps(header)).encode("utf-8")
    path.write_bytes((len(encoded) if length is None else length).to_bytes(8, "little") + encoded + body)
    return f"{copy.name(path)}: header's {way} of {name} changed" + copy.seal(path)


def arrays_changed(copy: Copy) -> str:
    path = copy.pick("*.safetensors")
    arrays = files.arrays_from_bytes(path.read_bytes(), path)
    if not arrays:
        return "nothing"
    changes = ", ".join(_array_changed(copy.rng, arrays) for _ in range(copy.rng.choice((1, 1, 1, 1, 2, 3))) if arrays)
    path.write_bytes(files.arrays_to_bytes(arrays))
    return f"{copy.name(path)}: {changes}" + copy.seal(path)


_DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint64", "bool")


def _array_changed(rng: random.Random, arrays: files.Arrays) -> str:
    name = rng.choice(sorted(arrays))
    array = arrays[name].copy()
    way = rng.choice(("value", "value", "values", "dtype", "shape", "removed", "renamed", "swapped", "added", "space"))
    match way:
        case "value" | "values" if array.size:
            if array.dtype.kind == "f":
                info = np.finfo(array.dtype)
                hostile: tuple[Any, ...] = (math.nan, math.inf, -math.inf, -1, 0, 1, 1e6, info.max, info.min, info.tiny)
            elif array.dtype.kind == "b":
                hostile = (True, False)
            else:
                hostile = (-1, 0, 1, 2, 2**31, 2**40, np.iinfo(array.dtype).max, np.iinfo(array.dtype).min)
            value = np.array(rng.choice(hostile)).astype(array.dtype)
            where: Any = slice(None) if way == "values" else rng.randrange(array.size)
            array.reshape(-1)[where] = value
            arrays[name] = array
            return f"{name} is {value} {'everywhere' if way == 'values' else f'at {where}'}"
        case "dtype":
            with np.errstate(all="ignore"):
                arrays[name] = array.astype(rng.choice(_DTYPES))
            return f"{name} is {arrays[name].dtype}"
        case "shape":
            rows = array[None] if array.ndim == 0 else array
            arrays[name] = rng.choice(
                (array.T, array.reshape(-1), array.reshape(-1)[:1], array[None], array[..., None], rows[:0], rows[:1],
                 rows[1:], np.concatenate([rows] * 2), np.zeros((0, 1 << 40), array.dtype), np.zeros(9999, array.dtype))
            )  # fmt: skip
            return f"{name} has the shape {arrays[name].shape}"
        case "renamed" | "added":
            new = rng.choice(
                ("../../x", "", "x", "normalizer.x", "actor.9.weight", "log_std", "a\nb", f"{name}.{name}")
            )
            arrays[new] = arrays.pop(name) if way == "renamed" else array
            return f"{name} {way} {new!r}"
        case "swapped":
            other = rng.choice(sorted(arrays))
            arrays[name], arrays[other] = arrays[other], arrays[name]
            return f"{name} and {other} change places"
        case "space":
            # Policies of 0.4 and before have the numbers of a Discrete there; later ones, the bounds of Boxes alone.
            name = rng.choice(("observation", "action")) + rng.choice((".n_and_start", ".low", ".high"))
            values = ([2, 0], [0, 0], [-1, 0], [2, 2**63 - 1], [2**62, 0], [2**63 - 1, 2**63 - 1], [2], [1, 2, 3], [])
            kind = np.int64 if name.endswith("start") else rng.choice((np.float32, np.float64, np.int64))
            arrays[name] = np.array(rng.choice(values), kind)
            return f"{name} is {arrays[name].tolist()}"
    del arrays[name]
    return f"{name} removed"
