"""Draws docs/results.md's tables and curves from the committed results.

python -m benchmarks.learning_page
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from a2c.report.statistics import estimate_of_iqm, interquartile_mean
from benchmarks import defaults, yardstick
from benchmarks.learning import CASES, finished
from benchmarks.markers import filled
from benchmarks.published import PUBLISHED, Figure
from benchmarks.tuning.kept import finished as tuning_runs
from benchmarks.tuning.kept import of_trial, while_drifting
from benchmarks.tuning.studies import STUDIES

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "results.md"

SOLVED = 475
"""CartPole-v1: what five evaluations in a row have to reach."""


def iqm(values: Sequence[float] | np.ndarray) -> Any:
    """The interquartile mean over runs, [n, ...] -> [...]."""
    return interquartile_mean(np.moveaxis(np.asarray(values, np.float64), 0, -1))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the interquartile mean over seeds."""
    _, low, high = estimate_of_iqm(np.array(values), np.random.default_rng(0))
    return low, high


def shown(value: float, size: float) -> str:
    """A return with the digits that returns of a size deserve."""
    return f"{value:,.{0 if size >= 1000 else 1 if size >= 10 else 2}f}"


def with_interval(values: list[float]) -> str:
    size = max(map(abs, values))
    low, high = interval(values)
    return f"{shown(float(iqm(values)), size)} ({shown(low, size)} to {shown(high, size)})"


def with_spread(values: list[float]) -> str:
    size = max(map(abs, values))
    spread = f" ± {shown(statistics.stdev(values), size)}" if len(values) > 1 else ""
    return f"{shown(statistics.mean(values), size)}{spread}"


def published(figure: Figure | None) -> str:
    if figure is None:
        return ""
    size = abs(figure.mean)
    spread = "" if figure.spread is None else f" ± {shown(figure.spread, size)}"
    return f"{shown(figure.mean, size)}{spread} ({figure.of})"


def title(name: str) -> str:
    """The environment of a case, and what is not its preset's."""
    case = CASES[name]
    steps_and_evaluations = ("total_steps", "eval_every_steps", "eval_episodes")
    extra = (f"{setting} {value}" for setting, value in case.settings.items() if setting not in steps_and_evaluations)
    return ", ".join([case.env, *extra])


def summary() -> str:
    """For the README: what the final policies reach, beside the best that others published."""
    lines = ["| environment | steps | seeds | final policy, IQM (95 %) | best published |", "|---|---|---|---|---|"]
    for name in PUBLISHED:
        if runs := finished(name):
            finals = [run["final_evaluation"]["mean"] for run in runs]
            lines.append(
                f"| {title(name)} | {runs[0]['steps']:,} | {len(runs)} | **{with_interval(finals)}** "
                f"| {published(PUBLISHED[name].best)} |"
            )
    return "\n".join(lines)


