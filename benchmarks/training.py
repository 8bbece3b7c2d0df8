"""Training CartPole-v1 with 8 environments x 8 steps, hidden layer of 256: ours beside Stable-Baselines3's A2C.

Both in one process, one gradient step per rollout, their own logging on, no evaluation. Ours is timed as a whole call
of `a2c.train`, with the run folder, the checkpoint and the summary in it.

    python -m benchmarks.training --peer PYTHON     PYTHON: one that has benchmarks/requirements.txt
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import a2c
from benchmarks.measure import alternate, keep, ratio

STEPS = 64_000
ROUNDS = 7


def ours() -> float:
    """Steps per second of a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        a2c.train(
            "CartPole-v1",
            preset="none",
            run_dir=folder,
            vectorization="local",
            engine="paddle",
            total_steps=STEPS,
            num_envs=8,
            rollout_length=8,
            gamma=0.99,
            gae_lambda=1.0,
            value_coef=0.5,
            entropy_coef=0.01,
            max_grad_norm=0.5,
            learning_rate=1e-3,
            hidden_sizes=(256,),
            activation="relu",
            eval_every_steps=0,
            eval_episodes=1,
            final_eval_episodes=0,
        )
        return STEPS / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python that has benchmarks/requirements.txt installed")
    peer = parser.parse_args().peer

    def sb3(threads: int) -> float:
        command = [peer, str(Path(__file__).parent / "peers" / "sb3.py"), str(threads), str(STEPS)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    ours()  # warm up
    contestants = {
        "a2c, Paddle engine": ours,
        "Stable-Baselines3, 1 thread": lambda: sb3(1),
        "Stable-Baselines3, 2 threads": lambda: sb3(2),
    }
    rates = alternate(contestants, ROUNDS)
    peers = [name for name in rates if name.startswith("Stable")]
    better = max(peers, key=lambda name: rates[name]["median"])
    against = ratio(rates, "a2c, Paddle engine", better)
    print(f"a2c / {better}: {against['median']:.2f} ({against['lowest']:.2f} to {against['highest']:.2f})")
    results = {"steps_per_second": rates, "compared_with": better, "ratio": against}
    keep("training", "python -m benchmarks.training --peer PYTHON", results)


if __name__ == "__main__":
    main()
