"""An actor-critic as tables: the leaves of its input, its blocks, the factors of its action. Nothing here computes.

Parameters are named float32 arrays, the form that engines, checkpoints and policies share: `actor.0.weight` [in, out],
`actor.0.bias` [out], ..., `critic.0.weight`, ..., and `log_std` [A] where an action has real numbers. Layers count from
the input; the last one of each network has no activation. Where an observation has images, both networks see features
of them: `image.0.0.weight` [lines, columns, in, out] and so on are the first one's convolutions and the layer behind.
A layer of the user's own stands in the place of these features and of the hidden layers: `actor.layer.<name>` and so on
are what its `state_dict` names, and `actor.0.weight` [F, out] is what sees the F features that it gives.
A policy with memory has a gated recurrent unit that sees the inputs and these features, and whose H outputs both
networks see beside them: `memory.weight` [in, 3 H] and `memory.bias` [3 H] for what it sees, `memory.carry.weight`
[H, 3 H] and `memory.carry.bias` [3 H] for what it remembers. Columns are its reset gate, its update gate and its
candidate, H of each.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.errors import UserError
from a2c.model import NETWORKS, Activation, Network
from a2c.model.images import (
    NATURE,
    NO_IMAGE,
    Convolution,
    ImageNetwork,
    ImageShape,
    divisor_of,
    image_network,
    is_bytes,
    is_image,
    shape_of_image,
    size_after,
)
from a2c.model.own import OwnLayer
from a2c.spaces import parts

Parameters = dict[str, NDArray[np.float32]]

MOST_CHOICES = 10_000
"""A part of an observation with more choices than this (all its columns together) is taken as real numbers: one-hot, it
would need a row of weights for every choice."""


class Leaf(NamedTuple):
    """A part of an observation as columns of the network's input."""

    name: str
    """Of the part, as `a2c.spaces.parts` has it."""
    kind: Literal["real", "scaled", "one_of", "pixels"]
    """real: may be normalised. scaled: divided by a constant, bytes into [0, 1]. one_of: the number of a choice.
    pixels: the bytes of an image."""
    first: int
    """Its first column in a row of inputs; of pixels, in a row of pixels."""
    columns: int
    """How many it has."""
    divisor: float = 1.0
    """Of what is scaled."""
    choices: tuple[int, ...] = ()
    """Of what is one of some: how many, for each column."""
    starts: tuple[int, ...] = ()
    """The space's own number of the first choice, for each column."""
    image: ImageShape = NO_IMAGE
    """Of pixels: how the image lies."""


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
    """A layer, y = f(x W + b). A first one also adds a row of W for each choice that was made, from `inputs` on.

    x of a first one is the numbers of an input, then the features of images, then what the memory gives.
    """

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
    memory_size: int = 0
    """H: numbers that are remembered from one step to the next; 0: there is no memory."""
    image_network: ImageNetwork = NATURE
    """What images go through, where there are some."""
    own: OwnLayer | None = None
    """The user's own, in the place of hidden layers and of whatever images go through."""

    @property
    def network(self) -> str:
        """What is asked for to get these: the layer of the user's own, or what images go through; mlp: neither."""
        return self.image_network.text if self.images or self.own is not None else "mlp"

    @property
    def num_real(self) -> int:
        """R: columns of inputs that may be normalised. They come first."""
        return sum(leaf.columns for leaf in self.leaves if leaf.kind == "real")

    @property
    def num_floats(self) -> int:
        """Columns of inputs that are multiplied with weights; the numbers of choices come after them."""
        return sum(leaf.columns for leaf in self.leaves if leaf.kind in ("real", "scaled"))

    @property
    def choices(self) -> tuple[int, ...]:
        """How many choices each column after those has."""
        return tuple(n for leaf in self.leaves for n in leaf.choices)

    @property
    def num_inputs(self) -> int:
        """D: columns of a row of inputs."""
        return self.num_floats + len(self.choices)

    @property
    def images(self) -> tuple[Leaf, ...]:
        """The images of an observation."""
        return tuple(leaf for leaf in self.leaves if leaf.kind == "pixels")

    @property
    def num_pixels(self) -> int:
        """P: bytes of a row of pixels."""
        return sum(leaf.columns for leaf in self.images)

    @property
    def num_image_features(self) -> int:
        """What is seen of all images."""
        return self.image_network.features * len(self.images)

    @property
    def num_features(self) -> int:
        """F: what both networks see beside inputs: features of images, then what the memory gives."""
        return self.num_image_features + self.memory_size

    @property
    def input_size(self) -> int:
        """Rows of the first layer's weights: as many numbers as the inputs have with features, and choices one-hot."""
        return self.num_floats + self.num_features + sum(self.choices)

    @property
    def columns(self) -> tuple[int, int, tuple[int, ...]]:
        """What the first of our layers in actor and critic see: inputs, features beside them, choices."""
        if self.own is not None:
            return 0, self.own.features, ()
        return self.num_floats, self.num_features, self.choices

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """How the rows of weights that see inputs are grouped: numbers, then each choice one-hot."""
        seen = self.num_floats + self.num_image_features
        firsts = () if self.own is not None else NETWORKS
        groups = {f"{network}.0.weight": (seen + self.memory_size, *self.choices) for network in firsts}
        return groups | ({"memory.weight": (seen, *self.choices)} if self.memory_size else {})

    def convolutions(self, leaf: Leaf) -> tuple[tuple[Convolution, tuple[int, ...]], ...]:
        """The convolutions of an image, each with the shape of its weights."""
        layers = self.image_network.convolutions
        channels = (leaf.image.channels, *(layer.filters for layer in layers))
        return tuple(
            (layer, (layer.kernel, layer.kernel, c, layer.filters)) for layer, c in zip(layers, channels, strict=False)
        )

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
        inputs, features, _ = self.columns
        sizes = (inputs + features, *self.hidden_sizes, outputs)
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

    def shapes_of_ours(self) -> dict[str, tuple[int, ...]]:
        """Those of `shapes` that are no parameters or buffers of a layer of the user's own."""
        own = self.shapes_of_own()
        return {name: shape for name, shape in self.shapes().items() if name not in own}

    def shapes_of_own(self) -> dict[str, tuple[int, ...]]:
        """Those that are."""
        arrays = () if self.own is None else self.own.arrays
        return {name_in(network, name): shape for network in NETWORKS for name, shape in arrays}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in order: what is the critic's alone lies in one piece (`a2c.natural`)."""
        shapes: dict[str, tuple[int, ...]] = {}
        looked_up = sum(self.columns[-1])
        for network in NETWORKS:
            shapes |= {name: shape for name, shape in self.shapes_of_own().items() if name.startswith(network)}
            for number, block in enumerate(self.blocks(network)):
                shapes[f"{block.name}.weight"] = (block.inputs + (0 if number else looked_up), block.outputs)
                shapes[f"{block.name}.bias"] = (block.outputs,)
        for number, leaf in enumerate(self.images if self.num_image_features else ()):
            layers = [shape for _, shape in self.convolutions(leaf)]
            lines, columns = size_after((leaf.image.lines, leaf.image.columns), self.image_network.convolutions)
            layers.append((lines * columns * layers[-1][-1], self.image_network.features))
            for layer, shape in enumerate(layers):
                shapes[f"image.{number}.{layer}.weight"] = shape
                shapes[f"image.{number}.{layer}.bias"] = shape[-1:]
        if self.memory_size:
            for name, rows in ("memory", self.input_size - self.memory_size), ("memory.carry", self.memory_size):
                shapes[f"{name}.weight"] = (rows, 3 * self.memory_size)
                shapes[f"{name}.bias"] = (3 * self.memory_size,)
        if self.log_std_size:
            shapes["log_std"] = (self.log_std_size,)
        return shapes


