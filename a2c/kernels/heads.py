"""The policy's heads on one row of outputs: sampling, log-probability, entropy, and the gradient of the loss.

For a row with advantage A, the loss is (-A log pi(a) - c H) / B, with c the entropy's coefficient and B the rows.
"""

from __future__ import annotations

import math

import numpy as np

from a2c.kernels.compiler import compiled
from a2c.kernels.simd import Floats

_HALF_LOG_2PI = np.float32(0.5 * math.log(2 * math.pi))
_HALF = np.float32(0.5)
_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def sample_categorical(logits: Floats, l0: int, n: int, uniform: np.float32) -> int:
    """The inverse of the cumulative distribution softmax(logits[l0:l0+n]) at a uniform in [0, 1)."""
    highest = logits[l0]
    for j in range(1, n):
        highest = max(highest, logits[l0 + j])
    total = _ZERO
    for j in range(n):
        total += math.exp(logits[l0 + j] - highest)
    threshold = uniform * total
    cumulative = _ZERO
    for j in range(n - 1):  # Without the last boundary, rounding can never yield action n.
        cumulative += math.exp(logits[l0 + j] - highest)
        if cumulative > threshold:
            return j
    return n - 1


@compiled
def differentiate_categorical(
    logits: Floats,
    l0: int,
    n: int,
    action: int,
    advantage: np.float32,
    entropy_coef: np.float32,
    scale: np.float32,
    out: Floats,
    o: int,
) -> tuple[np.float32, np.float32]:
    """Writes dL/dlogits = (A (p - onehot(a)) + c p (log p + H)) * scale to out[o:o+n].

    Returns:
        log pi(a) and the entropy H, in nats.
    """
    highest = logits[l0]
    for j in range(1, n):
        highest = max(highest, logits[l0 + j])
    total = _ZERO
    for j in range(n):
        out[o + j] = math.exp(logits[l0 + j] - highest)
        total += out[o + j]
    log_total = math.log(total)
    entropy = _ZERO
    for j in range(n):
        out[o + j] /= total
        entropy -= out[o + j] * (logits[l0 + j] - highest - log_total)
    for j in range(n):
        log_p = logits[l0 + j] - highest - log_total
        hit = _ONE if j == action else _ZERO
        out[o + j] = scale * (advantage * (out[o + j] - hit) + entropy_coef * out[o + j] * (log_p + entropy))
    return logits[l0 + action] - highest - log_total, entropy


@compiled
def sample_gaussian(
    mean: Floats, m0: int, theta: Floats, s0: int, n: int, noise: Floats, k0: int, out: Floats, o: int
) -> None:
    """out[o:o+n] = mean + exp(log_std) * noise, with mean[m0:], log_std = theta[s0:], noise[k0:]."""
    for j in range(n):
        out[o + j] = mean[m0 + j] + math.exp(theta[s0 + j]) * noise[k0 + j]


@compiled
def differentiate_gaussian(
    mean: Floats,
    m0: int,
    theta: Floats,
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
        log_std = theta[s0 + j]
        inverse_std = math.exp(-log_std)
        z = (action[a0 + j] - mean[m0 + j]) * inverse_std
        log_prob -= _HALF * z * z + log_std + _HALF_LOG_2PI
        entropy += log_std + (_HALF_LOG_2PI + _HALF)
        out[o + j] = -scale * advantage * z * inverse_std
        gradient[g0 + j] -= scale * (advantage * (z * z - _ONE) + entropy_coef)
    return log_prob, entropy
