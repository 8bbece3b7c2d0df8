"""Acting: what fills a rollout, T steps of N environments; here, and behind the same protocol elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from a2c.engines import Engine
from a2c.envs import Envs
from a2c.kernels.compiler import prepare
from a2c.kernels.heads import table_of
from a2c.kernels.rollout import Books, Rules, choose, draw_part, forget, not_finite, see
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions
from a2c.model.inputs import observe
from a2c.rollout import Rollout
from a2c.spaces import row_type


class Experience(NamedTuple):
    """A rollout, and what is beside it until it is learnt from."""

    rollout: Rollout
    rows: NDArray[Any]  # [T+1, N] observations, as the environments gave them
    noted: NDArray[np.float64]  # [T, N, M] numbers out of infos, where an episode ended: `a2c.envs.notes`


class Acting(Protocol):
    """Acts for T steps, with parameters and statistics that hold still meanwhile."""

    @property
    def env_seconds(self) -> float:
        """What stepping the environments has taken so far."""
        ...

    def act(self, engine: Engine, update: int) -> None:
        """Fills a rollout, but for `bad` and `next_value`, which `follow_up` completes, from what its row 0 holds.

        Row 0 of `rows`, `mask` and `carry` is given. Where environments had to begin anew, it is changed.

        Raises:
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        ...

    def prepare(self) -> None:
        """Compiles what acting needs, or loads it from disk."""
        ...


ActingMaker = Callable[[Envs, Architecture, Actions, Rules, Books, Experience], Acting]
"""What makes it, for environments whose episodes have begun."""


class LocalActing:
    """Acts with an engine of this process: T times see, forward, choose, advance.

    Attributes:
        env_seconds: What stepping the environments has taken so far.
    """

    def __init__(
        self,
        envs: Envs,
        architecture: Architecture,
        actions: Actions,
        rules: Rules,
        books: Books,
        experience: Experience,
        first: int = 0,
        num_envs: int | None = None,
    ) -> None:
        """Acts in n environments.

        Args:
            envs: Those.
            architecture: Knows what becomes of an observation.
            actions: Knows what becomes of an action.
            rules: Numbers of the run.
            books: Statistics that observations are normalised with.
            experience: What is filled.
            first: Which of the run's environments is the first of these: noise is drawn by their places among all.
            num_envs: How many the run has; None: just these.
        """
        self._envs, self._architecture, self._actions = envs, architecture, actions
        self._rules, self._books, self._experience = rules, books, experience
        self._factors = table_of(actions.factors, envs.mask.shape[1])
        self._first, self._num_envs = first, envs.num_envs if num_envs is None else num_envs
        self.env_seconds = 0.0

    def act(self, engine: Engine, update: int) -> None:
        """Fills the rollout from what its row 0 holds.

        Raises:
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        (rollout, rows, noted), envs = self._experience, self._envs
        length, num_envs, _ = rollout.action.shape
        log_std = engine.views(engine.theta).get("log_std", NONE)
        draw_part(self._factors, self._rules.seed, update, rollout.noise, self._first, self._num_envs)
        rollout.bad[...] = False
        self._look(0)
        for t in range(length):
            self._see(rollout.observed[t], rollout.inputs[t])
            engine.forward(rollout, t)
            action = rollout.action[t]
            choose(self._factors, log_std, rollout.outputs[t], rollout.noise[t], rollout.mask[t], action, 0, num_envs)
            taken = self._actions.to_rows(action)
            begin = time.perf_counter()
            step = envs.advance(taken)
            self.env_seconds += time.perf_counter() - begin
            rollout.reward[t], rollout.terminated[t], rollout.truncated[t] = (
                step.reward,
                step.terminated,
                step.truncated,
            )
            if rollout.ended is not rollout.terminated:
                rollout.ended[t] = step.terminated | step.lost_life
            if step.next_obs is not step.obs:  # Some episode ended.
                self._value_truncated(engine, t, step.next_obs)
                noted[t] = step.noted
                forget(rollout, t, 0, num_envs)
            rows[t + 1] = step.obs
            if envs.mask.shape[1]:
                rollout.mask[t + 1] = envs.mask
            self._look(t + 1)
        self._see(rollout.observed[length], rollout.inputs[length])
        engine.forward(rollout, length)

    def _look(self, t: int) -> None:
        """Takes in what is to be acted on in step t."""
        rollout, rows, _ = self._experience
        observe(self._architecture, rows[t], rollout.observed[t], rollout.inputs[t], rollout.pixels[t])

    def _see(self, observed: NDArray[np.float64], inputs: NDArray[np.float32]) -> None:
        see(self._rules.normalize_observations, self._books.observations, observed, inputs, 0, len(observed))

    def _value_truncated(self, engine: Engine, t: int, final_rows: NDArray[Any]) -> None:
        """V of the last state of the episodes that were truncated in step t. What follows a termination is worth 0."""
        rollout = self._experience.rollout
        cut = np.flatnonzero(rollout.truncated[t] & ~rollout.terminated[t])
        if not len(cut):
            return
        observe(self._architecture, final_rows, rollout.final_observed, rollout.final_inputs, rollout.final_pixels)
        self._see(rollout.final_observed, rollout.final_inputs)
        rollout.next_value[t, cut] = engine.value(
            rollout.final_inputs[cut], rollout.final_pixels[cut], rollout.carry[t + 1, cut]
        )
        for n in cut.tolist():
            rollout.bad[t, n] = not_finite(rollout.final_observed[n])

    def prepare(self) -> None:
        """Compiles what acting needs, or loads it from disk, so that the first rollout costs no more."""
        rollout, rules, num_envs = self._experience.rollout, self._rules, self._envs.num_envs
        prepare(draw_part, self._factors, rules.seed, 0, rollout.noise, 0, num_envs)
        prepare(
            see, rules.normalize_observations, self._books.observations, rollout.observed[0], rollout.inputs[0],
            0, num_envs,
        )  # fmt: skip
        step = (rollout.outputs[0], rollout.noise[0], rollout.mask[0], rollout.action[0])
        prepare(choose, self._factors, NONE, *step, 0, num_envs)
        prepare(forget, rollout, 0, 0, num_envs)


def experience_for(rollout: Rollout, envs: Envs, num_notes: int) -> Experience:
    """Room for what comes beside a rollout: observations as they are, and so many numbers of each episode's end."""
    length, num_envs = rollout.reward.shape
    rows = np.zeros((length + 1, num_envs), row_type(envs.single_observation_space))
    return Experience(rollout, rows, np.zeros((length, num_envs, num_notes)))


NONE = np.zeros(0, np.float32)
"""The log standard deviations where there are none."""
