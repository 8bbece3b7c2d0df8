"""The natural step of the actor: conjugate gradients on products with the Fisher matrix, and a step of a given KL.

    x = (F + damping)^-1 g    by a fixed number of products
    theta += min(longest, sqrt(2 kl / x^T F x)) x

The second bound is the trust region. The first one matters when there is little to gain: the advantages of a policy
that cannot improve are small noise, and steps of a fixed KL along noise undo what was learnt (without this bound,
InvertedPendulum-v5, solved after 100,000 steps, was at a return of 148 of 1,000 after a million).

g is the gradient of mean(A log pi) + entropy_coef mean(H) in the actor's parameters. Vectors are laid out as theta,
with zeros for the critic's parameters. The functions here run on one thread: they take little time beside the products
with F, which all threads share.

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
"""Index in `Natural.sums` of r^T r."""

LEAST_CURVATURE = 1e-2
"""x^T F x counts as at least this part of x^T (F + damping) x. Otherwise steps along directions that hardly change the
policy would have no bound."""


class Natural(NamedTuple):
    """Settings of a natural step, and memory for it."""

    kl: float  # the largest step, in nats, ...
    longest: float  # ... and in multiples of x
    damping: float
    products: int  # number of products with the Fisher matrix
    critic_start: int  # where in theta the critic's parameters start, ...
    critic_stop: int  # ... and end
    ascent: Floats  # g
    direction: Floats  # p, the vector of the next product
    product: Floats  # F p
    residual: Floats  # r = g - (F + damping) x
    solution: Floats  # x
    sums: NDArray[np.float64]  # [1]
    goes_on: NDArray[np.int64]  # [1] whether to iterate further: one thread writes it, all read it


@compiled
def dot(a: Floats, b: Floats) -> float:
    """The sum of products, in float64 and in order."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@compiled
def begin(natural: Natural, gradient: Floats) -> None:
    """Starts the iterations: g is the negative gradient of the loss, without the critic's part."""
    for i in range(len(gradient)):
        is_critics = natural.critic_start <= i < natural.critic_stop
        g = np.float32(0) if is_critics else -gradient[i]
        natural.ascent[i] = natural.direction[i] = natural.residual[i] = g
        natural.solution[i] = np.float32(0)
    natural.sums[SQUARES] = dot(natural.residual, natural.residual)


@compiled
def advance(natural: Natural) -> bool:
    """One iteration of conjugate gradients, once `product` is computed; False if nothing is left to solve."""
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
    """Moves theta along x, within both bounds on the step; returns False, without a step, if x is not finite.

    Args:
        natural: With the solution x.
        theta: The parameters.
        scale: The factor of kl, by which a schedule shortens steps.
    """
    damped, squares = 0.0, 0.0
    for i in range(len(theta)):
        x = np.float64(natural.solution[i])
        damped += x * (np.float64(natural.ascent[i]) - np.float64(natural.residual[i]))
        squares += x * x
    if not (math.isfinite(damped) and math.isfinite(squares) and math.isfinite(natural.sums[SQUARES])):
        return False
    curvature = max(damped - natural.damping * squares, LEAST_CURVATURE * damped)
    if curvature <= 0.0:
        return True  # g is 0, as all advantages are: no step.
    length = np.float32(min(natural.longest, math.sqrt(2.0 * natural.kl * scale / curvature)))
    for i in range(len(theta)):
        if not math.isfinite(theta[i] + length * natural.solution[i]):
            return False
    for i in range(len(theta)):
        theta[i] += length * natural.solution[i]
    return True
