"""One run of Stable-Baselines3's DQN on CartPole-v1; prints a line of JSON: greedy returns on the way.

    python dqn.py --seed S --steps N --settings zoo|defaults --evaluations E --episodes K

zoo: what rl_zoo3 2.9.2 tuned for CartPole-v1 (hyperparams/dqn.yml), for 50,000 steps; defaults: the library's own.
Seconds are those of the processor, in training; evaluations, on fresh environments, are not counted.
"""

import argparse
import json
import time
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DQN

ENV = "CartPole-v1"
EVALUATION_SEED = 1_000_000

SETTINGS: dict[str, dict[str, Any]] = {
    "zoo": {
        "learning_rate": 2.3e-3,
        "batch_size": 64,
        "buffer_size": 100_000,
        "learning_starts": 1_000,
        "gamma": 0.99,
        "target_update_interval": 10,
        "train_freq": 256,
        "gradient_steps": 128,
        "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04,
        "policy_kwargs": {"net_arch": [256, 256]},
    },
    "defaults": {},
}


def evaluate(model: DQN, episodes: int, seed: int) -> float:
    """The mean return of the first greedy episode of each of so many fresh environments."""
    envs = [gymnasium.make(ENV) for _ in range(episodes)]
    obs = np.stack([env.reset(seed=seed + i)[0] for i, env in enumerate(envs)])
    total, going = np.zeros(episodes), list(range(episodes))
    while going:
        actions, _ = model.predict(obs[going], deterministic=True)
        for i, action in zip(list(going), actions, strict=True):
            obs[i], reward, terminated, truncated, _ = envs[i].step(action)
            total[i] += float(reward)
            if terminated or truncated:
                going.remove(i)
    return float(total.mean())


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--seed", type=int, required=True)
    command_line.add_argument("--steps", type=int, required=True)
    command_line.add_argument("--settings", choices=list(SETTINGS), required=True)
    command_line.add_argument("--evaluations", type=int, required=True, help="how many, evenly over the steps")
    command_line.add_argument("--episodes", type=int, required=True, help="of each evaluation")
    options = command_line.parse_args()
    torch.set_num_threads(1)
    model = DQN("MlpPolicy", gymnasium.make(ENV), seed=options.seed, device="cpu", **SETTINGS[options.settings])
    every = options.steps // options.evaluations
    points: list[list[float]] = []
    spent, begin = 0.0, time.process_time()

    def look(names: dict[str, Any], _: dict[str, Any]) -> bool:
        nonlocal spent, begin
        if model.num_timesteps % every == 0:
            spent += time.process_time() - begin
            seed = EVALUATION_SEED + 1_000 * len(points)
            points.append([model.num_timesteps, spent, evaluate(model, options.episodes, seed)])
            begin = time.process_time()
        return True

    model.learn(options.steps, callback=look)
    steps, seconds, returns = ([round(point[i], 4) for point in points] for i in range(3))
    spent += time.process_time() - begin
    print(json.dumps({"steps": steps, "seconds": seconds, "return": returns, "train_seconds": round(spent, 2)}))


if __name__ == "__main__":
    main()
