"""Stepper: what steps N environments of one kind, under the one `Envs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from a2c.envs.history import Course
from a2c.envs.memory import Block
from a2c.errors import Failure

Info = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


class Event(NamedTuple):
    """Something that happened to the environments and did not end the run."""

    kind: Literal["worker_restarts", "episodes_lost", "foreign_randomness", "outside_bounds", "info_left_out"]
    details: str


class Stepper(Protocol):
    """N environments. Each goes from episode to episode; what a step gave lies in the block.

    Attributes:
        num_envs: N.
        block: The arrays of the last vector step.
        num_workers: Worker processes beside this one.
        placement: Where the environments run, in words.
        broken: Whether nothing can be asked of it any more.
        events: What happened since `take_events`.
        num_here: Environments that this process steps itself, one after another: nobody can replace one that hangs.
        is_stepping: Whether one of those is at a step or reset.
        beats: Grows with everything that one of those does.
        at: Which of those is, or was last, at work.
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
        """Lets whoever steps environments here go no further than the step it is at, until `release`."""
        ...

    def release(self) -> None:
        """Lets whoever was held go on."""
        ...

    @property
    def machine_code(self) -> Any:
        """What machine code may step instead, `a2c.envs.compiled.stepping.MachineCode`; None: there is none."""
        ...

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of the masked environments, and gives everybody's infos; all [N].

        An episode has the seed given here, from which those of the later ones follow, or (None) its own.

        Raises:
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        ...

    def begin_anew(self, seed: int) -> None:
        """From the next reset on, the environments go through the episodes of another seed, as if made with it."""
        ...

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Begins a vector step: actions [N, ...], rows of the action space."""
        ...

    def finish(self) -> list[Info]:
        """Completes it; where an episode ended, the next one has begun. The infos [N], or none where none are wanted.

        Raises:
            EnvError: An environment raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        ...

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; -1 where there was no reset."""
        ...

    def mark(self) -> None:
        """From here on, `state` is as of now."""
        ...

    def bound(self) -> None:
        """From here on, no more need be remembered than some last steps, unless `mark` is called."""
        ...

    def state(self) -> Arrays:
        """Where every environment stood at the last mark."""
        ...

    def restore(self, state: Arrays, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Brings every environment to where it stood; one that does not come there begins its next episode.

        Args:
            state: What `state` gave.
            obs: [N, ...] rows that were observed there.

        Returns:
            [N] which did not, as far as their observations tell; an event says why.

        Raises:
            KeyError, ValueError: The state is not one of these environments.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        ...

    def take_events(self) -> list[Event]:
        """What happened since the last call."""
        ...

    def course_to(self, n: int) -> Course:
        """How environment n, which this process steps itself, came to where it stands, with the action under way."""
        ...

    def failure(self, error: Exception) -> Failure | None:
        """How an environment came to where it raised or hung; None where that is not known."""
        ...

    def failure_at(self, n: int, episode: int, length: int, steps_ago: int) -> Failure | None:
        """How environment n came to where it stood; None where that is not known.

        Args:
            n: Which.
            episode: That of its episodes that was under way, begun with its own seed.
            length: Steps of it that led there.
            steps_ago: How many vector steps ago that was, since the last mark.
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
        """What each environment's course follows from: the seed of the last reset that gave one, else its episode's."""
        ...

    def close(self) -> None:
        """Closes every environment."""
        ...
