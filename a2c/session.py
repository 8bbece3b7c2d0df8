"""Session: what happens around the updates of a run. Metrics, evaluations, checkpoints, the summary."""

from __future__ import annotations

import math
import signal
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c import checkpoint, files
from a2c.config import Config
from a2c.engines import Metrics
from a2c.envs.make import EnvSource
from a2c.evaluation import Evaluation, evaluate
from a2c.learner import Learner, Update
from a2c.logs import Logs
from a2c.policy import Policy
from a2c.run import Run, Which, versions
from a2c.schedule import is_due
from a2c.signals import StopSignals


class Session:
    """Keeps the books of one run. Nothing here feeds back into the learner."""

    def __init__(
        self, run: Run, config: Config, env: EnvSource, learner: Learner, logs: Logs, stop: StopSignals
    ) -> None:
        self._run, self._config, self._env = run, config, env
        self._learner, self._logs, self._stop = learner, logs, stop
        self._pending: list[NDArray[np.float64]] = []  # rows of updates since the last row of metrics
        self._pending_seconds = 0.0
        self._train_seconds = 0.0
        self.episode_return: float | None = None  # mean over the episodes of the last row that knows of some
        self._kept_at: int | None = None  # steps of the policy that is kept
        self._evaluations: dict[str, Any] = {}  # those that end the run
        self._best = -math.inf
        self._saved_at = time.monotonic()

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
        self._logs.flush()
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

    def evaluate(self) -> Evaluation:
        """Evaluates the policy, and keeps it if none was better. Equally good, the later one has learnt from more.

        Every evaluation runs the same episodes, so that policies are compared and not their luck; the evaluations that
        end the run are on others.

        Raises:
            Stopped: A signal asked the run to end.
            UserError: An episode does not end.
            EnvError: The environment raised.
        """
        config, policy = self._config, self._learner.policy()
        evaluation = self._evaluate(policy, config.eval_episodes, config.eval_greedy, index=1)
        row = {"evaluation_return": evaluation.mean, "evaluation_std": evaluation.std}
        row["evaluation_length"] = float(np.mean(evaluation.lengths))
        self._logs.write(self._learner.steps, row)
        if self._kept_at is None or evaluation.mean >= self._best:
            self._best = evaluation.mean if math.isfinite(evaluation.mean) else -math.inf
            self._keep(policy, evaluation=evaluation.summary())
        return evaluation

    def _keep(self, policy: Policy, **notes: Any) -> None:
        policy.save(self._run.path / "policy", steps=self._learner.steps, **notes)
        self._kept_at = self._learner.steps

    def save_if_due(self) -> None:
        """Writes a checkpoint if the last one is old enough."""
        if time.monotonic() - self._saved_at >= self._config.save_every_seconds:
            self.save()

    def save(self) -> None:
        """Writes a checkpoint."""
        counters = {"steps": self._learner.steps, "updates": self._learner.updates}
        folder = self._run.path / "checkpoints"
        checkpoint.save(folder, self._learner.state(), counters, self._config.keep_checkpoints)
        self._saved_at = time.monotonic()

    def evaluate_at_the_end(self) -> None:
        """Evaluates the best policy and the final one, greedily, on episodes that no evaluation before has seen."""
        self.log_rest()
        if self._kept_at is None:
            self.evaluate()
        self.save()
        episodes = self._config.final_eval_episodes
        whiches: dict[str, Which] = {"evaluation": "best", "final_evaluation": "final"} if episodes else {}
        for name, which in whiches.items():
            if which == "final" and self._kept_at == self._learner.steps:
                self._evaluations[name] = self._evaluations["evaluation"]  # The same policy on the same episodes.
                continue
            evaluation = self._evaluate(self._run.policy(which), episodes, greedy=True, index=0)
            self._evaluations[name] = evaluation.summary()

    def _evaluate(self, policy: Policy, episodes: int, greedy: bool, index: int) -> Evaluation:
        config = self._config
        return evaluate(
            policy, self._env, config.env_kwargs, episodes, greedy, config.seed, index=index, check=self._stop.check
        )

    def log_rest(self) -> None:
        """Writes the row of the updates since the last one, if there are any."""
        if sum(map(len, self._pending)):
            self._log(self._learner.updates)

    def save_all(self) -> None:
        """Saves what there is: metrics, a checkpoint, and a policy even if none was evaluated."""
        self.log_rest()
        self.save()
        if self._kept_at is None:
            self._keep(self._learner.policy())

    def summarize(self, vectorization: str) -> None:
        """Writes summary.json.

        Args:
            vectorization: Where the environments ran.
        """
        seconds = self._train_seconds
        summary = {
            "env_id": self._config.env_id,
            "seed": self._config.seed,
            "engine": self._learner.engine_name,
            "vectorization": vectorization,
            "steps": self._learner.steps,
            "updates": self._learner.updates,
            "train_seconds": seconds,
            "steps_per_second": self._learner.steps / seconds if seconds else 0.0,
            **self._evaluations,
            "stopped_by": signal.Signals(self._stop.received).name if self._stop.received else None,
            "versions": versions(),
        }
        files.write_json(self._run.path / "summary.json", summary)
