"""Images: which spaces hold one, and the convolutions that it goes through before all else. Nothing here computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

ImageNetwork = Literal["auto", "mlp", "nature"]
"""What images go through: "nature", Mnih et al. (2015), where they are large enough for it; "mlp": nothing."""

IMAGE_PIXELS = 32 * 32
"""Bytes of at least so many pixels are an image. Smaller ones (the 7 x 7 cells of MiniGrid, say) are numbers."""


class Convolution(NamedTuple):
    """A layer: y = relu(W x + b), W moved over x."""

    filters: int
    kernel: int
    """Lines and columns that a filter sees."""
    stride: int
    padding: Literal["valid", "same"] = "valid"
    """valid: windows lie inside the image. same: as many as size / stride, rounded up, over the edges if need be."""


NATURE = (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1))
"""Reference: Mnih et al., "Human-level control through deep reinforcement learning" (2015), methods."""

NATURE_FEATURES = 512
"""Units of the layer behind them."""

NATURE_SIDE = 36
"""Lines and columns that an image needs for them."""

MOST_OUTPUTS = 2**15
"""Numbers that they may make of an image: the layer behind has a weight of each unit for each. 210 x 160 pixels, as of
an Atari, are few enough; 240 x 320 are not."""


class ImageShape(NamedTuple):
    """How an image lies in an observation: [planes, lines, columns, samples]."""

    planes: int
    """1 where channels come last. Else the channels, or so many images one behind another."""
    lines: int
    columns: int
    samples: int
    """Of each pixel in each plane."""

    @property
    def channels(self) -> int:
        """Of each pixel, those of the first plane first."""
        return self.planes * self.samples


def reach(size: int, convolution: Convolution) -> tuple[int, int, int]:
    """How many windows there are along `size` pixels, and how many pixels they reach beyond the first and the last."""
    if convolution.padding == "valid":
        return (size - convolution.kernel) // convolution.stride + 1, 0, 0
    windows = -(-size // convolution.stride)
    beyond = max((windows - 1) * convolution.stride + convolution.kernel - size, 0)
    return windows, beyond // 2, beyond - beyond // 2


def size_after(size: tuple[int, int], convolutions: Sequence[Convolution]) -> tuple[int, int]:
    """Lines and columns of what convolutions make of an image with so many."""
    lines, columns = size
    for convolution in convolutions:
        lines, columns = reach(lines, convolution)[0], reach(columns, convolution)[0]
    return lines, columns


def is_bytes(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds bytes that use their range."""
    box: Any = space
    return bool(box.dtype == np.uint8 and (box.low == 0).all() and (box.high == 255).all())


def is_image(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds images that are as large as a camera's."""
    return _pixels(space) >= IMAGE_PIXELS and is_bytes(space)


NO_IMAGE = ImageShape(0, 0, 0, 0)
"""That of what is none."""


def shape_of_image(space: gymnasium.Space[Any]) -> ImageShape:
    """How the images of a space lie; NO_IMAGE where it holds none, or they are too small or too large for `NATURE`."""
    if not is_image(space):
        return NO_IMAGE
    shape = tuple(int(size) for size in space.shape or ())
    if len(shape) == 2:
        found = ImageShape(1, *shape, 1)
    else:
        images, (first, second, third) = (1, *shape)[-4], shape[-3:]
        channels_first = first < third  # The channels are the fewest.
        found = ImageShape(images * first, second, third, 1) if channels_first else ImageShape(images, *shape[-3:])
    if min(found.lines, found.columns) < NATURE_SIDE:
        return NO_IMAGE
    lines, columns = size_after((found.lines, found.columns), NATURE)
    return found if lines * columns * NATURE[-1].filters <= MOST_OUTPUTS else NO_IMAGE


def _pixels(space: gymnasium.Space[Any]) -> int:
    """Pixels of a Box that has the shape of an image, or of some that are stacked; else 0."""
    shape = tuple(space.shape or ())
    if len(shape) == 4 and shape[0] < min(sorted(shape[1:])[1:]):
        shape = shape[1:]
    if not isinstance(space, spaces.Box) or len(shape) not in (2, 3):
        return 0
    sides = shape if len(shape) == 2 else sorted(shape)[1:]  # The channels come first or last, and are the fewest.
    return int(np.prod(sides))
