"""Compiling kernels: by Numba at their first call, then kept on disk under a name that follows from their code."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import event
from numba.core.dispatcher import Dispatcher

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiles a function on arrays and numbers to machine code when it is first called, or loads it from disk.

    Strict arithmetic (nothing is reordered, so a number does not depend on where code was inlined), no bounds checks,
    divisions as in NumPy, and the interpreter's lock released. The function must not create arrays. Where no folder can
    be written, every process compiles anew.
    """
    return cast(Function, instance(function, function.__globals__))


def inlined(function: Function) -> Function:
    """Compiles a function that becomes part of whatever calls it: for small ones, whose arguments cost more than they.

    The arguments of a kernel are arrays by the dozen, each of them seven numbers to hand over.
    """
    return cast(Function, instance(function, function.__globals__, forceinline=True))


def instance(template: Callable[..., Any], names: dict[str, Any], forceinline: bool = False) -> Any:
    """Compiles a function in which global names stand for what `names` says.

    That is how one piece of code is compiled for many environments and still kept on disk: Numba does not keep
    functions that close over other functions.
    """
    function = types.FunctionType(template.__code__, names, template.__name__, template.__defaults__)
    function.__doc__, function.__annotations__ = template.__doc__, template.__annotations__
    function.__module__ = template.__module__
    # Numba looks only at the file of a function, and only at its time, to tell whether what it kept is stale. The name
    # says it better: it changes with the code of the function and of everything it uses, in whatever file.
    function.__qualname__ = f"{template.__qualname__}_{digest(function)}"
    # Kernels allocate nothing, so nobody need count references: counting cost three quarters of a CartPole step.
    options = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": forceinline}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # No folder for the machine code: neither beside the source nor in the user's cache.
        return numba.njit(**options)(function)


class Compiled(numba.types.WrapperAddressProtocol):  # type: ignore[misc]  # Numba ships no types
    """Machine code as an argument of other machine code, which then need not be compiled with it."""

    def __init__(self, kernel: Any, result: Any, *arguments: Any) -> None:
        """Compiles a kernel, or loads it from disk.

        Args:
            kernel: What is called.
            result: The type that it returns.
            *arguments: Arguments like those that it will get.
        """
        self._signature = result(*(numba.typeof(argument) for argument in arguments))
        kernel.compile(self._signature)
        self._code = kernel.overloads[self._signature.args]

    def __wrapper_address__(self) -> int:
        """Where the code is."""
        return int(self._code.library.get_pointer_to_function(self._code.fndesc.llvm_cfunc_wrapper_name))

    def signature(self) -> Any:
        """Its types."""
        return self._signature


def prepare(kernel: Any, *arguments: Any) -> None:
    """Compiles a kernel for arguments like these, or loads it from disk, without running it."""
    kernel.compile(tuple(numba.typeof(argument) for argument in arguments))


def digest(function: Callable[..., Any]) -> str:
    """A short hash of what a function computes: its code, and the functions and constants it refers to."""
    sha = hashlib.sha256()
    _feed(sha, function, set())
    return sha.hexdigest()[:16]


@contextlib.contextmanager
def compilation_shown() -> Iterator[None]:
    """Says so on standard error when something has to be compiled in the block: the first use takes seconds."""
    listener = _Announcement()
    with event.install_listener("numba:compile", listener):
        yield


class _Announcement(event.Listener):  # type: ignore[misc]  # Numba ships no types
    """Prints a line at the first compilation."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: Any) -> None:
        if not self._said:
            print("compiling for this machine: some seconds, once, as it is kept on disk", file=sys.stderr, flush=True)
        self._said = True

    def on_end(self, event: Any) -> None:
        pass


def _feed(sha: Any, value: Any, seen: set[int]) -> None:
    """Feeds what a value means for compiled code into a hash."""
    if isinstance(value, Dispatcher):
        value = value.py_func
    if isinstance(value, types.FunctionType):
        if id(value) in seen:
            return
        seen.add(id(value))
        _feed_code(sha, value.__code__)
        for cell in value.__closure__ or ():
            _feed(sha, cell.cell_contents, seen)
        for name in sorted(_names(value.__code__) & value.__globals__.keys()):
            sha.update(name.encode())
            _feed(sha, value.__globals__[name], seen)
    elif isinstance(value, np.ndarray):
        sha.update(str((value.dtype, value.shape)).encode() + value.tobytes())
    elif isinstance(value, tuple):
        for item in value:
            _feed(sha, item, seen)
    elif isinstance(value, int | float | str | bool | np.generic):
        sha.update(repr(value).encode())
    else:
        sha.update(str(getattr(value, "__name__", type(value).__name__)).encode())


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _feed_code(sha: Any, code: types.CodeType) -> None:
    sha.update(code.co_code + repr(code.co_names + code.co_varnames).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(sha, constant)
        else:
            sha.update(repr(constant).encode())
