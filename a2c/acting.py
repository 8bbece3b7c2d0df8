"""Acting: fills a rollout with T steps of N environments, in this process; a cluster has the same protocol."""

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
from a2c.kernels.rollout import Rules, choose, draw_part, forget, not_finite, see
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions
from a2c.model.inputs import observe
from a2c.moments import Moments
from a2c.rollout import Rollout
from a2c.spaces import row_type


class Experience(NamedTuple):
    """A rollout, and what else is collected with it."""

    rollout: Rollout
    rows: NDArray[Any]  # [T+1, N] observations, as the environments gave them
    noted: NDArray[np.float64]  # [T, N, M] numbers read from infos in steps that ended an episode: `a2c.envs.notes`


class Behaviour(NamedTuple):
    """What chooses actions."""

    engine: Engine
    """The networks, with parameters."""
    observations: Moments
    """Statistics that normalise observations, if the run does that."""

    def become(self, other: Behaviour) -> None:
        """Takes over the parameters and statistics of another."""
        self.engine.theta[...] = other.engine.theta
        self.engine.follow()
        for ours, theirs in zip(self.observations, other.observations, strict=True):
            ours[...] = theirs


class Acting(Protocol):
    """Acts for T steps, during which what chooses actions does not change.

    Attributes:
        fills_inputs: Whether `act` fills the rollout's `observed`, `inputs` and `pixels`, too.
    """

    fills_inputs: bool

    @property
    def env_seconds(self) -> float:
        """Seconds spent stepping the environments so far."""
        ...

    def begin(self, carry: NDArray[np.float32], update: int) -> None:
        """Begins to act, if that can go on while this process does something else; `act` then waits for its end.

        Args:
            carry: [N, H] the policy's memory of the running episodes.
            update: Number of the update, on which noise depends.

        Raises:
            EnvError, WorkerError: As `act`.
        """
        ...

    def act(self, update: int) -> NDArray[np.bool_]:
        """Fills the rollout, starting from its row 0. `follow_up` then completes `bad` and `next_value`.

        The caller sets row 0 of `rows`, `mask` and `carry`. It is changed for environments that had to begin a new
        episode.

        Returns:
            [N] which environments had to.

        Raises:
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        ...

    def prepare(self) -> None:
        """Compiles what acting needs, or loads it from disk."""
        ...


ActingMaker = Callable[[Envs, Architecture, Actions, Rules, Behaviour, Experience], Acting]
"""Makes an `Acting` for environments whose episodes have begun."""


class LocalActing:
    """Acts in this process: T times observe, compute the actor's outputs, sample actions, step the environments.

    Attributes:
        env_seconds: Seconds spent stepping the environments so far.
    """

    fills_inputs = True

    def __init__(
        self,
        envs: Envs,
        architecture: Architecture,
        actions: Actions,
        rules: Rules,
        behaviour: Behaviour,
        experience: Experience,
        first: int = 0,
        num_envs: int | None = None,
    ) -> None:
        """Sets up acting in n environments: all of the run's, or some of them.

        Args:
            envs: The n environments.
            architecture: Turns observations into inputs.
            actions: Turns columns into actions of the environments.
            rules: Constants of the run.
            behaviour: What chooses actions.
            experience: The arrays to fill.
            first: Number of the first of these environments in the run: noise depends on it.
            num_envs: How many environments the run has; None: just these.
        """
        self._envs, self._architecture, self._actions = envs, architecture, actions
        self._rules, self._behaviour, self._experience = rules, behaviour, experience
        self._factors = table_of(actions.factors, envs.mask.shape[1])
        self._first, self._num_envs = first, envs.num_envs if num_envs is None else num_envs
        self._none = np.zeros(envs.num_envs, np.bool_)
        self.env_seconds = 0.0

    def begin(self, carry: NDArray[np.float32], update: int) -> None:
        """Does nothing: `act` does it all."""

    def act(self, update: int) -> NDArray[np.bool_]:
        """Fills the rollout, starting from its row 0; returns [N] False: no environment begins anew before that.

        Raises:
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        (rollout, rows, noted), envs, engine = self._experience, self._envs, self._behaviour.engine
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
                self._value_truncated(t, step.next_obs)
                noted[t] = step.noted
                forget(rollout, t, 0, num_envs)
            rows[t + 1] = step.obs
            if envs.mask.shape[1]:
                rollout.mask[t + 1] = envs.mask
            self._look(t + 1)
        self._see(rollout.observed[length], rollout.inputs[length])
        engine.forward(rollout, length)
        return self._none

    def _look(self, t: int) -> None:
        """Splits the observations of step t into the rollout's arrays."""
        rollout, rows, _ = self._experience
        observe(self._architecture, rows[t], rollout.observed[t], rollout.inputs[t], rollout.pixels[t])

    def _see(self, observed: NDArray[np.float64], inputs: NDArray[np.float32]) -> None:
        see(self._rules.normalize_observations, self._behaviour.observations, observed, inputs, 0, len(observed))

    def _value_truncated(self, t: int, final_rows: NDArray[Any]) -> None:
        """Sets V of the last states of episodes that step t truncated. After a termination it stays 0."""
        rollout = self._experience.rollout
        cut = np.flatnonzero(rollout.truncated[t] & ~rollout.terminated[t])
        if not len(cut):
            return
        observe(self._architecture, final_rows, rollout.final_observed, rollout.final_inputs, rollout.final_pixels)
        self._see(rollout.final_observed, rollout.final_inputs)
        rollout.next_value[t, cut] = self._behaviour.engine.value(
            rollout.final_inputs[cut], rollout.final_pixels[cut], rollout.carry[t + 1, cut]
        )
        for n in cut.tolist():
            rollout.bad[t, n] = not_finite(rollout.final_observed[n])

    def prepare(self) -> None:
        """Compiles what acting needs, or loads it from disk, so that the first rollout is not slower."""
        rollout, rules, num_envs = self._experience.rollout, self._rules, self._envs.num_envs
        prepare(draw_part, self._factors, rules.seed, 0, rollout.noise, 0, num_envs)
        prepare(
            see, rules.normalize_observations, self._behaviour.observations, rollout.observed[0], rollout.inputs[0],
            0, num_envs,
        )  # fmt: skip
        step = (rollout.outputs[0], rollout.noise[0], rollout.mask[0], rollout.action[0])
        prepare(choose, self._factors, NONE, *step, 0, num_envs)
        prepare(forget, rollout, 0, 0, num_envs)


def experience_for(rollout: Rollout, envs: Envs, num_notes: int) -> Experience:
    """Allocates what is collected with a rollout: unchanged observations, and `num_notes` numbers per episode's end."""
    length, num_envs = rollout.reward.shape
    rows = np.zeros((length + 1, num_envs), row_type(envs.single_observation_space))
    return Experience(rollout, rows, np.zeros((length, num_envs, num_notes)))


NONE = np.zeros(0, np.float32)
"""Log standard deviations of a policy without continuous actions."""
