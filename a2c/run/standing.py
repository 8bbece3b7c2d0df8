"""Standing: how a run stands, as numbers, for whoever shows it to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

CURVE_POINTS = 32
"""Of a learning curve over the whole run, from its first step to its last."""

Curve = list[float | None]
"""[CURVE_POINTS] the last mean return known in each stretch of the run; None: no episode ended in it, or not yet."""


class Evaluated(NamedTuple):
    """What an evaluation came to, and after how many steps of the run."""

    mean: float
    std: float
    steps: int


class Standing(NamedTuple):
    """How a run stands. All of it is plain numbers and texts, which JSON can have."""

    steps: int
    total_steps: int
    doing: str
    """In a few words; empty while it trains."""
    episode_return: float | None
    """Mean over the episodes of the last row of metrics that knows of some."""
    curve: Curve
    evaluation: Evaluated | None
    """The last one on the way."""
    best_return: float | None
    """What the best policy so far reached in the evaluation that chose it."""
    best_steps: int | None
    """After how many steps that was."""
    seconds: Mapping[str, float]
    """Where the time went, by part: those of training, evaluation, saving."""
    metrics: Mapping[str, float]
    """The last row of metrics."""
    events: Mapping[str, int]
    """What happened since this process trains, by kind."""

    @property
    def train_seconds(self) -> float:
        """What updates took."""
        return sum(seconds for name, seconds in self.seconds.items() if name not in ("evaluation", "saving"))

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {**self._asdict(), "seconds": dict(self.seconds), "metrics": dict(self.metrics)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Standing:
        """From what `to_json` gave, read back."""
        evaluation = values["evaluation"]
        return cls(**{**values, "evaluation": None if evaluation is None else Evaluated(*evaluation)})


class Clock(NamedTuple):
    """The time of a run as a view shows it."""

    elapsed_seconds: float
    """Since this process trains it."""
    left_seconds: float | None
    """Until its last step, as things go; None: nobody can tell yet."""
    steps_per_second: float | None
    """Of the last seconds, in training."""


def curve_from(values: Any) -> Curve:
    """A curve as a checkpoint has it; an empty one where that has none, as older ones."""
    if isinstance(values, Sequence) and len(values) == CURVE_POINTS:
        return [value if isinstance(value, float) else None for value in values]
    return [None] * CURVE_POINTS
