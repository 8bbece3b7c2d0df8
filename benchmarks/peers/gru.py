"""A2C with a gated recurrent unit in PyTorch, on CartPole-v1 without velocities; prints its steps per second.

    python gru.py --env CartPole-v1 --num-envs N --rollout-length T --hidden H [H ...] --activation tanh --steps S
        --threads K --memory M

The same work as ours: the unit sees the observation, separate actor and critic see both, the gradient of one rollout
flows through all its steps, one step of Adam.
"""

import itertools

import gymnasium
import numpy as np
import torch
from common import parser, steps_per_second

command_line = parser(__doc__, "CartPole-v1")
command_line.add_argument("--memory", type=int, required=True)
options = command_line.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)
T, N, M = options.rollout_length, options.num_envs, options.memory
GAMMA, LAMBDA = 0.99, 0.95


class Hidden(gymnasium.ObservationWrapper):
    def __init__(self):
        super().__init__(gymnasium.make(options.env))
        self.observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float32)

    def observation(self, observation):
        return observation[[0, 2]]


def network(outputs):
    sizes = [2 + M, *options.hidden]
    layers = [part for i, o in itertools.pairwise(sizes) for part in (torch.nn.Linear(i, o), torch.nn.Tanh())]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], outputs))


envs = gymnasium.vector.SyncVectorEnv(
    [Hidden] * N, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
)  # What follows an end is a reset, as it is in ours.
cell, actor, critic = torch.nn.GRUCell(2, M), network(2), network(1)
parameters = [*cell.parameters(), *actor.parameters(), *critic.parameters()]
adam = torch.optim.Adam(parameters, 1e-3)
obs, carry = torch.from_numpy(envs.reset(seed=0)[0]), torch.zeros(N, M)


def train(updates):
    global obs, carry
    for _ in range(updates):
        seen, actions, rewards, ends = [], [], [], []
        values, first = [], carry
        with torch.no_grad():
            for _ in range(T):
                carry = cell(obs, carry)
                both = torch.cat([obs, carry], 1)
                action = torch.distributions.Categorical(logits=actor(both)).sample()
                values.append(critic(both)[:, 0])
                seen.append(obs)
                actions.append(action)
                following, reward, terminated, truncated, _ = envs.step(action.numpy())
                end = torch.from_numpy(terminated | truncated).float()
                rewards.append(torch.from_numpy(reward).float())
                ends.append(end)
                carry = carry * (1 - end)[:, None]
                obs = torch.from_numpy(following)
            values.append(critic(torch.cat([obs, cell(obs, carry)], 1))[:, 0])
            advantages, advantage = [], torch.zeros(N)
            for t in range(T - 1, -1, -1):
                delta = rewards[t] + GAMMA * (1 - ends[t]) * values[t + 1] - values[t]
                advantage = delta + GAMMA * LAMBDA * (1 - ends[t]) * advantage
                advantages.insert(0, advantage)
            advantage = torch.stack(advantages)
            returns = advantage + torch.stack(values[:T])
        remembered, state = [], first
        for t in range(T):
            state = cell(seen[t], state)
            remembered.append(state)
            state = state * (1 - ends[t])[:, None]
        both = torch.cat([torch.stack(seen), torch.stack(remembered)], 2)
        distribution = torch.distributions.Categorical(logits=actor(both))
        policy_loss = -(advantage * distribution.log_prob(torch.stack(actions))).mean()
        value_loss = ((returns - critic(both)[..., 0]) ** 2).mean()
        loss = policy_loss + 0.5 * value_loss - 0.01 * distribution.entropy().mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.5)
        adam.step()


print(steps_per_second(options, train))
