"""Returns that the presets reach: 100 greedy episodes of each seed's final policy, and of its best by evaluation.

python -m benchmarks.learning [CASE ...] [--jobs J] [--runs FOLDER]

No preset was chosen on these seeds. Runs have a core each, several at a time; a seed already in the results is not
trained again. With FOLDER, runs are stored there, and an interrupted run is resumed.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import a2c
from a2c.presets import ATARI
from benchmarks.measure import keep, kept, side_by_side

POINTS = 50
"""Of a learning curve, at most."""


class Case(NamedTuple):
    """A row of the table."""

    env: str
    preset: str
    settings: dict[str, Any]  # beside the preset's
    seeds: range


def case(env: str, seeds: range = range(10, 20), **settings: Any) -> Case:
    """A row for an environment's own preset."""
    return Case(env, env, settings, seeds)


FEW = range(10, 15)
"""Seeds of cases in which a run takes more than ten minutes."""

OTHERS = range(20, 30)
"""Seeds of cases whose preset was improved after a look at seeds from 10 on."""

SHORT: dict[str, Any] = {"total_steps": 200_000, "gamma": 0.99}
"""What landers have where a fifth of their presets' steps are all there is, by `benchmarks.tuning`, ..."""

SHORT_DISCRETE: dict[str, Any] = SHORT | {"rollout_length": 128, "gae_lambda": 0.95}

SHORT_CONTINUOUS: dict[str, Any] = SHORT | {"rollout_length": 256, "natural_kl": 0.08, "initial_log_std": 0.0}
"""... each."""

CASES: dict[str, Case] = {
    "tutorial": Case("CartPole-v0", "tutorial", {}, range(5)),
    "CartPole-v1": case("CartPole-v1", eval_every_steps=2_000, eval_episodes=100),
    "Acrobot-v1": case("Acrobot-v1"),
    "MountainCar-v0": case("MountainCar-v0"),
    "MountainCarContinuous-v0": case("MountainCarContinuous-v0", OTHERS),
    "Pendulum-v1": case("Pendulum-v1", OTHERS),
    "LunarLander-v3": case("LunarLander-v3", OTHERS),
    "LunarLander-v3, 200 k": case("LunarLander-v3", OTHERS, **SHORT_DISCRETE),
    "LunarLanderContinuous-v3": case("LunarLanderContinuous-v3", OTHERS),
    "LunarLanderContinuous-v3, 200 k": case("LunarLanderContinuous-v3", OTHERS, **SHORT_CONTINUOUS),
    "BipedalWalker-v3": case("BipedalWalker-v3", FEW),
    "HalfCheetah-v5": case("HalfCheetah-v5", OTHERS),
    "Hopper-v5": case("Hopper-v5", OTHERS),
    "Walker2d-v5": case("Walker2d-v5"),
    "Ant-v5": case("Ant-v5", FEW),
    "Humanoid-v5": case("Humanoid-v5", FEW),
    "Humanoid-v5, 3 M": case("Humanoid-v5", FEW, total_steps=3_000_000),
    "Swimmer-v5": case("Swimmer-v5"),
    "Reacher-v5": case("Reacher-v5"),
    "InvertedPendulum-v5": case("InvertedPendulum-v5"),
    "InvertedDoublePendulum-v5": case("InvertedDoublePendulum-v5", OTHERS),
    "PongNoFrameskip-v4": Case("PongNoFrameskip-v4", ATARI, {}, range(10, 11)),
    "BreakoutNoFrameskip-v4": Case("BreakoutNoFrameskip-v4", ATARI, {}, range(10, 11)),
    "BreakoutNoFrameskip-v4, 2 M": Case("BreakoutNoFrameskip-v4", ATARI, {"total_steps": 2_000_000}, range(10, 11)),
}


def result_name(name: str) -> str:
    """The file of a case, without its ending."""
    return "learning-" + name.replace(",", "").replace(" ", "-")


