"""An actor-critic as tables: the leaves of its input, its blocks, the factors of its action. Nothing here computes.

Parameters are named float32 arrays, the form that engines, checkpoints and policies share:

    actor.0.weight [in, out], actor.0.bias [out], ...   The actor's layers, counted from the input. The last one has no
                                                        activation.
    critic.0.weight, ...                                The critic's.
    log_std [A]                                         If an action has real numbers.
    image.0.0.weight [lines, columns, in, out], ...     If an observation has images: the convolutions of the first
                                                        image and the fully connected layer after them. Both networks
                                                        see the features that these compute.
    critic.image.0.0.weight, ...                        If actor and critic do not share them: the critic's. Those
                                                        above are the actor's then.
    actor.layer.<name>, ...                             If the user's own layer replaces convolutions and hidden layers:
                                                        the arrays of its `state_dict`. `actor.0.weight` [F, out] takes
                                                        its F features.
    memory.weight [in, 3 H], memory.bias [3 H]          If the policy has memory, a gated recurrent unit: the weights of
                                                        inputs and image features. Both networks see its H outputs, too.
    memory.carry.weight [H, 3 H], memory.carry.bias     The weights of its own state. Columns are the reset gate, the
                                                        update gate and the candidate, H of each.
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
"""A discrete part of an observation with more choices than this (of all its columns together) is taken as real numbers:
one-hot, it would need a row of weights for every choice."""


class Leaf(NamedTuple):
    """A part of an observation as columns of the network's input."""

    name: str
    """The part's name, as in `a2c.spaces.parts`."""
    kind: Literal["real", "scaled", "one_of", "pixels"]
    """real: numbers that may be normalised. scaled: numbers that are divided by a constant, such as bytes into [0, 1].
    one_of: the number of a choice. pixels: the bytes of an image."""
    first: int
    """Its first column in a row of inputs; for pixels, in a row of pixels."""
    columns: int
    """Its number of columns."""
    divisor: float = 1.0
    """The divisor of scaled numbers and of pixels."""
    choices: tuple[int, ...] = ()
    """For one_of: the number of choices of each column."""
    starts: tuple[int, ...] = ()
    """For one_of: the space's own number for the first choice of each column."""
    image: ImageShape = NO_IMAGE
    """For pixels: the layout of the image."""


class Factor(NamedTuple):
    """An independent part of an action, with a distribution of its own."""

    kind: Literal["categorical", "gaussian", "bernoulli"]
    """categorical: a choice. gaussian: real numbers. bernoulli: bits."""
    output: int
    """Its first column in the actor's outputs: logits of choices, means, or the logits of bits being 1."""
    outputs: int
    column: int
    """Its first column in a row of actions (and of noise): the number of a choice from 0, real numbers, bits."""
    columns: int
    mask: int = -1
    """Its first column in an action mask, which has one per choice and two per bit; -1: it cannot be masked."""
    log_std: int = -1
    """The index in `log_std` of its first log standard deviation; -1: it has none."""


class Block(NamedTuple):
    """A layer, y = f(x W + b).

    In the first layer of a network, x is the numbers of an input, then the features of images, then the outputs of the
    memory. It also adds one row of W, from row `inputs` on, for each discrete part of the observation: the row of the
    observed choice.
    """

    name: str
    """Its parameters are `<name>.weight` and `<name>.bias`."""
    inputs: int
    """Columns of x. Rows of W after these belong to choices."""
    outputs: int
    activation: Activation | None
    gain: float
    """The factor of orthogonal initial weights."""


