"""Images: which spaces hold them, and the convolutions that they go through first. Nothing here computes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from a2c.model.own import is_own

IMAGE_PIXELS = 32 * 32
"""With network "auto", bytes of at least so many pixels count as an image. Smaller grids, such as the 7 x 7 cells of
MiniGrid, may as well be plain numbers."""


class Convolution(NamedTuple):
    """A convolutional layer: y = relu(W x + b), with W moved over x."""

    filters: int
    kernel: int
    """Lines, and columns, of the window that a filter sees."""
    stride: int
    padding: Literal["valid", "same"] = "valid"
    """valid: windows lie inside the image. same: there are size / stride windows, rounded up; they may reach over the
    edges, where the image counts as 0."""


class ImageNetwork(NamedTuple):
    """What an image goes through: convolutions and a fully connected layer, or only the user's own layer."""

    convolutions: tuple[Convolution, ...]
    features: int
    """Units of the fully connected layer after the convolutions."""
    own: str = ""
    """The name, `module:Class`, of the user's own layer, which takes images as they are; "": there is none."""

    @property
    def text(self) -> str:
        """The value of `Config.network` that `image_network` reads as this."""
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
"""For grids of a few cells. The kernels are those of MiniGrid's authors (rl-starter-files), without their pooling."""

NETWORKS = {"nature": NATURE, "small": SMALL}

_PADDED = {"valid": "", "same": "s"}

_LAYER = re.compile(r"(\d{1,4})x(\d{1,2})(?:/(\d))?(s?)")

MOST_UNITS = 4096
"""The largest number of filters of a convolution, and of units of the layer after the convolutions."""

RIGHT_NETWORK = (
    "auto, mlp, nature, small, or convolutions and the units after them, as 32x8/4,64x4/2,64x3,512 for filters x "
    "kernel / stride (an s after it: windows reach over the edges); filters and units are multiples of 16; or "
    "module:Class, a paddle.nn.Layer of your own"
)
"""The values that `Config.network` may have, in words."""


def image_network(text: str) -> ImageNetwork | None:
    """Reads a value of `Config.network`: a name, a text like 32x8/4,64x4/2,64x3,512, or module:Class; else None.

    Example:
        >>> image_network("32x8/4,64x4/2,64x3,512") == NATURE
        True
        >>> image_network("16x3s,64")
        ImageNetwork(convolutions=(Convolution(filters=16, kernel=3, stride=1, padding='same'),), features=64, own='')
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
    """Whether a layer may be so wide: whole vectors of the machine, whose lengths all divide 16, without padding."""
    return 0 < units <= MOST_UNITS and units % 16 == 0


MOST_OUTPUTS = 2**15
"""The most numbers that convolutions may make of an image: each unit of the layer after them has a weight for each. The
210 x 160 pixels of an Atari game stay below it under "nature", 240 x 320 pixels do not."""


class ImageShape(NamedTuple):
    """The layout of an image in an observation: [planes, lines, columns, samples]."""

    planes: int
    """The product of the axes before lines and columns: stacked images, channels that come first; 1 without any."""
    lines: int
    columns: int
    samples: int
    """The length of the axis after them: channels that come last; 1 without it."""

    @property
    def channels(self) -> int:
        """Channels of each pixel: all planes' samples, the first plane's first."""
        return self.planes * self.samples


def reach(size: int, convolution: Convolution) -> tuple[int, int, int]:
    """The number of windows along `size` pixels, and how many pixels they reach over the near and the far edge."""
    if convolution.padding == "valid":
        return (size - convolution.kernel) // convolution.stride + 1, 0, 0
    windows = -(-size // convolution.stride)
    beyond = max((windows - 1) * convolution.stride + convolution.kernel - size, 0)
    return windows, beyond // 2, beyond - beyond // 2


def size_after(size: tuple[int, int], convolutions: Sequence[Convolution]) -> tuple[int, int]:
    """Lines and columns after convolutions, of an image that has the lines and columns of `size`."""
    lines, columns = size
    for convolution in convolutions:
        lines, columns = reach(lines, convolution)[0], reach(columns, convolution)[0]
    return lines, columns


def is_bytes(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds bytes, with bounds 0 and 255."""
    box: Any = space
    return bool(box.dtype == np.uint8 and (box.low == 0).all() and (box.high == 255).all())


def is_image(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds images of at least `IMAGE_PIXELS` pixels."""
    return _pixels(space) >= IMAGE_PIXELS and is_bytes(space)


def divisor_of(space: gymnasium.Space[Any]) -> float:
    """The divisor of an image's bytes.

    The bytes of small images are mostly codes of objects, colours and states, not brightness. MiniGrid's go up to 10:
    divided by 255, they would be close to 0.
    """
    return 255.0 if is_image(space) else 16.0


NO_IMAGE = ImageShape(0, 0, 0, 0)
"""The layout of anything that is not an image."""


def shape_of_image(space: gymnasium.Space[Any], network: ImageNetwork, is_asked_for: bool) -> ImageShape:
    """The layout of a space's images; NO_IMAGE if it has none, or if they are too small or too large for the network.

    Args:
        space: Of a part of an observation.
        network: The convolutions that the images would go through.
        is_asked_for: Whether the user named this network. If not, images of fewer than `IMAGE_PIXELS` do not count.
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
    """The pixels of one image, if a Box has the shape of an image or of stacked images; else 0."""
    shape = tuple(space.shape or ())
    if len(shape) == 4 and shape[0] < min(sorted(shape[1:])[1:]):
        shape = shape[1:]
    if not isinstance(space, spaces.Box) or len(shape) not in (2, 3):
        return 0
    sides = shape if len(shape) == 2 else sorted(shape)[1:]  # The channels come first or last, and are the fewest.
    return int(np.prod(sides))
