"""A2C on an Atari in plain PyTorch, as short programs of one file write it; prints its steps per second.

    python atari_torch.py --env ID --num-envs N --rollout-length T --steps S --threads K [--emulators K] [--again]

Made to be fast: ale_py's own vector environment, in C++ with threads of its own (--emulators), images and weights with
channels last, and one backward pass through the graphs that acting made. --again: as most such programs do it, acting
without graphs, and all images of the rollout through the network once more, together.
"""

import argparse
import re

import torch
from ale_py.vector_env import AtariVectorEnv
from common import steps_per_second

command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
command_line.add_argument("--env", required=True)
for name in ("--num-envs", "--rollout-length", "--steps", "--threads"):
    command_line.add_argument(name, type=int, required=True)
command_line.add_argument("--emulators", type=int, default=2)
command_line.add_argument("--again", action="store_true")
options = command_line.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)
T, N, GAMMA = options.rollout_length, options.num_envs, 0.99

game = re.sub(r"(?<!^)(?=[A-Z])", "_", re.sub(r"ALE/|NoFrameskip|-v\d", "", options.env)).lower()
envs = AtariVectorEnv(
    game, N, num_threads=options.emulators, repeat_action_probability=0.25 if options.env.startswith("ALE/") else 0.0,
    episodic_life=True, autoreset_mode="SameStep",
)  # fmt: skip
torso = torch.nn.Sequential(
    torch.nn.Conv2d(4, 32, 8, 4), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 4, 2), torch.nn.ReLU(),
    torch.nn.Conv2d(64, 64, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3136, 512), torch.nn.ReLU(),
).to(memory_format=torch.channels_last)  # fmt: skip
actor, critic = torch.nn.Linear(512, envs.single_action_space.n), torch.nn.Linear(512, 1)
parameters = [*torso.parameters(), *actor.parameters(), *critic.parameters()]
optimizer = torch.optim.RMSprop(parameters, 7e-4, alpha=0.99, eps=1e-5)


def shown(images):
    return torch.from_numpy(images).contiguous(memory_format=torch.channels_last).float() / 255


obs = shown(envs.reset(seed=0)[0])


def train(updates):
    global obs
    for _ in range(updates):
        seen, actions, logits, values, rewards, ends = [], [], [], [], [], []
        for _ in range(T):
            with torch.set_grad_enabled(not options.again):
                features = torso(obs)
                logits.append(actor(features))
                values.append(critic(features)[:, 0])
                action = torch.distributions.Categorical(logits=logits[-1].detach()).sample()
            seen.append(obs)
            actions.append(action)
            images, reward, terminated, truncated, _ = envs.step(action.numpy())
            obs = shown(images)
            rewards.append(torch.from_numpy(reward).float())
            ends.append(torch.from_numpy(terminated | truncated).float())
        with torch.no_grad():
            following = critic(torso(obs))[:, 0]
            returns = []
            for reward, end in zip(reversed(rewards), reversed(ends), strict=True):
                following = reward + GAMMA * (1 - end) * following
                returns.append(following)
            returns = torch.cat(returns[::-1])
        if options.again:
            features = torso(torch.cat(seen))
            policy, value = actor(features), critic(features)[:, 0]
        else:
            policy, value = torch.cat(logits), torch.cat(values)
        policy = torch.distributions.Categorical(logits=policy)
        advantage = returns - value.detach()
        loss = -(policy.log_prob(torch.cat(actions)) * advantage).mean()
        loss = loss - 0.01 * policy.entropy().mean() + 0.25 * ((returns - value) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()


print(steps_per_second(options, train))
