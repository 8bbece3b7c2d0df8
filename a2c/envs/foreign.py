"""Somebody else's vector environment as a stepper: EnvPool's, ale_py's, what `gymnasium.make_vec` makes.

It begins episodes as it likes, so none can be brought back: a run that is resumed begins new ones, and is not exact
from there on. What it must do is to begin an episode of one environment without a step of the others: see `Ends`.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from a2c.envs.construction import EnvSource, Traits, env_name, learnable, not_learnable, only_warnings
from a2c.envs.episode import own_traceback
from a2c.envs.history import Course
from a2c.envs.masks import observes_mask
from a2c.envs.memory import Block
from a2c.envs.notes import info_of_one, number_in
from a2c.envs.sources import maker_of
from a2c.envs.stepper import Arrays, Event, Info
from a2c.envs.values import Feedback, reward_of
from a2c.envs.wrapping import Wrapping
from a2c.errors import EnvError, UserError, shown
from a2c.randomness import episode_seed
from a2c.spaces import batch_of, batched, row_type, rows_of

_LOST = "somebody else's vector environment cannot bring episodes back: each of the {} environments began a new one"

_MASKED = (
    "{} of somebody else's vector environment is not obeyed; vectorization 'auto' steps single environments, and obeys "
    "theirs"
)


class Ends(enum.Enum):
    """How the next episode begins where one has ended."""

    SAME_STEP = "the step brings its first observation, and the last of the other in infos['final_obs']"
    MASK = "reset(options={'reset_mask': mask}) begins those of the mask"
    INDICES = "reset(indices) begins those, as EnvPool's does, and returns their observations alone"


def make_vector_env(
    env: EnvSource,
    kwargs: Mapping[str, Any],
    num_envs: int,
    seed: int = 0,
    wrapping: Wrapping = Wrapping(),  # noqa: B008 - immutable
) -> VectorEnv[Any, Any, Any]:
    """N environments as whoever made them steps them.

    Args:
        env: An id that has a vector environment of its own, or a callable that makes one, and is given `num_envs` and
            `seed` if it takes these.
        kwargs: Arguments for either.
        num_envs: N.
        seed: Of the run.
        wrapping: What is to be put around each, which nothing can be.

    Raises:
        UserError: There is none, or it is not of N environments, or nothing can be put around it.
        EnvError: Its constructor raised.
    """
    name, source = env_name(env), maker_of(env, {}, Wrapping()).source
    arguments: dict[str, Any] = {**kwargs}
    if isinstance(source, EnvSpec) and source.vector_entry_point is None:
        raise UserError(
            f"vectorization is 'vector', and {name} has no vector environment of its own; 'auto' steps single ones"
        )
    if wrapping != Wrapping():
        (first, *_) = (field for field in wrapping._fields if getattr(wrapping, field) != getattr(Wrapping(), field))
        raise UserError(
            f"{first} is {getattr(wrapping, first)}; leave it out, as nothing can be put around the environments in "
            "somebody else's vector environment"
        )
    try:
        with only_warnings():
            if isinstance(source, EnvSpec):
                made: Any = gymnasium.make_vec(source, num_envs, "vector_entry_point", **arguments)
            else:
                takes, known = inspect.signature(source).parameters, {"num_envs": num_envs, "seed": seed % 2**31}
                made = source(**{name: value for name, value in known.items() if name in takes}, **arguments)
    except (UserError, gymnasium.error.Error) as error:
        raise UserError(f"cannot make the vector environment {name}: {error}") from error
    except Exception as error:
        raise EnvError(0, "construction", -1, None, 0, own_traceback(error)) from error
    if not isinstance(made, VectorEnv):
        raise UserError(
            f"vectorization is 'vector', and {name} made a {type(made).__name__}; it must make a "
            "gymnasium.vector.VectorEnv"
        )
    if made.num_envs != num_envs:
        made.close()
        raise UserError(
            f"{name} made {made.num_envs} environments, and num_envs is {num_envs}; let it take num_envs, or ask for "
            "as many"
        )
    return made


class ForeignStepper:
    """N environments that somebody else's vector environment steps."""

    num_workers = 0
    placement = "in a vector environment of its own"
    num_here, beats, at = 0, 0, 0  # None that this process steps one by one.
    machine_code = None

    def __init__(self, envs: VectorEnv[Any, Any, Any], seed: int, feedback: Feedback) -> None:
        """Room for a step of theirs.

        Args:
            envs: The environments, which this owns from now on.
            seed: What their first reset is seeded with.
            feedback: How what steps bring is taken.

        Raises:
            UserError: They cannot begin an episode without a step that is none, or a space is not supported.
        """
        self.num_envs: int = envs.num_envs
        self.broken = self.is_stepping = False
        self.events: list[Event] = []
        self._envs: Any = envs
        self._seed, self._feedback = seed, feedback
        self._ends = _how_it_ends(envs)
        observed = learnable(envs.single_observation_space, envs.single_action_space)
        if observes_mask(envs.single_observation_space, envs.single_action_space):
            raise UserError(_MASKED.format("the action_mask in observations"))
        if observed is None:
            raise UserError(f"there are no numbers in the observations {shown(envs.single_observation_space)}")
        self._observed, self._acted = observed, envs.single_action_space
        n, obs, action = self.num_envs, row_type(observed), row_type(self._acted)
        self.block = Block(
            np.zeros((n, *action.shape), action.base),
            np.zeros((n, *obs.shape), obs.base),
            np.zeros((n, *obs.shape), obs.base),
            np.zeros(n),
            np.zeros(n, np.bool_),
            np.zeros(n, np.bool_),
            np.zeros(n, np.bool_),
            np.zeros((n, 0), np.uint8),
            np.zeros((n, len(feedback.info_keys))),
        )
        self._episodes = np.full(n, -1, np.int64)
        self._lives = np.zeros(n, np.int64)

    def hold(self) -> None:
        """Nothing to do: nobody steps them from here one by one."""

    def release(self) -> None:
        """Nothing to do."""

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of the masked environments; there are no infos.

        Raises:
            EnvError: It raised, or gave what it must not.
        """
        which = np.asarray(mask, np.bool_)
        if which.all():
            first = seeds[0]
            seed = episode_seed(self._seed, 0, int(self._episodes[0]) + 1) if first is None else first
            seed %= 2**31  # As many take no more.
            takes = inspect.signature(self._envs.reset).parameters
            named_ones = {"seed": seed, "options": options}
            obs, infos = self._asked("reset", **{name: named_ones[name] for name in named_ones if name in takes})
            self.block.obs[...] = self._rows(obs)
            self._note_lives(infos)
        else:
            self._begin(which)
        self._episodes[which] += 1
        return [{} for _ in range(self.num_envs)]

    def begin_anew(self, seed: int) -> None:
        """From the next reset of all on, as if made with another seed."""
        self._seed = seed
        self._episodes[...] = -1

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Takes the actions [N, ...]."""
        self.block.action[...] = action

    def finish(self) -> list[Info]:
        """Steps every environment and begins anew where an episode ended; there are no infos.

        Raises:
            EnvError: It raised, or gave what it must not.
        """
        block = self.block
        obs, reward, terminated, truncated, infos = self._asked("step", batched(self._acted, block.action))
        block.reward[...] = [reward_of(one, self._feedback.reward_weights) for one in np.asarray(reward)]
        block.terminated[...], block.truncated[...] = terminated, truncated
        rows, ended = self._rows(obs), block.terminated | block.truncated
        before = self._lives.copy()
        self._note_lives(infos)
        block.lost_life[...] = self._lives < before
        if ended.any():
            self._note_info(infos, ended)
            if self._ends is Ends.SAME_STEP:
                self._take_last(infos, ended)
            else:
                block.final_obs[ended] = rows[ended]
        block.obs[...] = rows
        if ended.any() and self._ends is not Ends.SAME_STEP:
            self._begin(ended)
        self._episodes[ended] += 1
        return [{} for _ in range(self.num_envs)]

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; -1 where there was no reset."""
        return self._episodes.copy()

    def mark(self) -> None:
        """Nothing to do: nothing can be brought back."""

    def bound(self) -> None:
        """Nothing to do: nothing is remembered."""

    def state(self) -> Arrays:
        """How many episodes there were; more is not known."""
        return {"episode": self._episodes.copy()}

    def restore(self, state: Arrays, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Begins new episodes: those under way cannot be brought back.

        Raises:
            KeyError: The state lacks an array.
            ValueError: It is not of N environments.
            EnvError: The reset raised.
        """
        episodes = state["episode"]
        if episodes.shape != self._episodes.shape or episodes.dtype != np.int64:
            raise ValueError(f"episode is {episodes.dtype} {episodes.shape}; it must be {self.num_envs} whole numbers")
        self._episodes[...] = episodes
        self.reset([None] * self.num_envs, [True] * self.num_envs, None)
        self.events.append(Event("episodes_lost", _LOST.format(self.num_envs)))
        return np.ones(self.num_envs, np.bool_)

    def take_events(self) -> list[Event]:
        """What happened since the last call."""
        events, self.events = self.events, []
        return events

    def course_to(self, n: int) -> Course:
        """Never called: this process steps none of them one by one."""
        raise NotImplementedError

    def failure(self, error: Exception) -> None:
        """Nothing: their steps are not recorded."""

    def failure_at(self, n: int, episode: int, length: int, steps_ago: int) -> None:
        """Nothing: their steps are not recorded."""

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called with the same arguments, or its attribute read, where theirs can; [N]."""
        return list(self._envs.call(name, *args, **kwargs))

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Sets an attribute of each environment to its own value, [N], where theirs can."""
        self._envs.set_attr(name, list(values))

    def generators(self) -> list[np.random.Generator]:
        """They have none that anybody could ask for."""
        raise AttributeError("the generators of somebody else's vector environment are not known")

    def generator_seeds(self) -> list[int]:
        """As `generators`."""
        raise AttributeError("the seeds of somebody else's vector environment are not known")

    def close(self) -> None:
        """Closes every environment."""
        self._envs.close()

    def _asked(self, what: str, *args: Any, **kwargs: Any) -> Any:
        """What their method returns.

        Raises:
            EnvError: They raised.
        """
        try:
            return getattr(self._envs, what)(*args, **kwargs)
        except Exception as error:
            raise self._error(what, own_traceback(error)) from error

    def _error(self, what: str, details: str, raised: bool = True) -> EnvError:
        return EnvError(0, what, int(self._episodes[0]), None, 0, details, raised)

    def _rows(self, obs: Any, count: int | None = None) -> NDArray[Any]:
        """Observations in Gymnasium's batched form as rows.

        Raises:
            EnvError: They are none of the space's.
        """
        try:
            return batch_of(self._observed, obs, self.num_envs if count is None else count)
        except (ValueError, TypeError) as error:
            raise self._error("step", f"gave an observation that is none of its space: {error}", False) from error

    def _begin(self, which: NDArray[np.bool_]) -> None:
        """Begins the next episode of some environments and writes what they observe, and no others'.

        Raises:
            EnvError: It raised, or began others', too.
        """
        if self._ends is Ends.INDICES:
            obs, infos = self._asked("reset", np.flatnonzero(which))
            self.block.obs[which] = self._rows(obs, int(which.sum()))
            if self._feedback.notes_lives:
                self._lives[which] = infos["lives"]
            return
        if self._ends is Ends.SAME_STEP:
            raise UserError("this vector environment begins episodes itself, and only where one has ended")
        obs, infos = self._asked("reset", options={"reset_mask": which})
        rows = self._rows(obs)
        if (rows[~which] != self.block.obs[~which]).any():
            details = "began episodes of environments that were not in its reset_mask"
            raise self._error("reset", details, raised=False)
        self.block.obs[...] = rows
        lives = self._lives.copy()
        self._note_lives(infos)
        self._lives[~which] = lives[~which]  # Of the others it says nothing.

    def _take_last(self, infos: Any, ended: NDArray[np.bool_]) -> None:
        """Takes in the last observations of the episodes that ended.

        Raises:
            EnvError: They are not there.
        """
        if not isinstance(infos, Mapping) or "final_obs" not in infos:
            details = "says that it begins episodes in the step that ends one, and gave no infos['final_obs']"
            raise self._error("step", details, raised=False)
        final = infos["final_obs"]
        for n in np.flatnonzero(ended).tolist():
            one = {key: value[n] for key, value in final.items()} if isinstance(final, Mapping) else final[n]
            try:
                self.block.final_obs[n] = rows_of(self._observed, one)
            except (ValueError, TypeError) as error:
                raise self._error(
                    "step", f"gave a last observation that is none of its space: {error}", False
                ) from error

    def _note_info(self, infos: Any, ended: NDArray[np.bool_]) -> None:
        """Takes in numbers out of the infos of the steps that ended an episode, as Gymnasium has them: arrays [N]."""
        keys = self._feedback.info_keys
        if not keys:
            return
        last = infos if isinstance(infos, Mapping) else {}
        if self._ends is Ends.SAME_STEP:
            last = last.get("final_info", {})
        for n in np.flatnonzero(ended).tolist():
            of_one = info_of_one(last, n)
            self.block.noted[n] = [number_in(of_one, key) for key in keys]

    def _note_lives(self, infos: Any) -> None:
        """Takes in how many lives are left, where that is asked for.

        Raises:
            UserError: What they say of actions that are not allowed would not be obeyed.
            EnvError: They do not say how many.
        """
        if isinstance(infos, Mapping) and "action_mask" in infos:
            raise UserError(_MASKED.format("infos['action_mask']"))
        if not self._feedback.notes_lives:
            return
        lives = np.asarray(infos.get("lives") if isinstance(infos, Mapping) else None)
        if lives.shape != self._lives.shape or lives.dtype.kind not in "iu":
            details = (
                "says nothing of lives; where terminal_on_life_loss is True, infos['lives'] must be how many are left"
            )
            raise self._error("step", details, raised=False)
        self._lives[...] = lives


