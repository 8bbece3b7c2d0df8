"""Programs: kernels for arguments of given types, as one piece of machine code, loaded from disk without a compiler."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from a2c.kernels import cache
from a2c.kernels.compiler import digest, processor
from a2c.kernels.kernel import Kernel, builder
from a2c.kernels.layout import Bound, Layout, Routine, layout_of
from a2c.machine import cores


class Source(NamedTuple):
    """A kernel, and the types of its arguments and its result."""

    kernel: Kernel
    arguments: Layout
    result: Layout = ("none",)


class Function:
    """A function of a program."""

    def __init__(self, source: Source, engine: Any, name: str) -> None:
        """Finds the function in a piece of machine code that was loaded."""
        self._source, self._engine, self._name = source, engine, name
        # Releases the interpreter's lock.
        self._entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address(f"entry_{name}"))

    @property
    def routine(self) -> Routine:
        """The function as an argument of other machine code."""
        pointer = self._engine.get_global_value_address(f"address_{self._name}")
        address = ctypes.c_void_p.from_address(pointer).value
        return Routine(int(address or 0), ("routine", self._source.result, self._source.arguments))

    def bound(self, *arguments: Any) -> Bound:
        """The function with its first arguments.

        Raises:
            TypeError: An argument has another type.
        """
        layouts = tuple(layout_of(argument) for argument in arguments)
        expected = self._source.arguments
        if layouts != expected[: len(layouts)]:
            raise TypeError(f"{self._name} takes {expected}, not {layouts}")
        return Bound(self._entry, self._name, arguments, expected[len(layouts) :])


Program = dict[str, Function]


def source(kernel: Any, *arguments: Any, result: Any = None) -> Source:
    """A kernel for arguments of the types of these, with a result of the type of this."""
    return Source(kernel, tuple(layout_of(argument) for argument in arguments), layout_of(result))


def program(**sources: Source) -> Program:
    """Some functions in one piece of machine code: read from disk, or compiled and written there."""
    return Pending(sources).program()


class Pending:
    """A program that is being read, or compiled by another process meanwhile."""

    def __init__(self, sources: dict[str, Source], elsewhere: bool = False) -> None:
        """Reads the program from disk; if it is not there, another process may begin to compile it.

        Args:
            sources: The functions, by name.
            elsewhere: Whether another process is to compile it. The kernels must be names of modules.
        """
        self._sources = sources
        self._name = f"{'-'.join(sources)}-{_key(sources)}.code"
        self._found = cache.read(self._name)
        self._process: subprocess.Popen[bytes] | None = None
        if elsewhere and self._found is None and cores() > 1:
            self._process = _process_for(sources)
            if self._process is not None:
                weakref.finalize(self, _end, self._process)

    def routine_of(self, name: str) -> Routine:
        """A function of the program, known by its type alone."""
        one = self._sources[name]
        return Routine(0, ("routine", one.result, one.arguments))

    def program(self) -> Program:
        """The program; if need be, it is waited for, or compiled here."""
        found = self._found or self._from_elsewhere()
        if found is None:
            content = compiled_content(self._sources)
            cache.write(self._name, content)
            found = cache.unpacked(content)
        return _loaded(self._sources, *found)

    def _from_elsewhere(self) -> tuple[dict[str, Any], bytes] | None:
        """What the other process has compiled; None if there is no such process, or if it failed."""
        if self._process is None:
            return None
        try:
            content, _ = self._process.communicate()
            found = cache.unpacked(content)
        except (OSError, ValueError):
            return None
        finally:
            _end(self._process)
        cache.write(self._name, content)
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, if it has not ended."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def compiled_content(sources: dict[str, Source]) -> bytes:
    """Compiles a program; the content of its file."""
    about, code = builder().object_code(sources)
    return cache.packed(about, code)


def _loaded(sources: dict[str, Source], about: dict[str, Any], code: bytes) -> Program:
    engine = _engine()
    if _lacks(about):
        _register_helpers()
    if _lacks(about):
        builder().register_symbols()  # Of Numba's own run time, which environments that create arrays need.
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return {name: Function(source, engine, name) for name, source in sources.items()}


def _lacks(about: dict[str, Any]) -> bool:
    """Whether machine code needs symbols that are not known."""
    return any(llvm.address_of_symbol(name) is None for name in about["needs"])


@functools.cache
def _register_helpers() -> None:
    """Makes known the functions in C that Numba's machine code calls. Importing Numba for them would take a while."""
    find = importlib.machinery.PathFinder.find_spec
    package = find("numba")
    spec = None if package is None else find("numba._helperlib", package.submodule_search_locations)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, address in module.c_helpers.items():
            llvm.add_symbol(f"numba_{name}", address)


_engines: list[Any] = []
"""They own the machine code, to which addresses point that are held anywhere."""


def _engine() -> Any:
    """What loads a piece of machine code."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    module = llvm.parse_assembly(f'target triple = "{triple}"')
    return llvm.create_mcjit_compiler(module, llvm.Target.from_triple(triple).create_target_machine(jit=True))


def _key(sources: dict[str, Source]) -> str:
    """A hash of all that decides the machine code of a program."""
    sha = hashlib.sha256(_environment().encode())
    for name, one in sources.items():
        sha.update(repr((name, digest(one.kernel.py_func, with_modules=True), one.arguments, one.result)).encode())
    return sha.hexdigest()[:32]


@functools.cache
def _environment() -> str:
    """Versions, the processor and the code of the builder."""
    here = Path(__file__).parent
    sha = hashlib.sha256()
    for name in (
        "builder.py",
        "compiler.py",
        "instructions.py",
        "kernel.py",
        "lanes.py",
        "layout.py",
        "machine_code.py",
    ):
        sha.update((here / name).read_bytes())
    settings = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    settings.pop("NUMBA_CACHE_DIR", None)
    return repr(
        (
            sha.hexdigest(), importlib.metadata.version("numba"), llvmlite.__version__, np.__version__,
            platform.python_version(), llvm.get_process_triple(), processor(),
            llvm.get_host_cpu_features().flatten(), sorted(settings.items()),
        )
    )  # fmt: skip


# In a session of its own, so that Ctrl-C reaches only the parent; with the parent's sys.path, so that it finds the same
# modules in the same order.
_COMMAND = """
import sys
sys.path[:] = sys.argv[1:]
from a2c.kernels.machine_code import compile_for_parent
compile_for_parent()
"""


def _process_for(sources: dict[str, Source]) -> subprocess.Popen[bytes] | None:
    """A process that compiles a program, and writes the content of its file to standard output."""
    names = {
        name: (one.kernel.__module__, one.kernel.__name__, one.arguments, one.result) for name, one in sources.items()
    }
    try:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", _COMMAND, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    with contextlib.suppress(OSError), process.stdin or contextlib.nullcontext() as pipe:
        if pipe is not None:
            pipe.write(json.dumps(names).encode())
    process.stdin = None
    return process


def compile_for_parent() -> None:
    """Compiles what standard input names, and writes the content of its file to standard output."""
    sources = {}
    for name, (module, kernel, arguments, result) in json.load(sys.stdin).items():
        found = getattr(importlib.import_module(module), kernel)
        sources[name] = Source(found, _tuples(arguments), _tuples(result))
    sys.stdout.buffer.write(compiled_content(sources))


def _tuples(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
