"""Charts as data: lines, bars and ticks in a box of 1,000 by 1,000, which a template draws as inline SVG.

The page stretches the box to the space available; the width of lines does not change. Text stands beside the box, in
HTML, so that it has the same size on a phone and on a desktop.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from a2c.report.axes import BOX, Axis, Floats, Tick, apart, axis, compact, round_step

LOOKS = 8
"""How many colours the style sheet has, and as many dash patterns, so that lines differ even without colours."""
MOST_POINTS = 240
"""The most points of a line."""
_MOST_MARKED = 40


class Series(NamedTuple):
    """A line to be drawn; NaN is a gap."""

    label: str
    x: Floats
    y: Floats
    low: Floats | None = None
    """The lower end of a band around it."""
    high: Floats | None = None
    look: int = 0
    """A number that decides colour and dashes."""
    is_faint: bool = False
    short: str = ""
    """Its name beside its values, if the label is too long for that."""


class Path(NamedTuple):
    """A shape to draw."""

    d: str
    """SVG path data."""
    color: int
    dash: int
    is_faint: bool = False


class Entry(NamedTuple):
    """A line of a legend."""

    label: str
    color: int
    dash: int
    is_faint: bool


class Chart(NamedTuple):
    """Everything that a template draws of one chart."""

    title: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    bands: list[Path]
    lines: list[Path]
    dots: list[Path]
    bars: list[Path]
    legend: list[Entry]
    hover: str
    """JSON: ranges of both axes, and the points of each series."""
    description: str
    """The chart in words, for readers who cannot see it."""
    note: str = ""


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    note: str = "",
    most_points: int = MOST_POINTS,
    from_zero: bool = True,
    has_dots: bool = True,
) -> Chart:
    """Lines with their bands.

    Args:
        title: Above the chart.
        series: The lines.
        x_label: Below the chart.
        y_label: At its left.
        note: A sentence below it.
        most_points: A line with more points is thinned out to this many.
        from_zero: Whether the horizontal axis begins at zero; otherwise at the first point.
        has_dots: Whether the points of a line are marked if they are few.
    """
    x_axis = axis(_all([one.x for one in series]), is_tight=True, holds_zero=from_zero)
    bounds = [side for one in series for side in (one.y, one.low, one.high) if side is not None]
    y_axis = axis(_all(bounds))
    bands, lines, dots, thin = [], [], [], []
    for one in series:
        chosen = _few(one, most_points)
        thin.append(chosen)
        color, dash = one.look % LOOKS, (one.look + one.look // LOOKS) % LOOKS
        if chosen.low is not None and chosen.high is not None:
            band = _band(x_axis, y_axis, chosen.x, chosen.low, chosen.high)
            bands.append(Path(band, color, dash))
        lines.append(Path(_line(x_axis, y_axis, chosen.x, chosen.y), color, dash, one.is_faint))
        if len(chosen.x) <= _MOST_MARKED and not one.is_faint and has_dots:
            dots.append(Path(_dots(x_axis, y_axis, chosen.x, chosen.y), color, dash))
    described = "; ".join(_in_words(one) for one in thin)
    return Chart(
        title, x_label, y_label, apart(x_axis.marks()), y_axis.marks(), bands, lines, dots, [],
        [Entry(one.label, path.color, path.dash, one.is_faint) for one, path in zip(thin, lines, strict=True)],
        _hover(x_axis, y_axis, thin), f"{title}: {y_label} over {x_label}. {described}", note,
    )  # fmt: skip


def scatter(title: str, points: Series, x_label: str, y_label: str, note: str = "") -> Chart:
    """Dots, and the diagonal on which both numbers are equal."""
    both = axis(_all([points.x, points.y]))
    ends = np.array([both.low, both.high])
    return Chart(
        title, x_label, y_label, apart(both.marks()), both.marks(), [], [Path(_line(both, both, ends, ends), 7, 1)],
        [Path(_dots(both, both, points.x, points.y), points.look % LOOKS, 0, True)], [],
        [Entry(points.label, points.look, -1, False), Entry("as expected", 7, 1, False)],
        "", f"{title}: {y_label} over {x_label}, {len(points.x)} points", note,
    )  # fmt: skip


def histogram(title: str, edges: Floats, counts: Floats, x_label: str, y_label: str, note: str = "") -> Chart:
    """A bar between each two edges [B + 1], as high as its count [B]."""
    x_axis, y_axis = axis(edges, is_tight=True), axis(counts, 5, holds_zero=True)
    bars = [
        Path(_bar(x_axis, y_axis, low, high, count), 0, 0)
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        if count
    ]
    middles = Series(y_label, (edges[:-1] + edges[1:]) / 2, counts)
    return Chart(
        title, x_label, y_label, apart(x_axis.marks()), y_axis.marks(), [], [], [], bars, [],
        _hover(x_axis, y_axis, [middles]), f"{title}: {y_label} over {x_label}. {_in_words(middles)}", note,
    )  # fmt: skip


def choices(title: str, labels: Sequence[str], shares: Floats, x_label: str, y_label: str, note: str = "") -> Chart:
    """A bar for each of several choices."""
    n = len(labels)
    x_axis = Axis(-0.5, n - 0.5, [])
    y_axis = axis(np.append(shares, 0.0), 5)
    ticks = [Tick(float(x_axis.place(np.array(i))) / 10, label) for i, label in enumerate(labels)]
    bars = [Path(_bar(x_axis, y_axis, i - 0.4, i + 0.4, share), 0, 0) for i, share in enumerate(shares) if share]
    described = ", ".join(f"{label}: {share:.3g}" for label, share in zip(labels, shares, strict=True))
    return Chart(
        title, x_label, y_label, apart(ticks), y_axis.marks(), [], [], [], bars, [],
        _hover(x_axis, y_axis, [Series(y_label, np.arange(n, dtype=np.float64), shares)], list(labels)),
        f"{title}: {y_label}. {described}", note,
    )  # fmt: skip


def bins(values: Floats, most: int = 24) -> tuple[Floats, Floats]:
    """Edges and counts of a histogram whose edges are round."""
    values = np.clip(values, -1e300, 1e300)  # The range of larger ones would be infinite.
    low, high = float(values.min()), float(values.max())
    if not high - low > 1e-9 * max(abs(low), abs(high), 1e-300):
        pad = abs(low) * 0.05 or 0.5
        edges = np.array([low - 3 * pad, low - pad, low + pad, low + 3 * pad])
    else:
        step = round_step((high - low) / min(most, max(5, math.isqrt(len(values)) * 2)))
        edges = step * np.arange(math.floor(low / step), math.floor(high / step) + 2)
    counts, _ = np.histogram(values, edges)
    return edges, counts.astype(np.float64)


def _all(arrays: Sequence[Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *arrays])


def _few(one: Series, most: int) -> Series:
    """The series thinned out evenly to at most `most` points; the first and the last stay."""
    if len(one.x) <= most:
        return one
    chosen = np.unique(np.linspace(0, len(one.x) - 1, most).round().astype(np.int64))
    low, high = (None if side is None else side[chosen] for side in (one.low, one.high))
    return one._replace(x=one.x[chosen], y=one.y[chosen], low=low, high=high)


def _points(x_axis: Axis, y_axis: Axis, x: Floats, y: Floats) -> list[tuple[str, str] | None]:
    """The points as texts of box coordinates; None is a gap."""
    places = zip(x_axis.place(x).tolist(), (BOX - y_axis.place(y)).tolist(), strict=True)
    return [(_short(px), _short(py)) if math.isfinite(px) and math.isfinite(py) else None for px, py in places]


def _line(x_axis: Axis, y_axis: Axis, x: Floats, y: Floats) -> str:
    parts, is_down = [], False
    for point in _points(x_axis, y_axis, x, y):
        if point is not None:
            parts.append(f"{'L' if is_down else 'M'}{point[0]} {point[1]}")
        is_down = point is not None
    return "".join(parts)


def _band(x_axis: Axis, y_axis: Axis, x: Floats, low: Floats, high: Floats) -> str:
    """The area between two lines, one closed shape for each stretch without a gap."""
    is_there = np.isfinite(low) & np.isfinite(high)
    parts = []
    for stretch in np.split(np.arange(len(x)), np.flatnonzero(np.diff(is_there)) + 1):
        if len(stretch) > 1 and is_there[stretch[0]]:
            there = _line(x_axis, y_axis, x[stretch], high[stretch])
            back = _line(x_axis, y_axis, x[stretch[::-1]], low[stretch[::-1]])
            parts.append(f"{there}L{back[1:]}Z")
    return "".join(parts)


def _dots(x_axis: Axis, y_axis: Axis, x: Floats, y: Floats) -> str:
    """Lines of length zero: their round ends make dots, which stay round although the box is stretched."""
    return "".join(f"M{p[0]} {p[1]}h0" for p in _points(x_axis, y_axis, x, y) if p is not None)


def _bar(x_axis: Axis, y_axis: Axis, low: float, high: float, height: float) -> str:
    left, right = x_axis.place(np.array([low, high])).tolist()
    bottom, top = (BOX - y_axis.place(np.array([0.0, height]))).tolist()
    return f"M{_short(left)} {_short(bottom)}V{_short(top)}H{_short(right)}V{_short(bottom)}Z"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _hover(x_axis: Axis, y_axis: Axis, series: Sequence[Series], names: Sequence[str] = ()) -> str:
    """The JSON from which the page's script shows the values under the pointer."""

    def numbers(values: Floats) -> list[float | None]:
        return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values.tolist()]

    return json.dumps(
        {
            "x": [x_axis.low, x_axis.high],
            "y": [y_axis.low, y_axis.high],
            "names": list(names),
            "series": [{"label": one.short or one.label, "x": numbers(one.x), "y": numbers(one.y)} for one in series],
        },
        separators=(",", ":"),
    )


def _in_words(one: Series) -> str:
    """A line's first, last, lowest and highest value."""
    y = one.y[np.isfinite(one.y)]
    if not len(y):
        return f"{one.label}: nothing"
    ends = f"from {compact(float(y[0]))} to {compact(float(y[-1]))}"
    return f"{one.label}: {ends}, lowest {compact(float(y.min()))}, highest {compact(float(y.max()))}"
