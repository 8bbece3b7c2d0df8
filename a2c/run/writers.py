"""Writers: send the numbers of metrics.jsonl to VisualDL, TensorBoard, Weights & Biases or MLflow as well.

VisualDL and TensorBoard write files into the run's folder, which are cut back when a run goes on from a checkpoint. The
other two cannot be cut back: when a run goes on, it replaces their copy of the run by a new one, written from the
record. None of them needs a network: the last two are local unless the user's environment variables say otherwise.
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
"""Folders in a run's folder whose files are cut back."""

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
"""Metrics of `log_info` begin so."""


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
    """A log of rows of numbers."""

    def write(self, steps: int, row: Row) -> None:
        """Adds the metrics after `steps` agent steps."""
        ...

    def flush(self) -> None:
        """Makes the rows visible to readers.

        Raises:
            UserError: They cannot be written; nothing is lost, and the next call tries again.
        """
        ...

    def sync(self) -> None:
        """Passes everything to the operating system."""
        ...

    def close(self) -> None:
        """Closes the log."""
        ...


LogOpener = Callable[[Path], Log]
"""Opens a log in a run's folder."""

History = Callable[[Path], list[dict[str, Any]]]
"""Reads the record in a run's folder."""


class Curves:
    """Passes every metric that has a tag to a function `write_scalar(tag, value, steps)`."""

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
        """Nothing to do: the writers flush by themselves."""

    def sync(self) -> None:
        """Passes every point to the operating system."""
        with self._going_on_without():
            self._sync()

    def close(self) -> None:
        """Closes the writer."""
        with self._going_on_without():
            self._close()

    @contextlib.contextmanager
    def _going_on_without(self) -> Iterator[None]:
        """Turns the first exception of a writer into a warning and ignores later ones: training goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - foreign writers raise what they like
            if self._is_whole:
                warnings.warn(f"curves cannot be written and have gaps from here on: {error}", stacklevel=3)
            self._is_whole = False


def _visualdl(config: Config, history: History) -> LogOpener:
    from visualdl import LogWriter

    def opener(folder: Path) -> Log:
        # VisualDL reads one file per folder, so an existing one is continued.
        existing = sorted(path.name for path in (folder / "visualdl").glob("vdlrecords.*.log"))
        with contextlib.redirect_stdout(sys.stderr):  # It prints that it continues; stdout may have to be JSON.
            writer: Any = LogWriter(logdir=str(folder / "visualdl"), file_name=existing[-1] if existing else "")
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
    # By default it reports its own errors over the network; the user may turn that on.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # From packages that it imports.
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
        warnings.simplefilter("ignore")  # From packages that it imports.
        import alembic  # noqa: F401 - MLflow needs it and sqlalchemy for its database, without depending on them
        import mlflow.tracking
        import sqlalchemy  # noqa: F401
    for name in ("mlflow", "alembic"):  # They log every table that they create.
        logging.getLogger(name).setLevel(logging.WARNING)

    def opener(folder: Path) -> Log:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.parent.parent / 'mlflow.db'}"
        with _quiet("MLflow cannot begin a run"):
            store = MlflowStore(mlflow.tracking.MlflowClient(tracking_uri=uri), config, folder)
        return _with_history(Curves(store.write_scalar, store.sync, store.close), history, folder)

    return opener


class MlflowStore:
    """A run in MLflow. Points are sent in batches, as each call takes a while."""

    def __init__(self, client: Any, config: Config, folder: Path) -> None:
        """Creates a run in the experiment named after the environment; replaces an older one of the same folder."""
        from mlflow.entities import Param

        self._client, self._waiting = client, list[Any]()
        name, identity = config.env_id, _identity(folder)
        existing = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if existing is None else existing.experiment_id
        for old in client.search_runs([experiment], f"tags.a2c_id = '{identity}'"):
            client.delete_run(old.info.run_id)
        run = client.create_run(experiment, run_name=folder.name, tags={"a2c_id": identity, "a2c_run": str(folder)})
        self._id = run.info.run_id
        params = [Param(key, str(value)[:500]) for key, value in config.to_json().items()]
        for begin in range(0, len(params), 100):
            client.log_batch(self._id, params=params[begin : begin + 100])

    def write_scalar(self, tag: str, value: float, steps: int) -> None:
        """Adds a point, which waits for `sync`."""
        from mlflow.entities import Metric

        key = re.sub(r"[^\w\-./ ]", "_", tag)  # MLflow refuses other characters.
        self._waiting.append(Metric(key, value, int(time.time() * 1000), steps))

    def sync(self) -> None:
        """Sends the waiting points."""
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
    """Suppresses the warnings and output of a package, and turns its exceptions into a sentence.

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
    """The log, after the rows that the run's record has already were written to it."""
    for row in history(folder):
        numbers = {name: float("nan") if value is None else value for name, value in row.items() if name != "steps"}
        log.write(row["steps"], {name: value for name, value in numbers.items() if isinstance(value, int | float)})
    return log


def _identity(folder: Path) -> str:
    """An id that is unique among runs of many machines, and stays the same when a run goes on."""
    return hashlib.sha256(f"{socket.gethostname()} {folder}".encode()).hexdigest()[:16]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


WRITERS: dict[Writer, Callable[[Config, History], LogOpener]] = {
    "visualdl": _visualdl,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
"""Each imports a writer's package and returns what opens it."""
