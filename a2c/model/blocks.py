"""The forward pass, written once for NumPy and Paddle, and the parameters it starts with."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from a2c.machine import one_blas_thread
from a2c.model import NETWORKS, Activation, Initialization, Network
from a2c.model.architecture import Architecture, Leaf, Parameters
from a2c.model.images import Convolution, reach, size_after
from a2c.randomness import generator

Array = Any
"""A NumPy array or a Paddle tensor."""


LONGEST_SCALE = 64
"""Steps over which the slowest units of an untrained memory forget. With all units at 2 steps, one seed of five solved
a T-maze of 60 steps; with units up to 256 steps, none of two."""

_LAYER = re.compile(r"(actor|critic)\.([0-9]{1,9})\.(weight|bias)")

T = TypeVar("T")


def forward(
    xp: ModuleType,
    architecture: Architecture,
    network: Network,
    parameters: Mapping[str, Array],
    inputs: Array,
    features: Array | None = None,
) -> Array:
    """A network's outputs: inputs [B, D] -> [B, O] for the actor, [B, 1] for the critic.

    Args:
        xp: The array module, `numpy` or `paddle`: both have the operations used here under the same names.
        architecture: Of the network.
        network: Which of the two.
        parameters: Arrays of `xp`.
        inputs: Rows as `a2c.model.inputs` makes them, of `xp`.
        features: [B, F], what the network sees beside inputs: features of images (`features_of`) and outputs of the
            memory (`remember`), side by side (`joined`); None if there are neither. With a user's own layer, its
            features, and the inputs are not used.
    """
    floats, all_choices, layers = _plan(architecture, network)
    x = inputs
    for number, (name_of_weight, name_of_bias, activation) in enumerate(layers):
        weight, bias = parameters[name_of_weight], parameters[name_of_bias]
        x = x @ weight + bias if number else _see(floats, all_choices, weight, bias, inputs, features)
        if activation == "relu":
            x = xp.maximum(x, xp.zeros([1], x.dtype))
        elif activation == "tanh":
            x = xp.tanh(x)
    return x


def _see(
    floats: int, all_choices: tuple[int, ...], weight: Array, bias: Array, inputs: Array, features: Array | None
) -> Array:
    """x W + b, with x the numbers of inputs [B, D], features [B, F], and every choice one-hot."""
    if not all_choices and features is None:
        return inputs @ weight + bias
    y = inputs[:, :floats] @ weight[:floats] + bias if floats else bias
    row = floats
    if features is not None:
        row += features.shape[1]
        y = y + features @ weight[floats:row]
    # The product of a one-hot vector with W is the row of W that the choice selects.
    for column, choices in enumerate(all_choices):
        y = y + weight[inputs[:, floats + column].astype("int64") + row]
        row += choices
    return y


def remember(
    xp: ModuleType,
    architecture: Architecture,
    parameters: Mapping[str, Array],
    inputs: Array,
    features: Array | None,
    carry: Array,
) -> Array:
    """A step of the memory, a gated recurrent unit: its new state c' [B, H].

        r = sigmoid(x W_r + b_r + c U_r + d_r)
        z = sigmoid(x W_z + b_z + c U_z + d_z)
        n = tanh(x W_n + b_n + r (c U_n + d_n))
        c' = (1 - z) n + z c

    x is inputs and features of images. Actor and critic see c' in this same step. W, b, U and d are `memory.weight`,
    `.bias`, `.carry.weight` and `.carry.bias`.

    Args:
        xp: As in `forward`.
        architecture: Of the networks; with a memory.
        parameters: Arrays of `xp`.
        inputs: [B, D].
        features: [B, F] of images; None without images.
        carry: c [B, H], the state after the step before; 0 if an episode begins.

    Reference: Cho et al. (2014), but with the reset gate applied after the product with U, as in cuDNN, PyTorch and
        Paddle.
    """
    floats, choices = _columns(architecture)
    size = architecture.memory_size
    x = _see(floats, choices, parameters["memory.weight"], parameters["memory.bias"], inputs, features)
    y = carry @ parameters["memory.carry.weight"] + parameters["memory.carry.bias"]
    # sigmoid(x) = (1 + tanh(x / 2)) / 2, which never overflows.
    gates = xp.tanh((x[:, : 2 * size] + y[:, : 2 * size]) * 0.5) * 0.5 + 0.5
    r, z = gates[:, :size], gates[:, size:]
    n = xp.tanh(x[:, 2 * size :] + r * y[:, 2 * size :])
    return n + z * (carry - n)


def joined(xp: ModuleType, features: Array | None, remembered: Array | None) -> Array | None:
    """Features of images [B, .] and outputs of the memory [B, H], side by side; None if there are neither."""
    if features is None or remembered is None:
        return remembered if features is None else features
    return _beside(xp, [features, remembered])


def _beside(xp: ModuleType, arrays: list[Array]) -> Array:
    """Arrays [B, .] side by side; a single one unchanged."""
    if len(arrays) == 1:
        return arrays[0]
    return xp.concatenate(arrays, 1) if xp is np else xp.concat(arrays, 1)


def given(
    xp: ModuleType, architecture: Architecture, inputs: Array, features: Array | None, pixels: Array
) -> tuple[Array, ...]:
    """The arguments of a user's own layer: numbers [B, N], then each image [B, channels, lines, columns].

    Args:
        xp: As in `forward`.
        architecture: Of the networks.
        inputs: [B, D].
        features: [B, H], the outputs of the memory; None without memory.
        pixels: [B, P].

    Returns:
        The numbers are those that our hidden layers would see: of the inputs, of the memory, then each choice one-hot.
    """
    floats = architecture.num_floats
    columns = [inputs[:, :floats], *([] if features is None else [features])]
    for column, choices in enumerate(architecture.choices, floats):
        numbers = inputs[:, column : column + 1]
        columns.append((numbers == xp.arange(choices, dtype=numbers.dtype)).astype(numbers.dtype))
    if not floats and len(columns) > 1:
        del columns[0]
    images = (xp.moveaxis(_image(xp, leaf, pixels, inputs.dtype), 3, 1) for leaf in architecture.images)
    return _beside(xp, columns), *images


def features_of(
    xp: ModuleType,
    architecture: Architecture,
    network: Network,
    parameters: Mapping[str, Array],
    pixels: Array,
) -> Array:
    """The features of images that a network sees: pixels [B, P] (bytes) -> [B, F]. A memory sees those of the actor.

    Args:
        xp: As in `forward`.
        architecture: Of the networks; with at least one image.
        network: Which of the two; with a shared torso, both have the same features.
        parameters: Arrays of `xp`.
        pixels: Rows as `a2c.model.inputs` makes them, of `xp`.
    """
    found = []
    for number, leaf in enumerate(architecture.images):
        image = architecture.image_name(number, network)
        x = _image(xp, leaf, pixels, parameters[f"{image}.0.weight"].dtype)
        layers = architecture.convolutions(leaf)
        for layer, (convolution, _) in enumerate(layers):
            name = f"{image}.{layer}"
            x = _convolve(xp, convolution, parameters[f"{name}.weight"], parameters[f"{name}.bias"], x)
        name = f"{image}.{len(layers)}"
        x = x.reshape((x.shape[0], -1)) @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"]
        found.append(xp.maximum(x, xp.zeros([1], x.dtype)))
    return _beside(xp, found)


def _image(xp: ModuleType, leaf: Leaf, pixels: Array, dtype: Any) -> Array:
    """An image from rows of pixels [B, P], scaled: [B, lines, columns, channels], the first plane's channels first."""
    planes, lines, columns, samples = leaf.image
    x = pixels[:, leaf.first : leaf.first + leaf.columns].astype(dtype) / leaf.divisor
    x = xp.moveaxis(x.reshape((-1, planes, lines, columns, samples)), 1, 3)
    return x.reshape((-1, lines, columns, leaf.image.channels))


