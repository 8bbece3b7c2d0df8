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

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.errors import UserError
from a2c.masks import mask_size
from a2c.model import Activation
from a2c.model.architecture import Architecture, Leaf
from a2c.model.factors import Actions, Scaling
from a2c.model.images import NATURE_FEATURES, ImageShape, size_after
from a2c.moments import CLIP, EPSILON
from a2c.policy import Policy
from a2c.spaces import PartOfTuple, Path, limits, native, part_of, parts

_EXACT_IN_SINGLE, _EXACT_IN_DOUBLE = 2**24, 2**53


class Part(NamedTuple):
    """A part of an observation or of an action, as numbers of a row."""

    name: str
    """As `a2c.spaces.parts` has it; "" where there is only one."""
    path: Path
    """The keys and positions that lead to it in what the environment gives or takes."""
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


Operation = Numbers | Pixels | Convolve | Dense | Gate
Head = Choices | Bits | Reals

CARRY, OUTPUTS = "carry", "outputs"
"""Vectors with these names: what is remembered, and the last of all."""


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


def description_of(policy: Policy) -> Description:
    """A policy as operations.

    Raises:
        UserError: A number of its spaces is too large to be counted exactly.
    """
    architecture = policy.architecture
    observation, action = _parts(policy.observation_space), _parts(policy.action_space)
    firsts = {part.name: part.first for part in observation}
    operations: list[Operation] = []
    constants: dict[str, NDArray[Any]] = {
        name: array for name, array in policy.parameters.items() if not name.startswith(("critic.", "log_"))
    }
    numbers: list[str] = []
    column = 0
    for leaf in architecture.leaves:
        if leaf.kind not in ("real", "scaled"):
            continue
        target, mean, std = f"numbers.{len(numbers)}", "", ""
        if leaf.kind == "real" and policy.moments is not None:
            own = slice(column, column + leaf.columns)
            mean, std = f"{target}.mean", f"{target}.std"
            constants[mean] = policy.moments.mean[own].copy()
            constants[std] = np.sqrt(policy.moments.variance[own] + EPSILON)
        column += leaf.columns
        numbers.append(target)
        operations.append(Numbers(target, firsts[leaf.name], leaf.columns, leaf.divisor, mean, std))
    images: list[str] = []
    for number, leaf in enumerate(architecture.images):
        operations += _of_image(architecture, number, leaf, firsts[leaf.name])
        images.append(f"image.{number}")
    seen = (*numbers, *images)
    if architecture.memory_size:
        size = architecture.memory_size
        lookups = _lookups(architecture, firsts, architecture.num_floats + architecture.num_image_features)
        operations += [
            Dense("memory.seen", seen, lookups, 3 * size, "memory.weight", "memory.bias", None),
            Dense("memory.kept", (CARRY,), (), 3 * size, "memory.carry.weight", "memory.carry.bias", None),
            Gate("memory.seen", "memory.kept", size),
        ]
        seen = (*seen, CARRY)
    blocks = architecture.blocks("actor")
    for number, block in enumerate(blocks):
        target = OUTPUTS if number == len(blocks) - 1 else block.name
        lookups = () if number else _lookups(architecture, firsts, architecture.num_floats + architecture.num_features)
        names = f"{block.name}.weight", f"{block.name}.bias"
        operations.append(Dense(target, seen, lookups, block.outputs, *names, block.activation))
        seen = (target,)
    heads = _heads(policy.action_space, action)
    description = Description(
        policy.env_id, observation, action, _type(policy.observation_space), _type(policy.action_space),
        mask_size(policy.action_space), architecture.memory_size, tuple(operations), heads, constants,
    )  # fmt: skip
    _check(policy)
    return description


def without_masks(description: Description) -> Description:
    """The same policy, for where everything is always allowed."""
    heads = tuple(head if isinstance(head, Reals) else head._replace(mask=-1) for head in description.heads)
    return description._replace(num_masks=0, heads=heads)


