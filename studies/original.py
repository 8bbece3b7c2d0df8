"""What the faults of the Paddle tutorial's program cost: one program, a switch for each fault, 20 seeds each.

    python -m studies.original           trains what is missing in studies/results/original.json
    python -m studies.original_page      writes what came of it into docs/tutorial.md

The program is the tutorial's in NumPy, with its settings: 8 environments, 8 steps, 256 units, Adam. Between two
variants of a seed nothing differs but switches: the same initial parameters, random numbers and episodes' seeds. That
every variant's gradient is what Paddle makes of the tutorial's loss is tested in tests/test_original.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import a2c
from a2c.files import write_bytes

RESULTS = Path(__file__).parent / "results" / "original.json"


SEEDS = range(20)
ENVIRONMENTS = {"CartPole-v0": 195.0, "CartPole-v1": 475.0}
"""The original's, and a longer one; each with the mean return over 100 episodes at which Gymnasium calls it solved."""

N, T, HIDDEN = 8, 8, 256
GAMMA, VALUE_COEF, ENTROPY_COEF = 0.99, 0.5, 0.08  # the tutorial's 0.01 times a sum over 8 steps
RATE, DECAY, DECAY_EVERY = 1e-3, 0.92, 2_000 * N
TOTAL_STEPS = 160_000
BIN = 4_000
"""Steps over which the returns of training episodes are averaged for the curve."""

Array = NDArray[np.float32]
Parameters = dict[str, Array]


class Faults(NamedTuple):
    """What is wrong; all False is the corrected program."""

    mixes_environments: bool = False
    """log pi of every environment's action, [8, 8], times each environment's advantage."""
    squashes_entropy: bool = False
    """Probabilities are taken as logits by the entropy: that of softmax(p) is raised, not that of p."""
    limits_are_deaths: bool = False
    """An episode cut by the time limit is worth nothing from there on."""
    squashes_actions: bool = False
    """Probabilities are taken as logits by the sampling, too: actions come from softmax(p)."""


VARIANTS = {
    "corrected": Faults(),
    "mixed environments": Faults(mixes_environments=True),
    "squashed entropy": Faults(squashes_entropy=True),
    "limits as deaths": Faults(limits_are_deaths=True),
    "squashed actions": Faults(squashes_actions=True),
    "the first three": Faults(True, True, True),
    "all four": Faults(True, True, True, True),
}


# -- the program --


def initial_parameters(rng: np.random.Generator, inputs: int = 4, actions: int = 2) -> Parameters:
    """Xavier's normal weights, no biases, as in the tutorial."""

    def weight(a: int, b: int) -> Array:
        return (rng.standard_normal((a, b)) * np.sqrt(2 / (a + b))).astype(np.float32)

    parameters = {}
    for network, outputs in (("actor", actions), ("critic", 1)):
        parameters[f"{network}.0.weight"] = weight(inputs, HIDDEN)
        parameters[f"{network}.0.bias"] = np.zeros(HIDDEN, np.float32)
        parameters[f"{network}.1.weight"] = weight(HIDDEN, outputs)
        parameters[f"{network}.1.bias"] = np.zeros(outputs, np.float32)
    return parameters


def forward(parameters: Parameters, network: str, obs: Array) -> tuple[Array, Array]:
    """Activations [B, 256] and outputs: obs [B, 4] -> logits [B, 2] of the actor, [B, 1] of the critic."""
    hidden = np.maximum(obs @ parameters[f"{network}.0.weight"] + parameters[f"{network}.0.bias"], 0)
    return hidden, hidden @ parameters[f"{network}.1.weight"] + parameters[f"{network}.1.bias"]


def softmax(logits: Array) -> Array:
    """[B, A] -> [B, A]."""
    exp = np.exp(logits - logits.max(1, keepdims=True))
    return exp / exp.sum(1, keepdims=True)


def value_of(parameters: Parameters, obs: Array) -> Array:
    """[B, 4] -> [B]."""
    return forward(parameters, "critic", obs)[1][:, 0]


class Rollout(NamedTuple):
    """T steps of N environments."""

    obs: Array  # [T, N, 4]
    action: NDArray[np.int64]  # [T, N]
    reward: Array  # [T, N]
    done: NDArray[np.bool_]  # [T, N] the episode ended there, however
    final_value: Array  # [T, N] V of the last observation of an episode that was cut; else 0
    last_value: Array  # [N] V of what is to be acted on next


