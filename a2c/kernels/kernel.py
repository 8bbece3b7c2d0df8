"""What is compiled, as data. Nothing here imports Numba: machine code that lies on disk needs no compiler."""

from __future__ import annotations

import contextlib
import functools
import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any


class Kernel:
    """A function that is compiled: as a part of the kernels that call it, or alone when Python calls it.

    Attributes:
        py_func: The function.
        options: How Numba compiles it.
        is_plain: Whether it has none of what only functions of users have: closures, comprehensions, `with`.
    """

    def __init__(self, function: types.FunctionType, options: dict[str, Any], is_plain: bool) -> None:
        """Compiles nothing yet.

        Args:
            function: The function.
            options: Arguments of `numba.njit`.
            is_plain: As above.
        """
        self.is_plain = is_plain
        functools.update_wrapper(self, function)
        self.__name__: str = function.__name__
        self.py_func, self.options = function, options

    def __call__(self, *arguments: Any) -> Any:
        """Runs the machine code for arguments of these types."""
        return self.dispatcher(*arguments)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """What Python calls: compiled together with all kernels that it calls, and cached on disk by Numba."""
        return builder().dispatcher(self)

    @functools.cached_property
    def part(self) -> Any:
        """What other kernels call."""
        return builder().part(self)

    @property
    def _numba_type_(self) -> Any:
        """By this name Numba asks for the type of a value that compiled code refers to."""
        return self.part._numba_type_


class Intrinsic:
    """A function of `a2c.kernels.instructions`, which writes LLVM instructions.

    Attributes:
        name: Its name there.
        numbers: Its arguments.
    """

    def __init__(self, name: str, *numbers: int) -> None:
        """Writes nothing yet."""
        self.name, self.numbers = name, numbers

    def __call__(self, *arguments: Any) -> Any:
        """Only kernels call it.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{self.name} is an instruction of machine code")

    @functools.cached_property
    def _numba_type_(self) -> Any:
        return builder().intrinsic_type(self)


class External:
    """A function of the operating system, or of the C library.

    Attributes:
        name: Its name.
        result: The type of its result, by Numba's name.
        arguments: The types of its arguments.
    """

    def __init__(self, name: str, result: str, *arguments: str) -> None:
        """Looks for nothing yet."""
        self.name, self.result, self.arguments = name, result, arguments

    def __call__(self, *arguments: Any) -> Any:
        """Only kernels call it.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{self.name} is called by machine code")

    @functools.cached_property
    def _numba_type_(self) -> Any:
        return builder().external_type(self)


def builder() -> Any:
    """`a2c.kernels.builder`, which imports Numba."""
    from a2c.imports import importing  # Here, as is Numba: reading machine code needs neither.

    with importing():
        return importlib.import_module("a2c.kernels.builder")


_listeners: list[Callable[[], None]] = []


@contextlib.contextmanager
def on_compilation(listener: Callable[[], None]) -> Iterator[None]:
    """Calls a function whenever something begins to be compiled within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def compiling() -> None:
    """Tells the listeners that something begins to be compiled."""
    for listener in list(_listeners):
        listener()
