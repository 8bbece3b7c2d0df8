"""The state of each seed while several are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from a2c.run.standing import Standing

State = Literal["waiting", "starting", "training", "done", "stopped", "failed"]


class Row(NamedTuple):
    """One seed."""

    seed: int
    state: State = "waiting"
    path: Path | None = None
    """Its run's folder, once the run has begun."""
    standing: Standing | None = None
    begun: float = 0.0
    """When it began, by `time.monotonic`."""
    seconds: float | None = None
    """How long it took; None: it is not over."""
    why: str = ""
    """A sentence, if it failed."""
    code: int = 0
    """The exit code for that."""
    is_diverged: bool = False
    """Whether it failed because its numbers diverged."""