def returns(rollout: Rollout) -> Array:
    """n-step returns G [T, N]: what came, and from where the rollout or the episode was cut what the critic expects."""
    ahead, found = rollout.last_value, np.empty_like(rollout.reward)
    for t in reversed(range(len(found))):
        ahead = rollout.reward[t] + GAMMA * np.where(rollout.done[t], rollout.final_value[t], ahead)
        found[t] = ahead
    return found


def gradient(parameters: Parameters, rollout: Rollout, faults: Faults) -> Parameters:
    """Of -mean(A log p_a) + value_coef mean((G - V)^2) - entropy_coef mean(H), or of what a fault makes of it."""
    steps, num_envs = rollout.reward.shape
    rows = steps * num_envs
    obs, actions = rollout.obs.reshape(rows, -1), parameters["actor.1.bias"].size
    hidden, logits = forward(parameters, "actor", obs)
    seen, value = forward(parameters, "critic", obs)
    p, error = softmax(logits), returns(rollout).reshape(rows, 1) - value  # G - V: the advantage
    taken = np.eye(actions, dtype=np.float32)[rollout.action]  # [T, N, A]
    if faults.mixes_environments:  # Each row meets the actions of all environments at its step.
        taken = np.broadcast_to(taken.mean(1, keepdims=True), taken.shape)
    by_logits = -error * (taken.reshape(rows, actions) - p)
    if faults.squashes_entropy:
        q = softmax(p)
        by_p = -q * (np.log(q) - (q * np.log(q)).sum(1, keepdims=True))  # dH(q) / dp
        by_entropy = p * (by_p - (p * by_p).sum(1, keepdims=True))
    else:
        log_p = np.log(np.maximum(p, 1e-30))
        by_entropy = -p * (log_p - (p * log_p).sum(1, keepdims=True))
    by_logits = (by_logits - ENTROPY_COEF * by_entropy) / rows
    by_value = -2 * VALUE_COEF * error / rows
    found = {}
    for network, units, outputs in (("actor", hidden, by_logits), ("critic", seen, by_value)):
        by_units = (outputs @ parameters[f"{network}.1.weight"].T) * (units > 0)
        found[f"{network}.0.weight"], found[f"{network}.0.bias"] = obs.T @ by_units, by_units.sum(0)
        found[f"{network}.1.weight"], found[f"{network}.1.bias"] = units.T @ outputs, outputs.sum(0)
    return found


class Adam:
    """As Paddle has it."""

    def __init__(self, parameters: Parameters) -> None:
        self.t = 0
        self.m, self.v = ({name: np.zeros_like(array) for name, array in parameters.items()} for _ in range(2))

    def step(self, parameters: Parameters, gradients: Parameters, rate: float) -> None:
        """Changes the parameters."""
        self.t += 1
        first, second = 1 - 0.9**self.t, 1 - 0.999**self.t
        for name, g in gradients.items():
            m, v = self.m[name], self.v[name]
            m += np.float32(0.1) * (g - m)
            v += np.float32(0.001) * (g * g - v)
            parameters[name] -= np.float32(rate / first) * m / (np.sqrt(v / np.float32(second)) + np.float32(1e-8))


