"""A policy as Paddle's inference model: a program and its parameters, for `paddle.inference` and `paddle.jit.load`.

obs          [batch, N]   float32 or float64: the numbers of an observation, one part after another
action_mask  [batch, K]   bool; [1, K] holds for the whole batch. Left out if actions cannot be masked
carry        [batch, H]   float32, of a policy with memory
->  action [batch, C], next_carry [batch, H] of a policy with memory, outputs [batch, O]
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from a2c.exports.layer import paddle
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
    Numbers,
    Operation,
    Own,
    Pixels,
    Reals,
)


class PolicyLayer(paddle.nn.Layer):  # type: ignore[misc]  # Paddle ships no types
    """A layer that runs a description on Paddle's tensors."""

    def __init__(self, description: Description) -> None:
        """Makes a layer whose buffers are the constants of the description."""
        super().__init__()
        self._description = description
        # All constants are made here: `paddle.to_tensor` prints a warning while a program is recorded.
        for name, array in {**description.constants, **_more_constants(description)}.items():
            self.register_buffer(_name(name), paddle.to_tensor(array))
        if description.own is not None:
            self.own = description.own.networks.layers["actor"]

    def forward(self, obs: Any, second: Any = None, third: Any = None) -> tuple[Any, ...]:
        """Actions [B, C], with memory the next carry [B, H], and outputs [B, O].

        Args:
            obs: [B, N].
            second: The mask [B, K], if actions can be masked; else the carry.
            third: The carry [B, H], if the policy has memory and a mask.
        """
        found: tuple[Any, ...] = self._act(obs, second, third)
        return found

    @paddle.jit.not_to_static  # type: ignore[untyped-decorator]  # Paddle translates source code, but not `match`.
    def _act(self, obs: Any, second: Any, third: Any) -> tuple[Any, ...]:
        d, given = self._description, [second, third]
        mask = given.pop(0) if d.num_masks else None
        vectors = {"obs": obs, **({CARRY: given.pop(0)} if d.memory_size else {})}
        for step in d.operations:
            if d.own is not None and isinstance(step, Dense) and step.sources == (OWN,):
                vectors[OWN] = self._own(vectors, d.own)
            vectors[CARRY if isinstance(step, Gate) else step.target] = self._step(vectors, step)
        outputs = vectors[OUTPUTS]
        is_whole = not any(isinstance(head, Reals) for head in d.heads)
        kind = "int64" if is_whole else d.action_type
        action = paddle.concat([self._head(head, outputs, mask).astype(kind) for head in d.heads], 1)
        return (action, vectors[CARRY], outputs) if d.memory_size else (action, outputs)

    def _step(self, vectors: dict[str, Any], step: Operation) -> Any:
        match step:
            case Numbers():
                return self._numbers(vectors["obs"], step)
            case Pixels():
                image = step.image
                size = int(np.prod(image))
                x = vectors["obs"][:, step.first : step.first + size].astype("float32") / step.divisor
                x = x.reshape([-1, *image]).transpose([0, 1, 4, 2, 3])  # Paddle's convolutions take channels first.
                return x.reshape([-1, image.channels, image.lines, image.columns])
            case Frame():
                above, below, left, right = step.around
                return paddle.nn.functional.pad(vectors[step.source], [left, right, above, below])
            case Convolve():
                weight = self._constant(step.weight).transpose([3, 2, 0, 1])
                x = paddle.nn.functional.conv2d(
                    vectors[step.source], weight, self._constant(step.bias), stride=step.stride
                )
                return paddle.nn.functional.relu(x)
            case Dense():
                return self._dense(vectors, step)
            case Gate():
                return _gate(vectors, step)

    def _own(self, vectors: dict[str, Any], own: Own) -> Any:
        """The features [B, F] that the user's own layer gives."""
        columns = [vectors[source] for source in own.sources]
        for lookup in own.lookups:
            for number, (size, start) in enumerate(zip(lookup.sizes, lookup.starts, strict=True), lookup.first):
                numbers = vectors["obs"][:, number].astype("int64") - start
                columns.append(paddle.nn.functional.one_hot(numbers, size))
        if not columns:
            columns = [vectors["obs"][:, :0].astype("float32")]
        numbers = paddle.concat(columns, 1) if len(columns) > 1 else columns[0]
        return self.own(numbers, *(vectors[image] for image in own.images))

    def _constant(self, name: str) -> Any:
        return getattr(self, _name(name))

    def _numbers(self, obs: Any, step: Numbers) -> Any:
        x = obs[:, step.first : step.first + step.size]
        if step.mean:
            x = (x.astype("float64") - self._constant(step.mean)) / self._constant(step.std)
            limit = self._description.obs_limit
            return paddle.clip(x, -limit, limit).astype("float32")
        return x.astype("float32") / step.divisor

    def _dense(self, vectors: dict[str, Any], step: Dense) -> Any:
        weight, y = self._constant(step.weight), self._constant(step.bias)
        if step.sources:
            given = [_row(vectors[source]) for source in step.sources]
            x = paddle.concat(given, 1) if len(given) > 1 else given[0]
            y = paddle.matmul(x, weight[: weight.shape[0] - sum(sum(one.sizes) for one in step.lookups)]) + y
        for lookup in step.lookups:
            numbers = vectors["obs"][:, lookup.first : lookup.first + len(lookup.sizes)].astype("int64")
            rows = numbers + self._constant(f"rows.{lookup.row}")
            y = y + paddle.nn.functional.embedding(rows, weight).sum(1)
        match step.activation:
            case "relu":
                return paddle.nn.functional.relu(y)
            case "tanh":
                return paddle.tanh(y)
        return y

    def _head(self, head: Head, outputs: Any, mask: Any) -> Any:
        match head:
            case Choices():
                found, output, at = [], head.output, head.mask
                for size, start in zip(head.sizes, head.starts, strict=True):
                    logits = outputs[:, output : output + size]
                    if mask is not None:
                        # Adds 0 to allowed logits, -1e30 to others; `paddle.where` would print a warning.
                        logits = logits + (mask[:, at : at + size].astype("float32") - 1) * 1e30
                    found.append(paddle.argmax(logits, 1, keepdim=True) + start)
                    output, at = output + size, at + size
                return paddle.concat(found, 1)
            case Bits():
                bits = outputs[:, head.output : head.output + head.size] > 0
                if mask is not None:
                    pairs = mask[:, head.mask : head.mask + 2 * head.size]
                    bits = paddle.logical_and(paddle.logical_or(bits, ~pairs[:, 0::2]), pairs[:, 1::2])
                return bits
            case Reals():
                center, half_range, low, high = self._constant(f"range.{head.output}")
                x = outputs[:, head.output : head.output + head.size].astype("float64") * half_range + center
                x = paddle.minimum(paddle.maximum(x, low), high)
                return _rounded(x) if head.is_whole else x.astype(head.part.dtype)


