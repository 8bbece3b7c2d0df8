"""An actor-critic as tables: the leaves of its input, its blocks, the factors of its action. Nothing here computes.

Parameters are named float32 arrays, the form that engines, checkpoints and policies share: `actor.0.weight` [in, out],
`actor.0.bias` [out], ..., `critic.0.weight`, ..., and `log_std` [A] where an action has real numbers. Layers count from
the input; the last one of each network has no activation.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.model import Activation
from a2c.spaces import parts

Parameters = dict[str, NDArray[np.float32]]
Network = Literal["actor", "critic"]
NETWORKS: tuple[Network, ...] = ("actor", "critic")

MOST_CHOICES = 10_000
"""A part of an observation with more choices than this (all its columns together) is taken as real numbers: one-hot, it
would need a row of weights for every choice."""

IMAGE_PIXELS = 32 * 32
"""Bytes of at least so many pixels are an image. Smaller ones (the 7 x 7 cells of MiniGrid, say) are numbers."""


SMALLEST_IMAGE_PIXELS = 16


class Leaf(NamedTuple):
    """A part of an observation as columns of the network's input."""

    name: str
    """Of the part, as `a2c.spaces.parts` has it."""
    kind: Literal["real", "scaled", "one_of"]
    """real: may be normalised. scaled: divided by a constant, bytes into [0, 1]. one_of: the number of a choice."""
    first: int
    """Its first column in a row of inputs."""
    columns: int
    """How many it has."""
    divisor: float = 1.0
    """Of what is scaled."""
    choices: tuple[int, ...] = ()
    """Of what is one of some: how many, for each column."""
    starts: tuple[int, ...] = ()
    """The space's own number of the first choice, for each column."""


class Factor(NamedTuple):
    """An independent part of an action, with a distribution of its own."""

    kind: Literal["categorical", "gaussian", "bernoulli"]
    """One of some choices; real numbers; bits."""
    output: int
    """Its first column in the actor's outputs: logits, means, or the logits of ones."""
    outputs: int
    column: int
    """Its first column in a row of actions (and of noise): the number of a choice from 0, real numbers, bits."""
    columns: int
    mask: int = -1
    """Its first column in an action mask, with one for each choice (two for each bit); -1: it cannot be masked."""
    log_std: int = -1
    """Where its log standard deviations start in `log_std`; -1: it has none."""


class Block(NamedTuple):
    """A layer, y = f(x W + b). A first one also adds a row of W for each choice that was made, from `inputs` on."""

    name: str
    """Its parameters are `<name>.weight` and `<name>.bias`."""
    inputs: int
    """Columns of x; rows of W beyond these are looked up."""
    outputs: int
    activation: Activation | None
    gain: float
    """Of orthogonal initial weights."""


