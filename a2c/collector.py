"""Collector: has a rollout filled with T steps of N environments, looks it over, and knows where the episodes stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.acting import ActingMaker, LocalActing, experience_for
from a2c.engines import Engine
from a2c.envs import Envs
from a2c.envs.notes import faults, totals
from a2c.envs.stepper import Event
from a2c.finite import bounds_to_check, outside, report
from a2c.kernels.compiler import prepare
from a2c.kernels.rollout import Books, Rules, follow_up
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions
from a2c.rollout import Rollout
from a2c.spaces import plain


class Collector:
    """Collects rollouts, and knows where the episodes under way stand.

    Attributes:
        obs: [N] rows of observations: what to act on next. As of the end of the last whole rollout.
        carry: [N, H] what is remembered then.
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
        acting: ActingMaker = LocalActing,
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
            acting: What fills it.

        Raises:
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self._envs, self._actions = envs, actions
        self._rules, self._books, self._rollout = rules, books, rollout
        collected = experience_for(rollout, envs, len(info_keys))
        self._rows, self._noted = collected.rows, collected.noted
        self.obs = envs.begin().copy()
        self._mask = envs.mask.copy()
        self.carry = np.zeros(rollout.carry.shape[1:], np.float32)
        envs.mark()
        self._acting = acting(envs, architecture, actions, rules, books, collected)
        self._bounds = bounds_to_check(envs.single_observation_space)
        self._events: list[Event] = []
        self._info_keys, self._info_faults = info_keys, set[str]()

    @property
    def env_seconds(self) -> float:
        """What stepping the environments has taken so far."""
        return self._acting.env_seconds

    def collect(self, engine: Engine, update: int, steps: int) -> NDArray[np.float64]:
        """Has T steps made, with the noise of one update; `steps` of the run came before.

        Statistics hold still meanwhile.

        Returns:
            [2M] of the M numbers that are noted of episodes: sums over those that ended, then how many had one.

        Raises:
            NumbersError: An observation or reward is not finite.
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        rollout, envs = self._rollout, self._envs
        length, num_envs = rollout.reward.shape
        self._rows[0], rollout.carry[0] = self.obs, self.carry
        if self._mask.shape[1]:
            rollout.mask[0] = self._mask
        self._acting.act(engine, update)
        noted = self._note()
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

    def _note(self) -> NDArray[np.float64]:
        """Sums of what is noted of the episodes that ended, and how many had it [2, M]; says once what cannot be."""
        sums = np.zeros((2, len(self._info_keys)))
        if not self._info_keys:
            return sums
        done = self._rollout.terminated | self._rollout.truncated
        for t in np.flatnonzero(done.any(1)).tolist():
            rows = self._noted[t, done[t]]
            sums += totals(rows)
            for key, fault in faults(self._info_keys, rows).items():
                if key not in self._info_faults:
                    self._info_faults.add(key)
                    self._events.append(Event("info_left_out", fault))
        return sums

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
        self._acting.prepare()
        prepare(follow_up, self._rollout, 0, self._envs.num_envs)

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