def _convolve(xp: ModuleType, convolution: Convolution, weight: Array, bias: Array, x: Array) -> Array:
    """relu(W x + b) for images [B, lines, columns, C]: the product of their patches with W [k, k, C, O]."""
    lines, columns = size_after((x.shape[1], x.shape[2]), [convolution])
    x = _framed(xp, convolution, x)
    patches = (_patches_of_strides if xp is np else _patches_of_slices)(xp, convolution, x, lines, columns)
    y = patches.reshape((-1, convolution.kernel**2 * x.shape[3])) @ weight.reshape((-1, weight.shape[3])) + bias
    return xp.maximum(y, xp.zeros([1], y.dtype)).reshape((x.shape[0], lines, columns, weight.shape[3]))


def _framed(xp: ModuleType, convolution: Convolution, x: Array) -> Array:
    """Images padded with zeros as far as windows reach over their edges."""
    for axis in (1, 2):
        around = []
        for beyond in reach(x.shape[axis], convolution)[1:]:
            shape = list(x.shape)
            shape[axis] = beyond
            around.append(xp.zeros(shape, x.dtype))
        if any(zeros.shape[axis] for zeros in around):
            pieces = [around[0], x, around[1]]
            x = xp.concatenate(pieces, axis) if xp is np else xp.concat(pieces, axis)
    return x


