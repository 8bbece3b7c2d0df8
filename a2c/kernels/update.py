"""One gradient step on a rollout, by any number of threads with the same result.

Environments are divided into chunks, whose number follows from the size of the rollout alone. Each chunk's gradient is
summed by itself, and the chunks' in order: who computed which does not matter.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.heads import differentiate_categorical, differentiate_gaussian
from a2c.kernels.mlp import BLOCK_ROWS, OUT, Y_ROW, Network, Y, backward, forward, transpose
from a2c.kernels.optimizer import NORM_BLOCK, Optimizer, adam, rmsprop, square_norm
from a2c.kernels.simd import Floats
from a2c.kernels.threads import meet

CHUNK_ROWS = 128
"""A chunk has about so many rows at least, ..."""

MOST_CHUNKS = 32
"""... and there are at most so many, as each needs room for a gradient."""

LOSS, POLICY_LOSS, VALUE_LOSS, ENTROPY, GRAD_NORM, EXPLAINED_VARIANCE = range(6)
"""Places of an update's metrics."""


class Loss(NamedTuple):
    """What is minimised: -mean(A log pi) + value_coef mean((G - V)^2) - entropy_coef mean(H)."""

    is_categorical: bool
    value_coef: float
    entropy_coef: float
    max_grad_norm: float  # infinity: gradients are not clipped


class Batch(NamedTuple):
    """What an update learns from. The observations are the network's input already."""

    choice: NDArray[np.int64]  # [T, N] discrete actions
    action: Floats  # [T, N, A] continuous ones
    advantage: Floats  # [T, N]
    returns: Floats  # [T, N]


class Work(NamedTuple):
    """How the work is divided, and room for it."""

    chunks: NDArray[np.int64]  # [C + 1] the first environment of each chunk, and N
    room: int  # rows of outputs that each chunk works in, where they are not kept
    threads: int
    arrivals: NDArray[np.int64]  # [1] for `meet`
    gradients: Floats  # [C * P] each chunk's gradient; after an update the whole one is the first
    scratch: Floats  # a part for each thread
    losses: NDArray[np.float64]  # [C, 6] sums of A log pi, (V - G)^2, H, V - G, G and G^2
    norms: Floats  # sums of squares of NORM_BLOCK numbers of the gradient


