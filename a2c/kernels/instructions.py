"""LLVM instructions that Numba would not write by itself: tiles of products, and atomic operations.

Each function returns what `numba.extending.intrinsic` takes. Kernels name them by `a2c.kernels.kernel.Intrinsic`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.imputils import impl_ret_borrowed
from numba.np.arrayobj import populate_array

from a2c.kernels.lanes import AS_IT_IS, FEATURES, LANES, RECTIFIED, TIMES_TANH_DERIVATIVE

_HAS_FMA = FEATURES.get("fma", False) or "aarch64" in llvmlite.binding.get_process_triple()
_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_FLOATS, _INTS = types.Array(types.float32, 1, "C"), types.Array(types.int64, 1, "C")


class _Code:
    """Writes the LLVM instructions of one function."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def data(self, array: Any, kind: Any = _FLOATS) -> Any:
        """The address of an array's first number."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def at(self, data: Any, *offsets: Any) -> Any:
        """An address plus the sum of some offsets, counted in numbers."""
        for offset in offsets:
            data = self.builder.gep(data, [offset])
        return data

    def load(self, address: Any) -> Any:
        """The vector at an address."""
        vector = self.builder.load(self.builder.bitcast(address, _VECTOR.as_pointer()))
        vector.align = 4
        return vector

    def store(self, vector: Any, address: Any) -> None:
        """Writes a vector to an address."""
        self.builder.store(vector, self.builder.bitcast(address, _VECTOR.as_pointer()), align=4)

    def broadcast(self, address: Any) -> Any:
        """A vector whose LANES numbers are all the one at an address."""
        single = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), self.builder.load(address), _int32(0))
        return self.shuffled(single, ir.Constant(_VECTOR, ir.Undefined), [0] * LANES)

    def shuffled(self, a: Any, b: Any, places: Sequence[int]) -> Any:
        """The numbers at some places of two vectors, those of the second counted after those of the first."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
        return self.builder.shuffle_vector(a, b, mask)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, rounded once."""
        if not _HAS_FMA:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        signature = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        fma = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.fma.v{LANES}f32")
        return self.builder.call(fma, [a, b, c])

    def add_products(self, sums: dict[Any, Any], down: list[Any], across: list[Any]) -> None:
        """sums[row, vector] += down[row] * across[vector]."""
        for (row, vector), cell in sums.items():
            self.builder.store(self.multiply_add(down[row], across[vector], self.builder.load(cell)), cell)

    def equals(self, number: Any, constant: int) -> Any:
        """Whether a number equals a constant."""
        return self.builder.icmp_signed("==", number, ir.Constant(_INT, constant))

    def store_finished(self, finish: Any, sums: dict[Any, Any], outs: dict[Any, Any], values: dict[Any, Any]) -> None:
        """Applies the operation `finish` to vectors, and writes them to their addresses; see `matmul`.

        Args:
            finish: AS_IT_IS, RECTIFIED, TIMES_RELU_DERIVATIVE or TIMES_TANH_DERIVATIVE.
            sums: The vectors.
            outs: The address of each.
            values: For each, the terms of the address of the activation's value, from which its derivative follows.
        """
        builder = self.builder
        zero, one = ir.Constant(_VECTOR, None), ir.Constant(_VECTOR, [1.0] * LANES)
        with builder.if_else(self.equals(finish, AS_IT_IS)) as (plain, finished):
            with plain:
                for cell, total in sums.items():
                    self.store(total, outs[cell])
            with finished, builder.if_else(self.equals(finish, RECTIFIED)) as (rectified, differentiated):
                with rectified:
                    for cell, total in sums.items():
                        negative = builder.fcmp_ordered("<", total, zero)  # False for NaN, so NaN stays.
                        self.store(builder.select(negative, zero, total), outs[cell])
                with differentiated:
                    is_tanh = self.equals(finish, TIMES_TANH_DERIVATIVE)
                    for cell, total in sums.items():
                        value = self.load(self.at(*values[cell]))
                        of_tanh = builder.fmul(total, builder.fsub(one, builder.fmul(value, value)))
                        of_relu = builder.select(builder.fcmp_ordered(">", value, zero), total, zero)
                        self.store(builder.select(is_tanh, of_tanh, of_relu), outs[cell])

    def total(self, vector: Any) -> Any:
        """The sum of a vector's numbers: its halves are added, then the halves of that, and so on."""
        lanes = LANES
        while lanes > 1:
            lanes //= 2
            low, high = (self.shuffled(vector, vector, range(start, start + lanes)) for start in (0, lanes))
            vector = self.builder.fadd(low, high)
        return self.builder.extract_element(vector, _int32(0))


