"""A policy as one Python file that needs only NumPy."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.exports.description import nested
from a2c.exports.operations import (
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
    Pixels,
    Reals,
)
from a2c.version import __version__

_CONVOLVE = '''

def _convolve(x, after, kernel, stride, weight, bias):
    """relu(W x + b) of images [B, lines, columns, channels], W [kernel, kernel, channels, filters]."""
    lines, columns, filters = after
    x = np.ascontiguousarray(x)
    image, line, column, number = x.strides
    shape = len(x), lines, columns, kernel, kernel * x.shape[3]
    strides = image, stride * line, stride * column, line, number
    seen = np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)
    y = seen.reshape(-1, kernel * kernel * x.shape[3]) @ weight.reshape(-1, filters) + bias
    return np.maximum(y, np.float32(0)).reshape(len(x), lines, columns, filters)
'''
_GATE = '''

def _gate(seen, kept, carry):
    """The next carry [B, H] of a gated recurrent unit, given its products with inputs and with the carry."""
    size = carry.shape[1]
    gates = np.tanh((seen[:, : 2 * size] + kept[:, : 2 * size]) * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
    candidate = np.tanh(seen[:, 2 * size :] + gates[:, :size] * kept[:, 2 * size :])
    return candidate + gates[:, size:] * (carry - candidate)
'''
_LOOKUP = '''

def _lookup(obs, row, sizes, starts, weight):
    """The sum of the rows of weights that choices select."""
    number = obs.astype(np.int64) - starts
    if (number < 0).any() or (number >= sizes).any():
        raise ValueError(f"obs has a choice out of range; there are {list(sizes)} choices, counted from {list(starts)}")
    return weight[row + np.cumsum([0, *sizes[:-1]]) + number].sum(1)
'''
_LARGEST = '''

def _largest(outputs, mask):
    """The index of the largest allowed output, for each row."""
    return (outputs if mask is None else np.where(mask > 0, outputs, np.float32(-1e30))).argmax(1)
'''
_READING = '''

def _taken(structure, value, name):
    """Yields the parts of a nested value in order: the part's number, its value, and its name for messages."""
    if isinstance(structure, dict):
        for key, inner in structure.items():
            yield from _taken(inner, value[key], f"{name}[{key!r}]")
    elif isinstance(structure, tuple):
        if len(value) != len(structure):  # The caller left out the parts that are not numbers.
            structure = tuple(inner for inner in structure if inner is not None)
        if len(value) != len(structure):
            raise ValueError(f"{name} has {len(value)} parts; it must have {len(structure)}")
        for number, inner in enumerate(structure):
            if inner is not None:
                yield from _taken(inner, value[number], f"{name}[{number}]")
    else:
        yield structure, value, name


def _rows(obs):
    """Observations as rows [B, N], and whether it was a single one, not a batch."""
    columns, is_single = {}, True
    for number, value, name in _taken(OBSERVATION, obs, "obs"):
        shape, dtype = OBSERVED[number]
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.shape[array.ndim - len(shape) :] != shape:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; it must be numbers of shape {shape}")
        if array.ndim > len(shape) + 1:
            raise ValueError(f"{name} has shape {array.shape}; it must be {shape}, or a batch of those")
        is_single = array.ndim == len(shape)
        columns[number] = array.astype(dtype).reshape(1 if is_single else len(array), -1)
    rows = np.concatenate([columns[number].astype(np.float64) for number in range(len(OBSERVED))], 1)
    if not np.isfinite(rows).all():
        raise ValueError("obs has NaN or infinity; its numbers must be finite")
    return rows, is_single


def _filled(structure, leaf):
    """The structure of a space, with leaf(number) in the place of each part."""
    if isinstance(structure, dict):
        return {key: _filled(inner, leaf) for key, inner in structure.items()}
    if isinstance(structure, tuple):
        return tuple(_filled(inner, leaf) for inner in structure)
    return leaf(structure)
'''
_MASKS = '''

def _mask(mask, batch):
    """A mask, nested or not, as rows [B, K]."""
    if isinstance(mask, (dict, tuple, list)):
        parts = list(mask.values()) if isinstance(mask, dict) else mask
        array = np.concatenate([np.asarray(part).reshape(batch, -1) for part in parts], 1)
    else:
        array = np.asarray(mask).reshape(batch, -1)
    if array.shape[1] != MASKS or not np.isin(array, (0, 1)).all():
        raise ValueError(f"action_mask has shape {array.shape}; it must have {MASKS} zeros and ones")
    return array
