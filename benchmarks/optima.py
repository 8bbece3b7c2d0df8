"""Greedy returns beside the optimum, for Gymnasium's toy-text environments, in which dynamic programming finds it.

python -m benchmarks.optima [ENV ...]

The optimum is computed from the environments' own tables of transitions, that of Blackjack-v1 from its rules. The exact
mean return of a policy is computed likewise, from its greedy actions in every state, and stands beside the mean of its
evaluation. Seeds already in the results are not trained again.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import time
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import scipy.stats
from numpy.typing import NDArray

import a2c
from benchmarks.measure import keep, kept

STEPS = {
    "FrozenLake-v1": 300_000,
    "FrozenLake8x8-v1": 600_000,
    "CliffWalking-v1": 100_000,
    "Taxi-v4": 300_000,
    "Blackjack-v1": 300_000,
}
SEEDS = range(10, 15)  # The settings were chosen on seeds 0 to 2.

EPISODES = {"Blackjack-v1": 10_000}
"""Episodes of the evaluation of the best policy; 1,000 for other environments."""

ENDLESS = 2000
"""Steps after which an episode without a limit is given up: the policy goes round in circles."""


class Table(NamedTuple):
    """A Markov decision process of S states and A actions."""

    transition: NDArray[np.float64]  # [S, A, S]; what is missing to 1 ends the episode
    reward: NDArray[np.float64]  # [S, A] expected
    start: NDArray[np.float64]  # [S]
    observations: list[Any]  # of each state
    mask: NDArray[np.int8]  # [S, A]
    limit: int  # steps of an episode


def table(env_id: str) -> Table:
    """The environment as a table."""
    if env_id == "Blackjack-v1":
        return blackjack()
    env: Any = gymnasium.make(env_id).unwrapped
    shape = (env.observation_space.n, env.action_space.n)
    transition, reward = np.zeros((*shape, shape[0])), np.zeros(shape)
    for state, action in np.ndindex(shape):
        for probability, successor, gain, terminated in env.P[state][action]:
            reward[state, action] += probability * gain
            if not terminated:
                transition[state, action, successor] += probability
    states = list(range(shape[0]))
    mask = np.ones(shape, np.int8)
    if hasattr(env, "action_mask"):
        mask = np.array([env.action_mask(state) for state in states])
    limit = gymnasium.spec(env_id).max_episode_steps or ENDLESS
    return Table(transition, reward, np.asarray(env.initial_state_distrib), states, mask, limit)


# -- Blackjack, which has no table. An ace that counts 11 is usable; a hand of two cards that makes 21 is a natural. --

CARDS = [(card, (4 if card == 10 else 1) / 13) for card in range(1, 11)]


def drawn(total: int, ace: bool, card: int) -> tuple[int, bool]:
    """A hand with one more card; the total counts a usable ace as 11."""
    if card == 1 and total + 11 <= 21:
        return total + 11, True
    total += card
    return (total - 10, False) if total > 21 and ace else (total, ace)


@functools.cache
def dealt(total: int, ace: bool, cards: int) -> dict[tuple[int, bool], float]:
    """How the dealer's hand ends: probability of each (score, natural); 0 is bust."""
    if total > 21:
        return {(0, False): 1.0}
    if total >= 17:
        return {(total, cards == 2 and total == 21): 1.0}
    ends: dict[tuple[int, bool], float] = {}
    for card, probability in CARDS:
        for end, share in dealt(*drawn(total, ace, card), cards + 1).items():
            ends[end] = ends.get(end, 0.0) + probability * share
    return ends


def blackjack() -> Table:
    """Blackjack-v1: infinite deck, and a natural wins against all but a natural (`sab`)."""
    hands = [(total, ace) for ace in (False, True) for total in range(12 if ace else 4, 22)]
    keys = [(*hand, card, False) for card, _ in CARDS for hand in hands]
    keys += [(21, True, card, True) for card, _ in CARDS]
    number = {key: index for index, key in enumerate(keys)}
    transition, reward = np.zeros((len(keys), 2, len(keys))), np.zeros((len(keys), 2))
    for (total, ace, shown, natural), index in number.items():
        for (score, dealers), probability in dealt(*drawn(0, False, shown), 1).items():
            reward[index, 0] += probability * (1 if natural and not dealers else np.sign(total - score))
        for card, probability in CARDS:
            hand = drawn(total, ace, card)
            if hand[0] > 21:
                reward[index, 1] -= probability
            else:
                transition[index, 1, number[(*hand, shown, False)]] += probability
    start = np.zeros(len(keys))
    for shown, chance in CARDS:
        for first, one in CARDS:
            for second, other in CARDS:
                hand = drawn(*drawn(0, False, first), second)
                start[number[(*hand, shown, hand[0] == 21)]] += chance * one * other
    observations = [(total, shown, int(ace)) for total, ace, shown, _ in keys]
    return Table(transition, reward, start, observations, np.ones((len(keys), 2), np.int8), ENDLESS)


