"""Compiling kernels: by Numba at their first call, then kept on disk under a name that follows from their code."""

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
    function.__qualname__ = f"{template.__qualname__}_{digest(function, with_modules=True)}"
    # Kernels allocate nothing, so nobody need count references: counting cost three quarters of a CartPole step.
    options = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": forceinline}
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except (
        RuntimeError,
        OSError,
    ):  # No folder for the machine code: neither beside the source nor in the user's cache.
        _Kept.is_possible = False
        return numba.njit(**options)(function)
    dispatcher._cache = _Kept(dispatcher._cache)
    return dispatcher


class _Kept:
    """Machine code on disk that may be damaged, or have no room: then it is compiled, and that is said."""

    is_possible = True
    """Of this process, as far as it has tried."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def load_overload(self, signature: Any, context: Any) -> Any:
        """What is there of a function, or None."""
        try:
            return self._cache.load_overload(signature, context)
        except Exception as error:  # noqa: BLE001 - damaged bytes raise anything
            self._give_up(f"is damaged ({type(error).__name__}) and was removed")
            with contextlib.suppress(Exception):
                self._cache.flush()  # An empty index in its place, so that the next start is not lost, too.
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keeps a function, where there is room."""
        try:
            self._cache.save_overload(signature, data)
        except Exception as error:  # noqa: BLE001 - what cannot be kept is compiled again
            _Kept.is_possible = False
            self._give_up(f"cannot be kept ({error}); every start compiles")

    def _give_up(self, why: str) -> None:
        warnings.warn(f"machine code in {self._cache.cache_path} {why}", stacklevel=2)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


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


def processor() -> str:
    """The processor that machine code is made for: another one may round sums differently."""
    return f"{llvmlite.binding.get_host_cpu_name()}"


def digest(function: Callable[..., Any], with_modules: bool = False) -> str:
    """A short hash of what a function computes: its code, and the functions and constants it refers to.

    Args:
        function: A function, compiled or not.
        with_modules: Whether it matters in which modules these functions are. To machine code that is loaded it does:
            Numba imports them.
    """
    sha = hashlib.sha256()
    _Feed(sha, with_modules).value(function)
    return sha.hexdigest()[:16]


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def compilation_shown(say: Callable[[str], None] = _print) -> Iterator[None]:
    """Says so when something has to be compiled in the block: the first use takes seconds."""
    listener = _Announcement(say)
    with event.install_listener("numba:compile", listener):
        yield


class _Announcement(event.Listener):  # type: ignore[misc]  # Numba ships no types
    """Says a line at the first compilation."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = False

    def on_start(self, event: Any) -> None:
        if not self._said:
            once = ", once, as it is kept on disk" if _Kept.is_possible else "; no folder to keep it in can be written"
            self._say(f"compiling for this machine: some seconds{once}")
        self._said = True

    def on_end(self, event: Any) -> None:
        pass


class _Feed:
    """Feeds what values mean for compiled code into a hash."""

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
        """What code that looks up these names may read from a module, and from modules in it."""
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
    """What a function's code says, apart from what its names stand for. Kernels share code, and it never changes."""
    constants = [_code(one) if isinstance(one, types.CodeType) else _texts([repr(one)]) for one in code.co_consts]
    return code.co_code + _texts([*code.co_names, *code.co_varnames]) + b"".join(constants)


def _texts(parts: Iterable[Any]) -> bytes:
    """Texts with their lengths, so that what moves from one to the next makes another hash."""
    texts = [str(part).encode() for part in parts]
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts)


@functools.cache
def _names(code: types.CodeType) -> frozenset[str]:
    """Every name that a function's code, or code within it, looks up."""
    within = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(code.co_names).union(*within)
