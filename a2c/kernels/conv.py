"""Convolutions of one image at a time, forward and backward, as matrix products over windows.

Images are lines of pixels, and a pixel is its channels (NHWC). A layer writes its output where the next layer reads it:
into a frame of zeros, as wide as the next layer's windows reach over the image. Gradients lie in such frames, too. So
every product is of the same kind, with other tables:

    y   = f(W x + b)        a row for each pixel of y: its window of x, the kernel's lines
    dW += x dy              a row for each weight of a filter: the numbers of x that it is multiplied with
    dx  = (W^T dy) f'(x)    a row for each pixel of x: its window of dy, and the lines of the kernel that reach it

Pixels of x at the same position within a stride are reached by the same lines of the kernel. With a stride of 2, dx is
four products, each with a quarter of the kernel; `turn` writes these parts.

Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), sections 2 and 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.lanes import AS_IT_IS, RECTIFIED, TIMES_RELU_DERIVATIVE, TIMES_TANH_DERIVATIVE
from a2c.kernels.simd import Floats
from a2c.kernels.vectors import padded, tanh
from a2c.kernels.windows import Table, product
from a2c.model.images import Convolution, reach

FORWARD, WEIGHTS, BIASES, CLASSES, CLASS, WEIGHT, BIAS, X, Y, Y_SIZE, DY, DY_INSIDE = range(12)
"""Columns of `Convolutions.layers`: the plans of y, of dW and of db; the number of plans of dx, and where they are
listed; where in the parameters weights and biases start; where in an image's room x and y start, and the length of y
with its frame; where in an image's gradients dy starts, and where its first pixel within the frame is."""

KERNEL, STRIDE, CHANNELS, FILTERS = range(12, 16)
"""Kernel size k, stride s, and the padded channels of x and y."""

PLAN, TURNED, LINE, COLUMN = range(4)
"""Columns of the list of plans of dx: the plan, the start of its turned kernel, and its place in the stride."""


class Convolutions(NamedTuple):
    """Convolutional layers as tables, and how much memory an image needs."""

    layers: NDArray[np.int64]  # [L, 16]
    tables: Table
    is_tanh: bool
    image: int  # numbers of the first layer's x, with its frame
    image_at: int  # the index in them of the first pixel inside the frame
    image_line: int  # numbers from one line to the next
    room: int  # numbers of all later layers' x, and of the last one's y
    outputs: int  # numbers of the last layer's y, at the end of the room: line by line, channels padded
    gradients: int  # numbers of all layers' dy
    turned: int  # numbers of all turned kernels
    parameters: int  # numbers of all weights and biases


class _Frame(NamedTuple):
    """An image in a frame of zeros."""

    size: tuple[int, int]  # lines and columns of the image
    channels: int  # as stored
    before: tuple[int, int] = (0, 0)  # zeros above and left of it
    after: tuple[int, int] = (0, 0)  # below and right of it

    @property
    def line(self) -> int:
        """Numbers from one line to the next."""
        return (self.before[1] + self.size[1] + self.after[1]) * self.channels

    @property
    def numbers(self) -> int:
        """Numbers of the image with its frame."""
        return (self.before[0] + self.size[0] + self.after[0]) * self.line

    def places(self, lines: Any, columns: Any) -> NDArray[np.int64]:
        """Where pixels start: every pair of these lines and columns, which count from the image's first pixel."""
        y, x = np.meshgrid(lines + self.before[0], columns + self.before[1], indexing="ij")
        places: NDArray[np.int64] = (y * self.line + x * self.channels).ravel().astype(np.int64)
        return places


