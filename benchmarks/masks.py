"""Does Taxi-v4 learn faster with its action masks than without? Learning curves of 20 seeds, the same settings.

python -m benchmarks.masks      python -m benchmarks.masks --table

A run's curve is the mean return of the training episodes that ended in each window of WINDOW steps; its area is the
mean of the curve. A return is reached in the first window from which on the curve never falls below it. Runs already in
the results are not made again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import scipy.stats

import a2c
from a2c.fitting import fit_to
from a2c.learner import Learner, Update
from benchmarks.measure import keep, kept

ENV, SEEDS, STEPS, WINDOW = "Taxi-v4", range(20), 100_000, 5_000

REACHED = 0.0
"""Mean training return; a random walk has about -770 without masks."""


class WithoutMasks(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says nothing about what is allowed; everything else is the same."""

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(**arguments)
        return obs, _unmasked(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, _unmasked(info)


def _unmasked(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key != "action_mask"}


def with_masks() -> gymnasium.Env[Any, Any]:
    return gymnasium.make(ENV)


def without_masks() -> gymnasium.Env[Any, Any]:
    return WithoutMasks(gymnasium.make(ENV))


WAYS = {"with masks": with_masks, "without": without_masks}


def curve(way: str, seed: int) -> list[float]:
    """Mean return of training episodes in every window."""
    fitted = {"normalize_returns": True, **fit_to(ENV, {}).values}
    config = a2c.Config(ENV, seed=seed, total_steps=STEPS, num_threads=1, **fitted)
    envs = a2c.make_envs(WAYS[way], config.num_envs, vectorization="local", seed=seed)
    learner = Learner(config, envs)
    rows = np.concatenate([learner.update() for _ in range(config.num_updates)])
    envs.close()
    ends = np.arange(1, len(rows) + 1) * config.steps_per_update
    returns, episodes = (rows[:, Update._fields.index(name)] for name in ("return_sum", "episodes"))
    return list(_windows(returns, episodes, ends))


def _windows(returns: np.ndarray, episodes: np.ndarray, ends: np.ndarray) -> Iterator[float]:
    for first in range(0, STEPS, WINDOW):
        inside = (ends > first) & (ends <= first + WINDOW)
        yield float(returns[inside].sum() / max(1.0, episodes[inside].sum()))


def reached(returns: list[float]) -> int | None:
    """Steps after which a curve has reached REACHED for good; None: never."""
    below = [index for index, value in enumerate(returns) if value < REACHED]
    first = below[-1] + 1 if below else 0
    return (first + 1) * WINDOW if first < len(returns) else None


def compared(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Areas and steps of both ways, and how certain the difference is."""
    curves = {way: [run["curve"] for run in runs if run["way"] == way] for way in WAYS}
    areas = [np.mean(curves[way], axis=1) for way in WAYS]
    # A curve that never reaches it counts as longer than the run.
    steps = [np.array([reached(one) or STEPS + WINDOW for one in curves[way]]) for way in WAYS]
    difference = scipy.stats.bootstrap(
        areas, lambda a, b, axis=-1: np.mean(a, axis) - np.mean(b, axis), vectorized=True, rng=0, method="percentile"
    ).confidence_interval
    return {
        "area": {way: float(area.mean()) for way, area in zip(WAYS, areas, strict=True)},
        "area_difference": [float(difference.low), float(difference.high)],
        "area_p": float(scipy.stats.mannwhitneyu(*areas, alternative="greater").pvalue),
        "median_steps": {way: float(np.median(one)) for way, one in zip(WAYS, steps, strict=True)},
        "range_of_steps": {way: [int(one.min()), int(one.max())] for way, one in zip(WAYS, steps, strict=True)},
        "steps_p": float(scipy.stats.mannwhitneyu(*steps, alternative="less").pvalue),
    }


def table() -> str:
    """Both ways side by side, and in a sentence how certain it is."""
    result = kept("masks")
    both, means = (
        result["compared"],
        {way: np.mean([run["curve"] for run in result["runs"] if run["way"] == way], axis=0) for way in WAYS},
    )
    marks = [STEPS // 10, STEPS // 5, STEPS // 2, STEPS]
    lines = [
        f"| Taxi-v4, {len(SEEDS)} seeds | " + " | ".join(f"at {mark:,}" for mark in marks)
        + f" | area | steps to {REACHED:g} (lowest to highest) |",
        "|---|" + "---|" * (len(marks) + 2),
    ]  # fmt: skip
    for way in WAYS:
        low, high = (f"{end:,}" if end <= STEPS else f"over {STEPS:,}" for end in both["range_of_steps"][way])
        at = " | ".join(f"{means[way][mark // WINDOW - 1]:.1f}" for mark in marks)
        median = both["median_steps"][way]
        shown = f"{median:,.0f}" if median <= STEPS else f"over {STEPS:,}"
        lines.append(f"| {way} | {at} | {both['area'][way]:.1f} | {shown} ({low} to {high}) |")
    low, high = both["area_difference"]
    lines += [
        "",
        f"The area's difference is {low:.1f} to {high:.1f} (95 %, bootstrap over seeds); by Mann and Whitney's test, "
        f"p = {both['area_p']:.0e} for the areas and {both['steps_p']:.0e} for the steps.",
    ]
    return "\n".join(lines)


def main() -> None:
    if sys.argv[1:] == ["--table"]:
        print(table())
        return
    runs: list[dict[str, Any]] = kept("masks").get("runs", [])
    for seed in SEEDS:
        for way in WAYS:
            key = {"way": way, "seed": seed}
            if any(key.items() <= run.items() for run in runs):
                continue
            runs.append({**key, "curve": curve(way, seed)})
            print(f"seed {seed}, {way}: {np.mean(runs[-1]['curve']):.1f}", flush=True)
            result = {"env_id": ENV, "steps": STEPS, "window": WINDOW, "runs": runs}
            if len(runs) == len(SEEDS) * len(WAYS):
                result["compared"] = compared(runs)
            keep("masks", "python -m benchmarks.masks", result)


if __name__ == "__main__":
    main()
