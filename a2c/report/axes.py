"""Axes of charts: round ticks, their texts, and how many of them fit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOX = 1000
"""Width and height of the box in which charts are drawn."""
_NARROWEST = 150
"""The smallest width of a chart in pixels, without the labels at its left."""
_DIGIT = 7.2
"""Width of a tick's character in pixels; few are wider."""


class Tick(NamedTuple):
    """A mark on an axis."""

    percent: float
    """Its distance from the left or from below."""
    text: str


class Axis(NamedTuple):
    """A range of numbers and its ticks."""

    low: float
    high: float
    ticks: list[float]

    def place(self, values: Floats) -> Floats:
        """The places of values in the box, from 0 to 1,000."""
        return (values - self.low) / (self.high - self.low) * BOX

    def marks(self) -> list[Tick]:
        """Its ticks with their texts."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        return [Tick(float(self.place(np.array(tick))) / 10, compact(tick, step)) for tick in self.ticks]


def axis(values: Floats, most_ticks: int = 6, is_tight: bool = False, holds_zero: bool = False) -> Axis:
    """An axis for some numbers, with round ticks.

    Args:
        values: What must lie on the axis; infinite values and NaN are ignored.
        most_ticks: About how many ticks it may have.
        is_tight: Whether the axis ends at the lowest and highest value; otherwise at ticks.
        holds_zero: Whether zero must lie on the axis.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if holds_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if not high - low > 1e-9 * max(abs(low), abs(high), 1e-300):
        pad = abs(high) * 0.1 or 1.0
        low, high = low - pad, high + pad
    step = round_step((high - low) / (most_ticks - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if is_tight:
        ticks = [number * step for number in range(first, last + 1) if low - 1e-9 * step <= number * step <= high]
        return Axis(low, high, ticks)
    return Axis(first * step, last * step, [number * step for number in range(first, last + 1)])


def round_step(step: float) -> float:
    """The smallest number >= step that is 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= step * (1 - 1e-9))


def compact(value: float, step: float = 0.0) -> str:
    """A number as an axis shows it: 20k, 1.5M, 0.25.

    Args:
        value: The number.
        step: The distance to the next tick: both must read differently.

    Example:
        >>> compact(20_000, 5_000), compact(1_500_000), compact(0.25), compact(-0.0), compact(12_500, 500)
        ('20k', '1.5M', '0.25', '0', '12.5k')
    """
    if value == 0:
        return "0"
    size = max(abs(value), step)
    unit, suffix = next((pair for pair in ((1e9, "G"), (1e6, "M"), (1e4, "k")) if size >= pair[0]), (1.0, ""))
    unit = 1e3 if suffix == "k" else unit
    if size >= 1e13 or size < 1e-4:
        return f"{value:.1e}"
    digits = 6 if not step else max(1, math.floor(math.log10(abs(value) or step)) - math.floor(math.log10(step)) + 2)
    return f"{float(f'{value / unit:.{min(digits, 12)}g}'):,.10g}{suffix}"


def apart(ticks: Sequence[Tick]) -> list[Tick]:
    """The ticks of a horizontal axis thinned out evenly, until their texts fit side by side in the narrowest chart.

    Example:
        >>> [tick.text for tick in apart([Tick(25.0 * i, f"{500 * i:,}") for i in range(5)])]
        ['0', '1,000', '2,000']
    """
    for every in range(1, len(ticks)):
        chosen = list(ticks[::every])
        sides = [_sides(tick) for tick in chosen]
        if all(left >= right + 5 for (_, right), (left, _) in itertools.pairwise(sides)):
            return chosen
    return list(ticks[:1])


def _sides(tick: Tick) -> tuple[float, float]:
    """Where a tick's text begins and ends, in pixels: centred on the tick, but inside the chart."""
    at, width = tick.percent / 100 * _NARROWEST, _DIGIT * len(tick.text)
    left = at if tick.percent < 4 else at - width if tick.percent > 96 else at - width / 2
    return left, left + width
