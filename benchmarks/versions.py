"""Two versions of this project, side by side: `python -m benchmarks.versions OLD_FOLDER [--rounds 5]`.

Trains the same settings with the sources in OLD_FOLDER and with those here, in turn, in processes of their own, and
prints steps a second and their ratio. With `--save NAME`, keeps them in results/versions-NAME.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

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
env, vectorization, num_envs, length, hidden, steps = json.loads(sys.argv[1])
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
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(case)], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="a folder with the sources of another version")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--save", metavar="NAME")
    options = parser.parse_args()
    rows = []
    for name, case in CASES.items():
        if options.only not in name:
            continue
        old, new = [], []
        for turn in range(options.rounds + 1):
            for folder, rates in ((options.old.resolve(), old), (HERE, new)):
                found = rate(folder, case)
                if turn:  # The first round compiles.
                    rates.append(found)
        ratios = [b / a for a, b in zip(old, new, strict=True)]
        row = {"case": name, "old": statistics.median(old), "new": statistics.median(new)}
        row |= {"ratio": max(new) / max(old), "ratios": ratios}
        print(f"{name}: old {max(old):,.0f}, new {max(new):,.0f} steps a second, {row['ratio']:.3f} times", flush=True)
        rows.append(row)
    if options.save:
        keep(f"versions-{options.save}", "python -m benchmarks.versions OLD_FOLDER", {"rows": rows})


if __name__ == "__main__":
    main()
