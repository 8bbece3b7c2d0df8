"""The features of an image: convolutions and a fully connected layer after them, forward and backward.

Each row of inputs has a row of pixels, and memory for the outputs of the convolutions, which the gradient uses.
Features are written to the rows of inputs, where the networks' first layers read them. If actor and critic do not share
the torso, there are two copies of it: the critic's parameters come after the actor's, and its rows are `apart` rows
further. In a network without images `torso` is None, and Numba compiles nothing that follows `if torso is not None`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels import conv
from a2c.kernels.compiler import compiled
from a2c.kernels.conv import (
    BIAS,
    CHANNELS,
    DY_INSIDE,
    FILTERS,
    KERNEL,
    WEIGHT,
    WEIGHTS,
    Convolutions,
    convolutions_for,
)
from a2c.kernels.lanes import AS_IT_IS, LANES, RECTIFIED
from a2c.kernels.simd import Floats, matmul
from a2c.kernels.vectors import numbers
from a2c.kernels.windows import B_LINE, INNER
from a2c.model.architecture import Architecture, Parameters

INNER_AT_ONCE = 64
"""Lines of the weights after the convolutions that are multiplied at once with all rows: 128 KB of them."""


class Torso(NamedTuple):
    """Convolutions of an image, a fully connected layer after them, and where their arrays lie."""

    copies: int  # 1: actor and critic share them; 2: the actor's own, then the critic's
    apart: int  # rows from the actor's to the critic's of the same observation; 0 if shared (pixels always are)
    convolutions: Convolutions  # of the first copy
    lines: int
    columns: int
    channels: int
    planes: int  # the channels' planes in a row of pixels (`a2c.model.images.ImageShape`)
    scale: float  # the factor of bytes
    weight: int  # where in theta the layer's weights [flat, features] start, ...
    bias: int  # ... and its biases
    layer: int  # numbers of weights and biases together: from one copy to the next
    flat: int  # numbers that the convolutions give for an image
    features: int
    first: int  # the first column of features in a row of inputs
    pixels: NDArray[np.uint8]  # [rows * P]
    rooms: Floats  # [rows * room] outputs of the convolutions
    turned: Floats  # kernels as `conv.turn` writes them
    images: Floats  # an image for each chunk, in its frame of zeros
    gradients: Floats  # for each chunk, every layer's dy of an image, with zeros around
    across: int  # rows, rounded up to whole vectors
    d_features: Floats  # [rows * features] dL/d features of images, before ReLU
    d_across: Floats  # [features * across] for each copy: the same, image by image
    d_flat: Floats  # [flat * across] for each copy: dL/d flat, image by image
    nothing: Floats  # zeros, as many as a row of any of these


def torso_for(
    architecture: Architecture, first_parameter: int, rows: int, apart: int, chunks: int
) -> tuple[Torso | None, int]:
    """Lays out the torso of an architecture.

    Args:
        architecture: With one image at most.
        first_parameter: Where in theta its parameters start.
        rows: Number of rows of inputs of one copy.
        apart: The same number if actor and critic have copies of their own; else 0.
        chunks: Number of chunks that work at the same time.

    Returns:
        The torso, or None without an image; and where in theta the parameters after it start.
    """
    if not architecture.images:
        return None, first_parameter
    copies = 2 if apart else 1
    (leaf,) = architecture.images
    planes, lines, columns, _ = leaf.image
    channels = leaf.image.channels
    layers = [layer for layer, _ in architecture.convolutions(leaf)]
    laid_out = convolutions_for((lines, columns), channels, layers, first=first_parameter)
    features = architecture.num_image_features
    weight = first_parameter + copies * laid_out.parameters
    bias = weight + laid_out.outputs * features
    layer = laid_out.outputs * features + features
    across = -(-rows // LANES) * LANES

    torso = Torso(
        copies, apart, laid_out, lines, columns, channels, planes, 1 / leaf.divisor,
        weight, bias, layer, laid_out.outputs, features,
        architecture.num_floats, np.zeros(rows * leaf.columns, np.uint8), numbers(copies * rows * laid_out.room),
        numbers(copies * laid_out.turned), numbers(chunks * laid_out.image), numbers(chunks * laid_out.gradients),
        across, numbers(copies * rows * features), numbers(copies * features * across),
        numbers(copies * laid_out.outputs * across), numbers(max(features, across)),
    )  # fmt: skip
    return torso, weight + copies * layer


def torso_views(torso: Torso, flat: Floats) -> Parameters:
    """The torso's named arrays of `a2c.model.architecture`, as views of a flat array laid out as theta.

    The number of filters is a multiple of LANES, so nothing is padded.
    """
    found: Parameters = {}
    layers = torso.convolutions.layers
    for copy, image in zip(range(torso.copies), ("image.0", "critic.image.0"), strict=False):
        own = flat[copy * torso.convolutions.parameters :]
        for number, layer in enumerate(layers):
            k, c, o = layer[KERNEL], layer[CHANNELS], layer[FILTERS]
            found[f"{image}.{number}.weight"] = own[layer[WEIGHT] : layer[BIAS]].reshape(k, k, c, o)
            found[f"{image}.{number}.bias"] = own[layer[BIAS] : layer[BIAS] + o]
        own = flat[copy * torso.layer :]
        found[f"{image}.{len(layers)}.weight"] = own[torso.weight : torso.bias].reshape(torso.flat, torso.features)
        found[f"{image}.{len(layers)}.bias"] = own[torso.bias : torso.bias + torso.features]
    return found


@compiled
def take_in_pixels(torso: Torso | None, row: int, pixels: NDArray[np.uint8], p0: int) -> bool:
    """Copies a row of pixels at p0 to the network's row; returns whether that changed it."""
    differs = False
    if torso is not None:
        size = torso.lines * torso.columns * torso.channels
        ours, given = torso.pixels[row * size : (row + 1) * size], pixels[p0 : p0 + size]
        for i in range(size):
            differs |= ours[i] != given[i]
            ours[i] = given[i]
    return differs


