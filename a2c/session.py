"""Session: what happens around the updates of a run. Metrics, evaluations, checkpoints, the summary."""

from __future__ import annotations

import math
import signal
import time
from typing import Any

import numpy as np

from a2c import checkpoint, files
from a2c.config import Config
from a2c.envs.make import EnvSource
from a2c.evaluation import Evaluation, evaluate
from a2c.learner import Learner, Update
from a2c.logs import Logs
from a2c.run import Run, versions


class Session:
    """Keeps the books of one run. Nothing here feeds back into the learner."""

    def __init__(self, run: Run, config: Config, env: EnvSource, learner: Learner, logs: Logs) -> None:
        self._run, self._config, self._env = run, config, env
        self._learner, self._logs = learner, logs
        self._pending: list[Update] = []  # since the last row
        self._pending_seconds = 0.0
        self._train_seconds = 0.0
        self._evaluations = 0
        self._best = -math.inf
        self._saved_at = time.monotonic()

    def update(self) -> Update:
        """One update of the learner, timed and remembered for the next row of metrics."""
        start = time.perf_counter()
        update = self._learner.update()
        self._pending_seconds += time.perf_counter() - start
        self._pending.append(update)
        return update

    def log(self) -> dict[str, float]:
        """Writes a row of metrics: means over the updates since the last one, and over the episodes that ended.

        Returns:
            The row.
        """
        updates, seconds = self._pending, self._pending_seconds
        self._pending, self._pending_seconds = [], 0.0
        self._train_seconds += seconds
        row = {"updates": float(self._learner.updates)}
        returns = np.concatenate([update.episodes.returns for update in updates])
        if len(returns):
            row["episode_return"] = float(returns.mean())
            row["episode_length"] = float(np.concatenate([update.episodes.lengths for update in updates]).mean())
        for name, value in zip(
            updates[0].metrics._fields, np.mean([update.metrics for update in updates], axis=0), strict=True
        ):
            row[name] = float(value)
        row["explained_variance"] = float(np.mean([update.explained_variance for update in updates]))
        row["learning_rate"] = updates[-1].learning_rate
        row["steps_per_second"] = len(updates) * self._config.steps_per_update / seconds
        self._logs.write(self._learner.steps, row)
        return row

    def evaluate(self) -> Evaluation:
        """Evaluates the policy, and keeps it if none was better. Equally good, the later one has learnt from more.

        Every evaluation runs the same episodes, so that policies are compared and not their luck; the evaluations that
        end the run are on others.
        """
        config, policy = self._config, self._learner.policy()
        self._evaluations += 1
        evaluation = evaluate(
            policy,
            self._env,
            config.env_kwargs,
            config.eval_episodes,
            config.eval_greedy,
            config.seed,
            index=1,
        )
        row = {"evaluation_return": evaluation.mean, "evaluation_std": evaluation.std}
        row["evaluation_length"] = float(np.mean(evaluation.lengths))
        self._logs.write(self._learner.steps, row)
        if evaluation.mean >= self._best or self._evaluations == 1:
            self._best = evaluation.mean
            policy.save(self._run.path / "policy", steps=self._learner.steps, evaluation=evaluation.summary())
        return evaluation

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

    def finish(self, vectorization: str, stopped_by: int) -> dict[str, Any]:
        """Saves everything, evaluates the policies that remain, and writes the summary.

        Args:
            vectorization: Where the environments ran, for the summary.
            stopped_by: The signal that ended the run early; 0: none.

        Returns:
            The summary.
        """
        if self._pending:
            self.log()
        self.save()
        if not self._evaluations:
            self.evaluate()
        evaluations = {}
        if self._config.final_eval_episodes and not stopped_by:
            episodes, env = self._config.final_eval_episodes, self._env
            evaluations = {
                "evaluation": self._run.evaluate(episodes, which="best", env=env).summary(),
                "final_evaluation": self._run.evaluate(episodes, which="final", env=env).summary(),
            }
        summary = {
            "env_id": self._config.env_id,
            "seed": self._config.seed,
            "engine": self._learner.engine_name,
            "vectorization": vectorization,
            "steps": self._learner.steps,
            "updates": self._learner.updates,
            "train_seconds": self._train_seconds,
            "steps_per_second": self._learner.steps / self._train_seconds,
            **evaluations,
            "stopped_by": signal.Signals(stopped_by).name if stopped_by else None,
            "versions": versions(),
        }
        files.write_json(self._run.path / "summary.json", summary)
        return summary
