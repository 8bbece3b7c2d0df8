"""Videos: pictures as the bytes of a GIF or MP4."""

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
"""GIFs count time in hundredths of a second, and viewers slow down faster ones."""


def check_target(path: Path) -> None:
    """Refuses what no video can be written to, before anything is played for nothing.

    Raises:
        UserError: It is a folder or in none, its ending is another than .gif or .mp4, or there is no ffmpeg for that.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        raise UserError(f"cannot record to {path}, which is a folder; name a file in it that ends in .gif or .mp4")
    if ending not in (".gif", ".mp4"):
        raise UserError(f"cannot record to {path}; the file must end in .gif or .mp4")
    if not path.parent.is_dir():
        raise UserError(f"cannot write the video {path}: there is no folder {path.parent}")
    if ending == ".mp4":
        _require_ffmpeg()


def every(path: Path, fps: float) -> int:
    """Of how many pictures a second one is to be taken, so that the format can show them: every so manieth."""
    return max(1, round(fps / _GIF_FPS)) if path.suffix.lower() == ".gif" else 1


def encoded(pictures: Iterable[NDArray[np.uint8]], fps: float, path: Path) -> bytes:
    """Encodes pictures [H, W, 3], one after another, as the ending of a path says.

    Raises:
        UserError: They cannot be encoded; names the path.
    """
    encode = _gif if path.suffix.lower() == ".gif" else _mp4
    try:
        video = encode(iter(pictures), fps)
    except Exception as error:
        # ffmpeg answers with all it has to say; its first line is imageio's, of what went wrong.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"cannot write the video {path}: {lines[0]}") from error
    if not video:  # An ffmpeg that ends at once is taken for one that had little to do.
        raise UserError(f"cannot write the video {path}: ffmpeg ended without writing it")
    return video


def _gif(pictures: Iterator[NDArray[np.uint8]], fps: float) -> bytes:
    from PIL import Image  # Slow to import: only where a video is made.

    images = map(Image.fromarray, pictures)
    first, video = next(images), io.BytesIO()
    first.save(video, "GIF", save_all=True, append_images=images, duration=1000 / fps, loop=0)
    return video.getvalue()


def _mp4(pictures: Iterator[NDArray[np.uint8]], fps: float) -> bytes:
    import imageio.v3 as imageio  # Slow to import: only where a video is made.

    # Players want even sizes; a border is better than being scaled.
    even = (np.pad(one, [*((0, size % 2) for size in one.shape[:2]), (0, 0)], mode="edge") for one in pictures)
    first = next(even)
    frames: Any = itertools.chain([first], even)
    options: dict[str, Any] = {"plugin": "FFMPEG", "fps": fps, "codec": "h264", "macro_block_size": 1}
    return bytes(imageio.imwrite("<bytes>", frames, extension=".mp4", is_batch=True, **options))


def _require_ffmpeg() -> None:
    """Refuses to make an .mp4 where nothing can.

    Raises:
        UserError: The package that brings ffmpeg is not installed, or finds none.
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
