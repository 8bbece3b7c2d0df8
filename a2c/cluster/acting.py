"""ClusterActing: fills a rollout from a fleet. Sends parameters to all groups, and gets T steps back from each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from a2c.acting import ActingMaker, Behaviour, Experience
from a2c.cluster.fleet import Fleet, UnderWay
from a2c.cluster.group import Down, Outfit
from a2c.config import Config
from a2c.envs import Envs
from a2c.errors import UserError
from a2c.kernels.rollout import Rules
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions


class ClusterActing:
    """Has the groups of a fleet act, and joins their steps into a rollout: the same bits as in one process."""

    fills_inputs = False  # They are larger than observations: groups send these alone.

    def __init__(
        self,
        fleet: Fleet,
        config: Config,
        architecture: Architecture,
        actions: Actions,
        rules: Rules,
        behaviour: Behaviour,
        experience: Experience,
    ) -> None:
        """Prepares every group for acting.

        Args:
            fleet: The groups, whose episodes have begun.
            config: The run's settings.
            architecture: The networks.
            actions: Turns columns into actions of the environments.
            rules: Constants of the run.
            behaviour: What chooses actions; the groups have engines of their own, to which its parameters are sent.
            experience: The arrays to fill.

        Raises:
            UserError: The compiled engine does not support these networks.
            WorkerError: Actors died, again and again.
        """
        own, images = architecture.own, len(architecture.images)
        if own is not None or images > 1:
            why = f"has no network {own.name!r}" if own else f"takes one image, not the {images} of these observations"
            raise UserError(f"cluster is {config.cluster!r}, whose actors use the compiled engine, which {why}")
        self._fleet, self._actions = fleet, actions
        self._behaviour, self._experience = behaviour, experience
        self._under_way: UnderWay | None = None
        fleet.equip(Outfit(config, architecture, rules))

    @property
    def env_seconds(self) -> float:
        """Seconds spent stepping the environments so far; of each rollout, those of the slowest group."""
        return self._fleet.env_seconds

    def begin(self, carry: NDArray[np.float32], update: int) -> None:
        """Has every group begin to act. Parameters and statistics are those of this moment.

        Args:
            carry: [N, H] the policy's memory of the running episodes.
            update: Number of the update, on which noise depends.

        Raises:
            EnvError: An environment raised when it was restored.
            WorkerError: Actors died, again and again.
        """
        self._under_way = self._begun(carry, update)

    def _begun(self, carry: NDArray[np.float32], update: int) -> UnderWay:
        engine, observations = self._behaviour
        down = Down(engine.theta, observations.mean, observations.variance)
        return self._fleet.begin_rollout(down.to_bytes(), carry, update)

    def act(self, update: int) -> NDArray[np.bool_]:
        """Fills the rollout, starting from its row 0.

        Returns:
            [N] which environments had to begin a new episode before that.

        Raises:
            EnvError: An environment raised.
            WorkerError: Actors died during this rollout, again and again.
        """
        (rollout, rows, noted), fleet = self._experience, self._fleet
        under_way, self._under_way = self._under_way or self._begun(rollout.carry[0], update), None
        collected = fleet.finish_rollout(under_way)
        if collected.began_anew.any():
            rows[0], rollout.mask[0] = fleet.block.obs, fleet.block.mask
            rollout.carry[0, collected.began_anew] = 0.0
        for columns, came in collected.columns:
            rows[1:, columns], noted[:, columns] = came.rows, came.noted
            rollout.mask[1:, columns], rollout.carry[1:, columns] = came.mask, came.carry
            rollout.action[:, columns], rollout.reward[:, columns] = came.action, came.reward
            rollout.terminated[:, columns], rollout.truncated[:, columns] = came.terminated, came.truncated
            rollout.bad[:, columns], rollout.value[:, columns] = came.bad, came.value
            rollout.next_value[:, columns] = came.next_value
            if rollout.ended is not rollout.terminated:
                rollout.ended[:, columns] = came.ended
        taken = self._actions.to_rows(rollout.action.reshape(-1, rollout.action.shape[2]))
        action = taken.reshape(*rollout.reward.shape, *taken.shape[1:])
        fleet.follow(action, rollout.terminated | rollout.truncated, rows[-1], rollout.mask[-1])
        return collected.began_anew

    def prepare(self) -> None:
        """Does nothing: the groups have compiled what acting needs."""


def acting_on(fleet: Fleet, config: Config) -> ActingMaker:
    """The function with which a learner makes a `ClusterActing` on this fleet."""

    def make(
        envs: Envs, architecture: Architecture, actions: Actions, rules: Rules, behaviour: Behaviour,
        experience: Experience,
    ) -> ClusterActing:  # fmt: skip
        return ClusterActing(fleet, config, architecture, actions, rules, behaviour, experience)

    return make