def _how_it_ends(envs: VectorEnv[Any, Any, Any]) -> Ends:
    """How a vector environment begins the next episode of one environment.

    Raises:
        UserError: Not without a step that is none.
    """
    mode = (envs.metadata or {}).get("autoreset_mode")
    if mode is AutoresetMode.SAME_STEP:
        return Ends.SAME_STEP
    if "env_id" in inspect.signature(envs.reset).parameters:
        return Ends.INDICES
    if mode is AutoresetMode.DISABLED:
        return Ends.MASK
    raise UserError(
        f"{type(envs).__name__} begins an episode by a step that is none (autoreset_mode "
        f"{getattr(mode, 'value', mode)}), which nothing can be learnt from; make it with autoreset_mode SAME_STEP or "
        "DISABLED"
    )


def traits_of(envs: VectorEnv[Any, Any, Any]) -> Traits:
    """What a vector environment tells of each of its environments."""
    observed = learnable(envs.single_observation_space, envs.single_action_space)
    limit = getattr(envs.spec, "max_episode_steps", None)
    return Traits(
        envs.single_observation_space if observed is None else observed,
        envs.single_action_space,
        envs.spec,
        dict(envs.metadata or {}),
        None,
        limit if isinstance(limit, int) else None,
        (),
        not_learnable(envs.single_observation_space, envs.single_action_space),
    )