@compiled
def show(torso: Torso, row: int, chunk: int) -> int:
    """Writes the scaled image of a row to its chunk's place in `images`; returns where that starts."""
    laid_out, channels, planes = torso.convolutions, torso.channels, torso.planes
    samples = channels // planes
    size, line, width = torso.lines * torso.columns * channels, torso.columns * channels, torso.columns * samples
    scale = np.float32(torso.scale)
    pixels, start = torso.pixels[row * size : (row + 1) * size], chunk * laid_out.image
    for y in range(torso.lines):
        at = start + laid_out.image_at + y * laid_out.image_line
        image = torso.images[at : at + line]
        if planes == 1:  # The layout is already that of the convolutions.
            given = pixels[y * width : (y + 1) * width]
            for i in range(width):
                image[i] = np.float32(given[i]) * scale
        elif planes == 4 and samples == 1:  # Four stacked frames: with a constant step, LLVM makes vector code.
            plane, begin, end = torso.lines * width, y * width, (y + 1) * width
            first, second = pixels[begin:end], pixels[plane + begin : plane + end]
            third, fourth = pixels[2 * plane + begin : 2 * plane + end], pixels[3 * plane + begin : 3 * plane + end]
            for x in range(width):
                image[4 * x] = np.float32(first[x]) * scale
                image[4 * x + 1] = np.float32(second[x]) * scale
                image[4 * x + 2] = np.float32(third[x]) * scale
                image[4 * x + 3] = np.float32(fourth[x]) * scale
        else:
            for plane in range(planes):
                given = pixels[(plane * torso.lines + y) * width : (plane * torso.lines + y + 1) * width]
                for x in range(torso.columns):
                    for c in range(samples):
                        image[x * channels + plane * samples + c] = np.float32(given[x * samples + c]) * scale
    return start


@compiled
def convolve_images(torso: Torso | None, theta: Floats, chunk: int, row: int, rows: int) -> None:
    """Runs the convolutions on the images of some rows, using a chunk's memory for the scaled image."""
    if torso is not None:
        laid_out = torso.convolutions
        for i in range(row, row + rows):
            image = show(torso, i, chunk)
            for copy in range(torso.copies):
                own, room = theta[copy * laid_out.parameters :], (i + copy * torso.apart) * laid_out.room
                conv.forward(laid_out, own, torso.images, image, torso.rooms, room)


