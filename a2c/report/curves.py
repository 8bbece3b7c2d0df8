"""Learning curves of runs: which are seeds of one setting, what settings differ in, what their curve is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c import files
from a2c.config import FREE, Config
from a2c.errors import UserError
from a2c.report.statistics import interquartile_means
from a2c.run.folder import Run

_NO_SETTING = {
    *(name for name in FREE if name != "total_steps"),
    *("env_id", "seed", "log_every_steps", "eval_every_steps", "final_eval_episodes", "start_from_sha256"),
}
"""Fields of Config that do not change what a curve is of: seeds, how often it has a point, where it was trained."""

_MOST_PARTS = 4
_LONGEST_LABEL, _LONGEST_VALUE = 90, 24
LEFT_OUT = "left out"
"""Of an argument of the environment that another run gives."""
_MOST_POINTS = 1_000
"""Of a line of several runs."""
LARGEST = 1e150
"""Returns beyond it are from damaged files; axes cannot show them."""


Over = Literal["steps", "seconds"]
"""What curves are over: agent steps, or the seconds that updates took, evaluations and checkpoints apart."""


class Look(NamedTuple):
    """How curves are to be drawn."""

    over: Over = "steps"
    smooth: int = 1
    """Each point is the mean of so many of its run's, itself the last of them."""

    @property
    def x_label(self) -> str:
        """What the axis below says."""
        return "steps" if self.over == "steps" else "seconds of training"

    @property
    def y_label(self) -> str:
        """What the axis at the left says."""
        return "return" if self.smooth == 1 else f"return, mean of the last {self.smooth} points"


class NothingToDrawError(UserError):
    """A run has come to no return yet."""


class Line(NamedTuple):
    """A quantity of one run or of several together; NaN is a gap."""

    x: NDArray[np.float64]
    """[L], increasing: steps, or seconds."""
    middle: NDArray[np.float64]
    """[L], the interquartile mean of the runs."""
    low: NDArray[np.float64]
    """[L], the lower end of its bootstrap interval; of one run the same as middle."""
    high: NDArray[np.float64]
    """[L], the upper end."""


class Curve(NamedTuple):
    """The runs of one setting, which differ in their seeds."""

    label: str
    """What this setting has that the others of its panel have not; for a legend."""
    runs: list[Run]
    training: Line
    """Returns of training episodes."""
    evaluation: Line
    """Returns of evaluations."""

    @property
    def num_runs(self) -> int:
        """How many runs it is of."""
        return len(self.runs)


class Panel(NamedTuple):
    """What belongs on one pair of axes: returns of different environments have nothing in common."""

    title: str
    curves: list[Curve]


def panels(groups: Sequence[Run] | Mapping[str, Sequence[Run]], look: Look = Look()) -> list[Panel]:  # noqa: B008
    """The curves of runs, by environment and setting, in the order in which they are first met.

    A run that is damaged or has nothing to draw yet is left out, with a warning, where there are others.

    Args:
        groups: The runs; or groups of them by name, each of which is one curve, whatever its runs differ in.
        look: How they are to be drawn.

    Raises:
        UserError: None of them has something to draw.
    """
    found: list[_Drawable] = []
    faults: list[UserError] = []
    named = groups if isinstance(groups, Mapping) else {"": groups}
    for name, run in ((name, run) for name, runs in named.items() for run in runs):
        try:
            found.append(_drawable(run, name, look))
        except UserError as error:
            faults.append(error)
    if faults and not found:
        raise faults[0]
    for fault in faults:
        warnings.warn(f"left out of the picture: {fault}", stacklevel=2)
    environments = _grouped((run.config.env_id, run) for run in found)
    return [_panel(printable(env_id), of_it, look) for env_id, of_it in environments.items()]


def printable(text: str, longest: int = 60) -> str:
    """Text from a stranger's folder, as a picture can show it: one line of ASCII that does not begin with `_`."""
    shown = "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
    return (shown if len(shown) <= longest else f"{shown[: longest - 3]}...").lstrip("_")


def joined(lines: Sequence[Line], look: Look = Look()) -> Line:  # noqa: B008 - immutable
    """The interquartile mean of several runs' lines, with its bootstrap interval.

    Runs have points at places of their own: between two of them a run is on the straight line, before its first and
    after its last it is not counted. Over seconds the line is where more than half of the runs are counted.
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
        # Runs begin and end one after another; where few are counted, the line would be that of the fast or the slow.
        ends = np.array([(line.x[0], line.x[-1]) for line in lines if len(line.x)]).reshape(-1, 2)
        is_there = ((ends[:, :1] <= x) & (x <= ends[:, 1:])).sum(0) * 2 > len(ends)
        x, values = x[is_there], values[:, is_there]
    return Line(x, *interquartile_means(values))


class _Drawable(NamedTuple):
    """A run with its lines."""

    run: Run
    group: str
    """The name of what it is in; "" where that is not said."""
    config: Config
    origins: Mapping[str, str]
    """Where each setting came from."""
    training: Line
    evaluation: Line


def _drawable(run: Run, group: str, look: Look) -> _Drawable:
    rows = run.metrics()
    training, evaluation = (line_of(rows, name, look) for name in ("episode_return", "evaluation_return"))
    if not len(training.x) and not len(evaluation.x):
        raise NothingToDrawError(
            f"{run.path} has nothing to draw yet: no episode has ended, and no evaluation was made"
        )
    origins = files.read_json(run.config_path).get("origins")
    strings = {name: str(origin) for name, origin in origins.items()} if isinstance(origins, dict) else {}
    return _Drawable(run, group, run.config, strings, training, evaluation)


def line_of(rows: Sequence[Mapping[str, Any]], name: str, look: Look = Look()) -> Line:  # noqa: B008
    """A metric of one run, from its rows.

    Raises:
        UserError: It is to be over seconds, and the rows do not tell how long updates took.
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


