"""Matrix products over windows: every row of A is a window of an image, read in place, so no patches are copied.

A window has lines, and a line is a run of numbers. Tables tell where windows begin and where results go, so rows of A
may overlap, and rows of C may lie inside a frame of zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled, instance
from a2c.kernels.kernel import Intrinsic
from a2c.kernels.lanes import LANES
from a2c.kernels.simd import Floats

Table = NDArray[np.int64]

A_AT, A_LINE, A_K, B_LINE, B_K, INIT_ROW, C_AT, F_AT, ROWS, LINES, INNER, WIDTH, FINISH = range(13)
"""Indices of the numbers of a plan; see `product`."""


# The size of tiles: as many sums as fit in registers. These are the widest; `_banded` compiles `_band` for others.
WIDE, NARROW = (4, 2) if LANES == 16 else (2, 1)
HEIGHT, TILE, TILE_OF_1 = 4, Intrinsic("window_tile", 4, WIDE), Intrinsic("window_tile", 1, WIDE)


def _band(
    tables: Table, plan: int,
    a: Floats, a0: int,
    b: Floats, b0: int,
    init: Floats, init0: int,
    c: Floats, c0: int,
    f: Floats, f0: int,
) -> None:  # fmt: skip
    """`product` on as many columns as a tile is wide. TILE has HEIGHT rows, TILE_OF_1 a single one."""
    a_at, a_line, a_k = tables[plan + A_AT], tables[plan + A_LINE], tables[plan + A_K]
    b_line, b_k, init_row = tables[plan + B_LINE], tables[plan + B_K], tables[plan + INIT_ROW]
    c_at, f_at = tables[plan + C_AT], tables[plan + F_AT]
    lines, inner, finish = tables[plan + LINES], tables[plan + INNER], tables[plan + FINISH]
    rows = tables[plan + ROWS]
    whole = rows - rows % HEIGHT
    # If rows do not fill the last tile, some are computed twice, with the same result: faster than the rest one by one.
    tiled = rows if whole > 0 and init_row == 0 else whole
    for row in range(0, tiled, HEIGHT):
        i = min(row, rows - HEIGHT)
        TILE(
            tables, a, a0, a_at + i, a_line, a_k, b, b0, b_line, b_k, init, init0, init_row,
            c, c0, c_at + i, f, f0, f_at + i, lines, inner, finish,
        )  # fmt: skip
    for i in range(tiled, rows):
        TILE_OF_1(
            tables, a, a0, a_at + i, a_line, a_k, b, b0, b_line, b_k, init, init0, init_row,
            c, c0, c_at + i, f, f0, f_at + i, lines, inner, finish,
        )  # fmt: skip


def _banded(rows: int, vectors: int) -> Any:
    """`_band` with tiles of another shape."""
    tiles = (Intrinsic("window_tile", count, vectors) for count in (rows, 1))
    names = dict(zip(("HEIGHT", "TILE", "TILE_OF_1"), (rows, *tiles), strict=True))
    return instance(_band, globals() | names)


_wide, _narrow, _single = compiled(_band), _banded(8, NARROW), _banded(8, 1)


@compiled
def product(
    tables: Table, plan: int,
    a: Floats, a0: int,
    b: Floats, b0: int,
    init: Floats, init0: int,
    c: Floats, c0: int,
    f: Floats, f0: int,
) -> None:  # fmt: skip
    """C[i] = init[i] + sum over lines l and k < INNER of A[i, l, k] * B[l, k], finished as in `simd.matmul`.

    Where these lie, with row i of each table:

        A[i, l, k] = a[a0 + tables[A_AT + i] + l * A_LINE + k * A_K]
        B[l, k]    = b[b0 + l * B_LINE + k * B_K + j]                   for j < WIDTH, and so below
        init[i]    = init[init0 + INIT_ROW * tables[C_AT + i] + j]      INIT_ROW: 0, one row for all, or 1
        C[i]       = c[c0 + tables[C_AT + i] + j]
        F[i]       = f[f0 + tables[F_AT + i] + j]                       if FINISH needs the value of an activation

    Every sum is added in the order of l and k, whichever rows are computed together.

    Args:
        tables: Holds the plan and the tables that it names, as `conv.convolutions_for` writes them.
        plan: Where in `tables` the plan starts.
        a: Holds the windows.
        a0: Where the image starts.
        b: Holds B.
        b0: Where B starts.
        init: Holds the initial values of the sums; c itself to add to C.
        init0: Where they start.
        c: The results are written here.
        c0: Where C starts.
        f: Holds values of activations; any array if none are needed.
        f0: Where F starts.
    """
    width = tables[plan + WIDTH]
    j = 0
    while width - j >= WIDE * LANES:
        _wide(tables, plan, a, a0, b, b0 + j, init, init0 + j, c, c0 + j, f, f0 + j)
        j += WIDE * LANES
    while width - j >= NARROW * LANES:
        _narrow(tables, plan, a, a0, b, b0 + j, init, init0 + j, c, c0 + j, f, f0 + j)
        j += NARROW * LANES
    while width - j > 0:
        _single(tables, plan, a, a0, b, b0 + j, init, init0 + j, c, c0 + j, f, f0 + j)
        j += LANES
