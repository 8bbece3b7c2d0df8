"""The natural step of the actor: conjugate gradients on products with the Fisher matrix, and a step of a given KL.

    x = (F + damping)^-1 g    by a fixed number of products
    theta += min(longest, sqrt(2 kl / x^T F x)) x

The second bound is the trust region. The first is for where there is little to gain: the advantages of a policy that
cannot get better are noise, and next to nothing; steps of a given KL along that undo what was learnt
(InvertedPendulum-v5, solved after 100,000 steps, was at 148 of 1,000 after a million).

g is the gradient of mean(A log pi) + entropy_coef mean(H) in the actor's parameters. Vectors are laid out as theta, and
hold zeros where the critic's parameters are. What follows is written for one thread: vectors are short beside the
products, which all threads share.

Reference: Kakade, "A natural policy gradient" (2001); Schulman et al., "Trust region policy optimization" (2015),
appendix C, without its line search; Hestenes and Stiefel (1952) for conjugate gradients.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.simd import Floats

SQUARES = 0
"""Place in `Natural.sums` of r^T r."""

LEAST_CURVATURE = 1e-2
"""The part of x^T (F + damping) x that x^T F x is taken for at least: along what hardly changes the policy, steps would
have no end."""


class Natural(NamedTuple):
    """Room for a natural step, and its settings."""

    kl: float  # how far a step goes at most, in nats, ...
    longest: float  # ... and in multiples of x
    damping: float
    products: int  # with the Fisher matrix
    critic_start: int  # where in theta the critic's parameters start, ...
    critic_stop: int  # ... and end
    ascent: Floats  # g
    direction: Floats  # what the next product is with
    product: Floats  # F times that
    residual: Floats  # r = g - (F + damping) x
    solution: Floats  # x
    sums: NDArray[np.float64]  # [1]
    goes_on: NDArray[np.int64]  # [1] what one thread found, for all


@compiled
def dot(a: Floats, b: Floats) -> float:
    """The sum of products, in float64 and in order."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@compiled
def begin(natural: Natural, gradient: Floats) -> None:
    """Takes the gradient of the loss, whose opposite is climbed, without the critic's part."""
    for i in range(len(gradient)):
        is_critics = natural.critic_start <= i < natural.critic_stop
        g = np.float32(0) if is_critics else -gradient[i]
        natural.ascent[i] = natural.direction[i] = natural.residual[i] = g
        natural.solution[i] = np.float32(0)
    natural.sums[SQUARES] = dot(natural.residual, natural.residual)


@compiled
def advance(natural: Natural) -> bool:
    """One iteration of conjugate gradients, when `product` is there; False where nothing is left to be solved."""
    damping, direction, product = np.float32(natural.damping), natural.direction, natural.product
    for i in range(len(product)):
        product[i] += damping * direction[i]
    squares, curvature = natural.sums[SQUARES], dot(direction, product)
    if not (squares > 0 and curvature > 0 and math.isfinite(squares / curvature)):
        return False
    length = np.float32(squares / curvature)
    for i in range(len(product)):
        natural.solution[i] += length * direction[i]
        natural.residual[i] -= length * product[i]
    natural.sums[SQUARES] = dot(natural.residual, natural.residual)
    again = np.float32(natural.sums[SQUARES] / squares)
    for i in range(len(product)):
        direction[i] = natural.residual[i] + again * direction[i]
    return True


@compiled
def finish(natural: Natural, theta: Floats, scale: float) -> bool:
    """Moves theta along x, until the policy has changed by kl * scale; False, and no step, where that is not finite."""
    damped, squares = 0.0, 0.0
    for i in range(len(theta)):
        x = np.float64(natural.solution[i])
        damped += x * (np.float64(natural.ascent[i]) - np.float64(natural.residual[i]))
        squares += x * x
    if not (math.isfinite(damped) and math.isfinite(squares) and math.isfinite(natural.sums[SQUARES])):
        return False
    curvature = max(damped - natural.damping * squares, LEAST_CURVATURE * damped)
    if curvature <= 0.0:
        return True  # No advantage, no direction: it stays where it is.
    length = np.float32(min(natural.longest, math.sqrt(2.0 * natural.kl * scale / curvature)))
    for i in range(len(theta)):
        if not math.isfinite(theta[i] + length * natural.solution[i]):
            return False
    for i in range(len(theta)):
        theta[i] += length * natural.solution[i]
    return True