def seconds_at(rows: Sequence[Mapping[str, Any]], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many seconds updates had taken after so many steps: what `train_seconds` of the summary counts.

    Raises:
        UserError: The rows do not tell.
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
    """The mean of each value and those before it, up to so many; a gap is not counted."""
    is_there = ~np.isnan(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(is_there, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(is_there)])
    first = np.maximum(np.arange(len(values)) + 1 - count, 0)
    within = counts[1:] - counts[first]
    return np.where(within > 0, (sums[1:] - sums[first]) / np.maximum(within, 1), np.nan)


def _grouped(pairs: Iterable[tuple[str, _Drawable]]) -> dict[str, list[_Drawable]]:
    groups: dict[str, list[_Drawable]] = {}
    for key, run in pairs:
        groups.setdefault(key, []).append(run)
    return groups


def _panel(name: str, runs: Sequence[_Drawable], look: Look) -> Panel:
    settings = _grouped((run.group or json.dumps(settings_of(run.config), sort_keys=True), run) for run in runs)
    groups = list(settings.values())
    differences = _differences([group[0] for group in groups])
    curves = []
    for group, parts in zip(groups, differences, strict=True):
        if len({json.dumps(settings_of(run.config), sort_keys=True) for run in group}) > 1:
            parts = []  # A group that was named, of several settings: no one of them is its.
        if look.over == "steps":
            _warn_of_short_runs(group)
        seeds = _seeds(group, is_needed=len(groups) == 1 or len({run.config.seed for run in runs}) > 1)
        label = printable(", ".join([*([group[0].group] if group[0].group else []), *parts]), _LONGEST_LABEL)
        label = f"{label} ({seeds})" if label and seeds else label or seeds
        training = joined([run.training for run in group], look)
        evaluation = joined([run.evaluation for run in group], look)
        curves.append(Curve(label, [run.run for run in group], training, evaluation))
    return Panel(f"{name}, {curves[0].label}" if len(curves) == 1 else name, curves)


def settings_of(config: Config) -> dict[str, Any]:
    """What decides a curve; arguments of the environment one by one."""
    values = {name: value for name, value in config.to_json().items() if name not in _NO_SETTING}
    return {**{f"env_kwargs {name}": value for name, value in values.pop("env_kwargs").items()}, **values}


def _seeds(group: Sequence[_Drawable], is_needed: bool) -> str:
    seeds = {run.config.seed for run in group}
    if len(group) > 1:
        return f"{len(group)} {'seeds' if len(seeds) == len(group) else 'runs'}"
    return f"seed {seeds.pop()}" if is_needed else ""


def _differences(runs: Sequence[_Drawable]) -> list[list[str]]:
    """What tells settings apart, in words, for one run of each.

    Where runs were trained with different presets, the preset's name stands for what nobody chose. Of very many
    differences, those are named that are enough.
    """
    settings = [settings_of(run.config) for run in runs]
    names = list(dict.fromkeys(name for values in settings for name in values))
    differing = [name for name in names if len({json.dumps(values.get(name, LEFT_OUT)) for values in settings}) > 1]
    presets = [next((o for o in run.origins.values() if o.startswith("preset ")), "no preset") for run in runs]
    parts: list[list[str]] = [[] for _ in runs]
    if len(set(presets)) > 1:
        by_name = {name: [run.origins.get(name.split()[0], "") for run in runs] for name in differing}
        chosen = {name for name, found in by_name.items() if any(origin.startswith("chosen") for origin in found)}
        if len(chosen) < len(differing):  # The rest is what the presets say.
            parts = [[preset] for preset in presets]
            differing = [name for name in differing if name in chosen]
    parts_of = {name: [f"{name} {_in_words(values.get(name, LEFT_OUT))}" for values in settings] for name in differing}
    if len(differing) > _MOST_PARTS:
        differing, left_out = _enough(parts, parts_of)
        more = [[f"and {left_out} more"] if left_out else [] for _ in runs]
    else:
        more = [[] for _ in runs]
    return [[*parts[i], *(parts_of[name][i] for name in differing), *more[i]] for i in range(len(runs))]


def _enough(parts: Sequence[Sequence[str]], parts_of: Mapping[str, Sequence[str]]) -> tuple[list[str], int]:
    """Few names that tell all runs apart, each time the one that splits them most; and how many are left out."""
    told = [tuple(part) for part in parts]
    left = list(parts_of)
    enough: list[str] = []

    def after(name: str) -> list[tuple[str, ...]]:
        return [(*before, part) for before, part in zip(told, parts_of[name], strict=True)]

    while left and len(set(told)) < len(told):
        best = max(left, key=lambda name: len(set(after(name))))
        told = after(best)
        left.remove(best)
        enough.append(best)
    return [name for name in parts_of if name in enough], len(left)


def _in_words(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case int():
            return f"{value:,}"
        case list():
            return printable("-".join(map(str, value)), _LONGEST_VALUE) or "none"
        case dict():
            return printable(json.dumps(value), _LONGEST_VALUE)
        case None:
            return "none"
        case _:
            return printable(str(value), _LONGEST_VALUE)


def _warn_of_short_runs(group: Sequence[_Drawable]) -> None:
    ends = [max([0.0, *run.training.x[-1:], *run.evaluation.x[-1:]]) for run in group]
    for run, end in zip(group, ends, strict=True):
        if end < 0.9 * max(ends):
            warnings.warn(
                f"{run.run.path} ends after {end:,.0f} of {max(ends):,.0f} steps; from there the line is that of the "
                "others of its setting",
                stacklevel=3,
            )
