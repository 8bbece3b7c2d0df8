"""The time of the whole process `a2c train CartPole-v1`, seed by seed, with warm caches; and of the very first run,
which compiles everything.

    python -m benchmarks.startup
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.measure import keep

SEEDS = range(20, 30)  # that the preset was not chosen on


def train(seed: int, cache: str) -> dict[str, Any]:
    """One process, and what its policy reaches over 100 greedy episodes of Gymnasium's CartPole-v1."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "a2c", "train", "CartPole-v1", "--seed", str(seed)]
        command += ["--no-pictures", "--json", "--run-dir", folder]
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        seconds = time.perf_counter() - start
    (run,) = json.loads(done.stdout)["runs"]
    result = {"seed": seed, "seconds": seconds, "evaluation": run["evaluation"]}
    print(f"seed {seed}: {seconds:.2f} s, {run['evaluation']['mean']:.1f}", flush=True)
    return result


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        first = train(SEEDS[0], cache)
        warm = [train(seed, cache) for seed in SEEDS]
    keep("startup", "python -m benchmarks.startup", {"first_ever": first, "warm": warm})


if __name__ == "__main__":
    main()
