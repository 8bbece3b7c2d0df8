"""Paces: which groups are slow, so that every update waits for them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_ROLLOUTS = 20
"""Groups are compared after every so many rollouts, ..."""

_SLOW = 2.0
"""... and one that takes so many times as long for an environment as the median group is slow, ..."""

_SECONDS = 0.01
"""... if that is at least this much longer in each rollout."""


class Slow(NamedTuple):
    """A group that is slow."""

    number: int
    seconds: float
    """What its rollouts took it, in the mean."""
    usual: float
    """What they would take it if it were as fast as the median group."""


class Paces:
    """Compares how long groups take for their rollouts."""

    def __init__(self, sizes: Sequence[int]) -> None:
        """Begins; sizes are the numbers of environments of the groups."""
        self._sizes = np.array(sizes, np.float64)
        self._named: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        self._total, self._count = np.zeros(len(self._sizes)), 0

    def add(self, seconds: Sequence[float]) -> list[Slow]:
        """Adds what a rollout took each group; returns those that have become slow since they were last returned."""
        self._total += seconds
        self._count += 1
        if self._count < _ROLLOUTS:
            return []
        means = self._total / self._count
        # Of an even number of groups the faster one, or else one of two could never be slow.
        usual = statistics.median_low((means / self._sizes).tolist()) * self._sizes
        self._begin()
        slow = {
            number: Slow(number, float(means[number]), float(usual[number]))
            for number in np.flatnonzero((means > _SLOW * usual) & (means > usual + _SECONDS)).tolist()
        }
        found = [slow[number] for number in slow if number not in self._named]
        self._named = set(slow)
        return found
