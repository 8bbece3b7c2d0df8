"""Matrix products on vectors of LANES float32 numbers, by `a2c.kernels.instructions`.

LLVM turns simple loops into vector code by itself, but not the inner block of a matrix product. Every product is a
fused multiply-add in a fixed order, so that a result depends only on its operands: not on how many rows are computed
together, nor on which thread computes them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.kernel import Intrinsic
from a2c.kernels.lanes import LANES

Floats = NDArray[np.float32]

TILE_ROWS = 4
TILE_VECTORS = 4 if LANES == 16 else 2
"""The size of a tile of the product: as many sums as fit in registers."""

_tile_4 = Intrinsic("tile", TILE_ROWS, TILE_VECTORS)
_tile_4_by_1 = Intrinsic("tile", TILE_ROWS, 1)
_tile_1 = Intrinsic("tile", 1, TILE_VECTORS)
_tile_1_by_1 = Intrinsic("tile", 1, 1)


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


_dots_4_rows, _dots_1_row = Intrinsic("dots", 4), Intrinsic("dots", 1)


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


_transpose_tile = Intrinsic("transpose_tile")


@compiled
def transpose(a: Floats, a0: int, a_row: int, b: Floats, b0: int, b_row: int, rows: int, columns: int) -> None:
    """B[j, i] = A[i, j]: A, `rows` x `columns`, starts at a0 in `a`, with a_row numbers from one row to the next."""
    whole, across = rows - rows % LANES, columns - columns % LANES
    for j in range(0, across, LANES):
        for i in range(0, whole, LANES):
            _transpose_tile(a, a0 + i * a_row + j, a_row, b, b0 + j * b_row + i, b_row)
    for i in range(rows):
        for j in range(across if i < whole else 0, columns):
            b[b0 + j * b_row + i] = a[a0 + i * a_row + j]
