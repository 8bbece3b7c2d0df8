"""Passes of the critic over a rollout: minibatches in an order that follows from the seed, a step of Adam on each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.gradient import Model, sum_up, take_in
from a2c.kernels.optimizer import Optimizer, step
from a2c.kernels.passes import BLOCK_ROWS, WEIGHT, Y_ROW, Y, backward, forward, transpose_layers
from a2c.kernels.random import uniforms
from a2c.kernels.simd import Floats
from a2c.kernels.threads import Crew, meet
from a2c.kernels.vectors import flat
from a2c.rollout import Rollout

ORDER_STREAM = 7
"""The stream of the random numbers that shuffle rows into minibatches."""


class Passes(NamedTuple):
    """How many passes the critic makes over a rollout, and in which order of rows."""

    epochs: int
    minibatch: int  # rows of each
    rate: float  # of learning
    order: NDArray[np.int64]  # [T * N] the rows of this pass: t * N + n
    drawn: Floats  # [T * N] the random numbers that made it


@compiled
def shuffle(passes: Passes, seed: int, update: int, epoch: int) -> None:
    """Writes a new order of rows, which depends only on (seed, update, epoch), to `passes.order`.

    Reference: Fisher and Yates; Durstenfeld, "Algorithm 235: random permutation" (1964).
    """
    zero: Any = np.int64(0)
    order, rows = passes.order, len(passes.order)
    uniforms(seed, ORDER_STREAM, update * passes.epochs + epoch, zero, passes.drawn, zero, rows)
    for i in range(rows):
        order[i] = i
    for i in range(rows - 1, 0, -1):
        j = np.int64(np.float64(passes.drawn[i]) * (i + 1))
        order[i], order[j] = order[j], order[i]


@compiled
def critic_gradient(
    thread: int, crew: Crew, model: Model, rollout: Rollout, order: NDArray[np.int64], first: int, stop: int
) -> None:
    """One thread's part of the gradient of mean((G - V)^2) over rows order[first:stop].

    Blocks of rows take turns in the chunks' memory, in an order that does not depend on the number of threads. The sum
    is the first of `work.gradients`; the actor's part of it is 0.
    """
    network, work = model.network, model.work
    size, heads, columns = len(network.theta), network.actor_layers, rollout.inputs.shape[2]
    blocks = -(-(stop - first) // BLOCK_ROWS)
    slots = min(len(work.chunks) - 1, blocks)
    half = BLOCK_ROWS * len(network.zeros)
    dy, dx = 2 * thread * half, (2 * thread + 1) * half
    inputs, returns = flat(rollout.inputs), flat(rollout.returns)
    critic, begin = network.layers[-1], network.layers[heads, WEIGHT]
    end = network.log_std
    scale = np.float32(2.0 / (stop - first))
    for slot in range(slots * thread // crew.threads, slots * (thread + 1) // crew.threads):
        g0 = slot * size
        work.gradients[g0 : g0 + size] = np.float32(0)
        input_row = work.spare + slot * BLOCK_ROWS
        row = input_row if network.keeps else slot * work.room
        for block in range(blocks * slot // slots, blocks * (slot + 1) // slots):
            start = first + block * BLOCK_ROWS
            rows = min(BLOCK_ROWS, stop - start)
            for i in range(rows):
                take_in(network, inputs, order[start + i] * columns, columns, input_row + i)
            forward(network, heads, 2 * heads, input_row, row, rows)
            work.scratch[dy : dy + rows * critic[Y_ROW]] = np.float32(0)
            for i in range(rows):
                error = network.activations[critic[Y] + (row + i) * critic[Y_ROW]] - returns[order[start + i]]
                work.scratch[dy + i * critic[Y_ROW]] = scale * error
            backward(network, heads, 2 * heads, input_row, row, rows, work.gradients, g0, work.scratch, dy, dx)
    meet(crew)
    span = end - begin
    low, high = begin + span * thread // crew.threads, begin + span * (thread + 1) // crew.threads
    sum_up(work, size, slots, low, high)
    meet(crew)


@compiled
def fit(
    thread: int,
    crew: Crew,
    model: Model,
    optimizer: Optimizer,
    passes: Passes,
    rollout: Rollout,
    seed: int,
    update: int,
    scale: float,
) -> bool:
    """One thread's part of all passes over a rollout, with learning rate `rate * scale`; whether all was finite."""
    network, work = model.network, model.work
    size, heads, rows = len(network.theta), network.actor_layers, len(passes.order)
    for epoch in range(passes.epochs):
        if thread == 0:
            shuffle(passes, seed, update, epoch)
        meet(crew)
        for first in range(0, rows, passes.minibatch):
            stop = min(first + passes.minibatch, rows)
            critic_gradient(thread, crew, model, rollout, passes.order, first, stop)
            if not step(thread, crew, optimizer, network.theta, work.gradients[:size], passes.rate * scale):
                return False
            begin, end = heads * thread // crew.threads, heads * (thread + 1) // crew.threads
            transpose_layers(network, heads + begin, heads + end)
            meet(crew)
    if thread == 0:
        work.stamp[0] += 1
    meet(crew)
    return True