class Architecture(NamedTuple):
    """The networks of a policy: separate actor and critic with hidden layers of the same widths."""

    leaves: tuple[Leaf, ...]
    factors: tuple[Factor, ...]
    hidden_sizes: tuple[int, ...]
    activation: Activation
    memory_size: int = 0
    """H: the size of the memory's state, carried from one step to the next; 0: no memory."""
    image_network: ImageNetwork = NATURE
    """The convolutions that images go through, if there are images."""
    share_torso: bool = True
    """Whether actor and critic see the same features of images; else the critic has convolutions of its own."""
    own: OwnLayer | None = None
    """The user's own layer, which replaces hidden layers and convolutions; None: there is none."""

    @property
    def network(self) -> str:
        """The value of `Config.network` that gives these networks: the user's own layer, convolutions, or mlp."""
        return self.image_network.text if self.images or self.own is not None else "mlp"

    @property
    def num_real(self) -> int:
        """R: columns of inputs that may be normalised. They are the first ones."""
        return sum(leaf.columns for leaf in self.leaves if leaf.kind == "real")

    @property
    def num_floats(self) -> int:
        """Columns of inputs that are multiplied with weights. After them come the numbers of choices."""
        return sum(leaf.columns for leaf in self.leaves if leaf.kind in ("real", "scaled"))

    @property
    def choices(self) -> tuple[int, ...]:
        """The number of choices of each column after the `num_floats` first ones."""
        return tuple(n for leaf in self.leaves for n in leaf.choices)

    @property
    def num_inputs(self) -> int:
        """D: all columns of a row of inputs."""
        return self.num_floats + len(self.choices)

    @property
    def images(self) -> tuple[Leaf, ...]:
        """The images of an observation."""
        return tuple(leaf for leaf in self.leaves if leaf.kind == "pixels")

    @property
    def num_pixels(self) -> int:
        """P: the bytes of a row of pixels."""
        return sum(leaf.columns for leaf in self.images)

    @property
    def num_image_features(self) -> int:
        """The number of features of all images; 0 with the user's own layer, which takes images itself."""
        return self.image_network.features * len(self.images)

    @property
    def num_features(self) -> int:
        """F: what both networks see beside inputs: features of images, then the outputs of the memory."""
        return self.num_image_features + self.memory_size

    @property
    def input_size(self) -> int:
        """Rows of the first layer's weights: for numbers of inputs, for features, and for every choice (one-hot)."""
        return self.num_floats + self.num_features + sum(self.choices)

    @property
    def columns(self) -> tuple[int, int, tuple[int, ...]]:
        """What the first of our layers in actor and critic sees: columns of inputs, columns of features, choices."""
        if self.own is not None:
            return 0, self.own.features, ()
        return self.num_floats, self.num_features, self.choices

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """The groups of rows in weights that see inputs: those of numbers, then those of each column's choices."""
        seen = self.num_floats + self.num_image_features
        firsts = () if self.own is not None else NETWORKS
        groups = {f"{network}.0.weight": (seen + self.memory_size, *self.choices) for network in firsts}
        return groups | ({"memory.weight": (seen, *self.choices)} if self.memory_size else {})

    def image_name(self, number: int, network: Network) -> str:
        """How the names of the parameters begin that compute a network's features of an image."""
        return f"image.{number}" if network == "actor" or self.share_torso else f"critic.image.{number}"

    def convolutions(self, leaf: Leaf) -> tuple[tuple[Convolution, tuple[int, ...]], ...]:
        """The convolutions of an image, each with the shape of its weights [k, k, channels, filters]."""
        layers = self.image_network.convolutions
        channels = (leaf.image.channels, *(layer.filters for layer in layers))
        return tuple(
            (layer, (layer.kernel, layer.kernel, c, layer.filters)) for layer, c in zip(layers, channels, strict=False)
        )

    @property
    def num_outputs(self) -> int:
        """O: the number of the actor's outputs."""
        return sum(factor.outputs for factor in self.factors)

    @property
    def num_columns(self) -> int:
        """C: columns of a row of actions."""
        return sum(factor.columns for factor in self.factors)

    @property
    def log_std_size(self) -> int:
        """A: the length of `log_std`; 0 if no action has real numbers."""
        return sum(factor.columns for factor in self.factors if factor.kind == "gaussian")

    def blocks(self, network: Network) -> tuple[Block, ...]:
        """The layers of a network, the first one first."""
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
        """The number of all parameters, as single numbers."""
        return sum(int(np.prod(shape, dtype=np.int64)) for shape in self.shapes().values())

    def shapes_of_ours(self) -> dict[str, tuple[int, ...]]:
        """Like `shapes`, without the parameters and buffers of the user's own layers."""
        own = self.shapes_of_own()
        return {name: shape for name, shape in self.shapes().items() if name not in own}

    def shapes_of_own(self) -> dict[str, tuple[int, ...]]:
        """Like `shapes`, but only the parameters and buffers of the user's own layers."""
        arrays = () if self.own is None else self.own.arrays
        return {name_in(network, name): shape for network in NETWORKS for name, shape in arrays}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in order.

        The critic's own layers lie in one piece, as `a2c.natural` needs them.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        looked_up = sum(self.columns[-1])
        for network in NETWORKS:
            shapes |= {name: shape for name, shape in self.shapes_of_own().items() if name.startswith(network)}
            for number, block in enumerate(self.blocks(network)):
                shapes[f"{block.name}.weight"] = (block.inputs + (0 if number else looked_up), block.outputs)
                shapes[f"{block.name}.bias"] = (block.outputs,)
        shapes |= self._shapes_of_images("actor")
        if self.memory_size:
            for name, rows in ("memory", self.input_size - self.memory_size), ("memory.carry", self.memory_size):
                shapes[f"{name}.weight"] = (rows, 3 * self.memory_size)
                shapes[f"{name}.bias"] = (3 * self.memory_size,)
        # After all others: then the actor's initial values are the same with and without a shared torso.
        shapes |= self._shapes_of_images("critic")
        if self.log_std_size:
            shapes["log_std"] = (self.log_std_size,)
        return shapes

    def _shapes_of_images(self, network: Network) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for number, leaf in enumerate(self.images if self.num_image_features else ()):
            layers = [shape for _, shape in self.convolutions(leaf)]
            lines, columns = size_after((leaf.image.lines, leaf.image.columns), self.image_network.convolutions)
            layers.append((lines * columns * layers[-1][-1], self.image_network.features))
            for layer, shape in enumerate(layers):
                shapes[f"{self.image_name(number, network)}.{layer}.weight"] = shape
                shapes[f"{self.image_name(number, network)}.{layer}.bias"] = shape[-1:]
        return shapes


