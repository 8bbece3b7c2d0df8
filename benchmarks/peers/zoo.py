"""One run of RL Baselines3 Zoo with its own settings; prints a line of JSON: greedy returns of the final policy.

    python zoo.py --algorithm ppo|a2c|trpo --env ENV --seed S --steps N [--defaults]

The settings are those that rl_zoo3 ships for the environment, of whatever version it has (it lists v4 and v2 where
Gymnasium is at v5), and its defaults where it lists none. --defaults: the algorithm's own defaults instead.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import rl_zoo3
import torch
import yaml
from rl_zoo3.exp_manager import ExperimentManager

EPISODES = 100
EVALUATION_SEED = 1_000_000


def settings(algorithm: str, env_id: str) -> tuple[str, dict[str, Any]]:
    """The entry of rl_zoo3 for an environment of any version: its name there, and what it says."""
    entries = yaml.safe_load((Path(rl_zoo3.__file__).parent / "hyperparams" / f"{algorithm}.yml").read_text())
    name = env_id.rpartition("-v")[0]
    versions = sorted((key for key in entries if key.rpartition("-v")[0] == name), reverse=True)
    entry = versions[0] if versions else "default"
    return entry, entries[entry]


def evaluate(model: Any, env_id: str) -> list[float]:
    """Returns of whole greedy episodes on a fresh environment, observations normalised as in training."""
    env, normalizer = gymnasium.make(env_id), model.get_vec_normalize_env()
    returns = []
    for episode in range(EPISODES):
        obs, _ = env.reset(seed=EVALUATION_SEED + episode)
        total, is_over = 0.0, False
        while not is_over:
            seen = obs if normalizer is None else normalizer.normalize_obs(obs)
            obs, reward, terminated, truncated, _ = env.step(model.predict(seen, deterministic=True)[0])
            total += float(reward)
            is_over = terminated or truncated
        returns.append(total)
    return returns


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--algorithm", choices=["ppo", "a2c", "trpo"], required=True)
    command_line.add_argument("--env", required=True)
    command_line.add_argument("--seed", type=int, required=True)
    command_line.add_argument("--steps", type=int, required=True)
    command_line.add_argument("--defaults", action="store_true")
    options = command_line.parse_args()
    torch.set_num_threads(1)
    entry, chosen = settings(options.algorithm, options.env)
    if options.defaults:
        entry, chosen = "none: the algorithm's defaults", {"policy": "MlpPolicy"}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "settings.yml")
        config.write_text(yaml.safe_dump({options.env: chosen | {"n_timesteps": options.steps}}))
        manager = ExperimentManager(
            options, options.algorithm, options.env, folder, n_timesteps=options.steps, eval_freq=-1,
            seed=options.seed, config=str(config), device="cpu", verbose=0, log_interval=-2,
        )  # fmt: skip
        start = time.perf_counter()
        model, _ = manager.setup_experiment()
        manager.learn(model)
        seconds = time.perf_counter() - start
        returns = evaluate(model, options.env)
    print(
        json.dumps(
            {
                "entry": entry, "seed": options.seed, "steps": model.num_timesteps,
                "final": round(float(np.mean(returns)), 4), "std": round(float(np.std(returns)), 4),
                "seconds": round(seconds, 1),
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
