"""`a2c record RUN`: records an episode of a run's policy, or of the policies saved during training, as GIF or MP4."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray

from a2c import files
from a2c.envs.construction import EnvSource
from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.output import print_json
from a2c.pictures import (
    Caption,
    Picture,
    Strip,
    dimmed,
    fitted,
    legible,
    one_kind,
    picture_of,
    side_by_side,
    width_for,
)
from a2c.run.folder import Run, settled
from a2c.run.policies import Which
from a2c.stage import play
from a2c.video import check_target, encoded, every

_STILL_SECONDS = 1.5
"""How long the last picture of `--stages` stands still once all episodes are over, before the video repeats."""


@dataclasses.dataclass(frozen=True)
class Record:
    """Record an episode of a run's policy as GIF or MP4; or of the policies saved during training, side by side."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    to: str | None = None
    """The .gif or .mp4 file to write. By default video.gif or stages.gif in the run's folder."""
    which: Which = "best"
    """The best policy by evaluation during training, the final one, or the one saved after so many steps."""
    stages: bool = False
    """Show the policies that a2c train --keep-policy-at saved, and the final one, side by side in the same episode."""
    greedy: bool = True
    """Take the most probable action; --no-greedy samples."""
    seed: int = 0
    """Seed of the episode."""
    env: str | None = None
    """Make this environment instead of the run's; needed if the run's would import a module."""
    network: str | None = None
    """The run's own network, module:Class: import it; needed if somebody else trained it."""
    max_steps: int = 1_000
    """Stop recording after this many steps."""
    caption: bool = True
    """Write the return and the step above the pictures."""
    json: bool = False
    """Print one JSON object: the file, and the return and the steps of each recorded episode."""

    def run(self) -> int:
        """Returns the exit code."""
        run = Run(self.folder, self.network)
        path = Path(self.to).expanduser() if self.to else run.path / ("stages.gif" if self.stages else "video.gif")
        how = self.greedy, self.seed, self.max_steps, self.env, self.caption
        if not self.stages:
            recording = record(run, path, self.which, *how)
            if self.json:
                print_json({"run": self.folder, "which": self.which, **_as_json(recording), "video": str(path)})
            else:
                (shown,) = shown_returns([recording.episode_return])
                print(f"{path} (return {shown}, {recording.steps} steps)")
            return 0
        if self.which != "best":
            raise UserError(f"which is {self.which}, but --stages shows every saved policy; leave out one of them")
        stages = record_stages(run, path, *how)
        if self.json:
            episodes = [{"after_steps": stage, **_as_json(recording)} for stage, recording in stages.items()]
            print_json({"run": self.folder, "stages": episodes, "video": str(path)})
            return 0
        for stage, recording in stages.items():
            (shown,) = shown_returns([recording.episode_return])
            print(f"{_title(stage)}: return {shown}, {recording.steps} steps")
        print(path)
        return 0


class Recording(NamedTuple):
    """A recorded episode."""

    path: Path
    episode_return: float
    steps: int


def _as_json(recording: Recording) -> dict[str, float]:
    return {"return": recording.episode_return, "steps": recording.steps}


def record(
    run: Run,
    path: Path,
    which: Which = "best",
    greedy: bool = True,
    seed: int = 0,
    max_steps: int = 1_000,
    env: EnvSource | None = None,
    caption: bool = True,
) -> Recording:
    """Records one episode.

    Args:
        run: Whose policy acts.
        path: A .gif or .mp4 file.
        which: "best", "final", or the number of steps after which the run saved it.
        greedy: The most probable action; False samples.
        seed: Of the episode.
        max_steps: At most this many steps, at least 1.
        env: The environment to make instead of the run's, as in `Run.evaluate`.
        caption: Whether to write the return and the step above the pictures, which are enlarged if they are too small
            for text.

    Raises:
        UserError: The environment draws no pictures, the file's ending is neither, ffmpeg is missing for an .mp4, or
            the file cannot be written.
        EnvError: The environment raised.
    """
    target = _target(path, max_steps)
    film = _filmed(run, which, _How(greedy, seed, max_steps, env), path)
    pictures: Iterator[Picture] | NDArray[np.uint8] = film.pictures
    if caption:
        captions = _captions(film, shown_returns(film.returns))
        strip = Strip(legible(film.pictures[0]).shape[1], _longest(captions))
        pictures = map(strip.above, map(legible, film.pictures), captions)
    files.write_bytes(target, encoded(pictures, film.fps, path))
    return Recording(path, film.returns[-1], film.steps[-1])


