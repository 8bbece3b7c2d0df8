"""A2C in one call of machine code: rollouts in compiled environments, and the updates after them.

It does what `a2c.learner.Learner` does with other environments, function for function. Read that first. This module
adds threads: each has some of the environments, and they meet whenever a result of all of them is needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.clock import ticks
from a2c.kernels.compiler import compiled
from a2c.kernels.critic import Passes, fit
from a2c.kernels.fisher import fisher
from a2c.kernels.gradient import GRAD_NORM, Model, follow, forward_chunk, gradient, value_of
from a2c.kernels.heads import CATEGORICAL, KIND, draw
from a2c.kernels.natural import Natural, advance, begin, dot, finish
from a2c.kernels.optimizer import Optimizer, step
from a2c.kernels.rollout import (
    Books,
    Rules,
    choose,
    estimate,
    follow_up,
    forget,
    not_finite,
    renormalize,
    see,
    settle,
)
from a2c.kernels.statistics import standardize
from a2c.kernels.threads import Crew, meet
from a2c.kernels.vectors import flat
from a2c.model.factors import Scaling
from a2c.rollout import Rollout

if TYPE_CHECKING:
    from a2c.envs.compiled.stepping import EnvArrays

EPISODES, RETURN_SUM, LENGTH_SUM = range(6, 9)
"""Columns of the record, after an update's metrics."""


COLLECTING, LEARNING = range(2)
"""Indices of `Clock.spent`."""


class Clock(NamedTuple):
    """Measures where the time of updates goes. It is read twice per update, which takes 40 nanoseconds."""

    reading: NDArray[np.int64]  # [2] memory for the system's answer
    spent: NDArray[np.int64]  # [2] ticks: environments with acting, which alternate too fast to tell apart; the rest


class Training(NamedTuple):
    """All that an update works on, except the environments."""

    model: Model
    optimizer: Optimizer
    rules: Rules
    books: Books
    scaling: Scaling
    rollout: Rollout
    natural: Natural | None
    passes: Passes | None
    """`natural` and `passes` are for natural steps of the actor; else they are None."""
    first_layers: NDArray[np.int64]  # [layers, 5] as `a2c.kernels.rollout.renormalize` takes them


@compiled
def collect(training: Training, chunk: int, update: int, envs: EnvArrays, advance: Any) -> None:
    """Acts for T steps in one chunk of environments, and fills its columns of the rollout."""
    model, rules, books, rollout = training.model, training.rules, training.books, training.rollout
    network, work, factors = model.network, model.work, model.loss.factors
    length, num_envs = rollout.reward.shape
    start, stop = work.chunks[chunk], work.chunks[chunk + 1]
    count, columns = stop - start, rollout.action.shape[2]
    log_std = network.theta[network.log_std : network.log_std + network.log_stds]
    noise = flat(rollout.noise)
    observe(envs, rollout.observed[0], start, stop)
    for n in range(start, stop):
        for j in range(rollout.carry.shape[2]):
            rollout.carry[0, n, j] = rollout.carry[length, n, j]
    for t in range(length + 1):
        see(rules.normalize_observations, books.observations, rollout.observed[t], rollout.inputs[t], start, stop)
        forward_chunk(network, work, t, chunk, rollout)
        if t == length:
            break
        row = t * num_envs + start
        draw(factors, rules.seed, update, noise[row * columns :], columns, row, count)
        choose(factors, log_std, rollout.outputs[t], rollout.noise[t], rollout.mask[t], rollout.action[t], start, stop)
        act(factors, training.scaling, rollout.action[t], envs, start, stop)
        advance(envs, start, count, rules.seed)
        note(training, t, chunk, envs)
    follow_up(rollout, start, stop)


@compiled
def observe(envs: EnvArrays, observed: NDArray[np.float64], start: int, stop: int) -> None:
    """Writes the observations of environments start..stop-1 to `observed` [N, R]."""
    obs, width = flat(envs.obs), observed.shape[1]
    for n in range(start, stop):
        for j in range(width):
            observed[n, j] = obs[n * width + j]


@compiled
def act(
    factors: NDArray[np.int64], scaling: Scaling, action: NDArray[np.float32], envs: EnvArrays, start: int, stop: int
) -> None:
    """Scales and clips actions [N, C] for environments start..stop-1, as `a2c.model.factors.Actions.to_rows` does."""
    for n in range(start, stop):
        if factors[0, KIND] == CATEGORICAL:
            envs.choice[n] = np.int64(action[n, 0]) + scaling.start[0]
            continue
        for j in range(action.shape[1]):
            scaled = action[n, j] * scaling.half_range[j] + scaling.center[j]
            envs.action[n, j] = np.float32(min(max(scaled, scaling.low[j]), scaling.high[j]))


