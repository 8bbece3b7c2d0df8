"""Writers of metrics: metrics.jsonl is the record; VisualDL and TensorBoard draw the same numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from a2c.config import Config
from a2c.errors import UserError

Row = Mapping[str, float]

TAGS = {
    "evaluation_return": "evaluation/return",
    "evaluation_length": "evaluation/length",
    "episode_return": "train/return",
    "episode_length": "train/length",
    "policy_loss": "loss/actor_loss",
    "value_loss": "loss/critic_loss",
    "loss": "loss/loss",
    "entropy": "train/entropy",
    "grad_norm": "train/gradient_norm",
    "explained_variance": "train/explained_variance",
    "learning_rate": "train/learning_rate",
    "steps_per_second": "train/steps_per_second",
}
"""Names in metrics.jsonl -> names of curves."""


class Log(Protocol):
    """Something that takes rows of numbers."""

    def write(self, steps: int, row: Row) -> None:
        """Takes the metrics after `steps` agent steps."""
        ...

    def flush(self) -> None:
        """Lets readers see what was written."""
        ...

    def close(self) -> None:
        """Puts everything on disk."""
        ...


LogOpener = Callable[[Path], Log]
"""Begins a log in a run's folder."""


class JsonLines:
    """One JSON object a line: `steps`, then the metrics. A NaN or infinity is written as null."""

    def __init__(self, path: Path) -> None:
        """Begins the file.

        Raises:
            UserError: It cannot be written.
        """
        self._path = path
        try:
            self._file: IO[str] = path.open("w", encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error

    def write(self, steps: int, row: Row) -> None:
        """Writes a line."""
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        try:
            self._file.write(json.dumps({"steps": steps, **finite}, allow_nan=False) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from error

    def flush(self) -> None:
        """Writes lines through to the system."""
        try:
            self._file.flush()
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Curves:
    """Hands every metric that has a tag to a `write_scalar(tag, value, steps)`."""

    def __init__(self, write_scalar: Callable[[str, float, int], None], close: Callable[[], None]) -> None:
        self._write_scalar, self.close = write_scalar, close

    def write(self, steps: int, row: Row) -> None:
        """Writes one point per metric."""
        for name, value in row.items():
            if name in TAGS:
                self._write_scalar(TAGS[name], value, steps)

    def flush(self) -> None:
        """Their writers do so when they think fit."""


class Logs:
    """All the writers of a run, as one."""

    def __init__(self, logs: list[Log]) -> None:
        self._logs = logs

    def write(self, steps: int, row: Row) -> None:
        """Hands the row to every writer."""
        for log in self._logs:
            log.write(steps, row)

    def flush(self) -> None:
        """Lets readers see what was written."""
        for log in self._logs:
            log.flush()

    def close(self) -> None:
        """Closes every writer."""
        for log in self._logs:
            log.close()


def log_openers(config: Config) -> list[LogOpener]:
    """What opens the writers that a run asks for, and the record, in its folder.

    Raises:
        UserError: A writer's package is not installed.
    """
    openers: list[LogOpener] = [lambda folder: JsonLines(folder / "metrics.jsonl")]
    for name in config.log:
        try:
            openers.append({"visualdl": _visualdl, "tensorboard": _tensorboard}[name]())
        except ImportError as error:
            raise UserError(f"--log {name} needs a package that is not installed; pip install 'a2c[{name}]'") from error
    return openers


def open_logs(openers: Sequence[LogOpener], folder: Path) -> Logs:
    """Begins every log of a run.

    Raises:
        UserError: The folder cannot be written.
    """
    return Logs([opener(folder) for opener in openers])


def _visualdl() -> LogOpener:
    from visualdl import LogWriter

    def opener(folder: Path) -> Log:
        writer: Any = LogWriter(logdir=str(folder / "visualdl"))
        return Curves(lambda tag, value, steps: writer.add_scalar(tag=tag, value=value, step=steps), writer.close)

    return opener


def _tensorboard() -> LogOpener:
    from tensorboard.summary import Writer

    def opener(folder: Path) -> Log:
        writer: Any = Writer(str(folder / "tensorboard"))
        return Curves(lambda tag, value, steps: writer.add_scalar(tag, value, steps), writer.close)

    return opener
