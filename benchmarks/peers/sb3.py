"""Stable-Baselines3's A2C with the settings of benchmarks/training.py; prints its steps per second.

python benchmarks/peers/sb3.py THREADS STEPS
"""

import sys
import time

import torch
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_vec_env

threads, steps = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
model = A2C(
    "MlpPolicy",
    make_vec_env("CartPole-v1", 8),
    n_steps=8,
    learning_rate=1e-3,
    gamma=0.99,
    gae_lambda=1.0,
    ent_coef=0.01,
    vf_coef=0.5,
    max_grad_norm=0.5,
    use_rms_prop=False,
    policy_kwargs={"net_arch": [256], "activation_fn": torch.nn.ReLU},
    device="cpu",
    seed=0,
)
model.learn(6_400)  # warm up
start = time.perf_counter()
model.learn(steps)
print(steps / (time.perf_counter() - start))
