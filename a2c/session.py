"""Session: what happens around the updates of a run. Metrics, evaluations, checkpoints, events, the summary."""

from __future__ import annotations

import contextlib
import math
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c import checkpoint, files
from a2c.config import Config
from a2c.engines import Metrics
from a2c.envs import Envs
from a2c.envs.episode import Failure
from a2c.envs.make import EnvSource
from a2c.envs.pool import Event
from a2c.errors import EnvError, NumbersError, UserError, WorkerError
from a2c.evaluation import Evaluation, Evaluator, Layout, shown_returns
from a2c.kernels.compiler import processor
from a2c.learner import Learner, Update
from a2c.logs import Logs
from a2c.policy import POLICY_FILES, Policy
from a2c.run import Run, Which, versions
from a2c.schedule import is_due
from a2c.screen import Screen
from a2c.signals import Stopped, StopSignals

_EARLY, _COLLAPSED = 4, 0.03
"""An entropy below this share of the largest is told of in the first quarter of a run."""

_MOST_LINES = 20
"""About so many evaluations of a run are told of."""


class Session:
    """Keeps the books of one run. Nothing here feeds back into the learner.

    Attributes:
        episode_return: Mean over the episodes of the last row of metrics that knows of some.
        inexact: Why the run is not, to the bit, the one that was never disturbed; empty where it is.
    """

    def __init__(
        self,
        run: Run,
        config: Config,
        env: EnvSource,
        learner: Learner,
        logs: Logs,
        stop: StopSignals,
        screen: Screen,
        watch: Callable[[Envs], contextlib.AbstractContextManager[None]],
        num_workers: int,
    ) -> None:
        """The books of a run that is about to begin; `restore` puts those of one that goes on in their place.

        Args:
            run: Its folder.
            config: Its settings.
            env: What it is evaluated on.
            learner: What it trains.
            logs: What its metrics go to.
            stop: Ends an evaluation.
            screen: Where evaluations are told of.
            watch: Looks on while environments of an evaluation play, as `a2c.envs.watchdog.watched` does.
            num_workers: Worker processes of the training, as many of which evaluations may have.
        """
        self._run, self._config = run, config
        self._learner, self._logs, self._stop, self._screen = learner, logs, stop, screen
        # How many is a matter of the settings alone: a run that is resumed evaluates as one that never stopped.
        side_by_side = min(16, config.eval_episodes) if config.eval_num_envs == "auto" else config.eval_num_envs
        layout = Layout(side_by_side, num_workers, config.isolate_envs, config.env_timeout_seconds, watch, self._note)
        self._evaluator = Evaluator(env, config.env_kwargs, config.seed, layout, config.max_episode_steps)
        self._pending: list[NDArray[np.float64]] = []  # rows of updates since the last row of metrics
        self._pending_seconds = 0.0
        self._train_seconds = self._eval_seconds = 0.0
        self.episode_return: float | None = None
        self.inexact: list[str] = []
        self._kept_at: int | None = None  # steps of the policy that is kept
        self._kept: dict[str, bytes] = {}  # its files
        self._kept_is_written = self._logs_are_written = True
        self._is_ending = False
        self._evaluated_at = 0  # steps
        self._evaluations: dict[str, Any] = {}  # those that end the run
        self._best = -math.inf
        # Of choices; that of real numbers has no upper end. None: it is not looked at.
        actions: Any = learner.policy().action_space
        is_choice = isinstance(actions, gymnasium.spaces.Discrete) and actions.n > 1
        self._most_entropy = math.log(int(actions.n)) if is_choice else None
        self._unsaid: str | None = None
        self._saved_at = time.monotonic()

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Continues the books from a checkpoint, and puts back the policy that was best then.

        Raises:
            KeyError, TypeError, ValueError: The checkpoint lacks something, or it is of another kind.
            UserError: The policy's folder cannot be written.
        """
        notes, pending = saved.notes["session"], saved.arrays["session.pending"]
        if pending.shape[1:] != (len(Update._fields),) or pending.dtype != np.float64:
            raise ValueError(f"session.pending is {pending.dtype} {pending.shape}")
        self._pending = [pending] if len(pending) else []
        self._pending_seconds = float(notes["pending_seconds"])
        self._train_seconds = float(notes["train_seconds"])
        self._eval_seconds = float(notes.get("eval_seconds", 0.0))
        self.episode_return = None if notes["episode_return"] is None else float(notes["episode_return"])
        self.inexact = [str(reason) for reason in notes["inexact"]]
        self._kept_at = None if notes["kept_at"] is None else int(notes["kept_at"])
        self._evaluated_at = int(notes["evaluated_at"])
        self._best = -math.inf if notes["best"] is None else float(notes["best"])
        if self._kept_at is not None:
            self._kept = {name: saved.files[name] for name in POLICY_FILES}
            self._write_kept()

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
            if event.kind == "outside_bounds" and self._run.count_events().get(event.kind):
                continue  # Said before the run was resumed.
            self._event(event.kind, event.details)

    def _event(self, kind: str, details: str) -> None:
        """Writes a line of events.jsonl, and says it."""
        self._run.add_event(kind, self._learner.steps, details)
        warnings.warn(details, stacklevel=2)

    def note_resumed(self, reasons: Sequence[str]) -> None:
        """Takes note that the run was continued, and why that may not be exact."""
        self._run.add_event("resumes", self._learner.steps, "; ".join(reasons))
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
        size, each = self._config.steps_per_update, seconds / len(updates)
        before = self._learner.updates - len(updates)
        steps = size * np.arange(before + 1, self._learner.updates + 1)  # after each update
        begin = 0
        for due in np.flatnonzero(is_due(self._config.log_every_steps, steps, size)).tolist():
            self._remember(updates[begin : due + 1], each)
            self._log(before + due + 1)
            begin = due + 1
        self._remember(updates[begin:], each)
        self.note_environments()  # Only now: the books are as of the last update, whatever a warning leads to.
        if self._unsaid is not None:
            details, self._unsaid = self._unsaid, None
            self._event("entropy_collapses", details)
        try:
            self._logs.flush()
            self._logs_are_written = True
        except UserError as error:  # No reason to stop: the rows wait.
            if self._logs_are_written:
                self._event("failed_saves", f"{error}; training goes on, and the rows wait until it can be written")
            self._logs_are_written = False
        return seconds

    def _remember(self, updates: NDArray[np.float64], seconds_each: float) -> None:
        self._pending.append(updates)
        self._pending_seconds += len(updates) * seconds_each

    def _log(self, updates: int) -> None:
        """Writes a row of metrics: means over the updates since the last one, and over the episodes that ended.

        Args:
            updates: Made so far.
        """
        pending, seconds = np.concatenate(self._pending), self._pending_seconds
        self._pending, self._pending_seconds = [], 0.0
        self._train_seconds += seconds
        row = {"updates": float(updates)}
        means = Update(*(pending.sum(0) / len(pending)).tolist())
        if means.episodes:
            row["episode_return"] = self.episode_return = means.return_sum / means.episodes
            row["episode_length"] = means.length_sum / means.episodes
        row |= zip(Metrics._fields, means, strict=False)
        row["learning_rate"] = float(pending[-1, -1])
        row["steps_per_second"] = len(pending) * self._config.steps_per_update / seconds
        self._logs.write(updates * self._config.steps_per_update, row)
        self._look_at_entropy(means.entropy, updates * self._config.steps_per_update)

    def _look_at_entropy(self, entropy: float, steps: int) -> None:
        """Takes note, once, of a policy that hardly tries anything else any more, early in its run."""
        if self._most_entropy is None or steps > self._config.total_steps // _EARLY:
            return
        if entropy < _COLLAPSED * self._most_entropy:
            self._unsaid = (
                f"the entropy is {entropy:.2g} after {steps:,} steps, of at most {self._most_entropy:.2g}: the policy "
                f"hardly explores any more; if it has not learnt what it should, try entropy_coef 0.01"
            )
            self._most_entropy = None

    def evaluate(self) -> None:
        """Evaluates the policy, and keeps it if none was better. Equally good, the later one has learnt from more.

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
        is_best = self._kept_at is None or evaluation.mean >= self._best
        if is_best:
            self._best = evaluation.mean if math.isfinite(evaluation.mean) else -math.inf
            self._keep(policy, evaluation=evaluation.summary())
        self._say(evaluation, is_best)

    def _say(self, evaluation: Evaluation, is_best: bool) -> None:
        """A line for an evaluation; of hundreds, every so manyth."""
        config, steps = self._config, self._learner.steps
        every = max(config.eval_every_steps, config.total_steps // _MOST_LINES)
        if not config.eval_every_steps or is_due(every, steps, config.eval_every_steps) or steps >= config.total_steps:
            mean, std = shown_returns([evaluation.mean, evaluation.std])
            unfinished = f", {evaluation.unfinished} unfinished" if evaluation.unfinished else ""
            best = ", best so far" if is_best else ""
            self._screen.line(f"{steps:>12,} steps: return {mean} +- {std}{unfinished}{best}")

    def evaluate_if_due(self) -> None:
        """Evaluates where that is due and has not been done."""
        config, steps = self._config, self._learner.steps
        if is_due(config.eval_every_steps, steps, config.steps_per_update) and self._evaluated_at != steps:
            self.evaluate()

    def _keep(self, policy: Policy, **notes: Any) -> None:
        """Keeps a policy; one that cannot be written now is written with the next checkpoint."""
        self._kept_at, self._kept = self._learner.steps, policy.to_files(steps=self._learner.steps, **notes)
        self._kept_is_written = False
        try:
            self._write_kept()
        except UserError as error:
            self._event("failed_saves", f"{error}; training goes on, and the policy is written with a checkpoint")

    def _write_kept(self) -> None:
        folder = files.folder(self._run.path / "policy")
        for name, data in self._kept.items():
            files.write_bytes(folder / name, data)
        self._kept_is_written = True

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
        self._run.write_events()
        if not learner.is_whole or self._is_ending:
            return
        notes = {
            "session": {
                "pending_seconds": self._pending_seconds,
                "train_seconds": self._train_seconds,
                "eval_seconds": self._eval_seconds,
                "episode_return": _finite(self.episode_return),
                "inexact": self.inexact,
                "kept_at": self._kept_at,
                "evaluated_at": self._evaluated_at,
                "best": _finite(self._best),
            },
            "logs": self._logs.sizes(),
            "config": config.identity(),
            "made_with": made_with(learner.engine_name),
            "total_steps": config.total_steps,
        }
        pending = np.concatenate([np.empty((0, len(Update._fields))), *self._pending])
        if not self._kept_is_written:
            self._write_kept()
        checkpoint.save(
            self._run.path / "checkpoints",
            {**learner.state(), "session.pending": pending},
            {"steps": learner.steps, "updates": learner.updates},
            config.keep_checkpoints,
            notes,
            self._kept,
        )
        self._saved_at = time.monotonic()

    def evaluate_at_the_end(self) -> None:
        """Evaluates the best policy and the final one, greedily, on episodes that no evaluation before has seen."""
        self.save()  # Before anything that only the end of a run does: from here it can be trained further.
        self._is_ending = True
        self.log_rest()
        episodes = self._config.final_eval_episodes
        if self._kept_at is None and (episodes or self._config.eval_every_steps):
            self.evaluate()
        if self._kept_at is None:  # None was evaluated.
            self._keep(self._learner.policy())
        whiches: dict[str, Which] = {"evaluation": "best", "final_evaluation": "final"} if episodes else {}
        for name, which in whiches.items():
            if which == "final" and self._kept_at == self._learner.steps:
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
                lambda ended: self._screen.evaluating(ended, most),
                self._config.total_steps,
            )
        except (UserError, EnvError, WorkerError) as error:
            hint = ""
            failure = error.failure if isinstance(error, EnvError | WorkerError | NumbersError) else None
            if failure is not None:
                with contextlib.suppress(UserError):  # Of a full disk: no reason to stop.
                    self._run.save_failure(failure, str(error))
                    hint = f"; {self._run.command('replay')} takes the same steps again"
            self._event("failed_evaluations", f"an evaluation failed, and the run goes on without it: {error}{hint}")
            return None
        finally:
            self._eval_seconds += time.perf_counter() - start
            self._screen.evaluated()

    def close(self) -> None:
        """Closes the environments of evaluations."""
        self._evaluator.close()

    def log_rest(self) -> None:
        """Writes the row of the updates since the last one, if there are any."""
        if sum(map(len, self._pending)):
            self._log(self._learner.updates)

    def save_all(self) -> None:
        """Saves what there is: a checkpoint, metrics, and a policy even if none was evaluated."""
        self.note_environments()
        try:
            self.save()
        finally:  # What can be saved where that could not.
            self.log_rest()  # A resumed run cuts this row off again.
            if self._kept_at is None:
                self._keep(self._learner.policy())
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
        self._run.add_event("failures", self._learner.steps, str(error))
        hints = []
        if isinstance(error, NumbersError) and error.rollout:
            path = self._run.path / "failed_rollout.safetensors"
            files.write_arrays(path, error.rollout)
            hints.append(f"the rollout is in {path}")
        if failure is not None:
            self._run.save_failure(failure, str(error))
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
        seconds = self._train_seconds
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
            "best": {"steps": self._kept_at, "evaluation_return": _finite(self._best)},
            **self._evaluations,
            "exact": not self.inexact,
            "inexact_because": list(dict.fromkeys(self.inexact)),
            "events": self._run.count_events(),
            "stopped_by": signal.Signals(self._stop.received).name if self._stop.received else None,
            "versions": versions(),
        }
        files.write_json(self._run.path / "summary.json", summary)


def made_with(engine_name: str) -> dict[str, str | None]:
    """What decides the bits beside settings and seed."""
    return {
        **{name: version for name, version in versions().items() if "paddle" in engine_name or "paddle" not in name},
        "engine": engine_name.split(",")[0],
        "processor": processor(),
    }


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
