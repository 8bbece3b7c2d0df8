"""Matrix products on vectors of LANES float32 numbers, written as LLVM instructions.

LLVM turns simple loops into vector code by itself, but not the inner block of a matrix product. Every product is a
fused multiply-add in a fixed order, so that a result depends only on its operands: not on how many rows are computed
together, nor on which thread computes them.
"""

from __future__ import annotations

import itertools
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled

Floats = NDArray[np.float32]

_FEATURES = llvmlite.binding.get_host_cpu_features()

LANES = 16 if _FEATURES.get("avx512f") else 8
"""Numbers in a vector. Rows of activations and weights are padded with zeros to a multiple of LANES."""

TILE_ROWS = 4
TILE_VECTORS = 4 if LANES == 16 else 2
"""The size of a tile of the product: as many sums as fit in registers."""

AS_IT_IS, RECTIFIED, TIMES_RELU_DERIVATIVE, TIMES_TANH_DERIVATIVE = range(4)
"""The last operation on a product before it is stored; see `matmul`."""

_HAS_FMA = _FEATURES.get("fma", False) or "aarch64" in llvmlite.binding.get_process_triple()
_FLOAT, INT = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(_FLOAT, LANES)
ARRAY = types.Array(types.float32, 1, "C")


class Code:
    """Writes the LLVM instructions of one function."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def data(self, array: Any, kind: Any = ARRAY) -> Any:
        """The address of an array's first number."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def at(self, data: Any, *offsets: Any) -> Any:
        """An address plus the sum of some offsets, counted in numbers."""
        for offset in offsets:
            data = self.builder.gep(data, [offset])
        return data

    def load(self, address: Any) -> Any:
        """The vector at an address."""
        vector = self.builder.load(self.builder.bitcast(address, VECTOR.as_pointer()))
        vector.align = 4
        return vector

    def store(self, vector: Any, address: Any) -> None:
        """Writes a vector to an address."""
        self.builder.store(vector, self.builder.bitcast(address, VECTOR.as_pointer()), align=4)

    def broadcast(self, address: Any) -> Any:
        """A vector whose LANES numbers are all the one at an address."""
        single = self.builder.insert_element(ir.Constant(VECTOR, ir.Undefined), self.builder.load(address), _int32(0))
        return self.builder.shuffle_vector(
            single, ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, rounded once."""
        if not _HAS_FMA:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        signature = ir.FunctionType(VECTOR, [VECTOR] * 3)
        fma = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.fma.v{LANES}f32")
        return self.builder.call(fma, [a, b, c])

    def add_products(self, sums: dict[Any, Any], down: list[Any], across: list[Any]) -> None:
        """sums[row, vector] += down[row] * across[vector]."""
        for (row, vector), cell in sums.items():
            self.builder.store(self.multiply_add(down[row], across[vector], self.builder.load(cell)), cell)

    def equals(self, number: Any, constant: int) -> Any:
        """Whether a number equals a constant."""
        return self.builder.icmp_signed("==", number, ir.Constant(INT, constant))

    def store_finished(self, finish: Any, sums: dict[Any, Any], outs: dict[Any, Any], values: dict[Any, Any]) -> None:
        """Applies the operation `finish` to vectors, and writes them to their addresses; see `matmul`.

        Args:
            finish: AS_IT_IS, RECTIFIED, TIMES_RELU_DERIVATIVE or TIMES_TANH_DERIVATIVE.
            sums: The vectors.
            outs: The address of each.
            values: For each, the terms of the address of the activation's value, from which its derivative follows.
        """
        builder = self.builder
        zero, one = ir.Constant(VECTOR, None), ir.Constant(VECTOR, [1.0] * LANES)
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
            low, high = (
                self.builder.shuffle_vector(
                    vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(start, start + lanes)))
                )
                for start in (0, lanes)
            )
            vector = self.builder.fadd(low, high)
        return self.builder.extract_element(vector, _int32(0))


def _int32(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


def _tile(rows: int, vectors: int) -> Any:
    """An intrinsic that computes a tile of a matrix product: `rows` rows of `vectors` vectors.

    Results are finished while they are in registers: a separate pass over them would cost as much as many products.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = Code(context, builder)
        a, a0, a_row, a_k, b, b0, b_k, init, init0, init_row, c, c0, c_row, f, f0, f_row, inner, finish = arguments
        a, b, init, c, f = (code.data(array) for array in (a, b, init, c, f))

        def offset(row: int, stride: Any, vector: int) -> list[Any]:
            return [builder.mul(stride, ir.Constant(INT, row)), ir.Constant(INT, vector * LANES)]

        cells = list(itertools.product(range(rows), range(vectors)))
        sums = {}
        for row, vector in cells:
            address = code.at(init, init0, *offset(row, init_row, vector))
            sums[row, vector] = cgutils.alloca_once_value(builder, code.load(address))
        with cgutils.for_range(builder, inner) as loop:
            b_k_row = code.at(b, b0, builder.mul(loop.index, b_k))
            a_k_column = code.at(a, a0, builder.mul(loop.index, a_k))
            across = [code.load(code.at(b_k_row, ir.Constant(INT, vector * LANES))) for vector in range(vectors)]
            down = [code.broadcast(code.at(a_k_column, *offset(row, a_row, 0))) for row in range(rows)]
            code.add_products(sums, down, across)
        outs = {cell: code.at(c, c0, *offset(cell[0], c_row, cell[1])) for cell in cells}
        values = {cell: (f, f0, *offset(cell[0], f_row, cell[1])) for cell in cells}
        code.store_finished(finish, {cell: builder.load(sums[cell]) for cell in cells}, outs, values)
        return context.get_dummy_value()

    def tile(
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
        return types.void(ARRAY, i, i, i, ARRAY, i, i, ARRAY, i, i, ARRAY, i, i, ARRAY, i, i, i, i), generate

    return intrinsic(tile)


_tile_4 = _tile(TILE_ROWS, TILE_VECTORS)
_tile_4_by_1 = _tile(TILE_ROWS, 1)
_tile_1 = _tile(1, TILE_VECTORS)
_tile_1_by_1 = _tile(1, 1)


@compiled
def matmul(
    a: Floats, a0: int, a_row: int, a_k: int,
    b: Floats, b0: int, b_k: int,
    init: Floats, init0: int, init_row: int,
    c: Floats, c0: int, c_row: int,
    rows: int, inner: int, width: int,
    finish: int, f: Floats, f0: int, f_row: int,
) -> None:  # fmt: skip
    """C[i, j] = init[i, j] + sum over k of A[i, k] * B[k, j], then finished, on pieces of flat arrays.

    A[i, k] = a[a0 + i * a_row + k * a_k], B[k, j] = b[b0 + k * b_k + j], and so on. With other strides, the same
    product has A transposed, sums over rows (A is all ones: strides of 0), or adds to C (init = c).

    Args:
        a: Holds A, `rows` x `inner`.
        a0: Where A starts.
        a_row: Numbers from one row of A to the next.
        a_k: Numbers from one column of A to the next.
        b: Holds B, `inner` x `width`.
        b0: Where B starts.
        b_k: Numbers from one row of B to the next.
        init: Holds the initial values of the sums.
        init0: Where they start.
        init_row: Numbers from one of their rows to the next; 0 to use one row for all, such as a bias.
        c: C is written here, `rows` x `width`.
        c0: Where C starts.
        c_row: Numbers from one row of C to the next.
        rows: Of A and C.
        inner: Columns of A, rows of B.
        width: Of B and C; a multiple of LANES.
        finish: AS_IT_IS; RECTIFIED: negative results become 0; or results are multiplied with the derivative of an
            activation whose value is F[i, j]: TIMES_RELU_DERIVATIVE, [F > 0], or TIMES_TANH_DERIVATIVE, 1 - F^2.
        f: Holds F, `rows` x `width`; any array if F is not needed.
        f0: Where F starts.
        f_row: Numbers from one row of F to the next.
    """
    together = TILE_VECTORS * LANES
    whole = rows - rows % TILE_ROWS
    for i in range(0, whole, TILE_ROWS):
        x, s, y, v = a0 + i * a_row, init0 + i * init_row, c0 + i * c_row, f0 + i * f_row
        for j in range(0, width - width % together, together):
            _tile_4(
                a, x, a_row, a_k, b, b0 + j, b_k, init, s + j, init_row, c, y + j, c_row, f, v + j, f_row, inner, finish
            )  # fmt: skip
        for j in range(width - width % together, width, LANES):
            _tile_4_by_1(
                a, x, a_row, a_k, b, b0 + j, b_k, init, s + j, init_row, c, y + j, c_row, f, v + j, f_row, inner, finish
            )  # fmt: skip
    for i in range(whole, rows):
        x, s, y, v = a0 + i * a_row, init0 + i * init_row, c0 + i * c_row, f0 + i * f_row
        for j in range(0, width - width % together, together):
            _tile_1(
                a, x, a_row, a_k, b, b0 + j, b_k, init, s + j, init_row, c, y + j, c_row, f, v + j, f_row, inner, finish
            )  # fmt: skip
        for j in range(width - width % together, width, LANES):
            _tile_1_by_1(
                a, x, a_row, a_k, b, b0 + j, b_k, init, s + j, init_row, c, y + j, c_row, f, v + j, f_row, inner, finish
            )  # fmt: skip


def _dots(rows: int) -> Any:
    """An intrinsic that computes the dot products of `rows` rows with one vector."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = Code(context, builder)
        a, a0, a_row, b, b0, n, init, c, c0, c_row = arguments
        a, b, c = code.at(code.data(a), a0), code.at(code.data(b), b0), code.at(code.data(c), c0)
        starts = [code.at(a, builder.mul(a_row, ir.Constant(INT, row))) for row in range(rows)]
        # Four sums for each row, in turn: with a single one, each addition would wait for the one before.
        sums = [[cgutils.alloca_once_value(builder, ir.Constant(VECTOR, None)) for _ in range(4)] for _ in range(rows)]
        together, lanes = ir.Constant(INT, 4 * LANES), ir.Constant(INT, LANES)

        def add_products(part: int, start: Any) -> None:
            y = code.load(code.at(b, start))
            for row in range(rows):
                cell = sums[row][part]
                x = code.load(code.at(starts[row], start))
                builder.store(code.multiply_add(x, y, builder.load(cell)), cell)

        blocks = builder.udiv(n, together)
        with cgutils.for_range(builder, blocks) as loop:
            for part in range(4):
                add_products(part, builder.add(builder.mul(loop.index, together), ir.Constant(INT, part * LANES)))
        done = builder.mul(blocks, together)
        with cgutils.for_range(builder, builder.udiv(builder.sub(n, done), lanes)) as loop:
            add_products(0, builder.add(done, builder.mul(loop.index, lanes)))
        for row in range(rows):
            first, second, third, fourth = (builder.load(cell) for cell in sums[row])
            total = code.total(builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth)))
            builder.store(builder.fadd(init, total), code.at(c, builder.mul(c_row, ir.Constant(INT, row))))
        return context.get_dummy_value()

    def dots(
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
        return types.void(ARRAY, i, i, ARRAY, i, i, types.float32, ARRAY, i, i), generate

    return intrinsic(dots)


_dots_4_rows, _dots_1_row = _dots(4), _dots(1)


@compiled
def dots(
    a: Floats, a0: int, a_row: int,
    b: Floats, b0: int, n: int,
    init: np.float32,
    c: Floats, c0: int, c_row: int,
    rows: int,
) -> None:  # fmt: skip
    """c[c0 + i * c_row] = init + sum over k < n of a[a0 + i * a_row + k] * b[b0 + k], for i < rows.

    Args:
        a: Holds the rows.
        a0: Where the first row starts.
        a_row: Numbers from one row to the next.
        b: Holds the vector.
        b0: Where the vector starts.
        n: The length of the vector, a multiple of LANES.
        init: A number that is added to each result.
        c: The results are written here.
        c0: Where the first result goes.
        c_row: Numbers from one result to the next.
        rows: The number of rows.
    """
    for i in range(0, rows - rows % 4, 4):
        _dots_4_rows(a, a0 + i * a_row, a_row, b, b0, n, init, c, c0 + i * c_row, c_row)
    for i in range(rows - rows % 4, rows):
        _dots_1_row(a, a0 + i * a_row, a_row, b, b0, n, init, c, c0 + i * c_row, c_row)
