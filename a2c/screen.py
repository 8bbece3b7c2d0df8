"""What a person sees while a run trains: a live view on a terminal, lines elsewhere, or nothing."""

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
"""The share of the time that drawing may take: a frame that takes longer than its share is drawn less often."""

_PACE_FRAMES = 20
"""Steps per second are those of so many frames, five seconds, so that the number stands still enough to be read."""


class Begun(NamedTuple):
    """A run that begins to be trained, or to go on."""

    title: str
    """Environment and seed."""
    place: str
    """Engine, threads, environments."""
    path: Path


class Display(Protocol):
    """Shows what a person wants to know of runs that train here, one after another."""

    def line(self, text: str) -> None:
        """Says something that is not to be missed."""
        ...

    def told(self, text: str) -> None:
        """Says what a view shows anyway: an evaluation's result."""
        ...

    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> contextlib.AbstractContextManager[None]:
        """Shows a run while entered; `standing` may be asked at any time, from any thread."""
        ...

    def close(self) -> None:
        """Leaves what is shown as it is, with the terminal as it was."""
        ...


class Nowhere:
    """Nobody looks."""

    def line(self, text: str) -> None:
        """Nobody listens."""

    def told(self, text: str) -> None:
        """Nobody listens."""

    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> contextlib.AbstractContextManager[None]:
        """Nothing."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Nothing was opened."""


class Lines:
    """Lines on standard error, one per evaluation: for a file, a pipe, a notebook, a terminal that only prints."""

    def line(self, text: str) -> None:
        """Prints it."""
        print(text, file=sys.stderr, flush=True)

    told = line

    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> contextlib.AbstractContextManager[None]:
        """Prints what begins."""
        self.line(f"{begun.title}: {begun.place}\nrun {begun.path}")
        return contextlib.nullcontext()

    def close(self) -> None:
        """There is nothing to put back."""


class Live:
    """A frame at the bottom of a terminal, drawn again in its place; what is printed meanwhile goes above it."""

    def __init__(self, stream: TextIO) -> None:
        """Draws nothing yet."""
        from rich.console import Console  # Here: only who looks needs it.
        from rich.live import Live as Redrawn

        self.console = Console(file=stream)
        self._live = Redrawn(
            console=self.console,
            auto_refresh=False,
            # What goes to a file stays there.
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        self._next = self._begin = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """Since it was begun."""
        return time.monotonic() - self._begin

    def begin(self) -> None:
        """From here on there may be frames."""
        self._live.start()
        self._begin = time.monotonic()

    def draw_if_due(self, frame: Callable[[int, bool], object], is_last: bool = False) -> None:
        """Draws a frame if the last one is old enough.

        Args:
            frame: Makes it, for so many columns and with plain characters or not.
            is_last: Whether it is drawn however old that is.
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
        """Leaves the last frame where it is."""
        self._live.stop()


class Terminal:
    """The live view of one run after another. A thread draws it, so that time goes on where an environment is slow."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._live: Live | None = None

    def line(self, text: str) -> None:
        """Above the view, where there is one."""
        if self._live is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._live.line(text)

    def told(self, text: str) -> None:
        """The view shows the last evaluation, and metrics.jsonl has all of them."""

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
    """How fast a run goes: steps per second of the last seconds, and how long it will take."""

    def __init__(self, first: Standing) -> None:
        """From how it stood when this process took it up."""
        self._first = first
        self._last: collections.deque[tuple[int, float]] = collections.deque(maxlen=_PACE_FRAMES)

    def clock(self, now: Standing, elapsed_seconds: float) -> Clock:
        """The time, as of now; called for every frame."""
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
    """Calls something in a thread of its own a few times a second, while entered; not at all where there is none."""
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
    """Whether standard error is a terminal on which a frame can be drawn again in its place."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def display_for(progress: bool) -> Display:
    """What suits standard error; nothing where nobody asked."""
    return (Terminal() if is_live() else Lines()) if progress else Nowhere()
