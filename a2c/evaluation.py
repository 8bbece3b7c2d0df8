"""Evaluation: whole episodes on fresh Gymnasium environments with seeds of their own. Training never feels it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.envs import Envs, make_envs
from a2c.envs.make import EnvSource, env_name
from a2c.envs.pool import Event
from a2c.errors import EnvError, NumbersError, UserError, WorkerError
from a2c.finite import brief
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
    in_worker: bool = False,
    env_timeout_seconds: float = 60.0,
    note: Callable[[list[Event]], None] = lambda events: None,
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
        watch: Makes what is entered while the environments play.
        in_worker: Put the environments in a worker process, which is replaced where one of them dies or hangs.
        env_timeout_seconds: How long an environment there may do nothing.
        note: Called with what happened to the environments.

    Raises:
        UserError: The environment is unknown, its spaces are not the policy's, or an episode does not end.
        EnvError: It raised.
        NumbersError: It gave an observation or a reward that is not finite.
        WorkerError: Workers died or hung in one and the same place.
    """
    # As many at a time as let all of them end with the last round.
    side_by_side = -(-episodes // -(-episodes // _SIDE_BY_SIDE))
    rng = generator(seed, "evaluation", index)
    # A seed apart from those of training, and another for each set.
    first_seed = episode_seed(seed, -1 - index, 0)
    envs = make_envs(
        env,
        side_by_side,
        env_kwargs=env_kwargs,
        vectorization="workers" if in_worker else "local",
        num_workers=1 if in_worker else 0,
        isolate_envs=in_worker,
        env_timeout_seconds=env_timeout_seconds,
        seed=first_seed,
    )
    try:
        policy.check_spaces(envs.single_observation_space, envs.single_action_space)
        with watch(envs):
            returns, lengths = _play(policy, envs, episodes, None if greedy else rng, check)
    except EnvError as error:
        phase = f"{error.phase} during evaluation"
        again = EnvError(error.env_index, phase, error.episode, error.episode_seed, error.step, error.details)
        again.failure = envs.failure(error)
        raise again from error
    except WorkerError as error:
        lost = WorkerError(f"{error}, during evaluation")
        lost.failure = envs.failure(error)
        raise lost from error
    except _EndlessError as error:
        raise UserError(
            f"an episode of {env_name(env)} has not ended after {_MOST_STEPS} steps; evaluation needs episodes that "
            "end (gymnasium.wrappers.TimeLimit sets a limit)"
        ) from error
    finally:
        note(envs.take_events())
        envs.close()
    return Evaluation(returns, lengths, greedy)


def _require_finite(
    envs: Envs,
    counted: NDArray[np.bool_],
    obs: NDArray[Any],
    reward: NDArray[np.float64],
    lengths: Sequence[Sequence[int]],
    more: int,
) -> None:
    """Refuses NaN and infinity.

    Args:
        envs: What they come from, as they stand.
        counted: [N] whose episodes count.
        obs: [N, ...].
        reward: [N].
        lengths: Steps of each episode of each environment, before this step.
        more: Whether there was a step: 1, or 0 for the first observation of an episode.

    Raises:
        NumbersError: With the way of the environment there.
    """
    if np.isfinite(reward).all() and np.isfinite(obs).all():
        return
    for i in np.flatnonzero(counted).tolist():
        if not (np.isfinite(reward[i]) and np.isfinite(obs[i]).all()):
            what = f"an observation of {brief(obs[i])}" if np.isfinite(reward[i]) else f"a reward of {reward[i]}"
            way = envs.failure_at(i, len(lengths[i]) - 1, lengths[i][-1] + more, 0)
            error = NumbersError(
                f"environment {i} gave {what} during evaluation (episode {way.episode}, episode seed "
                f"{way.episode_seed}, step {len(way.actions)}); it must be finite",
                {},
                i,
            )
            error.failure = way
            raise error


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
    _require_finite(envs, left > 0, obs, np.zeros(n), lengths, 0)
    while (left > 0).any():
        check()
        step = envs.advance(policy.act_batch(obs, None if rng is None else policy.draw_noise(rng, n)))
        obs = step.obs
        _require_finite(envs, left > 0, step.next_obs, step.reward, lengths, 1)
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
                    _require_finite(envs, np.arange(n) == i, obs, np.zeros(n), lengths, 0)
    return [r for row in returns for r in row], [length for row in lengths for length in row]
