"""Arguments of machine code as whole numbers of 64 bits, and their types as plain data.

To Numba an array is its address, its shape and its strides, and a NamedTuple what its fields consist of. The entries
that `a2c.kernels.builder` writes read them from one block of memory, so that Python needs no Numba to pass them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from a2c.kernels.kernel import builder

Layout = tuple[Any, ...]
"""The type of an argument: ("none",), ("bool",), ("int",), ("float",); ("scalar", type); ("array", type, dimensions,
order, whether it may be written); ("tuple", "module:name" of its class or "", layouts); ("routine", result, layouts).
"""


class Routine(NamedTuple):
    """A function of machine code that other machine code may call."""

    address: int
    layout: Layout
    """Its type: "routine", the layout of its result, those of its arguments."""


def layout_of(value: Any) -> Layout:
    """The type of a value.

    Raises:
        TypeError: Machine code takes no such value.
    """
    match value:
        case None:
            return ("none",)
        case bool():
            return ("bool",)
        case np.ndarray():
            order = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else "A"
            return ("array", value.dtype.str, value.ndim, order, value.flags.writeable)
        case np.generic():
            return ("scalar", value.dtype.str)
        case int():
            return ("int",)
        case float():
            return ("float",)
        case Routine():
            return value.layout
        case tuple():
            kind = type(value)
            name = "" if kind is tuple else f"{kind.__module__}:{kind.__qualname__}"
            return ("tuple", name, tuple(layout_of(item) for item in value))
    raise TypeError(f"machine code takes no {type(value).__name__}")


def add_numbers(numbers: list[int], value: Any) -> None:
    """Appends what a value consists of, in the order in which entries read it."""
    if isinstance(value, np.ndarray):
        address, _ = value.__array_interface__["data"]
        numbers.append(address)
        numbers.extend(value.shape)
        numbers.extend(value.strides)
    elif isinstance(value, Routine):
        numbers.append(value.address)
    elif isinstance(value, tuple):
        for item in value:
            add_numbers(numbers, item)
    elif isinstance(value, float):
        numbers.append(struct.unpack("<q", struct.pack("<d", value))[0])
    elif isinstance(value, np.generic):
        numbers.append(int.from_bytes(value.tobytes().ljust(8, b"\0"), "little", signed=True))
    elif value is not None:
        numbers.append(int(value))


FIRST = 2
"""Where the arguments begin in a block: its first number says whether an exception was raised, the second is the
result, or where the machine code tells of the exception."""


class Bound:
    """A function of machine code with its first arguments."""

    def __init__(self, entry: Callable[[int], None], name: str, arguments: tuple[Any, ...], rest: Layout) -> None:
        """Writes the arguments down.

        Args:
            entry: The machine code: takes the address of a block.
            name: The function's name.
            arguments: The first arguments, which are held on to. Their arrays may change, but not move.
            rest: The layouts of the others.
        """
        numbers = [0] * FIRST
        for argument in arguments:
            add_numbers(numbers, argument)
        self._entry, self._name, self._arguments, self._rest = entry, name, arguments, rest
        self._numbers = numbers
        # Whole numbers are written straight into the block; anything else is laid out at each call.
        self._is_simple = all(layout == ("int",) for layout in rest)
        self._block = np.array(numbers + [0] * len(rest) * self._is_simple, np.int64)

    def __call__(self, *rest: Any) -> int:
        """Calls it with the other arguments, without the interpreter's lock; returns a whole number.

        Raises:
            TypeError: An argument has another type.
            Exception: The machine code raised it.
        """
        if self._is_simple:
            block = self._block.copy()
            block[len(self._numbers) :] = rest
        else:
            layouts = tuple(layout_of(argument) for argument in rest)
            if layouts != self._rest:
                raise TypeError(f"{self._name} takes {self._rest}, not {layouts}")
            numbers = list(self._numbers)
            for argument in rest:
                add_numbers(numbers, argument)
            block = np.array(numbers, np.int64)
        address: int = block.__array_interface__["data"][0]
        self._entry(address)
        failed, number = block[:FIRST].tolist()
        if failed:
            if number:
                builder().raise_again(number)
            raise RuntimeError(f"{self._name} failed in machine code")
        result: int = number
        return result
