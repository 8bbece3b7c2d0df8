"""The curves of docs/curves.md, in both languages: runs that go well and badly, and with what the page says to type.

python -m benchmarks.curves_page              # trains what is missing, draws, fills in the pages' table
python -m benchmarks.curves_page --draw       # draws and fills in only
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import a2c
from benchmarks.chinese import in_chinese
from benchmarks.learning_page import shown
from benchmarks.markers import filled
from benchmarks.measure import Table, complete, keep, kept

DOCS = Path(__file__).parents[1] / "docs"
RESULT, SEEDS, EPISODES, POINTS = "curves", range(1, 6), 100, 60

METRICS = {
    "episode_return": "return of training episodes",
    "evaluation_return": "return of greedy evaluations",
    "entropy": "entropy",
    "explained_variance": "explained variance",
    "value_loss": "critic's loss",
}

NATURAL = "--actor-step natural --rollout-length 256 --normalize-returns"


class Case(NamedTuple):
    """A picture: what was typed at first, and what the page says to type instead."""

    env: str
    flags: str
    panels: tuple[str, ...]
    instead: str | None = None


LIMITS = {"explained_variance": (-1.05, 1.05)}
"""Bounds of panels whose curves leave what is worth seeing."""

ALL = ("episode_return", "entropy", "explained_variance", "value_loss")

CASES = {
    "healthy": Case("CartPole-v1", "", ALL),
    "flat": Case(
        "MountainCar-v0",
        "--preset none --total-steps 300000",
        ("episode_return", "entropy", "explained_variance"),
        "--preset none --total-steps 300000 --normalize-observations --normalize-returns",
    ),
    "collapse": Case(
        "CartPole-v1",
        "--preset none --total-steps 100000",
        ("evaluation_return", "explained_variance"),
        f"--preset none --total-steps 100000 {NATURAL}",
    ),
    "entropy": Case(
        "CartPole-v1",
        "--preset none --total-steps 100000 --learning-rate 0.03",
        ("episode_return", "entropy"),
        "--preset none --total-steps 100000 --learning-rate 0.003",
    ),
    "explained": Case(
        "Pendulum-v1",
        "--preset none --total-steps 200000",
        ("episode_return", "explained_variance"),
        f"--preset none --total-steps 200000 {NATURAL} --normalize-observations",
    ),
    "noisy": Case(
        "FrozenLake-v1",
        "--total-steps 200000 --eval-every-steps 5000 --eval-episodes 5",
        ("evaluation_return", "episode_return"),
        "--total-steps 200000 --eval-every-steps 5000 --eval-episodes 200",
    ),
    "growing": Case(
        "Acrobot-v1", "--preset none --total-steps 200000", ("episode_return", "value_loss", "explained_variance")
    ),
}
"""By the name of the picture: docs/curve_NAME.png."""

FORESEEN = {"healthy": "CartPole-v1: a time limit ends the episode", "growing": "Acrobot-v1: reaching the goal ends it"}
"""Cases whose critic is shown beside what came, step by step, in one picture."""


def command(case: Case, flags: str) -> str:
    """What to type."""
    return f"a2c train {case.env} {flags}".strip()


def train(case: str, flags: str, seed: int) -> dict[str, Any]:
    """One run: its curves on a common grid of steps, what it reached, and what the critic foresaw of one episode."""
    from a2c.cli import main

    with tempfile.TemporaryDirectory() as folder:
        line = [*shlex.split(command(CASES[case], flags))[1:], "--seed", str(seed), "--run-dir", folder]
        line += ["--final-eval-episodes", str(EPISODES), "--no-pictures", "--quiet", "--num-threads", "1"]
        if main(line):
            raise SystemExit(f"{line} failed")
        run = a2c.Run(next((Path(folder) / CASES[case].env).iterdir()))
        curve, steps = run.curve(), int(run.summary["steps"])
        critic = run.episodes["final"]["critic"]
        return {
            "seed": seed,
            "steps": steps,
            "final": run.summary["final_evaluation"]["mean"],
            "curves": {name: binned(curve["steps"], curve[name], steps) for name in METRICS if name in curve},
            "foreseen": {"gamma": critic["gamma"], **critic["episodes"][0]} if case in FORESEEN and seed == 1 else None,
        }


def binned(steps: Sequence[float], values: Sequence[float | None], total: int) -> list[float | None]:
    """Means over `POINTS` equal parts of a run; None: nothing was recorded there."""
    place = np.minimum(np.asarray(steps, np.float64) / total * POINTS, POINTS - 1).astype(int)
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    found = [numbers[(place == part) & np.isfinite(numbers)] for part in range(POINTS)]
    return [float(f"{some.mean():.4g}") if some.size else None for some in found]


def finished() -> Table:
    """The runs that are kept, by case and flags."""
    return dict(kept(RESULT).get("runs", {}))


def save(table: Table) -> None:
    keep(RESULT, "python -m benchmarks.curves_page", {"runs": table})


# -- pictures --


def draw(name: str) -> None:
    """A picture with a panel for each metric: seeds as thin lines, their median as a thick one."""
    case, runs = CASES[name], finished()[name]
    picture, places = plt.subplots(
        1, len(case.panels), figsize=(3.1 * len(case.panels), 2.6), layout="constrained", squeeze=False
    )
    for place, metric in zip(places.flat, case.panels, strict=True):
        for flags, color in ((case.flags, "#b4450c" if case.instead else "#1d4f8c"), (case.instead, "#1d4f8c")):
            if flags is not None:
                _lines(place, runs[flags], metric, color)
        place.set_title(METRICS[metric], fontsize=10)
        place.tick_params(labelsize=8)
        place.ticklabel_format(axis="x", scilimits=(-2, 4))
        place.xaxis.get_offset_text().set_fontsize(8)
        if metric in LIMITS:
            place.set_ylim(*LIMITS[metric])
        place.grid(alpha=0.25)
    places.flat[0].set_xlabel("steps", fontsize=9)
    if case.instead is not None:
        handles = [plt.Line2D([], [], color=color, lw=2) for color in ("#b4450c", "#1d4f8c")]
        places.flat[0].legend(handles, ["at first", "instead"], fontsize=8, loc="best", framealpha=0.8)
    picture.savefig(DOCS / f"curve_{name}.png", dpi=110)
    plt.close(picture)


def _lines(place: Axes, runs: Sequence[dict[str, Any]], metric: str, color: str) -> None:
    along = (np.arange(POINTS) + 0.5) / POINTS * runs[0]["steps"]
    all_values = np.array([[np.nan if v is None else v for v in run["curves"][metric]] for run in runs])
    for values in all_values:
        there = np.isfinite(values)
        place.plot(along[there], values[there], color=color, alpha=0.3, linewidth=0.8)
    there = np.isfinite(all_values).all(0)
    place.plot(along[there], np.median(all_values[:, there], 0), color=color, linewidth=1.8)


def draw_foreseen() -> None:
    """The critic's value beside the discounted return that came, in the first episode of the final evaluation."""
    picture, places = plt.subplots(1, len(FORESEEN), figsize=(9.3, 2.8), layout="constrained")
    for place, (name, title) in zip(places, FORESEEN.items(), strict=True):
        episode = finished()[name][CASES[name].flags][0]["foreseen"]
        place.plot(episode["step"], episode["value"], color="#1d4f8c", label="critic's value")
        place.plot(episode["step"], episode["return"], color="#b4450c", label="discounted return that came")
        place.set_title(title, fontsize=10)
        place.set_ylim(min(0.0, 1.08 * min(episode["value"])), max(0.0, 1.08 * max(episode["return"])))
        place.set_xlabel("step of the episode", fontsize=9)
        place.tick_params(labelsize=8)
        place.grid(alpha=0.25)
    places[0].legend(fontsize=8)
    picture.savefig(DOCS / "curve_foreseen.png", dpi=110)
    plt.close(picture)


