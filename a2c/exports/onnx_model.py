"""A policy as an ONNX model, for onnxruntime and other programs that read ONNX.

Every part of an observation is an input with the part's own type and shape, [batch, ...]: `obs`, or `obs.<part>` if the
space is nested. Actions are outputs of the same form. `action_mask` is [batch, K] (bool), or [1, K] for the whole
batch; without it, everything is allowed. A policy with memory takes `carry` [batch, H] and gives `next_carry`.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # protobuf warns about its own versions.
    import onnx
    from onnx import helper, numpy_helper

from a2c.exports.operations import (
    CARRY,
    OUTPUTS,
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
    Part,
    Pixels,
    Reals,
)
from a2c.version import __version__

OPSET, IR = 17, 8
"""Versions of ONNX's operators and file format. They are of 2022, so that today's readers of ONNX know them."""


class _Graph:
    """Collects the nodes and constants of a model."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def __call__(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Adds a node with one output; returns the output's name."""
        target = to or f"{kind.lower()}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [target], **attributes))
        return target

    def constant(self, array: NDArray[Any], name: str = "") -> str:
        """Adds an array; returns its name."""
        name = name or f"constant.{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def numbers(self, *values: int) -> str:
        """Adds an array of whole numbers (a shape, axes, indices); returns its name."""
        return self.constant(np.array(values, np.int64))

    def cast(self, source: str, dtype: Any) -> str:
        """Adds a conversion to another type; returns its name."""
        target = f"cast.{len(self.nodes)}"
        self.nodes.append(helper.make_node("Cast", [source], [target], to=_type(dtype)))
        return target

    def columns(self, source: str, first: int, size: int) -> str:
        """Adds the selection of some columns of a matrix; returns its name."""
        return self("Slice", source, self.numbers(first), self.numbers(first + size), self.numbers(1))


def model_of(description: Description) -> Any:
    """Builds the model (`onnx.ModelProto`) and checks it."""
    d, graph = description, _Graph()
    inputs = [_value(_called("obs", part), part.dtype, part.shape) for part in d.observation]
    outputs = [_value(_called("action", part), part.dtype, part.shape) for part in d.action]
    if d.num_masks:
        # The rows' dimension has a name of its own: onnxruntime takes dimensions of one name to be of one size.
        inputs.append(_value("action_mask", "bool", (d.num_masks,), "batch_or_1"))
        graph.constant(np.ones((1, d.num_masks), np.bool_), "action_mask")  # the default, if the caller gives none
    if d.memory_size:
        inputs.append(_value(CARRY, "float32", (d.memory_size,)))
        outputs.append(_value("next_carry", "float32", (d.memory_size,)))
    outputs.append(_value(OUTPUTS, "float32", (d.num_outputs,)))
    parts = {part.first: part for part in d.observation}
    vectors = {CARRY: CARRY}
    for step in d.operations:
        _operation(d, graph, parts, vectors, step)
    for head in d.heads:
        _head(graph, head)
    proto = helper.make_graph(graph.nodes, "policy", inputs, outputs, list(graph.constants.values()))
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
        producer_name="a2c", producer_version=__version__, doc_string=f"A policy for {d.env_id}",
    )  # fmt: skip
    helper.set_model_props(model, _metadata(d))
    onnx.checker.check_model(model, full_check=True)
    return model


def _metadata(d: Description) -> dict[str, str]:
    """The model's metadata: the environment's id, and its spaces as JSON."""

    def listed(name: str, parts: tuple[Part, ...]) -> str:
        return json.dumps({_called(name, part): part.says for part in parts})

    return {
        "env_id": d.env_id,
        "observation_space": listed("obs", d.observation),
        "action_space": listed("action", d.action),
        "a2c_version": __version__,
    }


def _called(name: str, part: Part) -> str:
    return f"{name}.{part.name}" if part.name else name


