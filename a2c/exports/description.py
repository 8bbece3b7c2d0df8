"""Translates a policy into the operations that exports print."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.errors import UserError
from a2c.exports.operations import (
    CARRY,
    OUTPUTS,
    OWN,
    Bits,
    Choices,
    Convolve,
    Dense,
    Description,
    Frame,
    Gate,
    Head,
    Lookup,
    Numbers,
    Operation,
    Own,
    Part,
    Pixels,
    Reals,
)  # fmt: skip
from a2c.masks import mask_size
from a2c.model.architecture import Architecture, Leaf, name_in
from a2c.model.factors import Actions
from a2c.model.images import reach, size_after
from a2c.moments import EPSILON
from a2c.policy import Policy
from a2c.spaces import PartOfTuple, Path, native, part_of, parts

_EXACT_IN_SINGLE, _EXACT_IN_DOUBLE = 2**24, 2**53


def description_of(policy: Policy) -> Description:
    """Describes a policy as operations.

    Raises:
        UserError: A discrete number of its spaces is above 2^53, so that float64 cannot hold it exactly.
    """
    architecture = policy.architecture
    observation, action = _parts(policy.observation_space), _parts(policy.action_space)
    firsts = {part.name: part.first for part in observation}
    operations: list[Operation] = []
    constants: dict[str, NDArray[Any]] = {
        name: array
        for name, array in policy.parameters.items()
        if not name.startswith(("critic.", "log_", name_in("actor", "")))
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
        if policy.own is None:
            operations += _of_image(architecture, number, leaf, firsts[leaf.name])
            images.append(f"image.{number}")
        else:
            images.append(f"image.{number}.pixels")
            operations.append(Pixels(images[-1], firsts[leaf.name], leaf.image, leaf.divisor))
    seen = (*numbers, *images) if policy.own is None else tuple(numbers)
    if architecture.memory_size:
        size = architecture.memory_size
        lookups = _lookups(architecture, firsts, architecture.num_floats + architecture.num_image_features)
        operations += [
            Dense("memory.seen", seen, lookups, 3 * size, "memory.weight", "memory.bias", None),
            Dense("memory.kept", (CARRY,), (), 3 * size, "memory.carry.weight", "memory.carry.bias", None),
            Gate("memory.seen", "memory.kept", size),
        ]
        seen = (*seen, CARRY)
    layer = None
    if policy.own is not None:
        lookups = _lookups(architecture, firsts, 0)
        layer = Own(seen, lookups, tuple(images), architecture.input_size, policy.own)
        seen = (OWN,)
    blocks = architecture.blocks("actor")
    for number, block in enumerate(blocks):
        target = OUTPUTS if number == len(blocks) - 1 else block.name
        lookups = ()
        if not number and layer is None:
            lookups = _lookups(architecture, firsts, architecture.num_floats + architecture.num_features)
        names = f"{block.name}.weight", f"{block.name}.bias"
        operations.append(Dense(target, seen, lookups, block.outputs, *names, block.activation))
        seen = (target,)
    heads = _heads(policy.action_space, action)
    description = Description(
        policy.env_id, observation, action, _type(policy.observation_space), _type(policy.action_space),
        mask_size(policy.action_space), architecture.memory_size, tuple(operations), heads, constants,
        own=layer,
    )  # fmt: skip
    _check(policy)
    return description


def without_masks(description: Description) -> Description:
    """The same policy without action masks, for environments in which every action is always allowed."""
    heads = tuple(head if isinstance(head, Reals) else head._replace(mask=-1) for head in description.heads)
    return description._replace(num_masks=0, heads=heads)


def flat(space: gymnasium.Space[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Rows [B] of a space (`a2c.spaces`) as the plain numbers that exports take or give, [B, N]."""
    columns = [part_of(rows, part.name).reshape(len(rows), -1).astype(np.float64) for part in parts(space)]
    return np.concatenate(columns, 1)


def nested(space: gymnasium.Space[Any], leaf: Any) -> Any:
    """The structure of a space as dicts and tuples, with leaf(name of the part) in the place of each part.

    If some parts of the environment's own Tuple are not numbers (text, for example), None is in their places.
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
    for part in parts(space):
        shape = tuple(int(size) for size in part.space.shape or ())
        dtype = native(part.space.dtype).name
        found.append(Part(part.name, first, shape, dtype, part.space))
        first += found[-1].size
    return tuple(found)


def _of_image(architecture: Architecture, number: int, leaf: Leaf, first: int) -> list[Operation]:
    """The operations from the bytes of an image to its features."""
    image, source = leaf.image, f"image.{number}.pixels"
    steps: list[Operation] = [Pixels(source, first, image, leaf.divisor)]
    before = image.lines, image.columns, image.channels
    layers = architecture.convolutions(leaf)
    for layer, (convolution, _) in enumerate(layers):
        name = f"image.{number}.{layer}"
        after = (*size_after(before[:2], [convolution]), convolution.filters)
        (_, above, below), (_, left, right) = (reach(along, convolution) for along in before[:2])
        if above + below + left + right:
            framed = before[0] + above + below, before[1] + left + right, before[2]
            steps.append(Frame(f"{name}.framed", source, before, framed, above, left))
            source, before = f"{name}.framed", framed
        weight, bias = f"{name}.weight", f"{name}.bias"
        steps.append(Convolve(name, source, before, after, convolution.kernel, convolution.stride, weight, bias))
        source, before = name, after
    name = f"image.{number}.{len(layers)}"
    weight, bias = f"{name}.weight", f"{name}.bias"
    steps.append(Dense(f"image.{number}", (source,), (), architecture.image_network.features, weight, bias, "relu"))
    return steps


def _lookups(architecture: Architecture, firsts: dict[str, int], row: int) -> tuple[Lookup, ...]:
    """The look-ups of the choices in an observation; `row` is the first row of weights of the first one."""
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
    """The largest magnitude that must be held exactly; 1 for real numbers of up to 32 bits, infinity for wider ones."""
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
                raise UserError(f"cannot export a policy of {part.space}; its numbers must not be above 2^53")
