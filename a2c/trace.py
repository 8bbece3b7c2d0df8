"""Records the first episodes of an evaluation: their actions, and the critic's values with the returns that followed.

It only reads: actions and episodes are the same without it.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.vector import Step
from a2c.policy import Policy
from a2c.spaces import Part, parts

_MOST_ENVS, _MOST_STEPS = 8, 2_000
"""The most episodes that are recorded, and the most steps of each."""
_POINTS = 150
"""Points of an episode in the summary, about."""
_BINS = 21
_MOST_PARTS, _MOST_CHOICES = 12, 64


class Critic(NamedTuple):
    """What the critic's value estimates."""

    gamma: float
    scale: float
    """The environment's return for one unit of value."""
    rewards: Literal["own", "signs"] = "own"
    """Whether it was trained on the environment's own rewards, or on their signs."""


class Trace:
    """Records the first episode of up to 8 environments, up to 2,000 steps each."""

    def __init__(self, policy: Policy, critic: Critic | None) -> None:
        """Records nothing yet.

        Args:
            policy: The policy that acts.
            critic: What its critic's value estimates; None: values are not recorded.
        """
        self._policy, self._critic = policy, critic
        self._is_open = np.ones(0, np.bool_)  # [K] whether the first episode is still running
        self._actions: list[NDArray[Any]] = []
        self._values: list[NDArray[np.float64]] = []  # [K] each, NaN after the episode's end
        self._rewards: list[NDArray[np.float64]] = []
        self._last = np.zeros(0)  # [K] the value after the last step; 0 after a termination

    def before(self, obs: NDArray[Any], actions: NDArray[Any], carry: NDArray[np.float32]) -> None:
        """Records what a step begins with: obs [N, ...], actions [N, ...], and the carry [N, H] before it."""
        if not self._actions:
            self._is_open = np.ones(min(len(obs), _MOST_ENVS), np.bool_)
            self._last = np.full(len(self._is_open), np.nan)
        if not self._looks_on:
            return
        k = len(self._is_open)
        self._actions.append(actions[:k][self._is_open].copy())
        if self._critic is not None:
            self._values.append(np.where(self._is_open, self._value(obs[:k], carry[:k]), np.nan))

    def after(self, step: Step, carry: NDArray[np.float32]) -> None:
        """Records the step's result, and the carry [N, H] after it."""
        if not self._looks_on:
            return
        k = len(self._is_open)
        if self._critic is not None:
            reward = np.sign(step.reward[:k]) if self._critic.rewards == "signs" else step.reward[:k].copy()
            self._rewards.append(np.where(self._is_open, reward, np.nan))
        is_cut = len(self._actions) == _MOST_STEPS
        ends = self._is_open & (step.terminated[:k] | step.truncated[:k] | is_cut)
        if self._critic is not None and ends.any():
            expected = np.zeros(k)
            if (ends & ~step.terminated[:k]).any():
                expected = np.where(step.terminated[:k], 0.0, self._value(step.next_obs[:k], carry[:k]))
            self._last = np.where(ends, expected, self._last)
        self._is_open &= ~ends

    @property
    def _looks_on(self) -> bool:
        return bool(self._is_open.any())

    def _value(self, obs: NDArray[Any], carry: NDArray[np.float32]) -> NDArray[np.float64]:
        """The critic's value in the environment's units [K]."""
        assert self._critic is not None  # noqa: S101 - for mypy: it is called only with a critic
        return self._policy.value(obs, carry).astype(np.float64) * self._critic.scale

    def summary(self) -> dict[str, Any]:
        """For JSON: `actions`, a list of the parts of an action; and `critic`, if values were recorded."""
        found: dict[str, Any] = {"actions": actions_in_numbers(self._policy.action_space, self._actions)}
        if self._critic is not None and self._values:
            found["critic"] = self._of_the_critic(self._critic)
        return found

    def _of_the_critic(self, critic: Critic) -> dict[str, Any]:
        count = len(self._rewards)
        values, rewards = np.array(self._values[:count]), np.array(self._rewards)  # [L, K]
        returns = discounted_returns(rewards, self._last, critic.gamma)
        episodes, seen = [], []
        for value, came in zip(values.T, returns.T, strict=True):
            is_known = np.isfinite(value) & np.isfinite(came)
            if not is_known.any():
                continue
            seen.append((value[is_known], came[is_known]))
            steps = np.flatnonzero(is_known)[:: max(1, -(-int(is_known.sum()) // _POINTS))]
            episodes.append({"step": steps.tolist(), "value": _short(value[steps]), "return": _short(came[steps])})
        expected, came = (
            np.concatenate(each) if seen else np.zeros(0) for each in (list(zip(*seen, strict=True)) or [(), ()])
        )
        return {
            "gamma": critic.gamma,
            "rewards": critic.rewards,
            "steps": len(came),
            "explained_variance": explained_variance(expected, came),
            "mean_error": _finite(float((expected - came).mean())) if len(came) else None,
            "episodes": episodes,
        }


def discounted_returns(rewards: NDArray[np.float64], last: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """The discounted return from each step on: G_t = r_t + gamma G_{t+1}.

    Args:
        rewards: [L, K], NaN after an episode's end.
        last: [K] the value after an episode's last step.
        gamma: The discount.

    Returns:
        [L, K], NaN after an episode's end.
    """
    returns, ahead = np.full(rewards.shape, np.nan), last.copy()
    for t in range(len(rewards) - 1, -1, -1):
        is_there = ~np.isnan(rewards[t])
        ahead = np.where(is_there, rewards[t] + gamma * ahead, ahead)
        returns[t] = np.where(is_there, ahead, np.nan)
    return returns


def explained_variance(expected: NDArray[np.float64], came: NDArray[np.float64]) -> float | None:
    """1 - Var(came - expected) / Var(came); None if `came` does not vary."""
    variance = float(came.var()) if len(came) else 0.0
    return _finite(1 - float((came - expected).var()) / variance) if variance > 1e-12 else None


def actions_in_numbers(space: gymnasium.Space[Any], actions: list[NDArray[Any]]) -> list[dict[str, Any]]:
    """The distribution of each part of an action: counts of choices, histograms of real numbers.

    Args:
        space: The action space.
        actions: Rows of actions.
    """
    if not actions:
        return []
    rows = np.concatenate(actions)
    found: list[dict[str, Any]] = []
    for part in parts(space):
        found += _of_a_part(part, rows if rows.dtype.names is None else rows[part.name])
        if len(found) >= _MOST_PARTS:
            return found[:_MOST_PARTS]
    return found


def _of_a_part(part: Part, rows: NDArray[Any]) -> list[dict[str, Any]]:
    space = part.space
    numbers = rows.reshape(len(rows), -1).astype(np.float64)  # [B, size]
    columns = range(min(numbers.shape[1], _MOST_PARTS))
    names = [part.name if numbers.shape[1] == 1 else f"{part.name}[{i}]" for i in columns]
    match space:
        case gymnasium.spaces.Discrete():
            return [_choices(part.name, numbers[:, 0], int(space.start), int(space.n))]
        case gymnasium.spaces.MultiDiscrete():
            starts, sizes = np.ravel(space.start), np.ravel(space.nvec)
            return [_choices(names[i], numbers[:, i], int(starts[i]), int(sizes[i])) for i in columns]
        case gymnasium.spaces.MultiBinary():
            return [_choices(names[i], numbers[:, i], 0, 2) for i in columns]
        case gymnasium.spaces.Box():
            lows, highs = np.ravel(space.low), np.ravel(space.high)
            return [_reals(names[i], numbers[:, i], float(lows[i]), float(highs[i])) for i in columns]
    return []


def _choices(name: str, values: NDArray[np.float64], start: int, n: int) -> dict[str, Any]:
    """Counts of start, start + 1, ...; of very many choices, only of the most frequent."""
    chosen, counts = np.unique(values.astype(np.int64), return_counts=True)
    if n <= _MOST_CHOICES:
        every = np.zeros(n, np.int64)
        every[chosen - start] = counts
        return {"name": name, "kind": "choice", "values": list(range(start, start + n)), "counts": every.tolist()}
    most = np.sort(np.argsort(-counts, kind="stable")[:_MOST_CHOICES])
    return {"name": name, "kind": "choice", "values": chosen[most].tolist(), "counts": counts[most].tolist(), "of": n}


def _reals(name: str, values: NDArray[np.float64], low: float, high: float) -> dict[str, Any]:
    """A histogram between the space's bounds; without bounds, between the lowest and the highest value."""
    values = np.clip(values, -1e150, 1e150)  # Squares of larger ones would be infinite.
    lowest, highest = float(values.min()), float(values.max())
    first = low if math.isfinite(low) and abs(low) < 1e30 else lowest
    last = high if math.isfinite(high) and abs(high) < 1e30 else highest
    size = max(abs(first), abs(last))
    if not last - first > 1e-9 * size:  # All equal, or nearly: the edges of bins must differ in double precision.
        half = max(0.5, 1e-3 * size)
        first, last = first - half, first + half
    counts, edges = np.histogram(values, _BINS, (first, last))
    return {
        "name": name, "kind": "real", "edges": _short(edges), "counts": counts.tolist(),
        "mean": _short(values.mean()[None])[0], "std": _short(values.std()[None])[0],
    }  # fmt: skip


def _short(values: NDArray[np.float64]) -> list[float | None]:
    """Rounded to five digits, enough for a picture."""
    return [_finite(float(f"{value:.5g}")) for value in values]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
