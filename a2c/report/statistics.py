"""Statistics over seeds: point estimates of scores, their bootstrap intervals, and a test of the difference.

Reference: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
"""[n], the score of each run on one environment."""

RESAMPLES = 10_000
CURVE_RESAMPLES = 1_000
"""For intervals of curves, which nobody reads to three digits."""
LEVEL = 0.95
"""The confidence level of all intervals."""
BOUNDS = (50 * (1 - LEVEL), 50 * (1 + LEVEL))
"""The percentiles at the ends of an interval."""


class Estimate(NamedTuple):
    """A point and its interval."""

    point: float
    low: float
    high: float


def interquartile_mean(scores: Scores) -> NDArray[np.float64]:
    """The mean of the middle half: scores [..., n] -> [...]. The lowest and the highest n // 4 are left out."""
    n = scores.shape[-1]
    # What scipy.stats.trim_mean does; importing SciPy takes a second, and a short run no longer than that.
    return np.asarray(np.sort(scores, axis=-1)[..., n // 4 : n - n // 4].mean(axis=-1))


def resamples(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Bootstrap resamples: indices of n runs drawn with replacement, [count, n]."""
    return rng.integers(0, n, (count, n))


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of a statistic from its values on resamples [count]."""
    low, high = np.percentile(values, BOUNDS)
    return float(low), float(high)


def estimate_of_iqm(scores: Scores, rng: np.random.Generator) -> Estimate:
    """The interquartile mean of runs, with its bootstrap interval."""
    values = interquartile_mean(scores[resamples(len(scores), RESAMPLES, rng)])
    return Estimate(float(interquartile_mean(scores)), *interval(values))


def interquartile_means(values: NDArray[np.float64]) -> tuple[Scores, Scores, Scores]:
    """The interquartile mean of every column and its pointwise bootstrap interval: values [n, L], with NaN for gaps.

    Resampling n runs means resampling their ranks, whatever the scores: one set of weights of ranks serves all columns.
    """
    point, low, high = (np.full(values.shape[1], np.nan) for _ in range(3))
    ordered, counts = np.sort(values, axis=0), (~np.isnan(values)).sum(0)  # NaN is sorted to the end.
    rng = np.random.default_rng(0)
    for n in np.unique(counts[counts > 0]).tolist():
        columns = np.flatnonzero(counts == n)
        there = ordered[:n, columns]
        point[columns] = _weights(np.ones((1, n)))[0] @ there
        if n == 1:
            low[columns] = high[columns] = there[0]
            continue
        weights = _weights(_times(resamples(n, CURVE_RESAMPLES, rng), n))
        for some in np.array_split(np.arange(len(columns)), -(-len(columns) // 256)):
            low[columns[some]], high[columns[some]] = np.percentile(weights @ there[:, some], BOUNDS, axis=0)
    # Rounding of the weights must not push the interval of equal scores beyond them.
    low, high = np.clip(low, *_range(ordered, counts)), np.clip(high, *_range(ordered, counts))
    return point, low, high


def _range(ordered: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[Scores, Scores]:
    """The lowest and the highest value of every sorted column, of which the first `counts` are numbers."""
    return ordered[0], np.take_along_axis(ordered, np.maximum(counts - 1, 0)[None], 0)[0]


def _weights(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of each rank in the interquartile mean if it was drawn so many times: [..., n] -> [..., n]."""
    n = times.shape[-1]
    cut, up_to = n // 4, np.cumsum(times, axis=-1)
    inside = np.clip(up_to, cut, n - cut) - np.clip(up_to - times, cut, n - cut)
    return np.asarray(inside / (n - 2 * cut))


def estimate_of_mean(values: Scores) -> Estimate:
    """The mean of episodes' returns, with its bootstrap interval; very many episodes get fewer resamples."""
    count = int(np.clip(4_000_000 // len(values), 200, RESAMPLES))
    drawn = values[resamples(len(values), count, np.random.default_rng(0))].mean(1)
    return Estimate(float(values.mean()), *interval(drawn))


def score_profile(scores: Scores, thresholds: Scores) -> tuple[Scores, Scores, Scores]:
    """The share of runs above each threshold [L], with its pointwise bootstrap interval: [L], [L], [L].

    Reference: Agarwal et al. (2021), section 4.2: performance profiles.
    """
    above = (scores[:, None] > thresholds).astype(np.float64)  # [n, L]
    often = _times(resamples(len(scores), CURVE_RESAMPLES, np.random.default_rng(0)), len(scores)) / len(scores)
    low, high = np.percentile(often @ above, BOUNDS, axis=0)
    return above.mean(0), low, high


def estimate_of_difference(ours: Scores, theirs: Scores, rng: np.random.Generator) -> Estimate:
    """Our interquartile mean minus theirs, with its bootstrap interval."""
    point = float(interquartile_mean(ours) - interquartile_mean(theirs))
    values = [interquartile_mean(one[resamples(len(one), RESAMPLES, rng)]) for one in (ours, theirs)]
    return Estimate(point, *interval(values[0] - values[1]))


def probability_of_improvement(ours: Scores, theirs: Scores) -> float:
    """The share of pairs in which our run is above theirs; a tie counts half. It is Mann and Whitney's U / (n m)."""
    return float(_above(ours, theirs).mean())


def _above(ours: Scores, theirs: Scores) -> NDArray[np.float64]:
    """[n, m] 1 where our run is above theirs, 0.5 where both are equal, else 0."""
    return np.where(ours[:, None] == theirs, 0.5, ours[:, None] > theirs)


def estimate_of_improvement(pairs: Sequence[tuple[Scores, Scores]], rng: np.random.Generator) -> Estimate:
    """The mean over environments of the probability of improvement, with its bootstrap interval.

    Args:
        pairs: Our scores and theirs for each environment. Each environment is resampled by itself (stratified).
        rng: Draws the resamples.
    """
    point, values = 0.0, np.zeros(RESAMPLES)
    for ours, theirs in pairs:
        above = _above(ours, theirs)
        point += float(above.mean()) / len(pairs)
        often = [_times(resamples(len(one), RESAMPLES, rng), len(one)) for one in (ours, theirs)]
        values += ((often[0] @ above) * often[1]).sum(1) / above.size / len(pairs)
    return Estimate(point, *interval(values))


def _times(drawn: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """[count, n] how often each of n runs was drawn."""
    times = np.zeros((len(drawn), n))
    np.add.at(times, (np.arange(len(drawn))[:, None], drawn), 1.0)
    return times


def chance_of_as_much(pairs: Sequence[tuple[Scores, Scores]], rng: np.random.Generator) -> float:
    """How often both sides are at least as far apart, in either direction, if runs are dealt to them at random.

    A two-sided permutation test of the mean probability of improvement over environments; each environment is shuffled
    by itself. With three runs on either side, the result cannot be below 0.1.

    Args:
        pairs: As in `estimate_of_improvement`.
        rng: Draws the permutations.
    """
    found, values = 0.0, np.zeros(RESAMPLES)
    for ours, theirs in pairs:
        found += probability_of_improvement(ours, theirs) / len(pairs)
        ranks = mean_ranks(np.concatenate([ours, theirs]))
        shuffled = rng.permuted(np.broadcast_to(ranks, (RESAMPLES, len(ranks))), axis=1)
        # U is the sum of our ranks minus its smallest possible value.
        least = len(ours) * (len(ours) + 1) / 2
        values += (shuffled[:, : len(ours)].sum(1) - least) / (len(ours) * len(theirs) * len(pairs))
    as_much = np.abs(values - 0.5) >= abs(found - 0.5) - 1e-9
    return float((1 + as_much.sum()) / (1 + RESAMPLES))


def mean_ranks(scores: Scores) -> NDArray[np.float64]:
    """The rank of each score, from 1; equal scores share their mean rank. Own code: importing SciPy takes a second."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places.reshape(-1)])
