"""Stepper: the protocol of whatever steps the N environments of an `Envs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from a2c.envs.history import Recording
from a2c.envs.memory import Block
from a2c.errors import FailedEpisode

Info = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


class Event(NamedTuple):
    """Something that happened to the environments and did not end the run."""

    kind: Literal[
        "worker_restarts",
        "episodes_lost",
        "foreign_randomness",
        "outside_bounds",
        "info_left_out",
        "slow_actor",
        "more_actors",
    ]
    details: str


class Stepper(Protocol):
    """N environments of one kind, each going from episode to episode; `block` holds the results of the last step.

    Attributes:
        num_envs: N.
        block: The arrays of the last vector step.
        num_workers: Worker processes beside this one.
        placement: Where the environments run, in words.
        broken: Whether only `close` may still be called.
        events: What happened since `take_events`.
        num_here: Environments that this process steps one by one; if one of these hangs, it cannot be replaced.
        is_stepping: Whether one of these is at a step or reset.
        beats: Grows with every step and reset of these.
        at: Which of these is, or was last, at work.
    """

    num_envs: int
    block: Block
    broken: bool
    is_stepping: bool
    events: list[Event]

    @property
    def num_workers(self) -> int: ...  # noqa: D102 - see the attributes
    @property
    def placement(self) -> str: ...  # noqa: D102
    @property
    def num_here(self) -> int: ...  # noqa: D102
    @property
    def beats(self) -> int: ...  # noqa: D102
    @property
    def at(self) -> int: ...  # noqa: D102

    def hold(self) -> None:
        """Blocks the thread that steps environments of this process after its current step, until `release`."""
        ...

    def release(self) -> None:
        """Lets that thread go on."""
        ...

    @property
    def machine_code(self) -> Any:
        """`a2c.envs.compiled.stepping.MachineCode` to step them without Python; None if there is none."""
        ...

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of the masked environments; returns the infos of all, [N].

        Args:
            seeds: [N] the seed of the episode, from which those of later ones follow; None: the next in order.
            mask: [N] which environments.
            options: Passed to each of them.

        Raises:
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        ...

    def begin_anew(self, seed: int) -> None:
        """Behaves, from the next reset on, as if made with another seed."""
        ...

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Begins a vector step: actions [N, ...], rows of the action space."""
        ...

    def finish(self) -> list[Info]:
        """Completes the vector step; whenever an episode ended, the next one has begun.

        Returns:
            The infos [N]; may be an empty list if they are not wanted.

        Raises:
            EnvError: An environment raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        ...

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; -1: never reset."""
        ...

    def mark(self) -> None:
        """Makes `state` describe this moment from now on."""
        ...

    def bound(self) -> None:
        """Lets the stepper record only the last steps, until `mark` is called."""
        ...

    def state(self) -> Arrays:
        """The state of every environment at the last mark."""
        ...

    def restore(self, state: Arrays, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Brings every environment back to a state; one that cannot come back begins its next episode.

        Args:
            state: What `state` returned.
            obs: [N, ...] rows of the observations in that state.

        Returns:
            [N] which did not come back, judged by their observations; an event says why.

        Raises:
            KeyError, ValueError: The state does not belong to these environments.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        ...

    def take_events(self) -> list[Event]:
        """What happened since the last call."""
        ...

    def recording_to(self, n: int) -> Recording:
        """The episode so far of environment n, which this process steps itself, with the action under way."""
        ...

    def failed_episode(self, error: Exception) -> FailedEpisode | None:
        """The steps that led an environment to an error or a hang; None if they are not known."""
        ...

    def episode_up_to(self, n: int, episode: int, length: int, steps_ago: int) -> FailedEpisode | None:
        """The first steps of an episode; None if they are not known.

        Args:
            n: Which environment.
            episode: Number of the episode; its reset was passed no seed.
            length: How many steps.
            steps_ago: How many vector steps ago the last of them was; not before the last mark.
        """
        ...

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called with the same arguments, or its attribute read; [N]."""
        ...

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Sets an attribute of each environment to its own value, [N]."""
        ...

    def generators(self) -> list[np.random.Generator]:
        """Each environment's random number generator, [N]."""
        ...

    def generator_seeds(self) -> list[int]:
        """[N] the seed that was last passed to a reset of each environment; if none was, that of its episode."""
        ...

    def close(self) -> None:
        """Closes every environment."""
        ...