def name_in(network: Network, array: str) -> str:
    """The name among all parameters of an array of the user's own layer.

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
    share_torso: bool = True,
) -> Architecture:
    """The networks for an observation space and an action space.

    Args:
        observation_space: Of one environment.
        action_space: Of one environment.
        hidden_sizes: Widths of the hidden layers.
        activation: Of the hidden layers.
        normalizes: Whether real numbers are normalised. If so, bytes that are not an image count as real numbers.
        network: As in Config.
        memory_size: H, the size of the memory's state; 0: no memory.
        share_torso: Whether actor and critic see images through the same layers.

    Raises:
        UserError: No image fits `network`; `share_torso` is False and no image goes through convolutions; or `network`
            is the user's own layer, and cannot be made or trained.
    """
    leaves = leaves_of(observation_space, normalizes, network)
    through, factors = image_network(network) or NATURE, factors_of(action_space)
    architecture = Architecture(leaves, factors, hidden_sizes, activation, memory_size, through, share_torso)
    if not (share_torso or architecture.num_image_features):
        raise UserError(
            "share_torso is False, and no image of these observations goes through our convolutions, which are all "
            "that can be shared; leave it out"
        )
    if through.own:
        return _with_own(architecture)
    if network not in ("auto", "mlp") and not architecture.images:
        sizes = "36 x 36 to about 200 x 200 pixels" if network == "nature" else "a size that its windows fit into"
        raise UserError(
            f"network is {network!r}, and observations have no image of bytes with {sizes}; use network 'auto', which "
            "takes convolutions only for images that fit"
        )
    return architecture


def _with_own(architecture: Architecture) -> Architecture:
    """The architecture with the user's own layer instead of hidden layers; it sees what these would see, and images.

    Raises:
        UserError: The layer cannot be made or trained; or there is memory, which would not see the images.
    """
    name, images = architecture.image_network.own, architecture.images
    if images and architecture.memory_size:
        raise UserError(
            f"memory_size is {architecture.memory_size} and network {name!r}, which takes images as they are, so the "
            "memory would not see them; memory_size must be 0 here"
        )
    try:
        from a2c.model.own_layers import described  # Needs Paddle.
    except ModuleNotFoundError as error:
        raise UserError(
            f"network is {name!r}, which needs PaddlePaddle, and that is not installed; pip install 'a2c[paddle]'"
        ) from error
    shapes = [(leaf.image.channels, leaf.image.lines, leaf.image.columns) for leaf in images]
    return architecture._replace(hidden_sizes=(), own=described(name, architecture.input_size, shapes))


def leaves_of(space: gymnasium.Space[Any], normalizes: bool, network: str = "auto") -> tuple[Leaf, ...]:
    """The leaves of the input, one for each part of an observation space.

    Real numbers come first, then scaled numbers, then the numbers of choices. The bytes of images come last; they count
    their columns in rows of their own.

    Args:
        space: Of observations.
        normalizes: Whether real numbers are normalised.
        network: As in Config.
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
            # Without the division, numbers up to 255 would saturate every hidden unit at the start.
            return Leaf(name, "scaled", 0, columns, 255.0)
        case _ if np.dtype(space.dtype) == np.bool_:
            return Leaf(name, "scaled", 0, columns)
        case _:
            return Leaf(name, "real", 0, columns)


def factors_of(space: gymnasium.Space[Any]) -> tuple[Factor, ...]:
    """The independent parts of an action, in the order of the space.

    Raises:
        TypeError: A part has no distribution here. (`make_envs` refuses such spaces before, with a sentence.)
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
