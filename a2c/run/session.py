"""Session: what happens around the updates of a run. Evaluations, the best policy, checkpoints, events, the summary."""

from __future__ import annotations

import contextlib
import math
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from a2c import files
from a2c.config import Config
from a2c.envs import Envs
from a2c.envs.construction import EnvSource
from a2c.envs.episode import Failure
from a2c.envs.pool import Event
from a2c.errors import EnvError, NumbersError, UserError, WorkerError
from a2c.evaluation import Evaluation, Evaluator, Layout, shown_returns
from a2c.learner import Learner
from a2c.policy import Policy
from a2c.run import checkpoint
from a2c.run.books import Books, finite_or_none
from a2c.run.events import save_failure
from a2c.run.folder import Run
from a2c.run.logs import Logs
from a2c.run.policies import Best, Which
from a2c.run.versions import made_with, versions
from a2c.schedule import is_due
from a2c.signals import Stopped, StopSignals

_MOST_LINES = 20
"""About so many evaluations of a run are told of."""


class Audience(Protocol):
    """Who is told of evaluations: a person before a screen."""

    def line(self, text: str) -> None:
        """What one came to."""
        ...

    def evaluating(self, ended: int, episodes: int) -> None:
        """One is going on, and has come so far."""
        ...

    def evaluated(self) -> None:
        """It is over."""
        ...


class Surroundings(NamedTuple):
    """What is around a run, and no part of it."""

    stop: StopSignals
    """Ends an evaluation."""
    audience: Audience
    watch: Callable[[Envs], contextlib.AbstractContextManager[None]]
    """Makes what looks on while environments are stepped, as `a2c.envs.watchdog.watched` does."""
    num_workers: int
    """Worker processes of the training, as many of which evaluations may have."""