def _int32(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


def tile(rows: int, vectors: int) -> Any:
    """An intrinsic that computes a tile of a matrix product: `rows` rows of `vectors` vectors.

    Results are finished while they are in registers: a separate pass over them would cost as much as many products.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = _Code(context, builder)
        a, a0, a_row, a_k, b, b0, b_k, init, init0, init_row, c, c0, c_row, f, f0, f_row, inner, finish = arguments
        a, b, init, c, f = (code.data(array) for array in (a, b, init, c, f))

        def offset(row: int, stride: Any, vector: int) -> list[Any]:
            return [builder.mul(stride, ir.Constant(_INT, row)), ir.Constant(_INT, vector * LANES)]

        cells = list(itertools.product(range(rows), range(vectors)))
        sums = {}
        for row, vector in cells:
            address = code.at(init, init0, *offset(row, init_row, vector))
            sums[row, vector] = cgutils.alloca_once_value(builder, code.load(address))
        with cgutils.for_range(builder, inner) as loop:
            b_k_row = code.at(b, b0, builder.mul(loop.index, b_k))
            a_k_column = code.at(a, a0, builder.mul(loop.index, a_k))
            across = [code.load(code.at(b_k_row, ir.Constant(_INT, vector * LANES))) for vector in range(vectors)]
            down = [code.broadcast(code.at(a_k_column, *offset(row, a_row, 0))) for row in range(rows)]
            code.add_products(sums, down, across)
        outs = {cell: code.at(c, c0, *offset(cell[0], c_row, cell[1])) for cell in cells}
        values = {cell: (f, f0, *offset(cell[0], f_row, cell[1])) for cell in cells}
        code.store_finished(finish, {cell: builder.load(sums[cell]) for cell in cells}, outs, values)
        return context.get_dummy_value()

    def define(
        typing_context: Any,
        a: Any,
        a0: Any,
        a_row: Any,
        a_k: Any,
        b: Any,
        b0: Any,
        b_k: Any,
        init: Any,
        init0: Any,
        init_row: Any,
        c: Any,
        c0: Any,
        c_row: Any,
        f: Any,
        f0: Any,
        f_row: Any,
        inner: Any,
        finish: Any,
    ) -> Any:
        i = types.int64
        return types.void(_FLOATS, i, i, i, _FLOATS, i, i, _FLOATS, i, i, _FLOATS, i, i, _FLOATS, i, i, i, i), generate

    return define


def dots(rows: int) -> Any:
    """An intrinsic that computes the dot products of `rows` rows with one vector."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = _Code(context, builder)
        a, a0, a_row, b, b0, n, init, c, c0, c_row = arguments
        a, b, c = code.at(code.data(a), a0), code.at(code.data(b), b0), code.at(code.data(c), c0)
        starts = [code.at(a, builder.mul(a_row, ir.Constant(_INT, row))) for row in range(rows)]
        # Four sums for each row, in turn: with a single one, each addition would wait for the one before.
        sums = [[cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None)) for _ in range(4)] for _ in range(rows)]
        together, lanes = ir.Constant(_INT, 4 * LANES), ir.Constant(_INT, LANES)

        def add_products(part: int, start: Any) -> None:
            y = code.load(code.at(b, start))
            for row in range(rows):
                cell = sums[row][part]
                x = code.load(code.at(starts[row], start))
                builder.store(code.multiply_add(x, y, builder.load(cell)), cell)

        blocks = builder.udiv(n, together)
        with cgutils.for_range(builder, blocks) as loop:
            for part in range(4):
                add_products(part, builder.add(builder.mul(loop.index, together), ir.Constant(_INT, part * LANES)))
        done = builder.mul(blocks, together)
        with cgutils.for_range(builder, builder.udiv(builder.sub(n, done), lanes)) as loop:
            add_products(0, builder.add(done, builder.mul(loop.index, lanes)))
        for row in range(rows):
            first, second, third, fourth = (builder.load(cell) for cell in sums[row])
            total = code.total(builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth)))
            builder.store(builder.fadd(init, total), code.at(c, builder.mul(c_row, ir.Constant(_INT, row))))
        return context.get_dummy_value()

    def define(
        typing_context: Any,
        a: Any,
        a0: Any,
        a_row: Any,
        b: Any,
        b0: Any,
        n: Any,
        init: Any,
        c: Any,
        c0: Any,
        c_row: Any,
    ) -> Any:
        i = types.int64
        return types.void(_FLOATS, i, i, _FLOATS, i, i, types.float32, _FLOATS, i, i), generate

    return define