'''


def source_of(
    description: Description, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]
) -> str:
    """The text of the file.

    Args:
        description: Of the policy.
        observation_space: Of the environment; its values are the arguments of `act`.
        action_space: Of the environment; its values are the results of `act`.
    """
    d = description
    steps = "".join(f"    {_operation(d, step)}\n" for step in d.operations)
    heads = "".join(f"    {_head(head)}\n" for head in d.heads)
    helpers = [
        *([_CONVOLVE] if "_convolve(" in steps else []),
        *([_GATE] if "_gate(" in steps else []),
        *([_LOOKUP] if "_lookup(" in steps else []),
        *([_LARGEST] if "_largest(" in heads else []),
        _READING,
        *([_MASKS] if d.num_masks else []),
    ]
    return (
        f'"""{_documentation(d)}"""\n\nimport base64\nimport sys\n\nimport numpy as np\n\n'
        f"OBSERVATION = {_structure(d.observation, observation_space)}\n"
        f"OBSERVED = {_shapes(d.observation)}\n"
        f"ACTION = {_structure(d.action, action_space)}\nACTED = {_shapes(d.action)}\n"
        + (f"MASKS = {d.num_masks}\n" if d.num_masks else "")
        + (f"REMEMBERED = {d.memory_size}\n" if d.memory_size else "")
        + f"{_constants(d)}{''.join(helpers)}\n\n{_functions(d, steps, heads)}"
    )


def _documentation(d: Description) -> str:
    from a2c.exports.c import said

    carry = ", carry=begin()" if d.memory_size else ""
    result = "action, carry" if d.memory_size else "action"
    lines = [
        f"A policy for {said(d.env_id)}, exported by a2c {__version__}. It needs only NumPy.",
        "",
        "    import policy",
        "",
        f"    {result} = policy.act(obs{carry})",
        "",
        "takes an observation of the environment, or a batch of them, and returns what its `step` takes.",
        "",
        *[f"    obs     {said(part.name + ': ' if part.name else '')}{said(part.says)}" for part in d.observation],
        *[f"    action  {said(part.name + ': ' if part.name else '')}{said(part.says)}" for part in d.action],
        "",
        "As a program, it reads observations from standard input, one in each line, and prints an action for each:",
        "",
        f'    echo "{" ".join(["0"] * min(d.num_obs, 8))}{" ..." if d.num_obs > 8 else ""}" | python policy.py',
        "",
    ]
    return "\n".join(lines).replace('"""', "'''")


def _structure(parts: Any, space: gymnasium.Space[Any]) -> str:
    numbers = {part.name: number for number, part in enumerate(parts)}
    return repr(nested(space, numbers.__getitem__))


def _shapes(parts: Any) -> str:
    return "[" + ", ".join(f'({part.shape}, "{part.dtype}")' for part in parts) + "]"


def _constants(d: Description) -> str:
    """Code for the constants: one text with the bytes of all arrays, and a table of where each lies in it."""
    where, data = [], b""
    for name, array in sorted(d.constants.items(), key=lambda item: item[1].dtype != np.float64):
        kind = "<f8" if array.dtype == np.float64 else "<f4"
        where.append(f'    "{name}": ({len(data)}, {array.shape}, "{kind}"),\n')
        data += np.ascontiguousarray(array, kind).tobytes()
    text = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 116))
    return (
        f'\n_DATA = base64.b64decode(\n    b"""\n{text}\n"""\n)\n_WHERE = {{\n{"".join(where)}}}\n'
        "C = {\n    name: np.frombuffer(_DATA, kind, int(np.prod(shape)), first).reshape(shape)\n"
        "    for name, (first, shape, kind) in _WHERE.items()\n}\n"
    )


def _name(name: str) -> str:
    return name.replace(".", "_")


def _operation(d: Description, step: Operation) -> str:
    match step:
        case Numbers():
            columns = f"obs[:, {step.first}:{step.first + step.size}]"
            if step.mean:
                value = f'np.clip(({columns} - C["{step.mean}"]) / C["{step.std}"], -{d.obs_limit}, {d.obs_limit})'
                return f"{_name(step.target)} = {value}.astype(np.float32)"
            divided = "" if step.divisor == 1 else f" / np.float32({step.divisor})"
            return f"{_name(step.target)} = {columns}.astype(np.float32){divided}"
        case Pixels():
            columns = f"obs[:, {step.first}:{step.first + step.size}].astype(np.float32) / np.float32({step.divisor})"
            image = step.image
            return (
                f"{_name(step.target)} = np.moveaxis(({columns}).reshape(-1, {', '.join(map(str, image))}), 1, 3)"
                f".reshape(-1, {image.lines}, {image.columns}, {image.channels})"
            )
        case Frame():
            above, below, left, right = step.around
            around = f"((0, 0), ({above}, {below}), ({left}, {right}), (0, 0))"
            return f"{_name(step.target)} = np.pad({_name(step.source)}, {around})"
        case Convolve():
            return (
                f"{_name(step.target)} = _convolve({_name(step.source)}, {step.after}, {step.kernel}, {step.stride},"
                f' C["{step.weight}"], C["{step.bias}"])'
            )
        case Dense():
            return _dense(d, step)
        case Gate():
            return f"carry = _gate({_name(step.seen)}, {_name(step.kept)}, carry)"


