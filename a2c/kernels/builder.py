"""Compiles kernels with Numba, each together with all that it calls, once.

Numba by itself optimises every function and turns it into machine code together with all that it calls, then again as
part of each caller, and writes for each what Python and C would need to call it. Here a kernel that other kernels call
is a part: typed and translated to LLVM's language, no more. What Python calls is the whole: it takes in all its parts,
and only then is it optimised and turned into machine code.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import types as python_types
import warnings
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import _dynfunc, cloudpickle, types
from numba.core import cgutils
from numba.core import untyped_passes as untyped
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.datamodel import models
from numba.core.extending import register_model
from numba.core.imputils import lower_builtin
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NoPythonSupportedFeatureValidation,
)
from numba.core.typing import signature
from numba.core.typing.templates import infer, make_intrinsic_template
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from a2c.kernels import cache, instructions
from a2c.kernels.compiler import digest
from a2c.kernels.kernel import External, Intrinsic, Kernel, compiling
from a2c.kernels.layout import FIRST, Layout

# -- parts --


class _Part(JITCodeLibrary):  # type: ignore[misc]  # Numba ships no types
    """A function in LLVM's language, as Numba wrote it."""

    _together: Any = None

    def add_llvm_module(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout
        self._final_module.link_in(module)

    def add_linking_library(self, library: Any) -> None:
        self._linking_libraries.append(library)

    def finalize(self) -> None:
        self._finalized = True

    def alone(self) -> Any:
        """The function without those that it calls."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        """The function with all that it calls, for a function that Numba compiles without us."""
        if self._together is None:
            self._together = self.alone().clone()
            _link(self._together, self)
        return self._together


def _link(module: Any, library: Any) -> None:
    """Adds all that a library needs, directly or not, each once, to its module."""
    seen: dict[Any, None] = {}

    def gather(needs: Any) -> None:
        for one in needs._linking_libraries:
            if one not in seen:
                seen[one] = None
                if isinstance(one, _Part):
                    gather(one)

    gather(library)
    for one in seen:
        module.link_in(one.alone() if isinstance(one, _Part) else one._get_module_for_linking(), preserve=True)


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowersPart(NativeLowering):  # type: ignore[misc]
    """Writes a part."""

    _name = "a2c_part"

    def run_pass(self, state: Any) -> bool:
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        # Numba finds a function that others call by the function that Python would call: here one without code.
        lowered = state["cr"]
        module, name = lowered.fndesc.lookup_module(), lowered.fndesc.qualname.rpartition(".")[2]
        nothing = _dynfunc.make_function(module, name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(nothing, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=nothing)
        return True


class _CompilesPart(CompilerBase):  # type: ignore[misc]
    # Numba's own, without those for closures, comprehensions, `with` and literal arguments, which kernels do not have:
    # an eighth of the time.
    first: tuple[Any, ...] = (
        untyped.TranslateByteCode,
        untyped.FixupArgs,
        untyped.IRProcessing,
        untyped.RewriteSemanticConstants,
        untyped.DeadBranchPrune,
        untyped.GenericRewrites,
        untyped.RewriteDynamicRaises,
        untyped.ReconstructSSA,
        untyped.DeadBranchPrune,
    )
    lowering: Any = _LowersPart

    def define_pipelines(self) -> list[Any]:
        compiling()
        manager = PassManager("a2c")
        for one in self.first:
            manager.add_pass(one, one.__name__)
        manager.passes.extend(DefaultPassBuilder.define_typed_pipeline(self.state).passes)
        for one in (NoPythonSupportedFeatureValidation, IRLegalization, AnnotateTypes, self.lowering, NoPythonBackend):
            manager.add_pass(one, one.__name__)
        manager.finalize()
        return [manager]


class _CompilesUsersPart(_CompilesPart):
    @property
    def first(self) -> tuple[Any, ...]:  # type: ignore[override]
        return tuple(one for one, _ in DefaultPassBuilder.define_untyped_pipeline(self.state).passes)


def part(kernel: Kernel) -> Any:
    """What other kernels call."""
    compiler = _CompilesPart if kernel.is_plain else _CompilesUsersPart
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": compiler}
    return numba.njit(**kernel.options, **options)(_named(kernel.py_func))


def _named(theirs: Any) -> Any:
    """The same function with a hash of its code, and of all that it uses, in its name.

    Numba takes a symbol's name from it, and a number that counts a process's functions. Functions of one name and
    other globals (`a2c.kernels.compiler.instance`), loaded from what two processes compiled, could have the same symbol
    otherwise, and one would run in the other's place. And its cache on disk compares only the time of the function's
    own file: the hash changes with everything that the function uses, in any file.
    """
    function = python_types.FunctionType(
        theirs.__code__, theirs.__globals__, theirs.__name__, theirs.__defaults__, theirs.__closure__
    )
    function.__doc__, function.__annotations__ = theirs.__doc__, theirs.__annotations__
    function.__module__ = theirs.__module__
    function.__qualname__ = f"{theirs.__qualname__}_{digest(theirs, with_modules=True)}"
    return function


def intrinsic_type(one: Intrinsic) -> Any:
    """The type of an intrinsic."""
    define = getattr(instructions, one.name)(*one.numbers)
    template = make_intrinsic_template(one, define, one.name)
    infer(template)
    return types.Function(template)


def external_type(one: External) -> Any:
    """The type of a function of the operating system."""
    arguments = (getattr(types, name) for name in one.arguments)
    return types.ExternalFunction(one.name, getattr(types, one.result)(*arguments))


# -- wholes --


class _Whole(JITCodeLibrary):  # type: ignore[misc]
    """A function with all its parts."""

    def add_linking_library(self, library: Any) -> None:
        self._linking_libraries.append(library)

    def finalize(self) -> None:
        _link(self._final_module, self)
        self._linking_libraries.clear()
        super().finalize()


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowersWhole(NativeLowering):  # type: ignore[misc]
    """Writes a whole, and compiles it."""

    _name = "a2c_whole"

    def run_pass(self, state: Any) -> bool:
        state.library = _Whole(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


class _CompilesWhole(_CompilesPart):
    lowering = _LowersWhole


def dispatcher(kernel: Kernel) -> Any:
    """What Python calls. It compiles a kernel for arguments of any types, or loads it from Numba's cache."""
    options = {**kernel.options, "pipeline_class": _CompilesWhole}
    function = _named(kernel.py_func)
    try:
        made = numba.njit(cache=True, **options)(function)
    except (
        RuntimeError,
        OSError,
    ):  # No folder is writable: neither beside the source nor in the user's cache.
        return numba.njit(**options)(function)
    made._cache = _Kept(made._cache)
    return made


def prepare(made: Any, arguments: tuple[Any, ...]) -> None:
    """Compiles what Python calls for arguments of these types, or loads it, without running it."""
    made.compile(tuple(numba.typeof(argument) for argument in arguments))


class _Kept:
    """Numba's cache of a function. If it is damaged or the disk is full, it warns, and the function is compiled."""

    def __init__(self, theirs: Any) -> None:
        self._cache = theirs

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The cached machine code of a function, or None."""
        try:
            return self._cache.load_overload(signature, context)
        except Exception as error:  # noqa: BLE001 - damaged bytes raise anything
            warnings.warn(
                f"machine code in {self._cache.cache_path} is damaged ({type(error).__name__}) and was removed",
                stacklevel=2,
            )
            with contextlib.suppress(Exception):
                self._cache.flush()  # Writes an empty index, so that the next start can use the cache again.
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Writes the machine code of a function to disk, if possible."""
        try:
            self._cache.save_overload(signature, data)
        except Exception as error:  # noqa: BLE001 - a full disk must not stop a run
            cache.cannot_be_kept(self._cache.cache_path, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


# -- programs --


class _RoutineType(types.Callable):  # type: ignore[misc]
    """The type of `a2c.kernels.layout.Routine`: the address of a part of another program."""

    def __init__(self, result: Any, arguments: tuple[Any, ...]) -> None:
        self.result, self.arguments = result, arguments
        super().__init__(f"routine({result}, {arguments})")

    def get_call_type(self, context: Any, arguments: Any, keywords: Any) -> Any:
        return signature(self.result, *self.arguments, recvr=self)

    def get_call_signatures(self) -> Any:
        return [signature(self.result, *self.arguments)], False

    def get_impl_key(self, called: Any) -> Any:
        return _RoutineType


register_model(_RoutineType)(models.OpaqueModel)


@lower_builtin(_RoutineType, _RoutineType, types.VarArg(types.Any))  # type: ignore[untyped-decorator]
def _call_routine(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
    kind = called.args[0]
    function = context.call_conv.get_function_type(kind.result, kind.arguments).as_pointer()
    address = builder.bitcast(arguments[0], function)
    status, result = context.call_conv.call_function(builder, address, kind.result, kind.arguments, arguments[1:])
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return result


def type_of(layout: Layout) -> Any:
    """The type of an argument as Numba has it."""
    match layout:
        case ("none",):
            return types.none
        case ("bool",):
            return types.boolean
        case ("int",):
            return types.int64
        case ("float",):
            return types.float64
        case ("scalar", name):
            return from_dtype(np.dtype(name))
        case ("array", name, dimensions, order, may_be_written):
            return types.Array(from_dtype(np.dtype(name)), dimensions, order, readonly=not may_be_written)
        case ("routine", result, arguments):
            return _RoutineType(type_of(result), tuple(map(type_of, arguments)))
        case ("tuple", "", items):
            return types.BaseTuple.from_types(tuple(map(type_of, items)))
        case ("tuple", name, items):
            module, _, path = name.partition(":")
            kind: Any = importlib.import_module(module)
            for step in path.split("."):
                kind = getattr(kind, step)
            return types.BaseTuple.from_types(tuple(map(type_of, items)), kind)
    raise TypeError(f"no type is {layout}")


_COUNTING = {"NRT_incref", "NRT_decref"}
_NOTHING = "define linkonce_odr void @{name}(i8* %counted) alwaysinline {{\n  ret void\n}}\n"


class _Object(_Whole):
    """Functions with all their parts, as an object file."""

    code = b""

    def _optimize_final_module(self) -> None:
        used = {one.name for one in self._final_module.functions if one.name.startswith("NRT_")}
        if used <= _COUNTING:  # Nothing allocates: no array has a count, as callers own them all.
            for name in used:
                self._final_module.link_in(llvm.parse_assembly(_NOTHING.format(name=name)))
        else:
            rtsys.initialize(cpu_target.target_context)
            self._final_module.link_in(rtsys.library._get_module_for_linking(), preserve=True)
        super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        if self._dynamic_globals:
            raise RuntimeError(f"{self.name} holds addresses of this process: {self._dynamic_globals}")
        self.code = bytes(self._codegen._tm.emit_object(self._final_module))
        self._finalized = True


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def object_code(sources: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Compiles functions to one object file.

    Args:
        sources: By name, a `a2c.kernels.machine_code.Source`.

    Returns:
        {"needs": the symbols that must be known when it is loaded}, and the object file.
    """
    with global_compiler_lock, _without_garbage_collection():
        context = cpu_target.target_context
        library = _Object(context.codegen(), "-".join(sources))
        module = context.create_module("entries")
        for name, one in sources.items():
            arguments = tuple(map(type_of, one.arguments))
            made = one.kernel.part
            made.compile(arguments)
            result = made.overloads[arguments]
            if result.signature.return_type != type_of(one.result):
                raise TypeError(f"{name} returns {result.signature.return_type}, not {type_of(one.result)}")
            library.add_linking_library(result.library)
            _write_entry(context, module, name, one, result)
        library.add_ir_module(module)
        library.finalize()
    final = library._final_module
    needs = [one.name for one in (*final.functions, *final.global_variables) if one.is_declaration]
    return {"needs": [name for name in needs if not name.startswith("llvm.")]}, library.code


def _write_entry(context: Any, module: Any, name: str, one: Any, compiled: Any) -> None:
    """Writes the function that reads its arguments from a block, and the address of the function itself."""
    number = ir.IntType(64)
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [number.as_pointer()]), f"entry_{name}")
    builder = ir.IRBuilder(entry.append_basic_block())
    kinds, result_kind = compiled.signature.args, compiled.signature.return_type
    kind = context.call_conv.get_function_type(result_kind, kinds)
    function = ir.Function(module, kind, compiled.fndesc.llvm_func_name)
    reader = _Reader(context, builder, entry.args[0])
    arguments = [reader.value(kind, layout) for kind, layout in zip(kinds, one.arguments, strict=True)]
    status, result = context.call_conv.call_function(builder, function, result_kind, kinds, arguments)
    builder.store(builder.zext(status.is_error, number), entry.args[0])
    second = builder.gep(entry.args[0], [ir.Constant(number, 1)])
    with builder.if_else(status.is_error) as (failed, succeeded):
        with failed:
            raised = builder.ptrtoint(status.excinfoptr, number)
            builder.store(builder.select(status.is_user_exc, raised, ir.Constant(number, 0)), second)
        with succeeded:
            builder.store(result if one.result == ("int",) else ir.Constant(number, 0), second)
    builder.ret_void()
    address = ir.GlobalVariable(module, kind.as_pointer(), f"address_{name}")
    address.initializer = function


class _Reader:
    """Reads the numbers of `a2c.kernels.layout.add_numbers`."""

    def __init__(self, context: Any, builder: Any, block: Any) -> None:
        self._context, self._builder, self._block, self._at = context, builder, block, FIRST

    def _number(self) -> Any:
        at = ir.Constant(ir.IntType(64), self._at)
        self._at += 1
        return self._builder.load(self._builder.gep(self._block, [at]))

    def value(self, kind: Any, layout: Layout) -> Any:
        """The next value."""
        context, builder = self._context, self._builder
        match layout:
            case ("none",):
                return context.get_dummy_value()
            case ("bool",):
                return builder.icmp_unsigned("!=", self._number(), ir.Constant(ir.IntType(64), 0))
            case ("int",):
                return self._number()
            case ("float",):
                return builder.bitcast(self._number(), ir.DoubleType())
            case ("scalar", _):
                bits = builder.trunc(
                    self._number(), ir.IntType(8 * context.get_abi_sizeof(context.get_data_type(kind)))
                )
                data = builder.bitcast(bits, context.get_data_type(kind))
                return context.data_model_manager[kind].from_data(builder, data)
            case ("routine", *_):
                return builder.inttoptr(self._number(), context.get_value_type(kind))
            case ("array", name, dimensions, *_):
                data = builder.inttoptr(self._number(), context.get_data_type(kind.dtype).as_pointer())
                shape = [self._number() for _ in range(dimensions)]
                strides = [self._number() for _ in range(dimensions)]
                size = ir.Constant(ir.IntType(64), np.dtype(name).itemsize)
                array = context.make_array(kind)(context, builder)
                populate_array(array, data, shape, strides, size, None)
                return array._getvalue()
            case ("tuple", _, items):
                values = [self.value(item, one) for item, one in zip(kind, items, strict=True)]
                return context.make_tuple(builder, kind, values)
        raise TypeError(f"no type is {layout}")


class _Raised(ctypes.Structure):
    """What Numba's machine code tells of an exception."""

    _fields_ = (
        ("data", ctypes.c_void_p),  # class, arguments and place, pickled; part of the machine code
        ("size", ctypes.c_int32),
        ("more", ctypes.c_void_p),
        ("convert", ctypes.c_void_p),
        ("computed", ctypes.c_int32),  # how many arguments were computed, which only the wrapper for Python could read
    )


def raise_again(address: int) -> None:
    """Raises the exception that machine code raised, at the place of its statement.

    Args:
        address: Where the machine code tells of it.
    """
    raised = _Raised.from_address(address)
    kind, arguments, place = cloudpickle.loads(ctypes.string_at(raised.data, raised.size))
    error = kind() if raised.computed > 0 or arguments is None else kind(*arguments)
    if place is None:
        raise error
    name, file, line = place
    code = compile("\n" * (line - 1) + "raise error", file, "exec").replace(co_name=name)
    exec(code, {"error": error})  # noqa: S102 - so that the traceback names the place


def register_symbols() -> None:
    """Makes the functions of Numba's own run time known to whatever loads machine code."""
    rtsys.initialize(cpu_target.target_context)