def whole() -> str:
    """Every case, final and best policy, and what others published."""
    lines = [
        "| environment | steps | seeds | final policy, IQM (95 %) | mean ± std over seeds, lowest "
        "| best policy, IQM (95 %) | best published | published A2C | one run | a run takes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of in PUBLISHED.items():
        if not (runs := finished(name)):
            continue
        finals, bests = ([run[key]["mean"] for run in runs] for key in ("final_evaluation", "evaluation"))
        lowest = shown(min(finals), max(map(abs, finals)))
        seconds = statistics.median(run["whole_seconds"] for run in runs)
        lines.append(
            f"| {title(name)} | {runs[0]['steps']:,} | {len(runs)} | **{with_interval(finals)}** "
            f"| {with_spread(finals)}, {lowest} | {with_interval(bests)} | {published(of.best)} | {published(of.a2c)} "
            f"| {published(of.record)} | {seconds:.0f} s |"
        )
    return "\n".join(lines)


def below() -> str:
    """How many rows reach what others published; which stay below, and by how much."""
    finals = {name: [run["final_evaluation"]["mean"] for run in finished(name)] for name in PUBLISHED}
    reached = {name: float(iqm(values)) for name, values in finals.items() if values}

    def short_of(marks: dict[str, Figure]) -> list[str]:
        return [
            f"{name} ({shown(reached[name], abs(mark.mean))} of {shown(mark.mean, abs(mark.mean))})"
            for name, mark in marks.items()
            if name in reached and reached[name] < mark.mean
        ]

    of_best = short_of({name: of.best for name, of in PUBLISHED.items()})
    of_a2c = short_of({name: of.a2c for name, of in PUBLISHED.items() if of.a2c is not None})
    lines = [
        f"{len(reached) - len(of_best)} of {len(reached)} rows reach the best published figure; "
        f"below it: {', '.join(of_best) or 'none'}. Below the best published A2C: {', '.join(of_a2c) or 'none'}."
    ]
    if empty := [name for name in PUBLISHED if name not in reached]:
        lines.append(f"Without results yet: {', '.join(empty)}.")
    return "\n".join(lines)


def first_of_five(curve: dict[str, list[float]]) -> float | None:
    """Steps at the first of five evaluations in a row that reach `SOLVED`; None: there are none."""
    in_a_row = 0
    for index, value in enumerate(curve["return"]):
        in_a_row = in_a_row + 1 if value >= SOLVED else 0
        if in_a_row == 5:
            return curve["steps"][index - 4]
    return None


def solved() -> str:
    """How soon CartPole-v1 is solved, and for good."""
    found = [first_of_five(run["curve"]) for run in finished("CartPole-v1")]
    steps = sorted(value for value in found if value is not None)
    if not steps:
        return "CartPole-v1 has no results yet."
    never = "" if len(steps) == len(found) else f"; {len(found) - len(steps)} had no such five"
    return (
        f"CartPole-v1 is evaluated every 2,048 steps here, on 100 episodes: the first of five evaluations in a row of "
        f"at least {SOLVED} came after {statistics.median(steps):,.0f} steps in the median of {len(found)} seeds "
        f"({steps[0]:,} to {steps[-1]:,}{never})."
    )


def tutorial() -> str:
    """The tutorial's own settings."""
    lines = ["| seed | best policy | final policy |", "|---|---|---|"]
    for run in finished("tutorial"):
        best, final = (f"{run[key]['mean']:.1f} ± {run[key]['std']:.1f}" for key in ("evaluation", "final_evaluation"))
        lines.append(f"| {run['seed']} | {best} | {final} |")
    return "\n".join(lines)


def tried() -> str:
    """What was tried on tuning seeds, best first; and what it reached while networks drifted with the statistics."""
    lines = [
        "| environment | settings | mean | each seed | drifting | each seed |",
        "|---|---|---|---|---|---|",
    ]
    for env, trials in STUDIES.items():
        runs = tuning_runs(env)
        found = [
            (trial.name, *([run["final"] for run in of(runs, trial)] for of in (of_trial, while_drifting)))
            for trial in trials
        ]
        found = [one for one in found if one[1] or one[2]]
        for name, *both in sorted(found, key=lambda one: [-statistics.mean(way) if way else 1e9 for way in one[1:]]):
            cells = []
            for finals in both:
                size = max(map(abs, finals), default=0)
                cells += [
                    shown(statistics.mean(finals), size) if finals else "",
                    ", ".join(shown(value, size) for value in finals),
                ]
            lines.append(f"| {env} | {name} | {' | '.join(cells)} |")
            env = ""
    return "\n".join(lines)


def measured() -> str:
    """What other libraries reach here, on the same environments at the same steps, beside ours."""
    cases = yardstick.finished()
    names = {"trpo": "TRPO, sb3-contrib", "ppo": "PPO, Stable-Baselines3", "a2c": "A2C, Stable-Baselines3"}
    lines = [
        f"| environment | steps | ours | {' | '.join(names.values())} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for env in yardstick.ENVS:
        found = {algorithm: cases.get(f"{algorithm}-{env}", []) for algorithm in names}
        if not any(found.values()):
            continue
        ours = [run["final_evaluation"]["mean"] for run in finished(env)]
        cells = [_of_seeds([run["final"] for run in runs]) for runs in found.values()]
        lines.append(f"| {env} | {yardstick.steps(env):,} | {_of_seeds(ours)} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else "None of these runs has been made yet."


def _of_seeds(values: list[float]) -> str:
    """Mean, spread and number of seeds."""
    return f"{with_spread(values)} ({len(values)} seed{'s' if len(values) > 1 else ''})" if values else ""


def unchosen() -> str:
    """Our defaults beside those of Stable-Baselines3's PPO."""
    lines = [
        "| environment | random actions | PPO's defaults | our defaults | gain, ours / PPO's |",
        "|---|---|---|---|---|",
    ]
    for env, runs in defaults.finished().items():
        learners = (defaults.RANDOM, defaults.THEIRS, defaults.OURS)
        if any(len(runs.get(learner, [])) < len(defaults.SEEDS) for learner in learners):
            continue
        cells = [with_spread([run["final"] for run in runs[learner]]) for learner in learners]
        part = defaults.gained(runs)
        lines.append(f"| {env.rpartition(':')[2]} | {' | '.join(cells)} | {'' if part is None else f'{part:.2f}'} |")
    return "\n".join(lines)


# -- curves --


def draw(over: str) -> Picture:
    """Small multiples: interquartile mean of greedy evaluations and its interval, over steps or seconds."""
    names = [name for name in PUBLISHED if finished(name)]
    columns = 4
    rows = -(-len(names) // columns)
    picture, places = plt.subplots(
        rows, columns, figsize=(3.2 * columns, 2.4 * rows), layout="constrained", squeeze=False
    )
    for place, name in zip(places.flat, names, strict=False):
        _curve(place, name, over)
    for place in list(places.flat)[len(names) :]:
        place.axis("off")
    picture.supxlabel("steps" if over == "steps" else "seconds of training, on one core")
    picture.supylabel("return, greedy")
    return picture


def _curve(place: Axes, name: str, over: str) -> None:
    curves = [run["curve"] for run in finished(name)]
    length = min(len(curve["return"]) for curve in curves)
    returns = np.array([curve["return"][:length] for curve in curves])
    along = np.median([curve[over][:length] for curve in curves], 0)
    bounds = np.array([interval(column.tolist()) for column in returns.T])
    place.fill_between(along, bounds[:, 0], bounds[:, 1], alpha=0.25, linewidth=0)
    place.plot(along, iqm(returns), linewidth=1.2)
    place.axhline(PUBLISHED[name].best.mean, color="0.4", linewidth=0.8, linestyle="--")
    place.set_title(name, fontsize=9)
    place.tick_params(labelsize=7)
    place.ticklabel_format(axis="x", style="sci", scilimits=(-2, 4))
    place.xaxis.get_offset_text().set_fontsize(7)


TABLES = {
    "whole": whole,
    "below": below,
    "solved": solved,
    "measured": measured,
    "unchosen": unchosen,
    "tutorial": tutorial,
    "tried": tried,
}


def with_tables(page: str) -> str:
    """The page with every table as the results have it."""
    return filled(page, TABLES, PAGE)


def main() -> None:
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for over in ("steps", "seconds"):
        picture = draw(over)
        picture.savefig(DOCS / f"learning_{over}.png", dpi=90)
        plt.close(picture)


if __name__ == "__main__":
    main()
