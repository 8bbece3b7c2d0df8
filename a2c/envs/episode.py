"""One environment in seeded episodes: episode k of environment i always starts with the same reset."""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.history import Course
from a2c.envs.masks import ActionMasks, without_mask
from a2c.envs.notes import number_in
from a2c.envs.seeding import Spaces, give_own_spaces
from a2c.envs.values import Feedback, Observations, Outcome, WrongValueError, first, lives_in, outcome
from a2c.errors import EnvError, UserError, plain, shown
from a2c.masks import Mask, mask_size
from a2c.randomness import episode_seed
from a2c.spaces import is_value, numbers_only, row_type, value_of

_STEPS_TO_CHECK_MEMORY = 100
"""BipedalWalker-v3 shows within a few what it remembers."""


class SeededEnv:
    """An environment that counts its episodes and steps, and seeds each episode by its number.

    The state of a deterministic environment is therefore (episode, actions since its reset).

    Attributes:
        env: The environment.
        mask: [K] which actions it allows where it stands; None: all of them.
        lost_life: Whether the last step cost a life, where that is noted.
        noted: Numbers out of the info of the last step of an episode that ended, where such are wanted.
    """

    __slots__ = (
        "_action_of",
        "_feedback",
        "_masks",
        "_observations_of",
        "_spaces",
        "env",
        "episode",
        "episode_seed",
        "first",
        "index",
        "lives",
        "lost_life",
        "mask",
        "noted",
        "seed",
        "steps",
    )

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        seed: int,
        index: int,
        env: gymnasium.Env[Any, Any] | None = None,
        feedback: Feedback = Feedback(),  # noqa: B008 - immutable
    ) -> None:
        """Constructs the environment.

        Args:
            make: Constructs it.
            seed: The run's seed.
            index: Which of the run's environments this is, from 0.
            env: One that was constructed already, and never reset.
            feedback: How what steps bring is taken.

        Raises:
            UserError: It is an environment that is in use already.
            EnvError: The constructor raised.
        """
        # What the seeds of episodes follow from, and the number of the episode from which on they do.
        self.seed, self.first, self.index = seed, 0, index
        self.episode = -1
        self.episode_seed: int | None = None
        self.steps = 0
        self.mask: Mask | None = None
        self._feedback = feedback
        self.lives, self.lost_life = 0, False
        self.noted: list[float] = []
        try:
            self.env = make() if env is None else env
        except (Exception, SystemExit) as error:
            raise self.error("construction") from error
        if env is None:
            claim(self.env)
        try:
            give_own_spaces(self.env)
            self._spaces = Spaces(self.env)
            observed, acted = self.env.observation_space, self.env.action_space
            self._observations_of = Observations(without_mask(observed, acted))
            # A row that is a value already is not made one again, which takes a tenth of a cheap environment's step.
            self._action_of = None if is_value(acted) else value_of(acted)
            self._masks = ActionMasks(self.env) if mask_size(acted) else None
        except (Exception, SystemExit) as error:
            raise self.error("construction") from error

    def require_rows(self, obs: NDArray[Any], action: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        """Refuses an environment whose spaces have other parts than those of the first, which the rows are made for.

        Raises:
            EnvError: Naming both.
        """
        observed, acted = self.env.observation_space, self.env.action_space
        left = numbers_only(without_mask(observed, acted))
        for name, space, rows in (("observation", left, obs), ("action", acted, action)):
            ours = row_type(space) if space is not None else np.dtype(np.void)
            if ours.shape != rows.shape[1:] or ours.base.names != rows.dtype.names:
                right = rows.dtype if rows.dtype.names else f"{rows.dtype} {rows.shape[1:]}"
                said = f"has the {name} space {shown(space)}; it must be of the rows of the first environment, {right}"
                raise EnvError(self.index, "construction", -1, None, 0, said, raised=False)
        if mask_size(acted) != mask.shape[1]:
            said = (
                f"has the action space {shown(acted)}; it must have {mask.shape[1]} choices, as the first environment"
            )
            raise EnvError(self.index, "construction", -1, None, 0, said, raised=False)

    def begin_anew(self, seed: int) -> None:
        """From the next episode on, goes through those of another seed, from the first of them."""
        self.seed, self.first = seed, self.episode + 1

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins the next episode, and returns its first observation, a row, and info.

        Args:
            seed: The episode's, and what the seeds of all later ones follow from; None: the next one's own.
            options: Passed to the environment.

        Raises:
            EnvError: The environment raised, or returned what it must not.
        """
        self.episode += 1
        self.steps = 0
        if seed is None:
            self.episode_seed = episode_seed(self.seed, self.index, self.episode - self.first)
        else:
            self.seed, self.first, self.episode_seed = seed, self.episode, seed
        try:
            self._spaces.seed(self.episode_seed)
            result = self._reset(options)
            found = first(result, self._observations_of)
            if self._masks is not None:
                self.mask = self._masks(result[0], found[1])
            if self._feedback.notes_lives:
                self.lives, self.lost_life = lives_in(found[1]), False
            return found
        except (Exception, SystemExit) as error:
            raise self.error("reset") from error

    def _reset(self, options: dict[str, Any] | None) -> Any:
        try:
            return self.env.reset(seed=self.episode_seed, options=options)
        except TypeError as error:
            called = list(traceback.walk_tb(error.__traceback__))[-1][0].f_globals.get("__name__", "")
            # Raised by the call of a reset; one that a reset makes in turn is the environment's own error.
            is_call_of_reset = called == __name__ or called.startswith("gymnasium.") or "reset() got" in str(error)
            for name in ("seed", "options"):
                if is_call_of_reset and f"unexpected keyword argument '{name}'" in str(error):
                    raise WrongValueError(
                        f"has a reset that takes no {name}, which is Gym's old interface; it must be reset(self, *, "
                        "seed=None, options=None)"
                    ) from error
            raise

    def step(self, action: Any) -> Outcome:
        """Takes a step, which is counted.

        Args:
            action: A row of the action space, which nobody writes again: the environment may keep it.

        Raises:
            EnvError: The environment raised, or returned what it must not.
        """
        self.steps += 1
        try:
            result = self.env.step(action if self._action_of is None else self._action_of(action))
            found = outcome(result, self._observations_of, self._feedback.reward_weights)
            if self._masks is not None:
                self.mask = None
                # Nobody acts after an end: what is allowed there, an environment need not know.
                if (self._masks.is_always or found[4]) and not (found[2] or found[3]):
                    self.mask = self._masks(result[0], found[4])
            if self._feedback.notes_lives:
                before, self.lives = self.lives, lives_in(found[4])
                self.lost_life = self.lives < before
            if self._feedback.info_keys and (found[2] or found[3]):
                self.noted = [number_in(found[4], key) for key in self._feedback.info_keys]
            return found
        except (Exception, SystemExit) as error:
            raise self.error("step") from error

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
        dtype = self._observations_of.dtype
        first = [np.array(obs, dtype) for obs in self._observations(course, beat)]
        with contextlib.suppress(EnvError, ReplayError):  # These actions were not meant for that one.
            for _ in self._observations(course._replace(seed=course.seed ^ 1), beat):
                pass
        for before, after in zip(first, self._observations(course, beat), strict=True):
            if not same_bits(before, np.asarray(after, dtype)):
                raise ReplayError(
                    f"its observation differs after the same {self.steps} steps with another episode between"
                )

    def _observations(self, course: Course, beat: Callable[[], None]) -> Iterator[Any]:
        """What is observed on the course, from its reset to its last step."""
        self.stand_before(course)
        obs, _ = self.reset(course.seed, course.options)
        self.seed, self.first = course.root, course.first
        yield obs
        # One that nobody writes again: an environment may keep its action.
        for action in course.actions.copy():
            obs, _, terminated, truncated, _ = self.step(action)
            beat()
            yield obs
            if terminated or truncated:
                raise ReplayError(f"its episode ended after {self.steps} of {len(course.actions)} steps")

    def stand_before(self, course: Course) -> None:
        """Counts as before the episode of the course; what is reset then is that episode."""
        self.episode, self.seed, self.first = course.episode - 1, course.root, course.first

    def error(self, phase: str) -> EnvError:
        """The exception being handled, with where this environment stands: "construction", "reset" or "step"."""
        error = sys.exc_info()[1]
        at = self.index, phase, self.episode, self.episode_seed, self.steps
        if isinstance(error, WrongValueError):
            return EnvError(*at, str(error), raised=False)
        return EnvError(*at, own_traceback(error))


def own_traceback(error: BaseException | None) -> str:
    """What an environment raised, as Python shows it, without the frames of ours that led there."""
    if error is None:
        return ""
    trace = error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("a2c."):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))
    except Exception:  # noqa: BLE001 - its own __str__ may raise
        return f"{type(error).__name__}, which cannot be shown"


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays of one type are equal, NaN to NaN and -0 apart from 0."""
    return a.tobytes() == b.tobytes()


class ReplayError(Exception):
    """An environment did not come to where it had been."""


_claimed: dict[int, weakref.ref[Any]] = {}
"""The environments of this process that are in use, by their address."""


def claim(env: gymnasium.Env[Any, Any]) -> None:
    """Takes an environment into use, until it is closed. In two places at once, two courses would be mixed.

    Raises:
        UserError: It is in use.
    """
    own = env.unwrapped
    known = _claimed.get(id(own))
    if known is not None and known() is own:
        raise UserError(
            f"the same environment (a {type(own).__name__}) was made twice: what is called must construct a new "
            "one every time (lambda: MyEnv(), not an object made before)"
        )
    with contextlib.suppress(TypeError):  # Of a class without weak references.
        _claimed[id(own)] = weakref.ref(own)


def close(env: gymnasium.Env[Any, Any]) -> None:
    """Closes an environment; what it raises then is a warning, since nothing depends on it any more."""
    _claimed.pop(id(env.unwrapped), None)
    try:
        env.close()
    except Exception as error:  # noqa: BLE001 - an environment may raise anything
        warnings.warn(plain(f"closing an environment raised {type(error).__name__}: {error}"), stacklevel=2)
