"""Optimizers on a flat array of parameters: clipping of the gradient, and a step."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.simd import Floats, dots
from a2c.kernels.threads import Crew, meet

NORM_BLOCK = 1024
"""Squares of so many numbers are summed in float32; these sums are added in float64."""

_ONE = np.float32(1)
_TINY = np.float32(1e-30)


class Optimizer(NamedTuple):
    """Adam or RMSprop: its settings and its state."""

    is_adam: bool
    beta1: float  # Adam's decay of the first moment
    beta2: float  # Adam's decay of the second moment, or RMSprop's of the mean square
    epsilon: float
    max_grad_norm: float  # infinity for no clipping
    first: Floats  # Adam's first moment, laid out as the parameters
    second: Floats  # Adam's second moment, or RMSprop's mean square
    updates: NDArray[np.int64]  # [1] number of steps taken
    norms: Floats  # [blocks] sums of squares of NORM_BLOCK numbers of a gradient each
    norm: NDArray[np.float64]  # [1] the global norm of the last gradient, before clipping


@compiled
def square_norm(gradient: Floats, start: int, stop: int, out: Floats) -> None:
    """out[0] = the sum of squares of gradient[start:stop], a whole number of vectors."""
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
    one: Any = np.int64(1)
    dots(gradient, start, zero, gradient, start, stop - start, np.float32(0), out, zero, one, one)


@compiled
def adam(
    optimizer: Optimizer, theta: Floats, gradient: Floats, start: int, stop: int, scale: float, rate: float
) -> None:
    """A step of Adam with gradient * scale on theta[start:stop], as update number t = optimizer.updates + 1:

        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        theta -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Reference: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
    """
    theta, gradient = theta[start:stop], gradient[start:stop]
    first, second = optimizer.first[start:stop], optimizer.second[start:stop]
    t = optimizer.updates[0] + 1
    correction = math.sqrt(1.0 - optimizer.beta2**t)
    step = np.float32(rate * correction / (1.0 - optimizer.beta1**t))
    epsilon = np.float32(optimizer.epsilon * correction)
    beta1, beta2, factor = np.float32(optimizer.beta1), np.float32(optimizer.beta2), np.float32(scale)
    for i in range(len(theta)):
        g = gradient[i] * factor
        m = beta1 * first[i] + (_ONE - beta1) * g
        v = beta2 * second[i] + (_ONE - beta2) * g * g
        # If a parameter gets no gradient any more, its moment would become subnormal, and arithmetic slow.
        first[i] = m if abs(m) > _TINY else np.float32(0)
        second[i] = v if v > _TINY else np.float32(0)
        theta[i] -= step * m / (np.sqrt(v) + epsilon)


@compiled
def rmsprop(
    optimizer: Optimizer, theta: Floats, gradient: Floats, start: int, stop: int, scale: float, rate: float
) -> None:
    """A step of RMSprop with gradient * scale on theta[start:stop]:

        v = decay v + (1 - decay) g^2,   theta -= rate * g / sqrt(v + epsilon)

    Reference: Tieleman and Hinton, "Lecture 6.5: rmsprop" (2012); epsilon inside the root, as in Mnih et al. (2016).
    """
    theta, gradient, second = theta[start:stop], gradient[start:stop], optimizer.second[start:stop]
    decay, epsilon = np.float32(optimizer.beta2), np.float32(optimizer.epsilon)
    factor, step = np.float32(scale), np.float32(rate)
    for i in range(len(theta)):
        g = gradient[i] * factor
        v = decay * second[i] + (_ONE - decay) * g * g
        second[i] = v if v > _TINY else np.float32(0)
        theta[i] -= step * g / np.sqrt(v + epsilon)


@compiled
def step(thread: int, crew: Crew, optimizer: Optimizer, theta: Floats, gradient: Floats, rate: float) -> bool:
    """One thread's part of a step. The gradient is scaled down to max_grad_norm if its global norm is above that.

    Returns:
        Whether the gradient was finite. If not, nothing has changed.
    """
    blocks, size = len(optimizer.norms), len(theta)
    first, last = blocks * thread // crew.threads, blocks * (thread + 1) // crew.threads
    start, stop = first * NORM_BLOCK, min(last * NORM_BLOCK, size)
    for block in range(first, last):
        square_norm(gradient, block * NORM_BLOCK, min((block + 1) * NORM_BLOCK, size), optimizer.norms[block:])
    meet(crew)
    squares = 0.0
    for block in range(blocks):
        squares += np.float64(optimizer.norms[block])
    norm = math.sqrt(squares)
    if thread == 0:
        optimizer.norm[0] = norm
    if not math.isfinite(norm):
        return False
    scale = optimizer.max_grad_norm / norm if norm > optimizer.max_grad_norm else 1.0
    if optimizer.is_adam:
        adam(optimizer, theta, gradient, start, stop, scale, rate)
    else:
        rmsprop(optimizer, theta, gradient, start, stop, scale, rate)
    meet(crew)
    if thread == 0:
        optimizer.updates[0] += 1
    return True
