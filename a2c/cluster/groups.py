"""Groups: the actors that hold a run's environments. They are called all at once; lost ones are replaced."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from a2c.cluster.answers import search_paths
from a2c.cluster.group import Outfit, Standing
from a2c.cluster.nodes import Cluster, LostError
from a2c.cluster.paces import Slow
from a2c.config import Config
from a2c.envs.construction import Traits
from a2c.envs.make import Kind
from a2c.envs.stepper import Event
from a2c.errors import UserError

_LOOK_SECONDS = 10.0
"""Time between two looks for free CPUs for actors that share those of others."""

_FREED_SECONDS = 3.0
"""How long the CPUs of an actor that ended may take to become free."""

_START_SECONDS = 300.0
"""How long actors may take to start when a run begins, ..."""

_ROOM_SECONDS = 30.0
"""... and a replacement for a lost actor, before it shares CPUs instead."""

_CLOSE_SECONDS = 10.0
"""How long environments may take to close."""


class Groups:
    """Actors, each with consecutive environments of a run.

    Attributes:
        rows: For each actor, the slice of its environments.
        crowded: Numbers of actors that share the CPUs of others, because none were free when they were started.
    """

    def __init__(self, cluster: Cluster, config: Config, kind: Kind) -> None:
        """Starts the actors.

        Args:
            cluster: Where they run.
            config: The run's settings.
            kind: The environments to construct.

        Raises:
            UserError: The cluster has too few free CPUs.
            LostError: An actor died.
        """
        self._cluster, self._kind, self._timeout_seconds = cluster, kind, config.env_timeout_seconds
        auto = max(1, min(config.num_envs, int(cluster.cpus)))
        count = auto if config.num_actors == "auto" else config.num_actors
        self._num_envs, self._may_grow = config.num_envs, config.num_actors == "auto"
        self._cpus = min(1.0, cluster.cpus / count)
        self.crowded: set[int] = set()
        self._looked_at = time.monotonic()
        self.rows = _divided(config.num_envs, count)
        self._outfit: Any = None  # A reference to it on the cluster.
        self._actors = [cluster.start(self._cpus) for _ in self.rows]
        asked = [cluster.ask(actor, "arrive", search_paths()) for actor in self._actors]
        late = cluster.late(asked, _START_SECONDS)
        if late:
            raise UserError(
                f"{len(late)} of {count} actors got no free CPU of the cluster within {_START_SECONDS:g} s; it has "
                f"{cluster.cpus:g} CPUs, which other programs may use: free some, or take a smaller num_actors"
            )
        self._where = [cluster.answer(one) for one in asked]

    @property
    def sizes(self) -> list[int]:
        """How many environments each group has."""
        return [rows.stop - rows.start for rows in self.rows]

    def make(self) -> list[tuple[Traits, list[Event]]]:
        """Has every group construct its environments; returns their traits, and what happened.

        Raises:
            UserError: The environment is unknown or not supported.
            EnvError: An environment could not be constructed.
            LostError: An actor died.
        """
        asked = [self._asked_to_make(number) for number in range(len(self._actors))]
        return [self._cluster.answer(one) for one in asked]

    @property
    def placement(self) -> str:
        """Where the environments run, for a person to read."""
        count, machines = len(self._actors), len({*self._where})
        actors, places = f"actor{'s' if count > 1 else ''}", f"machine{'s' if machines > 1 else ''}"
        return f"in {count} {actors} on {machines} {places} of a Ray cluster"

    def wear(self, outfit: Outfit) -> Any:
        """Puts what acting needs on the cluster, also for actors started later; returns a reference to it."""
        self._outfit = self._cluster.put(outfit)
        return self._outfit

    def ask(self, numbers: Iterable[int], name: str, arguments: Sequence[tuple[Any, ...]]) -> dict[int, Any]:
        """Calls a method of some groups, all at the same time, without waiting; returns the pending answers.

        Args:
            numbers: The groups.
            name: The method.
            arguments: For each of all groups, not only these.
        """
        return {number: self._cluster.ask(self._actors[number], name, *arguments[number]) for number in numbers}

    def answers(self, asked: Mapping[int, Any]) -> tuple[dict[int, Any], dict[int, str]]:
        """Waits for the answers that `ask` returned.

        Returns:
            What the groups returned; and for each lost group, a sentence that says so.

        Raises:
            Exception: The first that a group raised, after all have answered.
        """
        answers: dict[int, Any] = {}
        lost: dict[int, str] = {}
        failures: list[Exception] = []
        for number, one in asked.items():
            try:
                answers[number] = self._cluster.answer(one)
            except LostError as error:
                lost[number] = f"{self.name(number)} was lost: {error}"
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
        if failures:
            raise failures[0]
        return answers, lost

    def put_anew(
        self, numbers: Sequence[int], is_equipped: bool, courses: Mapping[int, tuple[Any, ...]]
    ) -> dict[int, Standing]:
        """Replaces actors by new ones, all at the same time. If a new one dies, the next call of it reports that.

        Args:
            numbers: The actors.
            is_equipped: Whether to prepare them for acting.
            courses: Arguments of `Group.restore` for those whose environments are to be restored.

        Returns:
            The state of the restored environments, by number of the actor.

        Raises:
            EnvError: An environment could not be constructed, or a reset raised.
        """
        asked = {number: [one, self._asked_to_make(number)] for number, one in self._started(numbers).items()}
        for number in numbers:
            actor = self._actors[number]
            if is_equipped:
                asked[number].append(self._cluster.ask(actor, "equip", self._outfit))
            if number in courses:
                asked[number].append(self._cluster.ask(actor, "restore", *courses[number]))
        standings = {}
        for number, all_asked in asked.items():
            with contextlib.suppress(LostError):
                heard = [self._cluster.answer(one) for one in all_asked]
                self._where[number] = heard[0]
                if number in courses:
                    standings[number] = heard[-1]
        return standings

    def _started(self, numbers: Sequence[int]) -> dict[int, Any]:
        """Starts new actors in place of old ones; returns the pending answers of their first call."""
        for number in numbers:
            self._end(number)
        give_up, asked = time.monotonic() + _FREED_SECONDS, {}
        for place, number in enumerate(numbers):
            # New actors before this one may not have taken their CPUs yet: count these too.
            has_room = self._cluster.has_room((place + 1) * self._cpus, give_up - time.monotonic())
            asked[number] = self._start(number, has_room)
        # CPUs reported as free may not be: the cluster may not have noticed yet that a machine is gone.
        waiting = [number for number in numbers if number not in self.crowded]
        for place in self._cluster.late([asked[number] for number in waiting], _ROOM_SECONDS):
            self._end(waiting[place])
            asked[waiting[place]] = self._start(waiting[place], has_room=False)
        return asked

    def _start(self, number: int, has_room: bool) -> Any:
        """Starts an actor. Without free CPUs, it shares those of others: the run goes on, slower."""
        (self.crowded.discard if has_room else self.crowded.add)(number)
        self._actors[number] = self._cluster.start(self._cpus if has_room else 0.0)
        return self._cluster.ask(self._actors[number], "arrive", search_paths())

    def free(self) -> int:
        """How many more actors have room on the cluster; looks only every `_LOOK_SECONDS`, and is 0 between."""
        now, most = time.monotonic(), self._num_envs - len(self.rows) if self._may_grow else 0
        if now - self._looked_at < _LOOK_SECONDS or not (self.crowded or most):
            return 0
        self._looked_at = now
        return min(int(self._cluster.free() / self._cpus), len(self.crowded) or most)

    def divide_anew(self, count: int) -> None:
        """Ends all actors, and starts so many others, prepared for acting; their environments are to be restored.

        Raises:
            EnvError: An environment could not be constructed.
        """
        self.close()
        self.rows, self._where = _divided(self._num_envs, count), [""] * count
        self._actors = [None] * count
        self.crowded.clear()
        self.put_anew(range(count), is_equipped=True, courses={})

    def name(self, number: int) -> str:
        """The name of a group in messages."""
        first, last = self.rows[number].start, self.rows[number].stop - 1
        which = f"environment {first}" if first == last else f"environments {first} to {last}"
        return f"actor {number} ({which}, on {self._where[number]})"

    def in_words(self, slow: Slow) -> str:
        """A sentence about a slow group."""
        took, usual = 1000 * slow.seconds, 1000 * slow.usual
        return (
            f"{self.name(slow.number)} is slow: its rollouts take {took:,.0f} ms, and would take {usual:,.0f} ms on "
            "the median actor; every update waits for it"
        )

    def close(self) -> None:
        """Closes the environments and ends the actors."""
        asked = []
        for actor in self._actors:
            with contextlib.suppress(Exception):  # An actor that is gone has nothing to close.
                asked.append(self._cluster.ask(actor, "close"))
        with contextlib.suppress(Exception):
            self._cluster.late(asked, _CLOSE_SECONDS)
        for number in range(len(self._actors)):
            self._end(number)

    def _end(self, number: int) -> None:
        with contextlib.suppress(Exception):  # It may be gone.
            self._cluster.end(self._actors[number])

    def _asked_to_make(self, number: int) -> Any:
        rows = self.rows[number]
        kind = self._kind._replace(offset=rows.start)
        return self._cluster.ask(self._actors[number], "make", kind, rows.stop - rows.start, self._timeout_seconds)


def _divided(num_envs: int, count: int) -> list[slice]:
    """Consecutive environments for each of so many actors, as equally many as possible."""
    return [slice(*pair) for pair in itertools.pairwise(num_envs * part // count for part in range(count + 1))]
