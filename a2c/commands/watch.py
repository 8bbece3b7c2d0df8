"""`a2c watch RUN`: shows a run's policy in a window, with keys to pause, slow down and restart."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import tyro

from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.output import print_json
from a2c.pictures import Caption, Picture, Strip, explained, in_bytes, legible, picture_of
from a2c.run.folder import Run
from a2c.run.policies import Which, in_words
from a2c.stage import CannotRenderError, Episode, play, require_display
from a2c.window import HELP, Controls, Window, screen

_SHOWN_SECONDS = 1 / 60
"""The shortest time that a picture stays: a screen shows no more than 60 a second."""
_NAP_SECONDS = 0.01
"""The pause between two looks at the keys."""
_END_SECONDS = 1.0
"""How long the last picture of an episode stays."""
_AT_LEAST = 480
"""Narrower pictures are enlarged, by a whole factor, to at least this width."""


@dataclasses.dataclass(frozen=True)
class Watch:
    """Watch a run's policy in a window. H shows the keys: pause, one step, faster, slower, again, next."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    episodes: int = 3
    """How many episodes to show."""
    which: Which = "best"
    """The best policy by evaluation during training, the final one, or the one saved after so many steps."""
    greedy: bool = True
    """Take the most probable action; --no-greedy samples."""
    env: str | None = None
    """Make this environment instead of the run's; needed if the run's would import a module."""
    network: str | None = None
    """The run's own network, module:Class: import it; needed if somebody else trained it."""
    seed: int = 0
    """Seed of the first episode; it grows by 1 with each."""
    speed: float = 1.0
    """The speed at the start, as a multiple of the environment's own."""
    json: bool = False
    """Print one JSON object in the end: the episodes with their returns. Their lines go to standard error."""

    def run(self) -> int:
        """Returns the exit code."""
        if self.episodes < 1:
            raise UserError(f"episodes is {self.episodes}; it must be at least 1")
        if not 0.01 <= self.speed <= 100:
            raise UserError(f"speed is {self.speed}; it must be from 0.01 to 100")
        run = Run(self.folder, self.network)
        require_display()
        try:
            # The screen is opened first, so that an error in it is ours and not the environment's.
            with screen(), play(run, self.which, self.greedy, self.seed, "rgb_array", self.env, True) as episode:
                watched = self._watch(run, episode)
        except CannotRenderError as error:
            if "human" not in error.modes:
                raise
            print(f"{error}; showing its own window instead, which takes no keys", file=sys.stderr)
            watched = self._watch_without_keys(run)
        if self.json:
            print_json({"run": self.folder, "which": self.which, "episodes": [one.to_json() for one in watched]})
        return 0

    def _watch(self, run: Run, episode: Episode) -> list[_Watched]:
        """Plays the episodes in our own window."""
        controls = Controls()
        controls.speed = self.speed
        view = _View(f"{run.config.env_id}, {in_words(self.which, run.config)}", episode, controls)
        watched, number = [], 0
        while number < self.episodes and not controls.wants_end:
            seed = self.seed + number
            if number or controls.wants_again:
                episode.begin(seed)
            controls.begin()
            view.begin(f"episode {number + 1} of {self.episodes}, seed {seed}")
            watched.append(_Watched(seed, *view.play(), episode.is_over))
            print(f"episode {number + 1}: {watched[-1].in_words()}", flush=True)
            number += not controls.wants_again
        return watched

    def _watch_without_keys(self, run: Run) -> list[_Watched]:
        """Plays the episodes in the environment's own window."""
        watched = []
        with play(run, self.which, self.greedy, self.seed, "human", self.env) as episode:
            for number in range(self.episodes):
                if number:
                    episode.begin(self.seed + number)
                rewards = [reward for reward, _ in episode.steps()]
                watched.append(_Watched(self.seed + number, sum(rewards), len(rewards), episode.is_over))
                print(f"episode {number + 1}: {watched[-1].in_words()}", flush=True)
        return watched


