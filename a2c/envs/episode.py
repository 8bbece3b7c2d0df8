"""One environment in seeded episodes: episode k of environment i always starts with the same reset."""

from __future__ import annotations

import contextlib
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.alive import released
from a2c.envs.history import Course
from a2c.errors import EnvError, UserError, plain
from a2c.randomness import episode_seed

_STEPS_TO_CHECK_MEMORY = 100
"""BipedalWalker-v3 shows within a few what it remembers."""


class SeededEnv:
    """An environment that counts its episodes and steps, and seeds each episode by its number.

    The state of a deterministic environment is therefore (episode, actions since its reset). Whoever steps `env`
    counts `steps`, which `reset` puts back to 0.
    """

    __slots__ = ("env", "episode", "episode_seed", "index", "seed", "steps")

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], seed: int, index: int) -> None:
        """Constructs the environment.

        Args:
            make: Constructs it.
            seed: The run's seed.
            index: Which of the run's environments this is, from 0.

        Raises:
            EnvError: The constructor raised.
            UserError: It returned an environment that is alive already.
        """
        self.seed, self.index = seed, index
        self.episode = -1
        self.episode_seed: int | None = None
        self.steps = 0
        try:
            self.env = make()
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise self.error("construction") from error

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins the next episode.

        Args:
            seed: Overrides the episode's own seed.
            options: Passed to the environment.

        Raises:
            EnvError: The environment raised, or its observation does not have the shape of its space.
        """
        self.episode += 1
        self.steps = 0
        self.episode_seed = episode_seed(self.seed, self.index, self.episode) if seed is None else seed
        try:
            obs, info = self.env.reset(seed=self.episode_seed, options=options)
            self.check_shape(obs)
        except (Exception, SystemExit) as error:
            raise self.error("reset") from error
        return obs, info

    def restore(self, course: Course, beat: Callable[[], None]) -> Any:
        """Goes the same course again: the reset with its seed, then its actions.

        Args:
            course: To where the environment shall stand; its episode has begun.
            beat: Called after each step.

        Returns:
            The observation there.

        Raises:
            EnvError: The environment raised.
            ReplayError: An episode ended which did not.
        """
        *_, obs = self._observations(course, beat)
        return obs

    def check_memory(self, course: Course, beat: Callable[[], None]) -> None:
        """Goes the beginning of a course twice, with another episode between.

        What an environment keeps of earlier episodes (BipedalWalker-v3 its physics engine's memory of contacts) its
        observation after a replay need not tell; and then later episodes go another way than they would have gone.

        Args:
            course: Of any environment of this kind.
            beat: Called after each step.

        Raises:
            EnvError: The environment raised.
            ReplayError: The second time, something was observed that was not the first time.
        """
        course = course._replace(actions=course.actions[:_STEPS_TO_CHECK_MEMORY])
        first = [np.array(obs) for obs in self._observations(course, beat)]
        with contextlib.suppress(EnvError, ReplayError):  # These actions were not meant for that one.
            for _ in self._observations(course._replace(seed=course.seed ^ 1), beat):
                pass
        for before, after in zip(first, self._observations(course, beat), strict=True):
            if not same_bits(before, np.asarray(after)):
                raise ReplayError(
                    f"its observation differs after the same {self.steps} steps with another episode between"
                )

    def _observations(self, course: Course, beat: Callable[[], None]) -> Iterator[Any]:
        """What is observed on the course, from its reset to its last step."""
        self.episode = course.episode - 1
        obs, _ = self.reset(course.seed, course.options)
        yield obs
        # One that nobody writes again: an environment may keep its action.
        for action in course.actions.copy():
            self.steps += 1
            try:
                obs, _, terminated, truncated, _ = self.env.step(action)
            except (Exception, SystemExit) as error:
                raise self.error("step") from error
            beat()
            yield obs
            if terminated or truncated:
                raise ReplayError(f"its episode ended after {self.steps} of {len(course.actions)} steps")

    def check_shape(self, obs: Any) -> None:
        """Refuses an observation of another shape: a smaller one would be broadcast into its row without a word.

        Raises:
            ValueError: With both shapes.
        """
        expected = self.env.observation_space.shape
        if np.shape(obs) != expected:
            raise ValueError(f"the environment gave an observation of shape {np.shape(obs)}, its space says {expected}")

    def error(self, phase: str) -> EnvError:
        """The exception being handled, with where this environment stands: "construction", "reset" or "step"."""
        return EnvError(self.index, phase, self.episode, self.episode_seed, self.steps, traceback.format_exc())


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays of one type are equal, NaN to NaN and -0 apart from 0."""
    return a.tobytes() == b.tobytes()


class Failure(NamedTuple):
    """The course of an environment to where it raised, hung or took its process with it."""

    env_index: int
    episode: int
    episode_seed: int
    actions: NDArray[Any]
    """[L, ...]; the last one did not come to an end."""


class ReplayError(Exception):
    """An environment did not come to where it had been."""


def close(env: gymnasium.Env[Any, Any]) -> None:
    """Closes an environment; what it raises then is a warning, since nothing depends on it any more."""
    released(env)
    try:
        env.close()
    except Exception as error:  # noqa: BLE001 - an environment may raise anything
        warnings.warn(plain(f"closing an environment raised {type(error).__name__}: {error}"), stacklevel=2)
