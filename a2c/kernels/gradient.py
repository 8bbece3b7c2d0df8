"""The forward pass on the steps of a rollout, and the gradient of its loss: the same for any number of threads.

Environments are divided into chunks, whose number depends only on the sizes of the rollout and the networks. Each chunk
has a gradient of its own, and these are added in order, whichever thread computed them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled, inlined
from a2c.kernels.heads import differentiate
from a2c.kernels.passes import BLOCK_ROWS, X_ROW, Y_ROW, Network, Y, backward, forward, transpose_layers
from a2c.kernels.recurrent import (
    give_carry,
    learn_through_time,
    remember,
    take_in_carry,
    turn_memory,
)
from a2c.kernels.simd import Floats
from a2c.kernels.threads import Crew, meet
from a2c.kernels.torso import (
    INNER_AT_ONCE,
    Torso,
    add_to_features,
    convolve_images,
    differentiate_features,
    learn_from_features,
    learn_from_images,
    see_images,
    take_in_pixels,
    turn_kernels,
    whole_of_images,
)
from a2c.kernels.vectors import add, flat, numbers
from a2c.rollout import Rollout

CHUNK_ROWS = 128
"""A chunk has about this many rows at least, ..."""

CHUNK_OF_IMAGES = 20
"""... or this many if rows have images, ..."""

MOST_CHUNKS = 32
"""... and there are at most this many chunks, as each needs memory for a gradient, ..."""

MOST_GRADIENT_BYTES = 2**28
"""... of which all together take no more than this."""

LOSS, POLICY_LOSS, VALUE_LOSS, ENTROPY, GRAD_NORM, EXPLAINED_VARIANCE = range(6)
"""Indices of an update's metrics."""


class Loss(NamedTuple):
    """The loss: -mean(A log pi) + value_coef mean((G - V)^2) - entropy_coef mean(H)."""

    factors: NDArray[np.int64]  # of the action, as `a2c.kernels.heads.table_of` has them
    value_coef: float
    entropy_coef: float


class Work(NamedTuple):
    """How the work is divided among threads, and memory for it."""

    chunks: NDArray[np.int64]  # [C + 1] the first environment of each chunk, and N
    room: int  # rows of outputs of each chunk, if activations are not stored for the gradient
    spare: int  # the first spare row of inputs; each chunk has BLOCK_ROWS of them, for the critic's minibatches
    stamps: NDArray[np.int64]  # [T + 1] the version of the parameters that each step's activations were computed with
    stamp: NDArray[np.int64]  # [1] the version of the parameters now
    gradients: Floats  # [C * P] each chunk's gradient; the first becomes the sum of all
    scratch: Floats  # a part for each thread
    losses: NDArray[np.float64]  # [C, 6] sums of A log pi, (V - G)^2, H, V - G, G and G^2


class Model(NamedTuple):
    """A compiled engine's networks, loss and working memory, as one argument of kernels."""

    network: Network
    loss: Loss
    work: Work


