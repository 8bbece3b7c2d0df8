"""One trial: a Config trained on several seeds side by side, measured during training and at the end.

Nothing is written. The measurements are those of `a2c train` with the same settings and seeds: its evaluations during
training, and that of the final policy at the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a2c import files, start
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
"""How often a trial is measured, the end included; after each measurement but the last it may be pruned."""

_CALL_SECONDS = 0.1
"""About how long a call of many updates may take: signals are heeded only between two calls."""


class Look(NamedTuple):
    """A measurement of a trial."""

    number: int
    """From 1 to LOOKS."""
    steps: int
    """Steps of each seed so far."""
    returns: list[float]
    """Mean return of each seed's evaluation."""
    states: Sequence[bytes] = ()
    """The state of each seed's learner, from which the trial can go on; empty: nobody asked for them."""

    @property
    def is_last(self) -> bool:
        """Whether training has ended."""
        return self.number == LOOKS

    @property
    def score(self) -> float:
        """The interquartile mean over seeds."""
        return score_of(self.returns)


def score_of(returns: Sequence[float]) -> float:
    """The interquartile mean over seeds of their returns."""
    return float(interquartile_mean(np.array(returns)))


class Saved(NamedTuple):
    """Where a trial goes on."""

    number: int
    """The number of its last look; 0: it begins."""
    states: Sequence[bytes]
    """Those of that look."""


def looks(
    config: Config, seeds: Sequence[int], episodes: int, stop: StopSignals, saved: Saved | None = None
) -> Generator[Look, None, None]:
    """Trains every seed in LOOKS equal parts, and yields a measurement after each; close the generator to stop earlier.

    Args:
        config: The settings; its seed is ignored.
        seeds: One run for each.
        episodes: How many episodes the last evaluation has: the first of those at the end of `a2c train`.
        stop: Ends the training.
        saved: Where to go on, to the same numbers; the looks then have states, too. None: begins, without states.

    Raises:
        Stopped: A signal asked to stop.
        NumbersError: Training diverged, or the environment gave numbers that are not finite.
        UserError: The settings cannot be trained with.
        EnvError: The environment raised.
        WorkerError: Workers died or hung, or an environment of this process hung.
    """
    with contextlib.ExitStack() as cleanup:
        if config.vectorization == "auto" and config.num_workers == "auto" and not config.isolate_envs:
            config = dataclasses.replace(config, num_workers=0)  # The cores are for --jobs.
        contestants = [_Contestant(dataclasses.replace(config, seed=seed), stop, cleanup) for seed in seeds]
        first = 1
        if saved is not None and saved.states:
            first += saved.number
            for contestant, state in zip(contestants, saved.states, strict=True):
                contestant.restore(state, _updates_at(config, saved.number))
        for number in range(first, LOOKS + 1):
            returns = []
            for contestant in contestants:
                contestant.train_to(_updates_at(config, number))
                returns.append(contestant.measured(episodes if number == LOOKS else None))
            states = [contestant.state() for contestant in contestants] if saved is not None and number < LOOKS else ()
            yield Look(number, contestants[0].learner.steps, returns, states)


def _updates_at(config: Config, number: int) -> int:
    """The updates that a seed has made at a look."""
    return -(-config.num_updates * number // LOOKS)


class _Contestant:
    """One seed: a learner with its environments, and those of its evaluations."""

    def __init__(self, config: Config, stop: StopSignals, cleanup: contextlib.ExitStack) -> None:
        """Makes everything; `cleanup` closes it."""
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

    def state(self) -> bytes:
        """The learner's state, which `restore` reads."""
        return files.arrays_to_bytes(self.learner.state())

    def restore(self, state: bytes, updates: int) -> None:
        """Continues from a state after so many updates."""
        self.learner.restore(files.arrays_from_bytes(state, Path("the state of a trial")), updates)

    def train_to(self, updates: int) -> None:
        """Makes updates until the learner has made so many."""
        at_most = 1
        while self.learner.updates < updates:
            self._stop.check()
            count, begun = min(at_most, updates - self.learner.updates), time.perf_counter()
            self.learner.update(count)
            self.learner.take_events()
            if self.learner.is_fused:
                at_most = max(1, int(_CALL_SECONDS * count / (time.perf_counter() - begun)))

    def measured(self, last: int | None) -> float:
        """The mean return of an evaluation: during training (None), or of the final policy in `last` episodes."""
        config = self._config
        # The index chooses the set of episodes, as in `a2c.run.evaluations`.
        episodes, greedy, index = (config.eval_episodes, config.eval_greedy, 1) if last is None else (last, True, 0)
        return self._evaluator.evaluate(
            self.learner.policy(), episodes, greedy, index, self._stop.check, total_steps=config.total_steps
        ).mean

    def _watched(self, envs: Envs) -> contextlib.AbstractContextManager[None]:
        """Ends the trial if an environment of this process hangs."""

        def end(n: int) -> None:
            error = WorkerError(
                f"environment {n}, which this process steps itself, did not come back for env_timeout_seconds; set "
                "isolate_envs to put environments into workers, which can be replaced",
                n,
            )
            envs.stepper.release()
            self._stop.interrupt(error)

        return watched(envs.stepper, self._config.env_timeout_seconds, end)
