"""Training step by step: the loop is the caller's, who may look on, take a hand in it, and stop."""

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
    """A run that is trained in a loop of the caller's.

    The run is the one that `a2c.train` makes, with its folder, checkpoints and evaluations, to the same bits, as long
    as nobody takes a hand in it. `break` leaves it as a Ctrl-C would: saved, to be resumed. `stop()` ends it as its
    `total_steps` would: with the last evaluations.

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
        """A new run. Arguments as of `a2c.train`; nothing is made before the loop begins.

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
        """A run that goes on. Arguments as of `a2c.resume`; one that is finished has no steps left.

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
        """Trains, and gives each row of metrics as it is written to metrics.jsonl: `steps`, and what there is by name.

        Rows come every `log_every_steps`, and after an evaluation, with `evaluation_return`. The row of the updates
        after the last of these comes when the run has ended.

        Raises:
            UserError: It has begun before, or the environment or the run folder is not usable.
            EnvError: An environment raised; a checkpoint was saved.
            WorkerError: A worker died or gave no answer in time; a checkpoint was saved.
        """
        yield from self._loop(self._asked, self._update)
        yield from self._new_rows()

    def rollouts(self) -> Iterator[Rollout]:
        """Trains, and gives each rollout before it is learnt from: arrays [T, N], `a2c.rollout.Rollout`.

        What is written into `rollout.reward`, in place, is what is learnt from, and what returns in metrics are made
        of; evaluations have the environment's own rewards. Everything else is to be read.

        Raises:
            UserError, EnvError, WorkerError: As of iterating.

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
        """A copy of the policy as it stands in the loop; afterwards, `run.policy()` has the best and the final one.

        Raises:
            UserError: No loop is under way.
        """
        return copy.deepcopy(self._now().learner.policy())  # Its statistics would go on with the run's.

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update (where steps are natural, the critic's); may be set.

        What is set counts from there on, and is followed by the schedule: set to half, it stays half of what the
        schedule says. Natural steps get shorter or longer with it, in the same proportion. It is saved and resumed, and
        noted: the run is not any more what its settings alone make.

        Raises:
            UserError: No loop is under way; or what is set is no finite number of at least 0, or the schedule is at 0.
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
        """Ends the run after the step of the loop under way, with the evaluations at its end."""
        self._is_over = True

    def _now(self) -> UnderWay:
        if self._under_way is None:
            raise UserError("no training is under way; this is for use in the loop over it")
        return self._under_way

    def _loop(self, asked: Asked, update: Callable[[UnderWay], Iterator[T]]) -> Generator[T, None, None]:
        """The loop of `a2c.training`, which stands still wherever `update` gives something."""
        if self._has_begun:
            raise UserError("this training has begun before; a2c.Training.resume(training.run) goes on with the run")
        self._has_begun = True
        if self._run is not None and self._run.is_finished and self._run.has_ended(asked.config):
            return
        with under_way(asked, self._run, lambda folder: _Kept(self._rows)) as now:
            self._run, self._under_way = now.run, now
            try:
                now.session.keep_policy_if_due()
                now.session.evaluate_if_due()  # Where a run was resumed that ended in the middle of an evaluation.
                while now.learner.updates < now.config.num_updates and not (now.session.has_reached or self._is_over):
                    now.stop.check()
                    yield from update(now)
                    now.session.save_if_due()
                now.session.evaluate_at_the_end()
            except GeneratorExit:  # Whoever has the loop left it.
                now.session.is_left = True
                raise Stopped from None
            finally:
                self._under_way = None
        passed_on(now.run)

    def _update(self, now: UnderWay) -> Iterator[Row]:
        """Updates up to the next row of metrics, which is given."""
        config, size = now.config, now.config.steps_per_update
        # Never more than to the next row: whoever takes a hand in the run does so at the same step on any machine.
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
        """One update, which stands still where its rollout was collected."""
        start = time.perf_counter()
        rollout = now.learner.collect()
        before, collected = rollout.reward.copy(), time.perf_counter()
        try:
            yield rollout
        finally:  # Whoever leaves the loop here leaves a whole update.
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
    """A log that keeps rows for whoever takes them from the list."""

    def __init__(self, rows: list[Row]) -> None:
        self._kept = rows

    def write(self, steps: int, row: Row) -> None:
        self._kept.append({"steps": steps, **row})

    def flush(self) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...