def _type(dtype: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _value(name: str, dtype: str, shape: tuple[int, ...], rows: str = "batch") -> Any:
    return helper.make_tensor_value_info(name, _type(dtype), [rows, *shape])


# -- operations --


def _operation(d: Description, graph: _Graph, parts: dict[int, Part], vectors: dict[str, str], step: Operation) -> None:
    """Adds an operation. `vectors` maps the description's vectors to names in the graph, and gets the new one."""
    match step:
        case Numbers():
            vectors[step.target] = _numbers(d, graph, parts[step.first], step)
        case Pixels():
            planes, lines, columns, samples = step.image
            x = graph("Div", graph.cast(_called("obs", parts[step.first]), "float32"), _single(graph, step.divisor))
            x = graph("Reshape", x, graph.numbers(-1, planes, lines, columns, samples))
            # ONNX's convolutions take channels first.
            x = graph("Transpose", x, perm=[0, 1, 4, 2, 3])
            vectors[step.target] = graph("Reshape", x, graph.numbers(-1, planes * samples, lines, columns))
        case Frame():
            above, below, left, right = step.around
            pads = graph.numbers(0, 0, above, left, 0, 0, below, right)
            vectors[step.target] = graph("Pad", vectors[step.source], pads)
        case Convolve():
            weight = graph.constant(d.constants[step.weight].transpose(3, 2, 0, 1), step.weight)
            bias = graph.constant(d.constants[step.bias], step.bias)
            strides = [step.stride, step.stride]
            vectors[step.target] = graph("Relu", graph("Conv", vectors[step.source], weight, bias, strides=strides))
        case Dense():
            vectors[step.target] = _dense(d, graph, parts, vectors, step)
        case Gate():
            vectors[CARRY] = _gate(graph, vectors, step)


def _single(graph: _Graph, value: float) -> str:
    return graph.constant(np.array(value, np.float32))


def _numbers(d: Description, graph: _Graph, part: Part, step: Numbers) -> str:
    obs = _called("obs", part)
    if step.mean:
        x = graph("Reshape", graph.cast(obs, "float64"), graph.numbers(-1, step.size))
        x = graph("Sub", x, graph.constant(d.constants[step.mean], step.mean))
        x = graph("Div", x, graph.constant(d.constants[step.std], step.std))
        x = graph("Max", x, graph.constant(np.array(-d.obs_limit)))
        return graph.cast(graph("Min", x, graph.constant(np.array(d.obs_limit))), "float32")
    x = graph("Reshape", graph.cast(obs, "float32"), graph.numbers(-1, step.size))
    return x if step.divisor == 1 else graph("Div", x, _single(graph, step.divisor))


def _dense(d: Description, graph: _Graph, parts: dict[int, Part], vectors: dict[str, str], step: Dense) -> str:
    weight = graph.constant(d.constants[step.weight], step.weight)
    y = graph.constant(d.constants[step.bias], step.bias)
    if step.sources:
        given = [_flattened(d, graph, vectors, source) for source in step.sources]
        x = given[0] if len(given) == 1 else graph("Concat", *given, axis=1)
        rows = sum(d.sizes[source] for source in step.sources)
        used = weight
        if step.lookups:
            used = graph("Slice", weight, graph.numbers(0), graph.numbers(rows), graph.numbers(0))
        y = graph("Add", graph("MatMul", x, used), y)
    for lookup in step.lookups:
        y = graph("Add", _lookup(graph, parts[lookup.first], lookup, weight), y)
    name = step.target if step.target == OUTPUTS else ""
    match step.activation:
        case "relu":
            return graph("Relu", y, to=name)
        case "tanh":
            return graph("Tanh", y, to=name)
    return graph("Identity", y, to=name)


def _flattened(d: Description, graph: _Graph, vectors: dict[str, str], source: str) -> str:
    """A vector as rows [batch, size]; the output of a convolution in the order lines, columns, filters."""
    made = {step.target: step for step in d.operations if isinstance(step, Convolve)}
    if source not in made:
        return vectors[source]
    x = graph("Transpose", vectors[source], perm=[0, 2, 3, 1])
    return graph("Reshape", x, graph.numbers(-1, made[source].size))


def _lookup(graph: _Graph, part: Part, lookup: Lookup, weight: str) -> str:
    """The sum of the rows that choices select."""
    firsts = lookup.row + np.cumsum([0, *lookup.sizes[:-1]]) - np.array(lookup.starts, np.int64)
    numbers = graph("Reshape", graph.cast(_called("obs", part), "int64"), graph.numbers(-1, len(lookup.sizes)))
    rows = graph("Gather", weight, graph("Add", numbers, graph.constant(firsts.astype(np.int64))), axis=0)
    return graph("ReduceSum", rows, graph.numbers(1), keepdims=0)


def _gate(graph: _Graph, vectors: dict[str, str], step: Gate) -> str:
    size, half = step.size, _single(graph, 0.5)
    seen, kept = vectors[step.seen], vectors[step.kept]
    both = graph("Add", graph.columns(seen, 0, 2 * size), graph.columns(kept, 0, 2 * size))
    gates = graph("Add", graph("Mul", graph("Tanh", graph("Mul", both, half)), half), half)
    reset, update = graph.columns(gates, 0, size), graph.columns(gates, size, size)
    candidate = graph("Mul", reset, graph.columns(kept, 2 * size, size))
    candidate = graph("Tanh", graph("Add", graph.columns(seen, 2 * size, size), candidate))
    change = graph("Mul", update, graph("Sub", CARRY, candidate))
    return graph("Add", candidate, change, to="next_carry")


# -- heads --


def _head(graph: _Graph, head: Head) -> None:
    match head:
        case Choices():
            x = _choices(graph, head)
        case Bits():
            x = graph("Greater", graph.columns(OUTPUTS, head.output, head.size), _single(graph, 0.0))
            if head.mask >= 0:
                pairs = graph.columns("action_mask", head.mask, 2 * head.size)
                pairs = graph("Reshape", pairs, graph.numbers(-1, head.size, 2))
                may_be = [graph("Gather", pairs, graph.constant(np.array(bit)), axis=2) for bit in (0, 1)]
                x = graph("And", graph("Or", x, graph("Not", may_be[0])), may_be[1])
        case Reals():
            x = _reals(graph, head)
    part = head.part
    x = graph.cast(x, part.dtype)
    graph("Reshape", x, graph.numbers(-1, *part.shape), to=_called("action", part))


def _choices(graph: _Graph, head: Choices) -> str:
    """The numbers [batch, choices] of the largest allowed outputs, in the environment's counting."""
    found, output, mask = [], head.output, head.mask
    for size in head.sizes:
        logits = graph.columns(OUTPUTS, output, size)
        if head.mask >= 0:
            logits = graph("Where", graph.columns("action_mask", mask, size), logits, _single(graph, -1e30))
        found.append(graph("ArgMax", logits, axis=1, keepdims=1))
        output, mask = output + size, mask + size
    numbers = found[0] if len(found) == 1 else graph("Concat", *found, axis=1)
    return graph("Add", numbers, graph.constant(np.array(head.starts, np.int64)))


def _reals(graph: _Graph, head: Reals) -> str:
    _, center, half_range, low, high = head.scaling
    x = graph.cast(graph.columns(OUTPUTS, head.output, head.size), "float64")
    x = graph("Add", graph("Mul", x, graph.constant(half_range)), graph.constant(center))
    x = graph("Min", graph("Max", x, graph.constant(low)), graph.constant(high))
    return graph("Round", x) if head.is_whole else x
