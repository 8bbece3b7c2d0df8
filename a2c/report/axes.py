"""Axes of charts: round ticks, how they are written, and which of them there is room for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOX = 1000
"""How wide and high the box is in which charts are drawn."""
_NARROWEST = 150
"""Pixels that a chart is wide at least, without its labels at the left."""
_DIGIT = 7.2
"""Pixels that a character of a tick is wide at most, as a rule."""


class Tick(NamedTuple):
    """A mark on an axis."""

    percent: float
    """Where it is, from the left or from below."""
    text: str


class Axis(NamedTuple):
    """A range of numbers and its ticks."""

    low: float
    high: float
    ticks: list[float]

    def place(self, values: Floats) -> Floats:
        """Where values are in the box, from 0 to 1,000."""
        return (values - self.low) / (self.high - self.low) * BOX

    def marks(self) -> list[Tick]:
        """Its ticks, in words."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        return [Tick(float(self.place(np.array(tick))) / 10, compact(tick, step)) for tick in self.ticks]


def axis(values: Floats, most_ticks: int = 6, is_tight: bool = False, holds_zero: bool = False) -> Axis:
    """An axis for some numbers, with round ticks.

    Args:
        values: What must be on it; what is not finite is not.
        most_ticks: How many ticks it may have, about.
        is_tight: It ends with the numbers; else with ticks.
        holds_zero: Zero is on it.
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
    """1, 2 or 5 times a power of ten, not below a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= step * (1 - 1e-9))


def compact(value: float, step: float = 0.0) -> str:
    """A number as an axis shows it: 20k, 1.5M, 0.25.

    Args:
        value: The number.
        step: To the next one, from which it must differ.

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
    """As many ticks of an axis below, at even distances, as have room for their texts where a chart is narrowest.

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
    """Where a text begins and ends, in pixels: in its tick's middle, but within the chart."""
    at, width = tick.percent / 100 * _NARROWEST, _DIGIT * len(tick.text)
    left = at if tick.percent < 4 else at - width if tick.percent > 96 else at - width / 2
    return left, left + width
