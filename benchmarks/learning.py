"""What the presets reach: every seed's 100-episode greedy evaluation, of the best policy and of the final one.

python -m benchmarks.learning [tutorial CartPole-v1 Pendulum-v1]
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import a2c
from benchmarks.measure import keep

CASES: dict[str, dict[str, Any]] = {
    "tutorial": {"env": "CartPole-v0", "preset": "tutorial", "seeds": range(5)},
    # Seeds that the presets were not chosen on.
    "CartPole-v1": {"env": "CartPole-v1", "preset": "CartPole-v1", "seeds": range(10, 20)},
    "Pendulum-v1": {"env": "Pendulum-v1", "preset": "Pendulum-v1", "seeds": range(10, 15)},
}


def measure(env: str, preset: str, seeds: range) -> dict[str, Any]:
    """Trains every seed and keeps what each run's summary says."""
    runs = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            run = a2c.train(env, preset=preset, seed=seed, run_dir=folder)
            seconds = time.perf_counter() - start
            summary = run.summary
        names = ("steps", "train_seconds", "evaluation", "final_evaluation")
        runs.append({"seed": seed, "whole_seconds": seconds, **{name: summary[name] for name in names}})
        best, final = summary["evaluation"]["mean"], summary["final_evaluation"]["mean"]
        print(f"{env}, preset {preset}, seed {seed}: best {best:.1f}, final {final:.1f}, {seconds:.0f} s", flush=True)
    return {"env_id": env, "preset": preset, "runs": runs}


def main() -> None:
    for name in sys.argv[1:] or CASES:
        case = CASES[name]
        result = measure(case["env"], case["preset"], case["seeds"])
        keep(f"learning-{name}", f"python -m benchmarks.learning {name}", result)


if __name__ == "__main__":
    main()
