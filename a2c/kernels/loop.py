"""The whole of A2C in one call: rollouts in compiled environments, and the updates after them.

What `a2c.learner.Learner` does with an ordinary environment, number for number: the same noise, the same kernels, the
same order of sums. Read that first; this adds the threads, which split the environments and meet where a result of all
of them is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled, inlined
from a2c.kernels.heads import sample_categorical, sample_gaussian
from a2c.kernels.mlp import OUT, X_ROW, Y_ROW, Network, Y, forward
from a2c.kernels.optimizer import Optimizer
from a2c.kernels.random import normals, uniforms
from a2c.kernels.simd import Floats
from a2c.kernels.statistics import (
    count_episodes,
    discounted,
    gae,
    merge_rows,
    normalized,
    scale_rewards,
    standardize,
)
from a2c.kernels.threads import meet
from a2c.kernels.update import Batch, Loss, Work

if TYPE_CHECKING:
    from a2c.envs.compiled.stepping import EnvArrays

EPISODES, RETURN_SUM, LENGTH_SUM = range(6, 9)
"""Places in a row of the record, after an update's metrics."""


LARGEST = float(np.finfo(np.float32).max)
"""A reward beyond it is infinite to the networks: `a2c.finite.finite`, here."""


class Algorithm(NamedTuple):
    """The numbers of a run that do not change."""

    seed: int
    noise_stream: int
    gamma: float
    gae_lambda: float
    normalize_advantage: bool
    normalize_observations: bool
    normalize_returns: bool


class Experience(NamedTuple):
    """A rollout, and what outlives it of the episodes under way."""

    raw_obs: NDArray[np.float32]  # [T, N, D] as the environments gave it
    reward: NDArray[np.float64]  # [T, N]
    scaled_reward: NDArray[np.float64]  # [T, N] the same array where returns are not normalised
    terminated: NDArray[np.bool_]  # [T, N]
    truncated: NDArray[np.bool_]  # [T, N]
    value: Floats  # [T, N]
    next_value: Floats  # [T, N]
    noise: Floats  # [T, N, numbers per action]
    bad: NDArray[np.bool_]  # [T, N] where an observation or reward was not finite
    returns: NDArray[np.float64]  # [N] sums of rewards of the episodes under way
    lengths: NDArray[np.int64]  # [N] their steps


class Statistics(NamedTuple):
    """Of observations (columns) and discounted returns, both updated in place."""

    obs_count: NDArray[np.float64]  # [1]
    obs_mean: NDArray[np.float64]  # [D]
    obs_variance: NDArray[np.float64]  # [D]
    running: NDArray[np.float64]  # [N] discounted sums of rewards
    return_count: NDArray[np.float64]  # [1]
    return_mean: NDArray[np.float64]  # [1]
    return_variance: NDArray[np.float64]  # [1]


class Scaling(NamedTuple):
    """From the policy's actions to the environment's."""

    start: int  # number of the first discrete action
    center: NDArray[np.float32]  # [A]
    half_range: NDArray[np.float32]  # [A]
    low: NDArray[np.float32]  # [A]
    high: NDArray[np.float32]  # [A]


@inlined
def see(network: Network, algorithm: Algorithm, statistics: Statistics, obs: NDArray[np.float32], row: int) -> None:
    """Puts an observation [D] into a row of inputs, normalised if the run normalises."""
    x = row * network.layers[0, X_ROW]
    for j in range(len(obs)):
        if algorithm.normalize_observations:
            network.activations[x + j] = normalized(obs[j], statistics.obs_mean[j], statistics.obs_variance[j])
        else:
            network.activations[x + j] = obs[j]


@inlined
def not_finite(values: NDArray[np.float32]) -> bool:
    """Whether one of some numbers [D] is NaN or infinite."""
    total = np.float32(0)
    for i in range(len(values)):
        total += values[i] - values[i]  # 0, or NaN
    return bool(total != np.float32(0))


