"""The memory of a policy: a gated recurrent unit, forward step by step and backward through a whole rollout.

Each row of inputs has memory for the results of its step, which the gradient uses. The new state is written to the row
of inputs, where the networks' first layers read it. In a network without memory `memory` is None, and Numba compiles
nothing that follows `if memory is not None`. `a2c.model.blocks.remember` has the equations.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.lanes import AS_IT_IS
from a2c.kernels.lookup import add_looked_up, look_up
from a2c.kernels.simd import Floats, matmul, transpose
from a2c.kernels.vectors import numbers, sigmoid, tanh
from a2c.model.architecture import Architecture, Parameters

ROOM = 5
"""Numbers that are stored for each unit in a row: c, r, z, n, and c U_n + d_n."""

_ONE = np.float32(1)


class Memory(NamedTuple):
    """A gated recurrent unit of size H, and where its arrays lie. Gates lie one after another: r, z, n."""

    size: int  # H
    seen: int  # columns of a row of inputs that are multiplied with weights; the new state is written after them
    images: int  # how many of these, the last ones, are features of images
    x_row: int  # numbers from one row of inputs to the next
    apart: int  # rows of inputs from the actor's to the critic's, to which the state is copied; 0: they share rows
    lookups: NDArray[np.int64]  # [choices, 2] as in `a2c.kernels.lookup`
    weight: int  # where in theta the weights [in, 3 H] start, ...
    bias: int
    carry_weight: int  # ... and those of the state, [H, 3 H]
    carry_bias: int
    turned: Floats  # [3 H * H] the weights of the state, transposed
    turned_images: Floats  # [3 H * images] the weights of features of images, transposed
    rooms: Floats  # [rows * ROOM * H] the stored numbers of each row
    room: int  # the most rows that a chunk works on at once
    gates: Floats  # [chunks * room * 6 H] x W + b, then c U + d
    d_seen: Floats  # [rows * 3 H] dL/d(x W + b)
    d_carried: Floats  # [rows * 3 H] dL/d(c U + d)
    d_carry: Floats  # [chunks * room * H] dL/dc


def memory_for(
    architecture: Architecture, first_parameter: int, x_row: int, rows: int, apart: int, room: int, chunks: int
) -> tuple[Memory | None, int]:
    """Lays out the memory of an architecture.

    Args:
        architecture: Of the networks.
        first_parameter: Where in theta its parameters start.
        x_row: Numbers of a row of inputs.
        rows: Number of rows of inputs.
        apart: Rows of inputs from the actor's to the critic's; 0 if they share rows.
        room: Rows that a chunk works on at once.
        chunks: Number of chunks that work at the same time.

    Returns:
        The memory, or None if the architecture has none; and where in theta the parameters after it start.
    """
    size = architecture.memory_size
    if not size:
        return None, first_parameter
    seen, images = architecture.num_floats + architecture.num_image_features, architecture.num_image_features
    firsts = itertools.accumulate(architecture.choices, initial=seen)
    lookups = [(seen + size + c, first) for c, first in zip(range(len(architecture.choices)), firsts, strict=False)]
    bias = first_parameter + (seen + sum(architecture.choices)) * 3 * size
    carry_weight = bias + 3 * size
    carry_bias = carry_weight + 3 * size * size

    memory = Memory(
        size, seen, images, x_row, apart, np.array(lookups, np.int64).reshape(-1, 2),
        first_parameter, bias, carry_weight, carry_bias, numbers(3 * size * size), numbers(max(1, 3 * size * images)),
        numbers(rows * ROOM * size), room, numbers(chunks * room * 6 * size),
        numbers(rows * 3 * size), numbers(rows * 3 * size), numbers(chunks * room * size),
    )  # fmt: skip
    return memory, carry_bias + 3 * size


def memory_views(memory: Memory, flat: Floats) -> Parameters:
    """The memory's named arrays of `a2c.model.architecture`, as views of a flat array laid out as theta.

    The number of units is a multiple of LANES, so nothing is padded.
    """
    gates = 3 * memory.size
    return {
        "memory.weight": flat[memory.weight : memory.bias].reshape(-1, gates),
        "memory.bias": flat[memory.bias : memory.bias + gates],
        "memory.carry.weight": flat[memory.carry_weight : memory.carry_bias].reshape(memory.size, gates),
        "memory.carry.bias": flat[memory.carry_bias : memory.carry_bias + gates],
    }


@compiled
def take_in_carry(memory: Memory | None, row: int, carry: Floats, c0: int, has_ended: bool) -> bool:
    """Copies the state at c0 to the network's row, or zeros if an episode has ended.

    Returns:
        Whether that changed the row.
    """
    differs = False
    if memory is not None:
        size = memory.size
        at = row * ROOM * size
        ours, given = memory.rooms[at : at + size], carry[c0 : c0 + size]
        for j in range(size):
            carried = np.float32(0) if has_ended else given[j]
            differs |= not ours[j] == carried  # noqa: SIM201 - NaN
            ours[j] = carried
    return differs


@compiled
def remember(memory: Memory | None, theta: Floats, inputs: Floats, chunk: int, row: int, rows: int) -> None:
    """A step of the memory on some rows: writes the new states into the rows of inputs.

    Args:
        memory: With the states before the step in the rows' rooms.
        theta: The parameters.
        inputs: Rows of inputs, with the features of images.
        chunk: The chunk whose memory is used for gates.
        row: The first row.
        rows: The number of rows, at most `memory.room`.
    """
    if memory is not None:
        size = memory.size
        gates, room, x_row = 3 * size, ROOM * size, memory.x_row
        x, seen = row * x_row, chunk * memory.room * 2 * gates
        carried = seen + memory.room * gates
        zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
        one: Any = np.int64(1)
        begin, begin0, begin_row = theta, memory.bias, zero
        if len(memory.lookups):
            look_up(
                memory.lookups, theta, memory.weight, memory.bias, gates, inputs, x, x_row, memory.gates, seen, rows
            )
            begin, begin0, begin_row = memory.gates, seen, gates
        matmul(
            inputs, x, x_row, one,
            theta, memory.weight, gates,
            begin, begin0, begin_row,
            memory.gates, seen, gates,
            rows, memory.seen, gates,
            AS_IT_IS, inputs, zero, zero,
        )  # fmt: skip
        matmul(
            memory.rooms, row * room, room, one,
            theta, memory.carry_weight, gates,
            theta, memory.carry_bias, zero,
            memory.gates, carried, gates,
            rows, size, gates,
            AS_IT_IS, inputs, zero, zero,
        )  # fmt: skip
        for i in range(rows):
            kept = memory.rooms[(row + i) * room : (row + i + 1) * room]
            of_x = memory.gates[seen + i * gates : seen + (i + 1) * gates]
            of_c = memory.gates[carried + i * gates : carried + (i + 1) * gates]
            both, c, r, z, n, s = (
                kept[size : 3 * size], kept[:size], kept[size : 2 * size], kept[2 * size : 3 * size],
                kept[3 * size : 4 * size], kept[4 * size :],
            )  # fmt: skip
            for j in range(2 * size):
                both[j] = of_x[j] + of_c[j]
            sigmoid(both)
            new_x, new_c = of_x[2 * size :], of_c[2 * size :]
            for j in range(size):
                s[j] = new_c[j]
                n[j] = new_x[j] + r[j] * s[j]
            tanh(n)
            out = inputs[(row + i) * x_row + memory.seen : (row + i) * x_row + memory.seen + size]
            for j in range(size):
                out[j] = n[j] + z[j] * (c[j] - n[j])
            if memory.apart:
                give_carry(memory, inputs, row + i, inputs, (row + i + memory.apart) * x_row + memory.seen)


@compiled
def give_carry(memory: Memory | None, inputs: Floats, row: int, carry: Floats, c0: int) -> None:
    """Copies the state after a row's step to c0."""
    if memory is not None:
        at = row * memory.x_row + memory.seen
        given, out = inputs[at : at + memory.size], carry[c0 : c0 + memory.size]
        for j in range(memory.size):
            out[j] = given[j]


