"""`a2c record RUN`: one episode of a run's policy, as a GIF or MP4."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray

from a2c import files
from a2c.envs.construction import EnvSource
from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.run.folder import Run, settled
from a2c.run.policies import Which
from a2c.stage import play

_GIF_FPS = 25
"""GIFs count time in hundredths of a second, and viewers slow down faster ones."""


@dataclasses.dataclass(frozen=True)
class Record:
    """Record an episode of a run's policy as a GIF or MP4."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    to: str | None = None
    """Where to: a .gif or .mp4 file. By default video.gif in the run."""
    which: Which = "best"
    """The best policy by evaluation during training, the final one, or the one kept after so many steps."""
    greedy: bool = True
    """Take the most probable action; --no-greedy samples."""
    seed: int = 0
    """Seed of the episode."""
    env: str | None = None
    """Make this environment instead of the one the run names; needed where that would import a module."""
    max_steps: int = 1_000
    """Stop recording after this many steps."""

    def run(self) -> int:
        """Returns the exit code."""
        run = Run(self.folder)
        path = Path(self.to).expanduser() if self.to else run.path / "video.gif"
        recording = record(run, path, self.which, self.greedy, self.seed, self.max_steps, self.env)
        print(f"{recording.path} (return {shown_returns([recording.episode_return])[0]}, {recording.steps} steps)")
        return 0


class Recording(NamedTuple):
    """A recorded episode."""

    path: Path
    episode_return: float
    steps: int


def record(
    run: Run,
    path: Path,
    which: Which = "best",
    greedy: bool = True,
    seed: int = 0,
    max_steps: int = 1_000,
    env: EnvSource | None = None,
) -> Recording:
    """Records one episode.

    Args:
        run: Whose policy acts.
        path: A .gif or .mp4 file.
        which: "best" or "final".
        greedy: The most probable action; False samples.
        seed: Of the episode.
        max_steps: At most this many steps, at least 1.
        env: What to make instead of what the run names, as in `Run.evaluate`.

    Raises:
        UserError: The environment draws no pictures, the ending is another, there is no ffmpeg for an .mp4, or the file
            cannot be written.
        EnvError: The environment raised.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        raise UserError(f"cannot record to {path}, which is a folder; name a file in it that ends in .gif or .mp4")
    if ending not in (".gif", ".mp4"):
        raise UserError(f"cannot record to {path}; the file must end in .gif or .mp4")
    if not path.parent.is_dir():
        raise UserError(f"cannot write the video {path}: there is no folder {path.parent}")
    if max_steps < 1:
        raise UserError(f"max_steps is {max_steps}; it must be at least 1")
    if ending == ".mp4":
        _require_ffmpeg()  # Before an episode is played for nothing.
    frames, rewards, target = [], [], settled(path)  # Before an environment changes the working directory.
    with play(run, which, greedy, seed, "rgb_array", env) as episode:
        fps = episode.fps
        every = max(1, round(fps / _GIF_FPS)) if ending == ".gif" else 1
        for step, (reward, frame) in enumerate(episode.steps(max_steps)):
            rewards.append(reward)
            if step % every == 0:
                frames.append(_picture(frame))
    files.write_bytes(target, _video(_one_kind(frames), ending, fps / every, path))
    return Recording(path, float(sum(rewards)), len(rewards))


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


def _picture(frame: object) -> NDArray[Any]:
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


def _one_kind(pictures: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """The pictures of an episode as a video takes them, [L, H, W, 3].

    Raises:
        UserError: They differ in size.
    """
    shapes = list(dict.fromkeys(picture.shape[:2] for picture in pictures))
    if len(shapes) > 1:
        raise UserError(
            f"the environment drew pictures of different sizes, {shapes[0]} and {shapes[1]}; a video has one"
        )
    video = np.stack(pictures)
    if video.dtype == np.uint8:
        return video
    if video.dtype.kind in "fb":
        video = np.nan_to_num(video.astype(np.float32), nan=0.0)
        # Brightness of real numbers goes to 1, as Matplotlib has it, or to 255: the whole episode tells.
        video = np.rint(video * 255.0 if video.max() <= 1.0 else video)
    whole: NDArray[np.uint8] = np.clip(video, 0, 255).astype(np.uint8)
    return whole


def _video(pictures: NDArray[np.uint8], ending: str, fps: float, path: Path) -> bytes:
    """Encodes pictures [L, H, W, 3].

    Raises:
        UserError: They cannot be encoded; names the path.
    """
    import imageio.v3 as imageio  # Slow to import: only where a video is made.

    options: dict[str, Any] = {"plugin": "pillow", "duration": 1000 / fps, "loop": 0}
    if ending == ".mp4":
        options = {"plugin": "FFMPEG", "fps": fps, "codec": "h264", "macro_block_size": 1}
        # Players want even sizes; a border is better than being scaled.
        odd = [(0, size % 2) for size in pictures.shape[1:3]]
        pictures = np.pad(pictures, [(0, 0), *odd, (0, 0)], mode="edge")
    try:
        video = bytes(imageio.imwrite("<bytes>", pictures, extension=ending, **options))
    except Exception as error:
        # ffmpeg answers with all it has to say; its first line is imageio's, of what went wrong.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"cannot write the video {path}: {lines[0]}") from error
    if not video:  # An ffmpeg that ends at once is taken for one that had little to do.
        raise UserError(f"cannot write the video {path}: ffmpeg ended without writing it")
    return video
