"""Running statistics of observations and returns: float64, fixed during a rollout, saved with the run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CLIP = 10.0
"""Normalised observations and rewards are clipped to [-CLIP, CLIP]."""

EPSILON = 1e-8
"""Added to a variance before its square root divides, since a constant column has variance 0."""


class Moments(NamedTuple):
    """Mean and variance of columns, in arrays that `a2c.kernels.statistics.merge_rows` changes in place."""

    seen: NDArray[np.float64]  # [1] rows
    mean: NDArray[np.float64]  # [D]
    variance: NDArray[np.float64]  # [D]

    @classmethod
    def of(cls, columns: int) -> Moments:
        """The moments of `columns` columns before the first row: mean 0, variance 1."""
        return cls(np.zeros(1), np.zeros(columns), np.ones(columns))

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the arrays, for `restore`."""
        return {name: array.copy() for name, array in self._named().items()}

    def _named(self) -> dict[str, NDArray[np.float64]]:
        return {"count": self.seen, "mean": self.mean, "variance": self.variance}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Continues from a `state()`.

        Raises:
            KeyError: The state lacks an array.
            ValueError: An array has another size or is not finite, or a variance is negative.
        """
        for name, array in self._named().items():
            given = state[name]
            if given.size != array.size or given.dtype != np.float64 or not np.isfinite(given).all():
                raise ValueError(f"{name} is {given.dtype} {given.shape}; it must be finite float64 {array.shape}")
        if (state["variance"] < 0).any():
            raise ValueError("a variance is negative")
        for name, array in self._named().items():
            array[...] = state[name].reshape(array.shape)