def files_of(description: Description, name: str) -> dict[str, bytes]:
    """The files of the model, by name: `<name>.json`, the program, and `<name>.pdiparams`, its parameters."""
    d = description
    layer = PolicyLayer(d)
    if d.own is None:  # The user's own layer stays in the mode in which it was trained.
        layer.eval()
    spec = paddle.static.InputSpec
    inputs = [spec([None, d.num_obs], d.obs_type, "obs")]
    if d.num_masks:
        inputs.append(spec([None, d.num_masks], "bool", "action_mask"))
    if d.memory_size:
        inputs.append(spec([None, d.memory_size], "float32", CARRY))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Paddle warns of attributes that its own functions ask programs for in vain.
        paddle.jit.save(layer, os.path.join(folder, name), input_spec=inputs)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _name(name: str) -> str:
    return name.replace(".", "_")


def _row(x: Any) -> Any:
    """A vector as rows [B, size]; the output of a convolution in the order lines, columns, filters."""
    return x if x.ndim == 2 else x.transpose([0, 2, 3, 1]).reshape([0, -1])


def _gate(vectors: dict[str, Any], step: Gate) -> Any:
    seen, kept, carry = vectors[step.seen], vectors[step.kept], vectors[CARRY]
    both = 2 * step.size
    gates = paddle.tanh((seen[:, :both] + kept[:, :both]) * 0.5) * 0.5 + 0.5
    reset, update = gates[:, : step.size], gates[:, step.size :]
    candidate = paddle.tanh(seen[:, both:] + reset * kept[:, both:])
    return candidate + update * (carry - candidate)


def _rounded(x: Any) -> Any:
    """Rounds halves to the even number, as NumPy does; `paddle.round` rounds them away from 0."""
    up = paddle.floor(x + 0.5)
    return up - paddle.logical_and(up - x == 0.5, up % 2 == 1).astype("float64")


def _more_constants(d: Description) -> dict[str, Any]:
    """More constants: the row of weights that belongs to 0 in each column of lookups; the scaling of real actions."""
    lookups = [lookup for step in d.operations if isinstance(step, Dense) for lookup in step.lookups]
    return {
        f"rows.{one.row}": (one.row + np.cumsum([0, *one.sizes[:-1]]) - np.array(one.starts)).astype(np.int64)
        for one in lookups
    } | {f"range.{head.output}": np.stack(head.scaling[1:]) for head in d.heads if isinstance(head, Reals)}
