"""Standing: the progress of a run as plain numbers, for whatever shows it to the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

CURVE_POINTS = 32
"""Points of a learning curve over the whole run."""

Curve = list[float | None]
"""[CURVE_POINTS] the last mean return in each section of the run; None: no episode has ended in it."""


class Evaluated(NamedTuple):
    """The result of an evaluation, and after how many steps of the run."""

    mean: float
    std: float
    steps: int


class Standing(NamedTuple):
    """The progress of a run, in numbers and strings that JSON can hold."""

    steps: int
    total_steps: int
    doing: str
    """What it does, in a few words; empty while it trains."""
    episode_return: float | None
    """Mean over the episodes of the last row of metrics in which one ended."""
    curve: Curve
    evaluation: Evaluated | None
    """The last evaluation during training."""
    best_return: float | None
    """Mean return of the best policy so far, in the evaluation that chose it."""
    best_steps: int | None
    """The steps after which that was."""
    seconds: Mapping[str, float]
    """Where the time went, by part: those of training, "evaluation", "saving"."""
    metrics: Mapping[str, float]
    """The last row of metrics."""
    events: Mapping[str, int]
    """How many events this process has recorded, by kind."""

    @property
    def train_seconds(self) -> float:
        """How long updates took."""
        return sum(seconds for name, seconds in self.seconds.items() if name not in ("evaluation", "saving"))

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {**self._asdict(), "seconds": dict(self.seconds), "metrics": dict(self.metrics)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Standing:
        """From what `to_json` returned."""
        evaluation = values["evaluation"]
        return cls(**{**values, "evaluation": None if evaluation is None else Evaluated(*evaluation)})


class Clock(NamedTuple):
    """The times of a run that a view shows."""

    elapsed_seconds: float
    """Since this process began to train it."""
    left_seconds: float | None
    """Estimate until its last step; None: unknown yet."""
    steps_per_second: float | None
    """Of training, in the last seconds."""


def curve_from(values: Any) -> Curve:
    """The curve in a checkpoint's notes; an empty one if they have none, as in older versions."""
    if isinstance(values, Sequence) and len(values) == CURVE_POINTS:
        return [value if isinstance(value, float) else None for value in values]
    return [None] * CURVE_POINTS
