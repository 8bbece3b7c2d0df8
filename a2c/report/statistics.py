"""What scores of runs, one of each seed, say about how they were made: points, and how sure these are.

Reference: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
"""[n], a number for each run on one environment."""

RESAMPLES = 10_000
CURVE_RESAMPLES = 1_000
"""For intervals that are drawn and not read off."""
LEVEL = 0.95
"""Of intervals: how often, were all of it done again, they would hold what they are of."""
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
    # As scipy.stats.trim_mean does, without the second that importing it takes: that of a run.
    return np.asarray(np.sort(scores, axis=-1)[..., n // 4 : n - n // 4].mean(axis=-1))


def resamples(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which of n runs there might have been instead, with replacement: [count, n]."""
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
    """The interquartile mean of every column and its pointwise bootstrap interval: values [n, L], NaN is none of a run.

    Resamples of n runs are resamples of ranks, whatever their scores: the same weights of ranks serve all columns.
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
    # Equal scores stay equal, however their weights round.
    low, high = np.clip(low, *_range(ordered, counts)), np.clip(high, *_range(ordered, counts))
    return point, low, high


def _range(ordered: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[Scores, Scores]:
    """The lowest and the highest of every column that is sorted, so many of them from above."""
    return ordered[0], np.take_along_axis(ordered, np.maximum(counts - 1, 0)[None], 0)[0]


def _weights(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each rank counts in the interquartile mean where it was drawn so many times: [..., n] -> [..., n]."""
    n = times.shape[-1]
    cut, up_to = n // 4, np.cumsum(times, axis=-1)
    inside = np.clip(up_to, cut, n - cut) - np.clip(up_to - times, cut, n - cut)
    return np.asarray(inside / (n - 2 * cut))


def estimate_of_mean(values: Scores) -> Estimate:
    """The mean of episodes' returns, with its bootstrap interval; of very many episodes, from fewer resamples."""
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
    """Our interquartile mean less theirs, with its bootstrap interval."""
    point = float(interquartile_mean(ours) - interquartile_mean(theirs))
    values = [interquartile_mean(one[resamples(len(one), RESAMPLES, rng)]) for one in (ours, theirs)]
    return Estimate(point, *interval(values[0] - values[1]))


def probability_of_improvement(ours: Scores, theirs: Scores) -> float:
    """How often a run of ours is above one of theirs, of all pairs; a tie counts half: Mann and Whitney's U / (n m)."""
    return float(_above(ours, theirs).mean())


def _above(ours: Scores, theirs: Scores) -> NDArray[np.float64]:
    """[n, m] 1 where ours is above theirs, a half where they are equal."""
    return np.where(ours[:, None] == theirs, 0.5, ours[:, None] > theirs)


def estimate_of_improvement(pairs: Sequence[tuple[Scores, Scores]], rng: np.random.Generator) -> Estimate:
    """The probability of improvement, its mean over environments, with its bootstrap interval.

    Args:
        pairs: Of each environment our scores and theirs. Runs are drawn again for each by itself (stratified).
        rng: Draws them.
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
    """How often runs that were dealt to both sides by chance are as far apart as these, one way or the other.

    A permutation test of the probability of improvement, its mean over environments; both sides of each environment
    are shuffled by themselves. As few as three runs on either side cannot come below a tenth.

    Args:
        pairs: As in `estimate_of_improvement`.
        rng: Shuffles.
    """
    found, values = 0.0, np.zeros(RESAMPLES)
    for ours, theirs in pairs:
        found += probability_of_improvement(ours, theirs) / len(pairs)
        ranks = mean_ranks(np.concatenate([ours, theirs]))
        shuffled = rng.permuted(np.broadcast_to(ranks, (RESAMPLES, len(ranks))), axis=1)
        # U = the sum of our ranks, less what it is at least.
        least = len(ours) * (len(ours) + 1) / 2
        values += (shuffled[:, : len(ours)].sum(1) - least) / (len(ours) * len(theirs) * len(pairs))
    as_much = np.abs(values - 0.5) >= abs(found - 0.5) - 1e-9
    return float((1 + as_much.sum()) / (1 + RESAMPLES))


def mean_ranks(scores: Scores) -> NDArray[np.float64]:
    """The rank of each score, from 1; equal ones share the mean of theirs. SciPy has it, too, and takes a second."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places.reshape(-1)])