def chosen(parameters: Parameters, obs: Array, faults: Faults, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Actions [B] that uniforms [B] lead to."""
    p = softmax(forward(parameters, "actor", obs)[1])
    if faults.squashes_actions:
        p = softmax(p)
    return (uniform >= p[:, 0]).astype(np.int64)


class Episodes(NamedTuple):
    """Those that ended in training."""

    step: list[int]
    value: list[float]
    """The return."""


def train(env_id: str, faults: Faults, seed: int, total_steps: int = TOTAL_STEPS) -> tuple[Parameters, Episodes, float]:
    """Trains, and returns parameters, training episodes, and the mean of V over the last tenth of the steps."""
    init, draws = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    parameters = initial_parameters(init)
    adam, episodes, so_far = Adam(parameters), Episodes([], []), np.zeros(N)
    values: list[float] = []
    envs = a2c.make_envs(env_id, N, vectorization="compiled", seed=seed)
    obs = envs.begin().astype(np.float32)
    for update in range(-(-total_steps // (N * T))):
        seen, actions = np.empty((T, N, 4), np.float32), np.empty((T, N), np.int64)
        reward, final_value = np.zeros((2, T, N), np.float32)
        done = np.empty((T, N), np.bool_)
        for t in range(T):
            seen[t] = obs
            actions[t] = chosen(parameters, obs, faults, draws.random(N))
            step = envs.advance(actions[t])
            reward[t], done[t] = step.reward, step.terminated | step.truncated
            so_far += step.reward
            if done[t].any():
                cut = step.truncated & ~step.terminated
                if cut.any() and not faults.limits_are_deaths:
                    final_value[t, cut] = value_of(parameters, step.next_obs[cut].astype(np.float32))
                episodes.step.extend([(update * T + t + 1) * N] * int(done[t].sum()))
                episodes.value.extend(so_far[done[t]].tolist())
                so_far[done[t]] = 0.0
            obs = step.obs.astype(np.float32)
        rollout = Rollout(seen, actions, reward, done, final_value, value_of(parameters, obs))
        rate = RATE * DECAY ** (update * T * N // DECAY_EVERY)
        adam.step(parameters, gradient(parameters, rollout, faults), rate)
        if (update + 1) * N * T > 0.9 * total_steps:
            values.append(float(rollout.last_value.mean()))
    envs.close()
    return parameters, episodes, float(np.mean(values))


def evaluate(env_id: str, parameters: Parameters, faults: Faults, seed: int, greedy: bool, count: int = 100) -> float:
    """The mean return of 100 episodes, on seeds of their own; sampled as the program samples, faults and all."""
    draws = np.random.default_rng([seed, 2])
    envs = a2c.make_envs(env_id, count, vectorization="compiled", seed=1_000_000 + seed)
    obs, total, is_open = envs.begin().astype(np.float32), np.zeros(count), np.ones(count, np.bool_)
    while is_open.any():
        uniform = np.full(count, 0.5) if greedy else draws.random(count)
        step = envs.advance(chosen(parameters, obs, faults, uniform))
        total += np.where(is_open, step.reward, 0.0)
        is_open &= ~(step.terminated | step.truncated)
        obs = step.obs.astype(np.float32)
    envs.close()
    return float(total.mean())


# -- the measurement --


def measured(env_id: str, variant: str, seed: int, total_steps: int = TOTAL_STEPS) -> dict[str, object]:
    """A row of the results."""
    faults = VARIANTS[variant]
    parameters, episodes, value = train(env_id, faults, seed, total_steps)
    step, came = np.array(episodes.step), np.array(episodes.value)
    last_100 = np.convolve(came, np.full(100, 0.01), "valid")  # of 100 episodes in a row
    solved = np.flatnonzero(last_100 >= ENVIRONMENTS[env_id] - 1e-9)
    bins = [came[(step > first) & (step <= first + BIN)] for first in range(0, total_steps, BIN)]
    return {
        "env": env_id, "variant": variant, "seed": seed,
        "solved_after": int(step[solved[0] + 99]) if len(solved) else None,
        "sampled": evaluate(env_id, parameters, faults, seed, greedy=False),
        "greedy": evaluate(env_id, parameters, faults, seed, greedy=True),
        "value": round(value, 3),
        "curve": [round(float(returns_of.mean()), 1) if len(returns_of) else None for returns_of in bins],
    }  # fmt: skip


def saved() -> list[dict[str, object]]:
    """The rows measured so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []


def save(rows: list[dict[str, object]]) -> None:
    """One row a line, so that a change is seen where it is."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = json.dumps({"command": "python -m studies.original", "total_steps": TOTAL_STEPS, "bin": BIN})[:-1]
    RESULTS.parent.mkdir(exist_ok=True)
    write_bytes(RESULTS, f'{head}, "rows": [\n{lines}\n]}}\n'.encode())


def missing(rows: list[dict[str, object]]) -> Iterator[tuple[str, str, int]]:
    """What is not measured yet."""
    there = {(row["env"], row["variant"], row["seed"]) for row in rows}
    every = ((env, variant, seed) for env, seed, variant in itertools.product(ENVIRONMENTS, SEEDS, VARIANTS))
    return (one for one in every if one not in there)


def main() -> int:
    rows = saved()
    for one in list(missing(rows)):
        rows.append(measured(*one))
        save(rows)
        print(*one, *(rows[-1][name] for name in ("solved_after", "sampled", "greedy", "value")), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
