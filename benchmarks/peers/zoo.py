"""One run of Stable-Baselines3 or sb3-contrib; prints a line of JSON: greedy returns of the final policy.

    python zoo.py --algorithm ppo|a2c|trpo --env ENV --seed S --steps N [--defaults] [--max-episode-steps M]

The settings are those that rl_zoo3 ships for the environment, of whatever version it has (it lists v4 and v2 where
Gymnasium is at v5), and rl_zoo3's defaults where it lists none. --defaults: those of the algorithm itself instead.
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
from rl_zoo3.utils import ALGOS

EPISODES = 100
EVALUATION_SEED = 1_000_000


def with_settings_of_the_zoo(options: argparse.Namespace) -> tuple[Any, str, float]:
    """Trains as rl_zoo3 does: the model, the name of the settings, and how many seconds learning took."""
    entries = yaml.safe_load((Path(rl_zoo3.__file__).parent / "hyperparams" / f"{options.algorithm}.yml").read_text())
    name = options.env.rpartition("-v")[0]
    versions = sorted((key for key in entries if key.rpartition("-v")[0] == name), reverse=True)
    entry = versions[0] if versions else "default"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "settings.yml")
        config.write_text(yaml.safe_dump({options.env: entries[entry] | {"n_timesteps": options.steps}}))
        manager = ExperimentManager(
            options, options.algorithm, options.env, folder, n_timesteps=options.steps, eval_freq=-1,
            seed=options.seed, config=str(config), device="cpu", verbose=0, log_interval=-2,
        )  # fmt: skip
        start = time.perf_counter()
        model, _ = manager.setup_experiment()
        manager.learn(model)
    return model, f"{entry} of rl_zoo3's {options.algorithm}.yml", time.perf_counter() - start


def with_defaults(options: argparse.Namespace) -> tuple[Any, str, float]:
    """Trains with nothing chosen: the model, the name of the settings, and how many seconds learning took."""
    env = gymnasium.make(options.env, max_episode_steps=options.max_episode_steps)
    policy = "MultiInputPolicy" if isinstance(env.observation_space, gymnasium.spaces.Dict) else "MlpPolicy"
    start = time.perf_counter()
    model = ALGOS[options.algorithm](policy, env, seed=options.seed, device="cpu").learn(options.steps)
    return model, "the algorithm's defaults", time.perf_counter() - start


def evaluate(model: Any, env: gymnasium.Env[Any, Any]) -> list[float]:
    """Returns of whole greedy episodes on a fresh environment, observations normalised as in training."""
    normalizer = model.get_vec_normalize_env()
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
    command_line.add_argument("--max-episode-steps", type=int, help="cut episodes off after so many steps")
    options = command_line.parse_args()
    if options.max_episode_steps is not None and not options.defaults:
        command_line.error("--max-episode-steps needs --defaults: rl_zoo3 makes its environments itself")
    torch.set_num_threads(1)
    model, settings, seconds = (with_defaults if options.defaults else with_settings_of_the_zoo)(options)
    returns = evaluate(model, gymnasium.make(options.env, max_episode_steps=options.max_episode_steps))
    print(
        json.dumps(
            {
                "settings": settings, "seed": options.seed, "steps": model.num_timesteps,
                "final": round(float(np.mean(returns)), 4), "std": round(float(np.std(returns)), 4),
                "seconds": round(seconds, 1),
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