def _patches_of_slices(xp: ModuleType, convolution: Convolution, x: Array, lines: int, columns: int) -> Array:
    """The window that a filter sees at each place: images [B, lines, columns, C] -> [B, lines, columns, k k, C]."""
    k, s = convolution.kernel, convolution.stride
    places = itertools.product(range(k), repeat=2)
    return xp.stack([x[:, i : i + s * (lines - 1) + 1 : s, j : j + s * (columns - 1) + 1 : s] for i, j in places], 3)


def _patches_of_strides(
    xp: ModuleType, convolution: Convolution, x: NDArray[Any], lines: int, columns: int
) -> NDArray[Any]:
    """The same windows as a view [B, lines, columns, k, k C]: within a line, a window's numbers lie side by side."""
    k, s = convolution.kernel, convolution.stride
    x = np.ascontiguousarray(x)
    image, line, column, number = x.strides
    shape = (x.shape[0], lines, columns, k, k * x.shape[3])
    return np.lib.stride_tricks.as_strided(x, shape, (image, s * line, s * column, line, number), writeable=False)


@functools.lru_cache(maxsize=64)
def _plan(
    architecture: Architecture, network: Network
) -> tuple[int, tuple[int, ...], tuple[tuple[str, str, Activation | None], ...]]:
    """What a forward pass needs of the architecture. Cached, as it takes long beside a pass on one observation."""
    layers = tuple((f"{b.name}.weight", f"{b.name}.bias", b.activation) for b in architecture.blocks(network))
    floats, _, choices = architecture.columns
    return floats, choices, layers


@functools.lru_cache(maxsize=64)
def _columns(architecture: Architecture) -> tuple[int, tuple[int, ...]]:
    """The columns of inputs: how many numbers, and the choices after them. Cached, as `_plan` is."""
    return architecture.num_floats, architecture.choices


