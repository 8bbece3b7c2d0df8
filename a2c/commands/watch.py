"""`a2c watch RUN`: a run's policy in a window."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.run.folder import Run
from a2c.run.policies import Which
from a2c.stage import play


@dataclasses.dataclass(frozen=True)
class Watch:
    """Watch a run's policy in a window."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    episodes: int = 3
    """How many."""
    which: Which = "best"
    """The best policy by evaluation during training, the final one, or the one kept after so many steps."""
    greedy: bool = True
    """Take the most probable action; --no-greedy samples."""
    env: str | None = None
    """Make this environment instead of the one the run names; needed where that would import a module."""
    seed: int = 0
    """Seed of the first episode; the next ones follow."""

    def run(self) -> int:
        """Returns the exit code."""
        if self.episodes < 1:
            raise UserError(f"episodes is {self.episodes}; it must be at least 1")
        run = Run(self.folder)
        for number in range(self.episodes):
            with play(run, self.which, self.greedy, self.seed + number, "human", self.env) as episode:
                rewards = [reward for reward, _ in episode.steps()]
            print(f"episode {number + 1}: return {shown_returns([sum(rewards)])[0]}, {len(rewards)} steps")
        return 0
