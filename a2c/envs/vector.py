"""Envs: N environments behind one interface, in this process, in workers, or some in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from a2c.envs.construction import Traits
from a2c.envs.episode import Failure
from a2c.envs.history import Course
from a2c.envs.local import Info
from a2c.envs.pool import Event, Pool
from a2c.errors import EnvError, WorkerError
from a2c.randomness import episode_seed


class Step(NamedTuple):
    """What one vector step gave. The arrays are views, valid until the next call."""

    obs: NDArray[Any]  # [N, ...] what to act on next: where an episode ended, the first observation of the next one
    next_obs: NDArray[Any]  # [N, ...] the true successor: where an episode ended, its last observation; else obs itself
    reward: NDArray[np.float64]  # [N]
    terminated: NDArray[np.bool_]  # [N] ended by the task
    truncated: NDArray[np.bool_]  # [N] ended by a time limit


def step_of(
    obs: NDArray[Any],
    final_obs: NDArray[Any],
    reward: NDArray[np.float64],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
) -> Step:
    """A Step from what was written of it, all [N, ...]; `final_obs` counts only where an episode ended."""
    done = terminated | truncated
    next_obs = obs
    if done.any():
        next_obs = obs.copy()
        next_obs[done] = final_obs[done]
    return Step(obs, next_obs, reward, terminated, truncated)


def seeds_for(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """A seed for each environment: seed + i of a single one, as everywhere in Gymnasium.

    Raises:
        ValueError: Not as many seeds as environments.
    """
    if seed is None or isinstance(seed, int | np.integer):
        return [None if seed is None else int(seed) + i for i in range(num_envs)]
    if len(seed) != num_envs:
        raise ValueError(f"{len(seed)} seeds for {num_envs} environments; there must be one for each")
    return list(seed)


def reset_mask(options: dict[str, Any] | None, num_envs: int) -> list[bool]:
    """Which environments a reset is for: those of `options["reset_mask"]`, or all.

    Raises:
        ValueError: The mask is no array of N bools, or names nobody.
    """
    mask = (options or {}).get("reset_mask", np.ones(num_envs, np.bool_))
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        raise ValueError(f"options['reset_mask'] is {mask!r}; it must be an array of {num_envs} bools")
    if not mask.any():
        raise ValueError("options['reset_mask'] names no environment; it must name at least one")
    return [bool(item) for item in mask]


class Envs(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """N copies of an environment, the first few stepped here, the others by worker processes.

    Two faces. A2C's own: `begin() -> obs` and `advance(action) -> Step`, with nothing in dictionaries. Gymnasium's:
    `reset`, `step` (or `step_async` and `step_wait`), `call`, `get_attr`, `set_attr`, as any VectorEnv with SAME_STEP
    autoreset. They may be mixed.

    Episode k of environment i is seeded with `episode_seed(seed, i, k)`, whichever process steps it: the numbers do
    not depend on how many workers there are. `reset(seed=s)` overrides the seed of the episode it begins only, with
    s + i as everywhere in Gymnasium.

    Reference: Gymnasium's `SyncVectorEnv` and `AsyncVectorEnv`, whose contract the second face follows.
    """

    def __init__(self, probe: Traits, pool: Pool) -> None:
        """Puts both faces on a pool of environments.

        Args:
            probe: What one that was constructed tells of all.
            pool: The environments, which this owns from now on.
        """
        self.normalizers = probe.normalizers
        self._waiting = False
        self._pool = pool
        self._block = pool.block
        self.num_envs = pool.num_envs
        self.spec = probe.spec
        self.metadata = {**probe.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = probe.render_mode
        self.single_observation_space = probe.observation_space
        self.single_action_space = probe.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    @property
    def num_workers(self) -> int:
        """Worker processes beside this one."""
        return self._pool.num_workers

    @property
    def placement(self) -> str:
        """Where the environments run, in words."""
        if not self.num_workers:
            return "in this process"
        ours = self._pool.rows[0]
        here = " and this process" if ours.stop > ours.start else ""
        return f"in {self.num_workers} worker process{'es' if self.num_workers > 1 else ''}{here}"

    @property
    def episodes(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0."""
        return self._pool.history.numbers()

    @property
    def obs(self) -> NDArray[Any]:
        """[N, ...] what to act on next; a view."""
        return self._block.obs

    def begin(self) -> NDArray[Any]:
        """Begins the next episode of every environment and returns the observations, [N, ...].

        Raises:
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self._reset([None] * self.num_envs, [True] * self.num_envs, None)
        return self._block.obs

    def advance(self, action: NDArray[Any]) -> Step:
        """Steps every environment: action [N, ...], numbered and scaled as the environment's space says.

        Raises:
            EnvError: A step raised, or the reset after it.
            WorkerError: A worker died or gave no answer in time.
        """
        self._require_in_step("advance")
        self._pool.post(action, want_infos=False)
        self._pool.finish()
        block = self._block
        return step_of(block.obs, block.final_obs, block.reward, block.terminated, block.truncated)

    @property
    def num_here(self) -> int:
        """Environments that this process steps itself."""
        return self._pool.rows[0].stop - self._pool.rows[0].start

    @property
    def is_stepping(self) -> bool:
        """Whether one of those is at a step or reset."""
        return self._pool.is_stepping

    @property
    def beats(self) -> int:
        """Grows with everything that one of those does."""
        return self._pool.beats

    @property
    def at(self) -> int:
        """Which of those is, or was last, at work."""
        return self._pool.at

    def hold(self) -> None:
        """Lets whoever steps those go no further than the step it is at, until `release`."""
        self._pool.hold()

    def release(self) -> None:
        """Lets whoever was held go on."""
        self._pool.release()

    def mark(self) -> None:
        """From here on, `state` is as of now."""
        self._pool.history.mark()

    def state(self) -> dict[str, NDArray[Any]]:
        """Where every environment stood at the last mark: its episode, and the actions since. See `History`."""
        return self._pool.history.state()

    def restore(self, state: dict[str, NDArray[Any]], obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Brings every environment to where it stood; one that does not come there begins its next episode.

        Args:
            state: What `state` gave.
            obs: [N, ...] what was observed there.

        Returns:
            [N] which did not, as far as their observations tell; `take_events` says why.

        Raises:
            KeyError, ValueError: The state is not one of these environments.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        return self._pool.restore(state, obs)

    def take_events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._pool.events = self._pool.events, []
        return events

    def course_to(self, n: int) -> Course:
        """How environment n came to where it stands, with the action under way."""
        course = self._pool.history.course(n)
        return course._replace(actions=np.concatenate([course.actions, self._block.action[n : n + 1]]))

    def failure(self, error: Exception) -> Failure | None:
        """How an environment came to where it raised or hung, where that is known and can be gone again."""
        if not isinstance(error, EnvError | WorkerError) or error.env_index is None:
            return None
        course = self.course_to(error.env_index)
        if isinstance(error, WorkerError):
            return Failure(error.env_index, course.episode, course.seed, course.actions)
        if error.phase not in ("reset", "step") or error.episode_seed is None:
            return None
        # A reset that raised began an episode without actions.
        actions = course.actions if error.phase == "step" else course.actions[:0]
        return Failure(error.env_index, error.episode, error.episode_seed, actions)

    def failure_at(self, n: int, episode: int, length: int, steps_ago: int) -> Failure:
        """How environment n came to where it stood.

        Args:
            n: Which.
            episode: That of its episodes that was under way, begun with its own seed.
            length: Steps of it that led there.
            steps_ago: How many vector steps ago that was, since the last mark.
        """
        actions = self._pool.history.actions(n, length, steps_ago)
        return Failure(n, episode, episode_seed(self._pool.seed, n, episode), actions)

    # -- Gymnasium's face --

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], Info]:
        """Begins an episode in every environment, or in those of `options["reset_mask"]`, [N] of bool.

        Args:
            seed: One for all (environment i gets seed + i), or one each; None: the episodes' own.
            options: Passed to each environment, without "reset_mask".

        Returns:
            Observations [N, ...] and infos.
        """
        seeds, mask = seeds_for(seed, self.num_envs), reset_mask(options, self.num_envs)
        if options is not None:
            options = {name: value for name, value in options.items() if name != "reset_mask"}
        infos = self._reset(seeds, mask, options)
        return self._block.obs.copy(), self._merged(infos)

    def step_async(self, actions: Any) -> None:
        """Sends the actions [N, ...] out; `step_wait` brings what they led to."""
        self._require_in_step("step_async")
        actions = np.asarray(actions)
        if actions.shape != self._block.action.shape:
            raise ValueError(f"the actions have shape {actions.shape}; it must be {self._block.action.shape}")
        self._pool.post(actions, want_infos=True)
        self._waiting = True

    def step_wait(
        self,
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """What the actions of `step_async` led to: obs, reward, terminated, truncated, infos.

        Where an episode ended, obs is the first of the next one; infos["final_obs"] and infos["final_info"] hold the
        last of the one that ended.
        """
        if not self._waiting:
            raise gymnasium.error.NoAsyncCallError("step_wait was called without step_async before it", "step")
        self._waiting = False
        infos = [
            info
            for rows, of_share in zip(self._pool.rows, self._pool.finish(), strict=True)
            for info in of_share or [{} for _ in range(rows.stop - rows.start)]
        ]
        block = self._block
        done = block.terminated | block.truncated
        for i in np.flatnonzero(done):
            infos[i]["final_obs"] = block.final_obs[i].copy()
        return (
            block.obs.copy(),
            block.reward.copy(),
            block.terminated.copy(),
            block.truncated.copy(),
            self._merged(infos),
        )

    def step(
        self, actions: Any
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """`step_async` and `step_wait`."""
        self.step_async(actions)
        return self.step_wait()

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Each environment's method called with the same arguments, or its attribute read; in order."""
        self._require_in_step("call")
        return tuple(self._pool.everywhere("call", [(name, args, kwargs) for _ in self._pool.rows]))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Each environment's attribute, in order."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Sets an attribute: a list or tuple gives each environment its own value, anything else is for all."""
        if not isinstance(values, list | tuple):
            values = [values] * self.num_envs
        if len(values) != self.num_envs:
            raise ValueError(f"{len(values)} values for {self.num_envs} environments; there must be one for each")
        self._require_in_step("set_attr")
        self._pool.set_attr(name, values)

    def render(self) -> tuple[Any, ...]:
        """Each environment's frame, in order."""
        return self.call("render")

    @property  # type: ignore[misc]  # VectorEnv lets it be set; here, as in SyncVectorEnv, each environment has its own
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]  # as above
        """Each environment's random number generator."""
        return self.get_attr("np_random")

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # one each, as SyncVectorEnv has
        """The seed each environment was last reset with."""
        return self.get_attr("np_random_seed")

    def close_extras(self, **kwargs: Any) -> None:
        """Closes every environment and ends the workers; called once by `close`."""
        self._pool.close()

    # -- both --

    def _reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: dict[str, Any] | None) -> list[Info]:
        self._require_in_step("reset")
        return self._pool.reset(seeds, mask, options)

    def _merged(self, infos: Sequence[Info]) -> Info:
        merged: Info = {}
        for i, info in enumerate(infos):
            # As SyncVectorEnv does it: what ended comes first, then what the reset said.
            final: Info = {name: info.pop(name) for name in ("final_obs", "final_info") if name in info}
            merged = self._add_info(merged, final, i)
            merged = self._add_info(merged, info, i)
        return merged

    def _require_in_step(self, name: str) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError(f"{name} was called after close")
        if self._pool.broken:
            raise gymnasium.error.ClosedEnvironmentError(f"{name} was called after a worker was lost or interrupted")
        if self._waiting:
            raise gymnasium.error.AlreadyPendingCallError(f"{name} was called before step_wait", "step")
