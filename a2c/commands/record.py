"""`a2c record RUN`: one episode of a run's policy, as a GIF or MP4."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from a2c import files
from a2c.envs.make import EnvSource
from a2c.errors import UserError
from a2c.run import Run, Which
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
    """The best policy by evaluation during training, or the final one."""
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
        path = Path(self.to) if self.to else run.path / "video.gif"
        recording = record(run, path, self.which, self.greedy, self.seed, self.max_steps, self.env)
        print(f"{recording.path} (return {recording.episode_return:.1f}, {recording.steps} steps)")
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
        UserError: The environment draws no pictures, the ending is another, or the file cannot be written.
    """
    import imageio.v3 as imageio  # Slow to import: only where a video is made.

    if path.suffix not in (".gif", ".mp4"):
        raise UserError(f"cannot record to {path}; the file must end in .gif or .mp4")
    if not path.parent.is_dir():
        raise UserError(f"cannot write the video {path}: there is no folder {path.parent}")
    if max_steps < 1:
        raise UserError(f"max_steps is {max_steps}; it must be at least 1")
    frames, rewards, fps = [], [], 30.0
    with play(run, which, greedy, seed, "rgb_array", env) as episode:
        fps = episode.fps
        every = max(1, round(fps / _GIF_FPS)) if path.suffix == ".gif" else 1
        for step, (reward, frame) in enumerate(episode.steps(max_steps)):
            rewards.append(reward)
            if step % every == 0:
                frames.append(frame)
    options: dict[str, Any] = (
        {"duration": 1000 * every / fps, "loop": 0}
        if path.suffix == ".gif"
        else {"fps": fps, "codec": "h264", "macro_block_size": 2}
    )
    try:
        video = imageio.imwrite("<bytes>", frames, extension=path.suffix, **options)
    except ImportError as error:
        raise UserError(
            f"recording {path.suffix} needs a package that is not installed; pip install 'a2c[video]'"
        ) from error
    except OSError as error:
        # ffmpeg answers with all it has to say.
        raise UserError(f"cannot write the video {path}: {str(error).strip().splitlines()[0]}") from error
    files.write_bytes(path, bytes(video))
    return Recording(path, float(sum(rewards)), len(rewards))
