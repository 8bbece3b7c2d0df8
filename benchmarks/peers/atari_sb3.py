"""Stable-Baselines3's A2C with its CnnPolicy on an Atari; prints its steps per second, and its peak memory in MiB.

    python atari_sb3.py --env ID --num-envs N --rollout-length T --steps S --threads K [--processes]

Standard preprocessing (its AtariWrapper), four frames stacked. --processes: environments in processes of their own.
"""

import argparse
import resource

import ale_py
import gymnasium
import torch
from common import steps_per_second
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

if __name__ == "__main__":
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--env", required=True)
    for name in ("--num-envs", "--rollout-length", "--steps", "--threads"):
        command_line.add_argument(name, type=int, required=True)
    command_line.add_argument("--processes", action="store_true")
    options = command_line.parse_args()
    torch.set_num_threads(options.threads)
    gymnasium.register_envs(ale_py)
    kind = SubprocVecEnv if options.processes else DummyVecEnv
    envs = VecFrameStack(make_atari_env(options.env, options.num_envs, seed=0, vec_env_cls=kind), 4)
    model = A2C(
        "CnnPolicy", envs, n_steps=options.rollout_length, learning_rate=7e-4, gamma=0.99, gae_lambda=1.0,
        ent_coef=0.01, vf_coef=0.25, max_grad_norm=0.5, device="cpu", seed=0,
    )  # fmt: skip
    rate = steps_per_second(options, lambda updates: model.learn(updates * options.num_envs * options.rollout_length))
    here = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    envs.close()
    print(here + options.num_envs * options.processes * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    print(rate)