class _Watched(NamedTuple):
    """An episode that was shown."""

    seed: int
    episode_return: float
    steps: int
    is_over: bool
    """False: a key ended it before its end."""

    def in_words(self) -> str:
        what = "" if self.is_over else ", left before its end"
        return f"return {shown_returns([self.episode_return])[0]}, {self.steps} steps{what}"

    def to_json(self) -> dict[str, float]:
        return {"seed": self.seed, "return": self.episode_return, "steps": self.steps, "is_over": self.is_over}


class _Seen(NamedTuple):
    """What the window shows."""

    picture: Picture
    total: float
    steps: int


class _View:
    """An episode in a window, played at the chosen speed."""

    def __init__(self, title: str, episode: Episode, controls: Controls) -> None:
        """Opens a window for the pictures of an episode that has begun.

        Raises:
            UserError: No window can be opened, or the environment draws no pictures.
        """
        self._episode, self._controls, self._what = episode, controls, ""
        self._strip: tuple[int, Strip] | None = None
        self._largest = 0.0  # of the returns, which decides how many digits are shown
        self._seen = _Seen(self._picture(), 0.0, 0)
        height, width = self._framed().shape[:2]
        self._window = Window(f"{title} (H: keys)", height, width)

    def begin(self, what: str) -> None:
        """Shows the first picture of an episode, with `what` as its title."""
        self._what = what
        self._show(0.0, 0)

    def play(self) -> tuple[float, int]:
        """Plays the episode to its end, or until a key leaves it; returns the sum of rewards and the steps."""
        controls, total, steps = self._controls, 0.0, 0
        due = time.perf_counter() + self._step_seconds()
        self._wait(due)
        for reward, _ in self._until_left():
            total, steps = total + reward, steps + 1
            if self._episode.is_over or controls.is_paused or time.perf_counter() - self._shown_at >= _SHOWN_SECONDS:
                self._show(total, steps)
            # After a slow step, do not hurry to catch up.
            due = max(due + self._step_seconds(), time.perf_counter() - _SHOWN_SECONDS)
            self._wait(due)
            if controls.leaves:
                break
        if self._episode.is_over and not controls.leaves:
            self._wait(time.perf_counter() + _END_SECONDS)
        return total, steps

    def _until_left(self) -> Iterator[tuple[float, object]]:
        """The steps of the episode; none if it was left before the first."""
        return iter(()) if self._controls.leaves else self._episode.steps(rendered=False)

    def _step_seconds(self) -> float:
        return 1 / (self._episode.fps * self._controls.speed)

    def _wait(self, due: float) -> None:
        """Handles keys until the next step is due; in a pause, until a key asks for a step."""
        controls = self._controls
        while not controls.leaves:
            keys = self._window.keys()
            for key in keys:
                controls.press(key)
            if controls.wants_step and not self._episode.is_over:
                controls.wants_step = False
                return
            if keys:
                self._redraw()
            left = due - time.perf_counter()
            if left <= 0 and not controls.is_paused:
                return
            time.sleep(_NAP_SECONDS if controls.is_paused else max(0.0, min(_NAP_SECONDS, left)))

    def _show(self, total: float, steps: int) -> None:
        self._seen = _Seen(self._picture(), total, steps)
        self._largest = max(self._largest, abs(total))
        self._redraw()

    def _redraw(self) -> None:
        self._window.show(self._framed())
        self._shown_at = time.perf_counter()

    def _picture(self) -> Picture:
        return legible(in_bytes(picture_of(self._episode.render())), _AT_LEAST)

    def _framed(self) -> Picture:
        """The picture with the text above it."""
        picture, total, steps = self._seen
        if self._strip is None or self._strip[0] != picture.shape[1]:
            longest = Caption("return -10,000.000", "step 100,000, 1/64x, paused", "episode 100 of 100, seed 1000")
            self._strip = picture.shape[1], Strip(picture.shape[1], longest)
        right = [f"step {steps:,}", self._controls.in_words(), "end" if self._episode.is_over else ""]
        if self._controls.shows_help:
            picture = explained(picture, HELP)
        shown, _ = shown_returns([total, self._largest])
        return self._strip[1].above(picture, Caption(f"return {shown}", ", ".join(filter(None, right)), self._what))
