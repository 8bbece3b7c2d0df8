"""Group: some of a run's environments and an engine, which run in one actor. It does not use Ray itself."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.acting import Behaviour, LocalActing, experience_for
from a2c.cluster.answers import Answer, answered, arrived
from a2c.config import Config
from a2c.engines import Engine
from a2c.engines.choice import choose_engine
from a2c.envs import Envs
from a2c.envs.construction import Traits
from a2c.envs.make import Kind, gymnasium_envs
from a2c.envs.placement import Placement
from a2c.envs.seeding import seed_process
from a2c.envs.stepper import Arrays, Event
from a2c.envs.watchdog import watched
from a2c.errors import EnvError, WorkerError
from a2c.kernels.rollout import Rules
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions
from a2c.moments import Moments
from a2c.randomness import episode_seed
from a2c.rollout import rollout_for
from a2c.team import Team


class Outfit(NamedTuple):
    """What a group needs to act, besides environments and parameters: the same for all groups of a run."""

    config: Config
    architecture: Architecture
    rules: Rules


class Down(NamedTuple):
    """What is sent to every group before a rollout."""

    theta: NDArray[np.float32]  # [P] parameters, flat
    mean: NDArray[np.float64]  # [R] of the statistics that normalise observations
    variance: NDArray[np.float64]  # [R] of the same

    def to_bytes(self) -> bytes:
        """The arrays one after the other: Ray sends bytes with less ado than arrays."""
        return b"".join(array.tobytes() for array in (self.mean, self.variance, self.theta))

    @classmethod
    def from_bytes(cls, data: bytes, columns: int) -> Down:
        """What `to_bytes` returned, with R columns; the arrays are views of the bytes."""
        moments = np.frombuffer(data, np.float64, 2 * columns)
        return cls(np.frombuffer(data, np.float32, offset=moments.nbytes), moments[:columns], moments[columns:])


class Columns(NamedTuple):
    """T steps of a group's n environments; what can be computed from these is not sent."""

    rows: NDArray[Any]  # [T, n] observations from the second on, as the environments gave them
    mask: NDArray[np.uint8]  # [T, n, K] their masks
    carry: NDArray[np.float32]  # [T, n, H] the policy's memory before it sees them
    action: NDArray[np.float32]  # [T, n, C]
    reward: NDArray[np.float64]  # [T, n]
    terminated: NDArray[np.bool_]  # [T, n]
    truncated: NDArray[np.bool_]  # [T, n]
    ended: NDArray[np.bool_]  # [T, n], or [0, n] if it is the same as `terminated`
    bad: NDArray[np.bool_]  # [T, n] whether the last state of a truncated episode was not finite
    value: NDArray[np.float32]  # [T+1, n]
    next_value: NDArray[np.float32]  # [T, n] only for truncated episodes
    noted: NDArray[np.float64]  # [T, n, M] as in `a2c.acting.Experience`


class Up(NamedTuple):
    """What a group returns for a rollout."""

    columns: Columns
    seconds: float
    """Seconds that this rollout took the group."""
    env_seconds: float
    """Those of them spent stepping."""
    events: list[Event]


class Standing(NamedTuple):
    """The present state of a group's environments."""

    obs: NDArray[Any]  # [n] observations to act on next
    mask: NDArray[np.uint8]  # [n, K] their masks
    lost: NDArray[np.bool_]  # [n] which environments could not be restored, and began their next episode
    events: list[Event]


