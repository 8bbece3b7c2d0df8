"""What both networks see of an image: convolutions and a layer behind them, forward and backward.

Each row of inputs has a row of pixels, and room for what the convolutions made of it, which the gradient finds there.
Features are written where the networks' first layers read them. In a network without images `torso` is None, and Numba
leaves out all that follows `if torso is not None`.
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
from a2c.kernels.simd import AS_IT_IS, LANES, RECTIFIED, Floats, matmul
from a2c.kernels.windows import B_LINE, INNER
from a2c.model.architecture import Architecture, Parameters

BLOCK_IMAGES = 32
"""Images whose gradients are propagated together."""


class Torso(NamedTuple):
    """Convolutions of an image, a layer behind them, and where all of it lies."""

    convolutions: Convolutions
    lines: int
    columns: int
    channels: int
    planes: int  # that those lie in, in a row of pixels
    weight: int  # where in theta the layer's weights [flat, features] start, ...
    bias: int  # ... and its biases
    flat: int  # numbers that convolutions make of an image
    features: int
    first: int  # the column of a row of inputs where they start
    pixels: NDArray[np.uint8]  # [rows * P] of each row
    rooms: Floats  # [rows * room] what the convolutions made of them
    turned: Floats  # kernels as `conv.turn` writes them
    images: Floats  # an image for each chunk, in its frame of zeros
    gradients: Floats  # for each chunk, every layer's dy of an image, with zeros around
    d_features: Floats  # [chunks * BLOCK_IMAGES * features] dL/d features of images, before ReLU
    d_across: Floats  # [chunks * features * BLOCK_IMAGES] the same, image by image
    d_flat: Floats  # [chunks * flat * BLOCK_IMAGES] dL/d flat, image by image


def torso_for(architecture: Architecture, first_parameter: int, rows: int, chunks: int) -> tuple[Torso | None, int]:
    """Room for the image of an architecture, if it has one, and how many parameters there are with its own.

    Args:
        architecture: With one image at most.
        first_parameter: Where in theta its parameters start.
        rows: Of inputs.
        chunks: That work at the same time.
    """
    if not architecture.images:
        return None, first_parameter
    (leaf,) = architecture.images
    planes, lines, columns, _ = leaf.image
    channels = leaf.image.channels
    layers = [layer for layer, _ in architecture.convolutions(leaf)]
    laid_out = convolutions_for((lines, columns), channels, layers, first=first_parameter)
    features = architecture.num_image_features
    weight = first_parameter + laid_out.parameters
    bias = weight + laid_out.outputs * features

    def room(size: int) -> Floats:
        return np.zeros(size, np.float32)

    torso = Torso(
        laid_out, lines, columns, channels, planes, weight, bias, laid_out.outputs, features,
        architecture.num_floats, np.zeros(rows * leaf.columns, np.uint8), room(rows * laid_out.room),
        room(laid_out.turned), room(chunks * laid_out.image), room(chunks * laid_out.gradients),
        room(chunks * BLOCK_IMAGES * features), room(chunks * features * BLOCK_IMAGES),
        room(chunks * laid_out.outputs * BLOCK_IMAGES),
    )  # fmt: skip
    return torso, bias + features


def torso_views(torso: Torso, flat: Floats) -> Parameters:
    """The arrays of the portable form, as views of a flat array laid out as theta.

    Filters are as many as whole vectors have numbers, so nothing is padded.
    """
    found: Parameters = {}
    layers = torso.convolutions.layers
    for number, layer in enumerate(layers):
        k, c, o = layer[KERNEL], layer[CHANNELS], layer[FILTERS]
        found[f"image.0.{number}.weight"] = flat[layer[WEIGHT] : layer[BIAS]].reshape(k, k, c, o)
        found[f"image.0.{number}.bias"] = flat[layer[BIAS] : layer[BIAS] + o]
    name = f"image.0.{len(layers)}"
    found[f"{name}.weight"] = flat[torso.weight : torso.bias].reshape(torso.flat, torso.features)
    found[f"{name}.bias"] = flat[torso.bias : torso.bias + torso.features]
    return found


@compiled
def take_in_pixels(torso: Torso | None, row: int, pixels: NDArray[np.uint8], p0: int) -> bool:
    """Copies a row of pixels at p0 to the network's row; returns whether that held something else."""
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
    """Writes the image of a row as numbers in [0, 1] to where its chunk's convolutions read it; says where."""
    laid_out, channels = torso.convolutions, torso.channels
    samples = channels // torso.planes
    size, line, width = torso.lines * torso.columns * channels, torso.columns * channels, torso.columns * samples
    scale = np.float32(1 / 255)
    pixels, start = torso.pixels[row * size : (row + 1) * size], chunk * laid_out.image
    for y in range(torso.lines):
        at = start + laid_out.image_at + y * laid_out.image_line
        image = torso.images[at : at + line]
        for plane in range(torso.planes):
            given = pixels[(plane * torso.lines + y) * width : (plane * torso.lines + y + 1) * width]
            if torso.planes == 1:  # As it is.
                for i in range(width):
                    image[i] = np.float32(given[i]) * scale
            else:
                for x in range(torso.columns):
                    for c in range(samples):
                        image[x * channels + plane * samples + c] = np.float32(given[x * samples + c]) * scale
    return start


