"""One environment in seeded episodes: episode k of environment i always starts from the same reset seed."""

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

from a2c.envs.history import Recording
from a2c.envs.masks import ActionMasks, without_mask
from a2c.envs.notes import number_in
from a2c.envs.seeding import Spaces, give_own_spaces
from a2c.envs.values import Feedback, Observations, Outcome, WrongValueError, first, lives_in, outcome
from a2c.errors import EnvError, UserError, plain, shown
from a2c.masks import Mask, mask_size
from a2c.randomness import episode_seed
from a2c.spaces import is_value, numbers_only, row_type, value_of

_STEPS_TO_CHECK_MEMORY = 100
"""BipedalWalker-v3, the known case, differs within a few steps."""


class SeededEnv:
    """An environment that counts its episodes and steps, and seeds each episode by its number.

    So the state of a deterministic environment is (number of the episode, actions since its reset).

    Attributes:
        env: The environment.
        mask: [K] the actions that are allowed next; None: all of them.
        lost_life: Whether the last step cost a life; False unless `Feedback.notes_lives`.
        noted: The `Feedback.info_keys` of the info with which the last episode ended.
    """

    __slots__ = (
        "_action_of",
        "_feedback",
        "_masks",
        "_observations_of",
        "_reads_more",
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
            index: Number of this environment in the run, from 0.
            env: An environment that was constructed already and never reset; None: `make` constructs one.
            feedback: How rewards, lives and infos are read.

        Raises:
            UserError: `make` returned an environment that is in use already.
            EnvError: The constructor raised.
        """
        # Episode `first + j` has the seed episode_seed(seed, index, j).
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
            # Skipped if a row is a value of the space as it is: the conversion takes a tenth of a cheap environment's
            # step.
            self._action_of = None if is_value(acted) else value_of(acted)
            self._masks = ActionMasks(self.env) if mask_size(acted) else None
            self._reads_more = self._masks is not None or feedback.notes_lives or bool(feedback.info_keys)
        except (Exception, SystemExit) as error:
            raise self.error("construction") from error

    def require_rows(self, obs: NDArray[Any], action: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        """Refuses an environment whose spaces differ from the first one's, which fixed the layout of the rows.

        Raises:
            EnvError: A space differs; the error names both.
        """
        observed, acted = self.env.observation_space, self.env.action_space
        left = numbers_only(without_mask(observed, acted))
        for name, space, rows in (("observation", left, obs), ("action", acted, action)):
            ours = row_type(space) if space is not None else np.dtype(np.void)
            if ours.shape != rows.shape[1:] or ours.base.names != rows.dtype.names:
                right = rows.dtype if rows.dtype.names else f"{rows.dtype} {rows.shape[1:]}"
                details = f"has the {name} space {shown(space)}; it must be like that of the first environment, {right}"
                raise EnvError(self.index, "construction", -1, None, 0, details, raised=False)
        if mask_size(acted) != mask.shape[1]:
            details = (
                f"has the action space {shown(acted)}; it must have {mask.shape[1]} choices, like the first environment"
            )
            raise EnvError(self.index, "construction", -1, None, 0, details, raised=False)

    def begin_anew(self, seed: int) -> None:
        """Makes the next episode the first one of another seed."""
        self.seed, self.first = seed, self.episode + 1

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins the next episode; returns its first observation, as a row, and the info.

        Args:
            seed: The seed of this episode, from which those of all later ones follow; None: the next in order.
            options: Passed to the environment.

        Raises:
            EnvError: The environment raised, or returned a wrong value.
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
            # Whether calling reset itself raised; a call made inside of reset is the environment's own error.
            is_call_of_reset = called == __name__ or called.startswith("gymnasium.") or "reset() got" in str(error)
            for name in ("seed", "options"):
                if is_call_of_reset and f"unexpected keyword argument '{name}'" in str(error):
                    raise WrongValueError(
                        f"has a reset that takes no {name}, which is Gym's old interface; define it as reset(self, *, "
                        "seed=None, options=None)"
                    ) from error
            raise

    def step(self, action: Any) -> Outcome:
        """Takes a step, and counts it.

        Args:
            action: A row of the action space that is never overwritten: the environment may hold on to it.

        Raises:
            EnvError: The environment raised, or returned a wrong value.
        """
        self.steps += 1
        try:
            result = self.env.step(action if self._action_of is None else self._action_of(action))
            found = outcome(result, self._observations_of, self._feedback.reward_weights)
            if not self._reads_more:
                return found
            if self._masks is not None:
                self.mask = None
                # No action follows an end, so an environment may have no mask there.
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

    def replay(self, recording: Recording, beat: Callable[[], None]) -> Any:
        """Replays an episode so far: the reset with its seed, then its actions.

        Args:
            recording: The episode so far; it must have begun.
            beat: Called after each step.

        Returns:
            The last observation.

        Raises:
            EnvError: The environment raised.
            ReplayError: The episode ended earlier than the recorded one.
        """
        *_, obs = self._observations(recording, beat)
        return obs

    def check_memory(self, recording: Recording, beat: Callable[[], None]) -> None:
        """Checks that episodes do not depend on earlier ones: replays the first steps twice, another episode between.

        BipedalWalker-v3, for instance, carries its physics engine's contacts into the next episode. The last
        observation of a replay need not show that, but later episodes would differ.

        Args:
            recording: The episode so far of any environment of this kind.
            beat: Called after each step.

        Raises:
            EnvError: The environment raised.
            ReplayError: The observations of the two replays differ.
        """
        recording = recording._replace(actions=recording.actions[:_STEPS_TO_CHECK_MEMORY])
        dtype = self._observations_of.dtype
        first = [np.array(obs, dtype) for obs in self._observations(recording, beat)]
        with contextlib.suppress(EnvError, ReplayError):  # In that episode, these actions may lead anywhere.
            for _ in self._observations(recording._replace(seed=recording.seed ^ 1), beat):
                pass
        for before, after in zip(first, self._observations(recording, beat), strict=True):
            if not same_bits(before, np.asarray(after, dtype)):
                raise ReplayError(
                    f"its observation differs after the same {self.steps} steps with another episode between"
                )

    def _observations(self, recording: Recording, beat: Callable[[], None]) -> Iterator[Any]:
        """The observations of a replay, from the reset to the last step."""
        self.set_counters_before(recording)
        obs, _ = self.reset(recording.seed, recording.options)
        self.seed, self.first = recording.root, recording.first
        yield obs
        # A copy, as an environment may hold on to its actions.
        for action in recording.actions.copy():
            obs, _, terminated, truncated, _ = self.step(action)
            beat()
            yield obs
            if terminated or truncated:
                raise ReplayError(f"its episode ended after {self.steps} of {len(recording.actions)} steps")

    def set_counters_before(self, recording: Recording) -> None:
        """Sets the counters so that the next reset begins the recorded episode."""
        self.episode, self.seed, self.first = recording.episode - 1, recording.root, recording.first

    def error(self, phase: str) -> EnvError:
        """An EnvError for the exception being handled; `phase` is "construction", "reset" or "step"."""
        error = sys.exc_info()[1]
        at = self.index, phase, self.episode, self.episode_seed, self.steps
        if isinstance(error, WrongValueError):
            return EnvError(*at, str(error), raised=False)
        return EnvError(*at, own_traceback(error))


def own_traceback(error: BaseException | None) -> str:
    """The traceback of what an environment raised, without our own frames above it."""
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
    """Whether two arrays of the same type are equal bit by bit: NaN equals NaN, -0 differs from 0."""
    return a.tobytes() == b.tobytes()


class ReplayError(Exception):
    """Replaying the recorded actions did not bring an environment back to the same state."""


_claimed: dict[int, weakref.ref[Any]] = {}
"""The environments of this process that are in use, by id()."""


def claim(env: gymnasium.Env[Any, Any]) -> None:
    """Marks an environment as in use until it is closed: used in two places at once, it would mix two episodes.

    Raises:
        UserError: It is in use already.
    """
    own = env.unwrapped
    known = _claimed.get(id(own))
    if known is not None and known() is own:
        raise UserError(
            f"the same environment (a {type(own).__name__}) was made twice; the callable must construct a new "
            "one every time (lambda: MyEnv(), not an object made before)"
        )
    with contextlib.suppress(TypeError):  # Its class does not allow weak references.
        _claimed[id(own)] = weakref.ref(own)


def close(env: gymnasium.Env[Any, Any]) -> None:
    """Closes an environment; an exception becomes a warning, as nothing depends on the environment any more."""
    _claimed.pop(id(env.unwrapped), None)
    try:
        env.close()
    except Exception as error:  # noqa: BLE001 - an environment may raise anything
        warnings.warn(plain(f"closing an environment raised {type(error).__name__}: {error}"), stacklevel=2)