# -- dynamic programming --


def worth(of: Table, actions: NDArray[np.int64]) -> float:
    """Mean return of a policy that takes actions [S], within the limit of an episode."""
    states = np.arange(len(actions))
    transition, reward = of.transition[states, actions], of.reward[states, actions]
    value = np.zeros(len(actions))
    for _ in range(of.limit):
        value = reward + transition @ value
    return float(of.start @ value)


def optimum_with_clock(of: Table) -> float:
    """The mean return of the best policy that knows how many steps are left."""
    value = np.zeros(len(of.start))
    for _ in range(of.limit):
        value = (of.reward + of.transition @ value).max(1)
    return float(of.start @ value)


def optimum(of: Table) -> float:
    """The mean return of the best policy found that sees the state alone.

    Value iteration with several discounts gives candidates, which are improved by changing the action in one state
    after another. A better one may exist; `optimum_with_clock` is an upper bound.
    """
    best = -np.inf
    for discount in (1.0, 0.999, 0.995, 0.99, 0.98, 0.95):
        value = np.zeros(len(of.start))
        for _ in range(20_000):
            before, value = value, (of.reward + discount * of.transition @ value).max(1)
            if np.abs(value - before).max() < 1e-12:
                break
        # Of actions that differ only by rounding, the first.
        actions = (of.reward + discount * of.transition @ value).round(10).argmax(1)
        best = max(best, improved(of, actions))
        if best > optimum_with_clock(of) - 1e-9:
            break
    return best


def improved(of: Table, actions: NDArray[np.int64]) -> float:
    """The mean return of a policy after every helpful change in a single state."""
    best = worth(of, actions)
    changed = best < optimum_with_clock(of) - 1e-9
    while changed:
        changed = False
        for state, action in np.ndindex(of.reward.shape):
            other = actions.copy()
            other[state] = action
            if (value := worth(of, other)) > best + 1e-9:
                actions, best, changed = other, value, True
    return best


def greedy(policy: a2c.Policy, of: Table) -> NDArray[np.int64]:
    """The actions [S] of a policy."""
    masked = of.mask if (of.mask == 0).any() else None
    return np.array(
        [
            policy.act(obs, action_mask=None if masked is None else masked[index])
            for index, obs in enumerate(of.observations)
        ]
    )


def measure(env: str) -> None:
    """Trains every seed: what the best and the final policy are worth, and what episodes say."""
    of = table(env)
    name, best, clock = f"optima-{env}", optimum(of), optimum_with_clock(of)
    print(f"{env}: optimum {best:.4f}, with a clock {clock:.4f}", flush=True)
    runs: list[dict[str, Any]] = kept(name).get("runs", [])
    for seed in SEEDS:
        if any(run["seed"] == seed for run in runs):
            continue
        runs.append(trained(env, seed, of))
        keep(
            name,
            f"python -m benchmarks.optima {env}",
            {"env_id": env, "optimum": best, "optimum_with_clock": clock, "runs": runs},
        )


def trained(env: str, seed: int, of: Table) -> dict[str, Any]:
    """One run."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run = a2c.train(
            env, seed=seed, total_steps=STEPS[env], run_dir=folder, num_workers=0, num_threads=1,
            final_eval_episodes=EPISODES.get(env, 1000),
        )  # fmt: skip
        seconds = time.perf_counter() - start
        worths = {f"{which}_worth": worth(of, greedy(run.policy(which), of)) for which in ("best", "final")}
        summary = {name: run.summary[name] for name in ("steps", "evaluation", "final_evaluation")}
    print(f"  seed {seed}: {worths}, {summary['evaluation']['mean']:.4f}, {seconds:.0f} s", flush=True)
    return {"seed": seed, "whole_seconds": seconds, **worths, **summary}


def interval(values: list[float]) -> tuple[float, float]:
    """Mean over seeds and half of its 95 % interval."""
    half = float(scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)) if len(set(values)) > 1 else 0.0
    return float(np.mean(values)), half


def main() -> None:
    for env in sys.argv[1:] or STEPS:
        measure(env)


if __name__ == "__main__":
    main()
