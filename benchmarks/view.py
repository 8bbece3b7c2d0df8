"""Makes the docs' pictures of the live views from real training: docs/live_view.svg and docs/seeds_view.svg.

python -m benchmarks.view
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from rich.console import Console

from a2c.frames import COLUMNS, Look, frame_of_run
from a2c.presets import configure, fit_beside_preset, origins
from a2c.run.standing import Standing
from a2c.screen import Nowhere, Pace, ticking
from a2c.seeds.board import Board
from a2c.seeds.frame import frame_of_seeds
from a2c.seeds.one import jobs_for
from a2c.seeds.parent import train_all
from a2c.seeds.places import Here, processes_for
from a2c.training import fit

DOCS = Path(__file__).parent.parent / "docs"
SETTINGS = {"vectorization": "local", "total_steps": 100_000}
SHOWN_AT = 0.62
"""Of the run: what a person would see then."""

LOOK = Look(COLUMNS, is_ascii=False)


class Watch(Nowhere):
    """Keeps the frame of a moment."""

    frame: object = None

    @contextlib.contextmanager
    def shown(self, begun, standing):
        pace, begin = Pace(standing()), time.monotonic()

        def look():
            now: Standing = standing()
            clock = pace.clock(now, time.monotonic() - begin)
            if self.frame is None and now.steps >= SHOWN_AT * now.total_steps:
                self.frame = frame_of_run(now, clock, begun.title, begun.place, LOOK)

        with ticking(look):
            yield


class WatchedBoard(Board):
    """Keeps the frame of a moment."""

    frame: object = None
    begin = time.monotonic()

    def draw(self, is_last: bool = False) -> None:
        rows = list(self.rows.values())
        if self.frame is None and sum(row.state == "done" for row in rows) >= SHOWN_AT * len(rows):
            now = time.monotonic()
            self.frame = frame_of_seeds(rows, now, now - self.begin, self._title, 24, LOOK)


def save(frame: object, name: str, command: str) -> None:
    with open(os.devnull, "w") as nowhere:
        console = Console(width=COLUMNS, record=True, force_terminal=True, file=nowhere)
        console.print(frame)
    path = DOCS / f"{name}.svg"
    # An id that follows from the content: the same frame makes the same file.
    path.write_text(console.export_svg(title=command, unique_id=name) + "\n", encoding="utf-8")
    print(path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit_beside_preset("CartPole-v1", "auto", SETTINGS)
        config = configure("CartPole-v1", "auto", {**SETTINGS, "run_dir": folder}, fitted)
        watch = Watch()
        fit(config, config.env_id, origins(config, "auto", fitted), watch)
        save(watch.frame, "live_view", "a2c train CartPole-v1 --vectorization local")
        config = configure("CartPole-v1", "auto", {"run_dir": folder}, fitted)
        jobs = jobs_for(config, "auto", range(8), resume=False)
        processes = processes_for(config, len(jobs))
        board = WatchedBoard(range(8), f"CartPole-v1, seeds 0 to 7, {processes} at a time", is_quiet=True)
        board.begin = time.monotonic()
        train_all(jobs, Here(processes), board)
        save(board.frame, "seeds_view", "a2c train CartPole-v1 --seeds 8")


if __name__ == "__main__":
    main()
