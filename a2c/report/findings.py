"""Groups several runs by environment and setting, compares the groups, and makes their curves."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a2c.errors import UserError
from a2c.report.contest import Contest, Group, contest_of, group_of
from a2c.report.curves import Panel, panels, settings_of
from a2c.report.folders import letter
from a2c.report.lines import Look, Rows
from a2c.run.folder import Run
from a2c.run.policies import BestOrFinal


class Field(NamedTuple):
    """The groups on one environment; or all groups, if a command line names them."""

    env_ids: Sequence[str]
    contest: Contest
    all_groups: Sequence[Group]
    """Including those without a score."""


class Findings(NamedTuple):
    """The data of a report of several runs."""

    which: BestOrFinal
    fields: Sequence[Field]
    panels: Mapping[str, tuple[Panel, Panel | None]]
    """Curves over steps and over seconds, by environment."""
    warnings: Sequence[str]


def findings_of(groups: Mapping[str, Sequence[Run]], which: BestOrFinal) -> Findings:
    """Compares groups of runs: the named groups, or else the seeds of each setting, by environment.

    Raises:
        UserError: The named groups are not on the same environments.
    """
    runs = [run for group in groups.values() for run in group]
    env_ids = list(dict.fromkeys(run.config.env_id for run in runs))
    records: dict[Path, Rows] = {}
    for run in runs:
        with contextlib.suppress(UserError):  # `_panels` reads it again and warns.
            records[run.path] = run.metrics()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn = {env_id: _panels(groups, env_id, records) for env_id in env_ids}
    found = []
    if set(groups) == {""}:
        for env_id in env_ids:
            named = [
                group_of(letter(place), label, of_it, which)
                for place, (label, of_it) in enumerate(_by_setting(runs, env_id, drawn[env_id][0]))
            ]
            found.append(Field([env_id], contest_of(named, which), named))
    else:
        labels = _labels(drawn.values())
        named = [group_of(name, labels.get(name, ""), of_it, which) for name, of_it in groups.items()]
        found.append(Field(env_ids, contest_of(named, which), named))
    return Findings(which, found, drawn, list(dict.fromkeys(str(warning.message) for warning in said)))


def _labels(drawn: Iterable[tuple[Panel, Panel | None]]) -> dict[str, str]:
    """What distinguishes the named groups, from the labels of their curves, such as "A, gamma 0.9 (5 seeds)"."""
    found: dict[str, str] = {}
    for panel, _ in drawn:
        for curve in panel.curves:
            name, _, label = curve.label.partition(", ")
            if label:
                found.setdefault(name, _without_seeds(label))
    return found


def _without_seeds(label: str) -> str:
    """A curve's label without the number of its runs, which the report shows in a column of its own."""
    return re.sub(r" ?\(?(\d+ (seeds|runs)|seed \d+)\)?$", "", label)


def _panels(
    groups: Mapping[str, Sequence[Run]], env_id: str, records: Mapping[Path, Rows]
) -> tuple[Panel, Panel | None]:
    """Curves over steps and over seconds; empty if there is nothing to draw."""
    of_it = {name: [run for run in runs if run.config.env_id == env_id] for name, runs in groups.items()}
    of_it = {name: runs for name, runs in of_it.items() if runs}
    try:
        (steps,) = panels(of_it, records=records)
    except UserError as error:
        warnings.warn(str(error), stacklevel=2)
        return Panel(env_id, []), None
    try:
        (seconds,) = panels(of_it, Look("seconds"), records)
    except UserError:
        return steps, None
    return steps, seconds


def _by_setting(runs: Sequence[Run], env_id: str, panel: Panel) -> list[tuple[str, list[Run]]]:
    """The groups of one environment: the runs of each curve, and the runs that have none."""
    found = [(_without_seeds(curve.label), list(curve.runs)) for curve in panel.curves]
    drawn = {run.path for _, group in found for run in group}
    by_setting = {repr(settings_of(group[0].config)): group for _, group in found}
    for run in runs:
        if run.config.env_id == env_id and run.path not in drawn:
            key = repr(settings_of(run.config))
            if key not in by_setting:
                by_setting[key] = []
                found.append(("without a curve", by_setting[key]))
            by_setting[key].append(run)
    return found


def to_json(findings: Findings) -> dict[str, Any]:
    """For `--json`."""
    return {
        "which": findings.which,
        "comparisons": [
            {
                "environments": list(field.env_ids),
                "groups": [
                    {
                        "name": group.name,
                        "label": group.label,
                        "runs": [str(run.path) for run in group.runs],
                        "left_out": [str(run.path) for run in group.left_out],
                        "scores": {env_id: scores.tolist() for env_id, scores in group.scores.items()},
                        "interquartile_mean": {env_id: iqm._asdict() for env_id, iqm in group.iqm.items()},
                    }
                    for group in field.all_groups
                ],
                "leader": None if field.contest.leader is None else field.contest.leader.name,
                "against": [
                    {
                        "name": other.name,
                        "probability_of_improvement": comparison.improvement._asdict(),
                        "chance_of_as_much": field.contest.chance(comparison),
                        "is_better": field.contest.is_sure(comparison),
                    }
                    for other, comparison in field.contest.against
                ],
                "settings": {name: list(values) for name, values in field.contest.settings.items()},
                "verdict": field.contest.verdict(),
            }
            for field in findings.fields
        ],
    }
