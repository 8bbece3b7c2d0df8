"""Operations along rows: padding to whole vectors, sums and activations."""

from __future__ import annotations

import numpy as np

from a2c.kernels.compiler import compiled
from a2c.kernels.kernel import Intrinsic
from a2c.kernels.lanes import LANES
from a2c.kernels.simd import Floats

_ZERO, _ONE = np.float32(0), np.float32(1)

# tanh x = x P(x^2) / Q(x^2) on [-8, 8], fitted to a largest error of 6e-9 before rounding (weighted least squares,
# iterated until the error is level).
_TANH_LIMIT = np.float32(8.0)
_P0, _P1, _P2, _P3, _P4 = (
    np.float32(c)
    for c in (
        0.9999999700944444,
        0.1343820494839087,
        0.003564172096450744,
        2.177349140236504e-05,
        1.5062111917174024e-08,
    )
)
_Q1, _Q2, _Q3, _Q4 = (
    np.float32(c) for c in (0.46771525756488314, 0.02613607753659763, 0.00033992047827574725, 8.45379402070502e-07)
)


_LINE_BYTES = 64
"""A line of the cache. A vector that lies in two of them takes twice as long to load, and longer still to store."""


flat = Intrinsic("flat")


def padded(size: int) -> int:
    """The next multiple of LANES."""
    return -(-size // LANES) * LANES


def numbers(count: int) -> Floats:
    """So many zeros; the first begins a line of the cache, so vectors at multiples of LANES lie within lines."""
    room = np.zeros(count + _LINE_BYTES // 4, np.float32)
    start = -room.__array_interface__["data"][0] % _LINE_BYTES // 4
    return room[start : start + count]


@compiled
def add(total: Floats, x: Floats) -> None:
    """total += x."""
    for i in range(len(total)):
        total[i] += x[i]


@compiled
def tanh(y: Floats) -> None:
    """Replaces y by its tanh, to an error of at most 1e-6."""
    # LLVM makes vector code only of loops over a whole array (or slice). In a loop from `start` to `stop`, an index
    # might be negative, which in Python counts from the end.
    for i in range(len(y)):
        x = min(max(y[i], -_TANH_LIMIT), _TANH_LIMIT)
        z = x * x
        numerator = x * ((((_P4 * z + _P3) * z + _P2) * z + _P1) * z + _P0)
        y[i] = numerator / ((((_Q4 * z + _Q3) * z + _Q2) * z + _Q1) * z + _ONE)


@compiled
def sigmoid(y: Floats) -> None:
    """Replaces y by 1 / (1 + exp(-y)) = (1 + tanh(y / 2)) / 2."""
    half = np.float32(0.5)
    for i in range(len(y)):
        y[i] = half * y[i]
    tanh(y)
    for i in range(len(y)):
        y[i] = half * y[i] + half
