"""docs/ladder.md's tables and figures, from the committed results."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from a2c.report.statistics import (
    RESAMPLES,
    Estimate,
    estimate_of_improvement,
    estimate_of_iqm,
    interquartile_means,
    resamples,
)
from benchmarks.markers import filled
from studies.gradients import ESTIMATORS, LAYOUTS, SHORT
from studies.rungs import RUNGS, Rung
from studies.runs import DQN_SETTINGS, SEEDS, TASKS, Run, areas_of_rates, chosen_rate, finished

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "ladder.md"

IN_A_ROW = 3
"""Evaluations that have to reach what solves a task."""

LOOKED_AT = ("CartPole-v1", "Acrobot-v1")
"""Tasks whose gradients are measured."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)))
"""Okabe and Ito's colours without the yellow, each with its own dashes: no line needs its colour to be told apart."""

NUMBERS = "Numbers"
"""What `digest` is called in a picture's file."""

STYLE: dict[str, Any] = {
    "font.size": 12, "axes.titlesize": 13, "axes.spines.top": False, "axes.spines.right": False,
    "figure.facecolor": "white", "savefig.facecolor": "white",
}  # fmt: skip
"""For pictures 5 inches wide, so that letters are as large on a telephone as those beside them."""

Scores = NDArray[np.float64]
Key = TypeVar("Key")


# -- what runs come to --


def steps_to_solve(run: Run, solved: float) -> float:
    """Steps at the first of `IN_A_ROW` evaluations in a row that reach a return; infinity where there are none."""
    in_a_row = 0
    for index, value in enumerate(run["return"]):
        in_a_row = in_a_row + 1 if value >= solved else 0
        if in_a_row == IN_A_ROW:
            return float(run["steps"][index - IN_A_ROW + 1])
    return math.inf


