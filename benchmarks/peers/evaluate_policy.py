"""Stable-Baselines3's evaluate_policy on a policy of ours, beside our own evaluation of it.

    python evaluate_policy.py RUN [--episodes E]

It needs both in one Python: peers/requirements.txt and `pip install .` of this project. Greedy episodes; where they
begin is drawn by either in its own way, so means agree up to chance.
"""

import argparse

import gymnasium
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import a2c

if __name__ == "__main__":
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("run")
    command_line.add_argument("--episodes", type=int, default=200)
    options = command_line.parse_args()
    run = a2c.Run(options.run)
    envs = VecMonitor(DummyVecEnv([lambda: gymnasium.make(run.config.env_id)] * 8))
    envs.seed(0)
    mean, std = evaluate_policy(a2c.load(run), envs, n_eval_episodes=options.episodes, deterministic=True)
    ours = run.evaluate(options.episodes)
    print(f"Stable-Baselines3: {mean:.2f} +- {std:.2f}")
    print(f"a2c: {ours.mean:.2f} +- {ours.std:.2f}")
