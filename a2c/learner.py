"""Learner: A2C, one update at a time. This page is the algorithm."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.distributions import distribution_for
from a2c.engines import choose_engine
from a2c.engines.compiled import CompiledEngine
from a2c.envs import Envs
from a2c.envs.compiled.vector import CompiledEnvs
from a2c.errors import EnvError, UserError
from a2c.fused import FusedUpdates
from a2c.mlp import initial_parameters
from a2c.normalize import ReturnNormalizer, observation_normalizer
from a2c.policy import Policy, architecture_for
from a2c.returns import gae, standardize
from a2c.rollout import Collector, draw_noise
from a2c.schedule import learning_rate


class Update(NamedTuple):
    """What one update did, a row of `Learner.update`'s answer."""

    loss: float
    policy_loss: float
    value_loss: float
    entropy: float
    grad_norm: float
    explained_variance: float
    """Up to here: `a2c.engines.Metrics`."""
    episodes: float
    """How many ended during the rollout."""
    return_sum: float
    """Of those episodes."""
    length_sum: float
    """Of those episodes, in steps."""
    learning_rate: float


class Learner:
    """Advantage Actor-Critic, synchronous: N environments take T steps, then the networks take one.

    Reference: Mnih et al., "Asynchronous methods for deep reinforcement learning" (2016), algorithm S3, with all
        actors in step; Schulman et al. (2016) for the advantage.
    """

    def __init__(self, config: Config, envs: Envs | CompiledEnvs) -> None:
        """Networks at their starting values, every environment at the start of an episode.

        Args:
            config: The settings.
            envs: `config.num_envs` environments.

        Raises:
            UserError: The engine's device is not there.
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self.steps = 0
        self.updates = 0
        self._config, self._envs = config, envs
        shape = envs.single_observation_space.shape or ()
        self._distribution = distribution_for(envs.single_action_space)
        self._architecture = architecture_for(shape, config.hidden_sizes, config.activation, self._distribution)
        parameters = initial_parameters(self._architecture, config.initialization, config.initial_log_std, config.seed)
        self._engine, self.engine_name = choose_engine(config, self._architecture, self._distribution, parameters)
        self._normalizer = observation_normalizer(config.normalize_observations, shape)
        self._return_normalizer = ReturnNormalizer(config.normalize_returns, config.num_envs, config.gamma)
        self._collector = Collector(envs, self._engine, self._distribution, self._normalizer, config.rollout_length)
        self._failure: UserError | EnvError | None = None  # why no further update can be made
        self._fused: FusedUpdates | None = None
        if isinstance(self._engine, CompiledEngine) and isinstance(envs, CompiledEnvs):
            self._fused = FusedUpdates(
                config, self._distribution, self._engine, envs, self._normalizer, self._return_normalizer,
                self._collector,
            )  # fmt: skip
        elif isinstance(self._engine, CompiledEngine):
            self._engine.prepare()

    @property
    def is_fused(self) -> bool:
        """Whether many updates can be made in one call of machine code."""
        return self._fused is not None

    def update(self, count: int = 1) -> NDArray[np.float64]:
        """Makes updates: each collects T x N steps and takes one gradient step on them.

        Args:
            count: How many. Where environments and engine are compiled, one call for many saves time; the numbers are
                the same.

        Returns:
            [count, 10], the fields of `Update`. Fewer rows where something went wrong after some updates of one call:
            then the next call raises.

        Raises:
            UserError: The gradient is not finite; parameters are those of the last update.
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        if self._failure is not None:
            raise self._failure
        size = self._config.steps_per_update
        rates = np.array([learning_rate(self._config, self.steps + k * size) for k in range(count)])
        if self._fused is None:
            rows = np.array([self._update(rate) for rate in rates]).reshape(
                count, -1 if count else len(Update._fields) - 1
            )
            return np.column_stack([rows, rates])
        rows = self._fused.run(self.updates, rates)
        self._advance(len(rows))
        if len(rows) < count:
            experience, rate = self._fused.experience, rates[len(rows)]
            divergence = UserError(self._divergence(experience.raw_obs, experience.reward, rate))
            self._failure = self._fused.failure() or divergence
            if not len(rows):
                raise self._failure
        return np.column_stack([rows, rates[: len(rows)]])

    def _update(self, rate: float) -> tuple[float, ...]:
        """One update, step by step."""
        config = self._config
        noise = draw_noise(self._distribution, config.seed, self.updates, (config.rollout_length, config.num_envs))
        rollout, episodes = self._collector.collect(noise)
        reward = self._return_normalizer(rollout.reward, rollout.terminated, rollout.truncated)
        advantage, returns = gae(
            reward,
            rollout.value,
            rollout.next_value,
            rollout.terminated,
            rollout.truncated,
            config.gamma,
            config.gae_lambda,
        )
        if config.normalize_advantage:
            advantage = standardize(advantage)
        try:
            metrics = self._engine.update(rollout, advantage, returns, rate)
        except FloatingPointError as error:
            raise UserError(self._divergence(rollout.obs, rollout.reward, rate)) from error
        self._advance(1)
        return (*metrics, *episodes)

    def _advance(self, updates: int) -> None:
        self.updates += updates
        self.steps += updates * self._config.steps_per_update

    def _divergence(self, obs: NDArray[Any], reward: NDArray[Any], rate: float) -> str:
        for name, array in (("observation", obs), ("reward", reward)):
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                t, env = bad[0][:2]
                return (
                    f"after {self.steps} steps environment {env} gave a {name} of {array[tuple(bad[0])]} (step {t} of "
                    "the rollout); it must be finite"
                )
        return (
            f"training diverged after {self.steps} steps: the norm of the gradient is not finite; lower learning_rate "
            f"({rate:g}), or try normalize_observations and normalize_returns"
        )

    def policy(self) -> Policy:
        """The policy as it stands. Its normaliser goes on with the run's: use or save it before the next update."""
        return Policy(
            self._config.env_id,
            self._envs.single_observation_space,
            self._envs.single_action_space,
            self._architecture,
            self._engine.parameters(),
            self._normalizer,
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """The arrays of the learner: parameters, optimizer, statistics, episodes under way."""
        return {
            **self._engine.state(),
            **_prefixed("normalizer.", self._normalizer.state()),
            **_prefixed("return_normalizer.", self._return_normalizer.state()),
            **_prefixed("collector.", self._collector.state()),
        }


def _prefixed(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {prefix + name: np.asarray(array) for name, array in arrays.items()}
