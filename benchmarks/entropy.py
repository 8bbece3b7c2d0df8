"""Should discrete actions have an entropy bonus by default? Greedy returns for several `entropy_coef`.

python -m benchmarks.entropy [ENV ...]      python -m benchmarks.entropy --table

FlappyBird needs `pip install flappy-bird-gymnasium`, LunarLander the extra `bench`. Runs already in the results are not
made again.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import numpy as np
import scipy.stats

import a2c
from benchmarks.measure import keep, kept

COEFFICIENTS = (0.0, 0.001, 0.003, 0.01)

CASES: dict[str, dict[str, Any]] = {
    "CartPole-v1": {"total_steps": 200_000},
    "Acrobot-v1": {"total_steps": 500_000},
    "MountainCar-v0": {"total_steps": 1_000_000},
    "LunarLander-v3": {"total_steps": 300_000, "num_workers": 0},
    "flappy_bird_gymnasium:FlappyBird-v0": {"total_steps": 120_000, "num_workers": 0, "seeds": 3},
}
"""Settings other than the defaults: normalised observations and returns."""

BATCHES = {"defaults": {}, "normalised": {"normalize_observations": True, "normalize_returns": True}}


def measure(env: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One run: what it reached, and what its entropy was in the last tenth of it."""
    with tempfile.TemporaryDirectory() as folder:
        run = a2c.train(env, preset="none", run_dir=folder, final_eval_episodes=50, **settings)
        entropy = [row["entropy"] for row in run.metrics() if "entropy" in row]
        reached = {name: run.summary[name]["mean"] for name in ("evaluation", "final_evaluation")}
    return {**reached, "last_entropy": float(np.mean(entropy[-max(1, len(entropy) // 10) :]))}


def table(runs: list[dict[str, Any]]) -> str:
    """Mean of the best policy's greedy return over seeds, and half of its 95 % interval."""
    lines = [
        "| environment, settings | seeds | " + " | ".join(f"{c:g}" for c in COEFFICIENTS) + " |",
        "|---|---|" + "---|" * len(COEFFICIENTS),
    ]
    for env in CASES:
        for batch in BATCHES:
            cells, seeds = [], 0
            for coefficient in COEFFICIENTS:
                key = {"env": env, "settings": batch, "entropy_coef": coefficient}
                reached = [run["evaluation"] for run in runs if key.items() <= run.items()]
                seeds = len(reached)
                spread = scipy.stats.t.ppf(0.975, seeds - 1) * np.std(reached, ddof=1) / np.sqrt(seeds)
                cells.append(f"{np.mean(reached):.1f} ± {spread:.1f}")
            lines.append(f"| {env.rpartition(':')[2]}, {batch} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    name = "entropy"
    if sys.argv[1:] == ["--table"]:
        print(table(kept(name)["runs"]))
        return
    runs: list[dict[str, Any]] = kept(name).get("runs", [])
    for env in sys.argv[1:] or CASES:
        case = dict(CASES[env])
        for seed in range(case.pop("seeds", 5)):
            for batch, extra in BATCHES.items():
                for coefficient in COEFFICIENTS:
                    key = {"env": env, "settings": batch, "entropy_coef": coefficient, "seed": seed}
                    if any(key.items() <= run.items() for run in runs):
                        continue
                    run = measure(env, {**case, **extra, "entropy_coef": coefficient, "seed": seed})
                    runs.append({**key, **run})
                    print(f"{env}, {batch}, entropy_coef {coefficient}, seed {seed}: {run}", flush=True)
                    keep(name, "python -m benchmarks.entropy", {"runs": runs})


if __name__ == "__main__":
    main()