@compiled
def see_images(torso: Torso | None, theta: Floats, inputs: Floats, x_row: int, chunk: int, row: int, rows: int) -> None:
    """Features of some rows' images: relu(W convolutions + b), into the rows of inputs.

    Args:
        torso: What computes.
        theta: The parameters.
        inputs: Rows of inputs.
        x_row: From one to the next.
        chunk: In whose room images are shown.
        row: The first row.
        rows: How many.
    """
    if torso is not None:
        laid_out = torso.convolutions
        for i in range(row, row + rows):
            conv.forward(laid_out, theta, torso.images, show(torso, i, chunk), torso.rooms, i * laid_out.room)
        x = row * x_row + torso.first
        zero: Any = np.int64(0)  # not a literal, for which Numba would compile what is called anew
        one: Any = np.int64(1)
        matmul(
            torso.rooms, row * laid_out.room + laid_out.room - torso.flat, laid_out.room, one,
            theta, torso.weight, torso.features,
            theta, torso.bias, zero,
            inputs, x, x_row,
            rows, torso.flat, torso.features,
            RECTIFIED, inputs, zero, zero,
        )  # fmt: skip


@compiled
def learn_from_images(
    torso: Torso | None, theta: Floats, inputs: Floats, x_row: int, d_features: Floats, d_row: int,
    zeros: Floats, one_: Floats, chunk: int, row: int, rows: int, gradient: Floats, g0: int,
) -> None:  # fmt: skip
    """Adds the gradient of some rows' images to the parameters'.

    Args:
        torso: With what `see_images` kept of these rows.
        theta: The parameters.
        inputs: Rows of inputs, features in them.
        x_row: From one to the next.
        d_features: Rows of dL/d features; those of images come first.
        d_row: From one to the next.
        zeros: As many as a pixel of the widest layer has numbers.
        one_: A single 1.
        chunk: In whose room this is done.
        row: The first row.
        rows: How many, at most BLOCK_IMAGES.
        gradient: Laid out as theta, from g0 on.
        g0: See there.
    """
    if torso is not None:
        zero: Any = np.int64(0)
        one: Any = np.int64(1)
        laid_out, n = torso.convolutions, torso.features
        given, across = chunk * BLOCK_IMAGES * n, chunk * n * BLOCK_IMAGES
        flat = row * laid_out.room + laid_out.room - torso.flat
        for i in range(rows):
            x, d, to = (row + i) * x_row + torso.first, (row + i) * d_row, given + i * n
            seen, ours, d_seen = inputs[x : x + n], torso.d_features[to : to + n], d_features[d : d + n]
            for j in range(n):
                ours[j] = d_seen[j] if seen[j] > 0 else np.float32(0)
        matmul(
            torso.rooms, flat, one, laid_out.room,
            torso.d_features, given, n,
            gradient, g0 + torso.weight, n,
            gradient, g0 + torso.weight, n,
            torso.flat, rows, n,
            AS_IT_IS, zeros, zero, zero,
        )  # fmt: skip
        matmul(
            one_, zero, zero, zero,
            torso.d_features, given, n,
            gradient, g0 + torso.bias, zero,
            gradient, g0 + torso.bias, zero,
            one, rows, n,
            AS_IT_IS, zeros, zero, zero,
        )  # fmt: skip
        # W is as large as many images: with images as the columns it need not be turned.
        width = -(-rows // LANES) * LANES
        for i in range(rows):
            for j in range(n):
                torso.d_across[across + j * width + i] = torso.d_features[given + i * n + j]
        for i in range(rows, width):
            for j in range(n):
                torso.d_across[across + j * width + i] = np.float32(0)
        d_flat = chunk * torso.flat * BLOCK_IMAGES
        matmul(
            theta, torso.weight, n, one,
            torso.d_across, across, width,
            zeros, zero, zero,
            torso.d_flat, d_flat, width,
            torso.flat, n, width,
            AS_IT_IS, zeros, zero, zero,
        )  # fmt: skip
        last = laid_out.layers[-1]
        d0 = chunk * laid_out.gradients
        filters = last[FILTERS]
        line = laid_out.tables[last[WEIGHTS] + B_LINE]
        out_columns = laid_out.tables[last[WEIGHTS] + INNER]
        for i in range(rows):
            kept = torso.rooms[flat + i * laid_out.room : flat + i * laid_out.room + torso.flat]
            for place in range(torso.flat // filters):
                to = d0 + last[DY_INSIDE] + (place // out_columns) * line + (place % out_columns) * filters
                for j in range(filters):
                    at = place * filters + j
                    passes = kept[at] > 0
                    torso.gradients[to + j] = torso.d_flat[d_flat + at * width + i] if passes else np.float32(0)
            conv.backward(
                laid_out, torso.turned, torso.images, show(torso, row + i, chunk),
                torso.rooms, (row + i) * laid_out.room, torso.gradients, d0, gradient, g0, zeros, one_,
            )  # fmt: skip


@compiled
def turn_kernels(torso: Torso | None, theta: Floats) -> None:
    """What has to follow when the parameters have changed."""
    if torso is not None:
        conv.turn(torso.convolutions, theta, torso.turned)
