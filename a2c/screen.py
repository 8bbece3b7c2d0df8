"""What a person sees while a run trains: a progress bar on a terminal, a line for an evaluation everywhere."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


class Screen:
    """Standard error while a run trains; one that shows nothing where nobody asked."""

    def __init__(self, total_steps: int, steps: int, is_shown: bool) -> None:
        """Begins the bar.

        Args:
            total_steps: Where it ends.
            steps: Where it begins.
            is_shown: Whether anything is shown. The bar only is where standard error is a terminal.
        """
        self._is_shown, self._return = is_shown, ""
        self._bar: Any = tqdm(
            total=total_steps, initial=steps, unit=" steps", unit_scale=True, disable=None if is_shown else True
        )

    def advance(self, steps: int, episode_return: str) -> None:
        """So many steps were made, and episodes bring so much."""
        self._return = f"return {episode_return}" if episode_return else ""
        self._bar.set_postfix_str(self._return, refresh=False)
        self._bar.update(steps)

    def evaluating(self, ended: int, episodes: int) -> None:
        """An evaluation is going on, and has come so far."""
        self._bar.set_postfix_str(f"evaluating: {ended} of {episodes} episodes", refresh=False)
        self._bar.update(0)
        self._bar.refresh()

    def evaluated(self) -> None:
        """The evaluation is over."""
        self._bar.set_postfix_str(self._return, refresh=False)

    def line(self, text: str) -> None:
        """A line above the bar."""
        if self._is_shown:
            tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
