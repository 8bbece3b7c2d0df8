"""The report of several runs: the scores of groups, which is ahead and how sure that is, and how settings differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from a2c import files
from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.report import charts
from a2c.report.charts import Chart, Series
from a2c.report.comparison import percent
from a2c.report.contest import Contest, Group, improvements, in_a_sentence
from a2c.report.curves import Panel, printable
from a2c.report.document import Page, Section, Table, Tile, shortened
from a2c.report.facts import number
from a2c.report.findings import Field, Findings
from a2c.report.lines import Look
from a2c.report.one_run import curves_chart, series_of
from a2c.report.settings import command_of, origins_of
from a2c.report.statistics import score_profile
from a2c.run.folder import Run

_MOST_CURVES, _MOST_CHARTED, _MOST_ROWS, _MOST_COMPARED = 8, 8, 300, 40
"""The most curves in a chart, environments with charts, runs in the table, and groups compared with the leader."""
_MOST_POINTS = 2_000
"""In charts of one kind, over all environments: it limits the size of the page."""


def page_of(findings: Findings) -> Page:
    """The page of several runs."""
    sections: list[Section] = []
    charted = list(findings.panels)[:_MOST_CHARTED]
    num_points = _MOST_POINTS // max(2, len(charted))
    for field in findings.fields:
        for env_id in field.env_ids:
            sections.append(_reached(findings, field, env_id, num_points if env_id in charted else 0))
        sections += [one for one in (_compared(field, len(findings.fields) > 1), _settings(field)) if one is not None]
    every = [group for field in findings.fields for group in field.all_groups]
    sections += [_runs(findings, every), _repeat(every), _versions(every)]
    runs = [run for group in every for run in (*group.runs, *group.left_out)]
    env_ids = list(dict.fromkeys(env_id for field in findings.fields for env_id in field.env_ids))
    tiles = [
        Tile("Runs", f"{len(runs):,}", f"{sum(len(group.runs) for group in every):,} with a result"),
        Tile("Groups", f"{len(every):,}", "seeds of one setting each" if len(every) > 1 else "seeds of one setting"),
        Tile("Environments", f"{len(env_ids):,}", shortened(", ".join(env_ids), 60)),
        Tile("What counts", findings.which, "policy, by the evaluation at the end"),
    ]
    headline, lead = _words(findings)
    return Page(f"{', '.join(env_ids[:3])}: {len(runs)} runs", headline, lead, tiles, sections)


def _words(findings: Findings) -> tuple[str, list[str]]:
    """The headline, and the sentences below it, for a reader who does not know a2c."""
    lead = []
    for field in findings.fields[:_MOST_CHARTED]:
        verdict = field.contest.verdict()
        names = shortened(", ".join(field.env_ids), 80)
        if verdict:
            lead.append(verdict if len(findings.fields) == 1 else f"{names}: {verdict}")
            known = [f"{group.name}: {shortened(group.label, 100)}" for group in field.contest.groups if group.label]
            if len(findings.fields) == 1 and 0 < len(known) <= _MOST_CURVES:
                lead.append(f"{'; '.join(known)}.")
        elif field.contest.groups:
            ((env_id, _),) = list(field.contest.groups[0].scores.items())[:1]
            lead.append(f"{shortened(env_id, 80)}: {in_a_sentence(field.contest.groups[0], env_id)}.")
        else:
            lead.append(f"{names}: no run has ended with an evaluation yet, so there is nothing to compare.")
    only = findings.fields[0] if len(findings.fields) == 1 else None
    if only is None:
        headline = f"{sum(len(f.all_groups) for f in findings.fields)} settings on {len(findings.fields)} environments"
    else:
        headline = f"{shortened(', '.join(only.env_ids), 60)}: {_in_short(only.contest)}"
    lead.append(
        "Each run counts with one number, the mean return of the evaluation at its end; a return is the sum of the "
        "rewards of an episode, and more is better. Groups are compared by the interquartile mean (IQM), which leaves "
        "out the lowest and the highest quarter of the runs. Intervals come from resampling the runs (bootstrap)."
    )
    return headline, lead


def _in_short(contest: Contest) -> str:
    """Which is better, without how sure that is."""
    if contest.leader is None:
        if not contest.groups:
            return "no result yet"
        (iqm,) = list(contest.groups[0].iqm.values())[:1]
        return f"a return of {shown_returns([iqm.point])[0]} over {len(contest.groups[0].runs)} runs"
    beaten = [other.name for other, comparison in contest.against if contest.is_sure(comparison)]
    leader = contest.leader
    if len(beaten) == len(contest.against):
        return f"{shortened(leader.title, 100)} is {'better' if len(beaten) == 1 else 'best'}"
    if beaten:
        return f"{leader.name} leads, but is not surely ahead of all"
    return "these runs do not show which is better"


def _reached(findings: Findings, field: Field, env_id: str, num_points: int) -> Section:
    """The scores of each group on an environment, with charts of `num_points` points; without charts if that is 0."""
    there = [group for group in field.all_groups if env_id in group.scores]
    rows = []
    for group in there:
        scores, iqm = group.scores[env_id], group.iqm[env_id]
        point, low, high, worst, best = shown_returns([*iqm, float(scores.min()), float(scores.max())])
        rows.append([group.name, shortened(group.label, 120), f"{len(scores)}", point, f"{low} to {high}", worst, best])
    head = ["group", "what it is", "runs", "IQM", "95 %", "lowest", "highest"]
    notes = [] if all(len(group.scores[env_id]) >= 5 for group in there) else [
        "With fewer than five runs, intervals are too narrow to rely on."
    ]  # fmt: skip
    for group in field.all_groups:
        lacking = [run for run in group.left_out if run.config.env_id == env_id]
        if lacking:
            what = "run without a result is" if len(lacking) == 1 else "runs without a result are"
            notes.append(f"{group.name}: {len(lacking)} {what} left out of the figures; see the list of runs below.")
    drawn: list[Chart] = []
    if num_points:
        shown = _leading(there, env_id)
        drawn = _curves(findings.panels[env_id], field, shown, num_points)
        if there:
            drawn.append(_profile(shown, field, env_id))
        if len(shown) < len(field.all_groups):
            notes.append(f"The charts show {len(shown)} of {len(field.all_groups)} groups, those with the highest IQM.")
    else:
        notes.append("There are too many environments to draw charts for all; make a report of these runs alone.")
    tables = [Table(head, rows, (2, 3, 4, 5, 6))] if rows else []
    return Section(f"What they reach on {shortened(env_id, 80)}", charts=drawn, tables=tables, notes=notes)


def _leading(groups: Sequence[Group], env_id: str) -> list[Group]:
    """The groups with the highest scores, as many as fit a chart, in their original order."""
    best = sorted(groups, key=lambda group: -group.iqm[env_id].point)[:_MOST_CURVES]
    return [group for group in groups if any(group is one for one in best)]


def _curves(both: tuple[Panel, Panel | None], field: Field, shown: Sequence[Group], num_points: int) -> list[Chart]:
    titles = {
        group.name: shortened(f"{group.name}: {group.label}" if group.label else group.name, 60)
        for group in field.all_groups
    }
    names = {run.path: group.name for group in field.all_groups for run in (*group.runs, *group.left_out)}
    looks = {group.name: look for look, group in enumerate(field.all_groups)}
    wanted = {group.name for group in shown}
    drawn = []
    for panel, look, title in ((both[0], Look(), "Over steps"), (both[1], Look("seconds"), "Over seconds")):
        curves = [] if panel is None else panel.curves
        if wanted:
            curves = [curve for curve in curves if names[curve.runs[0].path] in wanted]
        lines: list[Series] = []
        has_evaluations = any(len(line.x) for curve in curves for line in curve.evaluations)
        for curve in curves[:_MOST_CURVES]:
            name = names[curve.runs[0].path]
            line = curve.evaluation if has_evaluations else curve.training
            lines.append(series_of(titles[name], line, looks[name], name))
        if lines:
            what = "evaluations" if has_evaluations else "episodes of training"
            note = f"Interquartile means of {what}, with 95 % intervals if a group has several runs."
            drawn.append(curves_chart(title, lines, look, note, num_points))
    return drawn


def _profile(groups: Sequence[Group], field: Field, env_id: str) -> Chart:
    """The share of runs above each return."""
    every = np.concatenate([group.scores[env_id] for group in groups])
    low, high = float(every.min()), float(every.max())
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    at = np.linspace(low - margin, high + margin, 60)
    if len(every) <= 40:  # The share changes only at the scores: two points at each draw the exact steps.
        at = np.unique([at[0], *every, *np.nextafter(every, -np.inf), at[-1]])
    series = []
    for group in groups:
        share, below, above = (100 * one for one in score_profile(group.scores[env_id], at))
        look = next(i for i, one in enumerate(field.all_groups) if one is group)
        series.append(Series(group.name, at, share, below, above, look))
    note = "The share of a group's runs that end above a return. A higher curve is better."
    return charts.line_chart("Score profile", series, "return at the end", "per cent of runs above", note)._replace(
        dots=[]
    )


def _compared(field: Field, has_verdict: bool) -> Section | None:
    contest = field.contest
    if contest.leader is None:
        return None
    text = [contest.verdict()] if has_verdict else []
    rows = []
    for other, comparison in contest.against:
        point, low, high = (f"{value:.2f}" for value in comparison.improvement)
        chance = contest.chance(comparison)
        verdict = "better" if contest.is_sure(comparison) else "not surely better"
        rows.append([f"{contest.leader.name} and {other.name}", point, f"{low} to {high}", percent(chance), verdict])
    head = ["groups", "probability that the first is above", "95 %", "chance alone", "the first is"]
    tables = [Table(head, rows[:_MOST_COMPARED], (1, 2, 3))]
    if 2 < len(contest.groups) <= 12:
        for env_id in field.env_ids:
            values = improvements(contest.groups, env_id)
            table = [
                [group.name, *("" if i == j else f"{value:.2f}" for j, value in enumerate(row))]
                for i, (group, row) in enumerate(zip(contest.groups, values, strict=True))
            ]
            names = ["is above", *(group.name for group in contest.groups)]
            title = f"Probability that a run of the row ends above a run of the column, on {shortened(env_id, 60)}"
            tables.append(Table(names, table, range(1, len(names)), title))
    notes = ["Chance alone: how often the groups are as far apart if the runs are dealt to them at random."]
    if contest.num_pairs > 1:
        notes.append(f"It is multiplied by {contest.num_pairs}, the number of pairs of groups (Bonferroni).")
    title = "Which is better" if len(field.env_ids) > 1 else f"Which is better on {shortened(field.env_ids[0], 80)}"
    return Section(title, text, tables=tables, notes=notes)


def _settings(field: Field) -> Section | None:
    contest = field.contest
    if contest.leader is None:
        return None
    names = [group.name for group in contest.groups[:_MOST_CURVES]]
    rows = [
        [printable(name), *(shortened(value, 80) for value in values[: len(names)])]
        for name, values in contest.settings.items()
    ]
    if not rows:
        return Section("What they differ in", ["All settings that affect results are the same."])
    return Section("What they differ in", tables=[Table(["setting", *names], rows)])


def _runs(findings: Findings, groups: Sequence[Group]) -> Section:
    """A table of every run and its scores."""
    every = [(group, run) for group in groups for run in (*group.runs, *group.left_out)]
    total, some = len(every), every[:_MOST_ROWS]
    has_many_envs = len({run.config.env_id for _, run in every}) > 1
    reached = [_of_a_run(run) for _, run in some]
    means = shown_returns([mean for one in reached for mean in one.means])
    rows = []
    for (group, run), one, final, best in zip(some, reached, means[::2], means[1::2], strict=True):
        env_id = [shortened(run.config.env_id, 40)] if has_many_envs else []
        final, best = ("none" if mean is None else text for mean, text in zip(one.means, (final, best), strict=True))
        rows.append([group.name, *env_id, str(run.config.seed), final, best, one.steps, one.exact, run.path.name[:60]])
    env = ["environment"] if has_many_envs else []
    head = ["group", *env, "seed", "final policy", "best policy", "steps", "exact", "folder"]
    first = 1 + len(env)
    notes = [f"The first {_MOST_ROWS} of {total:,}."] if total > _MOST_ROWS else []
    notes += [shortened(warning) for warning in findings.warnings[:20]]
    folded = f"All {total:,} runs" if total > 20 else ""
    return Section("The runs", tables=[Table(head, rows, range(first, first + 4), folded)], notes=notes)


class Reached(NamedTuple):
    """How a run ended, from its summary."""

    means: tuple[float | None, float | None]
    """Mean returns of the final policy and the best."""
    steps: str
    exact: str


def _of_a_run(run: Run) -> Reached:
    """A run's scores, and how many steps it took."""
    try:
        summary = run.summary
    except UserError:
        return Reached((None, None), "not ended", "")
    final, best = (
        number(evaluation.get("mean")) if isinstance(evaluation := summary.get(name), dict) else None
        for name in ("final_evaluation", "evaluation")
    )
    steps = summary.get("steps")
    stopped = " (stopped)" if summary.get("stopped_by") is not None else ""
    exact = "yes" if summary.get("exact") is True else "no" if summary.get("exact") is False else ""
    return Reached((final, best), f"{steps:,}{stopped}" if isinstance(steps, int) else "", exact)


