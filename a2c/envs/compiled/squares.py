"""Squares as NumPy's scalars compute them, and so Gymnasium's environments: by the C library's pow."""

from __future__ import annotations

import math

import numpy as np

from a2c.kernels.compiler import compiled


@compiled
def squared(x: float) -> float:
    """x to the power of 2 by the C library's pow, as Gymnasium has it: once in 1,000 that is not x * x rounded."""
    return math.pow(x, 2.0 + 0.0 * x)  # For a constant exponent the compiler would write x * x.


@compiled
def squared_single(x: np.float32) -> np.float32:
    """`squared` in single precision."""
    return x ** (np.float32(2.0) + np.float32(0.0) * x)
