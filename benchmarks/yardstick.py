"""Returns of Stable-Baselines3 and sb3-contrib with RL Zoo's settings, on our environments at the same steps.

python -m benchmarks.yardstick --peers PYTHON [ALGORITHM-ENV ...] [--jobs J]

PYTHON is an interpreter with benchmarks/peers/zoo.txt installed. Runs have a core each, several at a time. All of them
take days; runs already in the results are not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from a2c.presets import PRESETS
from benchmarks.learning import CASES
from benchmarks.measure import keep, kept, side_by_side

SCRIPT = Path(__file__).parent / "peers" / "zoo.py"
RESULT = "yardstick"
SEEDS = range(5)
ALGORITHMS = ("trpo", "a2c", "ppo")
ENVS = (
    "Hopper-v5", "Walker2d-v5", "HalfCheetah-v5", "Ant-v5", "Swimmer-v5", "Humanoid-v5", "Reacher-v5",
    "InvertedPendulum-v5", "InvertedDoublePendulum-v5",
)  # fmt: skip
"""Those whose published figures are of other versions: MuJoCo's."""


def peer(python: str, algorithm: str, env: str, seed: int, steps: int, *flags: str) -> dict[str, Any]:
    """One run of a peer's learner, in a process of its own: what the script prints last.

    Raises:
        RuntimeError: It failed.
    """
    command = [python, "-Wignore", str(SCRIPT), "--algorithm", algorithm, "--env", env, "--seed", str(seed)]
    done = subprocess.run([*command, "--steps", str(steps), *flags], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def finished() -> dict[str, list[dict[str, Any]]]:
    """The runs that are in the results, by algorithm and environment."""
    cases: dict[str, list[dict[str, Any]]] = kept(RESULT).get("cases", {})
    return cases


def steps(env: str) -> int:
    """How many ours takes."""
    return int((PRESETS[env] | CASES[env].settings)["total_steps"])


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--peers", required=True, help="an interpreter with benchmarks/peers/zoo.txt installed")
    names = [f"{algorithm}-{env}" for algorithm in ALGORITHMS for env in ENVS]
    command_line.add_argument("cases", nargs="*", metavar="ALGORITHM-ENV", help=", ".join(names))
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    options = command_line.parse_args()
    cases = finished()
    calls = {
        (name, seed): (options.peers, *name.split("-", 1), seed, steps(name.split("-", 1)[1]))
        for seed in SEEDS
        for name in options.cases or names
        if all(run["seed"] != seed for run in cases.get(name, []))
    }
    for (name, seed), result in side_by_side(peer, calls, options.jobs):
        cases = finished()  # Another of this may run beside it.
        cases[name] = sorted([*cases.get(name, []), result], key=lambda run: int(run["seed"]))
        keep(RESULT, "python -m benchmarks.yardstick --peers PYTHON", {"cases": cases})
        print(f"{name}, seed {seed}: {result['final']:,.1f} in {result['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
