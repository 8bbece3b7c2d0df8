"""From rows of observations to rows of inputs: the columns that the networks see.

    observed  [B, R] float64    real numbers as the environment gave them, from which statistics are computed
    inputs    [B, D] float32    real numbers, normalised or not | scaled numbers | the numbers of choices
    pixels    [B, P] uint8      images, one after another, as the environment gave them

Real numbers are normalised in float64: large numbers that differ little would become equal in float32 before their mean
is subtracted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.model.architecture import Architecture, Leaf
from a2c.moments import CLIP, EPSILON, Moments
from a2c.spaces import part_of


def observe(
    architecture: Architecture,
    rows: NDArray[Any],
    observed: NDArray[np.float64],
    inputs: NDArray[np.float32],
    pixels: NDArray[np.uint8],
) -> None:
    """Writes rows of observations [B] to `observed` [B, R], `inputs` [B, D] and `pixels` [B, P].

    The R first columns of `inputs` are left as they are: they are for the real numbers, once normalised.
    """
    count = len(rows)
    for leaf in architecture.leaves:
        values = part_of(rows, leaf.name).reshape(count, leaf.columns)
        columns = slice(leaf.first, leaf.first + leaf.columns)
        if leaf.kind == "real":
            observed[:, columns] = values
        elif leaf.kind == "pixels":
            pixels[:, columns] = values
        else:
            inputs[:, columns] = _WRITERS[leaf.kind](leaf, values)


def normalize(observed: NDArray[np.float64], moments: Moments) -> NDArray[np.float32]:
    """(x - mean) / sqrt(variance + EPSILON), clipped: [B, R] -> [B, R]."""
    normalized = (observed - moments.mean) / np.sqrt(moments.variance + EPSILON)
    # np.clip would take as long as all the rest.
    clipped: NDArray[np.float64] = np.minimum(np.maximum(normalized, -CLIP), CLIP)
    return clipped.astype(np.float32)


def inputs_of(
    architecture: Architecture, rows: NDArray[Any], moments: Moments | None
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Rows of observations [B] as rows of inputs [B, D] and of pixels [B, P].

    Args:
        architecture: Of the networks.
        rows: Of the observation space, as `a2c.spaces` has them.
        moments: Statistics [R] that normalise the real numbers; None: they are not normalised.
    """
    pixels = np.empty((len(rows), architecture.num_pixels), np.uint8)
    if len(architecture.leaves) == 1 and architecture.leaves[0].kind == "real":  # The usual space, without a copy.
        values = part_of(rows, architecture.leaves[0].name).reshape(len(rows), architecture.leaves[0].columns)
        with np.errstate(over="ignore"):  # Callers check for infinite numbers, and name them.
            return (values.astype(np.float32) if moments is None else normalize(values, moments)), pixels
    observed = np.empty((len(rows), architecture.num_real))
    inputs = np.empty((len(rows), architecture.num_inputs), np.float32)
    observe(architecture, rows, observed, inputs, pixels)
    with np.errstate(over="ignore"):
        inputs[:, : observed.shape[1]] = observed if moments is None else normalize(observed, moments)
    return inputs, pixels


def _scale(leaf: Leaf, values: NDArray[Any]) -> NDArray[Any]:
    return values if leaf.divisor == 1 else values.astype(np.float32) / np.float32(leaf.divisor)


def _count_from_0(leaf: Leaf, values: NDArray[Any]) -> NDArray[Any]:
    return values - np.asarray(leaf.starts, np.int64)


_WRITERS: dict[str, Callable[[Leaf, NDArray[Any]], NDArray[Any]]] = {"scaled": _scale, "one_of": _count_from_0}
