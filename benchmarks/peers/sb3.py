"""Stable-Baselines3's A2C; prints its steps per second.

    python sb3.py --env ENV --num-envs N --rollout-length T --hidden H [H ...] --activation relu|tanh --steps S
        --threads K [--normalize]

ENV: CartPole-v1 or HalfCheetah-v5. --normalize: running normalisation of observations and rewards.
"""

import torch
from common import parser, steps_per_second
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

command_line = parser(__doc__, "CartPole-v1", "HalfCheetah-v5")
command_line.add_argument("--normalize", action="store_true")
options = command_line.parse_args()
torch.set_num_threads(options.threads)

envs = make_vec_env(options.env, options.num_envs)
if options.normalize:
    envs = VecNormalize(envs, gamma=0.99)
model = A2C(
    "MlpPolicy",
    envs,
    n_steps=options.rollout_length,
    learning_rate=1e-3,
    gamma=0.99,
    gae_lambda=1.0 if options.env == "CartPole-v1" else 0.95,
    ent_coef=0.01,
    vf_coef=0.5,
    max_grad_norm=0.5,
    use_rms_prop=False,
    policy_kwargs={
        "net_arch": {"pi": options.hidden, "vf": options.hidden},
        "activation_fn": {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[options.activation],
    },
    device="cpu",
    seed=0,
)
print(steps_per_second(options, lambda updates: model.learn(updates * options.num_envs * options.rollout_length)))