def _dense(d: Description, step: Dense) -> str:
    terms = []
    if step.sources:
        rows = sum(d.sizes[source] for source in step.sources)
        names = [
            f"{_name(source)}.reshape(len(obs), -1)" if source.startswith("image.") else _name(source)
            for source in step.sources
        ]
        x = names[0] if len(names) == 1 else f"np.concatenate([{', '.join(names)}], 1)"
        terms.append(f'{x} @ C["{step.weight}"]{f"[:{rows}]" if step.lookups else ""}')
    terms += [
        f"_lookup(obs[:, {one.first}:{one.first + len(one.sizes)}], {one.row}, {one.sizes}, {one.starts},"
        f' C["{step.weight}"])'
        for one in step.lookups
    ]
    value = " + ".join([*terms, f'C["{step.bias}"]'])
    match step.activation:
        case "relu":
            value = f"np.maximum({value}, np.float32(0))"
        case "tanh":
            value = f"np.tanh({value})"
    return f"{_name(step.target)} = {value}"


def _head(head: Head) -> str:
    first, here = head.part.first, f"action[:, {head.part.first}:{head.part.first + head.part.size}]"
    match head:
        case Choices():
            lines, output, mask = [], head.output, head.mask
            for number, (size, start) in enumerate(zip(head.sizes, head.starts, strict=True)):
                allowed = "None" if head.mask < 0 else f"None if mask is None else mask[:, {mask}:{mask + size}]"
                lines.append(
                    f"action[:, {first + number}] = {start} + _largest(outputs[:, {output}:{output + size}], {allowed})"
                )
                output, mask = output + size, mask + size
            return "\n    ".join(lines)
        case Bits():
            may_be = f"mask[:, {head.mask}:{head.mask + 2 * head.size}]"
            bits = f"{here} = outputs[:, {head.output}:{head.output + head.size}] > 0"
            if head.mask < 0:
                return bits
            return (
                f"{bits}\n"
                f"    if mask is not None:\n"
                f"        {here} = ({here} + (1 - {may_be}[:, 0::2]) > 0) * {may_be}[:, 1::2]"
            )
        case Reals():
            scaling = [f"np.array({_listed(array)})" for array in head.scaling[1:]]
            value = f"outputs[:, {head.output}:{head.output + head.size}] * {scaling[1]} + {scaling[0]}"
            value = f"np.clip({value}, {scaling[2]}, {scaling[3]})"
            return f"{here} = {f'np.rint({value})' if head.is_whole else value}"


def _listed(array: NDArray[Any]) -> str:
    text = ", ".join("np.inf" if x == np.inf else "-np.inf" if x == -np.inf else repr(x) for x in array.tolist())
    return f"[{text}]"


def _functions(d: Description, steps: str, heads: str) -> str:
    carries, masks = d.memory_size > 0, d.num_masks > 0
    arguments = "obs" + (", carry" if carries else "")
    said_of_mask = (
        "        action_mask: What is allowed, in the environment's own form, for each observation; None:\n"
        '            obs["action_mask"] if obs has one, else everything is allowed.\n'
        if masks
        else ""
    )
    said_of_carry = "        carry: The memory's state, as `begin` or the last call returned it.\n" if carries else ""
    return f'''{_BEGIN if carries else ""}def outputs_of({arguments}):
    """The actor on rows [B, N]: logits of choices and bits, means of reals{_AND_CARRY if carries else ""}."""
{steps}    return outputs{", carry" if carries else ""}


def actions_of(outputs{", mask=None" if masks else ""}):
    """The most probable actions as rows [B, {d.num_actions}], in the environment's numbers."""
    action = np.empty((len(outputs), {d.num_actions}))
{heads}    return action


def act(obs{", carry" if carries else ""}{", action_mask=None" if masks else ""}):
    """The most probable action for an observation, or the actions for a batch of them.

    Args:
        obs: As the environment gives it, or a batch in Gymnasium's batched form.
{said_of_carry}{said_of_mask}
    Returns:
        What the environment's `step` takes; for a batch, in Gymnasium's batched form{_ALSO if carries else ""}.
    """
    rows, is_single = _rows(obs)
{_READ_MASK if masks else ""}    outputs{", carry" if carries else ""} = outputs_of(rows{", carry" if carries else ""})
    action = actions_of(outputs{", mask" if masks else ""})
    parts, first = [], 0
    for shape, dtype in ACTED:
        size = int(np.prod(shape))
        part = action[:, first : first + size].reshape(-1, *shape).astype(dtype)
        parts.append((part[0] if shape else part[0].item()) if is_single else part)
        first += size
    return _filled(ACTION, parts.__getitem__){", carry" if carries else ""}


if __name__ == "__main__":
{"    remembered = begin()" + chr(10) if carries else ""}    for line in sys.stdin:
        numbers = np.array([line.split()], np.float64)
        answer{", remembered" if carries else ""} = outputs_of(numbers{", remembered" if carries else ""})
        print(*(f"{{x:.9g}}" for x in actions_of(answer)[0]))
'''


_AND_CARRY = ", and the next carry"
_ALSO = "; and the next carry"
_BEGIN = '''def begin(batch=1):
    """The carry [batch, H] at the beginning of episodes."""
    return np.zeros((batch, REMEMBERED), np.float32)


'''
_READ_MASK = """    if action_mask is None and isinstance(obs, dict):
        action_mask = obs.get("action_mask")
    mask = None if action_mask is None else _mask(action_mask, len(rows))
"""
