"""Pictures: what environments draw, as arrays of bytes; a strip of text above them; several side by side."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.errors import UserError

Picture = NDArray[np.uint8]
"""[H, W, 3]."""

_NARROWEST = 240
"""Pictures that are not so wide are enlarged, pixel by pixel, before a strip of text is put above them: else it could
not be read."""
_SMALLEST_TEXT, _LARGEST_TEXT, _TEXT = 16, 40, 0.036
"""Pixels of the text; it is so large a part of the width."""
_PAPER, _INK, _PALE = (24, 24, 27), (244, 244, 245), (161, 161, 170)
_GAP = 8
"""Pixels between pictures that are side by side."""
_WIDEST = 1320
"""Pixels of pictures side by side, about."""
_DIMMED = 0.55


def picture_of(frame: object) -> NDArray[Any]:
    """A frame as an environment gives it -> a copy of it, [H, W, 3], in its own numbers.

    Grey pictures, ones with an alpha channel, and lists of frames (of which the last is meant) are taken, too.

    Raises:
        UserError: It is no picture.
    """
    try:
        picture = np.array(frame)  # A copy: some environments draw into the same array again and again.
    except ValueError:
        picture = np.array(None)
    if picture.ndim == 4 and len(picture):
        picture = picture[-1]
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.dtype.kind not in "uifb" or picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or not picture.size:
        what = "None" if frame is None else f"{type(frame).__name__} {picture.dtype} {picture.shape}"
        raise UserError(f"the environment drew no picture but {what}; it must draw arrays [height, width, 3]")
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture[..., :3]


def one_kind(pictures: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """The pictures of an episode as a video takes them, [L, H, W, 3].

    Raises:
        UserError: They differ in size.
    """
    shapes = list(dict.fromkeys(picture.shape[:2] for picture in pictures))
    if len(shapes) > 1:
        raise UserError(
            f"the environment drew pictures of different sizes, {shapes[0]} and {shapes[1]}; a video has one"
        )
    return in_bytes(np.stack(pictures))


def in_bytes(pictures: NDArray[Any]) -> NDArray[np.uint8]:
    """Brightness from 0 to 255. That of real numbers goes to 1, as Matplotlib has it, or to 255: the largest tells."""
    if pictures.dtype == np.uint8:
        return pictures
    if pictures.dtype.kind in "fb":
        pictures = np.nan_to_num(pictures.astype(np.float32), nan=0.0)
        pictures = np.rint(pictures * 255.0 if pictures.max() <= 1.0 else pictures)
    whole: NDArray[np.uint8] = np.clip(pictures, 0, 255).astype(np.uint8)
    return whole


class Caption(NamedTuple):
    """What stands above a picture."""

    left: str
    right: str
    title: str = ""
    """A line above these; empty: there is none."""


class Strip:
    """A strip of text above pictures of one width, which covers nothing of them.

    Attributes:
        height: Pixels.
    """

    def __init__(self, width: int, longest: Caption) -> None:
        """Room for captions that are no longer than this one.

        Args:
            width: Of the pictures, in pixels.
            longest: What must fit: in two lines where one is too short, in smaller text where that is too long.
        """
        self._width = width
        size = min(_LARGEST_TEXT, max(_SMALLEST_TEXT, round(_TEXT * width)))
        while size > 6:
            self._font, self._pad = _font(size), max(3, size // 3)
            room = width - 2 * self._pad
            left, right, title = (math.ceil(self._font.getlength(text)) for text in longest)
            self._is_one_line = left + right + size <= room
            if max(left, right, title) <= room:
                break
            size -= 1
        self._line = math.ceil(1.3 * size)
        self._has_title = bool(longest.title)
        lines = self._has_title + (1 if self._is_one_line else 2)
        self.height = lines * self._line + self._pad

    def above(self, picture: Picture, caption: Caption) -> Picture:
        """The picture with a caption above it."""
        from PIL import Image, ImageDraw  # Slow to import: only where text is drawn.

        strip = Image.new("RGB", (self._width, self.height), _PAPER)
        draw = ImageDraw.Draw(strip)
        y = self._pad // 2
        if self._has_title:
            draw.text((self._pad, y), caption.title, _INK, self._font)
            y += self._line
        color = _PALE if self._has_title else _INK
        draw.text((self._pad, y), caption.left, color, self._font)
        if self._is_one_line:
            draw.text((self._width - self._pad, y), caption.right, color, self._font, anchor="ra")
        else:
            draw.text((self._pad, y + self._line), caption.right, color, self._font)
        return np.concatenate([np.asarray(strip), picture])


@functools.cache
def _font(size: int) -> Any:
    """Pillow's own, which is the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def legible(picture: Picture, at_least: int = _NARROWEST) -> Picture:
    """The picture, enlarged by a whole factor until it is so many pixels wide."""
    factor = -(-at_least // picture.shape[1])
    return picture if factor == 1 else picture.repeat(factor, 0).repeat(factor, 1)


def fitted(picture: Picture, width: int) -> Picture:
    """The picture, made smaller where it is wider than that."""
    if picture.shape[1] <= width:
        return picture
    from PIL import Image

    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def explained(picture: Picture, lines: Sequence[tuple[str, str]]) -> Picture:
    """The picture, darker, with two columns of text on it."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    size = _LARGEST_TEXT
    while size > 6:
        font, line = _font(size), math.ceil(1.4 * size)
        left, right = (max(font.getlength(text) for text in column) for column in zip(*lines, strict=True))
        if left + right + 2 * size <= 0.92 * width and line * len(lines) <= 0.92 * height and size <= height // 16:
            break
        size -= 1
    image = Image.fromarray((picture * 0.2).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x, y = (width - left - right - 2 * size) / 2, (height - line * len(lines)) / 2
    for number, (key, meaning) in enumerate(lines):
        draw.text((x, y + number * line), key, _INK, font)
        draw.text((x + left + 2 * size, y + number * line), meaning, _PALE, font)
    return np.asarray(image)


def dimmed(picture: Picture) -> Picture:
    """The picture, darker: what it shows is over."""
    return (picture * _DIMMED).astype(np.uint8)


def columns_for(count: int) -> int:
    """How many pictures stand in a row.

    Example:
        >>> [columns_for(count) for count in range(1, 11)]
        [1, 2, 3, 4, 3, 3, 4, 4, 4, 4]
    """
    return count if count <= 4 else min(4, -(-count // 2))


def width_for(count: int) -> int:
    """How wide each of so many pictures may be."""
    return _WIDEST // columns_for(count) - _GAP


def side_by_side(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one size as one, in rows."""
    columns = columns_for(len(pictures))
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3)
    sheet: Picture = np.empty(shape, np.uint8)
    sheet[...] = _PAPER
    for number, picture in enumerate(pictures):
        y = _GAP + number // columns * (height + _GAP)
        x = _GAP + number % columns * (width + _GAP)
        sheet[y : y + height, x : x + width] = picture
    return sheet