def head_gradient(outputs: int, vectors: int) -> Any:
    """An intrinsic that goes back through a head of `outputs` outputs: the part of its inputs in `vectors` vectors.

    It does in one pass over the rows what would be three products. Each number is the sum that these would give, term
    by term in the same order.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = _Code(context, builder)
        x, x0, x_row, dy, dy0, w, w0, dw, dw0, db, db0, dx, dx0, dx_row, rows, is_tanh = arguments
        x, dy, w, dx = (code.at(code.data(array), start) for array, start in ((x, x0), (dy, dy0), (w, w0), (dx, dx0)))
        dw, db = code.at(code.data(dw), dw0), code.at(code.data(db), db0)
        across = [ir.Constant(_INT, vector * LANES) for vector in range(vectors)]
        cells = list(itertools.product(range(outputs), range(vectors)))
        zero, one = ir.Constant(_VECTOR, None), ir.Constant(_VECTOR, [1.0] * LANES)

        def cell_of(start: Any, cell: tuple[int, int]) -> Any:
            return code.at(start, builder.mul(x_row, ir.Constant(_INT, cell[0])), across[cell[1]])

        weights = {cell: code.load(cell_of(w, cell)) for cell in cells}
        of_weights = {cell: cgutils.alloca_once_value(builder, code.load(cell_of(dw, cell))) for cell in cells}
        of_biases = [cgutils.alloca_once_value(builder, code.load(code.at(db, start))) for start in across]

        def go_back(derivative: Any) -> None:
            with cgutils.for_range(builder, rows) as loop:
                x_of_row = code.at(x, builder.mul(loop.index, x_row))
                dx_of_row = code.at(dx, builder.mul(loop.index, dx_row))
                dy_of_row = code.at(dy, builder.mul(loop.index, ir.Constant(_INT, outputs)))
                down = [code.broadcast(code.at(dy_of_row, ir.Constant(_INT, output))) for output in range(outputs)]
                for vector, start in enumerate(across):
                    value, total = code.load(code.at(x_of_row, start)), zero
                    for output in range(outputs):
                        cell = of_weights[output, vector]
                        builder.store(code.multiply_add(down[output], value, builder.load(cell)), cell)
                        total = code.multiply_add(down[output], weights[output, vector], total)
                    total = derivative(total, value)
                    code.store(total, code.at(dx_of_row, start))
                    builder.store(builder.fadd(builder.load(of_biases[vector]), total), of_biases[vector])

        with builder.if_else(builder.icmp_signed("!=", is_tanh, ir.Constant(is_tanh.type, 0))) as (tanh, relu):
            with tanh:
                go_back(lambda total, y: builder.fmul(total, builder.fsub(one, builder.fmul(y, y))))
            with relu:
                go_back(lambda total, y: builder.select(builder.fcmp_ordered(">", y, zero), total, zero))
        for cell in cells:
            code.store(builder.load(of_weights[cell]), cell_of(dw, cell))
        for cell, start in zip(of_biases, across, strict=True):
            code.store(builder.load(cell), code.at(db, start))
        return context.get_dummy_value()

    def define(
        typing_context: Any,
        x: Any,
        x0: Any,
        x_row: Any,
        dy: Any,
        dy0: Any,
        w: Any,
        w0: Any,
        dw: Any,
        dw0: Any,
        db: Any,
        db0: Any,
        dx: Any,
        dx0: Any,
        dx_row: Any,
        rows: Any,
        is_tanh: Any,
    ) -> Any:
        i = types.int64
        return types.void(
            _FLOATS, i, i, _FLOATS, i, _FLOATS, i, _FLOATS, i, _FLOATS, i, _FLOATS, i, i, i, types.boolean
        ), generate  # fmt: skip

    return define


def window_tile(rows: int, vectors: int) -> Any:
    """An intrinsic that computes a tile of a product over windows: `rows` rows of `vectors` vectors."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = _Code(context, builder)
        (
            tables, a, a0, a_at, a_line, a_k, b, b0, b_line, b_k, init, init0, init_row, c, c0, c_at, f, f0, f_at,
            lines, inner, finish,
        ) = arguments  # fmt: skip
        tables = code.data(tables, _INTS)
        a, b, init, c, f = (code.data(array) for array in (a, b, init, c, f))

        def entry(at: Any, row: int) -> Any:
            return builder.load(code.at(tables, at, ir.Constant(_INT, row)))

        across_of = [ir.Constant(_INT, vector * LANES) for vector in range(vectors)]
        cells = list(itertools.product(range(rows), range(vectors)))
        starts = [code.at(a, a0, entry(a_at, row)) for row in range(rows)]
        places = [entry(c_at, row) for row in range(rows)]
        sums = {}
        for row, vector in cells:
            address = code.at(init, init0, builder.mul(init_row, places[row]), across_of[vector])
            sums[row, vector] = cgutils.alloca_once_value(builder, code.load(address))
        with cgutils.for_range(builder, lines) as line:
            b_of_line = code.at(b, b0, builder.mul(line.index, b_line))
            a_of_line = [code.at(start, builder.mul(line.index, a_line)) for start in starts]
            with cgutils.for_range(builder, inner) as loop:
                b_row = code.at(b_of_line, builder.mul(loop.index, b_k))
                a_column = builder.mul(loop.index, a_k)
                across = [code.load(code.at(b_row, offset)) for offset in across_of]
                down = [code.broadcast(code.at(start, a_column)) for start in a_of_line]
                code.add_products(sums, down, across)
        outs = {(row, vector): code.at(c, c0, places[row], across_of[vector]) for row, vector in cells}
        values = {(row, vector): (f, f0, entry(f_at, row), across_of[vector]) for row, vector in cells}
        code.store_finished(finish, {cell: builder.load(sums[cell]) for cell in cells}, outs, values)
        return context.get_dummy_value()

    def define(
        typing_context: Any,
        tables: Any,
        a: Any,
        a0: Any,
        a_at: Any,
        a_line: Any,
        a_k: Any,
        b: Any,
        b0: Any,
        b_line: Any,
        b_k: Any,
        init: Any,
        init0: Any,
        init_row: Any,
        c: Any,
        c0: Any,
        c_at: Any,
        f: Any,
        f0: Any,
        f_at: Any,
        lines: Any,
        inner: Any,
        finish: Any,
    ) -> Any:
        i = types.int64
        return types.void(
            _INTS, _FLOATS, i, i, i, i, _FLOATS, i, i, i, _FLOATS, i, i, _FLOATS, i, i, _FLOATS, i, i, i, i, i
        ), generate  # fmt: skip

    return define