def divide(num_envs: int, rollout_length: int) -> tuple[NDArray[np.int64], int]:
    """The chunks of a rollout: [C + 1] the first environment of each, and N; and how many rows each works in."""
    chunks = min(max(1, num_envs * rollout_length // CHUNK_ROWS), num_envs, MOST_CHUNKS)
    bounds = np.array([num_envs * chunk // chunks for chunk in range(chunks + 1)], np.int64)
    return bounds, max(BLOCK_ROWS, int(np.diff(bounds).max()))


def work_for(network: Network, num_envs: int, rollout_length: int, threads: int) -> Work:
    """Room for as many threads as have something to do."""
    bounds, room = divide(num_envs, rollout_length)
    chunks = len(bounds) - 1
    threads = min(threads, chunks)
    size = len(network.theta)
    return Work(
        bounds,
        room,
        threads,
        np.zeros(1, np.int64),
        np.zeros(chunks * size, np.float32),
        np.zeros(threads * 2 * BLOCK_ROWS * len(network.zeros), np.float32),
        np.zeros((chunks, 6)),
        np.zeros(-(-size // NORM_BLOCK), np.float32),
    )


@compiled
def chunk_gradient(network: Network, loss: Loss, batch: Batch, work: Work, chunk: int, dy: int, dx: int) -> None:
    """The gradient and the loss of one chunk of environments.

    Args:
        network: Acted on the batch's observations with these very parameters.
        loss: What is minimised.
        batch: The rollout.
        work: Takes the gradient and the sums of the loss.
        chunk: Which chunk.
        dy: Where in work.scratch this thread may write, ...
        dx: ... and where else.
    """
    length, num_envs = batch.advantage.shape
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile what is called anew
    flat_action = batch.action.reshape(-1)
    start, stop = work.chunks[chunk], work.chunks[chunk + 1]
    count = stop - start
    size, heads = len(network.theta), network.actor_layers
    g0 = chunk * size
    work.gradients[g0 : g0 + size] = np.float32(0)
    actor, critic = network.layers[heads - 1], network.layers[-1]
    outputs, actor_row, critic_row = actor[OUT], actor[Y_ROW], critic[Y_ROW]
    scale = np.float32(1.0 / (length * num_envs))
    value_scale = np.float32(2.0 * loss.value_coef / (length * num_envs))
    entropy_coef = np.float32(loss.entropy_coef)
    policy_sum, value_sum, entropy_sum = 0.0, 0.0, 0.0
    error_sum, return_sum, return_squares = 0.0, 0.0, 0.0
    for first in range(0, length * count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, length * count - first)
        input_row = length * start + first
        row = input_row if network.keeps else chunk * work.room
        if not network.keeps:
            forward(network, zero, heads, input_row, row, rows)
            forward(network, heads, 2 * heads, input_row, row, rows)
        work.scratch[dy : dy + rows * max(actor_row, critic_row)] = np.float32(0)
        t, n = first // count, start + first % count
        for i in range(rows):
            error = network.activations[critic[Y] + (row + i) * critic_row] - batch.returns[t, n]
            work.scratch[dy + i * critic_row] = value_scale * error
            target = np.float64(batch.returns[t, n])
            value_sum += np.float64(error) ** 2
            error_sum += np.float64(error)
            return_sum += target
            return_squares += target**2
            n += 1
            if n == stop:
                t, n = t + 1, start
        backward(
            network,
            heads,
            2 * heads,
            input_row,
            row,
            rows,
            work.gradients,
            g0,
            work.scratch,
            dy,
            dx,
        )
        work.scratch[dy : dy + rows * actor_row] = np.float32(0)
        t, n = first // count, start + first % count
        for i in range(rows):
            head, out = actor[Y] + (row + i) * actor_row, dy + i * actor_row
            advantage = batch.advantage[t, n]
            if loss.is_categorical:
                log_prob, entropy = differentiate_categorical(
                    network.activations, head, outputs, batch.choice[t, n], advantage, entropy_coef, scale,
                    work.scratch, out,
                )  # fmt: skip
            else:
                log_prob, entropy = differentiate_gaussian(
                    network.activations, head, network.theta, network.log_std, outputs,
                    flat_action, (t * num_envs + n) * outputs, advantage, entropy_coef, scale,
                    work.scratch, out, work.gradients, g0 + network.log_std,
                )  # fmt: skip
            policy_sum += np.float64(advantage) * log_prob
            entropy_sum += np.float64(entropy)
            n += 1
            if n == stop:
                t, n = t + 1, start
        backward(network, zero, heads, input_row, row, rows, work.gradients, g0, work.scratch, dy, dx)
    work.losses[chunk, 0], work.losses[chunk, 1], work.losses[chunk, 2] = policy_sum, value_sum, entropy_sum
    work.losses[chunk, 3], work.losses[chunk, 4], work.losses[chunk, 5] = error_sum, return_sum, return_squares


@compiled
def summarize(loss: Loss, work: Work, rows: int, norm: float, metrics: NDArray[np.float64]) -> None:
    """From the chunks' sums and the norm of the gradient to an update's metrics [6]."""
    for place in range(6):
        total = 0.0
        for chunk in range(len(work.losses)):
            total += work.losses[chunk, place]
        work.losses[0, place] = total / rows
    policy, value, entropy = work.losses[0, 0], work.losses[0, 1], work.losses[0, 2]
    error, mean, square = work.losses[0, 3], work.losses[0, 4], work.losses[0, 5]
    metrics[LOSS] = -policy + loss.value_coef * value - loss.entropy_coef * entropy
    metrics[POLICY_LOSS], metrics[VALUE_LOSS], metrics[ENTROPY] = -policy, value, entropy
    metrics[GRAD_NORM] = norm
    variance = square - mean * mean
    # Rounding leaves a little where nothing varies, and there is nothing to explain.
    metrics[EXPLAINED_VARIANCE] = 1.0 - (value - error * error) / variance if variance > 1e-14 * square else 0.0


@compiled
def add(total: Floats, x: Floats) -> None:
    """total += x."""
    for i in range(len(total)):
        total[i] += x[i]


@compiled
def gradient_step(
    thread: int,
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    batch: Batch,
    work: Work,
    rate: float,
    metrics: NDArray[np.float64],
) -> bool:
    """One thread's part of a gradient step: its chunks, then its share of the parameters.

    Args:
        thread: Which thread, from 0.
        network: See `chunk_gradient`.
        loss: What is minimised.
        optimizer: How.
        batch: The rollout.
        work: Shared by the threads.
        rate: Learning rate.
        metrics: [6] takes loss, policy loss, value loss, entropy, norm of the gradient before clipping, and explained
            variance.

    Returns:
        Whether the gradient was finite; if not, nothing has changed.
    """
    chunks, size = len(work.chunks) - 1, len(network.theta)
    half = BLOCK_ROWS * len(network.zeros)
    for chunk in range(chunks * thread // work.threads, chunks * (thread + 1) // work.threads):
        chunk_gradient(network, loss, batch, work, chunk, 2 * thread * half, (2 * thread + 1) * half)
    meet(work.arrivals, work.threads)

    blocks = len(work.norms)
    first, last = blocks * thread // work.threads, blocks * (thread + 1) // work.threads
    start, stop = first * NORM_BLOCK, min(last * NORM_BLOCK, size)
    gradient = work.gradients
    for chunk in range(1, chunks):
        add(gradient[start:stop], gradient[chunk * size + start : chunk * size + stop])
    for block in range(first, last):
        square_norm(gradient, block * NORM_BLOCK, min((block + 1) * NORM_BLOCK, size), work.norms[block:])
    meet(work.arrivals, work.threads)

    squares = 0.0
    for block in range(blocks):
        squares += np.float64(work.norms[block])
    norm = math.sqrt(squares)
    if thread == 0:
        summarize(loss, work, batch.advantage.size, norm, metrics)
    if not math.isfinite(norm):
        return False
    scale = loss.max_grad_norm / norm if norm > loss.max_grad_norm else 1.0
    if optimizer.is_adam:
        adam(optimizer, network.theta, gradient, start, stop, scale, rate)
    else:
        rmsprop(optimizer, network.theta, gradient, start, stop, scale, rate)
    meet(work.arrivals, work.threads)

    layers = len(network.layers)
    transpose(network, layers * thread // work.threads, layers * (thread + 1) // work.threads)
    if thread == 0:
        optimizer.updates[0] += 1
    meet(work.arrivals, work.threads)
    return True
