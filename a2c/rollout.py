"""Rollout: a T x N block of experience. Collector: what fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.distributions import Categorical, Distribution
from a2c.envs import Envs
from a2c.envs.pool import Event
from a2c.finite import bounds_to_check, finite, outside, report, where_bad
from a2c.kernels import random
from a2c.kernels.statistics import count_episodes
from a2c.normalize import ObservationNormalizer

if TYPE_CHECKING:
    from a2c.engines import Engine
    from a2c.envs.compiled.vector import CompiledEnvs


NOISE_STREAM = 2
"""Of the random numbers that make actions of a policy."""


class Rollout(NamedTuple):
    """T steps of N environments, as the learner sees them. Every row is a real transition."""

    obs: NDArray[np.float32]  # [T, N, ...] s_t, normalised if the run normalises
    action: NDArray[Any]  # [T, N, ...] as the distribution numbers it, before scaling to the environment
    reward: NDArray[np.float64]  # [T, N] as the environment gave it
    terminated: NDArray[np.bool_]  # [T, N]
    truncated: NDArray[np.bool_]  # [T, N]
    value: NDArray[np.float32]  # [T, N] V(s_t)
    next_value: NDArray[np.float32]  # [T, N] V(s'_t), s'_t the true successor; 0 where terminated


class Episodes(NamedTuple):
    """Episodes that ended during a rollout."""

    number: int
    return_sum: float
    """Of their undiscounted returns."""
    length_sum: int
    """Of their steps."""


def draw_noise(distribution: Distribution, seed: int, update: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The noise of an update's actions: uniforms [T, N] for discrete ones, standard normals [T, N, A] otherwise.

    Number i of an update is a function of (seed, update, i) alone, so any split of the work draws the same.
    """
    if isinstance(distribution, Categorical):
        noise = np.empty(shape, np.float32)
        random.uniforms(seed, NOISE_STREAM, update, 0, noise.reshape(-1), 0, noise.size)
    else:
        noise = np.empty((*shape, distribution.head_size), np.float32)
        random.normals(seed, NOISE_STREAM, update, 0, noise.reshape(-1), 0, noise.size)
    return noise


