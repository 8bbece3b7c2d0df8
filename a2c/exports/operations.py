"""A policy as a short list of operations on named vectors, which every export prints in its own language.

    obs         [N]   the numbers of an observation, the parts of its space one after another (`a2c.spaces.parts`)
    <vector>    [..]  float32, the result of one operation, an input of later ones
    outputs     [O]   the last vector: logits of choices, means, logits of bits
    action      [C]   the numbers of an action, one part after another; each part is computed by its head
    mask        [K]   what is allowed (`a2c.masks`); without a mask, everything is
    carry       [H]   the memory's state; `Gate` replaces it by the new one

There are six operations and three heads. An exporter has a few lines for each of them, and needs to know nothing else
of policies.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.model import Activation
from a2c.model.factors import Scaling
from a2c.model.images import ImageShape
from a2c.moments import CLIP
from a2c.spaces import limits


class Part(NamedTuple):
    """A part of an observation or of an action, as numbers of a row."""

    name: str
    """As in `a2c.spaces.parts`; "" if the space has no parts."""
    first: int
    """The index in the row of its first number."""
    shape: tuple[int, ...]
    dtype: str
    """The type of the space's arrays, by NumPy's name."""
    space: Any
    """The Gymnasium space of this part."""

    @property
    def says(self) -> str:
        """Its space as text, for readers."""
        return str(self.space)

    @property
    def is_choice(self) -> bool:
        """Whether its numbers are those of choices, or bits."""
        return not isinstance(self.space, spaces.Box)

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return np.dtype(self.dtype).kind in "biu"

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lowest and the highest value of each number, [size] each."""
        found = limits(self.space) or (self.space.low, self.space.high)
        low, high = (np.asarray(bound).astype(np.float64).ravel() for bound in found)
        return low, high

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape, dtype=np.int64))


class Numbers(NamedTuple):
    """target = obs[first : first + size] / divisor; or, with statistics, clip((obs - mean) / std) in float64."""

    target: str
    first: int
    size: int
    divisor: float
    mean: str
    """The name of a constant; "": the numbers are not normalised."""
    std: str


class Pixels(NamedTuple):
    """target = obs[first : ...] / divisor as [lines, columns, channels], the first plane's channels first."""

    target: str
    first: int
    image: ImageShape
    divisor: float

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.image.lines * self.image.columns * self.image.channels


class Frame(NamedTuple):
    """target [lines, columns, channels] = source, padded with zeros as far as windows reach over its edges."""

    target: str
    source: str
    before: tuple[int, int, int]
    """Lines, columns and channels of the source."""
    after: tuple[int, int, int]
    above: int
    """Lines of zeros above the image; the others are below."""
    left: int
    """Columns of zeros left of the image; the others are on the right."""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.after))

    @property
    def around(self) -> tuple[int, int, int, int]:
        """Zeros around the image: lines above and below, columns on the left and on the right."""
        lines, columns = (after - before for after, before in zip(self.after[:2], self.before[:2], strict=True))
        return self.above, lines - self.above, self.left, columns - self.left


class Convolve(NamedTuple):
    """target [lines, columns, filters] = relu(W source + b), W [kernel, kernel, channels, filters] moved by stride."""

    target: str
    source: str
    before: tuple[int, int, int]
    """Lines, columns and channels of the source."""
    after: tuple[int, int, int]
    kernel: int
    stride: int
    weight: str
    bias: str

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.after))


class Lookup(NamedTuple):
    """Number i of obs[first : ...] selects a row of W: row + sizes[0] + ... + sizes[i - 1] + obs - starts[i]."""

    first: int
    row: int
    sizes: tuple[int, ...]
    starts: tuple[int, ...]


class Dense(NamedTuple):
    """target = activation(W [sources, one after another] + b + the rows of W that lookups select), W [in, size]."""

    target: str
    sources: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    size: int
    weight: str
    bias: str
    activation: Activation | None


class Gate(NamedTuple):
    """A gated recurrent unit, given its products with inputs (`seen`) and with the carry (`kept`), [3 H] each.

    r = sigmoid(seen_r + kept_r),  z = sigmoid(seen_z + kept_z),  n = tanh(seen_n + r kept_n)
    carry = n + z (carry - n)
    """

    seen: str
    kept: str
    size: int


class Own(NamedTuple):
    """The user's own layer, which only Paddle can run: OWN = layer(sources side by side with choices, *images)."""

    sources: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    """Choices, which the layer gets one-hot."""
    images: tuple[str, ...]
    num_inputs: int
    """Columns of its first argument: sources and choices."""
    networks: Any
    """The `a2c.model.own_layers.OwnNetworks` that hold the layer."""


class Choices(NamedTuple):
    """Action column i = starts[i] + the index of the largest allowed one of its sizes[i] outputs."""

    part: Part
    output: int
    mask: int
    """The index in the mask of its first number; -1: it cannot be masked."""
    sizes: tuple[int, ...]
    starts: tuple[int, ...]


class Bits(NamedTuple):
    """1 if the output is above 0. The mask has two numbers for each bit: whether it may be 0, whether it may be 1."""

    part: Part
    output: int
    mask: int
    size: int


class Reals(NamedTuple):
    """clip(output * half_range + center, low, high) in float64, rounded if the space has whole numbers."""

    part: Part
    output: int
    size: int
    scaling: Scaling
    """The scaling of its own columns."""

    @property
    def is_whole(self) -> bool:
        """Whether it is rounded to whole numbers."""
        return np.dtype(self.part.dtype).kind in "iu"


Operation = Numbers | Pixels | Frame | Convolve | Dense | Gate
Head = Choices | Bits | Reals

CARRY, OUTPUTS, OWN = "carry", "outputs", "own"
"""The names of these vectors: the memory's state, the actor's outputs, the features of the user's own layer."""


class Description(NamedTuple):
    """A policy as operations, ready to be printed."""

    env_id: str
    observation: tuple[Part, ...]
    action: tuple[Part, ...]
    obs_type: Literal["float32", "float64"]
    """The type that holds every number of an observation exactly; `action_type` likewise."""
    action_type: Literal["float32", "float64"]
    num_masks: int
    memory_size: int
    operations: tuple[Operation, ...]
    heads: tuple[Head, ...]
    """One for each part of an action."""
    constants: dict[str, NDArray[Any]]
    """float32 parameters of the actor and float64 statistics, by the names that operations use."""
    obs_limit: float = CLIP
    """Normalised numbers are clipped to [-obs_limit, obs_limit]."""
    own: Own | None = None
    """The user's own layer; it runs just before the last operation. Only the exports to Paddle can print it."""

    @property
    def num_obs(self) -> int:
        """N: the numbers of an observation."""
        return sum(part.size for part in self.observation)

    @property
    def num_actions(self) -> int:
        """C: the numbers of an action."""
        return sum(part.size for part in self.action)

    @property
    def num_outputs(self) -> int:
        """O: the outputs of the actor."""
        return self.sizes[OUTPUTS]

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers each vector has."""
        sizes = {CARRY: self.memory_size}
        sizes |= {step.target: step.size for step in self.operations if not isinstance(step, Gate)}
        return sizes

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the actor's float32 parameters."""
        return sum(array.nbytes for array in self.constants.values() if array.dtype == np.float32)
