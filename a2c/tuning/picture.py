"""A study in one picture: its history, which settings mattered, and the returns of trials over each setting's value."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2c import files
from a2c.errors import UserError
from a2c.report.curves import printable
from a2c.tuning.space import Dimension
from a2c.tuning.study import Asked, Trial, best_of

_COMPLETE, _GIVEN_UP, _DEFAULT, _BEST = "#0072B2", "#999999", "#D55E00", "#009E73"
_SLICES = 4
"""How many settings are drawn with their values: those that mattered most."""


def draw(asked: Asked, trials: Sequence[Trial], mattered: Mapping[str, float], path: Path) -> Path:
    """Draws the picture.

    Args:
        asked: What the study is of.
        trials: Its trials.
        mattered: The importance of each setting, the largest first; empty: unknown.
        path: The file to write; its ending chooses the format.

    Returns:
        The path.

    Raises:
        UserError: It cannot be written.
    """
    try:
        import matplotlib
    except (ImportError, ValueError) as error:  # ValueError: MPLBACKEND names no backend.
        raise UserError(f"Matplotlib cannot be used: {error}") from error
    picture = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # Ignores the user's matplotlibrc, so that pictures look the same everywhere.
        _figure(asked, trials, mattered).savefig(picture, format=path.suffix[1:].lower(), dpi=150)
    files.write_bytes(path, picture.getvalue())
    return path


def _figure(asked: Asked, trials: Sequence[Trial], mattered: Mapping[str, float]) -> Any:
    from matplotlib.figure import Figure

    trials = [one for one in trials if one.state in ("complete", "pruned")]
    shown = [name for name in mattered if any(name in one.settings for one in trials)][:_SLICES]
    figure = Figure(figsize=(10, 7 if shown else 4), layout="constrained")
    upper, *lower = figure.subfigures(2 if shown else 1, 1, squeeze=False).ravel()
    history, bars = upper.subplots(1, 2, width_ratios=(3, 2))
    _draw_history(history, trials)
    _draw_importances(bars, mattered)
    figure.suptitle(printable(f"{asked.config.env_id}: {len(trials)} trials of {asked.num_seeds} seeds each"))
    if lower:
        rows = lower[0].subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, name in zip(rows, shown, strict=True):
            _draw_slice(axes, name, asked, trials)
        rows[0].set_ylabel("return")
    handles, labels = history.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize="small", frameon=False)
    return figure


def _points(trials: Sequence[Trial]) -> list[tuple[Trial, float, dict[str, Any]]]:
    """Each trial with its return, the last one measured if it was pruned, and its marker."""
    best = best_of(trials)
    points = []
    for one in trials:
        value = one.value if one.value is not None else one.looks[-1][1] if one.looks else None
        if value is None or not math.isfinite(value):
            continue
        if one.is_default:
            style: dict[str, Any] = {"color": _DEFAULT, "marker": "D", "s": 50, "zorder": 4}
        elif best is not None and one.number == best.number:
            style = {"color": _BEST, "marker": "*", "s": 130, "zorder": 4}
        elif one.value is None:
            style = {"facecolors": "none", "edgecolors": _GIVEN_UP, "marker": "o", "s": 18}
        else:
            style = {"color": _COMPLETE, "marker": "o", "s": 22}
        points.append((one, value, style))
    return points


def _label(trial: Trial, style: Mapping[str, Any]) -> str:
    if trial.is_default:
        return "as it was"
    return "best" if style.get("color") == _BEST else "given up on the way" if trial.value is None else "to the end"


def _draw_history(axes: Any, trials: Sequence[Trial]) -> None:
    named: set[str] = set()
    for one, value, style in _points(trials):
        label = _label(one, style)
        axes.scatter(one.number, value, label=None if label in named else label, **style)
        named.add(label)
    complete = [(one.number, one.value) for one in trials if one.value is not None]
    if complete:
        best = np.maximum.accumulate([value for _, value in complete])
        numbers = [number for number, _ in complete]
        axes.step(
            [*numbers, trials[-1].number],
            [*best, best[-1]],
            where="post",
            color=_BEST,
            linewidth=1,
            label="best so far",
        )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("trial")
    axes.set_ylabel("return, interquartile mean over seeds")
    axes.set_title("how it went", fontsize="medium")
    axes.grid(alpha=0.3)


def _draw_importances(axes: Any, mattered: Mapping[str, float]) -> None:
    axes.set_title("what mattered", fontsize="medium")
    if not mattered:
        axes.text(0.5, 0.5, "too few trials to tell", ha="center", va="center", color="0.4")
        axes.set_axis_off()
        return
    names = list(mattered)[::-1]
    axes.barh(names, [mattered[name] for name in names], color=_COMPLETE)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel("how much it distinguishes the best quarter")
    axes.grid(alpha=0.3, axis="x")


def _draw_slice(axes: Any, name: str, asked: Asked, trials: Sequence[Trial]) -> None:
    dimensions = [one for one in asked.space.dimensions if one.name == name]
    points = [point for point in _points(trials) if name in point[0].settings]
    choices = list(dict.fromkeys(choice for one in dimensions for choice in one.choices))
    for number, (one, value, style) in enumerate(points):
        place = one.settings[name]
        if choices:
            if place not in choices:
                continue
            place = choices.index(place) + 0.3 * math.sin(7 * number)  # Scattered, so that points do not overlap.
        axes.scatter(place, value, **style)
    if choices:
        axes.set_xlim(-0.5, len(choices) - 0.5)
        axes.set_xticks(
            range(len(choices)), [_shown(choice) for choice in choices], rotation=30 if len(choices) > 3 else 0
        )
    else:
        _scale(axes, dimensions[0])
    axes.set_title(name, fontsize="medium")
    axes.grid(alpha=0.3)


def _scale(axes: Any, dimension: Dimension) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    match dimension.scale:
        case "log":
            axes.set_xscale("log")
            powers = range(math.floor(math.log10(dimension.low)), math.ceil(math.log10(dimension.high)) + 1)
            steps = (1, 3) if len(powers) <= 4 else (1,)
            ticks = [float(f"{step}e{power}") for power in powers for step in steps]
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        case "doubling":
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        case "complement":
            axes.set_xscale(
                "function", functions=(lambda x: -np.log10(np.maximum(1 - x, 1e-12)), lambda y: 1 - 10.0**-y)
            )
            is_wide = (1 - dimension.low) / (1 - dimension.high) > 100
            places = (0.5, 0.9, 0.99, 0.999, 0.9999) if is_wide else (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
            ticks = [one for one in places if dimension.low <= one <= dimension.high]
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _shown(choice: Any) -> str:
    match choice:
        case bool():
            return "on" if choice else "off"
        case None:
            return "none"
        case tuple():
            return "-".join(map(str, choice)) or "none"
        case float():
            return f"{choice:g}"
        case _:
            return printable(str(choice), 12)