@compiled
def add_to_features(
    torso: Torso | None, theta: Floats, inputs: Floats, x_row: int, row: int, rows: int, k: int, part: int, parts: int
) -> None:
    """Adds some lines of W, from k on, to relu(W x + b), the features in rows of inputs. The last lines complete them.

    W does not fit a cache. Taking some lines at a time, for all rows, loads it only once. The sums are the same bits as
    at once, as partial sums are stored exactly.

    Args:
        torso: With the outputs x of the convolutions.
        theta: The parameters.
        inputs: Rows of inputs.
        x_row: Numbers from one row of inputs to the next.
        row: The first of the rows that were convolved.
        rows: The number of rows.
        k: The first line of W, a multiple of INNER_AT_ONCE.
        part: Which part of the features is computed here, ...
        parts: ... of how many.
    """
    if torso is not None:
        laid_out, n = torso.convolutions, torso.features
        zero: Any = np.int64(0)  # not a literal, for which Numba would compile the called functions again
        one: Any = np.int64(1)
        start, stop = LANES * (n // LANES * part // parts), LANES * (n // LANES * (part + 1) // parts)
        inner = min(INNER_AT_ONCE, torso.flat - k)
        for copy in range(torso.copies):
            at, first = row + copy * torso.apart, copy * torso.layer + start
            x = at * x_row + torso.first + start
            init, init0, init_row = (inputs, x, x_row) if k else (theta, torso.bias + first, zero)
            matmul(
                torso.rooms, at * laid_out.room + laid_out.room - torso.flat + k, laid_out.room, one,
                theta, torso.weight + k * n + first, n,
                init, init0, init_row,
                inputs, x, x_row,
                rows, inner, stop - start,
                RECTIFIED if k + inner == torso.flat else AS_IT_IS, inputs, zero, zero,
            )  # fmt: skip


@compiled
def see_images(torso: Torso | None, theta: Floats, inputs: Floats, x_row: int, chunk: int, row: int, rows: int) -> None:
    """Computes the features of some rows' images, from pixels on.

    Args:
        torso: With the rows' pixels.
        theta: The parameters.
        inputs: Rows of inputs; features are written to them.
        x_row: Numbers from one row of inputs to the next.
        chunk: The chunk whose memory is used for scaled images.
        row: The first row.
        rows: The number of rows.
    """
    if torso is not None:
        zero: Any = np.int64(0)
        one: Any = np.int64(1)
        convolve_images(torso, theta, chunk, row, rows)
        for k in range(0, torso.flat, INNER_AT_ONCE):
            add_to_features(torso, theta, inputs, x_row, row, rows, k, zero, one)


@compiled
def differentiate_features(
    torso: Torso | None, inputs: Floats, x_row: int, d_features: Floats, d_row: int, row: int, rows: int
) -> None:
    """Computes dL/d features before their ReLU, for some rows, from dL/d features.

    Args:
        torso: The result is written to it.
        inputs: Rows of inputs, with features.
        x_row: Numbers from one row of inputs to the next.
        d_features: Rows of dL/d features; those of images come first.
        d_row: Numbers from one row of `d_features` to the next.
        row: The first row, the actor's.
        rows: The number of rows.
    """
    if torso is not None:
        n = torso.features
        for copy in range(torso.copies):
            across = copy * n * torso.across
            for i in range(row, row + rows):
                at = i + copy * torso.apart
                x, d = at * x_row + torso.first, at * d_row
                for j in range(n):
                    given = d_features[d + j] if inputs[x + j] > 0 else np.float32(0)
                    torso.d_features[at * n + j] = given
                    torso.d_across[across + j * torso.across + i] = given


@compiled
def learn_from_features(
    torso: Torso | None, theta: Floats, one_: Floats, rows: int, gradient: Floats, g0: int, part: int, parts: int
) -> None:
    """Computes the gradient of the layer after the convolutions, for all rows, and dL/d of its inputs.

    W and its gradient do not fit a cache: each part goes through its lines of them once.

    Args:
        torso: With the results of `differentiate_features`.
        theta: The parameters.
        one_: A single 1.
        rows: The number of rows, from the first row on.
        gradient: Laid out as theta, from g0 on; the layer's part is written.
        g0: Its start.
        part: Which part of the layer's lines is computed here, ...
        parts: ... of how many.
    """
    if torso is not None:
        zero: Any = np.int64(0)
        one: Any = np.int64(1)
        laid_out, n = torso.convolutions, torso.features
        start, stop = torso.flat * part // parts, torso.flat * (part + 1) // parts
        for copy in range(torso.copies):
            first, layer, across = copy * torso.apart, copy * torso.layer, copy * n * torso.across
            for row in range(0, rows, INNER_AT_ONCE):
                to = g0 + layer + torso.weight + start * n
                init, init0, init_row = (gradient, to, n) if row else (torso.nothing, zero, zero)
                matmul(
                    torso.rooms, (first + row + 1) * laid_out.room - torso.flat + start, one, laid_out.room,
                    torso.d_features, (first + row) * n, n,
                    init, init0, init_row,
                    gradient, to, n,
                    stop - start, min(INNER_AT_ONCE, rows - row), n,
                    AS_IT_IS, torso.nothing, zero, zero,
                )  # fmt: skip
            if part == 0:
                matmul(
                    one_, zero, zero, zero,
                    torso.d_features, first * n, n,
                    torso.nothing, zero, zero,
                    gradient, g0 + layer + torso.bias, zero,
                    one, rows, n,
                    AS_IT_IS, torso.nothing, zero, zero,
                )  # fmt: skip
            # With images as columns of the product, W need not be transposed, which would be slow: it is large.
            matmul(
                theta, layer + torso.weight + start * n, n, one,
                torso.d_across, across, torso.across,
                torso.nothing, zero, zero,
                torso.d_flat, (copy * torso.flat + start) * torso.across, torso.across,
                stop - start, n, -(-rows // LANES) * LANES,
                AS_IT_IS, torso.nothing, zero, zero,
            )  # fmt: skip


@compiled
def learn_from_images(
    torso: Torso | None, zeros: Floats, one_: Floats, chunk: int, row: int, rows: int, gradient: Floats, g0: int
) -> None:
    """Adds the gradient of some rows' images to that of the convolutions' parameters.

    Args:
        torso: With the outputs of the convolutions for these rows, and the results of `learn_from_features`.
        zeros: As many zeros as a pixel of the widest layer has numbers.
        one_: A single 1.
        chunk: The chunk whose memory is used for one image at a time.
        row: The first row.
        rows: The number of rows.
        gradient: Laid out as theta, from g0 on.
        g0: Its start.
    """
    if torso is not None:
        laid_out = torso.convolutions
        last = laid_out.layers[-1]
        d0 = chunk * laid_out.gradients
        filters = last[FILTERS]
        line = laid_out.tables[last[WEIGHTS] + B_LINE]
        out_columns = laid_out.tables[last[WEIGHTS] + INNER]
        for i in range(row, row + rows):
            image = show(torso, i, chunk)
            for copy in range(torso.copies):
                r0 = (i + copy * torso.apart) * laid_out.room
                kept = torso.rooms[r0 + laid_out.room - torso.flat : r0 + laid_out.room]
                d_flat = torso.d_flat[copy * torso.flat * torso.across : (copy + 1) * torso.flat * torso.across]
                for place in range(torso.flat // filters):
                    to = d0 + last[DY_INSIDE] + (place // out_columns) * line + (place % out_columns) * filters
                    for j in range(filters):
                        at = place * filters + j
                        torso.gradients[to + j] = d_flat[at * torso.across + i] if kept[at] > 0 else np.float32(0)
                conv.backward(
                    laid_out, torso.turned[copy * laid_out.turned :], torso.images, image,
                    torso.rooms, r0, torso.gradients, d0, gradient, g0 + copy * laid_out.parameters, zeros, one_,
                )  # fmt: skip


@compiled
def whole_of_images(torso: Torso | None, size: int) -> tuple[int, int]:
    """Start and end of the part of a gradient that `learn_from_features` writes; without images, (size, size)."""
    if torso is not None:
        return torso.weight, torso.weight + torso.copies * torso.layer
    return size, size


@compiled
def turn_kernels(torso: Torso | None, theta: Floats) -> None:
    """Writes the kernels as `conv.backward` reads them, after the parameters have changed."""
    if torso is not None:
        laid_out = torso.convolutions
        for copy in range(torso.copies):
            conv.turn(laid_out, theta[copy * laid_out.parameters :], torso.turned[copy * laid_out.turned :])