def name_in(network: Network, array: str) -> str:
    """What an array of a user's own layer is called among all parameters.

    Example:
        >>> name_in("actor", "hidden.weight")
        'actor.layer.hidden.weight'
    """
    return f"{network}.layer.{array}"


def architecture_for(
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    hidden_sizes: tuple[int, ...],
    activation: Activation,
    normalizes: bool,
    network: str = "auto",
    memory_size: int = 0,
) -> Architecture:
    """The networks between the observations of a space and the actions of another.

    Args:
        observation_space: Of one environment.
        action_space: Of one environment.
        hidden_sizes: Widths of the hidden layers.
        activation: Of the hidden layers.
        normalizes: Whether real numbers are normalised: then bytes that are no image are such numbers.
        network: What images go through, as in Config.
        memory_size: What is remembered.

    Raises:
        UserError: There is no image that `network` is for; or it is a layer of the user's own, and cannot be made or is
            none that can be trained.
    """
    leaves = leaves_of(observation_space, normalizes, network)
    through = image_network(network) or NATURE
    architecture = Architecture(leaves, factors_of(action_space), hidden_sizes, activation, memory_size, through)
    if through.own:
        return _with_own(architecture)
    if network not in ("auto", "mlp") and all(leaf.kind != "pixels" for leaf in leaves):
        sizes = "36 x 36 to about 200 x 200 pixels" if network == "nature" else "a size that its windows fit into"
        raise UserError(
            f"network is {network!r}, and observations have no image of bytes with {sizes}; 'auto' takes what fits"
        )
    return architecture


