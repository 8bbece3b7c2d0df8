"""Pictures as arrays of bytes: frames of environments, a strip of text above them, several side by side."""

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
"""Narrower pictures are enlarged, by a whole factor, before a strip of text is put above them: it would be too small
to read."""
_SMALLEST_TEXT, _LARGEST_TEXT, _TEXT = 16, 40, 0.036
"""Limits of the text's size in pixels, and its size as a share of the picture's width."""
_PAPER, _INK, _PALE = (24, 24, 27), (244, 244, 245), (161, 161, 170)
_GAP = 8
"""Pixels between pictures that are side by side."""
_WIDEST = 1320
"""Width of pictures side by side, in pixels, about."""
_DIMMED = 0.55


def picture_of(frame: object) -> NDArray[Any]:
    """A copy of an environment's frame as [H, W, 3], of the frame's own type.

    The frame may also be grey, have an alpha channel, or be a list of frames, of which the last counts.

    Raises:
        UserError: It is not a picture.
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
        raise UserError(f"the environment's render() gave {what}; it must give an array [height, width, 3]")
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture[..., :3]


def one_kind(pictures: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """The pictures of an episode as one array of bytes [L, H, W, 3].

    Raises:
        UserError: They differ in size.
    """
    shapes = list(dict.fromkeys(picture.shape[:2] for picture in pictures))
    if len(shapes) > 1:
        raise UserError(
            f"the environment drew pictures of different sizes, {shapes[0]} and {shapes[1]}; in a video all must be "
            "equal"
        )
    return in_bytes(np.stack(pictures))


def in_bytes(pictures: NDArray[Any]) -> NDArray[np.uint8]:
    """Brightness as bytes. Real numbers go up to 1, as in Matplotlib, if none is larger; otherwise up to 255."""
    if pictures.dtype == np.uint8:
        return pictures
    if pictures.dtype.kind in "fb":
        pictures = np.nan_to_num(pictures.astype(np.float32), nan=0.0)
        pictures = np.rint(pictures * 255.0 if pictures.max() <= 1.0 else pictures)
    whole: NDArray[np.uint8] = np.clip(pictures, 0, 255).astype(np.uint8)
    return whole


class Caption(NamedTuple):
    """The text above a picture."""

    left: str
    right: str
    title: str = ""
    """A line above the other two; "" for none."""


class Strip:
    """A strip of text above pictures of one width; it covers nothing of them.

    Attributes:
        height: Height of the strip in pixels.
    """

    def __init__(self, width: int, longest: Caption) -> None:
        """Chooses lines and text size for captions up to the longest.

        Args:
            width: Width of the pictures in pixels.
            longest: The caption that must fit: in two lines if one is too short, and if need be in smaller text.
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
        from PIL import Image, ImageDraw  # Not at the top: slow to import.

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
    """Pillow's own font, the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def legible(picture: Picture, at_least: int = _NARROWEST) -> Picture:
    """The picture, enlarged by a whole factor until it is at least `at_least` pixels wide."""
    factor = -(-at_least // picture.shape[1])
    return picture if factor == 1 else picture.repeat(factor, 0).repeat(factor, 1)


def fitted(picture: Picture, width: int) -> Picture:
    """The picture, shrunk to `width` if it is wider."""
    if picture.shape[1] <= width:
        return picture
    from PIL import Image

    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def explained(picture: Picture, lines: Sequence[tuple[str, str]]) -> Picture:
    """The picture, darkened, with two columns of text on it."""
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
    """The picture, darkened: its episode is over."""
    return (picture * _DIMMED).astype(np.uint8)


def columns_for(count: int) -> int:
    """The number of pictures in a row.

    Example:
        >>> [columns_for(count) for count in range(1, 11)]
        [1, 2, 3, 4, 3, 3, 4, 4, 4, 4]
    """
    return count if count <= 4 else min(4, -(-count // 2))


def width_for(count: int) -> int:
    """The largest width of each of so many pictures."""
    return _WIDEST // columns_for(count) - _GAP


def side_by_side(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one size joined in rows to one picture."""
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
