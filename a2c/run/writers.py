"""Writers: what draws the numbers of metrics.jsonl elsewhere: VisualDL, TensorBoard, Weights & Biases, MLflow.

VisualDL and TensorBoard write files into the run's folder that are cut back where a run goes on from a checkpoint. The
other two cannot be cut back: there a run that goes on is written anew, from the record, in the place of the old one.
None of them needs a network: the last two are local unless the user's own environment variables say otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from a2c import files
from a2c.config import Config, Writer
from a2c.errors import UserError

Row = Mapping[str, float]

FOLDERS = ("visualdl", "tensorboard")
"""In a run's folder, of those whose files are cut back."""

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

_INFO, _EVALUATION_INFO = "info/", "evaluation_info/"
"""What names of a run's own choosing begin with."""


def tag_of(name: str) -> str | None:
    """The name of a metric's curve; None: it has none.

    Example:
        >>> tag_of("policy_loss"), tag_of("evaluation_info/success"), tag_of("updates")
        ('loss/actor_loss', 'evaluation/success', None)
    """
    if name.startswith(_EVALUATION_INFO):
        return f"evaluation/{name.removeprefix(_EVALUATION_INFO)}"
    return name if name.startswith(_INFO) else TAGS.get(name)


class Log(Protocol):
    """Something that takes rows of numbers."""

    def write(self, steps: int, row: Row) -> None:
        """Takes the metrics after `steps` agent steps."""
        ...

    def flush(self) -> None:
        """Lets readers see what was written.

        Raises:
            UserError: It cannot be written; nothing is lost, and the next time it is tried again.
        """
        ...

    def sync(self) -> None:
        """Hands everything to the system."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


LogOpener = Callable[[Path], Log]
"""Begins a log in a run's folder."""

History = Callable[[Path], list[dict[str, Any]]]
"""Reads the record in a run's folder."""


