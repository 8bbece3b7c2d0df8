"""Learner: A2C, one update at a time. This page is the algorithm."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import a2c.start
from a2c.config import Config
from a2c.distributions import distribution_for
from a2c.engines import choose_engine
from a2c.engines.compiled import CompiledEngine
from a2c.envs import Envs
from a2c.envs.compiled.vector import CompiledEnvs
from a2c.envs.episode import Failure
from a2c.envs.pool import Event
from a2c.errors import EnvError, NumbersError, WorkerError
from a2c.fused import FusedUpdates
from a2c.mlp import initial_parameters
from a2c.normalize import ReturnNormalizer, divisor_of, observation_normalizer
from a2c.policy import Policy, architecture_for
from a2c.returns import gae, standardize
from a2c.rollout import Collector, draw_noise
from a2c.schedule import learning_rate
from a2c.start import Start


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

    def __init__(self, config: Config, envs: Envs | CompiledEnvs, start: Start | None = None) -> None:
        """Networks at their starting values, every environment at the start of an episode.

        Args:
            config: The settings.
            envs: `config.num_envs` environments.
            start: What the networks start with; None: initial values from the seed.

        Raises:
            UserError: The engine's device is not there, or `start` is of other networks.
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self.steps = 0
        self.updates = 0
        self._config, self._envs = config, envs
        shape = envs.single_observation_space.shape or ()
        self._distribution = distribution_for(envs.single_action_space)
        self._architecture = architecture_for(shape, config.hidden_sizes, config.activation, self._distribution)
        parameters = (
            initial_parameters(self._architecture, config.initialization, config.initial_log_std, config.seed)
            if start is None
            else a2c.start.parameters(start, self._architecture)
        )
        self._engine, self.engine_name = choose_engine(config, self._architecture, self._distribution, parameters)
        divisor = divisor_of(envs.single_observation_space)
        self._normalizer = observation_normalizer(config.normalize_observations, shape, divisor)
        if start is not None:
            a2c.start.restore_statistics(start, self._normalizer)
        self._return_normalizer = ReturnNormalizer(config.normalize_returns, config.num_envs, config.gamma)
        self._collector = Collector(
            envs, self._engine, self._distribution, self._normalizer, config.rollout_length, config.seed
        )
        self._failure: NumbersError | EnvError | None = None  # why no further update can be made
        self._is_whole = True
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
            NumbersError: An observation, a reward or the gradient is not finite; parameters are as they were.
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
        before = self.state()
        rows = self._fused.run(self.updates, rates)
        if len(rows) < count:
            rate = rates[len(rows)]
            self._failure = self._fused.failure(self.steps + len(rows) * size) or self._divergence(
                self._fused.rollout(), self.steps + len(rows) * size, rate
            )
            # Parts of the update that failed were made. Back, and all again up to it.
            self._is_whole = False
            try:
                self.restore(before, self.updates)
            except ValueError as error:  # It had diverged before, only not so that a gradient showed it.
                raise self._failure from error
            rows = self._fused.run(self.updates, rates[: len(rows)])
            self._is_whole = True
            if not len(rows):
                raise self._failure
        self._advance(len(rows))
        return np.column_stack([rows, rates[: len(rows)]])

    def _update(self, rate: float) -> tuple[float, ...]:
        """One update, step by step."""
        config = self._config
        noise = draw_noise(self._distribution, config.seed, self.updates, (config.rollout_length, config.num_envs))
        rollout, episodes = self._collector.collect(noise, self.steps)
        self._is_whole = False
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
            arrays = rollout._asdict() | {"advantage": advantage, "returns": returns}
            raise self._divergence(arrays, self.steps, rate) from error
        self._advance(1)
        self._is_whole = True
        return (*metrics, *episodes)

    def _advance(self, updates: int) -> None:
        self.updates += updates
        self.steps += updates * self._config.steps_per_update

    def _divergence(self, rollout: dict[str, NDArray[Any]], steps: int, rate: float) -> NumbersError:
        return NumbersError(
            f"training diverged after {steps} steps: the norm of the gradient is not finite; lower learning_rate "
            f"({rate:g}), or try normalize_observations and normalize_returns",
            rollout,
        )

    def take_events(self) -> list[Event]:
        """What happened to the environments since the last call, and did not end the run."""
        return self._collector.take_events()

    def failure(self, error: Exception) -> Failure | None:
        """How an environment came to where it raised, hung or gave bad numbers, where that can be gone again."""
        if isinstance(error, EnvError | WorkerError | NumbersError) and error.failure is not None:
            return error.failure
        return self._envs.failure(error) if isinstance(self._envs, Envs) else None

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

    @property
    def is_whole(self) -> bool:
        """Whether all parts are as of the last update: not where one failed after its rollout was taken in."""
        return self._is_whole

    def state(self) -> dict[str, NDArray[Any]]:
        """The arrays of the learner: parameters, optimizer, statistics, episodes under way.

        As of the last update, where `is_whole`.
        """
        return {
            **self._engine.state(),
            **_prefixed("normalizer.", self._normalizer.state()),
            **_prefixed("return_normalizer.", self._return_normalizer.state()),
            **_prefixed("collector.", self._collector.state()),
        }

    def restore(self, state: dict[str, NDArray[Any]], updates: int) -> None:
        """Continues from a `state()`, after so many updates.

        An environment that does not come to where it had been begins its next episode; `take_events` of the
        environments names it.

        Raises:
            KeyError: The state lacks an array.
            ValueError: An array has another shape or type, or holds what cannot be.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        for name, shape in self._architecture.shapes().items():
            for key in (name, *(key for key in state if key.startswith("optimizer.") and key.endswith(f".{name}"))):
                if key.endswith(f"_pow_acc.{name}"):
                    continue  # Paddle's own count of updates, a number each.
                if state[key].shape != shape or state[key].dtype != np.float32 or not np.isfinite(state[key]).all():
                    raise ValueError(
                        f"{key} is {state[key].dtype} {state[key].shape}; it must be finite float32 {shape}"
                    )
        # Every update is one of the optimizer, whichever engine made it.
        self._engine.restore({**state, "optimizer.updates": np.array([updates])})
        self._normalizer.restore(_having("normalizer.", state))
        self._return_normalizer.restore(_having("return_normalizer.", state))
        lost = self._collector.restore(_having("collector.", state))
        self._return_normalizer.running[lost] = 0.0
        self.updates, self.steps = updates, updates * self._config.steps_per_update


def _having(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _prefixed(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {prefix + name: np.asarray(array) for name, array in arrays.items()}