class _Tables:
    """Collects tables and plans in one array."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.int64]] = []
        self._length = 0

    def add(self, numbers: Any) -> int:
        """Appends numbers; returns where they start."""
        self._parts.append(np.asarray(numbers, np.int64).ravel())
        self._length += len(self._parts[-1])
        return self._length - len(self._parts[-1])

    def plan(
        self, a: Any, a_steps: tuple[int, int], b_steps: tuple[int, int], is_added: bool, c: Any, f: Any,
        depth: tuple[int, int], width: int, finish: int,
    ) -> int:  # fmt: skip
        """A plan of `windows.product`: its tables a, c and f, (line, k) steps of A and B, (lines, inner)."""
        a_at, c_at, f_at = self.add(a), self.add(c), self.add(f)
        return self.add([a_at, *a_steps, *b_steps, is_added, c_at, f_at, len(a), *depth, width, finish])

    def all(self) -> Table:
        """All tables and plans as one array."""
        return np.concatenate(self._parts)


def convolutions_for(
    size: tuple[int, int], channels: int, convolutions: Sequence[Convolution], is_tanh: bool = False, first: int = 0
) -> Convolutions:
    """Lays out convolutional layers.

    Args:
        size: Lines and columns of an image.
        channels: Of each of its pixels.
        convolutions: The layers.
        is_tanh: Whether the activation is tanh instead of ReLU.
        first: Where in the parameters their own start.

    Raises:
        ValueError: A window is larger than the image that it is moved over.
    """
    tables, layers = _Tables(), []
    xs: list[_Frame] = []
    outs: list[tuple[int, int]] = []
    for convolution in convolutions:
        (lines, top, bottom), (columns, left, right) = (reach(along, convolution) for along in size)
        if min(lines, columns) < 1:
            raise ValueError(f"a window of {convolution.kernel} x {convolution.kernel} pixels does not fit {size}")
        xs.append(_Frame(size, channels, (top, left), (bottom, right)))
        size, channels = (lines, columns), padded(convolution.filters)
        outs.append(size)
    ys = [*xs[1:], _Frame(size, channels)]
    dys: list[_Frame] = []
    for number, (convolution, x, out) in enumerate(zip(convolutions, xs, outs, strict=True)):
        k, s = convolution.kernel, convolution.stride
        before, after = (0, 0), (0, 0)
        if number:  # dx is computed from windows of dy that reach over its edges.
            before = (-(-k // s) - 1,) * 2
            ends = [(along + above - 1) // s for along, above in zip(x.size, x.before, strict=True)]
            after = (max(0, ends[0] - out[0] + 1), max(0, ends[1] - out[1] + 1))
        dys.append(_Frame(out, padded(convolution.filters), before, after))
    parameters, room, gradients, turned = first, 0, 0, 0
    derivative = TIMES_TANH_DERIVATIVE if is_tanh else TIMES_RELU_DERIVATIVE
    for number, (convolution, x, y, dy) in enumerate(zip(convolutions, xs, ys, dys, strict=True)):
        k, s, c, o = convolution.kernel, convolution.stride, x.channels, dy.channels
        pixels = [np.arange(along) for along in dy.size]
        corners = x.places(*(s * along - above for along, above in zip(pixels, x.before, strict=True)))
        inside = y.places(*pixels)
        forward = tables.plan(
            corners, (x.line, 1), (k * c * o, o), False, inside, inside, (k, k * c), o,
            AS_IT_IS if is_tanh else RECTIFIED,
        )  # fmt: skip
        met = x.places(*(np.arange(k) - above for above in x.before))[:, None] + np.arange(c)
        rows = np.arange(k * k * c) * o
        weights = tables.plan(
            met.ravel(), (s * x.line, s * c), (dy.line, o), True, rows, rows, dy.size, o, AS_IT_IS
        )  # fmt: skip
        biases = tables.plan([0], (0, 0), (dy.line, o), True, [0], [0], dy.size, o, AS_IT_IS)
        classes: list[list[int]] = []
        for line, column in itertools.product(range(s), repeat=2) if number else ():
            those_lines, those_columns = (
                np.array([i for i in range(along) if (i + above) % s == place], np.int64)
                for along, above, place in zip(x.size, x.before, (line, column), strict=True)
            )
            down, across = len(range(line, k, s)), len(range(column, k, s))
            starts = dy.places(
                (those_lines + x.before[0]) // s - (down - 1), (those_columns + x.before[1]) // s - (across - 1)
            )
            plan = tables.plan(
                starts, (dy.line, 1), (across * o * c, c), False,
                dys[number - 1].places(those_lines, those_columns), x.places(those_lines, those_columns),
                (down, across * o), c, derivative,
            )  # fmt: skip
            classes.append([plan, turned, line, column])
            turned += down * across * o * c
        bias = parameters + k * k * c * o
        dy_inside = gradients + int(dy.places(np.zeros(1, np.int64), np.zeros(1, np.int64))[0])
        before_y = room  # The first layer's x, the image itself, is not in the room.
        layers.append(
            [
                forward, weights, biases, len(classes), tables.add(classes), parameters, bias,
                before_y - (x.numbers if number else 0), before_y, y.numbers, gradients, dy_inside, k, s, c, o,
            ]
        )  # fmt: skip
        parameters, room, gradients = bias + o, room + y.numbers, gradients + dy.numbers
    return Convolutions(
        np.array(layers, np.int64),
        tables.all(),
        is_tanh,
        xs[0].numbers,
        int(xs[0].places(np.zeros(1, np.int64), np.zeros(1, np.int64))[0]),
        xs[0].line,
        room,
        ys[-1].numbers,
        gradients,
        turned,
        parameters - first,
    )


@compiled
def forward(convolutions: Convolutions, theta: Floats, image: Floats, i0: int, room: Floats, r0: int) -> None:
    """Runs all layers on an image, and stores every layer's output for the gradient.

    Args:
        convolutions: The layers.
        theta: Holds their parameters.
        image: Holds the image, in its frame of zeros.
        i0: Where it starts.
        room: Memory for the outputs; zeros where their frames are.
        r0: Where the image's room starts.
    """
    for number in range(len(convolutions.layers)):
        layer = convolutions.layers[number]
        x, x0 = (image, i0) if number == 0 else (room, r0 + layer[X])
        product(
            convolutions.tables, layer[FORWARD], x, x0, theta, layer[WEIGHT], theta, layer[BIAS],
            room, r0 + layer[Y], room, r0,
        )  # fmt: skip
        if convolutions.is_tanh:
            tanh(room[r0 + layer[Y] : r0 + layer[Y] + layer[Y_SIZE]])


@compiled
def backward(
    convolutions: Convolutions,
    turned: Floats,
    image: Floats, i0: int,
    room: Floats, r0: int,
    gradients: Floats, d0: int,
    gradient: Floats, g0: int,
    zeros: Floats, one: Floats,
) -> None:  # fmt: skip
    """Adds the gradient of an image to the parameters': from dL/dy of the last layer, before f, back to the first.

    Args:
        convolutions: The layers.
        turned: Their kernels as `turn` writes them.
        image: Holds the image, in its frame of zeros.
        i0: Where it starts.
        room: The outputs that `forward` stored.
        r0: Where the image's room starts.
        gradients: Memory for every layer's dy, zeros where their frames are. The caller writes the last layer's.
        d0: Where it starts.
        gradient: Laid out as theta, from g0 on.
        g0: Its start.
        zeros: As many as a pixel of the widest layer has numbers.
        one: A single 1.
    """
    tables = convolutions.tables
    for number in range(len(convolutions.layers) - 1, -1, -1):
        layer = convolutions.layers[number]
        x, x0 = (image, i0) if number == 0 else (room, r0 + layer[X])
        dy, weight, bias = d0 + layer[DY_INSIDE], g0 + layer[WEIGHT], g0 + layer[BIAS]
        product(tables, layer[WEIGHTS], x, x0, gradients, dy, gradient, weight, gradient, weight, room, r0)
        product(tables, layer[BIASES], one, 0, gradients, dy, gradient, bias, gradient, bias, room, r0)
        for index in range(layer[CLASSES]):
            at = layer[CLASS] + 4 * index
            product(
                tables, tables[at + PLAN], gradients, d0 + layer[DY], turned, tables[at + TURNED], zeros, 0,
                gradients, d0 + convolutions.layers[number - 1, DY], room, x0,
            )  # fmt: skip


@compiled
def turn(convolutions: Convolutions, theta: Floats, turned: Floats) -> None:
    """Writes kernels in the order in which `backward` reads them.

    For each place in a stride: the kernel's lines and columns that reach it, the last first, each as [O, C].
    """
    tables = convolutions.tables
    for number in range(1, len(convolutions.layers)):
        layer = convolutions.layers[number]
        k, s, c, o = layer[KERNEL], layer[STRIDE], layer[CHANNELS], layer[FILTERS]
        for index in range(layer[CLASSES]):
            at = layer[CLASS] + 4 * index
            line, column = tables[at + LINE], tables[at + COLUMN]
            out = tables[at + TURNED]
            down, across = (k - line + s - 1) // s, (k - column + s - 1) // s
            for i in range(max(0, down)):
                for j in range(max(0, across)):
                    y, x = line + s * (down - 1 - i), column + s * (across - 1 - j)
                    weight = layer[WEIGHT] + (y * k + x) * c * o
                    for filter_number in range(o):
                        for channel in range(c):
                            turned[out + filter_number * c + channel] = theta[weight + channel * o + filter_number]
                    out += o * c