def _with_own(architecture: Architecture) -> Architecture:
    """With the layer that the user named in the place of hidden layers; it sees what these would, and images.

    Raises:
        UserError: It cannot be made, or is none that can be trained; or there is memory, which would not see images.
    """
    name, images = architecture.image_network.own, architecture.images
    if images and architecture.memory_size:
        raise UserError(
            f"memory_size is {architecture.memory_size} and network {name!r}, which takes images as they are, so that "
            "the memory would not see them; it must be 0"
        )
    try:
        from a2c.model.own_layers import described  # Needs Paddle.
    except ModuleNotFoundError as error:
        raise UserError(
            f"network is {name!r}, which PaddlePaddle computes, and that is not installed; pip install 'a2c[paddle]'"
        ) from error
    shapes = [(leaf.image.channels, leaf.image.lines, leaf.image.columns) for leaf in images]
    return architecture._replace(hidden_sizes=(), own=described(name, architecture.input_size, shapes))


def leaves_of(space: gymnasium.Space[Any], normalizes: bool, network: str = "auto") -> tuple[Leaf, ...]:
    """The columns of the input that the parts of an observation space become, in their order.

    Real numbers first, then what is scaled, then the numbers of choices, and apart from these the bytes of images.
    """
    kinds = ("real", "scaled", "one_of", "pixels")
    found = [_leaf(part.name, part.space, normalizes, network) for part in parts(space)]
    found.sort(key=lambda leaf: kinds.index(leaf.kind))
    leaves: list[Leaf] = []
    for are_pixels in (False, True):
        first = 0
        for leaf in found:
            if (leaf.kind == "pixels") == are_pixels:
                leaves.append(leaf._replace(first=first))
                first += leaf.columns
    return tuple(leaves)


def _leaf(name: str, space: gymnasium.Space[Any], normalizes: bool, network: str) -> Leaf:
    shape = tuple(space.shape or ())
    columns = int(np.prod(shape, dtype=np.int64))
    through, image = image_network(network) or NATURE, NO_IMAGE
    if network != "mlp" and isinstance(space, spaces.Box):
        image = shape_of_image(space, through, network != "auto")
    match space:
        case _ if image != NO_IMAGE:
            return Leaf(name, "pixels", 0, columns, divisor_of(space), image=image)
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
