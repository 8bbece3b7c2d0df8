"""Envs: N environments behind one interface, wherever they run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from a2c.envs.arguments import ActionCheck, one_each, reset_mask, seeds_for
from a2c.envs.construction import Traits
from a2c.envs.memory import Block
from a2c.envs.stepper import Event, Info, Stepper
from a2c.spaces import batched, value_of


class Step(NamedTuple):
    """The result of one vector step. The arrays are views, valid until the next call."""

    obs: NDArray[Any]  # [N, ...] what to act on next: if the episode ended, the first observation of the next one
    next_obs: NDArray[Any]  # [N, ...] the true successor: if the episode ended, its last observation; else obs
    reward: NDArray[np.float64]  # [N]
    terminated: NDArray[np.bool_]  # [N] ended by the task
    truncated: NDArray[np.bool_]  # [N] ended by a time limit
    lost_life: NDArray[np.bool_]  # [N] cost a life, if lives are noted
    noted: NDArray[np.float64]  # [N, M] numbers from the info, if the episode ended


def step_of(block: Block) -> Step:
    """The Step in a block; rows of `final_obs` are read only if their episode ended."""
    done = block.terminated | block.truncated
    next_obs = block.obs
    if done.any():
        next_obs = block.obs.copy()
        next_obs[done] = block.final_obs[done]
    return Step(block.obs, next_obs, block.reward, block.terminated, block.truncated, block.lost_life, block.noted)


class Envs(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """N copies of an environment, stepped by this process, by workers or by machine code.

    It has two interfaces, which may be mixed. A2C's own: `begin() -> obs` and `advance(action) -> Step`, without
    dictionaries. Gymnasium's: `reset`, `step` (or `step_async` and `step_wait`), `call`, `get_attr`, `set_attr`, as any
    VectorEnv with SAME_STEP autoreset.

    Episode k of environment i is seeded with `episode_seed(seed, i, k)`, so the numbers do not depend on the number of
    workers. After `reset(seed=s)` everything follows from s, as in Gymnasium: the episode that begins in environment i
    has the seed s + i, the j-th after it `episode_seed(s + i, i, j)`. `reset()` without a seed goes on from there.

    With A2C's interface and `mark`, every state can be restored, however long an episode is. Once Gymnasium's interface
    is used, only the last `history.UNMARKED_BYTES` of actions are recorded until `mark` is called: if a worker dies in
    a longer episode, it is replaced, and its environments begin their next episodes.

    Reference: Gymnasium's `SyncVectorEnv` and `AsyncVectorEnv`, whose contract the second interface follows.
    """

    autoreset_mode = AutoresetMode.SAME_STEP

    def __init__(self, probe: Traits, stepper: Stepper) -> None:
        """Puts both interfaces on a stepper.

        Args:
            probe: Spaces and metadata of the environments.
            stepper: The environments; `close` closes them.
        """
        self._waiting = self._has_begun = False
        self._num_warned = 0  # events that Gymnasium's interface has warned of
        self.stepper = stepper
        self._block = stepper.block
        self.num_envs = stepper.num_envs
        self.spec = probe.spec
        self.normalizers, self.left_out = probe.normalizers, probe.left_out
        self.metadata = {**probe.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = probe.render_mode
        self.max_episode_steps = probe.max_episode_steps
        # Only what is learnt from: `construction.learnable`.
        self.single_observation_space = probe.observation_space
        self.single_action_space = probe.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._check_action = ActionCheck(self.single_action_space, self.num_envs)
        self._observation_of = value_of(self.single_observation_space)

    def __len__(self) -> int:
        """N."""
        return self.num_envs

    @property
    def num_workers(self) -> int:
        """Worker processes beside this one."""
        return self.stepper.num_workers

    @property
    def placement(self) -> str:
        """Where the environments run, in words."""
        return self.stepper.placement

    @property
    def episodes(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0."""
        return self.stepper.numbers()

    @property
    def obs(self) -> NDArray[Any]:
        """[N, ...] rows of `single_observation_space` to act on next; a view."""
        return self._block.obs

    @property
    def mask(self) -> NDArray[np.uint8]:
        """[N, K] which actions are allowed next, in the order of `masks.py`; a view."""
        return self._block.mask

    def begin(self, seed: int | None = None) -> NDArray[Any]:
        """Begins the next episode of every environment and returns the observations, [N, ...].

        Args:
            seed: Behave, from now on, as if made with this seed; None: go on to the next episodes.

        Raises:
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        if seed is not None:
            self._require_in_step("begin")
            self.stepper.begin_anew(seed)
        self._reset([None] * self.num_envs, [True] * self.num_envs, None)
        return self._block.obs

    def advance(self, action: NDArray[Any]) -> Step:
        """Steps every environment: action [N, ...], rows of `single_action_space`.

        Raises:
            ValueError: The actions have another shape or kind, or a discrete one is out of range.
            ResetNeeded: An environment was never reset.
            EnvError: A step raised, or the reset after it.
            WorkerError: A worker died or gave no answer in time.
        """
        self._require_begun("advance")
        self._check_action(action)
        self.stepper.post(action, want_infos=False)
        self.stepper.finish()
        return step_of(self._block)

    def mark(self) -> None:
        """Makes `state` describe this moment from now on."""
        self.stepper.mark()

    def state(self) -> dict[str, NDArray[Any]]:
        """The state of every environment at the last mark."""
        return self.stepper.state()

    def restore(self, state: dict[str, NDArray[Any]], obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Brings every environment back to a state; one that cannot come back begins its next episode.

        Args:
            state: What `state` returned.
            obs: [N, ...] the observations in that state, as rows or in the form of `plain`.

        Returns:
            [N] which did not come back, judged by their observations; `take_events` says why.

        Raises:
            KeyError, ValueError: The state does not belong to these environments.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        return self.stepper.restore(state, obs)

    def take_events(self) -> list[Event]:
        """What happened since the last call."""
        self._num_warned = 0
        return self.stepper.take_events()

    # -- Gymnasium's interface --

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, Info]:
        """Begins an episode in every environment, or in those of `options["reset_mask"]`, [N] of bool.

        Args:
            seed: One for all (environment i gets seed + i), or one each; later episodes follow from it, too. None:
                each environment goes on to its next episode.
            options: Passed to each environment, without "reset_mask".

        Returns:
            Observations of `observation_space`, an array [N, ...] or such arrays in dicts and tuples; and infos.

        Raises:
            ValueError: There are not as many seeds as environments, a seed is outside 0..2**63-1, or the mask has
                another kind or is False everywhere.
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self.stepper.bound()
        seeds, mask = seeds_for(seed, self.num_envs), reset_mask(options, self.num_envs)
        if options is not None:
            options = {name: value for name, value in options.items() if name != "reset_mask"}
        infos = self._reset(seeds, mask, options)
        self._warn()
        return batched(self.single_observation_space, self._block.obs), self._merged(infos)

    def step_async(self, actions: Any) -> None:
        """Sends actions, of `action_space`, to the environments; `step_wait` returns the results.

        Raises:
            TypeError: The actions are a single number.
            ValueError: The actions have another shape or kind, a discrete one is out of range, or one is NaN.
            ResetNeeded: An environment was never reset.
        """
        self._require_begun("step_async")
        self.stepper.bound()
        self.stepper.post(self._check_action.read(actions), want_infos=True)
        self._waiting = True

    def step_wait(
        self,
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """The results of `step_async`: obs, reward, terminated, truncated, infos.

        If an episode ended, obs is the first of the next one, and infos["final_obs"] and infos["final_info"] hold the
        last ones of the episode that ended.

        Raises:
            NoAsyncCallError: No step is under way.
            EnvError: A step raised, or the reset after it.
            WorkerError: A worker died or gave no answer in time.
        """
        if not self._waiting:
            raise gymnasium.error.NoAsyncCallError("step_wait was called without step_async before it", "step")
        self._waiting = False
        infos = self.stepper.finish()
        self._warn()
        block = self._block
        done = block.terminated | block.truncated
        for i in np.flatnonzero(done):
            infos[i]["final_obs"] = self._observation_of(block.final_obs[i])
        return (
            batched(self.single_observation_space, block.obs),
            block.reward.copy(),
            block.terminated.copy(),
            block.truncated.copy(),
            self._merged(infos),
        )

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """`step_async` and `step_wait`."""
        self.step_async(actions)
        return self.step_wait()

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Each environment's method called with the same arguments, or its attribute read; in order."""
        self._require_in_step("call")
        return tuple(self.stepper.call(name, args, kwargs))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Each environment's attribute, in order."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Sets an attribute: a list or tuple gives each environment its own value, anything else is for all."""
        values = one_each(values, self.num_envs)
        self._require_in_step("set_attr")
        self.stepper.set_attr(name, values)

    def render(self) -> tuple[Any, ...]:
        """Each environment's frame, in order."""
        return self.call("render")

    @property  # type: ignore[misc]  # VectorEnv has a setter; here, as in SyncVectorEnv, each environment has its own
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]  # as above
        """Each environment's random number generator."""
        self._require_in_step("np_random")
        return tuple(self.stepper.generators())

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # one each, as SyncVectorEnv has
        """[N] the seed that was last passed to a reset of each environment; if none was, that of its episode."""
        self._require_in_step("np_random_seed")
        return tuple(self.stepper.generator_seeds())

    def close_extras(self, **kwargs: Any) -> None:
        """Closes every environment and ends the workers; called once by `close`."""
        self.stepper.close()

    # -- both --

    def _reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: dict[str, Any] | None) -> list[Info]:
        self._require_in_step("reset")
        return self.stepper.reset(seeds, mask, options)

    def _merged(self, infos: Sequence[Info]) -> Info:
        merged: Info = {}
        for i, info in enumerate(infos):
            # In the order of SyncVectorEnv: first the info of the episode that ended, then that of the reset.
            final: Info = {name: info.pop(name) for name in ("final_obs", "final_info") if name in info}
            merged = self._add_info(merged, final, i)
            merged = self._add_info(merged, info, i)
        return merged

    def _warn(self) -> None:
        """Warns of lost episodes, as users of Gymnasium's interface never call `take_events`."""
        for event in self.stepper.events[self._num_warned :]:
            if event.kind == "episodes_lost":
                warnings.warn(event.details, stacklevel=3)
        self._num_warned = len(self.stepper.events)

    def _require_begun(self, name: str) -> None:
        self._require_in_step(name)
        if not self._has_begun:
            never = np.flatnonzero(self.stepper.numbers() < 0)
            if len(never):
                raise gymnasium.error.ResetNeeded(f"{name} was called before reset of environment {never[0]}")
            self._has_begun = True

    def _require_in_step(self, name: str) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError(f"{name} was called after close")
        if self.stepper.broken:
            raise gymnasium.error.ClosedEnvironmentError(f"{name} was called after a worker was lost or interrupted")
        if self._waiting:
            raise gymnasium.error.AlreadyPendingCallError(f"{name} was called before step_wait", "step")
