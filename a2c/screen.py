"""Progress of a training run on standard error: a live view on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, TextIO

from a2c.machine import started
from a2c.run.standing import Clock, Standing

_FRAME_SECONDS = 0.25
_MOST_OF_TIME = 0.005
"""The largest share of the time for drawing: slow frames are drawn less often."""

_PACE_FRAMES = 20
"""Steps per second are averaged over so many frames, five seconds, so that the number is steady enough to read."""


class Begun(NamedTuple):
    """A run whose training begins or is resumed."""

    title: str
    """Environment and seed."""
    place: str
    """Engine, threads, environments."""
    path: Path


class Display(Protocol):
    """Shows the progress of runs that this process trains, one after another."""

    def line(self, text: str) -> None:
        """Prints a line."""
        ...

    def progress(self, text: str) -> None:
        """Prints a line on how far training is, such as an evaluation's result; a live view shows that anyway."""
        ...

    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> contextlib.AbstractContextManager[None]:
        """Shows a run while entered; `standing` may be called at any time, from any thread."""
        ...

    def close(self) -> None:
        """Leaves the last frame on the screen and restores the terminal."""
        ...


class Nowhere:
    """Shows nothing."""

    def line(self, text: str) -> None:
        """Does nothing."""

    def progress(self, text: str) -> None:
        """Does nothing."""

    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> contextlib.AbstractContextManager[None]:
        """Does nothing."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Does nothing."""


class Lines:
    """Lines on standard error, one per evaluation: for a file, a pipe, a notebook, a terminal that only prints."""

    def line(self, text: str) -> None:
        """Prints it."""
        print(text, file=sys.stderr, flush=True)

    progress = line

    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> contextlib.AbstractContextManager[None]:
        """Prints which run begins."""
        self.line(f"{begun.title}: {begun.place}\nrun {begun.path}")
        return contextlib.nullcontext()

    def close(self) -> None:
        """Does nothing: there is nothing to restore."""


class Live:
    """A frame at the bottom of a terminal, redrawn in place; lines printed meanwhile go above it."""

    def __init__(self, stream: TextIO) -> None:
        """Draws nothing yet."""
        from rich.console import Console  # Not at the top: only a live view needs it.
        from rich.live import Live as Redrawn

        self.console = Console(file=stream)
        self._live = Redrawn(
            console=self.console,
            auto_refresh=False,
            # Otherwise output redirected to a file would end up on the terminal.
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        self._next = self._begin = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since `begin`."""
        return time.monotonic() - self._begin

    def begin(self) -> None:
        """Takes over the bottom of the terminal."""
        self._live.start()
        self._begin = time.monotonic()

    def draw_if_due(self, frame: Callable[[int, bool], object], is_last: bool = False) -> None:
        """Draws a frame if the last one is old enough.

        Args:
            frame: Makes the frame, from the number of columns and whether to use only ASCII.
            is_last: Draws in any case.
        """
        if not is_last and time.monotonic() < self._next:
            return
        begin = time.thread_time()
        options = self.console.options
        self._live.update(frame(options.max_width, options.ascii_only), refresh=True)  # type: ignore[arg-type]
        spent = time.thread_time() - begin
        self._next = time.monotonic() + max(_FRAME_SECONDS, spent / _MOST_OF_TIME)

    def line(self, text: str) -> None:
        """Prints a line above the frame."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Ends the view; the last frame stays."""
        self._live.stop()


class Terminal:
    """The live view of one run after another. A thread draws it, so that its clock runs even if a step is slow."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        self._live: Live | None = None

    def line(self, text: str) -> None:
        """Prints a line, above the view if there is one."""
        if self._live is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._live.line(text)

    def progress(self, text: str) -> None:
        """Does nothing: the view shows the last evaluation, and metrics.jsonl has all of them."""

    @contextlib.contextmanager
    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> Iterator[None]:
        """Shows a run while entered; the last frame stays."""
        from a2c.frames import Look, frame_of_run

        self.line(f"run {begun.path}")
        self._live = live = Live(sys.stderr)
        pace = Pace(standing())
        live.begin()

        def frame(width: int, is_ascii: bool) -> object:
            now = standing()
            return frame_of_run(
                now, pace.clock(now, live.elapsed_seconds), begun.title, begun.place, Look.of(width, is_ascii)
            )

        try:
            with ticking(lambda: live.draw_if_due(frame)):
                yield
            live.draw_if_due(frame, is_last=True)
        finally:
            self.close()

    def close(self) -> None:
        """Puts the cursor below the last frame."""
        live, self._live = self._live, None
        if live is not None:
            live.close()


class Pace:
    """Measures a run's speed over the last seconds, and estimates the time left."""

    def __init__(self, first: Standing) -> None:
        """Begins at the run's progress when this process started or resumed it."""
        self._first = first
        self._last: collections.deque[tuple[int, float]] = collections.deque(maxlen=_PACE_FRAMES)

    def clock(self, now: Standing, elapsed_seconds: float) -> Clock:
        """The run's times now; called for every frame."""
        self._last.append((now.steps, now.train_seconds))
        made, left = now.steps - self._first.steps, now.total_steps - now.steps
        steps, seconds = (b - a for a, b in zip(self._last[0], self._last[-1], strict=True))
        return Clock(
            elapsed_seconds,
            0.0 if left <= 0 else elapsed_seconds * left / made if made else None,
            steps / seconds if steps > 0 and seconds > 0 else None,
        )


@contextlib.contextmanager
def ticking(tick: Callable[[], None]) -> Iterator[None]:
    """While entered, calls `tick` a few times a second in another thread; not at all if no thread can start."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(_FRAME_SECONDS / 2):
            tick()

    thread = threading.Thread(target=run, daemon=True, name="a2c-view")
    is_started = started(thread)
    try:
        yield
    finally:
        is_over.set()
        if is_started:
            thread.join()


def is_live() -> bool:
    """Whether standard error is a terminal that can redraw a frame in place."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def display_for(progress: bool) -> Display:
    """The display that suits standard error; without `progress`, one that shows nothing."""
    return (Terminal() if is_live() else Lines()) if progress else Nowhere()