def initial_parameters(
    architecture: Architecture, initialization: Initialization, initial_log_std: float, seed: int
) -> Parameters:
    """Initial values, a pure function of the seed. The user's own layers are left out: they initialise themselves.

    "orthogonal": orthonormal matrices times sqrt(2) in hidden layers, 0.01 at the policy's output (so that it starts
    near uniform), 1 at the value's output; in the memory one matrix for each gate, times 1. "xavier": normal with
    variance 2 / (in + out). Biases are 0, except for the memory's update gates: they let units forget over 2 to
    `LONGEST_SCALE` steps, evenly spread on a logarithmic scale.

    Args:
        architecture: Of the networks.
        initialization: "orthogonal" or "xavier".
        initial_log_std: The value of `log_std`, if there is one.
        seed: Of the run.

    Reference: Saxe et al. (2014) for orthogonal, Glorot and Bengio (2010), eq. 16 in its normal form, for Xavier;
        the gains are those of Andrychowicz et al., "What matters in on-policy reinforcement learning?" (2021); the
        update gates follow Tallec and Ollivier, "Can recurrent neural networks warp time?" (2018), who draw scales.
    """
    gains = {f"{block.name}.weight": block.gain for network in NETWORKS for block in architecture.blocks(network)}
    gains |= {"memory.weight": 1.0, "memory.carry.weight": 1.0}
    parameters: Parameters = {}
    for index, (name, shape) in enumerate(architecture.shapes_of_ours().items()):
        if name == "log_std":
            parameters[name] = np.full(shape, initial_log_std, np.float32)
        elif name.endswith("bias"):
            parameters[name] = np.zeros(shape, np.float32)
            if name == "memory.bias":
                size = architecture.memory_size
                parameters[name][size : 2 * size] = np.linspace(0.0, np.log(LONGEST_SCALE), size)
        else:
            normal = generator(seed, "parameters", index).standard_normal(shape)
            rows = int(np.prod(shape[:-1]))
            normal = normal.reshape(rows, shape[-1])  # A filter is a column.
            groups = architecture.groups.get(name, (rows,))
            gates = np.split(normal, 3, axis=1) if name.startswith("memory.") else [normal]
            if initialization == "xavier":
                fan_in = groups[0] + len(groups) - 1
                weight = normal * np.sqrt(2.0 / (fan_in + gates[0].shape[1]))
            else:
                weight = np.concatenate([_orthogonal(gate, groups) for gate in gates], 1)
                weight *= gains.get(name, np.sqrt(2.0))
            parameters[name] = weight.reshape(shape).astype(np.float32)
    return parameters


def _orthogonal(normal: NDArray[np.float64], groups: tuple[int, ...]) -> NDArray[np.float64]:
    """Orthonormal weights for each group of rows: the first is for numbers, each other one for a column's choices."""
    # A choice selects one row of its group. So rows are scaled to the length that the row of a single input would have,
    # however many choices there are.
    return np.concatenate(
        [
            _orthogonalize(part) * (1.0 if group == 0 else max(1.0, np.sqrt(len(part) / normal.shape[1])))
            for group, part in enumerate(np.split(normal, np.cumsum(groups)[:-1]))
            if len(part)
        ]
    )


def numbered(parameters: Mapping[str, T], by: int) -> dict[str, T]:
    """The same parameters with each network's layers renumbered in order: 0, by, 2 * by, ...

    This project numbers layers 0, 1, 2, ... A `paddle.nn.Sequential` of linear layers with an activation after each
    numbers them 0, 2, 4, ...
    """
    matches = {name: _LAYER.fullmatch(name) for name in parameters}
    layers = sorted({(match[1], int(match[2])) for match in matches.values() if match})
    new: dict[tuple[str, int], int] = {
        (network, layer): by * index
        for network in NETWORKS
        for index, (_, layer) in enumerate(layer for layer in layers if layer[0] == network)
    }
    return {
        f"{match[1]}.{new[match[1], int(match[2])]}.{match[3]}" if match else name: parameters[name]
        for name, match in matches.items()
    }


def _orthogonalize(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthonormal factor of a matrix: its columns are orthonormal if it is tall, its rows if it is wide."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    with one_blas_thread(1, tall.size):
        q, r = np.linalg.qr(tall)
    # QR leaves the signs open. Fixing them by R's diagonal makes Q uniform over orthogonal matrices.
    q = q * np.sign(np.diag(r))
    return q if matrix.shape[0] >= matrix.shape[1] else q.T