def record_stages(
    run: Run,
    path: Path,
    greedy: bool = True,
    seed: int = 0,
    max_steps: int = 1_000,
    env: EnvSource | None = None,
    caption: bool = True,
) -> dict[int, Recording]:
    """Records the same episode of every policy that a run saved, and of its final one, side by side in one video.

    If a policy's episode ends early, its last picture stays, dimmed, until all have ended.

    Args:
        run: Whose policies act.
        path: A .gif or .mp4 file.
        greedy: As in `record`.
        seed: Seed of the episode, the same for each.
        max_steps: At most this many steps of each.
        env: As in `record`.
        caption: Whether to write above each its steps of training, its return and the step.

    Returns:
        The recordings, by steps of training.

    Raises:
        UserError: As in `record`; or the run saved no policy during training.
        EnvError: The environment raised.
    """
    target = _target(path, max_steps)
    stages: dict[int, Which] = {steps: steps for steps in run.kept_policies}
    if not stages:
        raise UserError(
            f"{run.path} saved no policy during training; `a2c train ... --keep-policy-at 0,10000,50000` does"
        )
    if run.steps > max(stages):
        stages[run.steps] = "final"
    films, width = [], width_for(len(stages))
    for which in stages.values():
        film = _filmed(run, which, _How(greedy, seed, max_steps, env), path)
        # Shrunk after each episode, since all episodes in full size would fill the memory.
        films.append(film._replace(pictures=np.stack([fitted(legible(one), width) for one in film.pictures])))
    sizes = list(dict.fromkeys(film.pictures.shape[1:3] for film in films))
    if len(sizes) > 1:
        raise UserError(
            f"the environment drew pictures of different sizes, {sizes[0]} and {sizes[1]}; in a video all must be equal"
        )
    files.write_bytes(target, encoded(_sheets(films, list(stages), caption), films[0].fps, path))
    return {steps: Recording(path, film.returns[-1], film.steps[-1]) for steps, film in zip(stages, films, strict=True)}


class _How(NamedTuple):
    """How an episode is played."""

    greedy: bool
    seed: int
    max_steps: int
    env: EnvSource | None


class _Film(NamedTuple):
    """The pictures of an episode that the video shows."""

    pictures: NDArray[np.uint8]  # [L, H, W, 3]
    returns: list[float]  # [L] sum of rewards up to there
    steps: list[int]  # [L] how many these were
    is_over: bool  # whether the episode ended with the last of them
    fps: float  # pictures a second


def _target(path: Path, max_steps: int) -> Path:
    """The file as an absolute path, because an environment may change the working directory.

    Raises:
        UserError: The file cannot be written, or max_steps is below 1.
    """
    check_target(path)
    if max_steps < 1:
        raise UserError(f"max_steps is {max_steps}; it must be at least 1")
    return settled(path)


def _filmed(run: Run, which: Which, how: _How, path: Path) -> _Film:
    """Plays an episode and takes as many pictures as the file's format can show, and always the last."""
    pictures, returns, steps, total = [], [], [], 0.0
    with play(run, which, how.greedy, how.seed, "rgb_array", how.env) as episode:
        take = every(path, episode.fps)
        for step, (reward, frame) in enumerate(episode.steps(how.max_steps)):
            total += reward
            if step % take == 0 or episode.is_over:
                pictures.append(picture_of(frame))
                returns.append(total)
                steps.append(step + 1)
        if steps[-1] <= step:  # max_steps ended it between two pictures: the last picture must show the last return.
            pictures.append(picture_of(frame))
            returns.append(total)
            steps.append(step + 1)
        return _Film(one_kind(pictures), returns, steps, episode.is_over, episode.fps / take)


def _captions(film: _Film, shown: Sequence[str], title: str = "") -> list[Caption]:
    """The text above each picture; `shown` are its returns as text, all with as many digits."""
    captions = [
        Caption(f"return {total}", f"step {step:,}", title) for total, step in zip(shown, film.steps, strict=True)
    ]
    if film.is_over:
        captions[-1] = captions[-1]._replace(right=f"{captions[-1].right}, end")
    return captions


def _longest(captions: Sequence[Caption]) -> Caption:
    return Caption(*(max(texts, key=len) for texts in zip(*captions, strict=True)))


def _title(stage: int) -> str:
    return f"after {stage:,} steps" if stage else "before training"


def _sheets(films: Sequence[_Film], stages: Sequence[int], caption: bool) -> Iterator[Picture]:
    """The pictures of the video, one after another."""
    shown = iter(shown_returns([total for film in films for total in film.returns]))
    captions = [
        _captions(film, list(itertools.islice(shown, len(film.returns))), _title(stage))
        for film, stage in zip(films, stages, strict=True)
    ]
    strip = Strip(films[0].pictures.shape[2], _longest(list(itertools.chain(*captions))))
    length = max(len(film.pictures) for film in films)
    for number in range(length + round(_STILL_SECONDS * films[0].fps)):
        row = []
        for film, texts in zip(films, captions, strict=True):
            last = len(film.pictures) - 1
            picture = film.pictures[min(number, last)]
            if film.is_over and last < number < length:  # Others still play.
                picture = dimmed(picture)
            row.append(strip.above(picture, texts[min(number, last)]) if caption else picture)
        yield side_by_side(row)
