"""FusedUpdates: whole updates in one call, where both the environments and the engine are compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean
from numpy.typing import NDArray

from a2c.config import Config
from a2c.distributions import DiagGaussian, Distribution
from a2c.engines.compiled import CompiledEngine
from a2c.envs.compiled.stepping import failure
from a2c.envs.compiled.vector import CompiledEnvs
from a2c.errors import EnvError, NumbersError
from a2c.finite import report
from a2c.kernels.compiler import Compiled, prepare
from a2c.kernels.loop import Algorithm, Experience, Scaling, Statistics, run_updates
from a2c.kernels.update import Batch, gradient_step
from a2c.normalize import NormalizedObservations, ObservationNormalizer, ReturnNormalizer, RunningMoments
from a2c.rollout import NOISE_STREAM, Collector


class FusedUpdates:
    """Runs `a2c.kernels.loop` on the arrays that engine, environments, normalisers and collector own."""

    def __init__(
        self,
        config: Config,
        distribution: Distribution,
        engine: CompiledEngine,
        envs: CompiledEnvs,
        normalizer: ObservationNormalizer,
        return_normalizer: ReturnNormalizer,
        collector: Collector,
    ) -> None:
        """Makes room for a rollout.

        Args:
            config: The run's settings.
            distribution: Of the actions.
            engine: Whose parameters learn.
            envs: What is acted on, episodes begun.
            normalizer: Of observations.
            return_normalizer: Of rewards.
            collector: Has begun the episodes, and counts them.
        """
        self._engine, self._envs, self._collector = engine, envs, collector
        shape = (config.rollout_length, config.num_envs)
        obs_size = int(np.prod(envs.single_observation_space.shape or (), dtype=np.int64))
        gaussian = isinstance(distribution, DiagGaussian)
        size = distribution.head_size if isinstance(distribution, DiagGaussian) else 0
        reward = np.zeros(shape)
        self.experience = Experience(
            np.zeros((*shape, obs_size), np.float32),
            reward,
            np.zeros(shape) if config.normalize_returns else reward,
            np.zeros(shape, np.bool_),
            np.zeros(shape, np.bool_),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros((*shape, distribution.head_size if gaussian else 1), np.float32),
            np.zeros(shape, np.bool_),
            collector.returns,
            collector.lengths,
        )
        batch = Batch(
            np.zeros((0, 0) if gaussian else shape, np.int64),
            np.zeros((*shape, size), np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
        )
        self._actions = batch.action if gaussian else batch.choice
        algorithm = Algorithm(
            config.seed,
            NOISE_STREAM,
            config.gamma,
            config.gae_lambda,
            config.normalize_advantage,
            config.normalize_observations,
            config.normalize_returns,
        )
        obs_moments = (
            normalizer.moments if isinstance(normalizer, NormalizedObservations) else RunningMoments((obs_size,))
        )
        returns = return_normalizer.moments
        statistics = Statistics(*_flat(obs_moments), return_normalizer.running, *_flat(returns))
        none = np.zeros(0, np.float32)
        scaling = (
            Scaling(0, distribution.center, distribution.half_range, distribution.low, distribution.high)
            if isinstance(distribution, DiagGaussian)
            else Scaling(distribution.start, none, none, none, none)
        )
        learning = (engine.network, engine.loss, engine.optimizer)
        step = Compiled(gradient_step, boolean, 0, *learning, batch, engine.work, 0.0, np.zeros(9))
        self._fixed = (
            *learning, algorithm, statistics, scaling, batch, engine.work,
            self.experience, envs.arrays, envs.functions.advance, step,
        )  # fmt: skip
        prepare(run_updates, 0, 0, np.zeros(0), *self._fixed, np.zeros((0, 9)))

    def failure(self, steps: int) -> EnvError | NumbersError | None:
        """What is to be raised where an environment failed in the last `run`, after so many steps of the run."""
        bad = self.experience.bad
        if bad.any():
            return report(bad, self._envs, self._envs.seed, steps, self._collector.lengths, self.rollout())
        return failure(self._envs.arrays)

    def rollout(self) -> dict[str, NDArray[Any]]:
        """The rollout last begun, copied."""
        experience, arrays = self.experience, self._envs.arrays
        rollout = {
            "obs": experience.raw_obs.reshape(*experience.reward.shape, *arrays.obs.shape[1:]),
            "action": self._actions,
            "reward": experience.reward,
            "terminated": experience.terminated,
            "truncated": experience.truncated,
            "value": experience.value,
            "last_obs": arrays.obs,
        }
        return {name: array.copy() for name, array in rollout.items()}

    def run(self, first_update: int, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Makes updates with the given learning rates.

        Args:
            first_update: Number of the first.
            rates: [U].

        Returns:
            A row for each update made: the fields of `Metrics`, then those of `Episodes`. Fewer than U where a gradient
            was not finite or an environment failed.
        """
        record = np.zeros((len(rates), 9))
        made = self._engine.run(run_updates, (first_update, rates, *self._fixed, record))
        self._collector.obs[...] = self._envs.arrays.obs
        return record[:made]


def _flat(moments: RunningMoments) -> tuple[Any, Any, Any]:
    return moments.count, moments.mean.reshape(-1), moments.variance.reshape(-1)