def _repeat(groups: Sequence[Group]) -> Section:
    """The commands that repeat the runs, one for each setting."""
    found: dict[str, list[int]] = {}
    for group in groups:
        for run in (*group.runs, *group.left_out):
            command = "" if run.is_callable else command_of(run.config, _origins(run), has_seed=False)
            found.setdefault(command, []).append(run.config.seed)
    commands = [f"{command}{_seeds(seeds)}" for command, seeds in found.items() if command]
    notes = ["Runs on an environment made by a callable can only be repeated from Python."] if "" in found else []
    if len(commands) > _MOST_CURVES:
        notes.append(f"The first {_MOST_CURVES} of {len(commands)}.")
    return Section("Do it again", commands=commands[:_MOST_CURVES], notes=notes)


def _origins(run: Run) -> dict[str, str]:
    try:
        return origins_of(files.read_json(run.config_path))
    except UserError:
        return {}


def _seeds(seeds: Sequence[int]) -> str:
    """The flags that name these seeds."""
    there = sorted(set(seeds))
    if there == list(range(there[0], there[0] + len(there))) and len(there) > 1:
        return f" --seed {there[0]} --seeds {len(there)}"
    if len(there) == 1:
        return f" --seed {there[0]}"
    return f" --seed {there[0]}   # and {shortened(', '.join(map(str, there[1:])), 100)}"


def _versions(groups: Sequence[Group]) -> Section:
    """The versions that runs were made with, and which of them differ between runs."""
    found: dict[str, dict[str, int]] = {}
    for group in groups:
        for run in (*group.runs, *group.left_out):
            try:
                values = files.read_json(run.config_path).get("versions")
            except UserError:
                continue
            for name, version in (values if isinstance(values, dict) else {}).items():
                if version is not None:
                    of_it = found.setdefault(str(name), {})
                    of_it[str(version)] = of_it.get(str(version), 0) + 1
    rows = [
        [shortened(name, 40), ", ".join(f"{v} ({n})" if len(of_it) > 1 else v for v, n in list(of_it.items())[:8])]
        for name, of_it in list(found.items())[:40]
    ]
    differ = [row[0] for row in rows if len(found.get(row[0], {})) > 1]
    text = f"Not the same for all: {', '.join(differ)}." if differ else "The same for all runs."
    return Section(
        "Machine and versions", [text] if rows else [], tables=[Table(["what", "which"], rows)] if rows else []
    )
