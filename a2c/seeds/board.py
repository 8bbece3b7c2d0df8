"""How a person sees several seeds while they are trained."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from a2c.screen import Live, is_live
from a2c.seeds.rows import Row


class Board:
    """A row per seed; on a terminal they are a live view, elsewhere lines that begin with the seed.

    Attributes:
        rows: By seed.
    """

    def __init__(self, seeds: Iterable[int], title: str, is_quiet: bool) -> None:
        """All of them wait.

        Args:
            seeds: Which.
            title: What is trained.
            is_quiet: Whether nothing is shown but warnings.
        """
        self.rows = {seed: Row(seed) for seed in seeds}
        self._title, self._is_quiet = title, is_quiet
        self._said: set[str] = set()
        self._live = Live(sys.stderr) if is_live() and not is_quiet else None
        if self._live is not None:
            self._live.begin()

    def update(self, seed: int, **changes: object) -> Row:
        """Changes a row, and returns it."""
        row = self.rows[seed] = self.rows[seed]._replace(**changes)  # type: ignore[arg-type]  # fields of Row
        return row

    def text(self, seed: int, text: str) -> None:
        """What a seed's process printed by itself."""
        if text.strip():
            self._print(f"seed {seed}: {text}")

    def warn(self, seed: int, text: str) -> None:
        """Says something of a seed, quiet or not; what was said of another one already is not said again."""
        if text not in self._said:
            self._said.add(text)
            self.text(seed, text)

    def warn_of_all(self, text: str) -> None:
        """Says, once, what holds for every seed."""
        if text not in self._said:
            self._said.add(text)
            self._print(f"a2c: {text}")

    def line(self, seed: int, text: str) -> None:
        """Says something of a seed, once for all that say the same."""
        if not self._is_quiet:
            self.warn(seed, text)

    def told(self, seed: int, text: str) -> None:
        """Says what the live view shows anyway."""
        if self._live is None and not self._is_quiet:
            self._print(f"seed {seed}: {text}")

    def draw(self, is_last: bool = False) -> None:
        """Draws the view, where there is one and it is time."""
        if self._live is not None:
            from a2c.frames import Look  # Here, as rich: only who looks needs them.
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
        """Leaves the last frame where it is."""
        if self._live is not None:
            self._live.close()

    def _print(self, text: str) -> None:
        if self._live is not None:
            self._live.line(text)
        else:
            print(text, file=sys.stderr, flush=True)
