"""One trial: a Config trained on several seeds side by side, measured on the way and at the end.

Nothing is written. What is measured is what `a2c train` with these settings and seeds measures: its evaluations on the
way, and the one of the final policy that ends a run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np

from a2c import start
from a2c.config import Config
from a2c.envs import Envs
from a2c.envs.make import envs_for, kind_for
from a2c.envs.placement import is_compiled
from a2c.envs.watchdog import watched
from a2c.errors import WorkerError
from a2c.evaluation import Evaluator, Layout
from a2c.learner import Learner
from a2c.report.statistics import interquartile_mean
from a2c.run.evaluations import side_by_side
from a2c.signals import StopSignals, interrupts_remembered

LOOKS = 4
"""How often a trial is measured, the end included; at each of the others it may be given up."""

_CALL_SECONDS = 0.1
"""How long a call of many updates may take, about: signals are heard between two calls."""


class Look(NamedTuple):
    """What the seeds of a trial had come to."""

    number: int
    """Of LOOKS, from 1."""
    steps: int
    """Of each seed."""
    returns: list[float]
    """Mean return of each seed's evaluation."""

    @property
    def is_last(self) -> bool:
        """Whether training has ended."""
        return self.number == LOOKS

    @property
    def score(self) -> float:
        """The interquartile mean over seeds."""
        return score_of(self.returns)


def score_of(returns: Sequence[float]) -> float:
    """The interquartile mean of one return for each seed."""
    return float(interquartile_mean(np.array(returns)))


def looks(config: Config, seeds: Sequence[int], episodes: int, stop: StopSignals) -> Generator[Look, None, None]:
    """Trains on every seed up to a quarter of the steps, gives what came, and goes on from there when asked to.

    Whoever has seen enough closes the iterator.

    Args:
        config: The settings; its seed does not count.
        seeds: One run for each.
        episodes: Of the last evaluation, the first ones of those that end a run of `a2c train`.
        stop: Ends it.

    Raises:
        Stopped: A signal asked for it.
        NumbersError: Training diverged, or the environment gave what is not finite.
        UserError: The settings cannot be trained with.
        EnvError: The environment raised.
        WorkerError: Workers died or hung, or an environment of this process did.
    """
    with contextlib.ExitStack() as cleanup:
        if config.vectorization == "auto" and config.num_workers == "auto" and not config.isolate_envs:
            config = dataclasses.replace(config, num_workers=0)  # Seeds, and --jobs, share the cores out.
        contestants = [_Contestant(dataclasses.replace(config, seed=seed), stop, cleanup) for seed in seeds]
        for number in range(1, LOOKS + 1):
            returns = []
            for contestant in contestants:
                contestant.train_to(-(-config.num_updates * number // LOOKS))
                returns.append(contestant.measured(episodes if number == LOOKS else None))
            yield Look(number, contestants[0].learner.steps, returns)


class _Contestant:
    """One seed: a learner with its environments, and those of its evaluations."""

    def __init__(self, config: Config, stop: StopSignals, cleanup: contextlib.ExitStack) -> None:
        """All is made here, and closed by `cleanup`."""
        self._config, self._stop = config, stop
        with interrupts_remembered():
            envs = envs_for(config, config.env_id, is_compiled(config, config.env_id))
            cleanup.callback(envs.close)
            self.learner = Learner(config, envs, start.read(config))
        kind = kind_for(config, config.env_id)
        layout = Layout(side_by_side(config, kind), 0, config.isolate_envs, config.env_timeout_seconds, self._watched)
        self._evaluator = Evaluator(kind, layout)
        cleanup.callback(self._evaluator.close)
        cleanup.enter_context(self._watched(envs))

    def train_to(self, updates: int) -> None:
        """Makes updates until there are so many."""
        at_most = 1
        while self.learner.updates < updates:
            self._stop.check()
            count, begun = min(at_most, updates - self.learner.updates), time.perf_counter()
            self.learner.update(count)
            self.learner.take_events()
            if self.learner.is_fused:
                at_most = max(1, int(_CALL_SECONDS * count / (time.perf_counter() - begun)))

    def measured(self, last: int | None) -> float:
        """The mean return of an evaluation on the way, or of the final policy, in so many episodes."""
        config = self._config
        # Which set of episodes, as `a2c.run.evaluations` has it.
        episodes, greedy, index = (config.eval_episodes, config.eval_greedy, 1) if last is None else (last, True, 0)
        return self._evaluator.evaluate(
            self.learner.policy(), episodes, greedy, index, self._stop.check, total_steps=config.total_steps
        ).mean

    def _watched(self, envs: Envs) -> contextlib.AbstractContextManager[None]:
        """Ends the trial where an environment of this process hangs."""

        def end(n: int) -> None:
            error = WorkerError(
                f"environment {n}, which this process steps itself, did not come back for env_timeout_seconds; with "
                "isolate_envs, environments are in workers, which are replaced",
                n,
            )
            envs.stepper.release()
            self._stop.interrupt(error)

        return watched(envs.stepper, self._config.env_timeout_seconds, end)
