"""Rows of weights that choices select, where a one-hot vector would be multiplied with all of them.

Tables of look-ups are [choices, 2]: where in a row of inputs the number of a choice is, and the first row of its
weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.simd import Floats
from a2c.kernels.vectors import add


@compiled
def look_up(
    lookups: NDArray[np.int64],
    parameters: Floats, weight: int, bias: int, y_row: int,
    inputs: Floats, x: int, x_row: int,
    out: Floats, y: int,
    rows: int,
) -> None:  # fmt: skip
    """out = bias + the rows of weights of the choices in each of some rows of inputs at x."""
    for i in range(rows):
        total = out[y + i * y_row : y + (i + 1) * y_row]
        for j in range(y_row):
            total[j] = parameters[bias + j]
        for c in range(len(lookups)):
            choice = np.int64(inputs[x + i * x_row + lookups[c, 0]])
            row = weight + (lookups[c, 1] + choice) * y_row
            add(total, parameters[row : row + y_row])


@compiled
def add_looked_up(
    lookups: NDArray[np.int64], inputs: Floats, x: int, x_row: int, rows: int, dy: Floats, dy0: int, y_row: int,
    gradient: Floats, g: int,
) -> None:  # fmt: skip
    """Adds dL/dy of some rows, at dy0, to the gradient of the rows of weights, at g, that were looked up for them."""
    for i in range(rows):
        for c in range(len(lookups)):
            choice = np.int64(inputs[x + i * x_row + lookups[c, 0]])
            row = g + (lookups[c, 1] + choice) * y_row
            add(gradient[row : row + y_row], dy[dy0 + i * y_row : dy0 + (i + 1) * y_row])
