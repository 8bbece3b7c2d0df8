"""Squares computed by the C library's pow, as NumPy scalars and therefore Gymnasium's environments do."""

from __future__ import annotations

import math

import numpy as np

from a2c.kernels.compiler import compiled


@compiled
def squared(x: float) -> float:
    """x squared by the C library's pow, as in Gymnasium; for about 1 in 1,000 numbers, x * x has another last bit."""
    return math.pow(x, 2.0 + 0.0 * x)  # If the exponent were a constant, the compiler would emit x * x.


@compiled
def squared_single(x: np.float32) -> np.float32:
    """`squared` in single precision."""
    return x ** (np.float32(2.0) + np.float32(0.0) * x)
