"""A policy as a short list of operations on named vectors: what every export prints, in whatever language.

    obs         [N]   the numbers of an observation, the parts of its space one after another (`a2c.spaces.parts`)
    <vector>    [..]  float32, the target of one operation, seen by later ones
    outputs     [O]   the last vector: logits, means, the logits of ones
    action      [C]   the numbers of an action, likewise, each part by its head
    mask        [K]   what is allowed (`a2c.masks`), or nothing, where all is
    carry       [H]   what is remembered; `Gate` writes it anew

There are five operations and three heads. A printer has a few lines for each of these, and needs to know nothing else
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
    """As `a2c.spaces.parts` has it; "" where there is only one."""
    first: int
    """Its first number in the row."""
    shape: tuple[int, ...]
    dtype: str
    """Of the space's own arrays, as NumPy names it."""
    space: Any
    """Its own space."""

    @property
    def says(self) -> str:
        """Its space, for people."""
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
        """The lowest and the highest of each number."""
        found = limits(self.space) or (self.space.low, self.space.high)
        low, high = (np.asarray(bound).astype(np.float64).ravel() for bound in found)
        return low, high

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape, dtype=np.int64))


class Numbers(NamedTuple):
    """target = obs[first : first + size] / divisor; or, with statistics, clip((obs - mean) / std), in float64."""

    target: str
    first: int
    size: int
    divisor: float
    mean: str
    """A constant; "": there are no statistics."""
    std: str


class Pixels(NamedTuple):
    """target = obs[first : ...] / divisor as [lines, columns, channels]: those of the first plane first."""

    target: str
    first: int
    image: ImageShape
    divisor: float

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.image.lines * self.image.columns * self.image.channels


class Frame(NamedTuple):
    """target [lines, columns, channels] = source with zeros around it, where windows reach over its edges."""

    target: str
    source: str
    before: tuple[int, int, int]
    """Lines, columns and channels of the source."""
    after: tuple[int, int, int]
    above: int
    """Lines of zeros above; the others are below."""
    left: int
    """Columns of zeros on the left; the others are on the right."""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.after))

    @property
    def around(self) -> tuple[int, int, int, int]:
        """Lines above and below, columns on the left and on the right."""
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
    """Number i of obs[first : ...] chooses a row of W: `row` + sizes[0] + ... + sizes[i - 1] + obs - starts[i]."""

    first: int
    row: int
    sizes: tuple[int, ...]
    starts: tuple[int, ...]


class Dense(NamedTuple):
    """target = activation(W [sources, one after another] + b + the rows of W that lookups choose), W [in, size]."""

    target: str
    sources: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    size: int
    weight: str
    bias: str
    activation: Activation | None


class Gate(NamedTuple):
    """A gated recurrent unit behind its products: carry = n + z (carry - n).

    r = sigmoid(seen + kept), z likewise, n = tanh(seen + r kept): a third of either's columns each.
    """

    seen: str
    kept: str
    size: int


class Own(NamedTuple):
    """A layer of the user's own, which Paddle alone knows: OWN = layer(sources side by side with choices, *images)."""

    sources: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    """Choices that are given one-hot."""
    images: tuple[str, ...]
    num_inputs: int
    """Numbers of sources and choices."""
    networks: Any
    """`a2c.model.own_layers.OwnNetworks`."""


class Choices(NamedTuple):
    """Action column i = starts[i] + the number of the largest of its sizes[i] outputs that is allowed."""

    part: Part
    output: int
    mask: int
    """Its first number in the mask; -1: there is none."""
    sizes: tuple[int, ...]
    starts: tuple[int, ...]


class Bits(NamedTuple):
    """1 where the output is above 0. The mask has two numbers for each: whether it may be 0, whether it may be 1."""

    part: Part
    output: int
    mask: int
    size: int


class Reals(NamedTuple):
    """clip(output * half_range + center, low, high) in float64, rounded to whole numbers if the space has these."""

    part: Part
    output: int
    size: int
    scaling: Scaling
    """Of its own columns."""

    @property
    def is_whole(self) -> bool:
        """Whether it is rounded to whole numbers."""
        return np.dtype(self.part.dtype).kind in "iu"


Operation = Numbers | Pixels | Frame | Convolve | Dense | Gate
Head = Choices | Bits | Reals

CARRY, OUTPUTS, OWN = "carry", "outputs", "own"
"""Vectors with these names: what is remembered, the last of all, what a layer of the user's own gives."""


class Description(NamedTuple):
    """A policy, ready to be printed."""

    env_id: str
    observation: tuple[Part, ...]
    action: tuple[Part, ...]
    obs_type: Literal["float32", "float64"]
    """What holds every number of an observation exactly."""
    action_type: Literal["float32", "float64"]
    num_masks: int
    memory_size: int
    operations: tuple[Operation, ...]
    heads: tuple[Head, ...]
    """One for each part of an action."""
    constants: dict[str, NDArray[Any]]
    """float32 parameters of the actor, and float64 statistics, by the names in operations."""
    obs_limit: float = CLIP
    own: Own | None = None
    """What comes before the last operation; only Paddle's printer knows it."""

    @property
    def num_obs(self) -> int:
        """N: numbers of an observation."""
        return sum(part.size for part in self.observation)

    @property
    def num_actions(self) -> int:
        """C: numbers of an action."""
        return sum(part.size for part in self.action)

    @property
    def num_outputs(self) -> int:
        """O: of the actor."""
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
