"""Fleet: the environments of a run, in groups on a cluster, as one `Stepper`. Lost groups are replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.cluster.group import Columns, Outfit, Standing, Up
from a2c.cluster.groups import Groups
from a2c.cluster.nodes import Cluster, LostError
from a2c.cluster.paces import Paces
from a2c.config import Config
from a2c.envs import Envs
from a2c.envs.construction import EnvSource, Traits
from a2c.envs.history import History, Recording, part_of
from a2c.envs.make import training_kind, warn_of_ignored_parts, warn_of_normalizers
from a2c.envs.memory import Block, Field, Layout
from a2c.envs.pool import MOST_DEATHS
from a2c.envs.stepper import Arrays, Event, Info
from a2c.errors import EnvError, FailedEpisode, WorkerError
from a2c.masks import mask_size
from a2c.spaces import plain, row_type, unplain

_MORE = 0.25
"""Environments are divided among more actors only if these are so many times as many more: all must be restored."""


class Collected(NamedTuple):
    """A rollout as the groups return it."""

    columns: list[tuple[slice, Columns]]
    """For each group: its environments, and their steps."""
    began_anew: NDArray[np.bool_]
    """[N] which environments were lost with a group and could not be restored: they began a new episode."""


class UnderWay(NamedTuple):
    """A rollout that the groups are making."""

    arguments: list[tuple[Any, ...]]
    """Of `Group.collect`, for each group; its carry is a view of `carry`."""
    asked: dict[int, Any]
    """Pending answers, by number of the group."""
    carry: NDArray[np.float32]
    """[N, H] the policy's memory of the running episodes; set to 0 if one had to begin anew."""
    anew: NDArray[np.bool_]
    """[N] as in `Collected`."""