@compiled
def note(training: Training, t: int, chunk: int, envs: EnvArrays) -> None:
    """Records the results of step t in one chunk, and the value of the last state of each truncated episode."""
    model, rollout = training.model, training.rollout
    start, stop = model.work.chunks[chunk], model.work.chunks[chunk + 1]
    observe(envs, rollout.observed[t + 1], start, stop)
    final_obs, final_inputs, size = flat(envs.final_obs), flat(rollout.final_inputs), rollout.final_observed.shape[1]
    for n in range(start, stop):
        rollout.reward[t, n] = envs.reward[n]
        rollout.terminated[t, n], rollout.truncated[t, n] = envs.terminated[n], envs.truncated[n]
        rollout.bad[t, n] = False
        if envs.truncated[n] and not envs.terminated[n]:
            for j in range(size):
                rollout.final_observed[n, j] = final_obs[n * size + j]
            rollout.bad[t, n] = not_finite(rollout.final_observed[n])
            see(
                training.rules.normalize_observations, training.books.observations,
                rollout.final_observed, rollout.final_inputs, n, n + 1,
            )  # fmt: skip
            width, memory_size = rollout.final_inputs.shape[1], rollout.carry.shape[2]
            rollout.next_value[t, n] = value_of(
                model.network, model.work, chunk,
                final_inputs, n * width, width, flat(rollout.final_pixels), 0,
                flat(rollout.carry), ((t + 1) * rollout.carry.shape[1] + n) * memory_size,
            )  # fmt: skip  # Compiled environments have no images.
    forget(rollout, t, start, stop)


@compiled
def run_updates(
    thread: int,
    crew: Crew,
    training: Training,
    envs: EnvArrays,
    advance: Any,
    learn: Any,
    first_update: int,
    rates: NDArray[np.float64],
    record: NDArray[np.float64],
    clock: Clock,
) -> int:
    """One thread's part of some updates.

    Args:
        thread: The thread's number, from 0.
        crew: The threads that run this.
        training: Parameters, optimizer, statistics, rollout.
        envs: The environments, after their reset.
        advance: The function that steps them.
        learn: `learn` or `learn_naturally`; an argument, so that it is compiled once for all environments.
        first_update: Number of the first update, from 0.
        rates: [U] learning rates.
        record: [U, 9] each update's metrics and episodes are written here.
        clock: The time that the first thread spends is added here.

    Returns:
        How many updates were made. It is below U if a gradient was not finite or an environment failed; the update in
        which that happened changed no parameter.
    """
    rules, books, rollout, work = training.rules, training.books, training.rollout, training.model.work
    chunks = len(work.chunks) - 1
    first, last = chunks * thread // crew.threads, chunks * (thread + 1) // crew.threads
    begin = ticks(clock.reading) if thread == 0 else 0
    for update in range(len(rates)):
        for chunk in range(first, last):
            collect(training, chunk, first_update + update, envs, advance)
        meet(crew)
        for n in range(len(envs.failed)):
            if envs.failed[n]:
                return update
        if rollout.bad.any():
            return update
        if thread == 0:
            collected = ticks(clock.reading)
            clock.spent[COLLECTING] += collected - begin
            begin = collected
            work.stamps[:] = work.stamp[0]
            record[update, EPISODES], record[update, RETURN_SUM], record[update, LENGTH_SUM] = settle(
                rules, books, rollout
            )
        meet(crew)
        estimate(rules, rollout, work.chunks[first], work.chunks[last])
        if rules.center_advantage:
            meet(crew)
            if thread == 0:
                standardize(flat(rollout.advantage), rules.normalize_advantage)
            meet(crew)
        if not learn(thread, crew, training, first_update + update, rates[update], record[update]):
            return update
        if rules.normalize_observations:
            if thread == 0:
                renormalize(books, rollout, training.first_layers, training.model.network.theta)
            meet(crew)
        if thread == 0:
            learnt = ticks(clock.reading)
            clock.spent[LEARNING] += learnt - begin
            begin = learnt
    return len(rates)


@compiled
def learn(thread: int, crew: Crew, training: Training, update: int, rate: float, metrics: NDArray[np.float64]) -> bool:
    """One thread's part of a gradient and a step of the optimizer; returns whether the gradient was finite."""
    model, optimizer = training.model, training.optimizer
    gradient(thread, crew, model, training.rollout, metrics)
    size = len(model.network.theta)
    is_finite = step(thread, crew, optimizer, model.network.theta, model.work.gradients[:size], rate)
    if thread == 0:
        metrics[GRAD_NORM] = optimizer.norm[0]
    if is_finite:
        follow(thread, crew, model)
    return is_finite


@compiled
def learn_naturally(
    thread: int, crew: Crew, training: Training, update: int, scale: float, metrics: NDArray[np.float64]
) -> bool:
    """One thread's part of a natural step of the actor and the critic's passes; returns whether all was finite."""
    natural: Any = training.natural
    passes: Any = training.passes
    model, rollout, goes_on = training.model, training.rollout, natural.goes_on
    theta, size = model.network.theta, len(model.network.theta)
    gradient(thread, crew, model, rollout, metrics)
    if thread == 0:
        whole = model.work.gradients[:size]
        metrics[GRAD_NORM] = math.sqrt(dot(whole, whole))
        begin(natural, whole)
        goes_on[0] = 1
    meet(crew)
    for _ in range(natural.products):
        if goes_on[0] == 0:
            break
        fisher(thread, crew, model, rollout, natural.direction, natural.product)
        if thread == 0:
            goes_on[0] = advance(natural)
        meet(crew)
    if thread == 0:
        goes_on[0] = finish(natural, theta, scale)
    meet(crew)
    if goes_on[0] == 0:
        return False
    follow(thread, crew, model)
    return bool(fit(thread, crew, model, training.optimizer, passes, rollout, training.rules.seed, update, scale))
