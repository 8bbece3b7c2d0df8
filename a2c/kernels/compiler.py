"""Marks functions as kernels, and hashes what they compute: by that hash machine code is found on disk."""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding
import numpy as np

from a2c.errors import UserError
from a2c.kernels import cache
from a2c.kernels.kernel import External, Intrinsic, Kernel, builder, on_compilation

if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    raise UserError("NUMBA_DISABLE_JIT is set, and nothing here runs uncompiled; unset it")

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiles a function on arrays and numbers to machine code when it is first called, or loads it from disk.

    Arithmetic is strict: nothing is reordered, so results do not depend on where code was inlined. Bounds are not
    checked, division is that of NumPy, and the interpreter's lock is released. The function must not create arrays. If
    no cache folder is writable, every process compiles anew.
    """
    return cast(Function, instance(function, function.__globals__))


def inlined(function: Function) -> Function:
    """Compiles a small function that is inlined into its callers.

    Passing the arguments of such a function would cost more than its work: a kernel takes dozens of arrays, each passed
    as seven numbers.
    """
    return cast(Function, instance(function, function.__globals__, forceinline=True))


def instance(template: Callable[..., Any], names: dict[str, Any], forceinline: bool = False) -> Any:
    """Compiles a function with `names` as its globals.

    So one function can be compiled for many environments and still be cached on disk: Numba does not cache functions
    that close over other functions.

    Args:
        template: The function.
        names: The values of its global names.
        forceinline: As `inlined` does.
    """
    return _kernel(template, names, forceinline=forceinline)


def allocating(function: Function) -> Function:
    """Compiles a function that may create arrays, which takes counting references; it is inlined into its callers."""
    return cast(Function, _kernel(function, function.__globals__, forceinline=True, _nrt=True))


def _kernel(template: Callable[..., Any], names: dict[str, Any], **options: bool) -> Kernel:
    function = types.FunctionType(
        template.__code__, names, template.__name__, template.__defaults__, template.__closure__
    )
    function.__doc__, function.__annotations__ = template.__doc__, template.__annotations__
    function.__module__, function.__qualname__ = template.__module__, template.__qualname__
    # Kernels allocate nothing, so references need not be counted: counting took three quarters of a CartPole step.
    everyone = {"nogil": True, "error_model": "numpy", "_nrt": False}
    return Kernel(function, everyone | options, is_plain="_nrt" not in options)


def prepare(kernel: Any, *arguments: Any) -> None:
    """Compiles a kernel for arguments of these types, or loads it from disk, without running it."""
    builder().prepare(kernel.dispatcher, arguments)


def is_of_numba(error: Exception) -> bool:
    """Whether Numba raised an exception because it cannot compile something."""
    errors = sys.modules.get("numba.core.errors")
    return errors is not None and isinstance(error, errors.NumbaError)


def processor() -> str:
    """The processor that machine code is compiled for. On another one, sums may be rounded differently."""
    return f"{llvmlite.binding.get_host_cpu_name()}"


def digest(function: Callable[..., Any], with_modules: bool = False) -> str:
    """A short hash of what a function computes: its code, and the functions and constants it refers to.

    Args:
        function: A function, compiled or not.
        with_modules: Whether the functions' modules and the builder's code count. For cached machine code they do:
            Numba imports the modules when it loads the code, and the builder names its symbols.
    """
    sha = hashlib.sha256(_contents("builder.py") if with_modules else b"")
    _Feed(sha, with_modules).value(function)
    return sha.hexdigest()[:16]


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def compilation_shown(say: Callable[[str], None] = _print) -> Iterator[None]:
    """Prints one line if something must be compiled within the block, as that takes seconds.

    Args:
        say: Prints the line.
    """
    said: list[bool] = []

    def announce() -> None:
        if not said:
            said.append(True)
            once = ", once: it is cached on disk" if cache.is_possible() else "; it cannot be cached on disk here"
            say(f"compiling for this machine: some seconds{once}")

    with on_compilation(announce):
        yield


class _Feed:
    """Feeds values, as compiled code depends on them, into a hash."""

    def __init__(self, sha: Any, with_modules: bool) -> None:
        self._sha, self._with_modules = sha, with_modules
        self._seen: set[int] = set()

    def value(self, value: Any) -> None:
        """Any value that code refers to."""
        if isinstance(getattr(value, "py_func", None), types.FunctionType):  # A kernel, or one compiled by Numba.
            value = value.py_func
        if isinstance(getattr(value, "_defn", None), types.FunctionType):  # An intrinsic of Numba's.
            value = value._defn
        if isinstance(value, External):
            value = (value.name, value.result, *value.arguments)
        if isinstance(value, Intrinsic):
            value = (value.name, *value.numbers, _instructions())
        match value:
            case types.FunctionType():
                self._function(value)
            case np.ndarray():
                self._text("array", value.dtype, value.shape)
                self._sha.update(value.tobytes())
            case tuple():
                self._text("tuple", len(value))
                for item in value:
                    self.value(item)
            case enum.EnumMeta():
                members: dict[str, Any] = dict(value.__members__)
                for name, member in members.items():
                    self._text(name)
                    self.value(member.value)
            case type() if not issubclass(value, tuple | np.generic) and value.__module__ != "builtins":
                for name, member in sorted(vars(value).items()):
                    if isinstance(member, types.FunctionType | int | float | str | np.ndarray):
                        self._text(name)
                        self.value(member)
            case int() | float() | complex() | str() | bool() | np.generic() | None:
                self._text(type(value).__name__, repr(value))
            case _:
                self._text(getattr(value, "__name__", type(value).__name__))

    def _function(self, function: types.FunctionType) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        self._text("function", *([function.__module__] if self._with_modules else []))
        self._sha.update(_code(function.__code__))
        self.value(function.__defaults__)
        for cell in function.__closure__ or ():
            self.value(cell.cell_contents)
        names = _names(function.__code__)
        for name in sorted(names & function.__globals__.keys()):
            found = function.__globals__[name]
            self._text(name)
            if isinstance(found, types.ModuleType):
                self._module(found, names)
            else:
                self.value(found)

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> None:
        """Feeds everything that code with these names may read from a module, and from modules in it."""
        if id(module) in self._seen:
            return
        self._seen.add(id(module))
        for name in sorted(names & vars(module).keys()):
            self._text(name)
            found = vars(module)[name]
            if isinstance(found, types.ModuleType):
                self._module(found, names)
            else:
                self.value(found)

    def _text(self, *parts: Any) -> None:
        self._sha.update(_texts(parts))


@functools.cache
def _code(code: types.CodeType) -> bytes:
    """A function's code as bytes, without the values of its global names. Cached, as many kernels share functions."""
    constants = [_code(one) if isinstance(one, types.CodeType) else _texts([repr(one)]) for one in code.co_consts]
    return code.co_code + _texts([*code.co_names, *code.co_varnames]) + b"".join(constants)


def _texts(parts: Iterable[Any]) -> bytes:
    """Texts, each with its length: so ("ab", "c") and ("a", "bc") give different hashes."""
    texts = [str(part).encode() for part in parts]
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts)


@functools.cache
def _instructions() -> str:
    """A hash of the code of all intrinsics."""
    return hashlib.sha256(_contents("instructions.py") + _contents("lanes.py")).hexdigest()


@functools.cache
def _contents(name: str) -> bytes:
    """The bytes of a file beside this one."""
    return Path(__file__).with_name(name).read_bytes()


@functools.cache
def _names(code: types.CodeType) -> frozenset[str]:
    """Every name that a function's code, or code within it, looks up."""
    within = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(code.co_names).union(*within)