class Fleet:
    """N environments in consecutive groups, each in an actor. An actor that is lost is replaced.

    Rollouts bring every action of the running episodes to this process. So it can restore each environment by
    repeating its actions, without asking the actor that was lost.

    Attributes:
        num_envs: N.
        seed: The run's seed.
        block: Arrays of the environments; `obs` and `mask` are those to act on next.
        events: What happened since `take_events`.
        envs: The environments as a learner uses them.
        env_seconds: Seconds spent stepping so far; of each rollout, those of the slowest group.
    """

    num_workers = num_here = beats = at = 0
    is_stepping = False
    machine_code = None

    def __init__(self, config: Config, env: EnvSource) -> None:
        """Starts or joins the cluster, and has the environments constructed.

        Args:
            config: The run's settings.
            env: The environment.

        Raises:
            UserError: Ray is not installed, there is no cluster, it has no free CPUs, or the environment is unknown or
                not supported.
            EnvError: An environment could not be constructed.
            WorkerError: Actors died, again and again.
        """
        self.num_envs, self.seed, self.broken = config.num_envs, config.seed, False
        self.events: list[Event] = []
        self._foreign: set[Event] = set()  # Those already returned by `take_events`.
        self.env_seconds = 0.0
        self._is_equipped, self._replays = False, True
        self._cluster = Cluster(config.cluster)
        try:
            self._groups = Groups(self._cluster, config, training_kind(config, env))
            made = self._groups.make()
            self._paces = Paces(self._groups.sizes)
        except LostError as error:
            self._cluster.close()
            raise WorkerError(f"an actor was lost before its environments began: {error}") from error
        except BaseException:
            self._cluster.close()
            raise
        traits: Traits = made[0][0]
        for _, events in made:
            self.events += events
        self.block = _block(traits, config)
        self._history = History(config.num_envs, traits.action_space, config.seed)
        self.envs = Envs(traits, self)
        warn_of_ignored_parts(self.envs, env)
        warn_of_normalizers(self.envs, env)

    @property
    def placement(self) -> str:
        """Where the environments run, for a person to read."""
        return self._groups.placement

    def equip(self, outfit: Outfit) -> None:
        """Prepares every group for acting.

        Raises:
            WorkerError: Actors died, again and again.
        """
        where = self._groups.wear(outfit)
        self._everywhere("equip", [(where,) for _ in self._groups.rows])
        self._is_equipped = True

    def begin_rollout(self, down: bytes, carry: NDArray[np.float32], update: int) -> UnderWay:
        """Has every group begin to act for T steps, with the noise of one update; `finish_rollout` waits for the end.

        Args:
            down: A `Down`: parameters and statistics.
            carry: [N, H] the policy's memory of the running episodes.
            update: Number of the update.

        Raises:
            EnvError: An environment raised when it was restored.
            WorkerError: Actors died, again and again.
        """
        below = self._cluster.argument(down, len(self._groups.rows))
        carry, anew = carry.copy(), np.zeros(self.num_envs, np.bool_)
        self._use_free_cpus(anew, carry)
        arguments: list[tuple[Any, ...]] = [(below, carry[own], update) for own in self._groups.rows]
        asked = self._groups.ask(range(len(arguments)), "collect", arguments)
        return UnderWay(arguments, asked, carry, anew)

    def finish_rollout(self, under_way: UnderWay) -> Collected:
        """Waits for a rollout that `begin_rollout` began.

        Raises:
            EnvError: An environment raised.
            WorkerError: Actors died during this rollout, again and again.
        """
        arguments, asked, carry, anew = under_way
        ups: list[Up] = self._everywhere("collect", arguments, anew, carry, asked)
        for up in ups:
            self.events += up.events
        for slow in self._paces.add([up.seconds for up in ups]):
            self.events.append(Event("slow_actor", self._groups.in_words(slow)))
        self.env_seconds += max(up.env_seconds for up in ups)
        return Collected([(own, up.columns) for own, up in zip(self._groups.rows, ups, strict=True)], anew)

    def follow(self, action: NDArray[Any], done: NDArray[np.bool_], obs: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        """Records the actions and the next observations of a rollout.

        Args:
            action: [T, N, ...] the actions, rows of the action space.
            done: [T, N] whether an episode ended.
            obs: [N] observations to act on next.
            mask: [N, K] their masks.
        """
        for t in range(len(action)):
            self._history.append(action[t])
            for n in np.flatnonzero(done[t]).tolist():
                self._history.begin(n)
        self.block.obs[...], self.block.mask[...] = obs, mask

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of every environment. Arguments are ignored: a run has no others.

        Raises:
            EnvError: A reset raised.
            WorkerError: Actors died, again and again.
        """
        self._stand(self._everywhere("begin", [() for _ in self._groups.rows]))
        for n in range(self.num_envs):
            self._history.begin(n)
        return [{} for _ in range(self.num_envs)]

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the running episode, from 0; -1 before the first reset."""
        return self._history.numbers()

    def mark(self) -> None:
        """Makes `state` return the state of this moment until the next call."""
        self._history.mark()

    def bound(self) -> None:
        """Never called: a fleet is not stepped through Gymnasium's interface."""
        raise NotImplementedError

    def state(self) -> Arrays:
        """The state of every environment at the last `mark`: its episode, and the actions in it so far."""
        return self._history.state()

    def restore(self, state: Arrays, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Restores every environment; one that cannot be restored begins its next episode.

        Args:
            state: A `state` of this fleet, or of the same environments in one process.
            obs: [N] the observations in that state, as rows or as `plain` writes them.

        Returns:
            [N] which environments could not be restored.

        Raises:
            KeyError, ValueError: The state does not belong to these environments.
            EnvError: A reset raised.
            WorkerError: Actors died, again and again.
        """
        self._history.restore(state)
        obs = unplain(obs, self.block.obs.dtype)
        if obs.shape != self.block.obs.shape or obs.dtype != self.block.obs.dtype:
            ours = self.block.obs
            raise ValueError(f"obs is {obs.dtype} {obs.shape}; it must be {ours.dtype} {ours.shape}")
        self.block.obs[...] = obs
        standings = self._everywhere("restore", self._courses())
        lost = self._stand(standings)
        self._history.mark()
        return lost

    def take_events(self) -> list[Event]:
        """What happened since the last call. The event "foreign_randomness" is returned once, not once per group."""
        events, self.events = self.events, []
        returned = []
        for event in events:
            if event.kind == "foreign_randomness":
                if event in self._foreign:
                    continue
                self._foreign.add(event)
            returned.append(event)
        return returned

    def failed_episode(self, error: Exception) -> FailedEpisode | None:
        """How to reproduce an environment's error, as its group reported it."""
        return error.failed_episode if isinstance(error, EnvError | WorkerError) else None

    def episode_up_to(self, n: int, episode: int, length: int, steps_ago: int) -> FailedEpisode:
        """How to bring environment n to step `length` of an episode, in which it was `steps_ago` vector steps ago."""
        actions = self._history.actions(n, length, steps_ago)
        return FailedEpisode(n, episode, self._history.seed_of(n, episode), actions)

    def close(self) -> None:
        """Closes the environments, ends the actors, and leaves the cluster."""
        self._groups.close()
        self._cluster.close()

    def hold(self) -> None:
        """Does nothing: this process steps no environment."""

    def release(self) -> None:
        """Does nothing."""

    def begin_anew(self, seed: int) -> None:
        """Never called: evaluations have environments of their own."""
        raise NotImplementedError

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Never called: groups step whole rollouts."""
        raise NotImplementedError

    def finish(self) -> list[Info]:
        """Never called, as `post`."""
        raise NotImplementedError

    def recording_to(self, n: int) -> Recording:
        """Never called: this process steps no environment."""
        raise NotImplementedError

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Never called: only a learner has a fleet."""
        raise NotImplementedError

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Never called, as `call`."""
        raise NotImplementedError

    def generators(self) -> list[np.random.Generator]:
        """Never called, as `call`."""
        raise NotImplementedError

    def generator_seeds(self) -> list[int]:
        """Never called, as `call`."""
        raise NotImplementedError

    # -- replacing lost groups --

    def _everywhere(
        self,
        name: str,
        arguments: Sequence[tuple[Any, ...]],
        anew: NDArray[np.bool_] | None = None,
        carry: NDArray[np.float32] | None = None,
        asked: dict[int, Any] | None = None,
    ) -> list[Any]:
        """Calls a method of every group. Lost groups are replaced, and the method is called on the new ones.

        Args:
            name: The method.
            arguments: For each group; views of arrays are read when the group is called.
            anew: [N] set to True for environments that a new group could not restore.
            carry: [N, H] set to 0 for these.
            asked: Pending answers, if the groups have been called already.

        Returns:
            What each group returned.

        Raises:
            Exception: The first that a group raised, after all have answered.
            WorkerError: Actors were lost in this call again and again.
        """
        answers: dict[int, Any] = {}
        left, losses = list(range(len(self._groups.rows))), Counter[int]()
        while left:
            heard, lost = self._groups.answers(asked or self._groups.ask(left, name, arguments))
            asked = None
            answers |= heard
            for number, gone in lost.items():
                losses[number] += 1
                if losses[number] == MOST_DEATHS:
                    self.broken = True
                    raise WorkerError(f"{gone}; {MOST_DEATHS} actors were lost there")
                self.events.append(Event("worker_restarts", f"{gone}; a new one replaces it"))
            left = list(lost)
            if left:
                self._put_anew(left, name, anew, carry)
        return [answers[number] for number in sorted(answers)]

    def _put_anew(
        self, numbers: list[int], name: str, anew: NDArray[np.bool_] | None, carry: NDArray[np.float32] | None
    ) -> None:
        """Replaces actors by new ones, and restores their environments to what they were before the call of `name`."""
        stood = name != "restore" and bool((self._history.numbers() >= 0).all())
        courses = {number: self._course(self._groups.rows[number]) for number in numbers} if stood else {}
        for number, standing in self._groups.put_anew(numbers, self._is_equipped, courses).items():
            self._take_over(number, standing, anew, carry)

    def _use_free_cpus(self, anew: NDArray[np.bool_], carry: NDArray[np.float32]) -> None:
        """Moves an actor that shares CPUs with others to free ones; if none does, has more actors where they may grow.

        Only if environments can be restored.
        """
        groups, free = self._groups, self._groups.free() if self._replays else 0
        if free and groups.crowded:
            number = min(groups.crowded)
            self.events.append(Event("worker_restarts", f"{groups.name(number)} moves to free CPUs"))
            self._put_anew([number], "collect", anew, carry)
        elif free >= _MORE * len(groups.rows):
            count = len(groups.rows) + free
            details = f"{free} more CPUs are free: {count} actors divide the environments, no longer {len(groups.rows)}"
            self.events.append(Event("more_actors", details))
            groups.divide_anew(count)
            for number, standing in enumerate(self._everywhere("restore", self._courses())):
                self._take_over(number, standing, anew, carry)
            self._paces = Paces(groups.sizes)

    def _take_over(
        self, number: int, standing: Standing, anew: NDArray[np.bool_] | None, carry: NDArray[np.float32] | None
    ) -> None:
        """Records the observations of a group's environments, and which of these began anew."""
        rows = self._groups.rows[number]
        self.events += standing.events
        self._replays = self._replays and not standing.lost.any()
        self.block.obs[rows], self.block.mask[rows] = standing.obs, standing.mask
        for n in (rows.start + np.flatnonzero(standing.lost)).tolist():
            self._history.begin(n)
            if anew is not None and carry is not None:
                anew[n], carry[n] = True, 0.0

    def _stand(self, standings: Sequence[Standing]) -> NDArray[np.bool_]:
        """Records the observations of all environments; returns [N] which began anew."""
        lost = np.zeros(self.num_envs, np.bool_)
        for number, standing in enumerate(standings):
            self._take_over(number, standing, None, None)
            lost[self._groups.rows[number]] = standing.lost
        return lost

    def _courses(self) -> list[tuple[Arrays, NDArray[Any]]]:
        """The arguments of `Group.restore` for every group."""
        return [self._course(rows) for rows in self._groups.rows]

    def _course(self, rows: slice) -> tuple[Arrays, NDArray[Any]]:
        """The arguments of `Group.restore` for these environments, in their present state."""
        return part_of(self._history.state(), rows.start, rows.stop), plain(self.block.obs[rows])


def _block(traits: Traits, config: Config) -> Block:
    """Arrays of N environments, in this process's memory."""
    action, obs = row_type(traits.action_space), row_type(traits.observation_space)
    mask = Field((mask_size(traits.action_space),), np.dtype(np.uint8))
    layout = Layout(
        config.num_envs, 0, Field(action.shape, action.base), Field(obs.shape, obs.base), mask, len(config.log_info)
    )
    return layout.map(bytearray(layout.num_bytes()))[1]
