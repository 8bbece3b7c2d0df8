"""`a2c evaluate RUN`: evaluates a run's policy over whole episodes in new environments."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import tyro

from a2c.evaluation import in_words
from a2c.output import print_json
from a2c.run import policies
from a2c.run.folder import Run
from a2c.run.policies import Which


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate a run's policy in new environments."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    episodes: int = 100
    """Episodes to average over."""
    greedy: bool = True
    """Take the most probable action; --no-greedy samples."""
    which: Which = "best"
    """The best policy by evaluation during training, the final one, or the one saved after so many steps."""
    seed: int | None = None
    """Seed of the episodes; by default the run's seed."""
    eval_num_envs: int | Literal["auto"] = "auto"
    """Environments played side by side. Another number plays other episodes."""
    env: str | None = None
    """Make this environment instead of the run's; needed if the run's would import a module."""
    network: str | None = None
    """The run's own network, module:Class: import it; needed if somebody else trained it."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Returns the exit code."""
        run = Run(self.folder, self.network)
        evaluation = run.evaluate(self.episodes, self.greedy, self.which, self.seed, self.env, self.eval_num_envs)
        summary = evaluation.summary()
        if self.json:
            print_json({"run": self.folder, "which": self.which, **summary})
        else:
            name = policies.in_words(self.which, run.config)
            print(f"{name}: {in_words(summary)} of {summary['mean_length']:.0f} steps on average")
        return 0
