"""Books: collects the metrics of updates and writes rows of their means."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.engines import Metrics
from a2c.errors import UserError
from a2c.finite import finite_or_none
from a2c.learner import Update
from a2c.run.logs import Logs
from a2c.run.standing import CURVE_POINTS, Curve, curve_from
from a2c.schedule import is_due

_EARLY, _COLLAPSED = 4, 0.03
"""In the first 1 / _EARLY of a run, an entropy below _COLLAPSED of the largest possible is warned of."""


class Books:
    """Collects the metrics of updates, and writes a row of means every `log_every_steps`.

    Attributes:
        episode_return: Mean over the episodes of the last row in which an episode ended; None: none has ended yet.
        train_seconds: How long the updates took that are in rows already.
        curve: The mean returns of the run so far, CURVE_POINTS of them.
        row: The last row of metrics.
    """

    def __init__(self, config: Config, logs: Logs, action_space: Any) -> None:
        """Empty books; `restore` continues those of a resumed run.

        Args:
            config: The run's settings.
            logs: Where the rows are written.
            action_space: The policy's; for a Discrete, the largest possible entropy is known.
        """
        self.episode_return: float | None = None
        self.train_seconds = 0.0
        self.curve: Curve = curve_from(None)
        self.row: dict[str, float] = {}
        self._config, self._logs = config, logs
        self._width = len(Update._fields) + 2 * len(config.log_info)
        self._pending: list[NDArray[np.float64]] = []  # rows of updates since the last row of metrics
        self._pending_seconds = 0.0
        self._is_written = True
        # Only for Discrete: the entropy of continuous actions has no upper limit. None: not watched (any more).
        is_choice = isinstance(action_space, gymnasium.spaces.Discrete) and action_space.n > 1
        self._most_entropy = math.log(int(action_space.n)) if is_choice else None
        self._collapse: str | None = None

    def take_in(self, updates: NDArray[np.float64], made: int, seconds: float) -> None:
        """Adds some updates, and writes the rows of metrics that are due after one of them.

        Args:
            updates: [count, 10 + 2M], as `Learner.update` returns them.
            made: Updates of the run, these included.
            seconds: How long these took.
        """
        size, each = self._config.steps_per_update, seconds / len(updates)
        before = made - len(updates)
        steps = size * np.arange(before + 1, made + 1)  # after each update
        begin = 0
        for due in np.flatnonzero(is_due(self._config.log_every_steps, steps, size)).tolist():
            self._add(updates[begin : due + 1], each)
            self._write_row(before + due + 1)
            begin = due + 1
        self._add(updates[begin:], each)

    def write_rest(self, made: int) -> None:
        """Writes the row of the updates since the last one, if there are any.

        Args:
            made: Updates of the run.
        """
        if sum(map(len, self._pending)):
            self._write_row(made)

    def flush(self) -> str | None:
        """Writes the rows to the files. If that fails, returns why, once; the rows wait for the next `flush`."""
        try:
            self._logs.flush()
        except UserError as error:
            is_new, self._is_written = self._is_written, False
            return str(error) if is_new else None
        self._is_written = True
        return None

    def take_collapse(self) -> str | None:
        """A warning, once, if the entropy of the policy has collapsed early in the run; else None."""
        sentence, self._collapse = self._collapse, None
        return sentence

    def state(self) -> tuple[dict[str, Any], NDArray[np.float64]]:
        """The notes for a checkpoint, and the updates since the last row, [count, 10 + 2M]."""
        notes = {
            "pending_seconds": self._pending_seconds,
            "train_seconds": self.train_seconds,
            "episode_return": finite_or_none(self.episode_return),
            "curve": [finite_or_none(value) for value in self.curve],
        }
        return notes, np.concatenate([np.empty((0, self._width)), *self._pending])

    def restore(self, notes: dict[str, Any], pending: NDArray[Any]) -> None:
        """Continues from a `state()`.

        Raises:
            KeyError, TypeError, ValueError: Something is missing or has another type.
        """
        if pending.shape[1:] != (self._width,) or pending.dtype != np.float64:
            raise ValueError(f"session.pending is {pending.dtype} {pending.shape}")
        self._pending = [pending] if len(pending) else []
        self._pending_seconds = float(notes["pending_seconds"])
        self.train_seconds = float(notes["train_seconds"])
        self.episode_return = None if notes["episode_return"] is None else float(notes["episode_return"])
        self.curve = curve_from(notes.get("curve"))

    def _add(self, updates: NDArray[np.float64], seconds_each: float) -> None:
        self._pending.append(updates)
        self._pending_seconds += len(updates) * seconds_each

    def _write_row(self, made: int) -> None:
        """Writes a row of metrics: means over the updates since the last one, and over the episodes that ended."""
        pending, seconds = np.concatenate(self._pending), self._pending_seconds
        self._pending, self._pending_seconds = [], 0.0
        self.train_seconds += seconds
        row = {"updates": float(made)}
        updates, noted = pending[:, : len(Update._fields)], pending[:, len(Update._fields) :]
        means = Update(*(updates.sum(0) / len(updates)).tolist())
        if means.episodes:
            row["episode_return"] = self.episode_return = means.return_sum / means.episodes
            row["episode_length"] = means.length_sum / means.episodes
        row |= zip(Metrics._fields, means, strict=False)
        row["learning_rate"] = float(updates[-1, -1])
        keys = self._config.log_info
        for key, total, count in zip(keys, *noted.sum(0).reshape(2, len(keys)).tolist(), strict=True):
            if count:
                row[f"info/{key}"] = total / count
        row["steps_per_second"] = len(pending) * self._config.steps_per_update / seconds
        steps = made * self._config.steps_per_update
        if "episode_return" in row:
            place = CURVE_POINTS * (steps - 1) // self._config.total_steps
            self.curve[min(place, CURVE_POINTS - 1)] = self.episode_return
        self.row = row
        self._logs.write(steps, row)
        self._look_at_entropy(means.entropy, steps)

    def _look_at_entropy(self, entropy: float, steps: int) -> None:
        if self._most_entropy is None or steps > self._config.total_steps // _EARLY:
            return
        if entropy < _COLLAPSED * self._most_entropy:
            self._collapse = (
                f"the entropy is {entropy:.2g} after {steps:,} steps, of at most {self._most_entropy:.2g}: the policy "
                f"hardly explores any more; if returns do not rise, try --entropy-coef 0.01"
            )
            self._most_entropy = None