def finished(name: str) -> list[dict[str, Any]]:
    """The runs of a case that are in the results."""
    runs: list[dict[str, Any]] = kept(result_name(name)).get("runs", [])
    return runs


def train(name: str, seed: int, runs: str | None) -> dict[str, Any]:
    """One run: what its summary says, and its curves.

    Args:
        name: The case's name.
        seed: The run's seed.
        runs: The folder for run folders; None: a temporary one.
    """
    case = CASES[name]
    with tempfile.TemporaryDirectory() if runs is None else contextlib.nullcontext(runs) as folder:
        place = Path(folder) / result_name(name)
        begun = sorted(place.glob(f"*/*-seed{seed}"))
        start = time.perf_counter()
        if begun:
            run = a2c.resume(begun[-1], num_workers=0, num_threads=1)
        else:
            run = a2c.train(
                case.env, preset=case.preset, seed=seed, run_dir=place, num_workers=0, num_threads=1, **case.settings
            )
        seconds = None if begun else time.perf_counter() - start
        summary, rows = run.summary, run.metrics()
        if summary["stopped_by"] is not None:
            raise KeyboardInterrupt
        names = ("steps", "train_seconds", "evaluation", "final_evaluation")
        reached = {name: summary[name] for name in names}
        if not run.config.eval_greedy:
            sampled = run.evaluate(100, which="final", greedy=False)
            reached["sampled_evaluation"] = {"mean": sampled.mean, "std": sampled.std}
    return {"seed": seed, "whole_seconds": seconds, **reached, "curve": curve(rows), "training": training_curve(rows)}


def curve(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Evaluations on the way: after how many steps, how many seconds of training, and the mean return."""
    points: list[tuple[int, float, float]] = []
    before, seconds = 0, 0.0
    for row in rows:
        if row.get("steps_per_second"):
            seconds += (row["steps"] - before) / row["steps_per_second"]
            before = row["steps"]
        if row.get("evaluation_return") is not None:
            points.append((row["steps"], round(seconds, 2), round(row["evaluation_return"], 4)))
    points = points[:: -(-len(points) // POINTS)] if points else []
    return {name: [point[i] for point in points] for i, name in enumerate(("steps", "seconds", "return"))}


def training_curve(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The mean return of the episodes that ended in each of POINTS parts of a training, and the steps at its end."""
    ended = [(row["steps"], row["episode_return"]) for row in rows if row.get("episode_return") is not None]
    long = max(row["steps"] for row in rows) / POINTS
    parts: dict[int, list[float]] = {}
    for steps, value in ended:
        parts.setdefault(math.ceil(steps / long), []).append(value)
    return {
        "steps": [round(part * long) for part in sorted(parts)],
        "return": [round(statistics.fmean(parts[part]), 4) for part in sorted(parts)],
    }


def save(name: str, runs: list[dict[str, Any]]) -> None:
    """Keeps the runs of a case, in the order of their seeds."""
    case = CASES[name]
    keep(
        result_name(name),
        f'python -m benchmarks.learning "{name}"',
        {
            "env_id": case.env, "preset": case.preset, "settings": case.settings,
            "runs": sorted(runs, key=lambda run: int(run["seed"])),
        },
    )  # fmt: skip


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    command_line.add_argument("--runs", metavar="FOLDER", help="store runs here, and resume those that are here")
    options = command_line.parse_args()
    names = options.cases or list(CASES)
    runs = {name: finished(name) for name in names}
    calls = {
        (name, seed): (name, seed, options.runs)
        for name in names
        for seed in CASES[name].seeds
        if all(run["seed"] != seed for run in runs[name])
    }
    for (name, seed), result in side_by_side(train, calls, options.jobs):
        runs[name].append(result)
        save(name, runs[name])
        best, final = (result[key]["mean"] for key in ("evaluation", "final_evaluation"))
        seconds = result["train_seconds"]
        print(f"{name}, seed {seed}: {final:,.1f}, best {best:,.1f}, trained in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
