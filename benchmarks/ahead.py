"""What collecting ahead costs in learning: python -m benchmarks.ahead [--jobs J] [--table]

`collect` "in_turn" and "ahead" with the same seeds and presets, in one process each. Runs already in the results are
not made again. With --table, only the table of docs/cluster.md is written, from results that are there. What it brings
in time: python -m benchmarks.cluster.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import a2c
from a2c.presets import configure
from a2c.report.statistics import estimate_of_improvement, estimate_of_iqm
from benchmarks.markers import filled
from benchmarks.measure import Table, complete, keep, kept

RESULT = "ahead"
PAGE = Path(__file__).parent.parent / "docs" / "cluster.md"
SEEDS = range(600, 610)
"""Nothing was chosen on them."""
MODES = ("in_turn", "ahead")
EVALUATIONS, EPISODES = 20, 10

TASKS: dict[str, dict[str, Any]] = {
    "CartPole-v1": {},
    "CartPole-v1, 8 x 8, plain steps": {
        "preset": "none", "total_steps": 100_000, "learning_rate": 3e-3, "schedule": "linear",
        "normalize_observations": True, "normalize_returns": True,
    },
    "Acrobot-v1": {},
    "Pendulum-v1": {},
    "LunarLander-v3": {"total_steps": 200_000, "gamma": 0.99},
    "HalfCheetah-v5": {"total_steps": 200_000},
}  # fmt: skip
"""Settings beside the preset's."""


def run(task: str, mode: str, seed: int) -> dict[str, Any]:
    """The mean of a run's evaluations, and the last one's."""
    env, settings = task.partition(",")[0], TASKS[task]
    steps = settings.get("total_steps") or configure(env, "auto", {}).total_steps
    with tempfile.TemporaryDirectory() as folder:
        made = a2c.train(
            env, seed=seed, collect=mode, run_dir=folder, num_workers=0, num_threads=1, final_eval_episodes=0,
            eval_every_steps=steps // EVALUATIONS, eval_episodes=EPISODES, stop_at_return=None, **settings,
        )  # fmt: skip
        returns = [row["evaluation_return"] for row in made.metrics() if "evaluation_return" in row]
        summary = made.summary
    if summary["stopped_by"] is not None:
        raise KeyboardInterrupt
    return {
        "seed": seed, "steps": summary["steps"], "mean": round(statistics.fmean(returns), 3),
        "last": round(returns[-1], 3), "seconds": round(summary["train_seconds"], 2),
    }  # fmt: skip


def finished() -> Table:
    """The runs that are in the results, by task and mode."""
    tasks: Table = kept(RESULT).get("tasks", {})
    return tasks


def save(tasks: Table) -> None:
    """Keeps the runs."""
    keep(RESULT, "python -m benchmarks.ahead", {"tasks": tasks})


def table() -> str:
    """Interquartile means with their intervals; better is the chance that a run ahead has the larger mean.

    Only of tasks with all seeds.
    """
    rows = ["| task | steps | mean of all evaluations, in turn | ahead | last, in turn | ahead | ahead is better |"]
    rows.append("|" + "---|" * 7)
    for task, runs in finished().items():
        if any(len(runs.get(mode, [])) < len(SEEDS) for mode in MODES):
            continue
        cells = []
        for what in ("mean", "last"):
            for mode in MODES:
                scores = np.array([run[what] for run in runs[mode]])
                point, low, high = estimate_of_iqm(scores, np.random.default_rng(0))
                cells.append(f"{point:,.0f} ({low:,.0f} to {high:,.0f})")
        ours, theirs = (np.array([run["mean"] for run in runs[mode]]) for mode in ("ahead", "in_turn"))
        better = estimate_of_improvement([(ours, theirs)], np.random.default_rng(0))
        steps = runs["ahead"][0]["steps"]
        rows.append(
            f"| {task} | {steps:,} | {' | '.join(cells)} | {better.point:.2f} ({better.low:.2f} to {better.high:.2f}) |"
        )
    return "\n".join(rows)


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    command_line.add_argument("--table", action="store_true", help="write the table only")
    options = command_line.parse_args()
    wanted = {(task, mode, seed): (task, mode, seed) for task in TASKS for seed in SEEDS for mode in MODES}
    if not options.table:
        for (task, mode, seed), result in complete(run, finished, save, wanted, options.jobs):
            print(f"{task}, {mode}, seed {seed}: {result['mean']:,.1f}, {result['last']:,.1f}", flush=True)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), {"ahead": table}, PAGE), encoding="utf-8")


if __name__ == "__main__":
    main()
