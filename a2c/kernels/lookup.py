"""Adds the rows of weights that choices select, instead of multiplying all weights with a one-hot vector.

Tables of look-ups are [choices, 2]: the column of a row of inputs that has the number of the choice, and the first row
of the choice's weights.
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
    """out = bias + the rows of weights that the choices in each row of inputs, from x on, select."""
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
    """Adds dL/dy of each row, from dy0 on, to the gradient (from g on) of the rows of weights that it looked up."""
    for i in range(rows):
        for c in range(len(lookups)):
            choice = np.int64(inputs[x + i * x_row + lookups[c, 0]])
            row = g + (lookups[c, 1] + choice) * y_row
            add(gradient[row : row + y_row], dy[dy0 + i * y_row : dy0 + (i + 1) * y_row])
