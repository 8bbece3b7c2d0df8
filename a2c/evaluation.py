"""Evaluation: whole episodes on fresh Gymnasium environments with seeds of their own. Training never feels it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from a2c.envs import Envs, make_envs
from a2c.envs.make import EnvSource, env_name
from a2c.errors import EnvError, UserError
from a2c.policy import Policy
from a2c.randomness import episode_seed, generator

_SIDE_BY_SIDE = 16
"""Environments evaluated at the same time, at most."""

_MOST_STEPS = 200_000
"""An episode longer than this is taken for one that never ends."""


class Evaluation(NamedTuple):
    """What some episodes brought."""

    returns: list[float]  # sum of rewards of each episode
    lengths: list[int]  # steps of each
    greedy: bool

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the returns over episodes."""
        return float(np.std(self.returns))

    def summary(self) -> dict[str, Any]:
        """The numbers that are reported; null stands for NaN or infinity, which JSON does not have."""
        numbers = {
            "mean": self.mean,
            "std": self.std,
            "min": float(np.min(self.returns)),
            "max": float(np.max(self.returns)),
            "mean_length": float(np.mean(self.lengths)),
        }
        finite = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
        return {**finite, "episodes": len(self.returns), "greedy": self.greedy}


def in_words(summary: Mapping[str, Any]) -> str:
    """A summary as a line: mean, standard deviation and range over how many episodes of what kind."""
    mean, std, low, high = (
        "not finite" if summary[name] is None else f"{summary[name]:.1f}" for name in ("mean", "std", "min", "max")
    )
    how = "greedy" if summary["greedy"] else "sampled"
    return f"{mean} +- {std} (lowest {low}, highest {high}) over {summary['episodes']} {how} episodes"


def evaluate(
    policy: Policy,
    env: EnvSource,
    env_kwargs: Mapping[str, Any],
    episodes: int,
    greedy: bool,
    seed: int,
    index: int = 0,
    check: Callable[[], None] = lambda: None,
    watch: Callable[[Envs], contextlib.AbstractContextManager[None]] = lambda envs: contextlib.nullcontext(),
) -> Evaluation:
    """Runs whole episodes of a policy.

    Args:
        policy: What acts.
        env: What it acts on, as `make_envs` takes it.
        env_kwargs: Arguments of its constructor.
        episodes: How many, at least 1.
        greedy: The most probable action; False samples.
        seed: Decides the episodes and the sampled actions.
        index: Which set of episodes of that seed; each set is another.
        check: Called at every step; may raise to end the evaluation.
        watch: Makes what is entered while the environments, which are all in this process, play.

    Raises:
        UserError: The environment is unknown, its spaces are not the policy's, or an episode does not end.
        EnvError: It raised.
    """
    # As many at a time as let all of them end with the last round.
    side_by_side = -(-episodes // -(-episodes // _SIDE_BY_SIDE))
    rng = generator(seed, "evaluation", index)
    # A seed apart from those of training, and another for each set.
    first_seed = episode_seed(seed, -1 - index, 0)
    envs = make_envs(env, side_by_side, env_kwargs=env_kwargs, vectorization="local", seed=first_seed)
    try:
        policy.check_spaces(envs.single_observation_space, envs.single_action_space)
        with watch(envs):
            returns, lengths = _play(policy, envs, episodes, None if greedy else rng, check)
    except EnvError as error:
        phase = f"{error.phase} during evaluation"
        raise EnvError(error.env_index, phase, error.episode, error.episode_seed, error.step, error.details) from error
    except _EndlessError as error:
        raise UserError(
            f"an episode of {env_name(env)} has not ended after {_MOST_STEPS} steps; evaluation needs episodes that "
            "end (gymnasium.wrappers.TimeLimit sets a limit)"
        ) from error
    finally:
        envs.close()
    return Evaluation(returns, lengths, greedy)


class _EndlessError(Exception):
    """An episode went on for longer than any should."""


def _play(
    policy: Policy, envs: Envs, episodes: int, rng: np.random.Generator | None, check: Callable[[], None]
) -> tuple[list[float], list[int]]:
    """Returns and lengths of whole episodes; actions are greedy without a generator, sampled with its noise."""
    n = envs.num_envs
    # Environment i runs episodes i, i + n, ...: which ones count does not depend on how long they are.
    left = np.array([len(range(i, episodes, n)) for i in range(n)])
    returns: list[list[float]] = [[0.0] for _ in range(n)]
    lengths: list[list[int]] = [[0] for _ in range(n)]
    obs = envs.begin()
    while (left > 0).any():
        check()
        step = envs.advance(policy.act_batch(obs, None if rng is None else policy.draw_noise(rng, n)))
        obs = step.obs
        for i in np.flatnonzero(left > 0):
            returns[i][-1] += float(step.reward[i])
            lengths[i][-1] += 1
            if lengths[i][-1] > _MOST_STEPS:
                raise _EndlessError
            if step.terminated[i] or step.truncated[i]:
                left[i] -= 1
                if left[i]:
                    returns[i].append(0.0)
                    lengths[i].append(0)
    return [r for row in returns for r in row], [length for row in lengths for length in row]