class Curves:
    """Hands every metric that has a tag to a `write_scalar(tag, value, steps)`."""

    def __init__(
        self, write_scalar: Callable[[str, float, int], None], sync: Callable[[], None], close: Callable[[], None]
    ) -> None:
        self._write_scalar, self._sync, self._close = write_scalar, sync, close
        self._is_whole = True

    def write(self, steps: int, row: Row) -> None:
        """Writes one point per metric."""
        with self._going_on_without():
            for name, value in row.items():
                tag = tag_of(name)
                if tag is not None:
                    self._write_scalar(tag, value, steps)

    def flush(self) -> None:
        """Their writers do so when they think fit."""

    def sync(self) -> None:
        """Hands every point to the system."""
        with self._going_on_without():
            self._sync()

    def close(self) -> None:
        """Ends the curves."""
        with self._going_on_without():
            self._close()

    @contextlib.contextmanager
    def _going_on_without(self) -> Iterator[None]:
        """Training goes on where a writer fails, which then has lost points; said once."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - foreign writers raise what they like
            if self._is_whole:
                warnings.warn(f"curves cannot be written and have gaps from here on: {error}", stacklevel=3)
            self._is_whole = False


def _visualdl(config: Config, history: History) -> LogOpener:
    from visualdl import LogWriter

    def opener(folder: Path) -> Log:
        # Its readers look at one file of a folder: go on with that.
        there = sorted(path.name for path in (folder / "visualdl").glob("vdlrecords.*.log"))
        with contextlib.redirect_stdout(sys.stderr):  # It says that it goes on, where one JSON object may be expected.
            writer: Any = LogWriter(logdir=str(folder / "visualdl"), file_name=there[-1] if there else "")
        return Curves(
            lambda tag, value, steps: writer.add_scalar(tag=tag, value=value, step=steps), writer.flush, writer.close
        )

    return opener


def _tensorboard(config: Config, history: History) -> LogOpener:
    from tensorboard.summary import Writer

    def opener(folder: Path) -> Log:
        writer: Any = Writer(str(folder / "tensorboard"))
        return Curves(lambda tag, value, steps: writer.add_scalar(tag, value, steps), writer.flush, writer.close)

    return opener


def _wandb(config: Config, history: History) -> LogOpener:
    # What it sends home where it fails itself; who wants that may say so.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of packages that it imports.
        import wandb

    def opener(folder: Path) -> Log:
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        if mode == "offline":
            for old in files.no_link(folder / "wandb").glob("offline-run-*"):
                if old.is_dir() and not old.is_symlink():
                    shutil.rmtree(old, ignore_errors=True)
        try:
            run: Any = wandb.init(
                mode=mode,
                dir=str(folder),
                project=os.environ.get("WANDB_PROJECT", "a2c"),
                group=config.env_id[:128],
                name=folder.name,
                id=_identity(folder),
                resume="allow",
                config=config.to_json(),
                settings=wandb.Settings(
                    console="off", silent=True, disable_git=True, disable_code=True, x_disable_stats=True
                ),
            )
        except Exception as error:
            raise UserError(f"Weights & Biases cannot begin a run: {_first_line(error)}") from error
        curves = Curves(lambda tag, value, steps: run.log({tag: value}, step=steps), lambda: None, run.finish)
        return _with_history(curves, history, folder)

    return opener


def _mlflow(config: Config, history: History) -> LogOpener:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of packages that it imports.
        import alembic  # noqa: F401 - MLflow needs both for its file, and asks for neither
        import mlflow.tracking
        import sqlalchemy  # noqa: F401
    for name in ("mlflow", "alembic"):  # They tell of every table that they make.
        logging.getLogger(name).setLevel(logging.WARNING)

    def opener(folder: Path) -> Log:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.parent.parent / 'mlflow.db'}"
        with _quiet("MLflow cannot begin a run"):
            store = MlflowStore(mlflow.tracking.MlflowClient(tracking_uri=uri), config, folder)
        return _with_history(Curves(store.write_scalar, store.sync, store.close), history, folder)

    return opener


class MlflowStore:
    """A run of MLflow. Points are handed over many at a time, as each time takes a while."""

    def __init__(self, client: Any, config: Config, folder: Path) -> None:
        """Begins one in the experiment of the environment's name, in the place of an older one of the same folder."""
        from mlflow.entities import Param

        self._client, self._waiting = client, list[Any]()
        name, identity = config.env_id, _identity(folder)
        there = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if there is None else there.experiment_id
        for old in client.search_runs([experiment], f"tags.a2c_id = '{identity}'"):
            client.delete_run(old.info.run_id)
        run = client.create_run(experiment, run_name=folder.name, tags={"a2c_id": identity, "a2c_run": str(folder)})
        self._id = run.info.run_id
        params = [Param(key, str(value)[:500]) for key, value in config.to_json().items()]
        for begin in range(0, len(params), 100):
            client.log_batch(self._id, params=params[begin : begin + 100])

    def write_scalar(self, tag: str, value: float, steps: int) -> None:
        """Takes a point."""
        from mlflow.entities import Metric

        key = re.sub(r"[^\w\-./ ]", "_", tag)  # It takes no others.
        self._waiting.append(Metric(key, value, int(time.time() * 1000), steps))

    def sync(self) -> None:
        """Hands over the points that wait."""
        with _quiet("MLflow cannot take points"):
            while self._waiting:
                self._client.log_batch(self._id, metrics=self._waiting[:1000])
                del self._waiting[:1000]

    def close(self) -> None:
        """Ends the run."""
        self.sync()
        with _quiet("MLflow cannot end its run"):
            self._client.set_terminated(self._id)


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[None]:
    """Around calls of a foreign package: without its warnings; what it raises in a sentence.

    Raises:
        UserError: It raised something.
    """
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise UserError(f"{what}: {_first_line(error)}") from error


def _with_history(log: Log, history: History, folder: Path) -> Log:
    """The log, told of everything that the record of the run in a folder has already."""
    for row in history(folder):
        numbers = {name: float("nan") if value is None else value for name, value in row.items() if name != "steps"}
        log.write(row["steps"], {name: value for name, value in numbers.items() if isinstance(value, int | float)})
    return log


def _identity(folder: Path) -> str:
    """What a run is called where runs of many machines meet: the same whenever it goes on."""
    return hashlib.sha256(f"{socket.gethostname()} {folder}".encode()).hexdigest()[:16]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


WRITERS: dict[Writer, Callable[[Config, History], LogOpener]] = {
    "visualdl": _visualdl,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
"""What imports a writer's package, and gives what begins it."""
