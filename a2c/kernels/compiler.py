"""Compiles kernels with Numba at their first call, and caches the machine code on disk, named by a hash of the code."""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import llvmlite.binding
import numba
import numpy as np
from numba.core import event
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

from a2c.errors import UserError

if numba.config.DISABLE_JIT:
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
    function = types.FunctionType(template.__code__, names, template.__name__, template.__defaults__)
    function.__doc__, function.__annotations__ = template.__doc__, template.__annotations__
    function.__module__ = template.__module__
    # Numba compares only the time of the function's own file to tell whether the cache is stale. A hash in the name is
    # safer: it changes with the code of the function and of everything it uses, in any file.
    function.__qualname__ = f"{template.__qualname__}_{digest(function, with_modules=True)}"
    # Kernels allocate nothing, so references need not be counted: counting took three quarters of a CartPole step.
    options = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": forceinline}
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except (
        RuntimeError,
        OSError,
    ):  # No folder is writable: neither beside the source nor in the user's cache.
        _Kept.is_possible = False
        return numba.njit(**options)(function)
    dispatcher._cache = _Kept(dispatcher._cache)
    return dispatcher


class _Kept:
    """Numba's cache of a function. If it is damaged or the disk is full, it warns, and the function is compiled."""

    is_possible = True
    """Whether this process can write a cache, as far as it has tried."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The cached machine code of a function, or None."""
        try:
            return self._cache.load_overload(signature, context)
        except Exception as error:  # noqa: BLE001 - damaged bytes raise anything
            self._give_up(f"is damaged ({type(error).__name__}) and was removed")
            with contextlib.suppress(Exception):
                self._cache.flush()  # Writes an empty index, so that the next start can use the cache again.
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Writes the machine code of a function to disk, if possible."""
        try:
            self._cache.save_overload(signature, data)
        except Exception as error:  # noqa: BLE001 - a full disk must not stop a run
            _Kept.is_possible = False
            self._give_up(f"cannot be written ({error}); every start compiles it again")

    def _give_up(self, why: str) -> None:
        warnings.warn(f"machine code in {self._cache.cache_path} {why}", stacklevel=2)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


class Compiled(numba.types.WrapperAddressProtocol):  # type: ignore[misc]  # Numba ships no types
    """A compiled function as an argument of another one, which then need not be compiled together with it."""

    def __init__(self, kernel: Any, result: Any, *arguments: Any) -> None:
        """Compiles a kernel, or loads it from disk.

        Args:
            kernel: The function.
            result: The type of its result.
            *arguments: Arguments of the same types as in later calls.
        """
        self._signature = result(*(numba.typeof(argument) for argument in arguments))
        kernel.compile(self._signature)
        self._code = kernel.overloads[self._signature.args]

    def __wrapper_address__(self) -> int:
        """The address of the machine code."""
        return int(self._code.library.get_pointer_to_function(self._code.fndesc.llvm_cfunc_wrapper_name))

    def signature(self) -> Any:
        """The types of its arguments and its result."""
        return self._signature


def prepare(kernel: Any, *arguments: Any) -> None:
    """Compiles a kernel for arguments of these types, or loads it from disk, without running it."""
    kernel.compile(tuple(numba.typeof(argument) for argument in arguments))


def processor() -> str:
    """The processor that machine code is compiled for. On another one, sums may be rounded differently."""
    return f"{llvmlite.binding.get_host_cpu_name()}"


def digest(function: Callable[..., Any], with_modules: bool = False) -> str:
    """A short hash of what a function computes: its code, and the functions and constants it refers to.

    Args:
        function: A function, compiled or not.
        with_modules: Whether the functions' modules count. For cached machine code they do: Numba imports them when it
            loads the code.
    """
    sha = hashlib.sha256()
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
    listener = _Announcement(say)
    with event.install_listener("numba:compile", listener):
        yield


class _Announcement(event.Listener):  # type: ignore[misc]  # Numba ships no types
    """Prints one line at the first compilation."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = False

    def on_start(self, event: Any) -> None:
        if not self._said:
            once = ", once: it is cached on disk" if _Kept.is_possible else "; it cannot be cached on disk here"
            self._say(f"compiling for this machine: some seconds{once}")
        self._said = True

    def on_end(self, event: Any) -> None:
        pass


class _Feed:
    """Feeds values, as compiled code depends on them, into a hash."""

    def __init__(self, sha: Any, with_modules: bool) -> None:
        self._sha, self._with_modules = sha, with_modules
        self._seen: set[int] = set()

    def value(self, value: Any) -> None:
        """Any value that code refers to."""
        if isinstance(value, Dispatcher):
            value = value.py_func
        if isinstance(value, _Intrinsic):
            value = value._defn
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
def _names(code: types.CodeType) -> frozenset[str]:
    """Every name that a function's code, or code within it, looks up."""
    within = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(code.co_names).union(*within)