@compiled
def collect(
    chunk: int,
    update: int,
    network: Network,
    is_categorical: bool,
    algorithm: Algorithm,
    statistics: Statistics,
    scaling: Scaling,
    batch: Batch,
    work: Work,
    experience: Experience,
    envs: EnvArrays,
    advance: Any,
) -> None:
    """Acts for T steps in one chunk of environments and fills its columns of the rollout."""
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile what is called anew
    one: Any = np.int64(1)
    length, num_envs = batch.advantage.shape
    start, stop = work.chunks[chunk], work.chunks[chunk + 1]
    count, heads = stop - start, network.actor_layers
    actor, critic = network.layers[heads - 1], network.layers[-1]
    size = actor[OUT]
    draws = experience.noise.shape[2]
    noise, action, env_action = experience.noise.reshape(-1), batch.action.reshape(-1), envs.action.reshape(-1)
    env_obs, final_obs = envs.obs.reshape((num_envs, -1)), envs.final_obs.reshape((num_envs, -1))
    spare = length * num_envs + start  # inputs that no update reads
    spare_row = spare if network.keeps else chunk * work.room
    for t in range(length):
        inputs = length * start + t * count
        row = inputs if network.keeps else chunk * work.room
        first_noise = (t * num_envs + start) * draws
        if is_categorical:
            uniforms(algorithm.seed, algorithm.noise_stream, update, first_noise, noise, first_noise, count * draws)
        else:
            normals(algorithm.seed, algorithm.noise_stream, update, first_noise, noise, first_noise, count * draws)
        for i in range(count):
            n = start + i
            for j in range(env_obs.shape[1]):
                experience.raw_obs[t, n, j] = env_obs[n, j]
            if t == 0:
                experience.bad[0, n] = not_finite(env_obs[n])
            see(network, algorithm, statistics, env_obs[n], inputs + i)
        forward(network, zero, heads, inputs, row, count)
        forward(network, heads, 2 * heads, inputs, row, count)
        for i in range(count):
            n = start + i
            head = actor[Y] + (row + i) * actor[Y_ROW]
            if is_categorical:
                batch.choice[t, n] = sample_categorical(network.activations, head, size, noise[t * num_envs + n])
                envs.choice[n] = batch.choice[t, n] + scaling.start
            else:
                a = (t * num_envs + n) * size
                sample_gaussian(network.activations, head, network.theta, network.log_std, size, noise, a, action, a)
                for j in range(size):
                    scaled = scaling.center[j] + scaling.half_range[j] * action[a + j]
                    env_action[n * size + j] = min(max(scaled, scaling.low[j]), scaling.high[j])
            experience.value[t, n] = network.activations[critic[Y] + (row + i) * critic[Y_ROW]]
            if t > 0 and not (experience.terminated[t - 1, n] or experience.truncated[t - 1, n]):
                experience.next_value[t - 1, n] = experience.value[t, n]
        advance(envs, start, count, algorithm.seed)
        for i in range(count):
            n = start + i
            experience.reward[t, n] = envs.reward[n]
            experience.terminated[t, n], experience.truncated[t, n] = envs.terminated[n], envs.truncated[n]
            bad = not_finite(env_obs[n]) or not abs(envs.reward[n]) <= LARGEST
            if envs.truncated[n] and not envs.terminated[n]:  # What follows a termination is worth nothing.
                bad = bad or not_finite(final_obs[n])
            experience.bad[t, n] = bad or (t == 0 and experience.bad[0, n])
            experience.next_value[t, n] = np.float32(0)
            if envs.truncated[n] and not envs.terminated[n]:
                see(network, algorithm, statistics, final_obs[n], spare)
                forward(network, heads, 2 * heads, spare, spare_row, one)
                experience.next_value[t, n] = network.activations[critic[Y] + spare_row * critic[Y_ROW]]
    for i in range(count):
        see(network, algorithm, statistics, env_obs[start + i], spare + i)
    forward(network, heads, 2 * heads, spare, spare_row, count)
    for i in range(count):
        n = start + i
        if not (envs.terminated[n] or envs.truncated[n]):
            experience.next_value[length - 1, n] = network.activations[critic[Y] + (spare_row + i) * critic[Y_ROW]]