@compiled
def learn_through_time(
    memory: Memory | None, inputs: Floats, zeros: Floats, one_: Floats, chunk: int, first_row: int,
    terminated: NDArray[np.bool_], truncated: NDArray[np.bool_], start: int, stop: int,
    d_features: Floats, features: int, gradient: Floats, g0: int,
) -> None:  # fmt: skip
    """Adds the gradient of a chunk's steps to that of the parameters, from the last step back to the first.

    Where an episode ended, the state was set to 0, and no gradient flows back.

    Args:
        memory: With the numbers that `remember` stored for these rows.
        inputs: Rows of inputs.
        zeros: As many as the widest row has numbers.
        one_: A single 1.
        chunk: The chunk's number.
        first_row: The chunk's first row; its rows lie step by step.
        terminated: [T, N].
        truncated: [T, N].
        start: The chunk's first environment, ...
        stop: ... and the first one after it.
        d_features: [rows, features] dL/d features; the memory's gradient in features of images is added to it.
        features: Columns of `d_features`; the memory's are the last.
        gradient: Laid out as theta, from g0 on.
        g0: Its start.
    """
    if memory is not None:
        length, count, size = len(terminated), stop - start, memory.size
        gates, room = 3 * size, ROOM * size
        zero: Any = np.int64(0)
        one: Any = np.int64(1)
        d0 = chunk * memory.room * size
        d_all = memory.d_carry[d0 : d0 + count * size]
        for j in range(len(d_all)):
            d_all[j] = np.float32(0)
        for t in range(length - 1, -1, -1):
            for i in range(count):
                row = first_row + t * count + i
                kept = memory.rooms[row * room : (row + 1) * room]
                c, r, z, n, s = (
                    kept[:size], kept[size : 2 * size], kept[2 * size : 3 * size],
                    kept[3 * size : 4 * size], kept[4 * size :],
                )  # fmt: skip
                given = d_features[(row + 1) * features - size : (row + 1) * features]
                d_c = memory.d_carry[d0 + i * size : d0 + (i + 1) * size]
                d_seen = memory.d_seen[row * gates : (row + 1) * gates]
                d_carried = memory.d_carried[row * gates : (row + 1) * gates]
                seen_r, seen_z, seen_n = d_seen[:size], d_seen[size : 2 * size], d_seen[2 * size :]
                carried_r, carried_z, carried_n = d_carried[:size], d_carried[size : 2 * size], d_carried[2 * size :]
                goes_on = np.float32(0) if terminated[t, start + i] or truncated[t, start + i] else _ONE
                for j in range(size):
                    d = given[j] + goes_on * d_c[j]
                    d_n = d * (_ONE - z[j]) * (_ONE - n[j] * n[j])
                    d_z = d * (c[j] - n[j]) * z[j] * (_ONE - z[j])
                    d_r = d_n * s[j] * r[j] * (_ONE - r[j])
                    seen_r[j], seen_z[j], seen_n[j] = d_r, d_z, d_n
                    carried_r[j], carried_z[j], carried_n[j] = d_r, d_z, d_n * r[j]
                    d_c[j] = d * z[j]
            matmul(
                memory.d_carried, (first_row + t * count) * gates, gates, one,
                memory.turned, zero, size,
                memory.d_carry, d0, size,
                memory.d_carry, d0, size,
                count, gates, size,
                AS_IT_IS, zeros, zero, zero,
            )  # fmt: skip
        _add_products(memory, inputs, zeros, one_, first_row, length * count, gradient, g0)
        if memory.images:
            at = first_row * features
            matmul(
                memory.d_seen, first_row * gates, gates, one,
                memory.turned_images, zero, memory.images,
                d_features, at, features,
                d_features, at, features,
                length * count, gates, memory.images,
                AS_IT_IS, zeros, zero, zero,
            )  # fmt: skip


