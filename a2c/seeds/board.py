"""What the user sees of several seeds while they are trained."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from a2c.screen import Live, is_live
from a2c.seeds.rows import Row


class Board:
    """A row per seed. On a terminal it is a live view; elsewhere it prints lines that begin with the seed.

    Attributes:
        rows: The rows, by seed.
    """

    def __init__(self, seeds: Iterable[int], title: str, is_quiet: bool) -> None:
        """Shows all seeds as waiting.

        Args:
            seeds: The seeds.
            title: What is trained.
            is_quiet: Whether to show only warnings.
        """
        self.rows = {seed: Row(seed) for seed in seeds}
        self._title, self._is_quiet = title, is_quiet
        self._printed: set[str] = set()
        self._live = Live(sys.stderr) if is_live() and not is_quiet else None
        if self._live is not None:
            self._live.begin()

    def update(self, seed: int, **changes: object) -> Row:
        """Changes a row, and returns it."""
        row = self.rows[seed] = self.rows[seed]._replace(**changes)  # type: ignore[arg-type]  # fields of Row
        return row

    def text(self, seed: int, text: str) -> None:
        """Prints a line that a seed's process wrote to standard error."""
        if text.strip():
            self._print(f"seed {seed}: {text}")

    def warn(self, seed: int, text: str) -> None:
        """Prints a warning of a seed, even if quiet; the same text of another seed is not repeated."""
        if text not in self._printed:
            self._printed.add(text)
            self.text(seed, text)

    def warn_of_all(self, text: str) -> None:
        """Prints, once, a warning that concerns every seed."""
        if text not in self._printed:
            self._printed.add(text)
            self._print(f"a2c: {text}")

    def line(self, seed: int, text: str) -> None:
        """Prints a line of a seed unless quiet; the same text of another seed is not repeated."""
        if not self._is_quiet:
            self.warn(seed, text)

    def progress(self, seed: int, text: str) -> None:
        """Prints a line on how far a seed is, unless quiet; a live view shows that anyway."""
        if self._live is None and not self._is_quiet:
            self._print(f"seed {seed}: {text}")

    def draw(self, is_last: bool = False) -> None:
        """Draws the live view, if there is one and it is due."""
        if self._live is not None:
            from a2c.frames import Look  # Here: these and rich are only needed for a live view.
            from a2c.seeds.frame import frame_of_seeds

            elapsed, height = self._live.elapsed_seconds, self._live.console.height
            rows = list(self.rows.values())
            self._live.draw_if_due(
                lambda width, is_ascii: frame_of_seeds(
                    rows, time.monotonic(), elapsed, self._title, height, Look.of(width, is_ascii)
                ),
                is_last,
            )

    def close(self) -> None:
        """Ends the live view; its last frame stays on the screen."""
        if self._live is not None:
            self._live.close()

    def _print(self, text: str) -> None:
        if self._live is not None:
            self._live.line(text)
        else:
            print(text, file=sys.stderr, flush=True)