def flat(space: gymnasium.Space[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Rows [B] of a space (`a2c.spaces`) as the numbers that exports see or give, [B, N]."""
    columns = [part_of(rows, part.name).reshape(len(rows), -1).astype(np.float64) for part in parts(space)]
    return np.concatenate(columns, 1)


def nested(space: gymnasium.Space[Any], leaf: Any) -> Any:
    """The structure of a space in dicts and tuples, with leaf(name of a part) for each part.

    Of a Tuple of which only some parts are numbers, those of the environment's own Tuple that are not are None.
    """
    names = {part.path: part.name for part in parts(space)}

    def within(inner: gymnasium.Space[Any], path: Path) -> Any:
        if isinstance(inner, spaces.Dict):
            return {key: within(one, (*path, key)) for key, one in inner.spaces.items()}
        if isinstance(inner, spaces.Tuple):
            items = [within(one, (*path, number)) for number, one in enumerate(inner.spaces)]
            if isinstance(inner, PartOfTuple):
                at = dict(zip(inner.positions, items, strict=True))
                items = [at.get(position) for position in range(inner.length)]
            return tuple(items)
        return leaf(names[path])

    return within(space, ())


def _parts(space: gymnasium.Space[Any]) -> tuple[Part, ...]:
    found, first = [], 0
    paths: dict[str, Path] = {}
    _remember_paths(nested(space, lambda name: name), (), paths)
    for part in parts(space):
        shape = tuple(int(size) for size in part.space.shape or ())
        dtype = native(part.space.dtype).name
        found.append(Part(part.name, paths[part.name], first, shape, dtype, part.space))
        first += found[-1].size
    return tuple(found)


def _remember_paths(structure: Any, path: Path, paths: dict[str, Path]) -> None:
    """The way to each part in what the environment gives, by the part's name."""
    if isinstance(structure, dict | tuple):
        pairs = structure.items() if isinstance(structure, dict) else enumerate(structure)
        for key, inner in pairs:
            _remember_paths(inner, (*path, key), paths)
    elif structure is not None:
        paths[structure] = path


def _of_image(architecture: Architecture, number: int, leaf: Leaf, first: int) -> list[Operation]:
    """From the bytes of an image to its features."""
    image, source = leaf.image, f"image.{number}.pixels"
    steps: list[Operation] = [Pixels(source, first, image, leaf.divisor)]
    before = image.lines, image.columns, image.channels
    layers = architecture.convolutions(leaf)
    for layer, (convolution, _) in enumerate(layers):
        name = f"image.{number}.{layer}"
        after = (*size_after(before[:2], [convolution]), convolution.filters)
        weight, bias = f"{name}.weight", f"{name}.bias"
        steps.append(Convolve(name, source, before, after, convolution.kernel, convolution.stride, weight, bias))
        source, before = name, after
    name = f"image.{number}.{len(layers)}"
    weight, bias = f"{name}.weight", f"{name}.bias"
    steps.append(Dense(f"image.{number}", (source,), (), NATURE_FEATURES, weight, bias, "relu"))
    return steps


def _lookups(architecture: Architecture, firsts: dict[str, int], row: int) -> tuple[Lookup, ...]:
    """Of the choices that are observed; `row` is the first one's first row of weights."""
    found = []
    for leaf in architecture.leaves:
        if leaf.kind == "one_of":
            found.append(Lookup(firsts[leaf.name], row, leaf.choices, leaf.starts))
            row += sum(leaf.choices)
    return tuple(found)


def _heads(space: gymnasium.Space[Any], action: tuple[Part, ...]) -> tuple[Head, ...]:
    scaling = Actions(space).scaling
    heads: list[Head] = []
    output = mask = 0
    for one, part in zip(parts(space), action, strict=True):
        own = slice(part.first, part.first + part.size)
        match one.space:
            case spaces.Box():
                heads.append(Reals(part, output, part.size, scaling.of(own)))
                output += part.size
            case spaces.MultiBinary():
                heads.append(Bits(part, output, mask, part.size))
                output, mask = output + part.size, mask + 2 * part.size
            case _:
                inner: Any = one.space
                sizes = (int(inner.n),) if isinstance(inner, spaces.Discrete) else tuple(inner.nvec.ravel().tolist())
                heads.append(Choices(part, output, mask, sizes, tuple(scaling.start[own].tolist())))
                output, mask = output + sum(sizes), mask + sum(sizes)
    return tuple(heads)


def _largest(space: gymnasium.Space[Any]) -> float:
    """The largest number that a part counts to, or that its type can hold."""
    inner: Any = space
    match inner:
        case spaces.Discrete():
            return float(max(abs(int(inner.start)), abs(int(inner.start) + int(inner.n))))
        case spaces.MultiDiscrete():
            return float(np.maximum(abs(inner.start), abs(inner.start + inner.nvec)).max())
        case spaces.MultiBinary():
            return 1.0
    dtype = native(inner.dtype)
    if dtype.kind == "f":
        return 1.0 if dtype.itemsize <= 4 else np.inf
    return 1.0 if dtype.kind == "b" else float(np.iinfo(dtype).max)


def _type(space: gymnasium.Space[Any]) -> Literal["float32", "float64"]:
    return "float32" if max(_largest(part.space) for part in parts(space)) <= _EXACT_IN_SINGLE else "float64"


def _check(policy: Policy) -> None:
    for space in (policy.observation_space, policy.action_space):
        for part in parts(space):
            if not isinstance(part.space, spaces.Box) and _largest(part.space) > _EXACT_IN_DOUBLE:
                raise UserError(f"cannot export a policy of {part.space}; exports count up to 2^53")
