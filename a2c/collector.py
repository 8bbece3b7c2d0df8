"""Collector: has a rollout filled with T steps of N environments, checks it, and holds the state of the episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.acting import ActingMaker, Behaviour, LocalActing, experience_for
from a2c.envs import Envs
from a2c.envs.notes import faults, totals
from a2c.envs.stepper import Event
from a2c.finite import bounds_to_check, outside, report
from a2c.kernels.compiler import prepare
from a2c.kernels.rollout import Books, Rules, follow_up, see
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions
from a2c.model.inputs import observe
from a2c.rollout import Rollout
from a2c.spaces import plain


class Collector:
    """Collects rollouts, and holds the state of the running episodes.

    Attributes:
        obs: [N] rows of observations to act on next, as of the end of the last whole rollout.
        carry: [N, H] the policy's memory at the same time.
    """

    def __init__(
        self,
        envs: Envs,
        architecture: Architecture,
        actions: Actions,
        rules: Rules,
        books: Books,
        rollout: Rollout,
        behaviour: Behaviour,
        info_keys: tuple[str, ...] = (),
        acting: ActingMaker = LocalActing,
    ) -> None:
        """Begins an episode in every environment.

        Args:
            envs: N environments.
            architecture: Turns observations into inputs.
            actions: Turns columns into actions of the environments.
            rules: Constants of the run.
            books: The statistics that normalise observations, and the returns and lengths of the running episodes.
            rollout: The rollout to fill.
            behaviour: What chooses actions. If its statistics are not those of `books`, the rollout's inputs are
                computed again with these, as the rollout is learnt from with them.
            info_keys: Numbers to read from the info of each episode's last step; the environments read them.
            acting: What acts and fills the rollout.

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
        self._architecture = architecture
        self._acting = acting(envs, architecture, actions, rules, behaviour, collected)
        has_others = rules.normalize_observations and behaviour.observations is not books.observations
        self._sees_again = has_others or not self._acting.fills_inputs
        self._bounds = bounds_to_check(envs.single_observation_space)
        self._events: list[Event] = []
        self._info_keys, self._info_faults = info_keys, set[str]()

    @property
    def env_seconds(self) -> float:
        """Seconds spent stepping the environments so far."""
        return self._acting.env_seconds

    def begin(self, update: int) -> None:
        """Begins the next rollout, if that can go on while this process does something else; `collect` must follow.

        Args:
            update: The number to be given to `collect`.

        Raises:
            EnvError, WorkerError: As in `collect`.
        """
        self._acting.begin(self.carry, update)

    def collect(self, update: int, steps: int) -> NDArray[np.float64]:
        """Has T steps taken, with the noise of one update; the run has taken `steps` steps before.

        Returns:
            [2M] for the M numbers of `info_keys`: their sums over episodes that ended, then how many episodes had them.

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
        anew = self._acting.act(update)
        if anew.any():
            books = self._books
            books.running[anew] = books.returns[anew] = 0.0
            books.lengths[anew] = 0
        if self._sees_again:
            self._see()
        noted = self._note()
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

    def _see(self) -> None:
        """Computes the networks' inputs from what was observed, with the statistics of now."""
        rollout = self._rollout
        for t, rows in enumerate(self._rows):
            observe(self._architecture, rows, rollout.observed[t], rollout.inputs[t], rollout.pixels[t])
            see(*self._seen(t))

    def _seen(self, t: int) -> tuple[Any, ...]:
        """Arguments of `see` for step t."""
        rollout, normalizes = self._rollout, self._rules.normalize_observations
        return normalizes, self._books.observations, rollout.observed[t], rollout.inputs[t], 0, self._envs.num_envs

    def _note(self) -> NDArray[np.float64]:
        """[2, M] sums of the info numbers of episodes that ended, and their counts; reports each unusable key once."""
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
        self._acting.prepare()
        if self._sees_again:
            prepare(see, *self._seen(0))
        prepare(follow_up, self._rollout, 0, self._envs.num_envs)

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
