"""The time of whole processes `a2c train CartPole-v1`: the very first one, which compiles, and later ones.

    python -m benchmarks.startup [--old FOLDER] [--rounds 5]

With --old, the sources in FOLDER (a worktree of an older revision) are measured, too, in turn with those here. Each
version has caches of its own for machine code and for Python's bytecode. Wall time depends on what else the machine
does; processor time, of all threads and processes together, does so much less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import keep

HERE = Path(__file__).parent.parent
SEEDS = range(20, 30)  # that the preset was not chosen on
ONE_UPDATE = ("--total-steps", "1", "--eval-every-steps", "0", "--final-eval-episodes", "0")
FIRST_ROUNDS = 2


def train(sources: Path, cache: str, seed: int, *flags: str) -> dict[str, Any]:
    """One process: its seconds, and what its policy reaches over 100 greedy episodes of Gymnasium's CartPole-v1."""
    environment = {**os.environ, "PYTHONPATH": str(sources), "NUMBA_CACHE_DIR": f"{cache}/code"}
    environment["PYTHONPYCACHEPREFIX"] = f"{cache}/bytecode"
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "a2c", "train", "CartPole-v1", "--seed", str(seed), *flags]
        command += ["--no-pictures", "--json", "--quiet", "--run-dir", folder]
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, cwd=folder)
        seconds, after = time.perf_counter() - start, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    (run,) = json.loads(done.stdout)["runs"]
    reached = run.get("evaluation", {}).get("mean")
    print(f"{sources}, seed {seed}: {seconds:.2f} s, {processor:.2f} s of processors, {reached}", flush=True)
    return {"seed": seed, "seconds": seconds, "processor_seconds": processor, "mean": reached}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, help="a folder with the sources of another version")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    versions = {"old": options.old.resolve()} if options.old else {}
    versions["new"] = HERE
    found: dict[str, dict[str, list[dict[str, Any]]]] = {
        name: {"first_ever": [], "one_update": [], "whole": []} for name in versions
    }
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as caches:
        for number in range(FIRST_ROUNDS):
            for name, sources in versions.items():
                found[name]["first_ever"].append(train(sources, f"{caches}/{name}{number}", SEEDS[0]))
                loads.append(os.getloadavg()[0])
        for number in range(options.rounds):
            for name, sources in versions.items():
                cache, seed = f"{caches}/{name}0", SEEDS[number % len(SEEDS)]
                if not number:
                    train(sources, cache, seed, *ONE_UPDATE)  # The first process with other flags may compile more.
                found[name]["one_update"].append(train(sources, cache, seed, *ONE_UPDATE))
                found[name]["whole"].append(train(sources, cache, seed))
                loads.append(os.getloadavg()[0])
    command = f"python -m benchmarks.startup{' --old FOLDER' if options.old else ''} --rounds {options.rounds}"
    keep("startup", command, {"load": loads, **found})


if __name__ == "__main__":
    main()
