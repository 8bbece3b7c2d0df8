"""ClusterActing: fills a rollout from a fleet. Sends parameters to all groups, and gets T steps back from each."""

from __future__ import annotations

from a2c.acting import ActingMaker, Experience
from a2c.cluster.fleet import Fleet
from a2c.cluster.group import Down, Outfit
from a2c.config import Config
from a2c.engines import Engine
from a2c.envs import Envs
from a2c.errors import UserError
from a2c.kernels.compiler import prepare
from a2c.kernels.rollout import Books, Rules, see
from a2c.model.architecture import Architecture
from a2c.model.factors import Actions
from a2c.model.inputs import observe


class ClusterActing:
    """Has the groups of a fleet act, and joins their steps into a rollout: the same bits as in one process."""

    def __init__(
        self,
        fleet: Fleet,
        config: Config,
        architecture: Architecture,
        actions: Actions,
        rules: Rules,
        books: Books,
        experience: Experience,
    ) -> None:
        """Prepares every group for acting.

        Args:
            fleet: The groups, whose episodes have begun.
            config: The run's settings.
            architecture: The networks.
            actions: Turns columns into actions of the environments.
            rules: Constants of the run.
            books: The statistics that normalise observations, and returns and lengths of the running episodes.
            experience: The arrays to fill.

        Raises:
            UserError: The compiled engine does not support these networks.
            WorkerError: Actors died, again and again.
        """
        own, images = architecture.own, len(architecture.images)
        if own is not None or images > 1:
            why = f"has no network {own.name!r}" if own else f"takes one image, not the {images} of these observations"
            raise UserError(f"cluster is {config.cluster!r}, whose actors use the compiled engine, which {why}")
        self._fleet, self._architecture, self._actions = fleet, architecture, actions
        self._rules, self._books, self._experience = rules, books, experience
        fleet.equip(Outfit(config, architecture, rules))

    @property
    def env_seconds(self) -> float:
        """Seconds spent stepping the environments so far; of each rollout, those of the slowest group."""
        return self._fleet.env_seconds

    def act(self, engine: Engine, update: int) -> None:
        """Fills the rollout, starting from its row 0.

        Raises:
            EnvError: An environment raised.
            WorkerError: Actors died during this rollout, again and again.
        """
        (rollout, rows, noted), fleet, books = self._experience, self._fleet, self._books
        down = Down(engine.theta, books.observations.mean, books.observations.variance)
        collected = fleet.collect(down, rollout.carry[0], update)
        if collected.began_anew.any():
            anew = collected.began_anew
            books.running[anew] = books.returns[anew] = 0.0
            books.lengths[anew] = 0
            rows[0], rollout.mask[0] = fleet.block.obs, fleet.block.mask
        for columns, came in collected.columns:
            rows[1:, columns], noted[:, columns] = came.rows, came.noted
            rollout.mask[1:, columns], rollout.carry[1:, columns] = came.mask, came.carry
            rollout.action[:, columns], rollout.reward[:, columns] = came.action, came.reward
            rollout.terminated[:, columns], rollout.truncated[:, columns] = came.terminated, came.truncated
            rollout.bad[:, columns], rollout.value[:, columns] = came.bad, came.value
            rollout.next_value[:, columns] = came.next_value
            if rollout.ended is not rollout.terminated:
                rollout.ended[:, columns] = came.ended
        self._see()
        taken = self._actions.to_rows(rollout.action.reshape(-1, rollout.action.shape[2]))
        action = taken.reshape(*rollout.reward.shape, *taken.shape[1:])
        fleet.follow(action, rollout.terminated | rollout.truncated, rows[-1], rollout.mask[-1])

    def _see(self) -> None:
        """Computes the networks' inputs again: they are larger than the observations, so actors do not send them."""
        (rollout, rows, _), rules = self._experience, self._rules
        for t in range(len(rows)):
            observe(self._architecture, rows[t], rollout.observed[t], rollout.inputs[t], rollout.pixels[t])
            see(
                rules.normalize_observations, self._books.observations, rollout.observed[t], rollout.inputs[t],
                0, rows.shape[1],
            )  # fmt: skip

    def prepare(self) -> None:
        """Compiles what this process computes, or loads it from disk."""
        rollout, rules = self._experience.rollout, self._rules
        prepare(
            see, rules.normalize_observations, self._books.observations, rollout.observed[0], rollout.inputs[0],
            0, rollout.reward.shape[1],
        )  # fmt: skip


def acting_on(fleet: Fleet, config: Config) -> ActingMaker:
    """The function with which a learner makes a `ClusterActing` on this fleet."""

    def make(
        envs: Envs, architecture: Architecture, actions: Actions, rules: Rules, books: Books, experience: Experience
    ) -> ClusterActing:
        return ClusterActing(fleet, config, architecture, actions, rules, books, experience)

    return make
