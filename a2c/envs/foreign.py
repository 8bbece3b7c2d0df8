"""A stepper for other people's vector environments: EnvPool's, ale_py's, whatever `gymnasium.make_vec` makes.

They seed their episodes themselves, so episodes cannot be replayed: a resumed run begins new ones and is not exact from
there on. They must be able to begin an episode of one environment without stepping the others: see `Ends`.
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
from a2c.envs.history import Recording
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

_LOST = "somebody else's vector environment cannot replay episodes: each of the {} environments began a new one"

_MASKED = (
    "somebody else's vector environment gives {}, which would be ignored; set vectorization 'auto', which steps single "
    "environments and obeys their masks"
)


class Ends(enum.Enum):
    """How a vector environment begins the next episode of an environment whose episode has ended."""

    SAME_STEP = "the step returns the next episode's first observation; the last one is in infos['final_obs']"
    MASK = "reset(options={'reset_mask': mask}) begins those in the mask"
    INDICES = "reset(indices), as EnvPool has it, begins these and returns only their observations"


def make_vector_env(
    env: EnvSource,
    kwargs: Mapping[str, Any],
    num_envs: int,
    seed: int = 0,
    wrapping: Wrapping = Wrapping(),  # noqa: B008 - immutable
) -> VectorEnv[Any, Any, Any]:
    """Makes somebody else's vector environment of N environments.

    Args:
        env: An id with a `vector_entry_point`, or a callable that makes a vector environment; it is passed `num_envs`
            and `seed` if it has parameters of these names.
        kwargs: Further arguments for either.
        num_envs: N.
        seed: The run's seed.
        wrapping: Must be the default: nothing can be wrapped around the single environments.

    Raises:
        UserError: There is no vector environment, it is not of N environments, or wrappers are asked for.
        EnvError: Its constructor raised.
    """
    name, source = env_name(env), maker_of(env, {}, Wrapping()).source
    arguments: dict[str, Any] = {**kwargs}
    if isinstance(source, EnvSpec) and source.vector_entry_point is None:
        raise UserError(
            f"vectorization is 'vector', but {name} has no vector environment of its own; set 'auto', which steps "
            "single ones"
        )
    if wrapping != Wrapping():
        (first, *_) = (field for field in wrapping._fields if getattr(wrapping, field) != getattr(Wrapping(), field))
        raise UserError(
            f"{first} is {getattr(wrapping, first)}; leave it out, as the environments in somebody else's vector "
            "environment cannot be wrapped"
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
            f"vectorization is 'vector', but {name} made a {type(made).__name__}; it must make a "
            "gymnasium.vector.VectorEnv"
        )
    if made.num_envs != num_envs:
        made.close()
        raise UserError(
            f"{name} made {made.num_envs} environments, but num_envs is {num_envs}; give it a parameter num_envs, or "
            f"set num_envs {made.num_envs}"
        )
    return made


class ForeignStepper:
    """A `Stepper` of N environments that are stepped by somebody else's vector environment."""

    num_workers = 0
    placement = "in a vector environment of its own"
    num_here, beats, at = 0, 0, 0  # This process steps none of them one by one.
    machine_code = None

    def __init__(self, envs: VectorEnv[Any, Any, Any], seed: int, feedback: Feedback) -> None:
        """Allocates the arrays of a step.

        Args:
            envs: The environments; this object closes them.
            seed: Seeds their resets.
            feedback: How rewards, lives and infos are read.

        Raises:
            UserError: They begin episodes by a step that ignores its action, or a space is not supported.
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
            raise UserError(
                f"the observation space is {shown(envs.single_observation_space)}; it must have a part made of numbers"
            )
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
        """Nothing to do: this process steps none of them one by one."""

    def release(self) -> None:
        """Nothing to do."""

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: Info | None) -> list[Info]:
        """Begins the next episode of the masked environments; there are no infos.

        Raises:
            EnvError: The reset raised, or returned a wrong value.
        """
        which = np.asarray(mask, np.bool_)
        if which.all():
            first = seeds[0]
            seed = episode_seed(self._seed, 0, int(self._episodes[0]) + 1) if first is None else first
            seed %= 2**31  # Many C++ environments take an int32.
            takes = inspect.signature(self._envs.reset).parameters
            named_ones = {"seed": seed, "options": options}
            obs, infos = self._call("reset", **{name: named_ones[name] for name in named_ones if name in takes})
            self.block.obs[...] = self._rows(obs)
            self._note_lives(infos)
        else:
            self._begin(which)
        self._episodes[which] += 1
        return [{} for _ in range(self.num_envs)]

    def begin_anew(self, seed: int) -> None:
        """Behaves, from the next reset of all environments on, as if made with this seed."""
        self._seed = seed
        self._episodes[...] = -1

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Takes the actions [N, ...]."""
        self.block.action[...] = action

    def finish(self) -> list[Info]:
        """Steps every environment and begins the next episode of those whose episode ended; there are no infos.

        Raises:
            EnvError: The step raised, or returned a wrong value.
        """
        block = self.block
        obs, reward, terminated, truncated, infos = self._call("step", batched(self._acted, block.action))
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
        """[N] number of the episode under way, from 0; -1: never reset."""
        return self._episodes.copy()

    def mark(self) -> None:
        """Nothing to do: episodes cannot be replayed."""

    def bound(self) -> None:
        """Nothing to do: no actions are recorded."""

    def state(self) -> Arrays:
        """The numbers of the episodes; nothing else is known."""
        return {"episode": self._episodes.copy()}

    def restore(self, state: Arrays, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Begins new episodes, as those under way cannot be replayed; returns [N] True.

        Raises:
            KeyError: The state lacks an array.
            ValueError: The state is of another number of environments.
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

    def recording_to(self, n: int) -> Recording:
        """Never called: this process steps none of them one by one."""
        raise NotImplementedError

    def failed_episode(self, error: Exception) -> None:
        """Nothing: their steps are not recorded."""

    def episode_up_to(self, n: int, episode: int, length: int, steps_ago: int) -> None:
        """Nothing: their steps are not recorded."""

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called with the same arguments, or its attribute read, if it supports that; [N]."""
        return list(self._envs.call(name, *args, **kwargs))

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Sets an attribute of each environment to its own value, [N], if it supports that."""
        self._envs.set_attr(name, list(values))

    def generators(self) -> list[np.random.Generator]:
        """Not available.

        Raises:
            AttributeError: Always.
        """
        raise AttributeError("the generators of somebody else's vector environment are not known")

    def generator_seeds(self) -> list[int]:
        """As `generators`."""
        raise AttributeError("the seeds of somebody else's vector environment are not known")

    def close(self) -> None:
        """Closes every environment."""
        self._envs.close()

    def _call(self, what: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a method of the vector environment.

        Raises:
            EnvError: It raised.
        """
        try:
            return getattr(self._envs, what)(*args, **kwargs)
        except Exception as error:
            raise self._error(what, own_traceback(error)) from error

    def _error(self, what: str, details: str, raised: bool = True) -> EnvError:
        return EnvError(0, what, int(self._episodes[0]), None, 0, details, raised)

    def _rows(self, obs: Any, count: int | None = None) -> NDArray[Any]:
        """Turns observations in Gymnasium's batched form into rows.

        Raises:
            EnvError: They do not fit the space.
        """
        try:
            return batch_of(self._observed, obs, self.num_envs if count is None else count)
        except (ValueError, TypeError) as error:
            raise self._error("step", f"gave an observation that does not fit its space: {error}", False) from error

    def _begin(self, which: NDArray[np.bool_]) -> None:
        """Begins the next episode of some environments and writes only their observations.

        Raises:
            EnvError: The reset raised, or reset other environments, too.
        """
        if self._ends is Ends.INDICES:
            obs, infos = self._call("reset", np.flatnonzero(which))
            self.block.obs[which] = self._rows(obs, int(which.sum()))
            if self._feedback.notes_lives:
                self._lives[which] = infos["lives"]
            return
        if self._ends is Ends.SAME_STEP:
            raise UserError(
                "this vector environment begins an episode only when one has ended; reset all environments at once, "
                "without reset_mask"
            )
        obs, infos = self._call("reset", options={"reset_mask": which})
        rows = self._rows(obs)
        if (rows[~which] != self.block.obs[~which]).any():
            details = "reset environments that were not in its reset_mask; it must leave those as they are"
            raise self._error("reset", details, raised=False)
        self.block.obs[...] = rows
        lives = self._lives.copy()
        self._note_lives(infos)
        self._lives[~which] = lives[~which]  # The infos of a reset count only for those that were reset.

    def _take_last(self, infos: Any, ended: NDArray[np.bool_]) -> None:
        """Writes the last observations of the episodes that ended, from infos["final_obs"].

        Raises:
            EnvError: They are missing, or do not fit the space.
        """
        if not isinstance(infos, Mapping) or "final_obs" not in infos:
            details = (
                "has autoreset_mode SAME_STEP but gave no infos['final_obs']; there must be the last observation of "
                "each episode that ended"
            )
            raise self._error("step", details, raised=False)
        final = infos["final_obs"]
        for n in np.flatnonzero(ended).tolist():
            one = {key: value[n] for key, value in final.items()} if isinstance(final, Mapping) else final[n]
            try:
                self.block.final_obs[n] = rows_of(self._observed, one)
            except (ValueError, TypeError) as error:
                raise self._error(
                    "step", f"gave a last observation that does not fit its space: {error}", False
                ) from error

    def _note_info(self, infos: Any, ended: NDArray[np.bool_]) -> None:
        """Writes the wanted numbers of steps that ended an episode; in Gymnasium's infos these are arrays [N]."""
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
        """Writes how many lives are left, if lives are noted.

        Raises:
            UserError: The infos have action masks, which would be ignored.
            EnvError: The infos do not say how many lives are left.
        """
        if isinstance(infos, Mapping) and "action_mask" in infos:
            raise UserError(_MASKED.format("infos['action_mask']"))
        if not self._feedback.notes_lives:
            return
        lives = np.asarray(infos.get("lives") if isinstance(infos, Mapping) else None)
        if lives.shape != self._lives.shape or lives.dtype.kind not in "iu":
            details = (
                "gave no infos['lives']; with terminal_on_life_loss True, it must be how many are left, [N] integers"
            )
            raise self._error("step", details, raised=False)
        self._lives[...] = lives


def _how_it_ends(envs: VectorEnv[Any, Any, Any]) -> Ends:
    """How a vector environment begins the next episode of one environment.

    Raises:
        UserError: By a step that ignores its action (NEXT_STEP), or it does not say how.
    """
    mode = (envs.metadata or {}).get("autoreset_mode")
    if mode is AutoresetMode.SAME_STEP:
        return Ends.SAME_STEP
    if "env_id" in inspect.signature(envs.reset).parameters:
        return Ends.INDICES
    if mode is AutoresetMode.DISABLED:
        return Ends.MASK
    raise UserError(
        f"{type(envs).__name__} has autoreset_mode {getattr(mode, 'value', mode)}, in which a step that begins an "
        "episode ignores its action; make it with autoreset_mode SAME_STEP or DISABLED"
    )


def traits_of(envs: VectorEnv[Any, Any, Any]) -> Traits:
    """Reads the `Traits` of the single environments in a vector environment."""
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
