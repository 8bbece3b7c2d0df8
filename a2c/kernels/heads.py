"""The factors of an action on one row of outputs: sampling, log-probability, entropy, and the gradient of the loss.

For a row with advantage A, the loss is (-A log pi(a) - c H) / B, with c the entropy's coefficient and B the rows. Each
factor adds its own part. `a2c.model.factors` has the same formulas in NumPy.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled, inlined
from a2c.kernels.random import normals, uniforms
from a2c.kernels.simd import Floats
from a2c.model.architecture import Factor

KIND, OUTPUT, OUTPUTS, COLUMN, COLUMNS, MASK, LOG_STD = range(7)
"""Columns of a table of factors; see `a2c.model.architecture.Factor`."""

CATEGORICAL, GAUSSIAN, BERNOULLI = range(3)

UNIFORMS_STREAM, NORMALS_STREAM = 2, 6
"""The streams of the random numbers that sample actions. From a single one, a uniform and a normal beside it would be
made of the same random words, and depend on each other."""

_HALF_LOG_2PI = np.float32(0.5 * math.log(2 * math.pi))
_HALF = np.float32(0.5)
_ZERO, _ONE = np.float32(0), np.float32(1)

Masks = NDArray[np.uint8]


def table_of(factors: tuple[Factor, ...], num_masks: int) -> NDArray[np.int64]:
    """Factors as a table [F, 7]. If environments give no masks (`num_masks` is 0), no factor can be masked."""
    kinds = {"categorical": CATEGORICAL, "gaussian": GAUSSIAN, "bernoulli": BERNOULLI}
    rows = [
        (
            kinds[factor.kind], factor.output, factor.outputs, factor.column, factor.columns,
            factor.mask if num_masks else -1, factor.log_std,
        )
        for factor in factors
    ]  # fmt: skip
    return np.array(rows, np.int64)


@compiled
def draw(
    factors: NDArray[np.int64], seed: int, update: int, noise: Floats, columns: int, first: int, rows: int
) -> None:
    """Draws rows first..first+rows-1, of C columns, of the noise of an update's actions into the first rows of `noise`.

    Number i of an update depends only on (seed, update, i), so it is the same however the work is divided.
    """
    is_even = True
    for f in range(1, len(factors)):
        is_even = is_even and (factors[f, KIND] == GAUSSIAN) == (factors[0, KIND] == GAUSSIAN)
    start = first * columns
    if is_even:  # All columns come from one stream: one call.
        if factors[0, KIND] == GAUSSIAN:
            normals(seed, NORMALS_STREAM, update, start, noise, 0, rows * columns)
        else:
            uniforms(seed, UNIFORMS_STREAM, update, start, noise, 0, rows * columns)
        return
    for row in range(first, first + rows):
        for f in range(len(factors)):
            number = row * columns + factors[f, COLUMN]
            if factors[f, KIND] == GAUSSIAN:
                normals(seed, NORMALS_STREAM, update, number, noise, number - start, factors[f, COLUMNS])
            else:
                uniforms(seed, UNIFORMS_STREAM, update, number, noise, number - start, factors[f, COLUMNS])


@inlined
def allowed(mask: Masks, m0: int, j: int) -> bool:
    """Whether choice j is allowed; without a mask (m0 is negative), every choice is."""
    return m0 < 0 or mask[m0 + j] != 0


@compiled
def sample_categorical(logits: Floats, l0: int, n: int, uniform: np.float32, mask: Masks, m0: int) -> int:
    """A choice: the inverse of the cumulative distribution of softmax(logits[l0:l0+n]) at a uniform in [0, 1)."""
    highest = np.float32(-np.inf)
    last = 0
    for j in range(n):
        if allowed(mask, m0, j):
            highest = max(highest, logits[l0 + j])
            last = j
    total = _ZERO
    for j in range(n):
        if allowed(mask, m0, j):
            total += math.exp(logits[l0 + j] - highest)
    threshold = uniform * total
    cumulative = _ZERO
    for j in range(last):  # Without the last boundary: so rounding can never give a choice beyond the last.
        if allowed(mask, m0, j):
            cumulative += math.exp(logits[l0 + j] - highest)
            if cumulative > threshold:
                return j
    return last


@compiled
def differentiate_categorical(
    logits: Floats,
    l0: int,
    n: int,
    action: int,
    mask: Masks,
    m0: int,
    advantage: np.float32,
    entropy_coef: np.float32,
    scale: np.float32,
    out: Floats,
    o: int,
) -> tuple[np.float32, np.float32]:
    """Writes dL/dlogits = (A (p - onehot(a)) + c p (log p + H)) * scale to out[o:o+n]; 0 for what is masked.

    Returns:
        log pi(a) and the entropy H, in nats.
    """
    highest = np.float32(-np.inf)
    for j in range(n):
        if allowed(mask, m0, j):
            highest = max(highest, logits[l0 + j])
    total = _ZERO
    for j in range(n):
        out[o + j] = math.exp(logits[l0 + j] - highest) if allowed(mask, m0, j) else _ZERO
        total += out[o + j]
    log_total = math.log(total)
    entropy = _ZERO
    for j in range(n):
        out[o + j] /= total
        if allowed(mask, m0, j):
            entropy -= out[o + j] * (logits[l0 + j] - highest - log_total)
    for j in range(n):
        if allowed(mask, m0, j):
            log_p = logits[l0 + j] - highest - log_total
            hit = _ONE if j == action else _ZERO
            out[o + j] = scale * (advantage * (out[o + j] - hit) + entropy_coef * out[o + j] * (log_p + entropy))
    return logits[l0 + action] - highest - log_total, entropy


@compiled
def sample_gaussian(
    mean: Floats, m0: int, log_std: Floats, s0: int, n: int, noise: Floats, k0: int, out: Floats, o: int
) -> None:
    """out[o:o+n] = mean + exp(log_std) * noise, with mean[m0:], log_std[s0:], noise[k0:]."""
    for j in range(n):
        out[o + j] = mean[m0 + j] + math.exp(log_std[s0 + j]) * noise[k0 + j]


@compiled
def differentiate_gaussian(
    mean: Floats,
    m0: int,
    log_std: Floats,
    s0: int,
    n: int,
    action: Floats,
    a0: int,
    advantage: np.float32,
    entropy_coef: np.float32,
    scale: np.float32,
    out: Floats,
    o: int,
    gradient: Floats,
    g0: int,
) -> tuple[np.float32, np.float32]:
    """With z = (a - mean) / std: dL/dmean = -A z / std * scale; dL/dlog_std += (-A (z^2 - 1) - c) * scale.

    Writes the first to out[o:o+n], adds the second to gradient[g0:g0+n].

    Returns:
        log pi(a) and the entropy H, in nats.
    """
    log_prob, entropy = _ZERO, _ZERO
    for j in range(n):
        own = log_std[s0 + j]
        inverse_std = math.exp(-own)
        z = (action[a0 + j] - mean[m0 + j]) * inverse_std
        log_prob -= _HALF * z * z + own + _HALF_LOG_2PI
        entropy += own + (_HALF_LOG_2PI + _HALF)
        out[o + j] = -scale * advantage * z * inverse_std
        gradient[g0 + j] -= scale * (advantage * (z * z - _ONE) + entropy_coef)
    return log_prob, entropy


@inlined
def log_sigmoid(x: np.float32) -> np.float32:
    """log(1 / (1 + exp(-x))), without overflow."""
    return np.float32(min(x, _ZERO) - math.log1p(math.exp(-abs(x))))


@compiled
def sample_bernoulli(
    logits: Floats, l0: int, n: int, noise: Floats, k0: int, mask: Masks, m0: int, out: Floats, o: int
) -> None:
    """out[o:o+n] = 1 if the uniform noise[k0:] is at least 1 - sigmoid(logit), else 0; or what the mask decides."""
    for j in range(n):
        one = noise[k0 + j] >= math.exp(log_sigmoid(-logits[l0 + j]))
        one = (one or not allowed(mask, m0, 2 * j)) and allowed(mask, m0, 2 * j + 1)
        out[o + j] = _ONE if one else _ZERO


@compiled
def differentiate_bernoulli(
    logits: Floats,
    l0: int,
    n: int,
    action: Floats,
    a0: int,
    mask: Masks,
    m0: int,
    advantage: np.float32,
    entropy_coef: np.float32,
    scale: np.float32,
    out: Floats,
    o: int,
) -> tuple[np.float32, np.float32]:
    """With p = sigmoid(l): writes dL/dl = (A (p - a) + c p (1 - p) l) * scale to out[o:o+n]; 0 if the mask decides.

    Returns:
        log pi(a) and the entropy H, in nats.
    """
    log_prob, entropy = _ZERO, _ZERO
    for j in range(n):
        out[o + j] = _ZERO
        if allowed(mask, m0, 2 * j) and allowed(mask, m0, 2 * j + 1):
            logit = logits[l0 + j]
            log_one, log_zero = log_sigmoid(logit), log_sigmoid(-logit)
            p, q = math.exp(log_one), math.exp(log_zero)
            log_prob += log_one if action[a0 + j] != _ZERO else log_zero
            entropy -= p * log_one + q * log_zero
            out[o + j] = scale * (advantage * (p - action[a0 + j]) + entropy_coef * p * q * logit)
    return log_prob, entropy


@inlined
def sample(
    factors: NDArray[np.int64], log_std: Floats,
    outputs: Floats, l0: int, noise: Floats, mask: Masks, m0: int, action: Floats, a0: int,
) -> None:  # fmt: skip
    """Writes a row of actions at a0, given outputs at l0, noise at a0 and the mask at m0."""
    for f in range(len(factors)):
        l, n, a = l0 + factors[f, OUTPUT], factors[f, OUTPUTS], a0 + factors[f, COLUMN]  # noqa: E741 - as in l0
        m = m0 + factors[f, MASK] if factors[f, MASK] >= 0 else factors[f, MASK]
        if factors[f, KIND] == CATEGORICAL:
            action[a] = np.float32(sample_categorical(outputs, l, n, noise[a], mask, m))
        elif factors[f, KIND] == GAUSSIAN:
            sample_gaussian(outputs, l, log_std, factors[f, LOG_STD], n, noise, a, action, a)
        else:
            sample_bernoulli(outputs, l, n, noise, a, mask, m, action, a)


@inlined
def differentiate(
    factors: NDArray[np.int64], log_std: Floats,
    outputs: Floats, l0: int, action: Floats, a0: int, mask: Masks, m0: int,
    advantage: np.float32, entropy_coef: np.float32, scale: np.float32,
    out: Floats, o: int, gradient: Floats, g0: int,
) -> tuple[np.float32, np.float32]:  # fmt: skip
    """Writes dL/doutputs of a row to out[o:]; adds dL/dlog_std to gradient[g0:].

    Returns:
        log pi(a) and the entropy H, in nats, of all factors.
    """
    log_prob, entropy = _ZERO, _ZERO
    for f in range(len(factors)):
        l, n, a = l0 + factors[f, OUTPUT], factors[f, OUTPUTS], a0 + factors[f, COLUMN]  # noqa: E741 - as in l0
        m = m0 + factors[f, MASK] if factors[f, MASK] >= 0 else factors[f, MASK]
        to = o + factors[f, OUTPUT]
        if factors[f, KIND] == CATEGORICAL:
            own, more = differentiate_categorical(
                outputs, l, n, int(action[a]), mask, m, advantage, entropy_coef, scale, out, to
            )
        elif factors[f, KIND] == GAUSSIAN:
            own, more = differentiate_gaussian(
                outputs, l, log_std, factors[f, LOG_STD], n, action, a, advantage, entropy_coef, scale,
                out, to, gradient, g0 + factors[f, LOG_STD],
            )  # fmt: skip
        else:
            own, more = differentiate_bernoulli(
                outputs, l, n, action, a, mask, m, advantage, entropy_coef, scale, out, to
            )
        log_prob, entropy = log_prob + own, entropy + more
    return log_prob, entropy


@compiled
def metric_categorical(logits: Floats, l0: int, n: int, mask: Masks, m0: int, out: Floats, o: int) -> None:
    """out[o:o+n] = (diag(p) - p p^T) out[o:o+n], p the softmax of logits[l0:l0+n] over what is allowed."""
    highest = np.float32(-np.inf)
    for j in range(n):
        if allowed(mask, m0, j):
            highest = max(highest, logits[l0 + j])
    total, mean = _ZERO, _ZERO
    for j in range(n):
        if allowed(mask, m0, j):
            weight = math.exp(logits[l0 + j] - highest)
            total += weight
            mean += weight * out[o + j]
    mean /= total
    for j in range(n):
        if allowed(mask, m0, j):
            out[o + j] = math.exp(logits[l0 + j] - highest) / total * (out[o + j] - mean)
        else:
            out[o + j] = _ZERO


@inlined
def metric(
    factors: NDArray[np.int64], log_std: Floats, outputs: Floats, l0: int, mask: Masks, m0: int, out: Floats, o: int
) -> None:
    """out = M out for a row of tangents at o: M is the Fisher matrix of the distribution in the actor's outputs.

        choice   diag(p) - p p^T        real   1 / std^2        bit   p (1 - p)

    The log standard deviations have a matrix of their own: diagonal, with 2 everywhere.

    Reference: Schulman et al., "Trust region policy optimization" (2015), appendix C.
    """
    for f in range(len(factors)):
        l, n, to = l0 + factors[f, OUTPUT], factors[f, OUTPUTS], o + factors[f, OUTPUT]  # noqa: E741 - as in l0
        m = m0 + factors[f, MASK] if factors[f, MASK] >= 0 else factors[f, MASK]
        if factors[f, KIND] == CATEGORICAL:
            metric_categorical(outputs, l, n, mask, m, out, to)
        elif factors[f, KIND] == GAUSSIAN:
            for j in range(n):
                out[to + j] *= math.exp(-2 * log_std[factors[f, LOG_STD] + j])
        else:
            for j in range(n):
                is_open = allowed(mask, m, 2 * j) and allowed(mask, m, 2 * j + 1)
                variance = math.exp(log_sigmoid(outputs[l + j]) + log_sigmoid(-outputs[l + j]))
                out[to + j] *= np.float32(variance) if is_open else _ZERO