class Group:
    """Consecutive environments of a run, and the engine that acts in them. All methods are called through `answer`."""

    def __init__(self) -> None:
        self._cleanup = contextlib.ExitStack()

    def answer(self, name: str, *args: Any) -> Answer:
        """Calls the method of that name."""
        return answered(self, name, args)

    def arrive(self, paths: list[str]) -> str:
        """Adds the learner's module search path, as far as its folders exist here; returns this machine's name."""
        return arrived(paths)

    def make(self, kind: Kind, count: int, timeout_seconds: float) -> tuple[Traits, list[Event]]:
        """Constructs the environments; returns their traits, and what happened.

        Args:
            kind: What to construct, and the number of the first.
            count: n.
            timeout_seconds: A call of an environment that takes longer ends the process.

        Raises:
            UserError: The environment is unknown or not supported.
            EnvError: An environment could not be constructed.
        """
        seed_process(episode_seed(kind.seed, kind.offset, -1))  # No episode has that number.
        self._first = kind.offset
        self._envs: Envs = gymnasium_envs(kind, count, Placement("local"))
        self._cleanup.callback(self._envs.close)
        self._cleanup.enter_context(watched(self._envs.stepper, timeout_seconds, self._leave))
        # Without the specification: it may hold what cannot be pickled, and the learner does not need it.
        return _traits_of(self._envs), self._envs.take_events()

    def equip(self, outfit: Outfit) -> None:
        """Prepares acting."""
        config, architecture, rules = outfit
        envs = self._envs
        num_envs, num_masks = envs.num_envs, envs.mask.shape[1]
        # The engine has the size of this group. It only acts, so settings of learning do not matter.
        ours = dataclasses.replace(
            config, num_envs=num_envs, num_threads=1, cluster="none", num_actors="auto", actor_step="gradient",
            normalize_advantage=False,
        )  # fmt: skip
        self._engine: Engine = choose_engine(ours, architecture, num_masks, Team(1))
        rollout = rollout_for(
            architecture, config.rollout_length, num_envs, num_masks, notes_lives=config.terminal_on_life_loss
        )
        self._experience = experience_for(rollout, envs, len(config.log_info))
        self._statistics = Moments.of(architecture.num_real)
        self._acting = LocalActing(
            envs, architecture, Actions(envs.single_action_space), rules, Behaviour(self._engine, self._statistics),
            self._experience, self._first, config.num_envs,
        )  # fmt: skip
        self._acting.prepare()
        self._engine.prepare(rollout)

    def begin(self) -> Standing:
        """Begins the next episode of every environment.

        Raises:
            EnvError: A reset raised.
        """
        self._envs.begin()
        return self._standing(np.zeros(self._envs.num_envs, np.bool_))

    def restore(self, state: Arrays, obs: NDArray[Any]) -> Standing:
        """Restores the environments by repeating their actions.

        Args:
            state: The part of a history for these environments.
            obs: [n] the observations in that state, as `plain` writes them.

        Raises:
            KeyError, ValueError: The state does not belong to these environments.
            EnvError: A reset raised.
        """
        return self._standing(self._envs.restore(state, obs))

    def _standing(self, lost: NDArray[np.bool_]) -> Standing:
        return Standing(self._envs.obs, self._envs.mask, lost, self._envs.take_events())

    def collect(self, down: bytes, carry: NDArray[np.float32], update: int) -> Up:
        """Acts for T steps, with the noise of one update.

        Args:
            down: A `Down`: parameters and statistics.
            carry: [n, H] the policy's memory of the running episodes.
            update: Number of the update.

        Raises:
            EnvError: An environment raised.
        """
        (rollout, rows, noted), envs, engine = self._experience, self._envs, self._engine
        statistics = self._statistics
        engine.theta[...], statistics.mean[...], statistics.variance[...] = Down.from_bytes(down, len(statistics.mean))
        engine.follow()
        rows[0], rollout.carry[0] = envs.obs, carry
        if envs.mask.shape[1]:
            rollout.mask[0] = envs.mask
        before, begin = self._acting.env_seconds, time.perf_counter()
        try:
            self._acting.act(update)
        except (EnvError, WorkerError) as error:
            error.failed_episode = envs.stepper.failed_episode(error)
            raise
        ended = rollout.ended if rollout.ended is not rollout.terminated else rollout.ended[:0]
        columns = Columns(
            rows[1:], rollout.mask[1:], rollout.carry[1:], rollout.action, rollout.reward,
            rollout.terminated, rollout.truncated, ended, rollout.bad, rollout.value, rollout.next_value, noted,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        return Up(columns, seconds, self._acting.env_seconds - before, envs.take_events())

    def close(self) -> None:
        """Closes the environments."""
        self._cleanup.close()

    def _leave(self, n: int) -> None:
        """Ends the process because environment n hangs. The learner replaces the actor, as if it had died."""
        print(f"environment {self._first + n} hangs; this actor ends", file=sys.stderr, flush=True)
        os._exit(1)


def _traits_of(envs: Envs) -> Traits:
    return Traits(
        envs.single_observation_space, envs.single_action_space, None, {}, None, envs.max_episode_steps,
        envs.normalizers, envs.left_out,
    )  # fmt: skip
