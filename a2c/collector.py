"""Collector: acts T steps in N environments, and fills a rollout with what comes of them."""

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
    """Acts in environments, and knows where the episodes under way stand.

    Attributes:
        obs: [N] rows of observations: what to act on next. As of the end of the last whole rollout.
        carry: [N, H] what is remembered then.
        env_seconds: What stepping the environments has taken so far.
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
            envs: N of them.
            architecture: Knows what becomes of an observation.
            actions: Knows what becomes of an action.
            rules: Numbers of the run.
            books: Statistics that observations are normalised with, and the episodes under way.
            rollout: What is filled.
            info_keys: What is noted of the infos of episodes' last steps; the environments do.

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
        """Acts for T steps, with the noise of one update; `steps` of the run came before.

        Statistics hold still meanwhile.

        Returns:
            [2M] of the M numbers that are noted of episodes: sums over those that ended, then how many had one.

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
            if step.next_obs is not step.obs:  # Some episode ended.
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
        # Only now: an error on the way must not leave half a rollout.
        self.obs[...], self._mask[...], self.carry[...] = (
            self._rows[length],
            rollout.mask[length],
            rollout.carry[length],
        )
        envs.mark()
        return noted.reshape(-1)

    def _look(self, t: int, rows: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        """Takes in what is to be acted on in step t."""
        rollout = self._rollout
        self._rows[t] = rows
        observe(self._architecture, self._rows[t], rollout.observed[t], rollout.inputs[t], rollout.pixels[t])
        if mask.shape[1]:
            rollout.mask[t] = mask

    def _see(self, observed: NDArray[np.float64], inputs: NDArray[np.float32]) -> None:
        see(self._rules.normalize_observations, self._books.observations, observed, inputs, 0, len(observed))

    def _value_truncated(self, engine: Engine, t: int, final_rows: NDArray[Any]) -> None:
        """V of the last state of the episodes that were truncated in step t. What follows a termination is worth 0."""
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
        """Adds what is noted of the episodes that ended in a step to `noted` [2, M]; says once what cannot be."""
        if not self._info_keys:
            return
        rows = step.noted[step.terminated | step.truncated]
        noted += totals(rows)
        for key, fault in faults(self._info_keys, rows).items():
            if key not in self._info_faults:
                self._info_faults.add(key)
                self._events.append(Event("info_left_out", fault))

    def _check_bounds(self, steps: int) -> None:
        """Notes the first observation outside the bounds that the space declares, and looks no more."""
        found = outside(self._rows[:-1], *self._bounds) if self._bounds is not None else None
        if found is not None:
            self._events.append(Event("outside_bounds", f"after {steps} steps {found}; training goes on"))
            self._bounds = None

    def experience(self) -> dict[str, NDArray[Any]]:
        """The rollout last begun, as environments gave it: copies, for whoever looks for what went wrong."""
        rows = self._rows.copy()
        return {"obs": rows[:-1], **experience(self._rollout, self._actions), "last_obs": rows[-1]}

    def take_events(self) -> list[Event]:
        """What happened since the last call, and did not end the run."""
        events, self._events = self._events, []
        return [*events, *self._envs.take_events()]

    def prepare(self) -> None:
        """Compiles what collecting needs, or loads it from disk, so that the first rollout costs no more."""
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
        """The episodes under way: observation, what is remembered, sum of rewards, steps, and where environments stand.

        As of the end of the last rollout, even where one began since and did not end.
        """
        envs = {f"envs.{name}": array for name, array in self._envs.state().items()}
        books = {"returns": self._books.returns.copy(), "lengths": self._books.lengths.copy()}
        remembered = {"carry": self.carry.copy()} if self.carry.size else {}
        return {"obs": plain(self.obs.copy()), **remembered, **books, **envs}

    def restore(self, state: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Continues from a `state()`.

        Returns:
            [N] where an environment did not come to where it had been: its next episode was begun.

        Raises:
            KeyError: It lacks an array.
            ValueError: An array has another shape or type, or holds what cannot be.
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
            self._rollout.carry[-1] = self.carry  # Where machine code collects, it begins with what the last row has.
        self._books.returns[...] = np.where(lost, 0.0, state["returns"])
        self._books.lengths[...] = np.where(lost, 0, state["lengths"])
        return lost


def experience(rollout: Rollout, actions: Actions) -> dict[str, NDArray[Any]]:
    """What a rollout holds beside observations: copies, with actions [T, N, ...] as environments took them."""
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
"""The log standard deviations where there are none."""
