"""Training in the caller's own loop, where the caller can read, change and stop it."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import numpy as np

from a2c.envs.construction import EnvSource
from a2c.errors import UserError, shown
from a2c.policy import Policy
from a2c.rollout import Rollout
from a2c.run.folder import Run, opened
from a2c.run.writers import Row
from a2c.screen import display_for
from a2c.signals import Stopped
from a2c.training import Asked, UnderWay, again, new, passed_on, under_way, updates_until_due

T = TypeVar("T", Row, Rollout)


class Training:
    """A run that is trained in the caller's own loop.

    Unless the caller changes something, the run is the same to the bit as that of `a2c.train`, with its folder,
    checkpoints and evaluations. `break` stops it as a Ctrl-C would: saved, to be resumed. `stop()` ends it as its
    `total_steps` would: with the final evaluations.

    Example:
        >>> import a2c
        >>> training = a2c.Training("CartPole-v1", seed=1)
        >>> for row in training:  # doctest: +SKIP
        ...     if row.get("evaluation_return", 0) >= 475:
        ...         training.stop()
        ...     if row["steps"] > 50_000:
        ...         training.learning_rate = 1e-4
        >>> training.run.summary["evaluation"]["mean"]  # doctest: +SKIP
        500.0
    """

    def __init__(
        self, env: EnvSource, *, preset: str | os.PathLike[str] = "auto", progress: bool = False, **settings: Any
    ) -> None:
        """Prepares a new run. Arguments as of `a2c.train`; nothing is created before the loop begins.

        Raises:
            UserError: A setting or the environment is not usable.
        """
        self._begin(new(env, os.fspath(preset), progress, settings), None)

    @classmethod
    def resume(
        cls,
        run: Run | str | os.PathLike[str],
        *,
        env: EnvSource | None = None,
        network: Any = None,
        progress: bool = False,
        **changes: Any,
    ) -> Training:
        """Prepares to continue a run. Arguments as of `a2c.resume`; a finished run has no steps left.

        Raises:
            UserError: The folder is damaged, or a change is not possible.
        """
        training = cls.__new__(cls)
        training._begin(*again(opened(run, network), env, display_for(progress), False, changes))
        return training

    def _begin(self, asked: Asked, run: Run | None) -> None:
        self._asked, self._run = asked, run
        self._under_way: UnderWay | None = None
        self._has_begun = self._is_over = self._changes_rewards = False
        self._rows: list[Row] = []

    def __iter__(self) -> Iterator[Row]:
        """Trains, and yields each row of metrics as metrics.jsonl has it: `steps`, and the metrics by name.

        There is a row every `log_every_steps` steps, and one with `evaluation_return` after each evaluation. The last
        row, of the updates since, comes when the run has ended.

        Raises:
            UserError: The loop has begun before, or the environment or the run folder is not usable.
            EnvError: An environment raised; a checkpoint was saved.
            WorkerError: A worker died or gave no answer in time; a checkpoint was saved.
        """
        yield from self._loop(self._asked, self._update)
        yield from self._new_rows()

    def rollouts(self) -> Iterator[Rollout]:
        """Trains, and yields each rollout before its update: arrays [T, N], `a2c.rollout.Rollout`.

        `rollout.reward` may be changed in place: the update and the returns in metrics use it, while evaluations use
        the environment's own rewards. The other arrays must not be changed.

        Raises:
            UserError, EnvError, WorkerError: As when iterating over the training itself.

        Example:
            >>> training = a2c.Training("Pendulum-v1", total_steps=100_000)  # doctest: +SKIP
            >>> for rollout in training.rollouts():  # doctest: +SKIP
            ...     rollout.reward[:] -= 0.1 * np.square(rollout.action).sum(-1)
        """
        return self._loop(self._asked._replace(is_one_call=False), self._update_by_halves)

    @property
    def run(self) -> Run:
        """The run.

        Raises:
            UserError: The loop has not begun.
        """
        if self._run is None:
            raise UserError("there is no run yet; it begins with the loop over the training")
        return self._run

    @property
    def policy(self) -> Policy:
        """A copy of the current policy, inside the loop; afterwards, `run.policy()` gives the best and the final one.

        Raises:
            UserError: No loop is running.
        """
        return copy.deepcopy(self._now().learner.policy())  # Without a copy, its statistics would change with the run.

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update (with natural steps, the critic's). It can be set.

        A new value also scales the schedule: set to half, it stays half of what the schedule gives. Natural steps get
        shorter or longer in the same proportion. The change is saved in checkpoints and recorded in the run, whose
        settings alone no longer give the same results.

        Raises:
            UserError: No loop is running; or the value is not a finite number of at least 0, or the schedule is at 0.
        """
        return self._now().learner.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        now = self._now()
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate < math.inf:
            raise UserError(f"learning_rate is {shown(rate)}; it must be a finite number of at least 0")
        if math.isclose(rate, now.learner.learning_rate, rel_tol=1e-9):
            return
        now.learner.set_learning_rate(rate)
        now.session.note_hand("the learning rate was", f"the learning rate was set to {rate:g}")

    def stop(self) -> None:
        """Ends the run after the current step of the loop, with the final evaluations."""
        self._is_over = True

    def _now(self) -> UnderWay:
        if self._under_way is None:
            raise UserError("no training is running; use this inside the loop, as in `for row in training`")
        return self._under_way

    def _loop(self, asked: Asked, update: Callable[[UnderWay], Iterator[T]]) -> Generator[T, None, None]:
        """The loop of `a2c.training`, paused whenever `update` yields something."""
        if self._has_begun:
            raise UserError("this training has begun before; a2c.Training.resume(training.run) continues the run")
        self._has_begun = True
        if self._run is not None and self._run.is_finished and self._run.has_ended(asked.config):
            return
        with under_way(asked, self._run, lambda folder: _Kept(self._rows)) as now:
            self._run, self._under_way = now.run, now
            try:
                now.session.keep_policy_if_due()
                now.session.evaluate_if_due()  # A resumed run may have been killed in the middle of an evaluation.
                while now.learner.updates < now.config.num_updates and not (now.session.has_reached or self._is_over):
                    now.stop.check()
                    yield from update(now)
                    now.session.save_if_due()
                now.session.evaluate_at_the_end()
            except GeneratorExit:  # The caller left the loop.
                now.session.is_left = True
                raise Stopped from None
            finally:
                self._under_way = None
        passed_on(now.run)

    def _update(self, now: UnderWay) -> Iterator[Row]:
        """Updates up to the next row of metrics, and yields it."""
        config, size = now.config, now.config.steps_per_update
        # Never past the next row, so that a change by the caller takes effect at the same step on any machine.
        until = config.log_every_steps - now.learner.steps % config.log_every_steps
        count = updates_until_due(config, now.learner.steps, -(-until // size))
        now.session.update(count)
        now.session.keep_policy_if_due()
        now.session.evaluate_if_due()
        yield from self._new_rows()

    def _new_rows(self) -> Iterator[Row]:
        while self._rows:
            yield self._rows.pop(0)

    def _update_by_halves(self, now: UnderWay) -> Iterator[Rollout]:
        """One update, paused after its rollout was collected."""
        start = time.perf_counter()
        rollout = now.learner.collect()
        before, collected = rollout.reward.copy(), time.perf_counter()
        try:
            yield rollout
        finally:  # If the caller leaves the loop here, the update is completed first.
            resumed = time.perf_counter()
            if not (self._changes_rewards or np.array_equal(before, rollout.reward)):
                self._changes_rewards = True
                now.session.note_hand("rewards were", "rewards of rollouts were changed, from here on")
            row = now.learner.learn()
            now.session.take_in(row[None], time.perf_counter() - start - (resumed - collected))
            now.session.keep_policy_if_due()
        now.session.evaluate_if_due()
        self._rows.clear()


class _Kept:
    """A log that appends its rows to a list."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def write(self, steps: int, row: Row) -> None:
        self._rows.append({"steps": steps, **row})

    def flush(self) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...
