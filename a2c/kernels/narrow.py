"""Heads with few outputs, whose weights are stored [out, padded in]: the gradient of one and of the layer before it."""

from __future__ import annotations

from a2c.kernels.compiler import compiled
from a2c.kernels.kernel import Intrinsic
from a2c.kernels.lanes import LANES
from a2c.kernels.simd import Floats

NARROW_OUTPUTS = 4
"""Heads with at most this many outputs sum along their inputs."""

_TWO, _FOUR = (4, 2) if LANES == 16 else (2, 1)
"""Vectors of a pass for up to two outputs, and for up to four: as many sums as fit in registers."""

TOGETHER = _TWO * LANES
"""Columns of the widest pass."""

_wide_1, _wide_2 = Intrinsic("head_gradient", 1, _TWO), Intrinsic("head_gradient", 2, _TWO)
_wide_3, _wide_4 = Intrinsic("head_gradient", 3, _FOUR), Intrinsic("head_gradient", 4, _FOUR)
_single_1, _single_2 = Intrinsic("head_gradient", 1, 1), Intrinsic("head_gradient", 2, 1)
_single_3, _single_4 = Intrinsic("head_gradient", 3, 1), Intrinsic("head_gradient", 4, 1)


@compiled
def back_through_head(
    x: Floats, x0: int, x_row: int,
    dy: Floats, dy0: int,
    w: Floats, w0: int,
    g: Floats, w_of_g: int, b_of_g: int,
    dx: Floats, dx0: int, dx_row: int,
    rows: int, columns: int, outputs: int, is_tanh: bool,
) -> None:  # fmt: skip
    """Goes back through a head, and through the activation f of the hidden layer before it, x = f(z), on some rows.

    dL/dW += dL/dy^T x,  dL/dz = dL/dy W * f'(z),  dL/db += sum over rows of dL/dz,  with b the hidden layer's biases.

    It is done for some of the columns of x and W. Separate products would load and store as much as they compute, since
    there are few outputs: this takes about half of their time.

    Args:
        x: Holds the head's inputs.
        x0: Where the first of their columns starts.
        x_row: Numbers in a row of inputs, and of W, a multiple of LANES.
        dy: Holds dL/dy, `rows` x `outputs`.
        dy0: Where it starts.
        w: Holds W, `outputs` x x_row.
        w0: Where the first column starts.
        g: The gradient.
        w_of_g: Where in it the first column of dL/dW starts.
        b_of_g: Where in it the first column's number of dL/db is.
        dx: dL/dz is written here, `rows` x `columns`.
        dx0: Where it starts.
        dx_row: Numbers from one row of it to the next.
        rows: How many.
        columns: How many; a multiple of LANES.
        outputs: Of the head, 1 to NARROW_OUTPUTS.
        is_tanh: Whether f is tanh; otherwise it is ReLU.
    """
    together = (_TWO if outputs <= 2 else _FOUR) * LANES
    whole = columns - columns % together
    for j in range(0, whole, together):
        a, b, c, d, e = x0 + j, w0 + j, w_of_g + j, b_of_g + j, dx0 + j
        if outputs == 1:
            _wide_1(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
        elif outputs == 2:
            _wide_2(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
        elif outputs == 3:
            _wide_3(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
        else:
            _wide_4(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
    for j in range(whole, columns, LANES):
        a, b, c, d, e = x0 + j, w0 + j, w_of_g + j, b_of_g + j, dx0 + j
        if outputs == 1:
            _single_1(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
        elif outputs == 2:
            _single_2(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
        elif outputs == 3:
            _single_3(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
        else:
            _single_4(x, a, x_row, dy, dy0, w, b, g, c, g, d, dx, e, dx_row, rows, is_tanh)