@compiled
def _add_products(
    memory: Memory, inputs: Floats, zeros: Floats, one_: Floats, row: int, rows: int, gradient: Floats, g0: int
) -> None:
    """dL/dW += x^T dL/d(x W + b), dL/dU += c^T dL/d(c U + d), and the biases' sums over rows."""
    gates, room, x_row = 3 * memory.size, ROOM * memory.size, memory.x_row
    zero: Any = np.int64(0)
    one: Any = np.int64(1)
    d = row * gates
    weight, bias = g0 + memory.weight, g0 + memory.bias
    carry_weight, carry_bias = g0 + memory.carry_weight, g0 + memory.carry_bias
    matmul(
        inputs, row * x_row, one, x_row,
        memory.d_seen, d, gates,
        gradient, weight, gates,
        gradient, weight, gates,
        memory.seen, rows, gates,
        AS_IT_IS, zeros, zero, zero,
    )  # fmt: skip
    add_looked_up(memory.lookups, inputs, row * x_row, x_row, rows, memory.d_seen, d, gates, gradient, weight)
    matmul(
        one_, zero, zero, zero,
        memory.d_seen, d, gates,
        gradient, bias, zero,
        gradient, bias, zero,
        one, rows, gates,
        AS_IT_IS, zeros, zero, zero,
    )  # fmt: skip
    matmul(
        memory.rooms, row * room, one, room,
        memory.d_carried, d, gates,
        gradient, carry_weight, gates,
        gradient, carry_weight, gates,
        memory.size, rows, gates,
        AS_IT_IS, zeros, zero, zero,
    )  # fmt: skip
    matmul(
        one_, zero, zero, zero,
        memory.d_carried, d, gates,
        gradient, carry_bias, zero,
        gradient, carry_bias, zero,
        one, rows, gates,
        AS_IT_IS, zeros, zero, zero,
    )  # fmt: skip


@compiled
def turn_memory(memory: Memory | None, theta: Floats) -> None:
    """Transposes the memory's weights for the gradient, after the parameters have changed."""
    if memory is not None:
        zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called function again
        size, gates = memory.size, 3 * memory.size
        transpose(theta, memory.carry_weight, gates, memory.turned, zero, size, size, gates)
        first = memory.weight + (memory.seen - memory.images) * gates
        transpose(theta, first, gates, memory.turned_images, zero, memory.images, memory.images, gates)