def estimate_of_median(values: Scores) -> Estimate:
    """The median of runs, some of which may be infinite, with its bootstrap interval."""
    drawn = np.sort(values[resamples(len(values), RESAMPLES, np.random.default_rng(0))], axis=1)
    middle = drawn[:, (len(values) - 1) // 2]  # The lower one of two: between a number and infinity lies nothing.
    low, high = np.sort(middle)[[int(0.025 * RESAMPLES), int(0.975 * RESAMPLES) - 1]]
    return Estimate(float(np.sort(values)[(len(values) - 1) // 2]), float(low), float(high))


def iqm(values: Scores) -> Estimate:
    """The interquartile mean of runs, with its bootstrap interval."""
    return estimate_of_iqm(values, np.random.default_rng(0))


def runs_of(task: str, name: str) -> list[Run]:
    """A contestant's runs, at the rate that was chosen."""
    return [run for run in finished(task) if run["name"] == name and run["seed"] in SEEDS]


def curves(rung: Rung, task: str) -> dict[str, list[Run]]:
    """Runs by contestant, of those that were measured."""
    found = {one.name: runs_of(task, one.name) for one in rung.contestants}
    if task == "CartPole-v1-50k":
        found |= {f"DQN, {settings}": runs_of("DQN", f"DQN, {settings}") for settings in DQN_SETTINGS}
    return {name: runs for name, runs in found.items() if runs}


def areas(runs: Sequence[Run]) -> Scores:
    """The mean of each run's evaluations."""
    return np.array([np.mean(run["return"]) for run in runs])


# -- tables --


def shown(value: float, size: float) -> str:
    """A number with the digits that numbers of a size deserve: three that say something."""
    if math.isinf(value):
        return "never"
    digits = max(0, 2 - math.floor(math.log10(size))) if 0 < size < math.inf else 0
    return f"{value:,.{digits}f}"


def with_interval(estimate: Estimate) -> str:
    point, low, high = (shown(value, abs(estimate.point)) for value in estimate)
    return f"{point} ({low} to {high})"


def of_rung(rung: Rung) -> str:
    """What every contestant came to, task by task; the last column compares areas with the first contestant's."""
    lines = [
        "| task | contestant | step | solved | steps to solve, median | mean of all evaluations, IQM "
        f"| last evaluation, IQM | better than {rung.contestants[0].name} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in rung.tasks:
        first = areas(runs_of(task, rung.contestants[0].name))
        label = f"{TASKS[task].env}, {TASKS[task].steps:,} steps"
        for name, runs in curves(rung, task).items():
            solving = np.array([steps_to_solve(run, TASKS[task].solved) for run in runs])
            last = np.array([run["return"][-1] for run in runs])
            better = estimate_of_improvement([(areas(runs), first)], np.random.default_rng(0))
            lines.append(
                f"| {label} | {name} | {runs[0].get('rate', '')} | {np.isfinite(solving).sum()} of {len(runs)} "
                f"| {with_interval(estimate_of_median(solving))} | {with_interval(iqm(areas(runs)))} "
                f"| {with_interval(iqm(last))} "
                f"| {'' if name == rung.contestants[0].name else '{:.2f} ({:.2f} to {:.2f})'.format(*better)} |"
            )
            label = ""
    return "\n".join(lines)


def of_seconds() -> str:
    """What the runs of the last rung cost, in seconds of the processor."""
    task = "CartPole-v1-50k"
    lines = ["| contestant | seconds of the processor for 50,000 steps, IQM | until solved, median |", "|---|---|---|"]
    for name, runs in curves(RUNGS["replay"], task).items():
        spent = np.array([seconds(run, task) for run in runs])
        solving = np.array([steps_to_solve(run, TASKS[task].solved) / TASKS[task].steps for run in runs]) * spent
        lines.append(f"| {name} | {with_interval(iqm(spent))} | {with_interval(estimate_of_median(solving))} |")
    return "\n".join(lines)


def seconds(run: Run, task: str) -> float:
    """What a run took of the processor: DQN its training; ours the whole call, run folder included."""
    if "train_seconds" in run:
        return float(run["train_seconds"])
    timed = {(one["name"], one["seed"]): one["processor_seconds"] for one in finished(f"seconds-{task}")}
    return float(timed[run["name"], run["seed"]])


def of_gradients(task: str) -> str:
    """Variance beside REINFORCE's, and the angle to the gradient of REINFORCE with a baseline."""
    runs = finished(f"gradients-{task}")
    steps = [point["steps"] for point in runs[0]["points"]]
    lines = [
        "| estimator | " + " | ".join(f"after {number:,} steps" for number in steps) + " |",
        "|---|" + "---|" * len(steps),
    ]
    for name in ESTIMATORS:
        cells = []
        for index in range(len(steps)):
            points = [run["points"][index]["estimators"] for run in runs]
            ratio = iqm(np.array([point[name]["variance"] / point[ESTIMATORS[0]]["variance"] for point in points]))
            angle = iqm(np.array([point[name]["cosine"] for point in points]))
            cells.append(f"{with_interval(ratio)}; {'{:.2f} ({:.2f} to {:.2f})'.format(*angle)}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def of_batches(task: str) -> str:
    """How many independent steps a batch of `SHORT` is worth: to its gradient, and to the mean of what was seen."""
    runs = finished(f"gradients-{task}")
    steps = [point["steps"] for point in runs[0]["points"]]
    lines = [
        "| batch | of | " + " | ".join(f"after {number:,} steps" for number in steps) + " |",
        "|---|---|" + "---|" * len(steps),
    ]
    for kind, label in (("inflation", "its gradient"), ("seen", "what it sees")):
        for layout in LAYOUTS:
            cells = [with_interval(iqm(worth(runs, index, kind, layout))) for index in range(len(steps))]
            lines.append(f"| {layout} x {SHORT // layout} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def worth(runs: Sequence[Run], index: int, kind: str, layout: int) -> Scores:
    """Independent steps that a batch is worth, of each run at one of its points."""
    return np.array([SHORT / run["points"][index][kind][str(layout)] for run in runs])


def of_rates() -> str:
    """Which rates were tried, and what came of each: the mean area under the curve of training episodes."""
    lines = ["| task | contestant | setting | chosen | tried: mean training return |", "|---|---|---|---|---|"]
    for task in TASKS:
        those = {one.name: one for rung in RUNGS.values() if task in rung.tasks for one in rung.contestants}
        label = task
        for one in those.values():
            found = areas_of_rates(one, task)
            tried = ", ".join(f"{rate:g}: {mean_of(found[rate])}" for rate in one.rates)
            lines.append(f"| {label} | {one.name} | {one.rate_name} | {chosen_rate(one, task):g} | {tried} |")
            label = ""
    return "\n".join(lines)


def mean_of(found: Sequence[float | None]) -> str:
    known = [value for value in found if value is not None]
    return f"{np.mean(known):,.1f}" if len(known) == len(found) else "diverged"


TABLES: dict[str, Callable[[], str]] = {
    **{name: functools.partial(of_rung, rung) for name, rung in RUNGS.items()},
    **{f"gradients {task}": functools.partial(of_gradients, task) for task in LOOKED_AT},
    **{f"batches {task}": functools.partial(of_batches, task) for task in LOOKED_AT},
    "seconds": of_seconds,
    "rates": of_rates,
}


def with_tables(page: str) -> str:
    """The page with every table as the results have it."""
    return filled(page, TABLES, PAGE)


# -- figures --


def figure_of(rung: Rung) -> Figure:
    """Learning curves, a panel for each task below the other; the last rung's over seconds, too."""
    over = ["steps"] * len(rung.tasks) + (["seconds"] if rung is RUNGS["replay"] else [])
    tasks = [*rung.tasks, *(["CartPole-v1-50k"] if rung is RUNGS["replay"] else [])]
    contestants = {task: curves(rung, task) for task in tasks}
    figure, places = _panels(len(tasks), len(contestants[tasks[0]]))
    for place, task, kind in zip(places, tasks, over, strict=True):
        for look, (name, runs) in enumerate(contestants[task].items()):
            x = np.array(runs[0]["steps"], np.float64)
            if kind == "seconds":
                x = x / x[-1] * np.median([seconds(run, task) for run in runs])
            _curve(place, x, np.array([run["return"] for run in runs]), name, look)
        place.axhline(TASKS[task].solved, color="0.5", linewidth=1)
        place.set_title(TASKS[task].env)
        place.set_ylabel("return, greedy")
        place.set_xlabel("seconds of the processor" if kind == "seconds" else "steps")
        if kind == "seconds":
            place.set_xscale("log")
        else:
            place.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
    _legend(figure, places[0])
    return figure


def _panels(count: int, lines: int) -> tuple[Figure, list[Axes]]:
    """Panels below each other, and room for a legend of some lines."""
    height = 3.2 * count + 0.26 * lines
    figure, places = plt.subplots(count, 1, figsize=(5, height), layout="constrained", squeeze=False)
    return figure, list(places[:, 0])


def _curve(place: Axes, x: Scores, values: Scores, name: str, look: int) -> None:
    point, low, high = interquartile_means(values)
    place.fill_between(x, low, high, color=COLORS[look], alpha=0.12, linewidth=0)
    place.plot(x, point, color=COLORS[look], linestyle=DASHES[look], linewidth=2, label=name)


def _legend(figure: Figure, place: Axes) -> None:
    handles, labels = place.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1, frameon=False, handlelength=3.5)


def figure_of_gradients() -> Figure:
    """Variance beside REINFORCE's over the training, a panel for each task."""
    return _over_training(
        {name: name for name in ESTIMATORS},
        lambda point, name: point["estimators"][name]["variance"] / point["estimators"][ESTIMATORS[0]]["variance"],
        "variance, REINFORCE's is 1",
    )


def figure_of_batches() -> Figure:
    """Independent steps that batches are worth over the training, a panel for each task."""
    labels = {
        (kind, str(layout)): f"{layout} x {SHORT // layout}, {label}"
        for kind, label in (("inflation", "to its gradient"), ("seen", "by what it sees"))
        for layout in LAYOUTS
    }
    figure = _over_training(labels, lambda point, key: SHORT / point[key[0]][key[1]], f"independent steps of {SHORT}")
    for place in figure.axes:
        ticks = [4, 8, 16, 32, 64, 128, 256, 512]
        place.set_yticks(ticks, map(str, ticks))
        place.yaxis.set_minor_locator(NullLocator())
        place.set_ylim(ticks[0], ticks[-1])
    return figure


def _over_training(labels: Mapping[Key, str], value: Callable[[Any, Key], float], what: str) -> Figure:
    figure, places = _panels(len(LOOKED_AT), len(labels))
    for place, task in zip(places, LOOKED_AT, strict=True):
        runs = finished(f"gradients-{task}")
        steps = [point["steps"] for point in runs[0]["points"]]
        for look, (key, label) in enumerate(labels.items()):
            values = np.array([[value(point, key) for point in run["points"]] for run in runs])
            _curve(place, np.arange(len(steps)), values, label, look)
        place.set_yscale("log")
        place.set_title(task)
        place.set_xticks(range(len(steps)), [f"{number:,}" for number in steps])
        place.set_xlabel("steps of the training")
        place.set_ylabel(what)
    _legend(figure, places[0])
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    **{name: functools.partial(figure_of, rung) for name, rung in RUNGS.items()},
    "gradients": figure_of_gradients,
    "batches": figure_of_batches,
}


def picture_of(name: str) -> Path:
    """The file of a figure."""
    return DOCS / f"ladder_{name}.png"


def digest(figure: Figure) -> str:
    """A hash of the numbers that a figure's lines are drawn through, by which a test knows that results made it."""
    lines = [line.get_xydata() for place in figure.axes for line in place.get_lines()]
    numbers = "".join(f"{number:.6g} " for line in lines for number in np.asarray(line, np.float64).ravel())
    return hashlib.sha256(numbers.encode()).hexdigest()


def draw() -> None:
    """Writes the page's tables and every figure."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    with plt.rc_context(STYLE):
        for name, figure in FIGURES.items():
            drawn = figure()
            drawn.savefig(picture_of(name), dpi=110, metadata={NUMBERS: digest(drawn)})
            plt.close(drawn)
