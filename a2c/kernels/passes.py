"""Actor and critic as a table of layers on flat arrays: the forward pass, and the backward pass from its activations.

Every array is flat and padded: a row of activations takes a multiple of LANES numbers, filled up with zeros, which stay
zeros through every layer, gradient and optimizer step. A layer is a row of numbers in `Network.layers` that tell where
its parts lie. Hidden layers store their weights as [in, padded out], for a product that runs along the outputs. A head
with few outputs stores them the other way round, as [out, padded in], for sums that run along the inputs: otherwise it
would compute LANES outputs although it needs two, say. `benchmarks/kernels.py` measures both.

If an observation has choices, a row of inputs ends with their numbers. The first layers look up a row of weights for
each, instead of multiplying all weights with a one-hot vector.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled, inlined
from a2c.kernels.lanes import AS_IT_IS, RECTIFIED, TIMES_RELU_DERIVATIVE, TIMES_TANH_DERIVATIVE
from a2c.kernels.lookup import add_looked_up, look_up
from a2c.kernels.narrow import NARROW_OUTPUTS, TOGETHER, back_through_head
from a2c.kernels.recurrent import Memory, memory_for, memory_views
from a2c.kernels.simd import Floats, dots, matmul, transpose
from a2c.kernels.torso import Torso, torso_for, torso_views
from a2c.kernels.vectors import numbers, padded, tanh
from a2c.model import NETWORKS
from a2c.model.architecture import Architecture, Parameters

IN, OUT, X_ROW, Y_ROW, WEIGHT, BIAS, X, Y, NARROW, TRANSPOSED = range(10)
"""Columns of `Network.layers`: inputs, outputs; numbers in a row of input and of output; where in the parameters weight
and bias start; where in the activations input and output start; whether weights are stored [out, padded in]; where the
transposed weight starts, or -1 if no gradient is propagated further."""

BLOCK_ROWS = 32
"""Rows whose gradients are propagated together: few enough to stay in the fastest cache."""

KEPT_BYTES = 3 * 2**19
"""The most memory for activations that are stored from acting to the gradient: in a near cache, loading them is faster
than computing them again."""


class Network(NamedTuple):
    """An actor-critic on flat arrays.

    Every observation of a rollout has a row of inputs, a copy of the rollout's in the layout that products need. If the
    outputs of all layers fit a core's cache, they have a row for each observation, too, and the gradient uses those of
    acting (`keeps`). If they do not fit, computing them again is faster than loading them, and outputs have rows only
    for the observations that a chunk works on.
    """

    keeps: bool  # whether activations are stored from acting to the gradient
    floats: int  # columns of numbers in a row of inputs; after them come features, then the numbers of choices
    features: int  # columns of features of images and of the memory
    own: int  # how many of these, the first ones, differ between actor and critic; 0 if they share them
    apart: int  # rows of inputs from the actor's to the critic's of the same observation; 0 if they share rows
    torso: Torso | None
    memory: Memory | None
    d_features: Floats  # [rows of inputs * features] dL/d features
    layers: NDArray[np.int64]  # [layers, 10] the actor's, then the critic's
    actor_layers: int  # number of the actor's layers
    is_tanh: bool
    theta: Floats  # every parameter
    log_std: int  # where in theta the log standard deviations start
    log_stds: int  # number of log standard deviations
    lookups: NDArray[np.int64]  # [choices, 2] the column of its number in a row of inputs, the first row of its weights
    transposed: Floats  # weights of layers through which gradients are propagated, [out, padded in]
    activations: Floats  # inputs, then the outputs of every layer
    zeros: Floats  # as many zeros as the widest row has numbers
    one: Floats  # a single 1


def network_for(architecture: Architecture, inputs: int, working_rows: int, chunks: int = 1) -> Network:
    """Lays out the networks of an architecture; the parameters are 0.

    Args:
        architecture: Of the networks.
        inputs: Number of rows of inputs.
        working_rows: Number of rows of outputs if activations are not stored for the gradient. Each chunk has an equal
            share of them.
        chunks: Number of chunks that work at the same time.
    """
    hidden = 2 * sum(padded(size) for size in architecture.hidden_sizes)
    keeps = 4 * inputs * hidden <= KEPT_BYTES
    rows = inputs if keeps else working_rows
    layers: list[list[int]] = []
    num_parameters = num_transposed = 0
    input_row = padded(architecture.num_inputs + architecture.num_features)
    own = 0 if architecture.share_torso else architecture.num_image_features
    apart = inputs if own else 0
    num_activations = (inputs + apart) * input_row
    for network in NETWORKS:
        x, x_row = apart * input_row if network == "critic" else 0, input_row
        for number, block in enumerate(architecture.blocks(network)):
            fan_in, fan_out = block.inputs, block.outputs
            # A row of weights that is looked up must be contiguous, so not [out, padded in].
            may_be_narrow = number > 0 or not architecture.choices
            narrow = may_be_narrow and block.activation is None and fan_out <= NARROW_OUTPUTS
            y_row = fan_out if narrow else padded(fan_out)
            weight, rows_of_weight = num_parameters, fan_in if number else architecture.input_size
            bias = weight + (fan_out * x_row if narrow else rows_of_weight * y_row)
            num_parameters = bias + padded(fan_out)
            transposed = -1
            if (number > 0 or architecture.num_features) and not narrow:
                transposed = num_transposed
                num_transposed += fan_out * x_row
            layers.append([fan_in, fan_out, x_row, y_row, weight, bias, x, num_activations, int(narrow), transposed])
            x, x_row = num_activations, y_row
            num_activations += padded(rows * y_row)
    dense = architecture.num_floats + architecture.num_features
    firsts = itertools.accumulate(architecture.choices, initial=dense)
    lookups = [(dense + column, first) for column, first in zip(range(len(architecture.choices)), firsts, strict=False)]
    torso, num_parameters = torso_for(architecture, num_parameters, inputs, apart, chunks)
    memory, num_parameters = memory_for(
        architecture, num_parameters, input_row, inputs, apart, working_rows // chunks, chunks
    )
    widest = max(max(layer[X_ROW], layer[Y_ROW]) for layer in layers)
    return Network(
        keeps,
        architecture.num_floats,
        architecture.num_features,
        own,
        apart,
        torso,
        memory,
        numbers((inputs + apart) * architecture.num_features),
        np.array(layers, np.int64),
        len(layers) // 2,
        architecture.activation == "tanh",
        numbers(num_parameters + padded(architecture.log_std_size)),
        num_parameters,
        architecture.log_std_size,
        np.array(lookups, np.int64).reshape(-1, 2),
        numbers(max(1, num_transposed)),
        numbers(num_activations),
        numbers(widest),
        np.ones(1, np.float32),
    )


def views(network: Network, flat: Floats, architecture: Architecture) -> Parameters:
    """The named arrays of `a2c.model.architecture`, in its order, as views of a flat array laid out as theta."""
    found: Parameters = {}
    layers = iter(network.layers.tolist())
    for which in NETWORKS:
        for number, block in enumerate(architecture.blocks(which)):
            layer = next(layers)
            rows = block.inputs if number else architecture.input_size
            weight, bias, outputs = layer[WEIGHT], layer[BIAS], block.outputs
            if layer[NARROW]:
                matrix = flat[weight : weight + outputs * layer[X_ROW]].reshape(outputs, layer[X_ROW])
                found[f"{block.name}.weight"] = matrix[:, :rows].T
            else:
                matrix = flat[weight : weight + rows * layer[Y_ROW]].reshape(rows, layer[Y_ROW])
                found[f"{block.name}.weight"] = matrix[:, :outputs]
            found[f"{block.name}.bias"] = flat[bias : bias + outputs]
    if network.torso is not None:
        found |= torso_views(network.torso, flat)
    if network.memory is not None:
        found |= memory_views(network.memory, flat)
    if architecture.log_std_size:
        found["log_std"] = flat[network.log_std : network.log_std + network.log_stds]
    return {name: found[name] for name in architecture.shapes()}


@compiled
def forward(network: Network, first: int, last: int, input_row: int, row: int, rows: int) -> None:
    """Runs layers first..last-1 on some rows and stores every layer's output.

    y = f(x W + b), with the activation f in hidden layers and none in the last.

    Args:
        network: Holds the inputs.
        first: First layer of actor or critic.
        last: Layer to stop before.
        input_row: First row of inputs.
        row: First row of outputs.
        rows: How many.
    """
    theta, activations = network.theta, network.activations
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
    one: Any = np.int64(1)
    for number in range(first, last):
        layer = network.layers[number]
        x_row, y_row = layer[X_ROW], layer[Y_ROW]
        x, y = layer[X] + (input_row if number == first else row) * x_row, layer[Y] + row * y_row
        weight, bias = layer[WEIGHT], layer[BIAS]
        if layer[NARROW]:
            for j in range(layer[OUT]):
                dots(
                    activations, x, x_row,
                    theta, weight + j * x_row, x_row,
                    theta[bias + j],
                    activations, y + j, y_row,
                    rows,
                )  # fmt: skip
        else:
            hidden = number < last - 1
            finish = RECTIFIED if hidden and not network.is_tanh else AS_IT_IS
            begin, begin0, begin_row = theta, bias, zero
            if number == first and len(network.lookups):
                look_up(network.lookups, theta, weight, bias, y_row, activations, x, x_row, activations, y, rows)
                begin, begin0, begin_row = activations, y, y_row
            matmul(
                activations, x, x_row, one,
                theta, weight, y_row,
                begin, begin0, begin_row,
                activations, y, y_row,
                rows, layer[IN], y_row,
                finish, activations, zero, zero,
            )  # fmt: skip
            if hidden and network.is_tanh:
                tanh(activations[y : y + rows * y_row])


@compiled
def backward(
    network: Network,
    first: int,
    last: int,
    input_row: int,
    row: int,
    rows: int,
    gradient: Floats,
    g0: int,
    scratch: Floats,
    dy: int,
    dx: int,
) -> int:
    """Adds the gradient of some rows to the parameters' gradient: from dL/dy of the last layer back to the first.

    dL/dW += x^T dL/dy,  dL/db += sum over rows of dL/dy,  dL/dx = dL/dy W^T * f'(x),  with f' computed from the stored
    f: 1 - f^2 for tanh, [f > 0] for ReLU.

    Returns:
        Where in scratch dL/dx of the first layer lies, [rows, X_ROW]; it is computed only if inputs have features.

    Args:
        network: With the activations that `forward` stored.
        first: First layer of actor or critic.
        last: Layer to stop before.
        input_row: First row of inputs.
        row: First row of outputs.
        rows: How many, at most BLOCK_ROWS.
        gradient: Laid out as theta, from g0 on.
        g0: See there.
        scratch: Room for two blocks of the widest rows.
        dy: Where in scratch dL/dy of the last layer lies, [rows, Y_ROW]; overwritten.
        dx: Where in scratch the other block lies.
    """
    theta, activations = network.theta, network.activations
    zero: Any = np.int64(0)
    one: Any = np.int64(1)
    top = last - 1
    is_through_head = network.layers[top, NARROW] != 0 and top > first
    if is_through_head:
        is_at_inputs = top - 1 == first and not network.features and not len(network.lookups)
        descend(network, top, input_row, row, rows, gradient, g0, scratch, dy, dx, is_at_inputs)
        if is_at_inputs:
            return dy
        dy, dx, top = dx, dy, top - 1
    for number in range(top, first - 1, -1):
        layer = network.layers[number]
        x_row, y_row, fan_in, fan_out = layer[X_ROW], layer[Y_ROW], layer[IN], layer[OUT]
        x = layer[X] + (input_row if number == first else row) * x_row
        weight, bias = layer[WEIGHT], layer[BIAS]
        g = g0 + weight
        if layer[NARROW]:
            matmul(
                scratch, dy, one, y_row,
                activations, x, x_row,
                gradient, g, x_row,
                gradient, g, x_row,
                fan_out, rows, x_row,
                AS_IT_IS, activations, zero, zero,
            )  # fmt: skip
            add_to_biases(gradient, g0 + bias, scratch, dy, rows, fan_out)
        else:
            matmul(
                activations, x, one, x_row,
                scratch, dy, y_row,
                gradient, g, y_row,
                gradient, g, y_row,
                fan_in, rows, y_row,
                AS_IT_IS, activations, zero, zero,
            )  # fmt: skip
            if number == first and len(network.lookups):
                add_looked_up(network.lookups, activations, x, x_row, rows, scratch, dy, y_row, gradient, g)
        if not (layer[NARROW] or (is_through_head and number == top)):
            h = g0 + bias
            matmul(
                network.one, zero, zero, zero,
                scratch, dy, y_row,
                gradient, h, zero,
                gradient, h, zero,
                one, rows, y_row,
                AS_IT_IS, activations, zero, zero,
            )  # fmt: skip
        if number > first or network.features:
            w, b = (theta, weight) if layer[NARROW] else (network.transposed, layer[TRANSPOSED])
            derivative = TIMES_TANH_DERIVATIVE if network.is_tanh else TIMES_RELU_DERIVATIVE
            matmul(
                scratch, dy, y_row, one,
                w, b, x_row,
                network.zeros, zero, zero,
                scratch, dx, x_row,
                rows, fan_out, x_row,
                derivative if number > first else AS_IT_IS, activations, x, x_row,
            )  # fmt: skip
            dy, dx = dx, dy
    return dy


@compiled
def descend(
    network: Network,
    top: int,
    input_row: int,
    row: int,
    rows: int,
    gradient: Floats,
    g0: int,
    scratch: Floats,
    dy: int,
    dx: int,
    is_at_inputs: bool,
) -> None:
    """The part of `backward` through a narrow head, layer `top`, and the activation of the layer before it.

    That layer's biases get their gradient, too; if inputs come next (`is_at_inputs`), so do its weights, and dL/dx is
    not stored as a whole.
    """
    theta, activations = network.theta, network.activations
    zero: Any = np.int64(0)
    one: Any = np.int64(1)
    head, layer = network.layers[top], network.layers[top - 1]
    width, outputs, weight = head[X_ROW], head[OUT], head[WEIGHT]
    x, inputs = head[X] + row * width, layer[X] + input_row * layer[X_ROW]
    add_to_biases(gradient, g0 + head[BIAS], scratch, dy, rows, outputs)
    # Of few columns at a time: they stay in the fastest cache until the product with the inputs.
    most = TOGETHER if is_at_inputs else width
    for j in range(0, width, most):
        columns = min(most, width - j)
        back_through_head(
            activations, x + j, width, scratch, dy, theta, weight + j,
            gradient, g0 + weight + j, g0 + layer[BIAS] + j,
            scratch, dx, columns, rows, columns, outputs, network.is_tanh,
        )  # fmt: skip
        if is_at_inputs:
            g = g0 + layer[WEIGHT] + j
            matmul(
                activations, inputs, one, layer[X_ROW],
                scratch, dx, columns,
                gradient, g, width,
                gradient, g, width,
                layer[IN], rows, columns,
                AS_IT_IS, activations, zero, zero,
            )  # fmt: skip


@inlined
def add_to_biases(gradient: Floats, g: int, scratch: Floats, dy: int, rows: int, outputs: int) -> None:
    """Adds dL/dy [rows, outputs] of a narrow head to the gradient of its biases at g."""
    for i in range(rows):
        for j in range(outputs):
            gradient[g + j] += scratch[dy + i * outputs + j]


@compiled
def tangents(
    network: Network,
    first: int,
    last: int,
    input_row: int,
    row: int,
    rows: int,
    direction: Floats,
    scratch: Floats,
    dy: int,
    dx: int,
) -> None:
    """The derivative J v of the outputs of some rows as the parameters move along v, layer by layer.

    y' = (x' W + x V + v_b) * f'(y),  with x' = 0 for inputs, and f' from the stored f as in `backward`.

    Args:
        network: With the activations that `forward` stored.
        first: First layer of actor or critic.
        last: Layer to stop before.
        input_row: First row of inputs.
        row: First row of outputs.
        rows: How many, at most BLOCK_ROWS.
        direction: v, laid out as theta.
        scratch: Room for two blocks of the widest rows.
        dy: Where in scratch the last layer's y' goes, [rows, Y_ROW].
        dx: Where in scratch the other block lies.
    """
    theta, activations = network.theta, network.activations
    zero: Any = np.int64(0)
    one: Any = np.int64(1)
    derivative = TIMES_TANH_DERIVATIVE if network.is_tanh else TIMES_RELU_DERIVATIVE
    for number in range(first, last):
        layer = network.layers[number]
        x_row, y_row, weight, bias = layer[X_ROW], layer[Y_ROW], layer[WEIGHT], layer[BIAS]
        x, y = layer[X] + (input_row if number == first else row) * x_row, layer[Y] + row * y_row
        into, came = (dy, dx) if (last - number) % 2 else (dx, dy)
        if layer[NARROW]:
            for j in range(layer[OUT]):
                dots(
                    activations, x, x_row,
                    direction, weight + j * x_row, x_row,
                    direction[bias + j],
                    scratch, into + j, y_row,
                    rows,
                )  # fmt: skip
                for i in range(rows if number > first else 0):
                    dots(
                        scratch, came + i * x_row, x_row,
                        theta, weight + j * x_row, x_row,
                        scratch[into + i * y_row + j],
                        scratch, into + i * y_row + j, y_row,
                        one,
                    )  # fmt: skip
            continue
        finish = derivative if number < last - 1 else AS_IT_IS
        begin, begin0, begin_row = direction, bias, zero
        if number == first and len(network.lookups):
            look_up(network.lookups, direction, weight, bias, y_row, activations, x, x_row, scratch, into, rows)
            begin, begin0, begin_row = scratch, into, y_row
        matmul(
            activations, x, x_row, one,
            direction, weight, y_row,
            begin, begin0, begin_row,
            scratch, into, y_row,
            rows, layer[IN], y_row,
            finish if number == first else AS_IT_IS, activations, y, y_row,
        )  # fmt: skip
        if number > first:
            matmul(
                scratch, came, x_row, one,
                theta, weight, y_row,
                scratch, into, y_row,
                scratch, into, y_row,
                rows, layer[IN], y_row,
                finish, activations, y, y_row,
            )  # fmt: skip


@compiled
def transpose_layers(network: Network, first: int, last: int) -> None:
    """Copies the weights of layers first..last-1 into `network.transposed`, where `backward` reads them."""
    for number in range(first, last):
        layer = network.layers[number]
        start, weight, x_row, y_row = layer[TRANSPOSED], layer[WEIGHT], layer[X_ROW], layer[Y_ROW]
        if start >= 0:
            transpose(network.theta, weight, y_row, network.transposed, start, x_row, layer[IN], layer[OUT])
