"""Images: which spaces hold one, and the convolutions that it goes through before all else. Nothing here computes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from a2c.model.own import is_own

IMAGE_PIXELS = 32 * 32
"""Bytes of at least so many pixels are an image without anybody saying so. Smaller ones (the 7 x 7 cells of MiniGrid,
say) may as well be numbers."""


class Convolution(NamedTuple):
    """A layer: y = relu(W x + b), W moved over x."""

    filters: int
    kernel: int
    """Lines and columns that a filter sees."""
    stride: int
    padding: Literal["valid", "same"] = "valid"
    """valid: windows lie inside the image. same: as many as size / stride, rounded up, over the edges if need be."""


class ImageNetwork(NamedTuple):
    """What an image goes through: convolutions, and a layer of units behind them; or nothing of ours."""

    convolutions: tuple[Convolution, ...]
    features: int
    """Units of that layer."""
    own: str = ""
    """The user's own layer, which takes images as they are, `module:Class`."""

    @property
    def text(self) -> str:
        """Its name, or what `image_network` reads."""
        if self.own:
            return self.own
        for name, network in NETWORKS.items():
            if network == self:
                return name
        layers = (
            f"{layer.filters}x{layer.kernel}"
            + (f"/{layer.stride}" if layer.stride > 1 else "")
            + _PADDED[layer.padding]
            for layer in self.convolutions
        )
        return ",".join([*layers, str(self.features)])


NATURE = ImageNetwork((Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)), 512)
"""Reference: Mnih et al., "Human-level control through deep reinforcement learning" (2015), methods."""

SMALL = ImageNetwork((Convolution(16, 2, 1), Convolution(32, 2, 1), Convolution(64, 2, 1)), 64)
"""For grids of a few cells. The kernels are those that MiniGrid's authors learn with (rl-starter-files), without their
pooling."""

NETWORKS = {"nature": NATURE, "small": SMALL}

_PADDED = {"valid": "", "same": "s"}

_LAYER = re.compile(r"(\d{1,4})x(\d{1,2})(?:/(\d))?(s?)")

MOST_UNITS = 4096
"""Filters of a convolution, or units of the layer behind."""

RIGHT_NETWORK = (
    "auto, mlp, nature, small, or convolutions and the units behind them, as 32x8/4,64x4/2,64x3,512 for filters x "
    "kernel / stride (an s behind it: windows reach over the edges); filters and units are multiples of 16; or "
    "module:Class, a paddle.nn.Layer of your own"
)
"""What may be asked for, in words."""


def image_network(text: str) -> ImageNetwork | None:
    """What a name stands for, a text like 32x8/4,64x4/2,64x3,512 or one like module:Class; None: it is none of these.

    Example:
        >>> image_network("32x8/4,64x4/2,64x3,512") == NATURE
        True
        >>> image_network("16x3s,64")
        ImageNetwork(convolutions=(Convolution(filters=16, kernel=3, stride=1, padding='same'),), features=64)
    """
    if text in NETWORKS:
        return NETWORKS[text]
    if is_own(text):
        return ImageNetwork((), 0, text)
    *layers, units = text.split(",")
    found = [_LAYER.fullmatch(layer) for layer in layers]
    if not found or len(found) > 8 or not re.fullmatch(r"\d{1,4}", units) or not _is_width(int(units)):
        return None
    convolutions = []
    for match in found:
        if match is None:
            return None
        filters, kernel, stride = int(match[1]), int(match[2]), int(match[3] or 1)
        if not _is_width(filters) or not 1 <= stride <= kernel:
            return None
        convolutions.append(Convolution(filters, kernel, stride, "same" if match[4] else "valid"))
    return ImageNetwork(tuple(convolutions), int(units))


def _is_width(units: int) -> bool:
    """Whether whole vectors have so many numbers on every machine."""
    return 0 < units <= MOST_UNITS and units % 16 == 0


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


def divisor_of(space: gymnasium.Space[Any]) -> float:
    """What the bytes of an image are divided by.

    Those of a small one are numbers of kinds, colours and states more often than brightness: MiniGrid's go to 10, and
    divided by 255 would hardly be seen.
    """
    return 255.0 if is_image(space) else 16.0


NO_IMAGE = ImageShape(0, 0, 0, 0)
"""That of what is none."""


def shape_of_image(space: gymnasium.Space[Any], network: ImageNetwork, is_asked_for: bool) -> ImageShape:
    """How the images of a space lie; NO_IMAGE where it holds none, or they are too small or too large for a network.

    Args:
        space: Of a part of an observation.
        network: What they would go through.
        is_asked_for: Whether somebody wants it; else small ones are no images.
    """
    if not _pixels(space) or not is_bytes(space) or not (is_asked_for or is_image(space)):
        return NO_IMAGE
    shape = tuple(int(size) for size in space.shape or ())
    if len(shape) == 2:
        found = ImageShape(1, *shape, 1)
    else:
        images, (first, second, third) = (1, *shape)[-4], shape[-3:]
        channels_first = first < third  # The channels are the fewest.
        found = ImageShape(images * first, second, third, 1) if channels_first else ImageShape(images, *shape[-3:])
    size = found.lines, found.columns
    for convolution in network.convolutions:
        size = size_after(size, [convolution])
        if min(size) < 1:
            return NO_IMAGE
    outputs = size[0] * size[1] * network.convolutions[-1].filters if network.convolutions else 0
    return found if outputs <= MOST_OUTPUTS else NO_IMAGE


def _pixels(space: gymnasium.Space[Any]) -> int:
    """Pixels of a Box that has the shape of an image, or of some that are stacked; else 0."""
    shape = tuple(space.shape or ())
    if len(shape) == 4 and shape[0] < min(sorted(shape[1:])[1:]):
        shape = shape[1:]
    if not isinstance(space, spaces.Box) or len(shape) not in (2, 3):
        return 0
    sides = shape if len(shape) == 2 else sorted(shape)[1:]  # The channels come first or last, and are the fewest.
    return int(np.prod(sides))