# -- the pages' table --


def table() -> str:
    """What each command reached: greedy return of the final policy over seeds."""
    lines = ["| picture | command | final policy: median of 5 seeds (lowest to highest) |", "|---|---|---|"]
    for name, case in CASES.items():
        label = name
        for flags in filter(lambda one: one is not None, (case.flags, case.instead)):
            finals = [run["final"] for run in finished()[name][flags]]
            size = max(map(abs, finals))
            reached = (
                f"{shown(statistics.median(finals), size)} ({shown(min(finals), size)} to {shown(max(finals), size)})"
            )
            lines.append(f"| {label} | `{command(case, flags)}` | {reached} |")
            label = ""
    return "\n".join(lines)


PAGES: dict[str, Callable[[], str]] = {"curves.md": table, "curves.zh.md": in_chinese(table)}


def with_table(page: str, text: str) -> str:
    """The text of one of `PAGES` with its table as the results have it."""
    return filled(text, {"curves": PAGES[page]}, DOCS / page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="train nothing")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    arguments = parser.parse_args()
    if not arguments.draw:
        wanted = {
            (name, flags, seed): (name, flags, seed)
            for name, case in CASES.items()
            for flags in (case.flags, case.instead)
            if flags is not None
            for seed in SEEDS
        }
        for (name, _, seed), result in complete(train, finished, save, wanted, arguments.jobs):
            print(name, seed, f"{result['final']:.1f}", flush=True)
    for name in CASES:
        draw(name)
    draw_foreseen()
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        (DOCS / page).write_text(with_table(page, text), encoding="utf-8")


if __name__ == "__main__":
    main()
