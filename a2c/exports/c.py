"""A policy as one file of C99: no library but math.h, no memory allocated, no state."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.exports.c_functions import CHOICE, CONVOLVE, COPY, DENSE, GATE, HALF, LARGEST, RELU, TANH
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

_TYPES = {"float32": "float", "float64": "double"}


def source_of(description: Description) -> str:
    """The text of the file, ready to be compiled."""
    d = description
    body = "".join(_operation(d, step) for step in d.operations)
    heads = "".join(_head(d, head) for head in d.heads)
    helpers = [
        DENSE,
        *([COPY] if "copy(" in body or "convolve(" in body else []),
        *([RELU] if "relu(" in body or "convolve(" in body else []),
        *([TANH] if "hyperbolic_tangent(" in body or "gate(" in body else []),
        *([GATE] if "gate(" in body else []),
        *([CONVOLVE] if "convolve(" in body else []),
        *([CHOICE] if "choice(" in body else []),
        *([LARGEST] if "largest(" in heads else []),
        *([HALF] if "half(" in heads else []),
    ]
    includes = "#include <math.h>\n\n" if re.search(r"HUGE_VAL|rint|half", body + heads) else ""
    constants = "".join(_constant(name, array) for name, array in d.constants.items())
    vectors = "".join(f"    float {_name(name)}[{size}];\n" for name, size in _own(d).items())
    carried = ", carry" if d.memory_size else ""
    return (
        f"{_comment(d)}\n{includes}{_sizes(d)}\n{_prototype(d, 'outputs')};\n{_prototype(d, 'act')};\n\n"
        f"{constants}{''.join(helpers)}\n"
        f"/* The actor's outputs: logits of choices and of bits, means of real numbers. */\n"
        f"{_prototype(d, 'outputs')}\n{{\n{vectors}\n{body}}}\n\n"
        f"{_prototype(d, 'act')}\n{{\n    float outputs[A2C_OUTPUTS];\n    a2c_outputs(obs{carried}, outputs);\n"
        f"{heads}}}\n\n{_example(d)}"
    )


def _own(d: Description) -> dict[str, int]:
    """The local vectors of a call, with their sizes."""
    return {name: size for name, size in d.sizes.items() if name not in (CARRY, OUTPUTS)}


def _name(name: str) -> str:
    return name.replace(".", "_")


def _prototype(d: Description, function: str) -> str:
    arguments = [f"const {_TYPES[d.obs_type]} *obs"]
    if d.num_masks and function == "act":
        arguments.append("const unsigned char *mask")
    if d.memory_size:
        arguments.append("float *carry")
    arguments.append(f"{_TYPES[d.action_type]} *action" if function == "act" else "float *outputs")
    return f"void a2c_{function}({', '.join(arguments)})"


def _sizes(d: Description) -> str:
    sizes = {"OBS": d.num_obs, "ACTIONS": d.num_actions, "OUTPUTS": d.num_outputs}
    sizes |= {"MASK": d.num_masks} if d.num_masks else {}
    sizes |= {"CARRY": d.memory_size} if d.memory_size else {}
    return "".join(f"#define A2C_{name} {size}\n" for name, size in sizes.items())


# -- constants --


def _constant(name: str, array: NDArray[Any]) -> str:
    is_single = array.dtype == np.float32
    return _table("float" if is_single else "double", name, (_number(x, is_single) for x in array.ravel().tolist()))


def _table(kind: str, name: str, numbers: Iterable[str]) -> str:
    listed = list(numbers)
    text = textwrap.fill(", ".join(listed), 116, initial_indent="    ", subsequent_indent="    ")
    return f"static const {kind} {_name(name)}[{len(listed)}] = {{\n{text}\n}};\n"


def _number(x: float, is_single: bool = False) -> str:
    """A C constant with exactly this value."""
    if np.isinf(x):
        return "HUGE_VAL" if x > 0 else "-HUGE_VAL"
    text = f"{x:.9g}" if is_single else repr(float(x))
    return (text if any(sign in text for sign in ".e") else f"{text}.0") + ("f" if is_single else "")


# -- operations --


def _operation(d: Description, step: Operation) -> str:
    match step:
        case Numbers():
            return _numbers(d, step)
        case Pixels():
            planes, lines, columns, samples = step.image
            name, channels = _name(step.target), step.image.channels
            return (
                f"    for (int plane = 0, i = {step.first}; plane < {planes}; plane++)\n"
                f"        for (int pixel = 0; pixel < {lines * columns}; pixel++)\n"
                f"            for (int sample = 0; sample < {samples}; sample++, i++)\n"
                f"                {name}[pixel * {channels} + plane * {samples} + sample] ="
                f" (float)obs[i] / {_number(step.divisor, True)};\n"
            )
        case Frame():
            (lines, columns, channels), width = step.before, step.after[1]
            return (
                f"    for (int i = 0; i < {step.size}; i++)\n"
                f"        {_name(step.target)}[i] = 0.0f;\n"
                f"    for (int line = 0; line < {lines}; line++)\n"
                f"        copy({_name(step.source)} + line * {columns * channels}, {_name(step.target)} + "
                f"((line + {step.above}) * {width} + {step.left}) * {channels}, {columns * channels});\n"
            )
        case Convolve():
            lines, columns, filters = step.after
            return (
                f"    convolve({_name(step.source)}, {step.before[1]}, {step.before[2]}, {_name(step.weight)},"
                f" {_name(step.bias)}, {_name(step.target)}, {lines}, {columns}, {filters}, {step.kernel},"
                f" {step.stride});\n"
            )
        case Dense():
            return _dense(d, step)
        case Gate():
            return f"    gate({_name(step.seen)}, {_name(step.kept)}, carry, {step.size});\n"


def _numbers(d: Description, step: Numbers) -> str:
    name, at = _name(step.target), f"obs[{step.first} + i]" if step.first else "obs[i]"
    if not step.mean:
        value = f"(float){at}" if step.divisor == 1 else f"(float){at} / {_number(step.divisor, True)}"
        return f"    for (int i = 0; i < {step.size}; i++)\n        {name}[i] = {value};\n"
    limit = _number(d.obs_limit)
    return (
        f"    for (int i = 0; i < {step.size}; i++) {{\n"
        f"        const double x = ({at} - {_name(step.mean)}[i]) / {_name(step.std)}[i];\n"
        f"        {name}[i] = (float)(x < -{limit} ? -{limit} : x > {limit} ? {limit} : x);\n"
        "    }\n"
    )


def _dense(d: Description, step: Dense) -> str:
    target, weight = _name(step.target), _name(step.weight)
    lines, row = [f"    copy({_name(step.bias)}, {target}, {step.size});\n"], 0
    for source in step.sources:
        size = d.sizes[source]
        lines.append(f"    dense({_name(source)}, {size}, {_at(weight, row * step.size)}, {target}, {step.size});\n")
        row += size
    lines += [_lookup(lookup, weight, target, step.size) for lookup in step.lookups]
    if step.activation:
        function = {"relu": "relu", "tanh": "hyperbolic_tangent"}[step.activation]
        lines.append(f"    {function}({target}, {step.size});\n")
    return "".join(lines)


def _lookup(lookup: Lookup, weight: str, target: str, size: int) -> str:
    """Code that adds the rows of weights that choices select, with the same loop as any product."""
    one = "(const float[]){1.0f}, 1"
    if len(lookup.sizes) == 1:
        number = f"choice(obs[{lookup.first}] - {_number(lookup.starts[0])}, {lookup.sizes[0]})"
        return f"    dense({one}, {weight} + ({lookup.row} + {number}) * {size}, {target}, {size});\n"
    return (
        f"    for (int i = 0, row = {lookup.row}; i < {len(lookup.sizes)}; i++) {{\n"
        f"        static const int sizes[] = {{{', '.join(map(str, lookup.sizes))}}};\n"
        f"        static const double starts[] = {{{', '.join(map(_number, lookup.starts))}}};\n"
        f"        dense({one}, {weight} + (row + choice(obs[{lookup.first} + i] - starts[i], sizes[i])) * {size},"
        f" {target}, {size});\n"
        "        row += sizes[i];\n    }\n"
    )


def _at(name: str, offset: int) -> str:
    return f"{name} + {offset}" if offset else name


# -- heads --


def _head(d: Description, head: Head) -> str:
    kind, first = _TYPES[d.action_type], head.part.first
    match head:
        case Choices(sizes=(size,)):
            start = f"{head.starts[0]} + " if head.starts[0] else ""
            mask = "0" if head.mask < 0 else f"mask ? {_at('mask', head.mask)} : 0"
            return f"    action[{first}] = ({kind})({start}largest({_at('outputs', head.output)}, {size}, {mask}));\n"
        case Choices():
            sizes, starts = ", ".join(map(str, head.sizes)), ", ".join(_number(x, kind == "float") for x in head.starts)
            mask = "0" if head.mask < 0 else f"mask ? {_at('mask', head.mask)} + k : 0"
            return (
                f"    for (int i = 0, k = 0; i < {len(head.sizes)}; i++) {{\n"
                f"        static const int sizes[] = {{{sizes}}};\n"
                f"        static const {kind} starts[] = {{{starts}}};\n"
                f"        action[{first} + i] = starts[i] + ({kind})largest({_at('outputs', head.output)} + k,"
                f" sizes[i], {mask});\n"
                "        k += sizes[i];\n    }\n"
            )
        case Bits():
            value = f"outputs[{head.output} + i] > 0.0f"
            if head.mask >= 0:
                zero, one = (f"!mask[{head.mask + bit} + 2 * i]" for bit in (0, 1))  # forbidden
                value = f"mask && {one} ? 0 : (mask && {zero}) || {value}"
            return f"    for (int i = 0; i < {head.size}; i++)\n        action[{first} + i] = {value};\n"
        case Reals():
            return _reals(head, kind)


def _reals(head: Reals, kind: str) -> str:
    first, scaling = head.part.first, head.scaling
    columns = zip(scaling.half_range, scaling.center, scaling.low, scaling.high, strict=True)
    rows = [f"{{{', '.join(_number(x) for x in column)}}}" for column in columns]
    finished = "rint(x)" if head.is_whole else "half(x)" if head.part.dtype == "float16" else "x"
    table = textwrap.fill(", ".join(rows), 110, initial_indent=" " * 12, subsequent_indent=" " * 12)
    return (
        f"    for (int i = 0; i < {head.size}; i++) {{\n"
        "        static const double range[][4] = { /* half of it, its center, lowest, highest */\n"
        f"{table}\n        }};\n"
        f"        double x = outputs[{head.output} + i] * range[i][0] + range[i][1];\n"
        "        x = x < range[i][2] ? range[i][2] : x;\n"
        "        x = x > range[i][3] ? range[i][3] : x;\n"
        f"        action[{first} + i] = ({kind}){finished};\n"
        "    }\n"
    )


# -- comments and the example --


def _comment(d: Description) -> str:
    lines = [
        f"A policy for {said(d.env_id)}, exported by a2c {__version__}: C99, without any library but math.h.",
        "",
        f"    {_prototype(d, 'act')};",
        "",
        "writes the most probable action for an observation.",
        "",
        *_listed(f"obs[{d.num_obs}]", d.observation),
        *_listed(f"action[{d.num_actions}]", d.action),
    ]
    if d.num_masks:
        lines.append(
            f"    mask[{d.num_masks}]  1 for each choice that is allowed, else 0 (two for a bit: 0, 1); NULL: all are"
        )
    if d.memory_size:
        lines.append(
            f"    carry[{d.memory_size}]  the memory: set it to zeros when an episode begins, and pass it to every call"
        )
    stack = 4 * (sum(_own(d).values()) + d.num_outputs)
    lines += [
        "",
        f"It needs {stack:,} bytes of stack, allocates nothing, and threads may share it. Compile it with -O2 or more.",
        "",
        "Try it: gcc -std=c99 -O2 -DA2C_EXAMPLE_MAIN policy.c -o policy -lm",
        f'        echo "{" ".join(["0"] * min(d.num_obs, 8))}{" ..." if d.num_obs > 8 else ""}" | ./policy',
    ]
    return "/*\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */\n"


def _listed(title: str, parts: tuple[Part, ...]) -> list[str]:
    lines = []
    for part in parts:
        where = f"[{part.first}]" if part.size == 1 else f"[{part.first} to {part.first + part.size - 1}]"
        label = "" if len(parts) == 1 else f"{where} {said(part.name)}: "
        lines.append(f"    {title}  {label}{said(part.says)}")
        title = " " * len(title)
    return lines


def said(text: str, most: int = 300) -> str:
    """A text from a run as one line that is harmless in a C comment, cut to `most` characters."""
    plain = "".join(letter if " " <= letter <= "~" else "_" for letter in " ".join(text.split()))
    plain = plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("\\", "_")
    return plain if len(plain) <= most else f"{plain[:most]}..."


def _example(d: Description) -> str:
    kind, scan = _TYPES[d.obs_type], {"float32": "%f", "float64": "%lf"}[d.obs_type]
    carry = "    float carry[A2C_CARRY] = {0};\n" if d.memory_size else ""
    arguments = ["obs", *(["0"] if d.num_masks else []), *(["carry"] if d.memory_size else []), "action"]
    digits = {"float32": "%.9g", "float64": "%.17g"}[d.action_type]
    return f"""#ifdef A2C_EXAMPLE_MAIN
#include <stdio.h>

/* Reads observations, one after another, and prints a line with the action for each. */
int main(void)
{{
    static {kind} obs[A2C_OBS];
    {_TYPES[d.action_type]} action[A2C_ACTIONS];
{carry}    for (;;) {{
        for (int i = 0; i < A2C_OBS; i++)
            if (scanf("{scan}", &obs[i]) != 1)
                return i ? 1 : 0;
        a2c_act({", ".join(arguments)});
        for (int i = 0; i < A2C_ACTIONS; i++)
            printf(i ? " {digits}" : "{digits}", {"" if d.action_type == "float64" else "(double)"}action[i]);
        printf("\\n");
    }}
}}
#endif
"""
