"""Means and variances, normalisation, and returns. Sums are in float64 and in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled, inlined
from a2c.moments import CLIP, EPSILON


@compiled
def standardize(x: NDArray[np.float32], scales: bool) -> None:
    """Shifts a flat array in place to mean 0; if `scales`, also scales it to standard deviation 1."""
    mean, variance = 0.0, 0.0
    for i in range(len(x)):
        mean += x[i]
    mean /= len(x)
    for i in range(len(x)):
        variance += (x[i] - mean) ** 2
    deviation = np.sqrt(variance / len(x)) + EPSILON if scales else 1.0
    for i in range(len(x)):
        x[i] = np.float32((x[i] - mean) / deviation)


@inlined
def merge_column(
    x: NDArray[Any], j: int, before: float, mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> None:
    """Updates mean [D] and variance [D], which `before` rows made, with column j of a batch x [B, D].

    Reference: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
        (1979).
    """
    rows = x.shape[0]
    total, batch_mean, squares = before + rows, 0.0, 0.0
    for i in range(rows):
        batch_mean += x[i, j]
    batch_mean /= rows
    for i in range(rows):
        squares += (x[i, j] - batch_mean) ** 2
    delta = batch_mean - mean[j]
    variance[j] = (variance[j] * before + squares + delta * delta * before * rows / total) / total
    mean[j] += delta * rows / total


@compiled
def merge_rows(
    x: NDArray[Any], count: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> None:
    """Updates running statistics with a batch x [B, D], in place: count [1], mean [D], variance [D]."""
    for j in range(x.shape[1]):
        merge_column(x, j, count[0], mean, variance)
    count[0] += x.shape[0]


@inlined
def normalized(x: float, mean: float, variance: float) -> np.float32:
    """(x - mean) / sqrt(variance + EPSILON), clipped.

    In float64: as float32, large numbers that differ little would become equal before the mean is subtracted.
    """
    return np.float32(min(max((x - mean) / np.sqrt(variance + EPSILON), -CLIP), CLIP))


@compiled
def discounted(
    reward: NDArray[np.float64],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    gamma: float,
    running: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """out = R_t = r_t + gamma R_{t-1} within each episode: [T, N]. `running` [N] is the last R, and is updated."""
    for t in range(reward.shape[0]):
        for n in range(reward.shape[1]):
            running[n] = reward[t, n] + gamma * running[n]
            out[t, n] = running[n]
            if terminated[t, n] or truncated[t, n]:
                running[n] = 0.0


@compiled
def scale_rewards(reward: NDArray[np.float64], variance: float, out: NDArray[np.float64]) -> None:
    """out = reward / sqrt(variance + EPSILON), clipped: [T, N]."""
    scale = np.sqrt(variance + EPSILON)
    for t in range(reward.shape[0]):
        for n in range(reward.shape[1]):
            out[t, n] = min(max(reward[t, n] / scale, -CLIP), CLIP)


@compiled
def signs(reward: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """out = the sign of reward, -1, 0 or 1: [T, N]."""
    for t in range(reward.shape[0]):
        for n in range(reward.shape[1]):
            out[t, n] = np.sign(reward[t, n])


@compiled
def count_episodes(
    reward: NDArray[np.float64],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    returns: NDArray[np.float64],
    lengths: NDArray[np.int64],
) -> tuple[int, float, int]:
    """Updates the returns [N] and lengths [N] of the episodes under way with the steps of a rollout [T, N].

    Returns:
        How many episodes ended, and the sums of their returns and lengths.
    """
    ended, return_sum, length_sum = 0, 0.0, 0
    for t in range(reward.shape[0]):
        for n in range(reward.shape[1]):
            returns[n] += reward[t, n]
            lengths[n] += 1
            if terminated[t, n] or truncated[t, n]:
                ended += 1
                return_sum += returns[n]
                length_sum += lengths[n]
                returns[n] = 0.0
                lengths[n] = 0
    return ended, return_sum, length_sum


@compiled
def gae(
    reward: NDArray[Any],
    value: NDArray[Any],
    next_value: NDArray[Any],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
    advantage: NDArray[np.float32],
    returns: NDArray[np.float32],
    start: int,
    stop: int,
) -> None:
    """`a2c.returns.gae` for columns start..stop-1 of arrays [T, N], into `advantage` and `returns`."""
    for n in range(start, stop):
        following = 0.0
        for t in range(reward.shape[0] - 1, -1, -1):
            # Selected, not multiplied with 0: a NaN of the critic at a final state must not spread.
            bootstrap = 0.0 if terminated[t, n] else float(next_value[t, n])
            delta = reward[t, n] + gamma * bootstrap - value[t, n]
            carry = 0.0 if terminated[t, n] or truncated[t, n] else gamma * gae_lambda
            following = delta + carry * following
            advantage[t, n] = np.float32(following)
            returns[t, n] = np.float32(following + value[t, n])


@compiled
def observed(
    reward: NDArray[Any],
    value: NDArray[Any],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    gamma: float,
    has_baseline: bool,
    advantage: NDArray[np.float32],
    returns: NDArray[np.float32],
    start: int,
    stop: int,
) -> None:
    """`a2c.returns.observed` for columns start..stop-1 of arrays [T, N], into `advantage` and `returns`."""
    for n in range(start, stop):
        following, has_ended = 0.0, False
        for t in range(reward.shape[0] - 1, -1, -1):
            if terminated[t, n] or truncated[t, n]:
                following, has_ended = 0.0, True
            following = reward[t, n] + gamma * following
            baseline = float(value[t, n]) if has_baseline else 0.0
            # Steps of unfinished episodes get an error of 0, and with it gradients of 0 in both losses.
            advantage[t, n] = np.float32(following - baseline) if has_ended else np.float32(0)
            returns[t, n] = np.float32(following) if has_ended else np.float32(value[t, n])
