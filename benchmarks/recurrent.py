"""Training speed with memory, beside the same in PyTorch: CartPole-v1 without velocities, whole runs in turn.

    python -m benchmarks.recurrent --peers PYTHON

PYTHON is an interpreter with benchmarks/peers/requirements.txt installed. Ours is timed as a whole call of `a2c.train`,
both on Gymnasium's environment, which the PyTorch program also steps, and on the compiled one. PyTorch runs with 1 or 2
threads, whichever is faster, measured first; its first updates do not count.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import tempfile
import time
from typing import Any

import gymnasium
import numpy as np

import a2c
from benchmarks.measure import alternate, keep, ratio
from benchmarks.memory import TASKS
from benchmarks.training import PEERS

ENVS, LENGTH, MEMORY, HIDDEN, ROUNDS = 8, 32, 64, (64, 64), 5
COMPILED = TASKS["CartPole-v1 without velocities"].env


class WithoutVelocities(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Where cart and pole are, not how fast."""

    def __init__(self) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))
        self.observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float32)

    def observation(self, observation: Any) -> Any:
        return observation[[0, 2]]


def ours(env: Any, steps: int) -> float:
    """Steps per second of a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        a2c.train(
            env, preset="none", run_dir=folder, total_steps=steps, num_envs=ENVS, rollout_length=LENGTH,
            memory_size=MEMORY, hidden_sizes=HIDDEN, activation="tanh", learning_rate=1e-3, entropy_coef=0.01,
            eval_every_steps=0, eval_episodes=1, final_eval_episodes=0,
            vectorization="compiled" if env is COMPILED else "auto",
        )  # fmt: skip
        return steps / (time.perf_counter() - start)


def theirs(python: str, steps: int, threads: int) -> float:
    """Steps per second of PyTorch's program."""
    command = [
        python, str(PEERS / "gru.py"), "--env", "CartPole-v1", "--num-envs", str(ENVS),
        "--rollout-length", str(LENGTH), "--hidden", *map(str, HIDDEN), "--activation", "tanh",
        "--memory", str(MEMORY), "--steps", str(steps), "--threads", str(threads),
    ]  # fmt: skip
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--peers", required=True, help="an interpreter with benchmarks/peers/requirements.txt")
    options = command_line.parse_args()
    tried = {threads: max(theirs(options.peers, 40_000, threads) for _ in range(2)) for threads in (1, 2)}
    best = max(tried, key=lambda threads: tried[threads])
    contestants = {
        "a2c, compiled environment": functools.partial(ours, COMPILED, 2_000_000),
        "a2c, Gymnasium's environment": functools.partial(ours, WithoutVelocities, 200_000),
        f"PyTorch, {best} thread{'s' if best > 1 else ''}": functools.partial(theirs, options.peers, 60_000, best),
    }
    rates = alternate(contestants, ROUNDS)
    *own, peer = contestants
    ratios = {name: ratio(rates, name, peer) for name in own}
    for name, value in ratios.items():
        print(f"{name} / {peer} {value['median']:.1f} ({value['lowest']:.1f} to {value['highest']:.1f})")
    keep(
        "recurrent",
        "python -m benchmarks.recurrent --peers PYTHON",
        {"steps_per_second": rates, "threads_tried": tried, "ratios": ratios},
    )


if __name__ == "__main__":
    main()
