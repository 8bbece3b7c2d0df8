"""Learner: A2C, one update at a time. This file is the algorithm."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import a2c.start
from a2c.acting import ActingMaker, Behaviour, LocalActing
from a2c.collector import Collector
from a2c.config import Config
from a2c.engines import Engine, Metrics, first_layers
from a2c.engines.choice import choose_engine, team_for
from a2c.envs import Envs
from a2c.envs.stepper import Event
from a2c.errors import EnvError, FailedEpisode, NumbersError, UserError, WorkerError
from a2c.fused import FusedUpdates, learning
from a2c.kernels.compiler import prepare
from a2c.kernels.loop import Training
from a2c.kernels.rollout import Books, Rules, estimate, renormalize, settle
from a2c.kernels.statistics import standardize
from a2c.model.architecture import Parameters, architecture_for
from a2c.model.factors import Actions
from a2c.moments import EPSILON, Moments
from a2c.natural import NaturalStep
from a2c.optimizers import Optimizer
from a2c.policy import Policy
from a2c.rollout import Rollout, rollout_for
from a2c.schedule import rates
from a2c.start import Start
from a2c.team import Team


class Update(NamedTuple):
    """The numbers of one update: the first columns of a row that `Learner.update` returns."""

    loss: float
    policy_loss: float
    value_loss: float
    entropy: float
    grad_norm: float
    explained_variance: float
    """The fields up to this one are those of `a2c.engines.Metrics`."""
    episodes: float
    """How many episodes ended during the rollout."""
    return_sum: float
    """The sum of their returns."""
    length_sum: float
    """The sum of their lengths, in steps."""
    learning_rate: float


class Learner:
    """Advantage Actor-Critic, synchronous: N environments take T steps, then the networks take one.

    Attributes:
        steps: Agent steps made, over all environments.
        updates: Updates made.
        rate_factor: Factor on the schedule's learning rate: 1, unless `set_learning_rate` was called.

    Reference: Mnih et al., "Asynchronous methods for deep reinforcement learning" (2016), algorithm S3, with all
        actors in step; Schulman et al. (2016) for the advantage.
    """

    def __init__(
        self,
        config: Config,
        envs: Envs,
        start: Start | None = None,
        may_fuse: bool = True,
        acting: ActingMaker = LocalActing,
    ) -> None:
        """Gives the networks their initial values, and begins an episode in every environment.

        Args:
            config: The settings.
            envs: `config.num_envs` environments.
            start: Initial parameters of the networks; None: drawn from the seed.
            may_fuse: Whether whole updates may run in one call of machine code, if environments and engine are
                compiled. `collect` and `learn` cannot be called then.
            acting: Acts in the environments, if updates are not fused into one call.

        Raises:
            UserError: The engine's device does not exist, or `start` does not fit these networks.
            EnvError: A reset raised.
            WorkerError: A worker died or gave no answer in time.
        """
        self.steps = self.updates = 0
        self.rate_factor = 1.0
        self._config, self._envs = config, envs
        num_envs, num_masks = config.num_envs, envs.mask.shape[1]
        actions = Actions(envs.single_action_space)
        self._architecture = architecture_for(
            envs.single_observation_space, envs.single_action_space,
            config.hidden_sizes, config.activation, config.normalize_observations, config.network, config.memory_size,
            config.share_torso,
        )  # fmt: skip
        team = team_for(config, self._architecture)
        self._engine = choose_engine(config, self._architecture, num_masks, team)
        self._optimizer = Optimizer(config, len(self._engine.theta), self._engine.views, team)
        self._natural = NaturalStep(config, self._engine) if config.actor_step == "natural" else None
        self._rules = Rules(
            config.seed, config.gamma, config.gae_lambda,
            config.centers_advantage, config.normalize_advantage,
            config.normalize_observations, config.normalize_returns, config.clip_rewards,
            config.critic == "bootstrap", config.critic != "none",
        )  # fmt: skip
        self._books = Books(
            Moments.of(self._architecture.num_real), Moments.of(1),
            np.zeros(num_envs), np.zeros(num_envs), np.zeros(num_envs, np.int64),
        )  # fmt: skip
        self._rollout = rollout_for(
            self._architecture, config.rollout_length, num_envs, num_masks,
            config.normalize_returns or config.clip_rewards, config.terminal_on_life_loss,
        )  # fmt: skip
        self._first_layers = first_layers(self._engine, self._architecture)
        training, learns = None, None
        model = self._engine.machine_code
        if may_fuse and config.collect == "in_turn" and model is not None and envs.stepper.machine_code is not None:
            training = Training(
                model, self._optimizer.arrays, self._rules, self._books, actions.scaling, self._rollout,
                None if self._natural is None else self._natural.natural,
                None if self._natural is None else self._natural.passes,
                self._first_layers,
            )  # fmt: skip
            learns = learning(training, team)
        if start is not None:
            a2c.start.restore_statistics(start, self._moments)
            self._set_parameters(a2c.start.parameters(start, self._architecture))
        else:
            self._set_parameters(a2c.start.drawn(config, self._architecture))
        self._current = Behaviour(self._engine, self._books.observations)
        # Collecting ahead, actions are chosen by what was current one update before.
        self._behind = self._one_behind(num_masks, team) if config.collect == "ahead" else None
        self._collector = Collector(
            envs, self._architecture, actions, self._rules, self._books, self._rollout, self._behind or self._current,
            config.log_info, acting,
        )  # fmt: skip
        self._error: NumbersError | EnvError | None = None  # once set, `update` raises it
        self._is_whole = True
        self._fused: FusedUpdates | None = None
        self._noted = np.zeros(0)  # the `log_info` columns of `update`, from the last collected rollout
        self._collect_seconds = self._learn_seconds = 0.0
        if training is not None and learns is not None:
            self._fused = FusedUpdates(training, learns, actions, envs, team)
        else:
            self._collector.prepare()
            self._engine.prepare(self._rollout)
            if self._behind is not None:
                self._behind.engine.prepare(self._rollout)
            self._optimizer.prepare(self._engine.theta)
            if self._natural is not None:
                self._natural.prepare(self._engine.theta)
            prepare(settle, self._rules, self._books, self._rollout)
            prepare(estimate, self._rules, self._rollout, 0, num_envs)
            prepare(standardize, self._rollout.advantage.reshape(-1), True)
            prepare(renormalize, self._books, self._rollout, self._first_layers, self._engine.theta)

    @property
    def engine_name(self) -> str:
        """The engine that computes gradients, for a person to read."""
        return self._engine.name

    @property
    def is_fused(self) -> bool:
        """Whether `update` makes many updates in one call of machine code."""
        return self._fused is not None

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that updates have taken so far, by part.

        The parts are stepping environments, acting (the rest of collecting) and the gradient (all that follows). Fused
        updates switch between the first two within microseconds, so these are counted as one part. Collecting ahead,
        only seconds that this process waited for are counted.
        """
        if self._fused is not None:
            return self._fused.seconds
        stepping = min(self._collector.env_seconds, self._collect_seconds)
        acting = max(0.0, self._collect_seconds - stepping)
        return {"environments": stepping, "acting": acting, "gradient": self._learn_seconds}

    def update(self, count: int = 1) -> NDArray[np.float64]:
        """Makes updates: each collects T x N steps and learns from them.

        Args:
            count: How many. If updates are fused, one call for many saves time; the results are the same.

        Returns:
            [count, 10 + 2M] the fields of `Update`; then, for each of the M names of `log_info`, the sum of its numbers
            over the episodes that ended; then how many of these episodes had the number. Fewer rows if an error
            occurred after some of the updates: the next call raises it.

        Raises:
            NumbersError: An observation, a reward or the gradient is not finite; parameters are as they were.
            EnvError: An environment raised an exception.
            WorkerError: A worker died or gave no answer in time.
        """
        if self._error is not None:
            raise self._error
        if self._fused is None:
            rows = []
            for _ in range(count):
                self.collect()
                rows.append(self.learn())
            return np.array(rows).reshape(count, -1)
        size = self._config.steps_per_update
        recorded, taken = np.array([self._rates(self.steps + k * size) for k in range(count)]).reshape(-1, 2).T
        made = self._fused_updates(self._fused, taken.copy())
        return np.column_stack([made, recorded[: len(made)]])

    def _rates(self, steps: int) -> tuple[float, float]:
        """The learning rate to record for the update after `steps`, and the rate or factor that its step uses."""
        recorded, taken = rates(self._config, steps)
        return recorded * self.rate_factor, taken * self.rate_factor

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update; with natural steps, that of the critic."""
        return self._rates(self.steps)[0]

    def set_learning_rate(self, rate: float) -> None:
        """Sets the learning rate of the next update, and scales the rest of the schedule by the same factor.

        Raises:
            UserError: The schedule has reached 0, which no factor changes.
        """
        scheduled = rates(self._config, self.steps)[0]
        if scheduled == 0:
            raise UserError(f"learning_rate cannot be set to {rate:g}: its schedule has reached 0 and stays there")
        self.rate_factor = rate / scheduled

    def collect(self) -> Rollout:
        """The first half of an update: acts for T steps in N environments.

        Returns:
            The learner's own arrays, not copies: a change of `reward` before `learn` changes what is learnt.

        Raises:
            NumbersError, EnvError, WorkerError: As in `update`.
        """
        begin = time.perf_counter()
        self._noted = self._collector.collect(self.updates, self.steps)
        self._is_whole = False
        self._collect_seconds += time.perf_counter() - begin
        return self._rollout

    def learn(self) -> NDArray[np.float64]:
        """The second half of an update: learns from the collected rollout. `a2c.kernels.loop` has both in machine code.

        Collecting ahead, the next rollout is begun before that, with the parameters that there are.

        Returns:
            A row as `update` returns it.

        Raises:
            NumbersError: The gradient is not finite; parameters are as they were.
            EnvError, WorkerError: The next rollout was begun, and as in `update`.
        """
        rollout, rules, begin = self._rollout, self._rules, time.perf_counter()
        if self._behind is not None:
            self._behind.become(self._current)
            if self.updates + 1 < self._config.num_updates:
                self._collector.begin(self.updates + 1)
        recorded, rate = self._rates(self.steps)
        episodes = settle(rules, self._books, rollout)
        estimate(rules, rollout, 0, self._config.num_envs)
        if rules.center_advantage:
            standardize(rollout.advantage.reshape(-1), rules.normalize_advantage)
        try:
            metrics = self._learn(rate)
        except FloatingPointError as error:
            arrays = self._collector.experience()
            arrays |= {"advantage": rollout.advantage.copy(), "returns": rollout.returns.copy()}
            raise self._divergence(arrays, self.steps, rate) from error
        if rules.normalize_observations:
            renormalize(self._books, rollout, self._first_layers, self._engine.theta)
            self._engine.follow()
        self._advance(1)
        self._is_whole = True
        self._learn_seconds += time.perf_counter() - begin
        return np.array([*metrics, *episodes, recorded, *self._noted])

    def _learn(self, rate: float) -> Metrics:
        """Makes the step of the parameters; the rollout has its advantages and returns."""
        if self._natural is not None:
            return self._natural.learn(self._engine, self._optimizer, self._rollout, self.updates, rate)
        gradient, metrics = self._engine.gradient(self._rollout)
        norm = self._optimizer.step(self._engine.theta, gradient, rate)
        self._engine.follow()
        return metrics._replace(grad_norm=norm)

    def _fused_updates(self, fused: FusedUpdates, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Makes updates in one call, up to the first that raises an error."""
        before, size = self.state(), self._config.steps_per_update
        rows = fused.run(self.updates, rates)
        if len(rows) < len(rates):
            steps, rate = self.steps + len(rows) * size, rates[len(rows)]
            self._error = fused.error(steps) or self._divergence(fused.experience(), steps, rate)
            # That update stopped half-way. Restore the state before the call, and repeat the updates before that one.
            self._is_whole = False
            try:
                self.restore(before, self.updates)
            except ValueError as error:  # Parameters were not finite before, though no gradient showed it.
                raise self._error from error
            rows = fused.run(self.updates, rates[: len(rows)])
            self._is_whole = True
            if not len(rows):
                raise self._error
        self._collector.obs[...], self._collector.carry[...] = self._envs.obs, self._rollout.carry[-1]
        self._advance(len(rows))
        return rows

    def _advance(self, updates: int) -> None:
        self.updates += updates
        self.steps += updates * self._config.steps_per_update

    def _divergence(self, rollout: dict[str, NDArray[Any]], steps: int, rate: float) -> NumbersError:
        if self._natural is None:
            what, lower = "the norm of the gradient", f"learning_rate ({rate:g})"
        else:
            config = self._config
            what = "a natural step, or the gradient of the critic,"
            lower = f"natural_kl ({config.natural_kl:g}) or critic_learning_rate ({config.critic_learning_rate:g})"
        return NumbersError(
            f"training diverged after {steps} steps: {what} is not finite; lower {lower}, or try "
            "normalize_observations and normalize_returns",
            rollout,
        )

    def take_events(self) -> list[Event]:
        """What happened to the environments since the last call without ending the run."""
        return self._collector.take_events()

    def failed_episode(self, error: Exception) -> FailedEpisode | None:
        """How to reproduce an environment's error, hang or bad numbers: seed and actions; None if it cannot be done."""
        if isinstance(error, EnvError | WorkerError | NumbersError) and error.failed_episode is not None:
            return error.failed_episode
        return self._envs.stepper.failed_episode(error)

    def policy(self) -> Policy:
        """The current policy. It shares the run's statistics, which updates change: use or save it before the next."""
        return Policy(
            self._config.env_id,
            self._envs.single_observation_space,
            self._envs.single_action_space,
            self._architecture,
            self._parameters(),
            self._moments,
        )

    @property
    def value_scale(self) -> float:
        """What to multiply the critic's value with to get a return of the environment: rewards may be scaled."""
        return math.sqrt(float(self._books.scaled.variance[0]) + EPSILON) if self._rules.normalize_returns else 1.0

    @property
    def is_whole(self) -> bool:
        """Whether all parts belong to the same update; False after an update stopped half-way."""
        return self._is_whole

    @property
    def _moments(self) -> Moments | None:
        """The statistics that normalise observations; None: observations are not normalised."""
        return self._books.observations if self._rules.normalize_observations else None

    def _one_behind(self, num_masks: int, team: Team) -> Behaviour:
        """What chooses actions for collecting ahead: the same networks; at first with the same parameters."""
        behind = Behaviour(
            choose_engine(self._config, self._architecture, num_masks, team), Moments.of(self._architecture.num_real)
        )
        behind.become(self._current)
        return behind

    def _parameters(self) -> Parameters:
        return _parameters_of(self._engine)

    def _set_parameters(self, parameters: dict[str, NDArray[Any]]) -> None:
        _set_parameters_of(self._engine, parameters)

    def state(self) -> dict[str, NDArray[Any]]:
        """The learner's arrays after the last update: parameters, optimizer, statistics, running episodes.

        Only valid if `is_whole`.
        """
        books, rules = self._books, self._rules
        scaled = {"running": books.running.copy(), **books.scaled.state()} if rules.normalize_returns else {}
        return {
            **self._parameters(),
            **_prefixed("optimizer.", self._optimizer.state()),
            **_prefixed("normalizer.", self._moments.state() if self._moments else {}),
            **_prefixed("return_normalizer.", scaled),
            **_prefixed("collector.", self._collector.state()),
            **({} if self._architecture.own is None else self.policy().trial()),
            **({} if self._behind is None else _behind_state(self._behind)),
            **({} if self.rate_factor == 1.0 else {"rate_factor": np.array(self.rate_factor)}),
        }

    def restore(self, state: dict[str, NDArray[Any]], updates: int) -> None:
        """Continues from a `state()` that was made after so many updates.

        An environment that cannot be brought back to its old state begins its next episode instead; an event of the
        environments (`take_events`) names it.

        Raises:
            KeyError: The state lacks an array.
            ValueError: An array has another shape or type, or impossible values.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        of_parameters = ("optimizer.", "behind.")
        for name, shape in self._architecture.shapes().items():
            for key in (name, *(key for key in state if key.startswith(of_parameters) and key.endswith(f".{name}"))):
                if state[key].shape != shape or state[key].dtype != np.float32 or not np.isfinite(state[key]).all():
                    raise ValueError(
                        f"{key} is {state[key].dtype} {state[key].shape}; it must be finite float32 {shape}"
                    )
        steps = updates * (1 if self._natural is None else self._natural.optimizer_steps)
        self._optimizer.restore(_having("optimizer.", state) | {"updates": np.array([steps])})
        self._set_parameters(state)
        if self._architecture.own is not None:
            self.policy().check_trial(state)
        if self._moments is not None:
            self._moments.restore(_having("normalizer.", state))
        if self._behind is not None:
            _set_parameters_of(self._behind.engine, _having("behind.", state))
            self._behind.observations.restore(_having("behind_normalizer.", state))
        if self._rules.normalize_returns:
            scaled = _having("return_normalizer.", state)
            self._books.scaled.restore(scaled)
            self._books.running[...] = scaled["running"]
        factor = state.get("rate_factor", np.array(1.0))
        if factor.shape != () or factor.dtype != np.float64 or not 0 <= factor < math.inf:
            raise ValueError(f"rate_factor is {factor.dtype} {factor.tolist()}; it must be one number of at least 0")
        self.rate_factor = float(factor)
        lost = self._collector.restore(_having("collector.", state))
        self._books.running[lost] = 0.0
        self.updates, self.steps = updates, updates * self._config.steps_per_update


def _behind_state(behind: Behaviour) -> dict[str, NDArray[Any]]:
    """The arrays of what chooses actions for the next rollout, if it is collected ahead."""
    return {
        **_prefixed("behind.", _parameters_of(behind.engine)),
        **_prefixed("behind_normalizer.", behind.observations.state()),
    }


def _parameters_of(engine: Engine) -> Parameters:
    return {name: view.copy() for name, view in engine.views(engine.theta).items()}


def _set_parameters_of(engine: Engine, parameters: dict[str, NDArray[Any]]) -> None:
    for name, view in engine.views(engine.theta).items():
        view[...] = parameters[name]
    engine.follow()


def _having(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _prefixed(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {prefix + name: np.asarray(array) for name, array in arrays.items()}
