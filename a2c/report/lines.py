"""A metric as a line over steps or seconds: of one run, or the interquartile mean of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.errors import UserError
from a2c.report.statistics import interquartile_means

_MOST_POINTS = 1_000
"""The most points of a line that joins several runs."""
LARGEST = 1e150
"""Returns beyond it are from damaged files; axes cannot show them."""

Rows = Sequence[Mapping[str, Any]]
"""Rows of metrics, from `Run.metrics`."""

Over = Literal["steps", "seconds"]
"""The horizontal axis: agent steps, or the seconds of updates, without evaluations and checkpoints."""


class Look(NamedTuple):
    """How curves are to be drawn."""

    over: Over = "steps"
    smooth: int = 1
    """Each point is the mean of this many points of its run: itself and those before it."""

    @property
    def x_label(self) -> str:
        """The label of the horizontal axis."""
        return "steps" if self.over == "steps" else "seconds of training"

    @property
    def y_label(self) -> str:
        """The label of the vertical axis."""
        return "return" if self.smooth == 1 else f"return, mean of the last {self.smooth} points"


class Line(NamedTuple):
    """A metric of one run, or of several joined; NaN is a gap."""

    x: NDArray[np.float64]
    """[L], increasing: steps, or seconds."""
    middle: NDArray[np.float64]
    """[L], the interquartile mean of the runs."""
    low: NDArray[np.float64]
    """[L], the lower end of its bootstrap interval; equal to middle for a single run."""
    high: NDArray[np.float64]
    """[L], the upper end."""


def line_of(rows: Rows, name: str, look: Look = Look()) -> Line:  # noqa: B008
    """A metric of one run, from its rows.

    Raises:
        UserError: It is to be over seconds, but the rows do not hold how long updates took.
    """
    # A row may hold null, which is a gap, and in a damaged file anything.
    points = {
        float(row["steps"]): float("nan") if row[name] is None or abs(row[name]) > LARGEST else row[name]
        for row in rows
        if name in row and isinstance(row[name], float | int | None)
    }
    x = np.array(sorted(points))
    values = np.array([points[steps] for steps in x], np.float64)
    if look.smooth > 1:
        values = _means_of_the_last(values, look.smooth)
    if look.over == "seconds" and len(x):
        x = seconds_at(rows, x)
    return Line(x, values, values, values)


def seconds_at(rows: Rows, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The seconds that updates had taken after these steps [L] -> [L], counted as `train_seconds` of the summary is.

    Raises:
        UserError: The rows do not hold `steps_per_second`.
    """
    known, seconds = [0.0], [0.0]
    for row in rows:
        speed = row.get("steps_per_second")
        if isinstance(speed, float | int) and 0 < speed < LARGEST and row["steps"] > known[-1]:
            seconds.append(seconds[-1] + (row["steps"] - known[-1]) / speed)
            known.append(float(row["steps"]))
    if len(known) == 1:
        raise UserError("its metrics hold no steps_per_second; draw it over steps")
    return np.interp(steps, known, seconds)


def _means_of_the_last(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The mean of each value and those before it, `count` in all; gaps are not counted."""
    is_there = ~np.isnan(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(is_there, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(is_there)])
    first = np.maximum(np.arange(len(values)) + 1 - count, 0)
    within = counts[1:] - counts[first]
    return np.where(within > 0, (sums[1:] - sums[first]) / np.maximum(within, 1), np.nan)


def joined(lines: Sequence[Line], look: Look = Look()) -> Line:  # noqa: B008 - immutable
    """The interquartile mean of several runs' lines, with its bootstrap interval.

    Runs have points at different places. Between two points a run lies on the straight line; before its first and after
    its last it is not counted. Over seconds, the line covers the stretch in which more than half of the runs count.
    """
    if len(lines) == 1:
        return lines[0]
    x = np.unique(np.concatenate([line.x for line in lines]))
    if len(x) > _MOST_POINTS:  # Seconds of different runs are never the same.
        x = np.linspace(x[0], x[-1], _MOST_POINTS)
    values = np.full((len(lines), len(x)), np.nan)  # [R, L]
    for row, line in zip(values, lines, strict=True):
        if len(line.x):
            row[:] = np.interp(x, line.x, line.middle, left=np.nan, right=np.nan)
            places = np.searchsorted(x, line.x).clip(max=len(x) - 1)
            is_there = x[places] == line.x
            row[places[is_there]] = line.middle[is_there]  # Beside a gap, interpolation gives a gap.
    if look.over == "seconds":
        # Runs end one after another: at the ends, a line of few runs would show only the fastest or the slowest.
        ends = np.array([(line.x[0], line.x[-1]) for line in lines if len(line.x)]).reshape(-1, 2)
        is_there = ((ends[:, :1] <= x) & (x <= ends[:, 1:])).sum(0) * 2 > len(ends)
        x, values = x[is_there], values[:, is_there]
    return Line(x, *interquartile_means(values))
