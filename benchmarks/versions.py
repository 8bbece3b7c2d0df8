"""Compares the speed of two versions of this project: `python -m benchmarks.versions OLD_FOLDER [--rounds 5]`.

Trains the same settings with the sources in OLD_FOLDER and with those here, in turn, in separate processes, and prints
steps a second and their ratio; then the seconds of a whole process that trains for 1,000 steps. `--save NAME` writes
them to results/versions-NAME.json.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from a2c.commands.benchmark import alternate
from benchmarks.measure import keep

HERE = Path(__file__).parent.parent

CASES = {
    "CartPole-v1, compiled, 8 x 8": ("CartPole-v1", "compiled", 8, 8, (256,), 400_000),
    "CartPole-v1, compiled, 64 x 8": ("CartPole-v1", "compiled", 64, 8, (256,), 800_000),
    "CartPole-v1, compiled, 1024 x 8": ("CartPole-v1", "compiled", 1024, 8, (256,), 1_600_000),
    "CartPole-v1, 64-64 tanh, compiled, 8 x 8": ("CartPole-v1", "compiled", 8, 8, (64, 64), 800_000),
    "Pendulum-v1, compiled, 8 x 8": ("Pendulum-v1", "compiled", 8, 8, (256,), 400_000),
    "CartPole-v1 of Gymnasium, 8 x 8": ("CartPole-v1", "local", 8, 8, (256,), 60_000),
    "HalfCheetah-v5, 8 x 8": ("HalfCheetah-v5", "local", 8, 8, (64, 64), 20_000),
}

SCRIPT = """
import json, sys, time
import a2c
from a2c.learner import Learner
assert a2c.__file__.startswith(sys.argv[1]), f"measured {a2c.__file__}"
env, vectorization, num_envs, length, hidden, steps = json.loads(sys.argv[2])
normalize = {"normalize_observations": True, "normalize_returns": True} if env != "CartPole-v1" else {}
config = a2c.Config(env, num_envs=num_envs, rollout_length=length, hidden_sizes=tuple(hidden), **normalize)
learner = Learner(config, a2c.make_envs(env, num_envs, vectorization=vectorization))
updates = steps // (num_envs * length)
group = updates // 5
learner.update(max(1, group // 4))
best = 0
for _ in range(5):
    start = time.perf_counter()
    if learner.is_fused:
        learner.update(group)
    else:
        for _ in range(group):
            learner.update()
    best = max(best, group * num_envs * length / (time.perf_counter() - start))
print(best)
"""


def rate(folder, case):
    """Steps a second of the best fifth of some training."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(case)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stdout)


def startup(folder):
    """Seconds of a whole process that trains for 1,000 steps."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "a2c", "train", "CartPole-v1", "--total-steps", "1000", "--no-pictures"]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--run-dir", runs],
            env={**os.environ, "PYTHONPATH": str(folder)},
            cwd=runs,
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - start


def in_turn(measure, old_folder, rounds):
    """What `measure` gives for the old folder and for the new one; a round before the first is for compiling."""
    contestants = {"old": functools.partial(measure, old_folder), "new": functools.partial(measure, HERE)}
    found = alternate(contestants, rounds, lambda line: None)
    return found["old"]["rounds"], found["new"]["rounds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="a folder with the sources of another version")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--save", metavar="NAME")
    options = parser.parse_args()
    old_folder = options.old.resolve()
    result = {"rows": []}
    for name, case in CASES.items():
        if options.only not in name:
            continue
        old, new = in_turn(functools.partial(rate, case=case), old_folder, options.rounds)
        row = {"case": name, "old": statistics.median(old), "new": statistics.median(new)}
        row |= {"ratio": max(new) / max(old), "ratios": [b / a for a, b in zip(old, new, strict=True)]}
        print(f"{name}: old {max(old):,.0f}, new {max(new):,.0f} steps a second, {row['ratio']:.3f} times", flush=True)
        result["rows"].append(row)
    if options.only in "startup":
        old, new = in_turn(startup, old_folder, options.rounds)
        result["startup"] = {"old_seconds": old, "new_seconds": new, "ratio": min(new) / min(old)}
        print(f"startup: old {min(old):.2f} s, new {min(new):.2f} s, {min(new) / min(old):.3f} times", flush=True)
    if options.save:
        keep(f"versions-{options.save}", "python -m benchmarks.versions OLD_FOLDER", result)


if __name__ == "__main__":
    main()