def divide(num_envs: int, rollout_length: int, parameters: int, images: int) -> tuple[NDArray[np.int64], int]:
    """Divides the environments of a rollout into chunks.

    Args:
        num_envs: N.
        rollout_length: T.
        parameters: About how many numbers a gradient has.
        images: How many images a row has. They are so much work that a chunk may have fewer rows.

    Returns:
        The first environment of each chunk, and N: [C + 1]; and the rows of outputs that each chunk needs.
    """
    most = min(MOST_CHUNKS, max(1, MOST_GRADIENT_BYTES // (4 * parameters)))
    chunks = min(max(1, num_envs * rollout_length // (CHUNK_OF_IMAGES if images else CHUNK_ROWS)), num_envs, most)
    bounds = np.array([num_envs * chunk // chunks for chunk in range(chunks + 1)], np.int64)
    return bounds, max(BLOCK_ROWS, int(np.diff(bounds).max()))


def work_for(network: Network, bounds: NDArray[np.int64], room: int, rollout_length: int, threads: int) -> Work:
    """Working memory for the chunks and the room that `divide` gave, and for `threads` threads.

    Spare rows of inputs come after all others.
    """
    chunks, size = len(bounds) - 1, len(network.theta)
    return Work(
        bounds,
        room,
        int(bounds[-1]) * (rollout_length + 1),
        np.zeros(rollout_length + 1, np.int64),
        np.ones(1, np.int64),
        numbers(chunks * size),
        numbers(threads * 2 * BLOCK_ROWS * len(network.zeros)),
        np.zeros((chunks, 6)),
    )


@inlined
def take_in(network: Network, inputs: Floats, x0: int, columns: int, row: int) -> bool:
    """Copies a row of inputs at x0 to the network's row, or to both if the critic has its own; whether it changed."""
    x_row = network.layers[0, X_ROW]
    x, differs = row * x_row, False
    for j in range(network.floats):
        # `not ==` also counts NaN as a change.
        differs |= not network.activations[x + j] == inputs[x0 + j]  # noqa: SIM201 - NaN
        network.activations[x + j] = inputs[x0 + j]
    x += network.features
    for j in range(network.floats, columns):
        differs |= not network.activations[x + j] == inputs[x0 + j]  # noqa: SIM201 - NaN
        network.activations[x + j] = inputs[x0 + j]
    if network.apart:
        x = (row + network.apart) * x_row
        for j in range(columns):
            network.activations[x + j + (0 if j < network.floats else network.features)] = inputs[x0 + j]
    return differs


@inlined
def rows_of_step(work: Work, t: int, chunk: int) -> int:
    """The first row of inputs of step t in a chunk, whose rows lie step by step; those of t = T come after all."""
    length, start = len(work.stamps) - 1, work.chunks[chunk]
    if t == length:
        return length * work.chunks[-1] + start  # type: ignore[no-any-return]  # a number of NumPy's
    return length * start + t * (work.chunks[chunk + 1] - start)  # type: ignore[no-any-return]  # as above


@inlined
def forward_chunk(network: Network, work: Work, t: int, chunk: int, rollout: Rollout) -> None:
    """Evaluates actor and critic on the inputs of step t in one chunk of environments; for t = T, only the critic.

    The layers' outputs are stored for the gradient if the network keeps them. `carry[t + 1]` is the memory's new state,
    whether an episode ends or not.

    Args:
        network: Actor and critic.
        work: Gives the chunks.
        t: The step, 0 to T.
        chunk: The chunk's number.
        rollout: Gives inputs; outputs, values and carry are written to it.
    """
    take_in_step(network, work, t, chunk, rollout)
    look(network, chunk, rows_of_step(work, t, chunk), work.chunks[chunk + 1] - work.chunks[chunk])
    judge_step(network, work, t, chunk, rollout)


@inlined
def take_in_step(network: Network, work: Work, t: int, chunk: int, rollout: Rollout) -> None:
    """Copies the inputs of step t in one chunk, and the memory's state, to the network's rows."""
    num_envs, rows = work.chunks[-1], rows_of_step(work, t, chunk)
    columns, size, memory_size = rollout.inputs.shape[2], rollout.pixels.shape[2], rollout.carry.shape[2]
    inputs, pixels, carry = flat(rollout.inputs), flat(rollout.pixels), flat(rollout.carry)
    for i in range(work.chunks[chunk + 1] - work.chunks[chunk]):
        n = t * num_envs + work.chunks[chunk] + i
        take_in(network, inputs, n * columns, columns, rows + i)
        take_in_pixels(network.torso, rows + i, pixels, n * size)
        take_in_carry(network.memory, rows + i, carry, n * memory_size, False)


@inlined
def judge_step(network: Network, work: Work, t: int, chunk: int, rollout: Rollout) -> None:
    """Evaluates actor and critic on step t in one chunk, once `look` has the features; for t = T, only the critic."""
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
    length, num_envs = len(work.stamps) - 1, work.chunks[-1]
    start, heads = work.chunks[chunk], network.actor_layers
    count, rows = work.chunks[chunk + 1] - start, rows_of_step(work, t, chunk)
    row = rows if network.keeps else chunk * work.room
    carry, memory_size = flat(rollout.carry), rollout.carry.shape[2]
    actor, critic = network.layers[heads - 1], network.layers[-1]
    if t < length:
        forward(network, zero, heads, rows, row, count)
        for i in range(count):
            head = actor[Y] + (row + i) * actor[Y_ROW]
            for j in range(rollout.outputs.shape[2]):
                rollout.outputs[t, start + i, j] = network.activations[head + j]
            give_carry(
                network.memory, network.activations, rows + i, carry, ((t + 1) * num_envs + start + i) * memory_size
            )
    forward(network, heads, 2 * heads, rows, row, count)
    for i in range(count):
        rollout.value[t, start + i] = network.activations[critic[Y] + (row + i) * critic[Y_ROW]]


@compiled
def forward_step(thread: int, crew: Crew, network: Network, work: Work, t: int, rollout: Rollout) -> None:
    """One thread's part of the forward pass on step t of all environments; see `forward_chunk`."""
    chunks = len(work.chunks) - 1
    first, last = chunks * thread // crew.threads, chunks * (thread + 1) // crew.threads
    for chunk in range(first, last):
        take_in_step(network, work, t, chunk, rollout)
        rows, count = rows_of_step(work, t, chunk), work.chunks[chunk + 1] - work.chunks[chunk]
        convolve_images(network.torso, network.theta, chunk, rows, count)
    see_all(thread, crew, network.torso, network, work, t)
    for chunk in range(first, last):
        rows, count = rows_of_step(work, t, chunk), work.chunks[chunk + 1] - work.chunks[chunk]
        remember(network.memory, network.theta, network.activations, chunk, rows, count)
        judge_step(network, work, t, chunk, rollout)
    if thread == 0:
        work.stamps[t] = work.stamp[0]


@compiled
def see_all(thread: int, crew: Crew, torso: Torso | None, network: Network, work: Work, t: int) -> None:
    """One thread's part of the features of step t's images, once all of them are convolved."""
    if torso is not None:
        meet(crew)
        for k in range(0, torso.flat, INNER_AT_ONCE):
            for chunk in range(len(work.chunks) - 1):
                add_to_features(
                    torso, network.theta, network.activations, network.layers[0, X_ROW],
                    rows_of_step(work, t, chunk), work.chunks[chunk + 1] - work.chunks[chunk],
                    k, thread, crew.threads,
                )  # fmt: skip
        meet(crew)


@compiled
def look(network: Network, chunk: int, row: int, rows: int) -> None:
    """Computes the features of some rows in the network: first of their images, then the memory's outputs."""
    see_images(network.torso, network.theta, network.activations, network.layers[0, X_ROW], chunk, row, rows)
    remember(network.memory, network.theta, network.activations, chunk, row, rows)


@compiled
def value_of(
    network: Network, work: Work, chunk: int,
    inputs: Floats, x0: int, columns: int, pixels: NDArray[np.uint8], p0: int, carry: Floats, c0: int,
) -> np.float32:  # fmt: skip
    """Evaluates the critic on one row: inputs at x0, pixels at p0 and the memory's state at c0.

    It uses the network's row of the chunk's first environment in row T.
    """
    one: Any = np.int64(1)
    rows = (len(work.stamps) - 1) * work.chunks[-1] + work.chunks[chunk]
    row = rows if network.keeps else chunk * work.room
    take_in(network, inputs, x0, columns, rows)
    take_in_pixels(network.torso, rows, pixels, p0)
    take_in_carry(network.memory, rows, carry, c0, False)
    look(network, chunk, rows, one)
    heads, critic = network.actor_layers, network.layers[-1]
    forward(network, heads, 2 * heads, rows, row, one)
    return np.float32(network.activations[critic[Y] + row * critic[Y_ROW]])


@compiled
def values_of(
    network: Network, work: Work,
    inputs: NDArray[np.float32], pixels: NDArray[np.uint8], carry: NDArray[np.float32], value: Floats,
) -> None:  # fmt: skip
    """Evaluates the critic: inputs [B, D], pixels [B, P] and memory states [B, H] -> value [B], which is written."""
    columns, size, memory_size = inputs.shape[1], pixels.shape[1], carry.shape[1]
    flat_inputs, flat_pixels, flat_carry = flat(inputs), flat(pixels), flat(carry)
    zero: Any = np.int64(0)
    for i in range(len(value)):
        value[i] = value_of(
            network, work, zero, flat_inputs, i * columns, columns, flat_pixels, i * size, flat_carry, i * memory_size
        )


@compiled
def recall(network: Network, work: Work, rollout: Rollout, chunk: int) -> bool:
    """Makes sure that the memory's states of all steps of a chunk are stored; recomputes them if they are outdated.

    Returns:
        Whether they were recomputed. If so, stored activations of later layers are outdated, too.
    """
    if network.memory is None:
        return False
    length, num_envs = rollout.reward.shape
    columns, size, memory_size = rollout.inputs.shape[2], rollout.pixels.shape[2], rollout.carry.shape[2]
    inputs, pixels, carry = flat(rollout.inputs), flat(rollout.pixels), flat(rollout.carry)
    start, stop = work.chunks[chunk], work.chunks[chunk + 1]
    count, differs = stop - start, False
    remembered = network.floats + network.features - memory_size  # the memory's first column in a row of inputs
    for t in range(length):
        differs |= work.stamps[t] != work.stamp[0]
        for n in range(start, stop):
            row, at = length * start + t * count + n - start, t * num_envs + n
            differs |= take_in(network, inputs, at * columns, columns, row)
            differs |= take_in_pixels(network.torso, row, pixels, at * size)
    for t in range(length):
        row = length * start + t * count
        for i in range(count):
            if t == 0:
                differs |= take_in_carry(network.memory, row + i, carry, (start + i) * memory_size, False)
            else:
                ended = rollout.terminated[t - 1, start + i] or rollout.truncated[t - 1, start + i]
                before = (row + i - count) * network.layers[0, X_ROW] + remembered
                differs |= take_in_carry(network.memory, row + i, network.activations, before, ended)
        if differs:
            look(network, chunk, row, count)
    return differs


@compiled
def at_hand(
    network: Network, work: Work, rollout: Rollout, chunk: int, first: int, rows: int, with_critic: bool, is_new: bool
) -> tuple[int, int]:
    """Makes sure that the actor's activations of some rows of a chunk are stored; recomputes them if outdated.

    Args:
        network: Actor and critic.
        work: Gives the chunks.
        rollout: Gives inputs and pixels.
        chunk: The chunk's number.
        first: The first row, counted within the chunk, step by step.
        rows: The number of rows.
        with_critic: Whether the critic's activations are needed, too.
        is_new: Whether the memory's states were recomputed (`recall`).

    Returns:
        The first row of inputs, and the first row of outputs.
    """
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
    num_envs, columns, size = rollout.inputs.shape[1], rollout.inputs.shape[2], rollout.pixels.shape[2]
    inputs, pixels = flat(rollout.inputs), flat(rollout.pixels)
    start, stop, heads = work.chunks[chunk], work.chunks[chunk + 1], network.actor_layers
    input_row = (len(work.stamps) - 1) * start + first
    row = input_row if network.keeps else chunk * work.room
    is_kept, is_seen = network.keeps and not is_new, True
    t, n = first // (stop - start), start + first % (stop - start)
    for i in range(rows):
        differs = take_in(network, inputs, (t * num_envs + n) * columns, columns, input_row + i)
        sees_another = take_in_pixels(network.torso, input_row + i, pixels, (t * num_envs + n) * size)
        is_seen = is_seen and not sees_another and work.stamps[t] == work.stamp[0]
        is_kept = is_kept and not differs and is_seen
        n += 1
        if n == stop:
            t, n = t + 1, start
    if not (is_seen or is_new):
        see_images(network.torso, network.theta, network.activations, network.layers[0, X_ROW], chunk, input_row, rows)
    if not is_kept:
        forward(network, zero, heads, input_row, row, rows)
        if with_critic:
            forward(network, heads, 2 * heads, input_row, row, rows)
    return input_row, row


@compiled
def chunk_gradient(model: Model, rollout: Rollout, chunk: int, dy: int, dx: int) -> None:
    """Computes the gradient and the loss of one chunk of environments, for the steps 0 to T - 1.

    Activations from acting are reused if they belong to the same inputs and parameters; else they are recomputed.

    Args:
        model: The gradient and the sums of the loss are written to its `work`.
        rollout: With advantages and returns.
        chunk: The chunk's number.
        dy: The start in work.scratch of one block that this thread may write, ...
        dx: ... and of another.
    """
    network, loss, work = model.network, model.loss, model.work
    length, num_envs = rollout.reward.shape
    actions, masks = rollout.action.shape[2], rollout.mask.shape[2]
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
    action, mask = flat(rollout.action), flat(rollout.mask)
    log_std = network.theta[network.log_std : network.log_std + network.log_stds]
    start, stop = work.chunks[chunk], work.chunks[chunk + 1]
    count = stop - start
    size, heads = len(network.theta), network.actor_layers
    g0 = chunk * size
    whole, rest = whole_of_images(network.torso, size)
    work.gradients[g0 : g0 + whole] = np.float32(0)
    work.gradients[g0 + rest : g0 + size] = np.float32(0)
    actor, critic = network.layers[heads - 1], network.layers[-1]
    actor_row, critic_row = actor[Y_ROW], critic[Y_ROW]
    scale = np.float32(1.0 / (length * num_envs))
    value_scale = np.float32(2.0 * loss.value_coef / (length * num_envs))
    entropy_coef = np.float32(loss.entropy_coef)
    policy_sum, value_sum, entropy_sum = 0.0, 0.0, 0.0
    error_sum, return_sum, return_squares = 0.0, 0.0, 0.0
    x_row, features = network.layers[0, X_ROW], network.features
    is_new = recall(network, work, rollout, chunk)
    for first in range(0, length * count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, length * count - first)
        input_row, row = at_hand(network, work, rollout, chunk, first, rows, True, is_new)
        work.scratch[dy : dy + rows * max(actor_row, critic_row)] = np.float32(0)
        t, n = first // count, start + first % count
        for i in range(rows):
            error = network.activations[critic[Y] + (row + i) * critic_row] - rollout.returns[t, n]
            work.scratch[dy + i * critic_row] = value_scale * error
            target = np.float64(rollout.returns[t, n])
            value_sum += np.float64(error) ** 2
            error_sum += np.float64(error)
            return_sum += target
            return_squares += target**2
            n += 1
            if n == stop:
                t, n = t + 1, start
        at = backward(network, heads, 2 * heads, input_row, row, rows, work.gradients, g0, work.scratch, dy, dx)
        take_gradient(network, input_row, rows, work.scratch, at, False)
        work.scratch[dy : dy + rows * actor_row] = np.float32(0)
        t, n = first // count, start + first % count
        for i in range(rows):
            head, at = actor[Y] + (row + i) * actor_row, t * num_envs + n
            advantage = rollout.advantage[t, n]
            log_prob, entropy = differentiate(
                loss.factors, log_std,
                network.activations, head, action, at * actions, mask, at * masks,
                advantage, entropy_coef, scale,
                work.scratch, dy + i * actor_row, work.gradients, g0 + network.log_std,
            )  # fmt: skip
            policy_sum += np.float64(advantage) * log_prob
            entropy_sum += np.float64(entropy)
            n += 1
            if n == stop:
                t, n = t + 1, start
        at = backward(network, zero, heads, input_row, row, rows, work.gradients, g0, work.scratch, dy, dx)
        take_gradient(network, input_row, rows, work.scratch, at, True)
    learn_through_time(
        network.memory, network.activations, network.zeros, network.one, chunk, length * start,
        rollout.terminated, rollout.truncated, start, stop, network.d_features, features, work.gradients, g0,
    )  # fmt: skip
    differentiate_features(
        network.torso, network.activations, x_row, network.d_features, features, length * start, length * count
    )
    work.losses[chunk, 0], work.losses[chunk, 1], work.losses[chunk, 2] = policy_sum, value_sum, entropy_sum
    work.losses[chunk, 3], work.losses[chunk, 4], work.losses[chunk, 5] = error_sum, return_sum, return_squares


@compiled
def take_gradient(network: Network, row: int, rows: int, scratch: Floats, dx: int, is_actor: bool) -> None:
    """Copies dL/d features of some rows, as the backward pass of one network gives it, to `d_features`.

    The actor's comes second; it is added to the critic's for features that both see.
    """
    n, own, x_row = network.features, network.own, network.layers[0, X_ROW]
    apart = 0 if is_actor else network.apart
    for i in range(rows if n else 0):
        at, to, of_own = dx + i * x_row + network.floats, (row + i) * n, (row + apart + i) * n
        for j in range(own):
            network.d_features[of_own + j] = scratch[at + j]
        ours, given = network.d_features[to + own : to + n], scratch[at + own : at + n]
        if is_actor:
            for j in range(n - own):
                ours[j] += given[j]
        else:
            for j in range(n - own):
                ours[j] = given[j]


@compiled
def sum_up(work: Work, size: int, count: int, start: int, stop: int) -> None:
    """Adds numbers start..stop-1 of `count` gradients of `size` numbers to the first one, in order."""
    for number in range(1, count):
        add(work.gradients[start:stop], work.gradients[number * size + start : number * size + stop])


@compiled
def summarize(loss: Loss, work: Work, rows: int, metrics: NDArray[np.float64]) -> None:
    """Turns the chunks' sums into an update's metrics [6], without the norm of the gradient."""
    for place in range(6):
        total = 0.0
        for chunk in range(len(work.losses)):
            total += work.losses[chunk, place]
        work.losses[0, place] = total / rows
    policy, value, entropy = work.losses[0, 0], work.losses[0, 1], work.losses[0, 2]
    error, mean, square = work.losses[0, 3], work.losses[0, 4], work.losses[0, 5]
    metrics[LOSS] = -policy + loss.value_coef * value - loss.entropy_coef * entropy
    metrics[POLICY_LOSS], metrics[VALUE_LOSS], metrics[ENTROPY] = -policy, value, entropy
    variance = square - mean * mean
    # If returns do not vary, rounding still leaves a tiny variance: it counts as 0.
    metrics[EXPLAINED_VARIANCE] = 1.0 - (value - error * error) / variance if variance > 1e-14 * square else 0.0


@compiled
def gradient(thread: int, crew: Crew, model: Model, rollout: Rollout, metrics: NDArray[np.float64]) -> None:
    """One thread's part of the gradient, the first of `work.gradients`, and of the metrics [6] without its norm."""
    network, work = model.network, model.work
    chunks, size = len(work.chunks) - 1, len(network.theta)
    half = BLOCK_ROWS * len(network.zeros)
    first, last = chunks * thread // crew.threads, chunks * (thread + 1) // crew.threads
    for chunk in range(first, last):
        chunk_gradient(model, rollout, chunk, 2 * thread * half, (2 * thread + 1) * half)
    if network.torso is not None:
        meet(crew)
        gradient_of_images(thread, crew, model, rollout.reward.shape[0], first, last)
    meet(crew)
    start, stop = size * thread // crew.threads, size * (thread + 1) // crew.threads
    # The layer after the convolutions already has its whole gradient.
    whole, rest = whole_of_images(network.torso, size)
    sum_up(work, size, chunks, start, min(stop, whole))
    sum_up(work, size, chunks, max(start, rest), stop)
    if thread == 0:
        summarize(model.loss, work, rollout.reward.size, metrics)
    meet(crew)


@compiled
def gradient_of_images(thread: int, crew: Crew, model: Model, length: int, first: int, last: int) -> None:
    """One thread's part of the gradient of convolutions and the layer after them, given dL/d features."""
    network, work = model.network, model.work
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
    rows, size = length * work.chunks[-1], len(network.theta)
    learn_from_features(network.torso, network.theta, network.one, rows, work.gradients, zero, thread, crew.threads)
    meet(crew)
    for chunk in range(first, last):
        row, count = length * work.chunks[chunk], length * (work.chunks[chunk + 1] - work.chunks[chunk])
        learn_from_images(network.torso, network.zeros, network.one, chunk, row, count, work.gradients, chunk * size)


@compiled
def follow(thread: int, crew: Crew, model: Model) -> None:
    """One thread's part of updating everything that is derived from the parameters, after they have changed."""
    layers = len(model.network.layers)
    transpose_layers(model.network, layers * thread // crew.threads, layers * (thread + 1) // crew.threads)
    if thread == 0:
        turn_kernels(model.network.torso, model.network.theta)
        turn_memory(model.network.memory, model.network.theta)
        model.work.stamp[0] += 1
    meet(crew)