class Architecture(NamedTuple):
    """The networks of a policy: separate actor and critic with hidden layers of the same widths."""

    leaves: tuple[Leaf, ...]
    factors: tuple[Factor, ...]
    hidden_sizes: tuple[int, ...]
    activation: Activation

    @property
    def num_real(self) -> int:
        """R: columns of inputs that may be normalised. They come first."""
        return sum(leaf.columns for leaf in self.leaves if leaf.kind == "real")

    @property
    def num_floats(self) -> int:
        """Columns of inputs that are multiplied with weights; the numbers of choices come after them."""
        return sum(leaf.columns for leaf in self.leaves if leaf.kind != "one_of")

    @property
    def choices(self) -> tuple[int, ...]:
        """How many choices each column after those has."""
        return tuple(n for leaf in self.leaves for n in leaf.choices)

    @property
    def num_inputs(self) -> int:
        """D: columns of a row of inputs."""
        return self.num_floats + len(self.choices)

    @property
    def input_size(self) -> int:
        """Rows of the first layer's weights: as many numbers as the inputs have with choices one-hot."""
        return self.num_floats + sum(self.choices)

    @property
    def num_outputs(self) -> int:
        """O: of the actor."""
        return sum(factor.outputs for factor in self.factors)

    @property
    def num_columns(self) -> int:
        """C: of a row of actions."""
        return sum(factor.columns for factor in self.factors)

    @property
    def log_std_size(self) -> int:
        """Length of `log_std`; 0 where there is none."""
        return sum(factor.columns for factor in self.factors if factor.kind == "gaussian")

    def blocks(self, network: Network) -> tuple[Block, ...]:
        """The layers of a network, from its input on."""
        outputs = self.num_outputs if network == "actor" else 1
        sizes = (self.num_floats, *self.hidden_sizes, outputs)
        last = len(self.hidden_sizes)
        # A policy starts near uniform: the gains are those of Andrychowicz et al. (2021).
        output_gain = 0.01 if network == "actor" else 1.0
        return tuple(
            Block(
                f"{network}.{number}",
                fan_in,
                fan_out,
                None if number == last else self.activation,
                output_gain if number == last else float(np.sqrt(2.0)),
            )
            for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes))
        )

    @property
    def num_parameters(self) -> int:
        """How many numbers all parameters have."""
        return sum(int(np.prod(shape, dtype=np.int64)) for shape in self.shapes().values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for network in NETWORKS:
            for number, block in enumerate(self.blocks(network)):
                shapes[f"{block.name}.weight"] = (block.inputs if number else self.input_size, block.outputs)
                shapes[f"{block.name}.bias"] = (block.outputs,)
        if self.log_std_size:
            shapes["log_std"] = (self.log_std_size,)
        return shapes


def architecture_for(
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    hidden_sizes: tuple[int, ...],
    activation: Activation,
    normalizes: bool,
) -> Architecture:
    """The networks between the observations of a space and the actions of another.

    Args:
        observation_space: Of one environment.
        action_space: Of one environment.
        hidden_sizes: Widths of the hidden layers.
        activation: Of the hidden layers.
        normalizes: Whether real numbers are normalised: then bytes that are no image are such numbers.
    """
    return Architecture(leaves_of(observation_space, normalizes), factors_of(action_space), hidden_sizes, activation)


def leaves_of(space: gymnasium.Space[Any], normalizes: bool) -> tuple[Leaf, ...]:
    """The columns of the input that the parts of an observation space become, in their order.

    Real numbers first, then what is scaled, then the numbers of choices.
    """
    found = [_leaf(part.name, part.space, normalizes) for part in parts(space)]
    found.sort(key=lambda leaf: ("real", "scaled", "one_of").index(leaf.kind))
    firsts = itertools.accumulate((leaf.columns for leaf in found), initial=0)
    return tuple(leaf._replace(first=first) for leaf, first in zip(found, firsts, strict=False))


def _leaf(name: str, space: gymnasium.Space[Any], normalizes: bool) -> Leaf:
    shape = tuple(space.shape or ())
    columns = int(np.prod(shape, dtype=np.int64))
    match space:
        case spaces.Discrete() if space.n <= MOST_CHOICES:
            return Leaf(name, "one_of", 0, 1, 1.0, (int(space.n),), (int(space.start),))
        case spaces.MultiDiscrete() if int(space.nvec.sum()) <= MOST_CHOICES:
            starts = np.broadcast_to(space.start, shape).ravel()
            return Leaf(name, "one_of", 0, columns, 1.0, tuple(space.nvec.ravel().tolist()), tuple(starts.tolist()))
        case spaces.MultiBinary():
            return Leaf(name, "scaled", 0, columns)
        case spaces.Box() if is_bytes(space) and (is_image(space) or not normalizes):
            # Numbers up to 255 would saturate every hidden unit at the start, and the policy would see nothing.
            return Leaf(name, "scaled", 0, columns, 255.0)
        case _ if np.dtype(space.dtype) == np.bool_:
            return Leaf(name, "scaled", 0, columns)
        case _:
            return Leaf(name, "real", 0, columns)


def is_bytes(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds bytes that use their range."""
    box: Any = space
    return bool(box.dtype == np.uint8 and (box.low == 0).all() and (box.high == 255).all())


def is_image(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds images that are as large as a camera's."""
    return is_bytes(space) and _pixels(space) >= IMAGE_PIXELS


def may_be_image(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds what a convolution would be for, small boards of cells included."""
    return space.dtype == np.uint8 and _pixels(space) >= SMALLEST_IMAGE_PIXELS


def _pixels(space: gymnasium.Space[Any]) -> int:
    """Pixels of a Box that has the shape of an image; else 0."""
    shape = tuple(space.shape or ())
    if not isinstance(space, spaces.Box) or len(shape) not in (2, 3):
        return 0
    sides = shape if len(shape) == 2 else sorted(shape)[1:]  # The channels come first or last, and are the fewest.
    return int(np.prod(sides))


def factors_of(space: gymnasium.Space[Any]) -> tuple[Factor, ...]:
    """The independent parts of an action, in the order of the space.

    Raises:
        TypeError: A part that nothing here can choose (`make_envs` has refused it, with a sentence, before).
    """
    factors: list[Factor] = []
    output = column = mask = log_std = 0

    def add(kind: Literal["categorical", "gaussian", "bernoulli"], outputs: int, columns: int, masks: int) -> None:
        nonlocal output, column, mask, log_std
        is_real = kind == "gaussian"
        factors.append(
            Factor(kind, output, outputs, column, columns, mask if masks else -1, log_std if is_real else -1)
        )
        output, column, mask = output + outputs, column + columns, mask + masks
        log_std += columns if is_real else 0

    for part in parts(space):
        match part.space:
            case spaces.Discrete():
                add("categorical", int(part.space.n), 1, int(part.space.n))
            case spaces.MultiDiscrete():
                for n in part.space.nvec.ravel().tolist():
                    add("categorical", n, 1, n)
            case spaces.MultiBinary():
                n = int(np.prod(part.space.shape, dtype=np.int64))
                add("bernoulli", n, n, 2 * n)
            case spaces.Box() if part.space.dtype.kind in "fiu":
                n = int(np.prod(part.space.shape, dtype=np.int64))
                add("gaussian", n, n, 0)
            case _:
                raise TypeError(f"no distribution for {part.space}")
    if not factors:
        raise TypeError(f"no distribution for {space}")
    return tuple(factors)