class Session:
    """What happens around the updates of one run. Nothing here feeds back into the learner.

    Attributes:
        watch: Looks on while environments are stepped, as `a2c.envs.watchdog.watched` does.
        inexact: Why the run is not, to the bit, the one that was never disturbed; empty where it is.
    """

    def __init__(
        self, run: Run, config: Config, env: EnvSource, learner: Learner, logs: Logs, surroundings: Surroundings
    ) -> None:
        """A run that is about to begin; `restore` makes one that goes on of it.

        Args:
            run: Its folder.
            config: Its settings.
            env: What it is evaluated on.
            learner: What it trains.
            logs: What its metrics go to.
            surroundings: Signals, a screen, a watch.
        """
        self._run, self._config, self._learner, self._logs = run, config, learner, logs
        self._stop, self._audience, self.watch = surroundings.stop, surroundings.audience, surroundings.watch
        # How many is a matter of the settings alone: a run that is resumed evaluates as one that never stopped.
        side_by_side = min(16, config.eval_episodes) if config.eval_num_envs == "auto" else config.eval_num_envs
        layout = Layout(
            side_by_side,
            surroundings.num_workers,
            config.isolate_envs,
            config.env_timeout_seconds,
            surroundings.watch,
            self._note,
        )
        self._evaluator = Evaluator(env, config.env_kwargs, config.seed, layout, config.max_episode_steps)
        self._books = Books(config, logs, learner.policy().action_space)
        self._best = Best(run.path)
        self._eval_seconds = 0.0
        self.inexact: list[str] = []
        self._is_ending = False
        self._evaluated_at = 0  # steps
        self._evaluations: dict[str, Any] = {}  # those that end the run
        self._saved_at = time.monotonic()

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Continues from a checkpoint, and puts back the policy that was best then.

        Raises:
            KeyError, TypeError, ValueError: The checkpoint lacks something, or it is of another kind.
            UserError: The policy's folder cannot be written.
        """
        notes = saved.notes["session"]
        self._books.restore(notes, saved.arrays["session.pending"])
        self._eval_seconds = float(notes.get("eval_seconds", 0.0))
        self.inexact = [str(reason) for reason in notes["inexact"]]
        self._evaluated_at = int(notes["evaluated_at"])
        steps = None if notes["kept_at"] is None else int(notes["kept_at"])
        self._best.restore(steps, -math.inf if notes["best"] is None else float(notes["best"]), saved.files)

    @property
    def episode_return(self) -> float | None:
        """Mean over the episodes of the last row of metrics that knows of some."""
        return self._books.episode_return

    def note_environments(self) -> None:
        """Takes note of what happened to the environments since the last time."""
        self._note(self._learner.take_events())

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in ("episodes_lost", "foreign_randomness"):
                reason = f"{self._config.env_id}: {event.details}"
                if event.kind == "foreign_randomness" and reason in self.inexact:
                    continue  # Of an evaluation, or before the run was resumed.
                self.inexact.append(reason)
            if event.kind == "outside_bounds" and self._run.events.count().get(event.kind):
                continue  # Said before the run was resumed.
            self._event(event.kind, event.details)

    def _event(self, kind: str, details: str) -> None:
        """Writes a line of events.jsonl, and says it."""
        self._run.events.add(kind, self._learner.steps, details)
        warnings.warn(details, stacklevel=2)

    def note_resumed(self, reasons: Sequence[str]) -> None:
        """Takes note that the run was continued, and why that may not be exact."""
        self._run.events.add("resumes", self._learner.steps, "; ".join(reasons))
        self.inexact += reasons
        self.note_environments()

    def update(self, count: int) -> float:
        """Makes updates, and writes the rows of metrics that came due with one of them.

        Returns:
            The seconds that the updates took.
        """
        start = time.perf_counter()
        updates = self._learner.update(count)
        seconds = time.perf_counter() - start
        self._books.take_in(updates, self._learner.updates, seconds)
        self.note_environments()  # Only now: the books are as of the last update, whatever a warning leads to.
        collapse = self._books.take_collapse()
        if collapse is not None:
            self._event("entropy_collapses", collapse)
        fault = self._books.flush()
        if fault is not None:
            self._event("failed_saves", f"{fault}; training goes on, and the rows wait until it can be written")
        return seconds

    def evaluate(self) -> None:
        """Evaluates the policy, which becomes the best if none was better.

        Every evaluation runs the same episodes, so that policies are compared and not their luck; the evaluations that
        end the run are on others. One that fails is noted, and nothing else: training goes on.

        Raises:
            Stopped: A signal asked the run to end.
        """
        config, policy = self._config, self._learner.policy()
        evaluation = self._evaluate(policy, config.eval_episodes, config.eval_greedy, index=1)
        self._evaluated_at = self._learner.steps
        if evaluation is None:
            return
        row = {"evaluation_return": evaluation.mean, "evaluation_std": evaluation.std}
        row["evaluation_length"] = float(np.mean(evaluation.lengths))
        if evaluation.unfinished:
            row["evaluation_unfinished"] = float(evaluation.unfinished)
        self._logs.write(self._learner.steps, row)
        is_best = self._best.is_reached_by(evaluation.mean)
        if is_best:
            self._replace_best(policy, evaluation)
        self._say(evaluation, is_best)

    def _say(self, evaluation: Evaluation, is_best: bool) -> None:
        """A line for an evaluation; of hundreds, every so manyth."""
        config, steps = self._config, self._learner.steps
        every = max(config.eval_every_steps, config.total_steps // _MOST_LINES)
        if not config.eval_every_steps or is_due(every, steps, config.eval_every_steps) or steps >= config.total_steps:
            mean, std = shown_returns([evaluation.mean, evaluation.std])
            unfinished = f", {evaluation.unfinished} unfinished" if evaluation.unfinished else ""
            best = ", best so far" if is_best else ""
            self._audience.line(f"{steps:>12,} steps: return {mean} +- {std}{unfinished}{best}")

    def evaluate_if_due(self) -> None:
        """Evaluates where that is due and has not been done."""
        config, steps = self._config, self._learner.steps
        if is_due(config.eval_every_steps, steps, config.steps_per_update) and self._evaluated_at != steps:
            self.evaluate()

    def _replace_best(self, policy: Policy, evaluation: Evaluation | None) -> None:
        """Takes a policy for the best; one that cannot be written now is written with the next checkpoint."""
        try:
            self._best.replace(policy, self._learner.steps, evaluation)
        except UserError as error:
            self._event("failed_saves", f"{error}; training goes on, and the policy is written with a checkpoint")

    def save_if_due(self) -> None:
        """Writes a checkpoint if the last one is old enough. One that cannot be written is no reason to stop."""
        if time.monotonic() - self._saved_at < self._config.save_every_seconds:
            return
        try:
            self.save()
        except (UserError, OSError) as error:
            self._saved_at = time.monotonic()
            self._event("failed_saves", f"{error}; training goes on, and the checkpoints before are as they were")

    def save(self) -> None:
        """Writes a checkpoint, of the moment after the last update; when it is written changes no result.

        Nothing where an update failed half-way: then what is there is from before. Nothing where the run is ending:
        what that adds, a run that is trained further does not have.

        Raises:
            UserError: It cannot be written; those that are there stay as they are.
        """
        learner, config = self._learner, self._config
        self._run.events.write()
        if not learner.is_whole or self._is_ending:
            return
        counted, pending = self._books.state()
        notes = {
            "session": {
                **counted,
                "eval_seconds": self._eval_seconds,
                "inexact": self.inexact,
                "kept_at": self._best.steps,
                "evaluated_at": self._evaluated_at,
                "best": finite_or_none(self._best.mean),
            },
            "logs": self._logs.sizes(),
            "config": config.identity(),
            "made_with": made_with(learner.engine_name),
            "total_steps": config.total_steps,
        }
        self._best.write()
        checkpoint.save(
            self._run.path / "checkpoints",
            {**learner.state(), "session.pending": pending},
            {"steps": learner.steps, "updates": learner.updates},
            config.keep_checkpoints,
            notes,
            self._best.contents,
        )
        self._saved_at = time.monotonic()

    def evaluate_at_the_end(self) -> None:
        """Evaluates the best policy and the final one, greedily, on episodes that no evaluation before has seen."""
        self.save()  # Before anything that only the end of a run does: from here it can be trained further.
        self._is_ending = True
        self._books.write_rest(self._learner.updates)
        episodes = self._config.final_eval_episodes
        if self._best.steps is None and (episodes or self._config.eval_every_steps):
            self.evaluate()
        if self._best.steps is None:  # None was evaluated.
            self._replace_best(self._learner.policy(), None)
        whiches: dict[str, Which] = {"evaluation": "best", "final_evaluation": "final"} if episodes else {}
        for name, which in whiches.items():
            if which == "final" and self._best.steps == self._learner.steps:
                if "evaluation" in self._evaluations:  # The same policy on the same episodes.
                    self._evaluations[name] = self._evaluations["evaluation"]
                continue
            evaluation = self._evaluate(self._run.policy(which), episodes, greedy=True, index=0)
            if evaluation is not None:
                self._evaluations[name] = evaluation.summary()

    def _evaluate(self, policy: Policy, episodes: int | Literal["auto"], greedy: bool, index: int) -> Evaluation | None:
        """An evaluation; None where it failed, which is noted.

        Raises:
            Stopped: A signal asked the run to end.
        """
        start = time.perf_counter()
        most = 100 if episodes == "auto" else episodes
        try:
            return self._evaluator.evaluate(
                policy,
                episodes,
                greedy,
                index,
                self._stop.check,
                lambda ended: self._audience.evaluating(ended, most),
                self._config.total_steps,
            )
        except (UserError, EnvError, WorkerError) as error:
            hint = ""
            failure = error.failure if isinstance(error, EnvError | WorkerError | NumbersError) else None
            if failure is not None:
                with contextlib.suppress(UserError):  # Of a full disk: no reason to stop.
                    save_failure(self._run.path, failure, str(error))
                    hint = f"; {self._run.command('replay')} takes the same steps again"
            self._event("failed_evaluations", f"an evaluation failed, and the run goes on without it: {error}{hint}")
            return None
        finally:
            self._eval_seconds += time.perf_counter() - start
            self._audience.evaluated()

    def close(self) -> None:
        """Closes the environments of evaluations."""
        self._evaluator.close()

    def save_all(self) -> None:
        """Saves what there is: a checkpoint, metrics, and a policy even if none was evaluated."""
        self.note_environments()
        try:
            self.save()
        finally:  # What can be saved where that could not.
            self._books.write_rest(self._learner.updates)  # A resumed run cuts this row off again.
            if self._best.steps is None:
                self._replace_best(self._learner.policy(), None)
            self._logs.flush()

    def keep_failure(self, error: Exception, failure: Failure | None) -> str:
        """Saves what led to an error, for study.

        Args:
            error: What was raised.
            failure: The way of an environment there, where it can be gone again.

        Returns:
            A sentence that says where; empty where there was nothing to save.

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
        if failure is not None:
            save_failure(self._run.path, failure, str(error))
            hints.append(f"{self._run.command('replay')} takes the same steps again, in one process")
        return "; ".join(hints)

    def summarize(self, vectorization: str) -> None:
        """Writes summary.json.

        Args:
            vectorization: Where the environments ran.

        Raises:
            UserError: It, or a row of metrics before it, cannot be written.
        """
        self._logs.flush()
        seconds = self._books.train_seconds
        summary = {
            "env_id": self._config.env_id,
            "seed": self._config.seed,
            "engine": self._learner.engine_name,
            "vectorization": vectorization,
            "steps": self._learner.steps,
            "updates": self._learner.updates,
            "train_seconds": seconds,
            "eval_seconds": self._eval_seconds,
            "steps_per_second": self._learner.steps / seconds if seconds else 0.0,
            "best": {"steps": self._best.steps, "evaluation_return": finite_or_none(self._best.mean)},
            **self._evaluations,
            "exact": not self.inexact,
            "inexact_because": list(dict.fromkeys(self.inexact)),
            "events": self._run.events.count(),
            "stopped_by": signal.Signals(self._stop.received).name if self._stop.received else None,
            "versions": versions(),
        }
        files.write_json(self._run.path / "summary.json", summary)