@compiled
def settle(algorithm: Algorithm, statistics: Statistics, experience: Experience, record: NDArray[np.float64]) -> None:
    """What needs the whole rollout at once: scaled rewards, statistics of observations, episodes that ended."""
    length, num_envs, columns = experience.raw_obs.shape
    if algorithm.normalize_returns:
        discounted(
            experience.reward, experience.terminated, experience.truncated, algorithm.gamma,
            statistics.running, experience.scaled_reward,
        )  # fmt: skip
        merge_rows(
            experience.scaled_reward.reshape((length * num_envs, 1)),
            statistics.return_count, statistics.return_mean, statistics.return_variance,
        )  # fmt: skip
        scale_rewards(experience.reward, statistics.return_variance[0], experience.scaled_reward)
    if algorithm.normalize_observations:
        merge_rows(
            experience.raw_obs.reshape((length * num_envs, columns)),
            statistics.obs_count, statistics.obs_mean, statistics.obs_variance,
        )  # fmt: skip
    record[EPISODES], record[RETURN_SUM], record[LENGTH_SUM] = count_episodes(
        experience.reward, experience.terminated, experience.truncated, experience.returns, experience.lengths
    )


@compiled
def run_updates(
    thread: int,
    first_update: int,
    rates: NDArray[np.float64],
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    algorithm: Algorithm,
    statistics: Statistics,
    scaling: Scaling,
    batch: Batch,
    work: Work,
    experience: Experience,
    envs: EnvArrays,
    advance: Any,
    step: Any,
    record: NDArray[np.float64],
) -> int:
    """One thread's part of some updates.

    Args:
        thread: Which thread, from 0.
        first_update: Number of the first, from 0.
        rates: [U] learning rates.
        network: Where the parameters are.
        loss: What is minimised.
        optimizer: How.
        algorithm: Numbers of the run.
        statistics: Of observations and returns.
        scaling: Of actions.
        batch: Takes actions, advantages and returns.
        work: How the work is divided.
        experience: Takes the rollout.
        envs: The environments, episodes begun.
        advance: Steps them.
        step: `gradient_step`, compiled apart because it is the same for all.
        record: [U, 9] takes what each update says of itself.

    Returns:
        How many updates were made: fewer than U where a gradient was not finite, or an environment failed; then that
        update changed no parameter.
    """
    chunks = len(work.chunks) - 1
    first, last = chunks * thread // work.threads, chunks * (thread + 1) // work.threads
    for update in range(len(rates)):
        for chunk in range(first, last):
            collect(
                chunk, first_update + update, network, loss.is_categorical, algorithm, statistics, scaling, batch, work,
                experience, envs, advance,
            )  # fmt: skip
        meet(work.arrivals, work.threads)
        for n in range(len(envs.failed)):
            if envs.failed[n]:
                return update
        if experience.bad.any():
            return update
        if thread == 0:
            settle(algorithm, statistics, experience, record[update])
        meet(work.arrivals, work.threads)
        gae(
            experience.scaled_reward, experience.value, experience.next_value,
            experience.terminated, experience.truncated, algorithm.gamma, algorithm.gae_lambda,
            batch.advantage, batch.returns, work.chunks[first], work.chunks[last],
        )  # fmt: skip
        if algorithm.normalize_advantage:
            meet(work.arrivals, work.threads)
            if thread == 0:
                standardize(batch.advantage.reshape(-1))
            meet(work.arrivals, work.threads)
        if not step(thread, network, loss, optimizer, batch, work, rates[update], record[update]):
            return update
    return len(rates)
