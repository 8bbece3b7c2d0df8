"""The steps of collecting a rollout. The collector calls them from Python, `a2c.kernels.loop` from machine code.

draw_part    draws the noise of some environments' actions
see          turns observed real numbers into inputs
choose       turns outputs and noise into actions              (between `see` and `choose`, the engine runs forward)
follow_up    fills in next values, and marks what is not finite
forget       clears the memory's state after episodes that ended
settle       scales rewards and counts episodes
estimate     computes advantages and returns
renormalize  updates statistics of observations, and first layers so that the networks' outputs do not change
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled, inlined
from a2c.kernels.heads import draw, sample
from a2c.kernels.simd import Floats
from a2c.kernels.statistics import (
    count_episodes,
    discounted,
    gae,
    merge_column,
    merge_rows,
    normalized,
    observed,
    scale_rewards,
    signs,
)
from a2c.kernels.vectors import flat
from a2c.moments import EPSILON, Moments
from a2c.rollout import Rollout

LARGEST = float(np.finfo(np.float32).max)
"""Larger numbers become infinite as float32, in which the networks compute; see `a2c.finite.finite`."""


SETTLED = 200_000
"""Rows of observations after which first layers make up for changes of the statistics. Before that, the statistics
still search for the scales of inputs: weights that made up for that would grow with them and saturate hidden units."""

MOST_CHANGE = 2.0
"""If a column's standard deviation changes by more than this factor at once, first layers do not make up for it."""

START, ROW, COLUMN, BIAS, UNITS = range(5)
"""Columns of the table of first layers, which tells where they lie in theta: the weight of input j and unit h is at
START + j ROW + h COLUMN, biases start at BIAS."""


class Rules(NamedTuple):
    """Settings of a run."""

    seed: int
    gamma: float
    gae_lambda: float
    center_advantage: bool
    normalize_advantage: bool
    normalize_observations: bool
    normalize_returns: bool
    clip_rewards: bool = False
    bootstraps: bool = True
    has_baseline: bool = True


class Books(NamedTuple):
    """What is carried from one rollout to the next: statistics, and sums of the episodes under way."""

    observations: Moments  # of R columns
    scaled: Moments  # of 1 column: discounted sums of rewards
    running: NDArray[np.float64]  # [N] the discounted sums so far
    returns: NDArray[np.float64]  # [N] sums of rewards of the episodes under way
    lengths: NDArray[np.int64]  # [N] steps of the episodes under way


@compiled
def draw_part(
    factors: NDArray[np.int64], seed: int, update: int, noise: NDArray[np.float32], first: int, num_envs: int
) -> None:
    """Draws an update's noise [T, n, C] for n environments, from `first` on, of the N environments of a rollout."""
    length, count, columns = noise.shape
    flat_noise = flat(noise)
    for t in range(length):
        draw(factors, seed, update, flat_noise[t * count * columns :], columns, t * num_envs + first, count)


@inlined
def see(
    normalizes: bool,
    moments: Moments,
    observed: NDArray[np.float64],
    inputs: NDArray[np.float32],
    first: int,
    last: int,
) -> None:
    """Writes rows first..last-1 of observed real numbers [N, R] to inputs [N, D], normalised if `normalizes`."""
    for n in range(first, last):
        for j in range(observed.shape[1]):
            if normalizes:
                inputs[n, j] = normalized(observed[n, j], moments.mean[j], moments.variance[j])
            else:
                inputs[n, j] = np.float32(observed[n, j])


@inlined
def choose(
    factors: NDArray[np.int64],
    log_std: Floats,
    outputs: NDArray[np.float32],
    noise: NDArray[np.float32],
    mask: NDArray[np.uint8],
    action: NDArray[np.float32],
    first: int,
    last: int,
) -> None:
    """Writes rows first..last-1 of actions [N, C], given the actor's outputs [N, O], noise [N, C] and masks [N, K]."""
    flat_outputs, flat_noise = flat(outputs), flat(noise)
    flat_mask, flat_action = flat(mask), flat(action)
    for n in range(first, last):
        sample(
            factors, log_std, flat_outputs, n * outputs.shape[1], flat_noise, flat_mask, n * mask.shape[1],
            flat_action, n * action.shape[1],
        )  # fmt: skip


@inlined
def not_finite(row: NDArray[np.float64]) -> bool:
    """Whether any number of a row [R] is NaN or too large for float32."""
    found = False
    for j in range(len(row)):
        found |= not abs(row[j]) <= LARGEST
    return found


