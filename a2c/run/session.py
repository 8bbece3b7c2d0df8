"""Session: everything around the updates of a run: metrics, evaluations, events, checkpoints, the summary."""

from __future__ import annotations

import math
import signal
import time
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from a2c import files
from a2c.config import Config
from a2c.envs.construction import EnvSource
from a2c.envs.stepper import Event
from a2c.errors import FailedEpisode, NumbersError, UserError
from a2c.finite import finite_or_none
from a2c.learner import Learner
from a2c.run import checkpoint
from a2c.run.books import Books
from a2c.run.evaluations import Evaluations, Surroundings
from a2c.run.events import save_failed_episode
from a2c.run.folder import Run
from a2c.run.kept import Keeper
from a2c.run.logs import Logs
from a2c.run.standing import Standing
from a2c.run.versions import machine, made_with, versions
from a2c.signals import Stopped


class Session:
    """Everything around the updates of one run. Nothing here feeds back into the learner.

    Attributes:
        watch: A context manager that watches environments while they are stepped, as `a2c.envs.watchdog.watched`.
        inexact: Why the run may differ in bits from one that was never disturbed; empty if it does not.
        is_left: Whether a caller that makes the updates one by one stopped before the end.
    """

    def __init__(
        self, run: Run, config: Config, env: EnvSource, learner: Learner, logs: Logs, surroundings: Surroundings
    ) -> None:
        """Prepares a new run; `restore` continues another.

        Args:
            run: Its folder.
            config: Its settings.
            env: The environment that it is evaluated on.
            learner: What it trains.
            logs: Where its metrics are written.
            surroundings: Signals, a screen, a watch.
        """
        self._run, self._config, self._learner, self._logs = run, config, learner, logs
        self._stop, self.watch = surroundings.stop, surroundings.watch
        self._books = Books(config, logs, learner.policy().action_space)
        self._evaluations = Evaluations(run, config, env, learner, logs, surroundings, self._note)
        self._keeper = Keeper(run.path, config)
        self.inexact: list[str] = []
        self._is_ending = self.is_left = False
        self._saved_at = time.monotonic()
        self._save_seconds = 0.0
        self._seconds_before: dict[str, float] = {}

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Continues from a checkpoint, and restores the policy that was best then.

        Raises:
            KeyError, TypeError, ValueError: Something is missing in the checkpoint or has another type.
            UserError: The policy's folder cannot be written.
        """
        notes = saved.notes["session"]
        self._books.restore(notes, saved.arrays["session.pending"])
        self.inexact = [str(reason) for reason in notes["inexact"]]
        self._evaluations.restore(notes, saved.files)
        seconds = dict(notes.get("seconds", {}))  # Older versions did not save them.
        self._seconds_before = {str(name): float(value) for name, value in seconds.items() if math.isfinite(value)}
        self._save_seconds = self._seconds_before.pop("saving", 0.0)
        self._seconds_before.pop("evaluation", None)
        missed = ", ".join(f"{steps:,}" for steps in self._keeper.missed(saved.counters["steps"]))
        if missed:
            at = saved.counters["steps"]
            warnings.warn(
                f"the policy after {missed} steps was never saved, and the run goes on from {at:,}",
                stacklevel=2,
            )

    @property
    def has_reached(self) -> bool:
        """Whether an evaluation during training reached `stop_at_return`."""
        return self._evaluations.has_reached

    @property
    def seconds(self) -> dict[str, float]:
        """Where the time of the run went, by part, the time before a resume included."""
        parts = dict(self._seconds_before)
        for name, seconds in self._learner.seconds.items():
            parts[name] = parts.get(name, 0.0) + seconds
        return {**parts, "evaluation": self._evaluations.seconds, "saving": self._save_seconds}

    def standing(self) -> Standing:
        """The progress of the run. Another thread may call this at any time."""
        config, evaluations = self._config, self._evaluations
        best = evaluations.best
        return Standing(
            self._learner.steps,
            config.num_updates * config.steps_per_update,
            evaluations.under_way,
            self._books.episode_return,
            list(self._books.curve),
            evaluations.latest,
            finite_or_none(best.mean),
            best.steps,
            self.seconds,
            self._books.row,
            dict(self._run.events.added),
        )

    def note_environments(self) -> None:
        """Records the events of the environments since the last call."""
        self._note(self._learner.take_events())

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in ("episodes_lost", "foreign_randomness"):
                reason = f"{self._config.env_id}: {event.details}"
                if event.kind == "foreign_randomness" and reason in self.inexact:
                    continue  # It was recorded already: of an evaluation, or before a resume.
                self.inexact.append(reason)
            if event.kind == "outside_bounds" and self._run.events.count().get(event.kind):
                continue  # It was recorded already before a resume.
            self._run.events.warn(event.kind, self._learner.steps, event.details)

    def note_resumed(self, reasons: Sequence[str]) -> None:
        """Records that the run was resumed, and why that may not be exact."""
        self._run.events.add("resumes", self._learner.steps, "; ".join(reasons))
        self.inexact += reasons
        self.note_environments()

    def note_hand(self, what: str, details: str) -> None:
        """Records that a caller changed the run by hand, so that its settings alone no longer reproduce it."""
        self._run.events.add("changes_by_hand", self._learner.steps, details)
        reason = f"{what} changed by hand"
        if reason not in self.inexact:
            self.inexact.append(reason)

    def update(self, count: int) -> float:
        """Makes updates, and writes the rows of metrics that are due after one of them.

        Returns:
            The seconds that the updates took.
        """
        start = time.perf_counter()
        updates = self._learner.update(count)
        seconds = time.perf_counter() - start
        self.take_in(updates, seconds)
        return seconds

    def take_in(self, updates: NDArray[np.float64], seconds: float) -> None:
        """Adds the updates made last, [count, 10 + 2M] as `Learner.update` returns them, and the seconds they took."""
        self._books.take_in(updates, self._learner.updates, seconds)
        self.note_environments()  # Only now, as its warnings may be errors: the books must be complete before.
        collapse = self._books.take_collapse()
        if collapse is not None:
            self._run.events.warn("entropy_collapses", self._learner.steps, collapse)
        fault = self._books.flush()
        if fault is not None:
            self._run.events.warn(
                "failed_saves",
                self._learner.steps,
                f"{fault}; training goes on, and the rows wait until it can be written",
            )

    def keep_policy_if_due(self) -> None:
        """Saves the policy if `keep_policy_at` says so; if it cannot be written now, the next checkpoint writes it."""
        steps = self._learner.steps
        if not self._keeper.is_due(steps):
            return
        try:
            self._keeper.keep(self._learner.policy(), steps)
        except UserError as error:
            what = "training goes on, and the policy is written with a checkpoint"
            self._run.events.warn("failed_saves", steps, f"{error}; {what}")

    def save_if_due(self) -> None:
        """Writes a checkpoint if the last one is old enough; if it cannot be written, an event records that."""
        if time.monotonic() - self._saved_at < self._config.save_every_seconds:
            return
        try:
            self.save()
        except (UserError, OSError) as error:
            self._saved_at = time.monotonic()
            self._run.events.warn(
                "failed_saves",
                self._learner.steps,
                f"{error}; training goes on, and earlier checkpoints are unchanged",
            )

    def save(self) -> None:
        """Writes a checkpoint of the state after the last update; when that happens changes no result.

        Does nothing if an update failed half-way, as the state is not whole; nor while the run is ending, as a run that
        is trained further must not have what its end added (the last row of metrics, the last evaluations).

        Raises:
            UserError: It cannot be written; earlier checkpoints are unchanged.
        """
        learner, config = self._learner, self._config
        self._run.events.write()
        if not learner.is_whole or self._is_ending:
            return
        begin = time.perf_counter()
        counted, pending = self._books.state()
        notes = {
            "session": {
                **counted,
                **self._evaluations.state(),
                "inexact": self.inexact,
                "seconds": self.seconds,
            },
            "logs": self._logs.sizes(),
            "config": config.identity(),
            "made_with": made_with(learner.engine_name),
            "total_steps": config.total_steps,
        }
        self._evaluations.best.write()
        self._keeper.write()
        checkpoint.save(
            self._run.path / "checkpoints",
            {**learner.state(), "session.pending": pending},
            {"steps": learner.steps, "updates": learner.updates},
            config.keep_checkpoints,
            notes,
            self._evaluations.best.contents,
        )
        self._saved_at = time.monotonic()
        self._save_seconds += time.perf_counter() - begin

    def evaluate_at_the_end(self) -> None:
        """Evaluates the best policy and the final one, greedily, on episodes that no earlier evaluation played."""
        self.save()  # Before anything that only the end of a run adds: the run can be trained further from here.
        self._is_ending = True
        self._books.write_rest(self._learner.updates)
        self._evaluations.end()

    def evaluate_if_due(self) -> None:
        """Evaluates if that is due and not done yet.

        Raises:
            Stopped: A signal asked the run to end.
        """
        self._evaluations.evaluate_if_due()

    def close(self) -> None:
        """Closes the environments of evaluations."""
        self._evaluations.close()

    def save_after(self, error: Exception, failed: FailedEpisode | None) -> str:
        """Saves the run, and what led to an error; returns a sentence that says where, as `save_failure_files`.

        If saving raises, too, that becomes a warning: the first error is the one to report.
        """
        try:
            self.save_all()
            return self.save_failure_files(error, failed)
        except (UserError, OSError) as another:
            warnings.warn(f"what was learnt is not saved: {another}", stacklevel=2)
            return ""

    def save_all(self) -> None:
        """Saves a checkpoint, metrics, and a policy even if none was evaluated."""
        self.note_environments()
        try:
            self.save()
        finally:  # Save the rest even if there is no checkpoint.
            self._books.write_rest(self._learner.updates)  # If the run is resumed, this row is cut off again.
            if self._evaluations.best.steps is None:
                self._evaluations.replace_best(self._learner.policy(), None)
            self._logs.flush()

    def save_failure_files(self, error: Exception, failed: FailedEpisode | None) -> str:
        """Saves what led to an error, so that it can be examined.

        Args:
            error: What was raised.
            failed: The steps that led an environment there, if they can be replayed.

        Returns:
            A sentence that says where; empty if there was nothing to save.

        Raises:
            UserError: The folder cannot be written.
        """
        if isinstance(error, Stopped):
            return ""
        self._run.events.add("failures", self._learner.steps, str(error))
        hints = []
        if isinstance(error, NumbersError) and error.rollout:
            path = self._run.path / "failed_rollout.safetensors"
            files.write_arrays(path, error.rollout)
            hints.append(f"the rollout is in {path}")
        if failed is not None:
            save_failed_episode(self._run.path, failed, str(error))
            hints.append(f"{self._run.command('replay')} takes the same steps again, in one process")
        return "; ".join(hints)

    def _stopped_by(self) -> str | None:
        if self._stop.received:
            return signal.Signals(self._stop.received).name
        return "caller" if self.is_left else None

    def summarize(self, vectorization: str) -> None:
        """Writes summary.json.

        Args:
            vectorization: Where the environments ran.

        Raises:
            UserError: It, or a waiting row of metrics, cannot be written.
        """
        self._logs.flush()
        seconds, best = self._books.train_seconds, self._evaluations.best
        summary = {
            "env_id": self._config.env_id,
            "seed": self._config.seed,
            "engine": self._learner.engine_name,
            "vectorization": vectorization,
            "steps": self._learner.steps,
            "updates": self._learner.updates,
            "train_seconds": seconds,
            "eval_seconds": self._evaluations.seconds,
            "seconds": self.seconds,
            "steps_per_second": self._learner.steps / seconds if seconds else 0.0,
            "best": {"steps": best.steps, "evaluation_return": finite_or_none(best.mean)},
            **self._evaluations.at_the_end,
            "exact": not self.inexact,
            "inexact_because": list(dict.fromkeys(self.inexact)),
            "events": self._run.events.count(),
            "stopped_by": self._stopped_by(),
            "versions": versions(),
            "machine": machine(),
        }
        files.write_json(self._run.path / "summary.json", summary)
