"""FusedUpdates: whole updates in one call of machine code, if both the environments and the engine are compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.collector import experience
from a2c.engines import Metrics
from a2c.envs import Envs
from a2c.envs.compiled.stepping import env_error
from a2c.errors import EnvError, NumbersError
from a2c.finite import report
from a2c.kernels.clock import seconds_per_tick
from a2c.kernels.loop import COLLECTING, LEARNING, Clock, Training, learn, learn_naturally, run_updates
from a2c.kernels.machine_code import Pending, program, source
from a2c.kernels.threads import Crew
from a2c.model.factors import Actions
from a2c.team import Team

_ROW = len(Metrics._fields) + 3
"""Numbers that an update reports: its metrics, number of episodes, sum of returns, sum of lengths."""


def learning(training: Training, team: Team) -> Pending:
    """The second half of an update: read from disk, or begun to be compiled by another process."""
    kernel = learn if training.natural is None else learn_naturally
    return Pending({"learn": source(kernel, 0, team.crew, training, 0, 0.0, np.zeros(_ROW), result=True)}, True)


class FusedUpdates:
    """Runs `a2c.kernels.loop` on the arrays of a learner."""

    def __init__(self, training: Training, learning: Pending, actions: Actions, envs: Envs, team: Team) -> None:
        """Compiles the loop for these environments, or loads it from disk.

        Args:
            training: The arrays and constants of an update.
            learning: What `learning` returned for them.
            actions: Turns columns into actions of the environments.
            envs: The environments, whose episodes have begun.
            team: The threads that compute.
        """
        self._training, self._actions, self._envs, self._team = training, actions, envs, team
        code = envs.stepper.machine_code
        self._arrays = code.arrays
        self._clock = Clock(np.zeros(2, np.int64), np.zeros(2, np.int64))
        what = (training, code.arrays, code.advance)
        rates, record = np.zeros(0), np.zeros((0, _ROW))
        runs = source(
            run_updates, 0, team.crew, *what, learning.routine_of("learn"), 0, rates, record, self._clock, result=0
        )
        run = program(run=runs)["run"]  # Compiled here, while `learning` is compiled elsewhere.
        learn = learning.program()["learn"].routine
        self._calls = [run.bound(thread, team.crew, *what, learn) for thread in range(team.crew.threads)]

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that all updates have taken so far, by part."""
        spent = self._clock.spent * seconds_per_tick()
        return {"environments_and_acting": float(spent[COLLECTING]), "gradient": float(spent[LEARNING])}

    def error(self, steps: int) -> EnvError | NumbersError | None:
        """The error to raise if an environment ended the last `run` early, after so many steps of the run."""
        rollout, books = self._training.rollout, self._training.books
        if rollout.bad.any():
            seed, stepper = self._training.rules.seed, self._envs.stepper
            return report(rollout.bad, stepper, seed, steps, books.lengths, self.experience())
        return env_error(self._arrays)

    def experience(self) -> dict[str, NDArray[Any]]:
        """The last rollout as the environments gave it, perhaps incomplete: copies, for error reports."""
        rollout = self._training.rollout
        rows = rollout.observed.astype(np.float32).reshape(*rollout.value.shape, *self._envs.obs.shape[1:])
        return {"obs": rows[:-1], **experience(rollout, self._actions), "last_obs": rows[-1]}

    def run(self, first_update: int, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Makes updates with the given learning rates.

        Args:
            first_update: Number of the first update, counted from the start of the run.
            rates: [U].

        Returns:
            A row for each update made: the fields of `Metrics`, then number of episodes, sum of their returns, sum of
            their lengths. Fewer than U rows if a gradient was not finite or an environment failed.
        """
        record = np.zeros((len(rates), _ROW))
        made = self._team.run(self._call, first_update, rates, record, self._clock)
        return record[:made]

    def _call(self, thread: int, crew: Crew, *rest: Any) -> int:
        return self._calls[thread](*rest)
