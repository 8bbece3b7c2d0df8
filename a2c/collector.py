"""Collector: acts for T steps in N environments and fills a rollout with the results."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.engines import Engine
from a2c.envs import Envs
from a2c.envs.notes import faults, totals
from a2c.envs.stepper import Event
from a2c.envs.vector import Step
from a2c.finite import bounds_to_check, outside, report
from a2c.kernels.compiler import prepare
from a2c.kernels.heads import draw, table_of
from a2c.kernels.rollout import Books, Rules, choose, follow_up, forget, not_finite, see
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions
from a2c.model.inputs import observe
from a2c.rollout import Rollout
from a2c.spaces import plain, row_type


class Collector:
    """Acts in environments, and holds the state of the running episodes.

    Attributes:
        obs: [N] rows of observations to act on next, as of the end of the last whole rollout.
        carry: [N, H] the policy's memory at the same time.
        env_seconds: Seconds spent stepping the environments so far.
    """

    def __init__(
        self,
        envs: Envs,
        architecture: Architecture,
        actions: Actions,
        rules: Rules,
        books: Books,
        rollout: Rollout,
        info_keys: tuple[str, ...] = (),
    ) -> None:
        """Begins an episode in every environment.

        Args:
            envs: N environments.
            architecture: Turns observations into inputs.
            actions: Turns columns into actions of the environments.
            rules: Constants of the run.
            books: The statistics that normalise observations, and the returns and lengths of the running episodes.
            rollout: The rollout to fill.
            info_keys: Numbers to read from the info of each episode's last step; the environments read them.

        Raises:
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self._envs, self._architecture, self._actions = envs, architecture, actions
        self._rules, self._books, self._rollout = rules, books, rollout
        self._factors = table_of(actions.factors, envs.mask.shape[1])
        self._rows = np.zeros((len(rollout.inputs), envs.num_envs), row_type(envs.single_observation_space))  # [T+1, N]
        self.obs = envs.begin().copy()
        self._mask = envs.mask.copy()
        self.carry = np.zeros(rollout.carry.shape[1:], np.float32)
        envs.mark()
        self._bounds = bounds_to_check(envs.single_observation_space)
        self._events: list[Event] = []
        self.env_seconds = 0.0
        self._info_keys, self._info_faults = info_keys, set[str]()

    def collect(self, engine: Engine, update: int, steps: int) -> NDArray[np.float64]:
        """Acts for T steps, with the noise of one update; the run has taken `steps` steps before.

        The statistics of observations do not change meanwhile.

        Returns:
            [2M] for the M numbers of `info_keys`: their sums over episodes that ended, then how many episodes had them.

        Raises:
            NumbersError: An observation or reward is not finite.
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        rollout, envs = self._rollout, self._envs
        length, num_envs, columns = rollout.action.shape
        log_std = engine.views(engine.theta).get("log_std", _NONE)
        draw(self._factors, self._rules.seed, update, rollout.noise.reshape(-1), columns, 0, length * num_envs)
        rollout.bad[...] = False
        noted = np.zeros((2, len(self._info_keys)))
        self._look(0, self.obs, self._mask)
        rollout.carry[0] = self.carry
        for t in range(length):
            self._see(rollout.observed[t], rollout.inputs[t])
            engine.forward(rollout, t)
            action = rollout.action[t]
            choose(self._factors, log_std, rollout.outputs[t], rollout.noise[t], rollout.mask[t], action, 0, num_envs)
            rows = self._actions.to_rows(action)
            begin = time.perf_counter()
            step = envs.advance(rows)
            self.env_seconds += time.perf_counter() - begin
            rollout.reward[t], rollout.terminated[t], rollout.truncated[t] = (
                step.reward,
                step.terminated,
                step.truncated,
            )
            if rollout.ended is not rollout.terminated:
                rollout.ended[t] = step.terminated | step.lost_life
            if step.next_obs is not step.obs:  # Only then did some episode end.
                self._value_truncated(engine, t, step.next_obs)
                self._note(step, noted)
                forget(rollout, t, 0, num_envs)
            self._look(t + 1, step.obs, envs.mask)
        self._see(rollout.observed[length], rollout.inputs[length])
        engine.forward(rollout, length)
        follow_up(rollout, 0, num_envs)
        if rollout.bad.any():
            raise report(rollout.bad, envs.stepper, self._rules.seed, steps, self._books.lengths, self.experience())
        if self._bounds is not None:
            self._check_bounds(steps)
        # Only now: after an error above, the state is still that of the last whole rollout.
        self.obs[...], self._mask[...], self.carry[...] = (
            self._rows[length],
            rollout.mask[length],
            rollout.carry[length],
        )
        envs.mark()
        return noted.reshape(-1)

    def _look(self, t: int, rows: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        """Writes the observations and masks of step t into the rollout."""
        rollout = self._rollout
        self._rows[t] = rows
        observe(self._architecture, self._rows[t], rollout.observed[t], rollout.inputs[t], rollout.pixels[t])
        if mask.shape[1]:
            rollout.mask[t] = mask

    def _see(self, observed: NDArray[np.float64], inputs: NDArray[np.float32]) -> None:
        see(self._rules.normalize_observations, self._books.observations, observed, inputs, 0, len(observed))

    def _value_truncated(self, engine: Engine, t: int, final_rows: NDArray[Any]) -> None:
        """Writes V of the final observation of the episodes truncated in step t. After a termination it stays 0."""
        rollout = self._rollout
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

    def _note(self, step: Step, noted: NDArray[np.float64]) -> None:
        """Adds the info numbers of episodes that ended in a step to `noted` [2, M]; reports each unusable key once."""
        if not self._info_keys:
            return
        rows = step.noted[step.terminated | step.truncated]
        noted += totals(rows)
        for key, fault in faults(self._info_keys, rows).items():
            if key not in self._info_faults:
                self._info_faults.add(key)
                self._events.append(Event("info_left_out", fault))

    def _check_bounds(self, steps: int) -> None:
        """Reports the first observation outside the space's bounds as an event; after that, checks no more."""
        found = outside(self._rows[:-1], *self._bounds) if self._bounds is not None else None
        if found is not None:
            self._events.append(Event("outside_bounds", f"after {steps} steps {found}; training goes on"))
            self._bounds = None

    def experience(self) -> dict[str, NDArray[Any]]:
        """The last rollout as the environments gave it, perhaps incomplete: copies, for error reports."""
        rows = self._rows.copy()
        return {"obs": rows[:-1], **experience(self._rollout, self._actions), "last_obs": rows[-1]}

    def take_events(self) -> list[Event]:
        """The events since the last call: what happened without ending the run."""
        events, self._events = self._events, []
        return [*events, *self._envs.take_events()]

    def prepare(self) -> None:
        """Compiles the kernels of collecting, or loads them from disk, so that the first rollout is not slower."""
        rollout, rules, books = self._rollout, self._rules, self._books
        num_envs = self._envs.num_envs
        prepare(draw, self._factors, rules.seed, 0, rollout.noise.reshape(-1), 0, 0, 0)
        prepare(
            see, rules.normalize_observations, books.observations, rollout.observed[0], rollout.inputs[0], 0, num_envs
        )
        step = (rollout.outputs[0], rollout.noise[0], rollout.mask[0], rollout.action[0])
        prepare(choose, self._factors, _NONE, *step, 0, num_envs)
        prepare(follow_up, rollout, 0, num_envs)
        prepare(forget, rollout, 0, 0, num_envs)

    def state(self) -> dict[str, NDArray[Any]]:
        """The running episodes: observations, carry, returns and lengths so far, and the environments' states.

        As of the end of the last whole rollout, even if another one was begun since.
        """
        envs = {f"envs.{name}": array for name, array in self._envs.state().items()}
        books = {"returns": self._books.returns.copy(), "lengths": self._books.lengths.copy()}
        remembered = {"carry": self.carry.copy()} if self.carry.size else {}
        return {"obs": plain(self.obs.copy()), **remembered, **books, **envs}

    def restore(self, state: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Continues from a `state()`.

        Returns:
            [N] which environments could not be brought back to their old state and began their next episode instead.

        Raises:
            KeyError: The state lacks an array.
            ValueError: An array has another shape or type, or impossible values.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        ours = {"obs": plain(self.obs), "returns": self._books.returns, "lengths": self._books.lengths}
        if self.carry.size:
            ours["carry"] = self.carry
        for name, own in ours.items():
            if state[name].shape != own.shape or state[name].dtype != own.dtype:
                raise ValueError(
                    f"{name} is {state[name].dtype} {state[name].shape}; it must be {own.dtype} {own.shape}"
                )
        if self.carry.size and not (np.abs(state["carry"]) <= 1).all():
            raise ValueError("carry is not all from -1 to 1")
        own_state = {name.removeprefix("envs."): a for name, a in state.items() if name.startswith("envs.")}
        lost = self._envs.restore(own_state, state["obs"])
        self.obs[...], self._mask[...] = self._envs.obs, self._envs.mask
        if self.carry.size:
            self.carry[...] = np.where(lost[:, None], 0.0, state["carry"])
            self._rollout.carry[-1] = self.carry  # The fused loop starts from the last row.
        self._books.returns[...] = np.where(lost, 0.0, state["returns"])
        self._books.lengths[...] = np.where(lost, 0, state["lengths"])
        return lost


def experience(rollout: Rollout, actions: Actions) -> dict[str, NDArray[Any]]:
    """A rollout's arrays other than observations, as copies; actions [T, N, ...] as the environments took them."""
    taken = rollout.action.reshape(-1, rollout.action.shape[2])
    rows = actions.to_rows(taken)
    names = ("reward", "terminated", "truncated")
    arrays = {name: getattr(rollout, name).copy() for name in names}
    return {
        "action": rows.reshape(*rollout.reward.shape, *rows.shape[1:]),
        **arrays,
        "value": rollout.value[:-1].copy(),
    }


_NONE = np.zeros(0, np.float32)
"""The log standard deviations of a policy without Gaussian actions."""
