"""`a2c resume RUN`: continues a run, to the same bits as if it had never been interrupted."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Any, Literal

import tyro

from a2c.commands.train import draw_pictures, exit_code, report
from a2c.imports import importing
from a2c.output import print_json
from a2c.run.folder import Run
from a2c.screen import display_for


@dataclasses.dataclass(frozen=True)
class Resume:
    """Continue a run from its newest checkpoint, to the same bits as if it had never been interrupted."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    total_steps: int | None = None
    """Train to this many steps in all. Exact if the learning rate's schedule does not depend on it."""
    stop_at_return: float | None = None
    """End at the first evaluation that reaches this return."""
    engine: Literal["auto", "compiled", "paddle"] | None = None
    """Use another engine. The bits then differ."""
    num_threads: int | Literal["auto"] | None = None
    """Threads of the compiled engine."""
    num_workers: int | Literal["auto"] | None = None
    """Worker processes beside this one."""
    isolate_envs: bool | None = None
    """Put every environment in a worker."""
    cluster: str | None = None
    """Step environments on this Ray cluster instead; none: all here."""
    num_actors: int | Literal["auto"] | None = None
    """Actors that environments are divided among there."""
    env_timeout_seconds: float | None = None
    """How long a step of an environment may take before it counts as hung."""
    save_every_seconds: float | None = None
    """Time between checkpoints."""
    keep_checkpoints: int | None = None
    """How many of the newest checkpoints to keep."""
    keep_policy_at: tuple[int, ...] | None = None
    """Save the policy after these numbers of steps instead; those already passed are ignored."""
    env: str | None = None
    """Make this environment instead of the run's; needed if the run's would import a module."""
    network: str | None = None
    """The run's own network, module:Class: import it; needed if somebody else trained it."""
    pictures: bool = True
    """Draw curve.png, record video.gif and write report.html at the end."""
    quiet: bool = False
    """Print only warnings while it trains."""
    json: bool = False
    """Print the summary as one JSON object."""

    def run(self) -> int:
        """Returns the exit code: 128 + the signal's number if one ended the run early."""
        with importing():
            from a2c.training import go_on  # Not at the top: Numba is slow to import, and few verbs need it.
        opened = Run(self.folder, self.network)
        apart = ("folder", "env", "network", "pictures", "quiet", "json")
        names = [field.name for field in dataclasses.fields(self) if field.name not in apart]
        changes: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        was_finished = opened.is_finished
        run = go_on(opened, self.env, display_for(not self.quiet), owns_process=True, **changes)
        summary = run.summary
        if self.json:
            print_json({"run": str(run.path), **summary})
        else:
            print(report(run))
        if was_finished and run is opened:
            more = "--stop-at-return" if run.has_reached(run.config) else "--total-steps"
            print(f"{run.path} is finished; a larger {more} trains it further", file=sys.stderr)
        elif run.stopped_by:
            print(f"stopped by {run.stopped_by.name}; `{run.command('resume')}` continues it", file=sys.stderr)
        elif self.pictures:
            draw_pictures(run, self.env or run.config.env_id, sys.stderr if self.json else sys.stdout)
        return exit_code(run)
