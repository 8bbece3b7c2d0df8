"""The verbs of a rollout, each once: the collector calls them from Python, `a2c.kernels.loop` from machine code.

draw_part   the noise of some environments' actions
see         real numbers as observed -> inputs
choose      outputs and noise -> actions                        (forward, between them, is the engine's)
follow_up   what came of the whole rollout: next values, and what was not finite
forget      what was remembered of episodes that ended
settle      rewards scaled, episodes counted
estimate    advantages and returns
renormalize statistics of observations move, and first layers so that the networks stay as they are
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
from a2c.moments import EPSILON, Moments
from a2c.rollout import Rollout

LARGEST = float(np.finfo(np.float32).max)
"""A number beyond it is infinite to the networks: `a2c.finite.finite`, here."""


SETTLED = 200_000
"""Rows that statistics of observations come from before networks stay as they are when these move. Until then they look
for the scales of inputs: weights that made up for that would grow with them, and saturate hidden units."""

MOST_CHANGE = 2.0
"""A column whose standard deviation becomes so many times as large or small at once is seen anew."""

START, ROW, COLUMN, BIAS, UNITS = range(5)
"""Of a first layer, where it lies in theta: the weight of input j and unit h at START + j ROW + h COLUMN, the biases
from BIAS on."""


class Rules(NamedTuple):
    """The numbers of a run that do not change."""

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
    """What outlives a rollout: statistics, and the episodes under way."""

    observations: Moments  # of R columns
    scaled: Moments  # of 1: discounted sums of rewards
    running: NDArray[np.float64]  # [N] those sums, so far
    returns: NDArray[np.float64]  # [N] sums of rewards of the episodes under way
    lengths: NDArray[np.int64]  # [N] their steps


@compiled
def draw_part(
    factors: NDArray[np.int64], seed: int, update: int, noise: NDArray[np.float32], first: int, num_envs: int
) -> None:
    """The noise of an update [T, n, C] for n environments, from `first` on, of the N that a whole rollout has."""
    length, count, columns = noise.shape
    flat = noise.reshape(-1)
    for t in range(length):
        draw(factors, seed, update, flat[t * count * columns :], columns, t * num_envs + first, count)


@compiled
def see(
    normalizes: bool,
    moments: Moments,
    observed: NDArray[np.float64],
    inputs: NDArray[np.float32],
    first: int,
    last: int,
) -> None:
    """Rows first..last-1 of real numbers [N, R] as inputs [N, D], normalised if the run normalises."""
    for n in range(first, last):
        for j in range(observed.shape[1]):
            if normalizes:
                inputs[n, j] = normalized(observed[n, j], moments.mean[j], moments.variance[j])
            else:
                inputs[n, j] = np.float32(observed[n, j])


@compiled
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
    """Rows first..last-1 of actions [N, C], from the actor's outputs [N, O], noise [N, C] and masks [N, K]."""
    flat_outputs, flat_noise = outputs.reshape(-1), noise.reshape(-1)
    flat_mask, flat_action = mask.reshape(-1), action.reshape(-1)
    for n in range(first, last):
        sample(
            factors, log_std, flat_outputs, n * outputs.shape[1], flat_noise, flat_mask, n * mask.shape[1],
            flat_action, n * action.shape[1],
        )  # fmt: skip


@inlined
def not_finite(row: NDArray[np.float64]) -> bool:
    """Whether one of some numbers [R] is NaN, or too large for float32."""
    found = False
    for j in range(len(row)):
        found |= not abs(row[j]) <= LARGEST
    return found


@compiled
def follow_up(rollout: Rollout, first: int, last: int) -> None:
    """Completes columns first..last-1 of a rollout that was collected: `bad`, and `next_value` but for truncations.

    The successor of a step is what was acted on next, except where an episode ended: nothing follows a termination (or,
    where that is learnt as an end, a lost life), and a truncated episode would have gone on from its final state, whose
    value is there already.
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
    """Of columns first..last-1, nothing is remembered beyond step t where an episode ended in it."""
    for n in range(first, last):
        if rollout.terminated[t, n] or rollout.truncated[t, n]:
            for j in range(rollout.carry.shape[2]):
                rollout.carry[t + 1, n, j] = np.float32(0)


@compiled
def settle(rules: Rules, books: Books, rollout: Rollout) -> tuple[int, float, int]:
    """What needs the whole rollout at once: scaled rewards, episodes that ended.

    Scaled rewards are divided by the standard deviation of the discounted return, R_t = r_t + gamma R_{t-1} within an
    episode, so that returns are of order 1, and clipped. They are not shifted: that would change which policies are
    best wherever episodes can end.

    Clipped ones are their signs.

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
    """Advantages and returns of columns first..last-1, not yet normalised: `a2c.returns.gae` or `observed`."""
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
    """Statistics of observations take in a rollout, and the networks go on saying what they said.

    An input (x - m) / s becomes (x - m') / s', which its weights w and the biases b of first layers make up for:
    w' = w s' / s and b' = b + w (m' - m) / s. Else every rollout would change the policy, away from what its steps made
    of it. Not so before `SETTLED` rows were seen, nor where a column begins to vary: then its scale was not known.

    Args:
        books: Whose statistics of observations move.
        rollout: After it was learnt from.
        layers: [layers, 5] the layers that see inputs, with the fields START to UNITS.
        theta: The parameters.

    Reference: van Hasselt et al., "Learning values across many orders of magnitude" (2016), section 2.2, who do this
        behind the last layer.
    """
    moments, (length, num_envs) = books.observations, rollout.reward.shape
    rows, before = length * num_envs, moments.seen[0]
    observed = rollout.observed[:length].reshape((rows, len(moments.mean)))  # Row T is the next rollout's row 0.
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
