"""Products of a vector with the Fisher matrix of the policy on the steps of a rollout, by any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from a2c.kernels.compiler import compiled
from a2c.kernels.gradient import Model, at_hand, sum_up
from a2c.kernels.heads import metric
from a2c.kernels.passes import BLOCK_ROWS, Y_ROW, Y, backward, tangents
from a2c.kernels.simd import Floats
from a2c.kernels.threads import Crew, meet
from a2c.kernels.vectors import flat
from a2c.rollout import Rollout


@compiled
def chunk_fisher(model: Model, rollout: Rollout, direction: Floats, chunk: int, dy: int, dx: int) -> None:
    """Writes one chunk's part of J^T M J v, without the log standard deviations, to `work.gradients`."""
    network, loss, work = model.network, model.loss, model.work
    length, num_envs = rollout.reward.shape
    masks, mask = rollout.mask.shape[2], flat(rollout.mask)
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
    log_std = network.theta[network.log_std : network.log_std + network.log_stds]
    start, stop = work.chunks[chunk], work.chunks[chunk + 1]
    count = stop - start
    size, heads = len(network.theta), network.actor_layers
    g0 = chunk * size
    work.gradients[g0 : g0 + size] = np.float32(0)
    actor = network.layers[heads - 1]
    scale = np.float32(1.0 / (length * num_envs))
    for first in range(0, length * count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, length * count - first)
        input_row, row = at_hand(network, work, rollout, chunk, first, rows, False, False)
        tangents(network, zero, heads, input_row, row, rows, direction, work.scratch, dy, dx)
        t, n = first // count, start + first % count
        for i in range(rows):
            o = dy + i * actor[Y_ROW]
            head = actor[Y] + (row + i) * actor[Y_ROW]
            metric(loss.factors, log_std, network.activations, head, mask, (t * num_envs + n) * masks, work.scratch, o)
            for j in range(actor[Y_ROW]):
                work.scratch[o + j] *= scale
            n += 1
            if n == stop:
                t, n = t + 1, start
        backward(network, zero, heads, input_row, row, rows, work.gradients, g0, work.scratch, dy, dx)


@compiled
def fisher(thread: int, crew: Crew, model: Model, rollout: Rollout, direction: Floats, product: Floats) -> None:
    """One thread's part of F v: F = mean over rows of J^T M J for the actor's outputs, and 2 for each log_std.

    Args:
        thread: The thread's number, from 0.
        crew: The threads that compute.
        model: The engine's; its gradients are overwritten.
        rollout: Gives inputs and masks.
        direction: v, laid out as theta; the critic's part must be 0.
        product: F v is written here.
    """
    network, work = model.network, model.work
    chunks, size = len(work.chunks) - 1, len(network.theta)
    half = BLOCK_ROWS * len(network.zeros)
    for chunk in range(chunks * thread // crew.threads, chunks * (thread + 1) // crew.threads):
        chunk_fisher(model, rollout, direction, chunk, 2 * thread * half, (2 * thread + 1) * half)
    meet(crew)
    start, stop = size * thread // crew.threads, size * (thread + 1) // crew.threads
    sum_up(work, size, chunks, start, stop)
    for i in range(start, stop):
        product[i] = work.gradients[i]
    meet(crew)
    if thread == 0:
        for j in range(network.log_std, network.log_std + network.log_stds):
            product[j] += 2 * direction[j]
    meet(crew)
