"""Learning curves: groups runs by setting, names what the settings differ in, and joins seeds into one curve."""

from __future__ import annotations

import dataclasses
import functools
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a2c import files
from a2c.config import FREE, Config
from a2c.errors import UserError
from a2c.report.lines import Line, Look, Rows, joined, line_of
from a2c.report.settings import value_in_words
from a2c.run.folder import Run

_NO_SETTING = {
    *(name for name in FREE if name != "total_steps"),
    *("env_id", "seed", "log_every_steps", "eval_every_steps", "final_eval_episodes", "start_from_sha256"),
    "log_info",
}
"""Fields of Config that do not distinguish curves: seed, how often there is a point, where the run was trained."""

_MOST_PARTS = 4
_LONGEST_LABEL, _LONGEST_VALUE = 90, 24
LEFT_OUT = "left out"
"""The value of an environment's argument that only another run gives."""


class NothingToDrawError(UserError):
    """A run has no return yet."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """The runs of one setting, which differ in their seeds."""

    label: str
    """For a legend: how this setting differs from the others of its panel."""
    runs: list[Run]
    look: Look
    trainings: list[Line]
    """Returns of training episodes, of each run."""
    evaluations: list[Line]
    """Returns of evaluations, of each run."""

    @functools.cached_property
    def training(self) -> Line:
        """Returns of training episodes. Computed on demand, because of hundreds of settings few are drawn."""
        return joined(self.trainings, self.look)

    @functools.cached_property
    def evaluation(self) -> Line:
        """Returns of evaluations."""
        return joined(self.evaluations, self.look)

    @property
    def num_runs(self) -> int:
        """How many runs it joins."""
        return len(self.runs)


class Panel(NamedTuple):
    """The curves on one pair of axes: one environment each, since returns of different environments do not compare."""

    title: str
    curves: list[Curve]


def panels(
    groups: Sequence[Run] | Mapping[str, Sequence[Run]],
    look: Look = Look(),  # noqa: B008 - immutable
    records: Mapping[Path, Rows] | None = None,
) -> list[Panel]:
    """The curves of runs, by environment and setting, in the order of the runs.

    A run that is damaged or has nothing to draw yet is left out with a warning, unless it is the only one.

    Args:
        groups: The runs; or groups of them by name, each of which is one curve even if its runs' settings differ.
        look: How they are to be drawn.
        records: Rows of metrics that were already read, by run folder.

    Raises:
        UserError: None of the runs has anything to draw.
    """
    found: list[_Drawable] = []
    faults: list[UserError] = []
    named = groups if isinstance(groups, Mapping) else {"": groups}
    for name, run in ((name, run) for name, runs in named.items() for run in runs):
        try:
            found.append(_drawable(run, name, look, records or {}))
        except UserError as error:
            faults.append(error)
    if faults and not found:
        raise faults[0]
    for fault in faults:
        warnings.warn(f"left out of the picture: {fault}", stacklevel=2)
    environments = _grouped((run.config.env_id, run) for run in found)
    return [_panel(printable(env_id), of_it, look) for env_id, of_it in environments.items()]


def names_of(runs: Sequence[Run]) -> list[str]:
    """A name for each run: environment, settings that differ, seed. Some names may be equal."""
    nothing = line_of([], "", Look())
    found = [_Drawable(run, "", run.config, _origins(run), nothing, nothing) for run in runs]
    parts: dict[str, list[str]] = {}
    for of_one in _grouped((run.config.env_id, run) for run in found).values():
        settings = _grouped((json.dumps(settings_of(run.config), sort_keys=True), run) for run in of_one)
        differences = _differences([group[0] for group in settings.values()])
        parts |= {str(run.run.path): d for g, d in zip(settings.values(), differences, strict=True) for run in g}
    return [", ".join([printable(run.config.env_id), *parts[str(run.path)], f"seed {run.config.seed}"]) for run in runs]


def printable(text: str, longest: int = 60) -> str:
    """Text from a stranger's folder made safe for Matplotlib: one line of ASCII that does not begin with `_`."""
    shown = "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
    return (shown if len(shown) <= longest else f"{shown[: longest - 3]}...").lstrip("_")


class _Drawable(NamedTuple):
    """A run with its lines."""

    run: Run
    group: str
    """The name of its group; "" if groups have no names."""
    config: Config
    origins: Mapping[str, str]
    """Where each setting came from."""
    training: Line
    evaluation: Line


