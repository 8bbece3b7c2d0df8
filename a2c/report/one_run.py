"""The report of one run: its scores and how sure they are, its curves, and how to repeat it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.report import charts
from a2c.report.charts import Chart, Series
from a2c.report.document import Page, Section, Share, Table, Tile, shortened
from a2c.report.facts import Evaluated, Facts, OfAction, OfCritic
from a2c.report.lines import Line, Look, line_of

_MOST_VIDEO_BYTES = 12_000_000
_KINDS = {"video.gif": (b"GIF8", "image/gif"), "video.mp4": (b"ftyp", "video/mp4")}
"""File names, the bytes that such a file begins with, and its media type."""
_LEARNING = {
    "explained_variance": ("Explained variance", "1: the critic predicts returns exactly; 0: only their mean"),
    "entropy": ("Entropy", "how much the policy still explores, in nats"),
    "value_loss": ("Loss of the critic", "mean squared error"),
    "grad_norm": ("Gradient norm", "before it is clipped"),
}


def page_of(facts: Facts, with_video: bool = True) -> Page:
    """The page of one run."""
    name = f"{shortened(facts.run.config.env_id, 80)}, seed {facts.run.config.seed}"
    sections = [
        _curves(facts),
        _evaluation(facts),
        _video(facts.run.path) if with_video else None,
        _critic(facts.critic, facts) if facts.critic else None,
        _actions(facts.actions),
        _learning(facts),
        _time(facts),
        _settings(facts),
        _repeat(facts),
        _events(facts),
        _machine(facts),
    ]
    return Page(name, _headline(facts), _lead(facts), _tiles(facts), [one for one in sections if one is not None])


def _headline(facts: Facts) -> str:
    env_id = shortened(facts.run.config.env_id, 80)
    if facts.best is not None:
        return f"{env_id}: a return of {shown_returns([facts.best.mean.point])[0]}"
    return f"{env_id}: this run {facts.state.partition(':')[0]}"


def _lead(facts: Facts) -> list[str]:
    """The sentences below the headline, for a reader who does not know a2c."""
    best, env_id = facts.best, shortened(facts.run.config.env_id, 80)
    lines = []
    if best is not None:
        mean, low, high = shown_returns(best.mean)
        lines.append(
            f"After {facts.steps:,} steps of training, this policy ends an episode of {env_id} with a return of {mean} "
            f"on average. A return is the sum of an episode's rewards; more is better."
        )
        lines.append(
            f"It was evaluated on {best.episodes:,} {best.how} episodes that it was neither trained nor chosen on; "
            f"judging by how these differ, its true mean lies between {low} and {high} (95 %).{_solved(facts, best)}"
        )
    else:
        what = "Its evaluations gave no finite return" if facts.was_evaluated else "It was not evaluated at its end"
        lines.append(f"This run {facts.state}. {what}.")
    first = line_of(facts.rows, "episode_return")
    seen = first.middle[np.isfinite(first.middle)]
    if len(seen) > 1:
        begin, end = shown_returns([float(seen[0]), float(seen[-1])])
        lines.append(f"During training, the mean return of episodes went from {begin} to {end}.")
    if not facts.has_ended and best is not None:
        lines.append(f"This run {facts.state}.")
    lines.append(
        f"This is one run, of seed {facts.run.config.seed}. Only several runs show how much seeds differ: train more "
        "seeds, and give a2c report all of their folders."
    )
    return list(dict.fromkeys(lines))


def _solved(facts: Facts, best: Evaluated) -> str:
    if facts.threshold is None:
        return ""
    begin = f" Gymnasium calls this task solved at {facts.threshold:,g}: "
    if best.mean.low >= facts.threshold:
        return f"{begin}it is."
    if best.mean.point >= facts.threshold:
        return f"{begin}it is, but the margin is smaller than the uncertainty of these episodes."
    return f"{begin}it is not."


def _tiles(facts: Facts) -> list[Tile]:
    tiles = []
    for name, one in (("Best policy", facts.best), ("Final policy", facts.final)):
        if one is not None:
            mean, low, high = shown_returns(one.mean)
            tiles.append(Tile(f"{name}, return", mean, f"95 %: {low} to {high}"))
    note = "" if facts.best_steps is None else f"best policy: after {facts.best_steps:,}"
    tiles.append(Tile("Steps", f"{facts.steps:,}", note))
    if facts.train_seconds is not None:
        speed = "" if facts.steps_per_second is None else f"{facts.steps_per_second:,.0f} steps a second"
        tiles.append(Tile("Training took", duration(facts.train_seconds), speed))
    if facts.is_exact is not None:
        texts = ("exact", "the same seed gives the same bits") if facts.is_exact else ("not exact", "see below")
        tiles.append(Tile("Repeatable", *texts))
    return tiles


def duration(seconds: float) -> str:
    """A time as a person says it.

    Example:
        >>> duration(0.61), duration(75), duration(7_300), duration(200_000)
        ('0.61 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, name, smaller, unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size:,} {name} {whole % size // smaller} {unit}"
    return f"{whole} s"


def series_of(label: str, line: Line, look: int, short: str = "") -> Series:
    """A line with its band, if it has one."""
    has_band = not np.array_equal(line.low, line.middle, equal_nan=True)
    low, high = (line.low, line.high) if has_band else (None, None)
    return Series(label, line.x, line.middle, low, high, look, False, short)


def curves_chart(title: str, series: Sequence[Series], look: Look, note: str = "", num_points: int = 1_200) -> Chart:
    """A chart of returns with about `num_points` points in all: the more lines, the fewer points each."""
    most = max(12, min(charts.MOST_POINTS, num_points // max(1, len(series))))
    # Over seconds, the runs have points at different times, so no run measured the points of their mean: no dots.
    has_dots = look.over == "steps" or all(one.low is None for one in series)
    return charts.line_chart(title, series, look.x_label, look.y_label, note, most, has_dots=has_dots)


def _curves(facts: Facts) -> Section | None:
    how = "greedy" if facts.run.config.eval_greedy else "sampled"
    drawn = []
    notes = []
    for look, title in ((Look("steps"), "Over steps"), (Look("seconds"), "Over seconds")):
        try:
            training, evaluation = (line_of(facts.rows, n, look) for n in ("episode_return", "evaluation_return"))
        except UserError as error:
            notes.append(f"No curve over seconds: {error}.")
            continue
        faint = series_of("episodes of training", training, 4)._replace(is_faint=True)
        both = [faint, series_of(f"{how} evaluations", evaluation, 0)]
        there = [one for one in both if np.isfinite(one.y).any()]
        if there:
            drawn.append(curves_chart(title, there, look))
    if not drawn:
        return Section("How it learnt", ["No episode has ended yet and there was no evaluation, so there is no curve."])
    if not any(entry.label.endswith("evaluations") for entry in drawn[0].legend):
        notes.append("There was no evaluation during training.")
    return Section("How it learnt", charts=drawn, notes=notes)


def _evaluation(facts: Facts) -> Section | None:
    there = [(n, one) for n, one in (("best", facts.best), ("final", facts.final)) if one is not None]
    if not there:
        return None
    rows, drawn, notes = [], [], []
    for name, one in there:
        mean, low, high, std, lowest, highest = shown_returns([*one.mean, one.std, one.lowest, one.highest])
        length = "" if one.mean_length is None else f"{one.mean_length:,.1f}"
        rows.append([name, f"{one.episodes:,} {one.how}", mean, f"{low} to {high}", std, lowest, highest, length])
        if one.unfinished:
            notes.append(
                f"{one.unfinished} episodes of the {name} policy were cut off; they count with the return so far."
            )
    is_the_same = facts.best is not None and facts.final is not None and facts.best_steps == facts.steps
    for name, one in there[:1] if is_the_same else there:
        if len(one.returns):
            title = "Returns of the policy, best and final" if is_the_same else f"Returns of the {name} policy"
            drawn.append(charts.histogram(title, *charts.bins(one.returns), "return of an episode", "episodes"))
    if not drawn:
        notes.append("This folder does not hold the returns of single episodes, so there is no histogram of them.")
    head = ["policy", "episodes", "mean return", "95 %", "standard deviation", "lowest", "highest", "steps an episode"]
    text = "The best policy did best in the evaluations during training; the final policy is that of the last step."
    return Section("What the policies do", [text], [Table(head, rows, (2, 3, 4, 5, 6, 7))], drawn, notes=notes)


def _video(folder: Path) -> Section | None:
    for name, (begin, kind) in _KINDS.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size > _MOST_VIDEO_BYTES:
            return Section(
                "An episode",
                notes=[f"{name} is larger than {_MOST_VIDEO_BYTES // 1_000_000} MB; open it in the run's folder."],
            )
        data = path.read_bytes()
        if begin in data[:12]:
            return Section("An episode", video=f"data:{kind};base64,{base64.b64encode(data).decode()}")
    return None


def _critic(critic: OfCritic, facts: Facts) -> Section:
    what = "the signs of the rewards" if critic.rewards == "signs" else "the rewards"
    text = [
        f"At every step, the critic predicts the discounted sum of {what} to come (gamma {critic.gamma:g}). "
        "The charts compare its predictions with what came, in the first episodes of the final policy's evaluation: "
        f"{critic.steps:,} steps."
    ]
    if critic.explained_variance is not None:
        text.append(f"It explains {100 * critic.explained_variance:.1f} % of the variance of what came.")
    if critic.mean_error is not None:
        more = "more" if critic.mean_error > 0 else "less"
        text.append(f"On average it expects {abs(critic.mean_error):.3g} {more} than comes.")
    steps, value, came = critic.episodes[0]
    one = charts.line_chart(
        "One episode",
        [Series("what the critic expects", steps, value), Series("what came", steps, came, look=1)],
        "step of the episode",
        "discounted return",
    )
    expected, came = (np.concatenate([episode[i] for episode in critic.episodes]) for i in (1, 2))
    most = np.unique(np.linspace(0, len(came) - 1, min(len(came), 500)).round().astype(np.int64))
    all_ = charts.scatter(
        f"All {len(critic.episodes)} episodes" if len(critic.episodes) > 1 else "All steps",
        Series("a step", expected[most], came[most]), "what the critic expects", "what came",
    )  # fmt: skip
    notes = [
        "If a time limit ended an episode, the critic's value at its end stands for the rewards after it, as in "
        "training. The critic learnt what sampled actions bring; these are greedy."
    ]
    return Section("What the critic predicts", text, charts=[one, all_], notes=notes)


def _actions(actions: Sequence[OfAction]) -> Section | None:
    drawn = []
    for part in actions:
        title = f"Action {part.name}" if part.name else "Actions"
        share = part.counts / part.counts.sum() * 100
        if part.labels:
            drawn.append(charts.choices(title, part.labels, share, "choice", "per cent of steps", part.note))
        else:
            drawn.append(charts.histogram(title, part.edges, share, "value", "per cent of steps", part.note))
    if not drawn:
        return None
    text = "How often the best policy took each action, in the first episodes of its evaluation."
    return Section("What it does", [text], charts=drawn, is_dense=len(drawn) > 2)


def _learning(facts: Facts) -> Section | None:
    drawn = []
    for name, (title, what) in _LEARNING.items():
        line = line_of(facts.rows, name)
        if np.isfinite(line.middle).any():
            drawn.append(
                charts.line_chart(title, [Series(name, line.x, line.middle)], "steps", what)._replace(legend=[])
            )
    return Section("Inside the training", charts=drawn, is_dense=True) if drawn else None


def _time(facts: Facts) -> Section | None:
    total = sum(facts.seconds.values())
    if not total > 0:
        return None
    shares = [
        Share(name, duration(seconds), f"{100 * seconds / total:.0f} %", 100 * seconds / total)
        for name, seconds in sorted(facts.seconds.items(), key=lambda pair: -pair[1])
    ]
    text = "Updates are the training itself; evaluations run on separate environments."
    return Section("Where the time went", [text], shares=shares)


def _settings(facts: Facts) -> Section:
    rows = [
        [s.name, shortened(s.value, 120), shortened(s.origin, 120), shortened(s.otherwise, 60)] for s in facts.settings
    ]
    tables = [Table(["setting", "value", "who chose it", "would be"], rows)] if rows else []
    if facts.defaults:
        folded = [[s.name, shortened(s.value, 120)] for s in facts.defaults]
        tables.append(Table(["setting", "value"], folded, summary=f"The other {len(folded)} are the defaults"))
    text = (
        "Those that are not the defaults: first what a person chose, then what was fitted to the environment or came "
        "from the preset."
    )
    return Section("Settings", [text], tables=tables)


def _repeat(facts: Facts) -> Section:
    if not facts.command:
        name = shortened(facts.run.config.env_id, 80)
        return Section(
            "Do it again", [f"No command can: the run was trained from Python, on what the callable {name} makes."]
        )
    which = facts.made_with.get("a2c", "")
    same = f"By a2c {which} " if which else ""
    text = (
        f"{same}on the same kind of machine, this gives the same bits:"
        if facts.is_exact
        else "This trains such a run again:"
    )
    return Section("Do it again", [text[0].upper() + text[1:]], commands=[facts.command])


def _events(facts: Facts) -> Section:
    if facts.is_exact is None:
        exactness = "Only the end of a run shows whether it is exact."
    elif facts.is_exact:
        exactness = "The run is exact: the same to the bit as an undisturbed run with these settings."
    else:
        reasons = "; ".join(shortened(reason) for reason in facts.inexact_because[:20])
        why = reasons or "the folder does not say why"
        exactness = f"The run is not exact, the same to the bit as an undisturbed run with these settings: {why}."
    rows = [[shortened(e.time, 30), e.steps, shortened(e.kind, 40), shortened(e.details, 500)] for e in facts.events]
    tables = [Table(["time (UTC)", "steps", "what", "details"], rows, (1,))] if rows else []
    text = [exactness, *([] if rows else ["Nothing unusual happened to it."])]
    notes = [f"Could not be read: {shortened(fault)}" for fault in facts.faults]
    return Section("Exactness and events", text, tables=tables, notes=notes)


def _machine(facts: Facts) -> Section | None:
    rows = [[n, shortened(v, 120)] for n, v in {**facts.machine, **facts.made_with}.items() if n != "machine"]
    return Section("Machine and versions", tables=[Table(["what", "which"], rows)]) if rows else None


def to_json(facts: Facts) -> dict[str, Any]:
    """For `--json`."""
    evaluated = {
        name: None
        if one is None
        else {"mean": one.mean._asdict(), "std": one.std, "episodes": one.episodes, "how": one.how}
        for name, one in (("best", facts.best), ("final", facts.final))
    }
    critic = facts.critic
    return {
        "env_id": facts.run.config.env_id,
        "seed": facts.run.config.seed,
        "state": facts.state,
        "steps": facts.steps,
        **evaluated,
        "train_seconds": facts.train_seconds,
        "seconds": facts.seconds,
        "critic": None
        if critic is None
        else {"explained_variance": critic.explained_variance, "mean_error": critic.mean_error},
        "exact": facts.is_exact,
        "command": facts.command,
        "faults": facts.faults,
    }
