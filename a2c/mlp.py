"""The actor-critic MLP as named float32 arrays: the portable form that engines, checkpoints and policies share.

Names are `actor.0.weight` [in, out], `actor.0.bias` [out], ..., `critic.0.weight`, ..., and `log_std` [A] where the
action distribution has one. Layers count from the input; the last layer of each network has no activation.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from a2c.randomness import generator

Parameters = dict[str, NDArray[np.float32]]
Activation = Literal["relu", "tanh"]
Initialization = Literal["orthogonal", "xavier"]

_LAYER = re.compile(r"(actor|critic)\.([0-9]{1,9})\.(weight|bias)")

T = TypeVar("T")


class Architecture(NamedTuple):
    """The sizes of an actor-critic: separate networks with hidden layers of the same widths."""

    obs_size: int
    hidden_sizes: tuple[int, ...]
    activation: Activation
    head_size: int
    """Outputs of the actor."""
    log_std_size: int
    """Length of `log_std`; 0 where the distribution has none."""

    def layer_sizes(self, network: Literal["actor", "critic"]) -> tuple[int, ...]:
        """Widths from input to output."""
        return (self.obs_size, *self.hidden_sizes, self.head_size if network == "actor" else 1)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for network in ("actor", "critic"):
            sizes = self.layer_sizes(network)
            for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
                shapes[f"{network}.{layer}.weight"] = (fan_in, fan_out)
                shapes[f"{network}.{layer}.bias"] = (fan_out,)
        if self.log_std_size:
            shapes["log_std"] = (self.log_std_size,)
        return shapes


def initial_parameters(
    architecture: Architecture, initialization: Initialization, initial_log_std: float, seed: int
) -> Parameters:
    """Starting values, a pure function of the seed.

    "orthogonal": orthonormal matrices times sqrt(2) in hidden layers, 0.01 at the policy's output (so that it starts
    near uniform), 1 at the value's. "xavier": normal with variance 2 / (in + out). Biases start at 0.

    Reference: Saxe et al. (2014) for orthogonal, Glorot and Bengio (2010), eq. 16 in its normal form, for Xavier;
        the gains are those of Andrychowicz et al., "What matters in on-policy reinforcement learning?" (2021).
    """
    parameters: Parameters = {}
    output_layer = len(architecture.hidden_sizes)
    for index, (name, shape) in enumerate(architecture.shapes().items()):
        if name == "log_std":
            parameters[name] = np.full(shape, initial_log_std, np.float32)
        elif name.endswith("bias"):
            parameters[name] = np.zeros(shape, np.float32)
        else:
            normal = generator(seed, "parameters", index).standard_normal(shape)
            if initialization == "xavier":
                weight = normal * np.sqrt(2.0 / sum(shape))
            else:
                is_output = name.split(".")[1] == str(output_layer)
                output_gain = 0.01 if name.startswith("actor") else 1.0
                weight = _orthogonalize(normal) * (output_gain if is_output else np.sqrt(2.0))
            parameters[name] = weight.astype(np.float32)
    return parameters


def numbered(parameters: Mapping[str, T], by: int) -> dict[str, T]:
    """The same parameters with the layers of each network numbered anew in their order: 0, by, 2 * by, ...

    Here layers count by 1. In a `paddle.nn.Sequential` of linear layers with an activation after each, by 2.
    """
    matches = {name: _LAYER.fullmatch(name) for name in parameters}
    layers = sorted({(match[1], int(match[2])) for match in matches.values() if match})
    new = {
        (network, layer): by * index
        for network in ("actor", "critic")
        for index, (_, layer) in enumerate(layer for layer in layers if layer[0] == network)
    }
    return {
        f"{match[1]}.{new[match[1], int(match[2])]}.{match[3]}" if match else name: parameters[name]
        for name, match in matches.items()
    }


def forward(
    parameters: Parameters, network: Literal["actor", "critic"], activation: Activation, x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The network's output in NumPy: x [..., in] -> [..., out]."""
    layer = 0
    while True:
        x = x @ parameters[f"{network}.{layer}.weight"] + parameters[f"{network}.{layer}.bias"]
        layer += 1
        if f"{network}.{layer}.weight" not in parameters:
            return x
        x = np.maximum(x, 0.0) if activation == "relu" else np.tanh(x)


def _orthogonalize(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest-sign orthonormal factor of a tall or wide matrix (rows or columns orthonormal)."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    q, r = np.linalg.qr(tall)
    # QR leaves the signs open; fixing them by R's diagonal makes Q uniform over orthogonal matrices.
    q = q * np.sign(np.diag(r))
    return q if matrix.shape[0] >= matrix.shape[1] else q.T