def _drawable(run: Run, group: str, look: Look, records: Mapping[Path, Rows]) -> _Drawable:
    rows = records[run.path] if run.path in records else run.metrics()
    training, evaluation = (line_of(rows, name, look) for name in ("episode_return", "evaluation_return"))
    if not len(training.x) and not len(evaluation.x):
        raise NothingToDrawError(
            f"{run.path} has nothing to draw yet: no episode has ended, and there was no evaluation"
        )
    return _Drawable(run, group, run.config, _origins(run), training, evaluation)


def _origins(run: Run) -> dict[str, str]:
    origins = files.read_json(run.config_path).get("origins")
    return {name: str(origin) for name, origin in origins.items()} if isinstance(origins, dict) else {}


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
            parts = []  # A named group with several settings: none of them describes it.
        if look.over == "steps":
            _warn_of_short_runs(group)
        seeds = _seeds(group, is_needed=len(groups) == 1 or len({run.config.seed for run in runs}) > 1)
        label = printable(", ".join([*([group[0].group] if group[0].group else []), *parts]), _LONGEST_LABEL)
        label = f"{label} ({seeds})" if label and seeds else label or seeds
        trainings, evaluations = [run.training for run in group], [run.evaluation for run in group]
        curves.append(Curve(label, [run.run for run in group], look, trainings, evaluations))
    return Panel(f"{name}, {curves[0].label}" if len(curves) == 1 else name, curves)


def settings_of(config: Config) -> dict[str, Any]:
    """The settings that distinguish curves; arguments of the environment one by one."""
    values = {name: value for name, value in config.to_json().items() if name not in _NO_SETTING}
    return {**{f"env_kwargs {name}": value for name, value in values.pop("env_kwargs").items()}, **values}


def _seeds(group: Sequence[_Drawable], is_needed: bool) -> str:
    seeds = {run.config.seed for run in group}
    if len(group) > 1:
        return f"{len(group)} {'seeds' if len(seeds) == len(group) else 'runs'}"
    return f"seed {seeds.pop()}" if is_needed else ""


def _differences(runs: Sequence[_Drawable]) -> list[list[str]]:
    """The texts that distinguish settings, from one run of each.

    If presets differ, the preset's name stands for all the settings that nobody chose. If very many settings differ,
    only as many are named as it takes to distinguish the runs.
    """
    settings = [settings_of(run.config) for run in runs]
    names = list(dict.fromkeys(name for values in settings for name in values))
    differing = [name for name in names if len({json.dumps(values.get(name, LEFT_OUT)) for values in settings}) > 1]
    presets = [next((o for o in run.origins.values() if o.startswith("preset ")), "no preset") for run in runs]
    parts: list[list[str]] = [[] for _ in runs]
    if len(set(presets)) > 1:
        by_name = {name: [run.origins.get(name.split()[0], "") for run in runs] for name in differing}
        chosen = {name for name, found in by_name.items() if any(origin.startswith("chosen") for origin in found)}
        if len(chosen) < len(differing):  # The rest comes from the presets.
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
    """A few settings that distinguish all runs, each time the one that splits them most; and how many are left out."""
    labels = [tuple(part) for part in parts]
    left = list(parts_of)
    enough: list[str] = []

    def after(name: str) -> list[tuple[str, ...]]:
        return [(*before, part) for before, part in zip(labels, parts_of[name], strict=True)]

    while left and len(set(labels)) < len(labels):
        best = max(left, key=lambda name: len(set(after(name))))
        labels = after(best)
        left.remove(best)
        enough.append(best)
    return [name for name in parts_of if name in enough], len(left)


def _in_words(value: object) -> str:
    return printable(value_in_words(value), _LONGEST_VALUE) or "none"


def _warn_of_short_runs(group: Sequence[_Drawable]) -> None:
    ends = [max([0.0, *run.training.x[-1:], *run.evaluation.x[-1:]]) for run in group]
    for run, end in zip(group, ends, strict=True):
        if end < 0.9 * max(ends):
            warnings.warn(
                f"{run.run.path} ends after {end:,.0f} of {max(ends):,.0f} steps; from there on the curve shows only "
                "the other runs of its setting",
                stacklevel=3,
            )
