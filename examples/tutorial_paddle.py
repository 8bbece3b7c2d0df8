"""A2C in one file of Paddle: PaddlePaddle's tutorial, corrected. docs/tutorial.md explains it, formula by formula.

python examples/tutorial_paddle.py
"""

import time
import warnings
from typing import NamedTuple

import numpy as np

import a2c

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Paddle misses ccache, which only its own C++ extensions need.
    import paddle
    import paddle.nn.functional as F  # noqa: N812 - its usual name
    from paddle import nn

ENV, NUM_ENVS, LENGTH, TOTAL_STEPS = "CartPole-v0", 8, 8, 160_000
GAMMA, LAMBDA = 0.99, 1.0  # with lambda = 1 the advantage is the n-step return less the value
VALUE_COEF, ENTROPY_COEF = 0.5, 0.08  # of means; the tutorial's 0.01 is of a sum over 8 steps
RATE, DECAY, DECAY_EVERY = 1e-3, 0.92, 16_000


class ActorCritic(nn.Layer):
    """Two networks: the actor's logits, and the critic's value of a state."""

    def __init__(self, obs_size, num_actions, hidden=256):
        super().__init__()
        self.actor = nn.Sequential(linear(obs_size, hidden), nn.ReLU(), linear(hidden, num_actions))
        self.critic = nn.Sequential(linear(obs_size, hidden), nn.ReLU(), linear(hidden, 1))

    def forward(self, obs):
        """[B, D] -> logits [B, A], V(s) [B]."""
        return self.actor(obs), self.critic(obs).squeeze(1)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, weight_attr=nn.initializer.XavierNormal(), bias_attr=nn.initializer.Constant(0.0))


class Rollout(NamedTuple):
    """What one update learns from: T steps of N environments."""

    obs: np.ndarray  # [T, N, D]
    action: np.ndarray  # [T, N]
    reward: np.ndarray  # [T, N]
    value: np.ndarray  # [T, N] V(s_t)
    next_value: np.ndarray  # [T, N] V of the true successor of s_t
    terminated: np.ndarray  # [T, N] the pole fell: nothing follows
    truncated: np.ndarray  # [T, N] the time was up: the pole still stands


def collect(envs, model, obs):
    """The actor plays T steps in every environment; returns the rollout, and what to act on next."""
    seen, actions, rewards, values, terminations, truncations, ends = [], [], [], [], [], [], []
    for t in range(LENGTH):
        logits, value = predict(model, obs)
        action = paddle.multinomial(F.softmax(logits)).squeeze(1).numpy()
        next_obs, reward, terminated, truncated, infos = envs.step(action)
        for n in np.flatnonzero(truncated & ~terminated):
            # `next_obs` is the first of the next episode there; the last one of this episode is in the infos.
            ends.append((t, n, infos["final_obs"][n]))
        seen.append(obs)
        actions.append(action)
        rewards.append(reward)
        values.append(value.numpy())
        terminations.append(terminated)
        truncations.append(truncated)
        obs = next_obs
    last_value = predict(model, obs)[1].numpy()
    next_value = np.array([*values[1:], last_value])
    for t, n, final_obs in ends:
        next_value[t, n] = predict(model, final_obs[None])[1].item()
    arrays = (np.array(each) for each in (seen, actions, rewards, values))
    return Rollout(*arrays, next_value, np.array(terminations), np.array(truncations)), obs


def predict(model, obs):
    """Logits and values, without remembering how they came about."""
    with paddle.no_grad():
        return model(paddle.to_tensor(obs, dtype="float32"))


def advantages_and_returns(rollout):
    """A_t = delta_t + gamma lambda A_{t+1}, and G_t = A_t + V(s_t): both [T, N]."""
    advantage, ahead = np.zeros_like(rollout.value), 0.0
    for t in reversed(range(len(advantage))):
        successor = np.where(rollout.terminated[t], 0.0, rollout.next_value[t])
        delta = rollout.reward[t] + GAMMA * successor - rollout.value[t]
        is_over = rollout.terminated[t] | rollout.truncated[t]
        advantage[t] = ahead = delta + GAMMA * LAMBDA * np.where(is_over, 0.0, ahead)
    return advantage, advantage + rollout.value


def loss_of(model, rollout, advantage, returns):
    """-mean(A log pi(a|s)) + value_coef mean((G - V)^2) - entropy_coef mean(H). A and G are numbers, not functions."""
    rows = advantage.size
    logits, value = model(paddle.to_tensor(rollout.obs.reshape(rows, -1), dtype="float32"))
    action, advantage, returns = (
        paddle.to_tensor(array.reshape(rows), dtype=dtype)
        for array, dtype in ((rollout.action, "int64"), (advantage, "float32"), (returns, "float32"))
    )
    log_p = F.log_softmax(logits)  # [T N, A]
    log_prob = paddle.take_along_axis(log_p, action.unsqueeze(1), 1).squeeze(1)  # of the action taken
    entropy = -(log_p.exp() * log_p).sum(1)
    # All [T N]. Otherwise they would be broadcast, and every environment would learn from every other's actions.
    assert log_prob.shape == advantage.shape == value.shape == returns.shape == entropy.shape
    actor_loss, critic_loss = -(advantage * log_prob).mean(), ((returns - value) ** 2).mean()
    return actor_loss + VALUE_COEF * critic_loss - ENTROPY_COEF * entropy.mean()


def train(seed=0, total_steps=TOTAL_STEPS, report=print):
    """Collect, learn, and again; returns the model and the returns of the episodes that it played."""
    paddle.seed(seed)
    envs = a2c.make_envs(ENV, NUM_ENVS, seed=seed)
    model = ActorCritic(envs.single_observation_space.shape[0], int(envs.single_action_space.n))
    optimizer = paddle.optimizer.Adam(RATE, parameters=model.parameters())
    obs, _ = envs.reset(seed=seed)
    finished, running = [], np.zeros(NUM_ENVS)
    for steps in range(0, total_steps, NUM_ENVS * LENGTH):
        rollout, obs = collect(envs, model, obs)
        loss_of(model, rollout, *advantages_and_returns(rollout)).backward()
        optimizer.set_lr(RATE * DECAY ** (steps // DECAY_EVERY))
        optimizer.step()
        optimizer.clear_grad()
        for reward, done in zip(rollout.reward, rollout.terminated | rollout.truncated, strict=True):
            running += reward
            finished += running[done].tolist()
            running[done] = 0.0
        if steps % 16_000 == 0 and finished:
            report(f"after {steps:>7,} steps, mean return of the last 100 episodes: {np.mean(finished[-100:]):.1f}")
    envs.close()
    return model, finished


def evaluate(model, episodes=20, seed=1_000_000):
    """The mean return of the most probable actions, over whole episodes in fresh environments."""
    envs = a2c.make_envs(ENV, episodes, seed=seed)
    obs, _ = envs.reset(seed=seed)
    total, is_open = np.zeros(episodes), np.ones(episodes, bool)
    while is_open.any():
        obs, reward, terminated, truncated, _ = envs.step(predict(model, obs)[0].argmax(1).numpy())
        total += np.where(is_open, reward, 0.0)
        is_open &= ~(terminated | truncated)
    envs.close()
    return total.mean()


if __name__ == "__main__":
    start = time.perf_counter()
    model, _ = train()
    print(f"{TOTAL_STEPS / (time.perf_counter() - start):,.0f} steps per second")
    print(f"mean return of 20 greedy episodes: {evaluate(model):.1f}")
