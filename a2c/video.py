"""Encodes pictures as a GIF or MP4."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.errors import UserError

_GIF_FPS = 25
"""GIFs count time in hundredths of a second, and viewers play faster ones too slowly."""


def check_target(path: Path) -> None:
    """Refuses a file to which no video can be written, before an episode is played in vain.

    Raises:
        UserError: It is a folder, its folder does not exist, its ending is neither .gif nor .mp4, or ffmpeg is missing
            for an .mp4.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        raise UserError(f"cannot record to {path}: it is a folder; name a file that ends in .gif or .mp4")
    if ending not in (".gif", ".mp4"):
        raise UserError(f"cannot record to {path}; the file must end in .gif or .mp4")
    if not path.parent.is_dir():
        raise UserError(f"cannot write the video {path}: there is no folder {path.parent}")
    if ending == ".mp4":
        _require_ffmpeg()


def every(path: Path, fps: float) -> int:
    """n, if the format can show only every n-th of `fps` pictures a second."""
    return max(1, round(fps / _GIF_FPS)) if path.suffix.lower() == ".gif" else 1


def encoded(pictures: Iterable[NDArray[np.uint8]], fps: float, path: Path) -> bytes:
    """Encodes pictures [H, W, 3] in the format of the path's ending.

    Raises:
        UserError: They cannot be encoded; names the path.
    """
    encode = _gif if path.suffix.lower() == ".gif" else _mp4
    try:
        video = encode(iter(pictures), fps)
    except Exception as error:
        # The error holds all of ffmpeg's output; the first line is imageio's, which says what went wrong.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"cannot write the video {path}: {lines[0]}") from error
    if not video:  # imageio takes an ffmpeg that dies at once for one that succeeded.
        raise UserError(f"cannot write the video {path}: ffmpeg ended without writing it")
    return video


def _gif(pictures: Iterator[NDArray[np.uint8]], fps: float) -> bytes:
    from PIL import Image  # Not at the top: slow to import.

    # Left to itself, Pillow would choose colours by another method, which takes up to twice as long.
    images = (Image.fromarray(one).quantize(256, Image.Quantize.MAXCOVERAGE) for one in pictures)
    first, video = next(images), io.BytesIO()
    first.save(video, "GIF", save_all=True, append_images=images, duration=1000 / fps, loop=0)
    return video.getvalue()


def _mp4(pictures: Iterator[NDArray[np.uint8]], fps: float) -> bytes:
    import imageio.v3 as imageio  # Not at the top: slow to import.

    # Players want even sizes; repeating the border keeps the pixels sharp, scaling would blur them.
    even = (np.pad(one, [*((0, size % 2) for size in one.shape[:2]), (0, 0)], mode="edge") for one in pictures)
    first = next(even)
    frames: Any = itertools.chain([first], even)
    options: dict[str, Any] = {"plugin": "FFMPEG", "fps": fps, "codec": "h264", "macro_block_size": 1}
    return bytes(imageio.imwrite("<bytes>", frames, extension=".mp4", is_batch=True, **options))


def _require_ffmpeg() -> None:
    """Refuses an .mp4 without ffmpeg.

    Raises:
        UserError: imageio-ffmpeg, the package that brings it, is not installed or finds none.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        get_ffmpeg_exe()
    except ImportError as error:
        raise UserError(
            "recording .mp4 needs a package that is not installed; pip install 'a2c[video]', or record a .gif"
        ) from error
    except RuntimeError as error:
        raise UserError(
            f"recording .mp4 needs ffmpeg ({str(error).strip().splitlines()[0]}); install it, or record a .gif"
        ) from error
