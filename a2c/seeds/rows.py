"""What is known of every seed while they are trained."""

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
    """Its run's folder, as soon as there is one."""
    standing: Standing | None = None
    begun: float = 0.0
    """By the clock of `time.monotonic`."""
    seconds: float | None = None
    """What it took, once it is over."""
    why: str = ""
    """It failed, in a sentence."""
    code: int = 0
    """The exit code that comes of it."""