@inlined
def follow_up(rollout: Rollout, first: int, last: int) -> None:
    """Completes columns first..last-1 of a collected rollout: `bad`, and `next_value` of steps that were not truncated.

    The state after a step is the one that was acted on next, unless an episode ended. Nothing follows a termination (or
    a lost life, if that counts as an end). A truncated episode would have gone on from its final state, whose value has
    been written before.
    """
    for t in range(rollout.reward.shape[0]):
        for n in range(first, last):
            bad = not_finite(rollout.observed[t + 1, n]) or not abs(rollout.reward[t, n]) <= LARGEST
            if t == 0:
                bad = bad or not_finite(rollout.observed[0, n])
            rollout.bad[t, n] = bad or rollout.bad[t, n]
            if rollout.ended[t, n]:
                rollout.next_value[t, n] = np.float32(0)
            elif not rollout.truncated[t, n]:
                rollout.next_value[t, n] = rollout.value[t + 1, n]


@compiled
def forget(rollout: Rollout, t: int, first: int, last: int) -> None:
    """Sets the memory's state after step t to 0 in those of columns first..last-1 whose episode ended in it."""
    for n in range(first, last):
        if rollout.terminated[t, n] or rollout.truncated[t, n]:
            for j in range(rollout.carry.shape[2]):
                rollout.carry[t + 1, n, j] = np.float32(0)


@compiled
def settle(rules: Rules, books: Books, rollout: Rollout) -> tuple[int, float, int]:
    """Scales rewards and counts the episodes that ended, which needs the whole rollout at once.

    Scaled rewards are divided by the standard deviation of the discounted return, R_t = r_t + gamma R_{t-1} within an
    episode, so that returns are of order 1; then they are clipped. They are not shifted: if episodes can end, that
    would change which policies are best.

    If rewards are to be clipped instead, they become their signs.

    Returns:
        How many episodes ended, and the sums of their returns and lengths.

    Reference: Engstrom et al., "Implementation matters in deep policy gradients" (2020), section 3.
    """
    length, num_envs = rollout.reward.shape
    rows = length * num_envs
    if rules.normalize_returns:
        discounted(rollout.reward, rollout.ended, rollout.truncated, rules.gamma, books.running, rollout.scaled_reward)
        merge_rows(
            rollout.scaled_reward.reshape((rows, 1)), books.scaled.seen, books.scaled.mean, books.scaled.variance
        )
        scale_rewards(rollout.reward, books.scaled.variance[0], rollout.scaled_reward)
    elif rules.clip_rewards:
        signs(rollout.reward, rollout.scaled_reward)
    return count_episodes(rollout.reward, rollout.terminated, rollout.truncated, books.returns, books.lengths)


@compiled
def estimate(rules: Rules, rollout: Rollout, first: int, last: int) -> None:
    """Computes advantages and returns of columns first..last-1, not yet normalised: `a2c.returns.gae` or `observed`."""
    if rules.bootstraps:
        gae(
            rollout.scaled_reward, rollout.value, rollout.next_value, rollout.ended, rollout.truncated,
            rules.gamma, rules.gae_lambda, rollout.advantage, rollout.returns, first, last,
        )  # fmt: skip
    else:
        observed(
            rollout.scaled_reward, rollout.value, rollout.ended, rollout.truncated,
            rules.gamma, rules.has_baseline, rollout.advantage, rollout.returns, first, last,
        )  # fmt: skip


@compiled
def renormalize(books: Books, rollout: Rollout, layers: NDArray[np.int64], theta: Floats) -> None:
    """Updates the statistics of observations with a rollout, without changing the networks' outputs.

    An input (x - m) / s becomes (x - m') / s'. The weights w and biases b of first layers make up for that:
    w' = w s' / s and b' = b + w (m' - m) / s. Otherwise every rollout would change the policy in a direction that no
    gradient asked for. They do not make up for it before `SETTLED` rows were seen, nor when a column begins to vary:
    its scale was not known before.

    Args:
        books: Its statistics of observations are updated.
        rollout: A rollout, after the update that learnt from it.
        layers: [layers, 5] the layers that see inputs, with the fields START to UNITS.
        theta: The parameters.

    Reference: van Hasselt et al., "Learning values across many orders of magnitude" (2016), section 2.2, who do this
        to the outputs of the last layer.
    """
    moments, (length, num_envs) = books.observations, rollout.reward.shape
    rows, before = length * num_envs, moments.seen[0]
    observed = rollout.observed[:length].reshape((rows, len(moments.mean)))  # Row T is row 0 of the next rollout.
    for j in range(observed.shape[1]):
        mean, deviation = moments.mean[j], np.sqrt(moments.variance[j] + EPSILON)
        merge_column(observed, j, before, moments.mean, moments.variance)
        ratio = np.sqrt(moments.variance[j] + EPSILON) / deviation
        if before < SETTLED or not 1 / MOST_CHANGE <= ratio <= MOST_CHANGE:
            continue
        shift = np.float32((moments.mean[j] - mean) / deviation)
        for layer in range(len(layers)):
            weight = layers[layer, START] + j * layers[layer, ROW]
            for h in range(layers[layer, UNITS]):
                w, b = weight + h * layers[layer, COLUMN], layers[layer, BIAS] + h
                theta[b] += shift * theta[w]
                theta[w] *= np.float32(ratio)
    moments.seen[0] = before + rows
