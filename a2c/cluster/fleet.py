"""Fleet: the environments of a run, in groups on a cluster, as one `Stepper`. A group that is lost is replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.cluster.group import Columns, Down, Outfit, Standing, Up
from a2c.cluster.groups import Groups
from a2c.cluster.nodes import Cluster, LostError
from a2c.config import Config
from a2c.envs import Envs
from a2c.envs.construction import EnvSource, Traits
from a2c.envs.history import History, Recording, part_of
from a2c.envs.make import training_kind, warn_of_ignored_parts, warn_of_normalizers
from a2c.envs.memory import Block, Field, Layout
from a2c.envs.pool import MOST_DEATHS
from a2c.envs.stepper import Arrays, Event, Info
from a2c.errors import EnvError, Failure, WorkerError
from a2c.masks import mask_size
from a2c.spaces import plain, row_type, unplain


class Collected(NamedTuple):
    """What came of a rollout on the cluster."""

    columns: list[tuple[slice, Columns]]
    """Of each group: which environments, and what came of them."""
    began_anew: NDArray[np.bool_]
    """[N] which were lost with a group before it, and could not be brought back."""


class Fleet:
    """N environments in consecutive groups, each in an actor, which is replaced where it is lost.

    Every action of every episode under way came up with a rollout: so this process knows where each environment stands,
    and nobody else need be asked.

    Attributes:
        num_envs: N.
        seed: The run's.
        block: Of its arrays, `obs` and `mask` are what is acted on next.
        events: What happened, for whoever takes it from here.
        envs: The face that a learner knows.
        env_seconds: What stepping has taken so far, of the slowest group of each rollout.
    """

    num_workers = num_here = beats = at = 0
    is_stepping = False
    machine_code = None

    def __init__(self, config: Config, env: EnvSource) -> None:
        """Starts or joins the cluster, and has the environments constructed.

        Args:
            config: The run's settings.
            env: What is trained on.

        Raises:
            UserError: Ray is not installed, there is no cluster or no room on it, or the environment is unknown or not
                supported.
            EnvError: An environment could not be constructed.
            WorkerError: Actors died, again and again.
        """
        self.num_envs, self.seed, self.broken = config.num_envs, config.seed, False
        self.events: list[Event] = []
        self._foreign: set[Event] = set()  # Those that were told.
        self.env_seconds = 0.0
        self._is_equipped, self._replays = False, True
        self._cluster = Cluster(config.cluster)
        try:
            self._groups = Groups(self._cluster, config, training_kind(config, env))
            told = self._groups.make()
        except LostError as error:
            self._cluster.close()
            raise WorkerError(f"an actor was lost before it had begun: {error}") from error
        except BaseException:
            self._cluster.close()
            raise
        traits: Traits = told[0][0]
        for _, events in told:
            self.events += events
        self.block = _block(traits, config)
        self._history = History(config.num_envs, traits.action_space, config.seed)
        self.envs = Envs(traits, self)
        warn_of_ignored_parts(self.envs, env)
        warn_of_normalizers(self.envs, env)

    @property
    def placement(self) -> str:
        """Where the environments run, in words."""
        return self._groups.placement

    def equip(self, outfit: Outfit) -> None:
        """Has every group make what acts.

        Raises:
            WorkerError: Actors died, again and again.
        """
        where = self._groups.wear(outfit)
        self._everywhere("equip", [(where,) for _ in self._groups.rows])
        self._is_equipped = True

    def collect(self, down: Down, carry: NDArray[np.float32], update: int) -> Collected:
        """Has every group act for T steps, with the noise of one update.

        Args:
            down: Parameters and statistics.
            carry: [N, H] what is remembered of the episodes under way; becomes 0 where one had to begin anew.
            update: Which.

        Raises:
            EnvError: An environment raised.
            WorkerError: Actors died at this rollout again and again.
        """
        below, rows = self._cluster.put(down), self._groups.rows
        anew = np.zeros(self.num_envs, np.bool_)
        self._move(anew, carry)
        ups: list[Up] = self._everywhere("collect", [(below, carry[own], update) for own in rows], anew, carry)
        for up in ups:
            self.events += up.events
        self.env_seconds += max(up.env_seconds for up in ups)
        return Collected([(own, up.columns) for own, up in zip(rows, ups, strict=True)], anew)

    def follow(self, action: NDArray[Any], done: NDArray[np.bool_], obs: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        """Takes note of where the environments stand after a rollout.

        Args:
            action: [T, N, ...] what was done, rows of the action space.
            done: [T, N] where an episode ended.
            obs: [N] what is acted on next.
            mask: [N, K] of it.
        """
        for t in range(len(action)):
            self._history.append(action[t])
            for n in np.flatnonzero(done[t]).tolist():
                self._history.begin(n)
        self.block.obs[...], self.block.mask[...] = obs, mask

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of every environment. A run begins them all at once, and without seeds of its own.

        Raises:
            EnvError: A reset raised.
            WorkerError: Actors died, again and again.
        """
        self._stand(self._everywhere("begin", [() for _ in self._groups.rows]))
        for n in range(self.num_envs):
            self._history.begin(n)
        return [{} for _ in range(self.num_envs)]

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; -1 where there was no reset."""
        return self._history.numbers()

    def mark(self) -> None:
        """From here on, `state` is as of now."""
        self._history.mark()

    def bound(self) -> None:
        """Never called: nobody steps a fleet through Gymnasium's face."""
        raise NotImplementedError

    def state(self) -> Arrays:
        """Where every environment stood at the last mark: its episode, and the actions since."""
        return self._history.state()

    def restore(self, state: Arrays, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Brings every environment to where it stood; one that does not come there begins its next episode.

        Args:
            state: What `state` gave, of these or of environments in one process.
            obs: [N] what was observed there, as rows or as `plain` writes them.

        Returns:
            [N] which did not.

        Raises:
            KeyError, ValueError: The state is not one of these environments.
            EnvError: A reset raised.
            WorkerError: Actors died, again and again.
        """
        self._history.restore(state)
        obs = unplain(obs, self.block.obs.dtype)
        if obs.shape != self.block.obs.shape or obs.dtype != self.block.obs.dtype:
            ours = self.block.obs
            raise ValueError(f"obs is {obs.dtype} {obs.shape}; it must be {ours.dtype} {ours.shape}")
        self.block.obs[...] = obs
        standings = self._everywhere("restore", [self._course(rows) for rows in self._groups.rows])
        lost = self._stand(standings)
        self._history.mark()
        return lost

    def take_events(self) -> list[Event]:
        """What happened since the last call; that environments draw from another's generator, once for all groups."""
        events, self.events = self.events, []
        told = []
        for event in events:
            if event.kind == "foreign_randomness":
                if event in self._foreign:
                    continue
                self._foreign.add(event)
            told.append(event)
        return told

    def failure(self, error: Exception) -> Failure | None:
        """How an environment came to where it raised, as its group said."""
        return error.failure if isinstance(error, EnvError | WorkerError) else None

    def failure_at(self, n: int, episode: int, length: int, steps_ago: int) -> Failure:
        """How environment n came to where it stood: `length` steps into an episode, so many vector steps ago."""
        actions = self._history.actions(n, length, steps_ago)
        return Failure(n, episode, self._history.seed_of(n, episode), actions)

    def close(self) -> None:
        """Closes the environments, ends the actors, and leaves the cluster."""
        self._groups.close()
        self._cluster.close()

    def hold(self) -> None:
        """Nothing to do: this process steps none of them."""

    def release(self) -> None:
        """Nothing to do."""

    def begin_anew(self, seed: int) -> None:
        """Never called: evaluations have environments of their own."""
        raise NotImplementedError

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Never called: groups go through whole rollouts."""
        raise NotImplementedError

    def finish(self) -> list[Info]:
        """Never called, as `post`."""
        raise NotImplementedError

    def recording_to(self, n: int) -> Recording:
        """Never called: this process steps none of them."""
        raise NotImplementedError

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Never called: nobody but a learner has a fleet."""
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

    # -- groups that are lost --

    def _everywhere(
        self,
        name: str,
        arguments: Sequence[tuple[Any, ...]],
        anew: NDArray[np.bool_] | None = None,
        carry: NDArray[np.float32] | None = None,
    ) -> list[Any]:
        """Asks every group, and again those that took the place of one that was lost.

        Args:
            name: Method.
            arguments: Of each group; views of arrays are read when a group is asked.
            anew: [N] takes note of environments that could not be brought back with a new group.
            carry: [N, H] becomes 0 for these.

        Raises:
            Exception: What a group raised, the first of them; only after all were heard.
            WorkerError: Actors died at the same place again and again.
        """
        answers: dict[int, Any] = {}
        left, losses = list(range(len(self._groups.rows))), Counter[int]()
        while left:
            heard, lost = self._groups.ask(left, name, arguments)
            answers |= heard
            for number, gone in lost.items():
                losses[number] += 1
                if losses[number] == MOST_DEATHS:
                    self.broken = True
                    raise WorkerError(f"{gone}; {MOST_DEATHS} actors were lost there")
                self.events.append(Event("worker_restarts", f"{gone}; another one takes its place"))
            left = list(lost)
            if left:
                self._put_anew(left, name, anew, carry)
        return [answers[number] for number in sorted(answers)]

    def _put_anew(
        self, numbers: list[int], name: str, anew: NDArray[np.bool_] | None, carry: NDArray[np.float32] | None
    ) -> None:
        """Puts new actors in the place of some, and brings environments to where they stood before `name` was asked."""
        stood = name != "restore" and bool((self._history.numbers() >= 0).all())
        courses = {number: self._course(self._groups.rows[number]) for number in numbers} if stood else {}
        for number, standing in self._groups.put_anew(numbers, self._is_equipped, courses).items():
            self._take_over(number, standing, anew, carry)

    def _move(self, anew: NDArray[np.bool_], carry: NDArray[np.float32]) -> None:
        """Puts an actor that shares CPUs with others where there is room, if its environments can be brought there."""
        for number in self._groups.with_room() if self._replays else ():
            self.events.append(Event("worker_restarts", f"{self._groups.name(number)} moves to where there is room"))
            self._put_anew([number], "collect", anew, carry)

    def _take_over(
        self, number: int, standing: Standing, anew: NDArray[np.bool_] | None, carry: NDArray[np.float32] | None
    ) -> None:
        """Takes note of where a new group's environments stand, and of those that began anew."""
        rows = self._groups.rows[number]
        self.events += standing.events
        self._replays = self._replays and not standing.lost.any()
        self.block.obs[rows], self.block.mask[rows] = standing.obs, standing.mask
        for n in (rows.start + np.flatnonzero(standing.lost)).tolist():
            self._history.begin(n)
            if anew is not None and carry is not None:
                anew[n], carry[n] = True, 0.0

    def _stand(self, standings: Sequence[Standing]) -> NDArray[np.bool_]:
        """Takes note of where all environments stand; [N] which began anew."""
        lost = np.zeros(self.num_envs, np.bool_)
        for number, standing in enumerate(standings):
            self._take_over(number, standing, None, None)
            lost[self._groups.rows[number]] = standing.lost
        return lost

    def _course(self, rows: slice) -> tuple[Arrays, NDArray[Any]]:
        """What brings environments to where they stand."""
        return part_of(self._history.state(), rows.start, rows.stop), plain(self.block.obs[rows])


def _block(traits: Traits, config: Config) -> Block:
    """Arrays of N environments, in this process."""
    action, obs = row_type(traits.action_space), row_type(traits.observation_space)
    mask = Field((mask_size(traits.action_space),), np.dtype(np.uint8))
    layout = Layout(
        config.num_envs, 0, Field(action.shape, action.base), Field(obs.shape, obs.base), mask, len(config.log_info)
    )
    return layout.map(bytearray(layout.num_bytes()))[1]
