"""The errors that a2c raises on purpose. Each message is a sentence for a person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray


_NOISE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b|(?<=[\w>]) at 0x[0-9a-fA-F]+")
"""Terminal colours and addresses in memory, which do not belong in a sentence."""

_LINES = re.compile(r"\s*\n\s*")


def plain(text: str) -> str:
    """Foreign text without terminal colours and addresses (`<function f at 0x7f...>`)."""
    return _NOISE.sub("", text)


def shown(value: object) -> str:
    """A value as a message shows it: on one line, in at most 80 characters."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - Python prints no whole number of more than 4,300 digits; others may raise anything
        text = f"a {type(value).__name__}"
    text = plain(_LINES.sub(" ", text))
    return text if len(text) <= 80 else f"{text[:77]}..."


def with_article(noun: str) -> str:
    """The noun with its indefinite article: an int, a str."""
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"


class FailedEpisode(NamedTuple):
    """The episode in which an environment raised, hung, crashed its process or gave NaN; it can be replayed."""

    env_index: int
    episode: int
    episode_seed: int
    actions: NDArray[Any]
    """[L, ...] the actions of the episode; the last one did not return."""


class UserError(Exception):
    """The user asked for something impossible.

    The message says what was wrong, with the value, and what would be right. The command line prints it
    without a traceback and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


class NumbersError(UserError):
    """An observation, a reward or a gradient is NaN or infinite.

    Attributes:
        rollout: Arrays of the rollout that holds the number.
        env_index: The environment that it came from, from 0; None: it came from the networks.
        failed_episode: The environment's steps up to it, if they can be replayed.
    """

    failed_episode: FailedEpisode | None = None

    def __init__(self, message: str, rollout: dict[str, NDArray[Any]], env_index: int | None = None) -> None:
        super().__init__(message)
        self.rollout, self.env_index = rollout, env_index


class EnvError(RuntimeError):
    """An environment raised in construction, reset or step.

    Attributes:
        env_index: Which of the environments, from 0.
        phase: "construction", "reset" or "step".
        episode: Episode number of that environment, from 0; -1 before its first reset.
        episode_seed: Seed the episode was reset with; None before its first reset.
        step: Steps taken in the episode, including the failing one.
        details: The environment's own traceback as text; if it did not raise, the rest of a sentence that begins with
            "environment 3 ...".
        raised: Whether it raised; otherwise it returned something invalid.
        failed_episode: The environment's steps up to the error, if they were recorded and can be replayed.
    """

    failed_episode: FailedEpisode | None = None

    def __init__(
        self,
        env_index: int,
        phase: str,
        episode: int,
        episode_seed: int | None,
        step: int,
        details: str,
        raised: bool = True,
    ) -> None:
        self.env_index = env_index
        self.phase = phase
        self.episode = episode
        self.episode_seed = episode_seed
        self.step = step
        details = plain(details)
        self.details, self.raised = details, raised
        # A worker sends it to the parent, where an exception is rebuilt from its `args`.
        super().__init__(env_index, phase, episode, episode_seed, step, details, raised)

    def __str__(self) -> str:
        place = f" (episode {self.episode}, episode seed {self.episode_seed}, step {self.step})"
        if not self.raised:
            return f"environment {self.env_index} {self.details}; in {self.phase}{place}"
        where = f"environment {self.env_index} raised in {self.phase}"
        return f"{self.details.rstrip()}\n\n{where}{place if self.phase != 'construction' else ''}"


class WorkerError(RuntimeError):
    """A worker process died or stopped answering.

    Attributes:
        env_index: The environment that it was stepping, from 0, if that is to blame; else None.
        failed_episode: That environment's steps up to it, if they were recorded and can be replayed.
    """

    failed_episode: FailedEpisode | None = None

    def __init__(self, message: str, env_index: int | None = None) -> None:
        self.env_index = env_index
        super().__init__(plain(message), env_index)

    def __str__(self) -> str:
        return str(self.args[0])


REPORTED = (UserError, EnvError, WorkerError, MemoryError, OSError)
"""The errors that the command line reports in a sentence, without a traceback."""


def exit_of(error: Exception) -> tuple[str, int]:
    """The sentence that the command line prints for one of `REPORTED`, and its exit code: 2 if the user can mend it."""
    if isinstance(error, UserError):
        return str(error), 1 if isinstance(error, NumbersError) and error.env_index is not None else 2
    if isinstance(error, MemoryError):
        return f"there is not enough memory for this: {str(error) or 'make it smaller'}", 2
    if isinstance(error, OSError):  # For example from a folder that cannot be read.
        where = f" {error.filename}" if error.filename else ""
        return f"cannot use{where}: {error.strerror or error}", 2
    return str(error), 1
