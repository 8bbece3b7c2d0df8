"""How much gradients vary: of several estimators on the same steps, and of batches that were collected differently.

Policies are those of an A2C run after some of its steps, and stand still meanwhile. Each acts in `NUM_ENVS`
environments for `LENGTH` steps, and on, until all of these have seen the end of their episode. These steps are cut into
batches; g is the gradient of -mean(A log pi) over a batch, in the actor's parameters.

* `variance`: the trace of the covariance of g over batches, E |g - E g|^2. A batch is `LONG` steps of one environment,
  one after the other. Batches and actions are the same for every estimator; nothing but A differs.
* `signal`: |E g|^2, less what chance alone adds to it, variance / batches. Without any it may be negative.
* `cosine`: between E g and that of REINFORCE with a baseline, in which no critic's error is left but noise. Below 1 by
  bias, and by the noise that is left in both.
* `inflation`: the variance of g over batches of `SHORT` steps, divided by what it is over batches of as many steps that
  were drawn from all of them without an order. 1: the steps of a batch are as good as independent. `SHORT` / inflation
  is how many independent steps a batch is worth. A is that of lambda 0.95, over whole episodes.
* `seen`: the same of a batch's mean input; a mean over the inputs.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import a2c
from a2c.engines.choice import choose_engine, team_for
from a2c.learner import Learner
from a2c.model.architecture import architecture_for
from a2c.returns import gae, observed
from a2c.rollout import rollout_for
from a2c.start import Start
from studies.runs import COMMON, Contestant, Run, Task

NUM_ENVS = 32
LENGTH = 4_096
LONG, SHORT = 2_048, 256
PIECE = 512
"""Steps of a rollout, of which several make the whole. Longer than an episode: one more, and all have ended."""

ESTIMATORS = (
    "REINFORCE", "REINFORCE with a baseline", "one-step actor-critic", "8 steps, lambda 0.95", "8 steps, lambda 1"
)  # fmt: skip
REFERENCE = ESTIMATORS[1]

PARTS = (0.0, 0.05, 0.2, 1.0)
"""Of a run, after which its policy is looked at."""

LAYOUTS = (1, 8, 32)
"""Environments side by side in a batch of `SHORT` steps."""


class Steps(NamedTuple):
    """What a policy did, time along the first axis, environments along the second."""

    inputs: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    value: NDArray[np.float32]
    next_value: NDArray[np.float32]


def measure(contestant: Contestant, task: Task, seed: int, rate: float) -> Run:
    """Of one run, at policies after some `PARTS` of its steps: variances by estimator, inflations by layout."""
    env = task.env
    config = a2c.Config(
        env, seed=seed, total_steps=task.steps, **COMMON | contestant.settings | {contestant.rate_name: rate}
    )
    envs = a2c.make_envs(env, config.num_envs, vectorization="compiled", seed=seed)
    source, points = Learner(config, envs), []
    for part in PARTS:
        if more := round(part * config.num_updates) - source.updates:
            source.update(more)
        points.append({"steps": source.steps, **_at(source, config, env)})
    envs.close()
    return {"name": "gradients", "seed": seed, "rate": rate, "points": points}


def _at(source: Learner, config: a2c.Config, env: str) -> dict[str, Any]:
    start = Start(Path("source"), source.state())
    done = acted(start, config, env, source.value_scale)
    advantages = estimates(done, config.gamma)
    long, short = Gradients(start, config, env, LONG), Gradients(start, config, env, SHORT)
    means, points = {}, {}
    for name in ESTIMATORS:
        gradients = long.of(done, advantages[name], batches(LENGTH, LONG, 1))
        means[name] = gradients.mean(0)
        variance = spread(gradients)
        signal = float(means[name] @ means[name]) - variance / len(gradients)
        points[name] = {"variance": variance, "signal": signal}
    for name in ESTIMATORS:
        points[name]["cosine"] = cosine(means[name], means[REFERENCE])
    whole, _ = gae(done.reward, done.value, done.next_value, done.terminated, done.truncated, config.gamma, 0.95)
    without_order = np.random.default_rng(0).permutation(LENGTH * NUM_ENVS).reshape(-1, SHORT)
    independent = spread(short.of(done, whole, without_order))
    grouped = {str(layout): batches(LENGTH, SHORT, layout) for layout in LAYOUTS}
    inputs = done.inputs.reshape(-1, done.inputs.shape[2])
    apart = inputs[without_order].mean(1).var(0, ddof=1)
    return {
        "return": mean_return(done) * source.value_scale,
        "estimators": points,
        "inflation": {layout: spread(short.of(done, whole, rows)) / independent for layout, rows in grouped.items()},
        "seen": {
            layout: float((inputs[rows].mean(1).var(0, ddof=1) / apart).mean()) for layout, rows in grouped.items()
        },
    }


def mean_return(done: Steps) -> float:
    """Of the episodes that ended."""
    ends = done.terminated | done.truncated
    last = len(ends) - 1 - ends[::-1].argmax(0)  # of each environment
    counts = np.arange(len(ends))[:, None] <= last
    return float(done.reward[counts].sum() / ends.sum())


def acted(start: Start, config: a2c.Config, env: str, scale: float) -> Steps:
    """Lets a policy act; rewards are divided by what they were divided by when its critic was trained."""

    config = dataclasses.replace(config, num_envs=NUM_ENVS, rollout_length=PIECE)
    envs = a2c.make_envs(env, NUM_ENVS, vectorization="compiled", seed=config.seed + 1_000_000)
    learner, pieces = Learner(config, envs, start, may_fuse=False), []
    for _ in range(LENGTH // PIECE + 1):
        rollout = learner.collect()
        learner.updates += 1  # Other noise; nothing is learnt.
        pieces.append(
            Steps(
                rollout.inputs[:-1].copy(), rollout.action.copy(), rollout.reward / scale, rollout.terminated.copy(),
                rollout.truncated.copy(), rollout.value[:-1].copy(), rollout.next_value.copy(),
            )
        )  # fmt: skip
    envs.close()
    return Steps(*(np.concatenate(arrays) for arrays in zip(*pieces, strict=True)))


def estimates(done: Steps, gamma: float) -> dict[str, NDArray[np.float32]]:
    """Advantages [T, N] by estimator."""
    reward, value, ends = done.reward, done.value, (done.terminated, done.truncated)

    def in_eights(gae_lambda: float) -> NDArray[np.float32]:
        pieces = [slice(t, t + 8) for t in range(0, len(reward), 8)]
        return np.concatenate(
            [
                gae(*(x[one] for x in (reward, value, done.next_value, *ends)), gamma, gae_lambda)[0]
                for one in pieces
            ]
        )  # fmt: skip

    found = (
        observed(reward, value, *ends, gamma, has_baseline=False)[0],
        observed(reward, value, *ends, gamma, has_baseline=True)[0],
        gae(reward, value, done.next_value, *ends, gamma, 0.0)[0],
        in_eights(0.95),
        in_eights(1.0),
    )
    return dict(zip(ESTIMATORS, found, strict=True))


def batches(length: int, size: int, layout: int) -> NDArray[np.int64]:
    """Which rows t * NUM_ENVS + n make a batch: `size` of them, from `layout` environments side by side: [K, size]."""
    rows = np.arange(length * NUM_ENVS).reshape(length, NUM_ENVS)
    deep = size // layout
    pieces = [
        rows[t : t + deep, n : n + layout].ravel()
        for n in range(0, NUM_ENVS, layout)
        for t in range(0, length, deep)
    ]  # fmt: skip
    return np.array(pieces)


class Gradients:
    """The actor's gradient of batches of one size, under one policy."""

    def __init__(self, start: Start, config: a2c.Config, env: str, size: int) -> None:

        envs = a2c.make_envs(env, 1, vectorization="compiled")
        architecture = architecture_for(
            envs.single_observation_space, envs.single_action_space,
            config.hidden_sizes, config.activation, config.normalize_observations, config.network, config.memory_size,
        )  # fmt: skip
        envs.close()
        config = dataclasses.replace(config, num_envs=1, rollout_length=size, entropy_coef=0.0)
        self._engine = choose_engine(config, architecture, 0, team_for(config, architecture))
        views = self._engine.views(self._engine.theta)
        for name, view in views.items():
            view[...] = start.arrays[name]
        self._engine.follow()
        self._rollout = rollout_for(architecture, size, 1, 0)
        self._actors = [name for name in views if not name.startswith("critic")]

    def of(self, done: Steps, advantage: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[K, parameters of the actor], of batches [K, B] of rows."""
        flat_inputs, flat_actions = (array.reshape(-1, array.shape[2]) for array in (done.inputs, done.action))
        found = []
        for batch in rows:
            self._rollout.inputs[:-1, 0], self._rollout.action[:, 0] = flat_inputs[batch], flat_actions[batch]
            self._rollout.advantage[:, 0] = advantage.reshape(-1)[batch]
            gradient, _ = self._engine.gradient(self._rollout)
            views = self._engine.views(gradient)
            found.append(np.concatenate([views[name].ravel() for name in self._actors]).astype(np.float64))
        return np.array(found)


def spread(gradients: NDArray[np.float64]) -> float:
    """The trace of the covariance of gradients [K, P]."""
    return float(gradients.var(0, ddof=1).sum())


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Of the angle between two vectors."""
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