def transpose_tile() -> Any:
    """An intrinsic that writes the transpose of a square of LANES x LANES numbers."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = _Code(context, builder)
        a, a0, a_row, b, b0, b_row = arguments
        a, b = code.at(code.data(a), a0), code.at(code.data(b), b0)

        def line(start: Any, row: int, stride: Any) -> Any:
            return code.at(start, builder.mul(stride, ir.Constant(_INT, row)))

        rows = [code.load(line(a, row, a_row)) for row in range(LANES)]
        # Each round swaps squares across the diagonal: of one number, then within pairs, and so on.
        size = 1
        while size < LANES:
            before, rows = rows, list(rows)
            from_first = [lane if not lane & size else lane - size + LANES for lane in range(LANES)]
            from_second = [lane + size if not lane & size else lane + LANES for lane in range(LANES)]
            for row in range(LANES):
                if not row & size:
                    rows[row] = code.shuffled(before[row], before[row + size], from_first)
                    rows[row + size] = code.shuffled(before[row], before[row + size], from_second)
            size *= 2
        for row in range(LANES):
            code.store(rows[row], line(b, row, b_row))
        return context.get_dummy_value()

    def define(typing_context: Any, a: Any, a0: Any, a_row: Any, b: Any, b0: Any, b_row: Any) -> Any:
        i = types.int64
        return types.void(_FLOATS, i, i, _FLOATS, i, i), generate

    return define


def flat() -> Any:
    """An intrinsic: all numbers of an array as one row. NumPy's `reshape` would ask the C library whether it may."""

    def generate(context: Any, builder: Any, kind: Any, arguments: Any) -> Any:
        (given,) = kind.args
        array = context.make_array(given)(context, builder, arguments[0])
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(given.dtype)))
        view = context.make_array(kind.return_type)(context, builder)
        populate_array(view, array.data, [array.nitems], [size], size, array.meminfo)
        return impl_ret_borrowed(context, builder, kind.return_type, view._getvalue())

    def define(typing_context: Any, array: Any) -> Any:
        if not (isinstance(array, types.Array) and array.layout == "C"):
            raise TypingError(f"{array} does not lie in one row")
        return types.Array(array.dtype, 1, "C", readonly=not array.mutable)(array), generate

    return define


def add_atomically() -> Any:
    """An intrinsic that adds to array[0] atomically, and returns the value before."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        data = context.make_array(_INTS)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, arguments[1], "seq_cst")

    def define(typing_context: Any, array: Any, amount: Any) -> Any:
        return types.int64(_INTS, types.int64), generate

    return define


def read_atomically() -> Any:
    """An intrinsic that reads array[0] from memory; no later read is moved before it."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        data = context.make_array(_INTS)(context, builder, arguments[0]).data
        return builder.load_atomic(data, "acquire", 8)

    def define(typing_context: Any, array: Any) -> Any:
        return types.int64(_INTS), generate

    return define
