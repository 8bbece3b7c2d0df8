"""Learner: A2C, one update at a time. This page is the algorithm."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.distributions import distribution_for
from a2c.engines import Metrics, choose_engine
from a2c.envs import Envs
from a2c.errors import UserError
from a2c.mlp import initial_parameters
from a2c.normalize import ReturnNormalizer, observation_normalizer
from a2c.policy import Policy, architecture_for
from a2c.randomness import generator
from a2c.returns import explained_variance, gae, standardize
from a2c.rollout import Collector, Episodes, Rollout
from a2c.schedule import learning_rate


class Update(NamedTuple):
    """What one update did."""

    steps: int
    """Agent steps taken, this update's included."""
    metrics: Metrics
    episodes: Episodes
    """Those that ended during its rollout."""
    learning_rate: float
    explained_variance: float
    """Of the critic, on this rollout, before the step."""


class Learner:
    """Advantage Actor-Critic, synchronous: N environments take T steps, then the networks take one.

    Reference: Mnih et al., "Asynchronous methods for deep reinforcement learning" (2016), algorithm S3, with all
        actors in step; Schulman et al. (2016) for the advantage.
    """

    def __init__(self, config: Config, envs: Envs) -> None:
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

    def update(self) -> Update:
        """Collects T x N steps and takes one gradient step on them.

        Raises:
            UserError: The gradient is not finite.
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        config = self._config
        random = generator(config.seed, "action_noise", self.updates)
        noise = self._distribution.draw_noise(random, (config.rollout_length, config.num_envs))
        rollout, episodes = self._collector.collect(noise)

        reward = self._return_normalizer(rollout.reward, rollout.terminated | rollout.truncated)
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

        rate = learning_rate(config, self.steps)
        try:
            metrics = self._engine.update(rollout, advantage, returns, rate)
        except FloatingPointError as error:
            raise UserError(_divergence(rollout, self.steps, rate, str(error))) from error
        self.updates += 1
        self.steps += config.steps_per_update
        return Update(self.steps, metrics, episodes, rate, explained_variance(rollout.value, returns))

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


def _divergence(rollout: Rollout, steps: int, rate: float, fault: str) -> str:
    for name, array in (("observation", rollout.obs), ("reward", rollout.reward)):
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            t, env = bad[0][:2]
            return (
                f"after {steps} steps environment {env} gave a {name} of {array[tuple(bad[0])]} (step {t} of the "
                "rollout); it must be finite"
            )
    return (
        f"training diverged after {steps} steps: {fault}; lower learning_rate ({rate:g}), or try "
        "normalize_observations and normalize_returns"
    )


def _prefixed(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {prefix + name: np.asarray(array) for name, array in arrays.items()}