class Collector:
    """Acts T steps in N environments."""

    def __init__(
        self,
        envs: Envs | CompiledEnvs,
        engine: Engine,
        distribution: Distribution,
        normalizer: ObservationNormalizer,
        rollout_length: int,
        seed: int,
    ) -> None:
        """Begins an episode in every environment.

        Raises:
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self._envs, self._engine = envs, engine
        self._distribution, self._normalizer = distribution, normalizer
        self._length, self._seed = rollout_length, seed
        self.obs = envs.begin().copy()  # [N, ...] what to act on next
        envs.mark()
        self.returns = np.zeros(envs.num_envs)  # [N] of the episodes under way
        self.lengths = np.zeros(envs.num_envs, np.int64)  # [N]
        self._bounds = bounds_to_check(envs.single_observation_space)
        self._events: list[Event] = []

    def collect(self, noise: NDArray[np.float32], steps: int) -> tuple[Rollout, Episodes]:
        """Acts for T steps: noise [T, N, ...]; `steps` of the run came before.

        The normaliser's statistics hold still meanwhile, and take in the rollout's observations at its end.

        Raises:
            NumbersError: An observation or reward is not finite.
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        num_envs = self._envs.num_envs
        shape = (self._length, num_envs)
        raw_obs = np.empty((*shape, *self.obs.shape[1:]), self.obs.dtype)
        obs = np.empty(raw_obs.shape, np.float32)
        reward = np.empty(shape)
        terminated, truncated = np.empty(shape, bool), np.empty(shape, bool)
        value, next_value = np.empty(shape, np.float32), np.empty(shape, np.float32)
        actions, final_obs, bad_final = [], [], np.zeros(shape, np.bool_)
        current = self.obs.copy()  # ours only at the end: an error on the way must not leave half a rollout

        for t in range(self._length):
            raw_obs[t] = current
            self._normalizer.write(current, obs[t])
            action, value[t] = self._engine.act(obs[t], noise[t], t)
            actions.append(action)
            step = self._envs.advance(self._distribution.to_env(action))
            reward[t], terminated[t], truncated[t] = step.reward, step.terminated, step.truncated
            if step.next_obs is not step.obs:  # Some episode ended.
                final_obs.append(step.next_obs[step.truncated & ~step.terminated])
                # What follows a termination is worth nothing, whatever was observed last.
                is_valued = step.truncated & ~step.terminated
                bad_final[t] = ~finite(step.next_obs.reshape(num_envs, -1)).all(-1) & is_valued
            current[...] = step.obs

        action_taken = np.stack(actions)
        bad = where_bad(raw_obs, current, reward, bad_final)
        if bad.any():
            experience = {"obs": raw_obs, "action": action_taken, "reward": reward, "last_obs": current}
            experience |= {"terminated": terminated, "truncated": truncated, "value": value}
            raise report(bad, self._envs, self._seed, steps, self.lengths, experience)

        if self._bounds is not None:
            self._check_bounds(raw_obs, steps)

        # The successor of a step is what was acted on next, except where an episode ended: nothing follows a
        # termination, and a truncated episode would have gone on from its final observation.
        successors = self._normalizer(np.concatenate([current, *final_obs]))
        following = self._engine.value(successors)  # [N + truncated episodes]
        next_value[:-1], next_value[-1] = value[1:], following[:num_envs]
        next_value[terminated] = 0.0
        next_value[truncated & ~terminated] = following[num_envs:]

        self.obs = current
        self._envs.mark()
        self._normalizer.update(raw_obs.reshape(-1, *raw_obs.shape[2:]))
        rollout = Rollout(obs, action_taken, reward, terminated, truncated, value, next_value)
        return rollout, Episodes(*count_episodes(reward, terminated, truncated, self.returns, self.lengths))

    def _check_bounds(self, obs: NDArray[Any], steps: int) -> None:
        """Notes the first observation outside the bounds that the space declares, and looks no more."""
        found = outside(obs, *self._bounds) if self._bounds is not None else None
        if found is not None:
            self._events.append(Event("outside_bounds", f"after {steps} steps {found}; training goes on"))
            self._bounds = None

    def take_events(self) -> list[Event]:
        """What happened since the last call, and did not end the run."""
        events, self._events = self._events, []
        return [*events, *self._envs.take_events()]

    def state(self) -> dict[str, NDArray[Any]]:
        """The episodes under way: observation, sum of rewards and steps so far, and where each environment stands.

        As of the end of the last rollout, even where one began since and did not end.
        """
        envs = {f"envs.{name}": array for name, array in self._envs.state().items()}
        return {"obs": self.obs.copy(), "returns": self.returns.copy(), "lengths": self.lengths.copy(), **envs}

    def restore(self, state: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Continues from a `state()`.

        Returns:
            [N] where an environment did not come to where it had been: its next episode was begun.

        Raises:
            KeyError: It lacks an array.
            ValueError: An array has another shape or type, or holds what cannot be.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        for name in ("obs", "returns", "lengths"):
            ours: NDArray[Any] = getattr(self, name)
            if state[name].shape != ours.shape or state[name].dtype != ours.dtype:
                raise ValueError(
                    f"{name} is {state[name].dtype} {state[name].shape}; it must be {ours.dtype} {ours.shape}"
                )
        obs = state["obs"]
        lost = self._envs.restore({n.removeprefix("envs."): a for n, a in state.items() if n.startswith("envs.")}, obs)
        self.obs[...] = self._envs.obs
        self.returns[...] = np.where(lost, 0.0, state["returns"])
        self.lengths[...] = np.where(lost, 0, state["lengths"])
        return lost
