"""What was tried and is no setting: a trial names it as "switch", and a function of a2c is replaced while it runs.

For environments that are not compiled: whole updates in machine code would not see what was replaced.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np

import a2c.learner
import a2c.policy
from a2c.engines.choice import team_for
from a2c.kernels.critic import Passes, shuffle
from a2c.kernels.statistics import merge_rows
from a2c.learner import Learner
from a2c.model.architecture import Architecture, Network
from a2c.moments import Moments
from a2c.optimizers import Optimizer
from a2c.policy import Policy


@contextmanager
def averaged(decay: float) -> Iterator[None]:
    """Evaluated is an exponential average of the parameters, not the last ones.

    Reference: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992).
    """
    update, policy = Learner._update, Learner.policy

    def averaging_update(self: Any, rate: float) -> Any:
        row = update(self, rate)
        now = self._parameters()
        mean = getattr(self, "average", now)
        self.average = {name: (decay * mean[name] + (1 - decay) * now[name]).astype(np.float32) for name in now}
        return row

    def average_policy(self: Any) -> Policy:
        last = policy(self)
        return Policy(
            last.env_id, last.observation_space, last.action_space, last.architecture,
            getattr(self, "average", last.parameters), self._moments,
        )  # fmt: skip

    with patch.object(Learner, "_update", averaging_update), patch.object(Learner, "policy", average_policy):
        yield


@contextmanager
def critic_of(*widths: int) -> Iterator[None]:
    """The critic's hidden layers have other widths than the actor's."""
    blocks = Architecture.blocks

    def of_widths(self: Architecture, network: Network) -> Any:
        return blocks(self if network == "actor" else self._replace(hidden_sizes=widths), network)

    with patch.object(Architecture, "blocks", of_widths):
        yield


@contextmanager
def normalized_targets() -> Iterator[None]:
    """The critic learns returns less their running mean, divided by their running standard deviation.

    Reference: Andrychowicz et al., "What matters in on-policy reinforcement learning?" (2021), "value function
        normalization".
    """
    update, estimate = Learner._update, a2c.learner.estimate

    def normalizing_update(self: Any, rate: float) -> Any:
        if not hasattr(self, "targets"):
            self.targets = Moments.of(1)
        moments = self.targets

        def estimate_in_units_of_rewards(rules: Any, rollout: Any, first: int, last: int) -> None:
            mean, std = moments.mean[0], np.sqrt(moments.variance[0]) + 1e-8
            goes_on = ~rollout.terminated
            rollout.value[...] = rollout.value * std + mean
            rollout.next_value[goes_on] = rollout.next_value[goes_on] * std + mean
            estimate(rules, rollout, first, last)
            merge_rows(rollout.returns.astype(np.float64).reshape(-1, 1), *moments)
            mean, std = moments.mean[0], np.sqrt(moments.variance[0]) + 1e-8
            rollout.returns[...] = (rollout.returns - mean) / std

        with patch.object(a2c.learner, "estimate", estimate_in_units_of_rewards):
            return update(self, rate)

    with patch.object(Learner, "_update", normalizing_update):
        yield


@contextmanager
def critic_passes(epochs: int, minibatch: int) -> Iterator[None]:
    """After the plain step of actor and critic, the critic alone takes more steps on the same rollout."""
    learn = Learner._learn

    def learn_longer(self: Any, rate: float) -> Any:
        metrics = learn(self, rate)
        rollout, config, engine = self._rollout, self._config, self._engine
        rows = config.steps_per_update
        if not hasattr(self, "passes"):
            size = min(minibatch, rows)
            self.passes = Passes(epochs, size, 0.0, np.zeros(rows, np.int64), np.zeros(rows, np.float32))
            team = team_for(config, self._architecture)
            self.critics_optimizer = Optimizer(config, len(engine.theta), engine.views, team)
        for epoch in range(epochs):
            shuffle(self.passes, config.seed, self.updates, epoch)
            for first in range(0, rows, self.passes.minibatch):
                gradient = engine.critic_gradient(rollout, self.passes.order[first : first + self.passes.minibatch])
                self.critics_optimizer.step(engine.theta, gradient, rate)
                engine.follow()
        return metrics

    with patch.object(Learner, "_learn", learn_longer), _room_for_minibatches():
        yield


@contextmanager
def _room_for_minibatches() -> Iterator[None]:
    """The compiled engine makes it for natural steps only."""
    create = a2c.learner.choose_engine

    def with_room(config: Any, architecture: Any, num_masks: int, team: Any) -> Any:
        return create(dataclasses.replace(config, actor_step="natural"), architecture, num_masks, team)

    with patch.object(a2c.learner, "choose_engine", with_room):
        yield


@contextmanager
def layer_norm() -> Iterator[None]:
    """Hidden layers are normalised over their units before the activation, without gain and bias; needs Paddle.

    Reference: Ba, Kiros and Hinton, "Layer normalization" (2016).
    """
    import a2c.engines.paddle

    def normalizing(xp: Any, architecture: Any, network: Any, parameters: Any, inputs: Any) -> Any:
        """As `a2c.model.blocks.forward`, for inputs without choices."""
        x = inputs
        for block in architecture.blocks(network):
            x = x @ parameters[f"{block.name}.weight"] + parameters[f"{block.name}.bias"]
            if block.activation is not None:
                x = x - x.mean(-1).reshape([-1, 1])
                x = xp.tanh(x / xp.sqrt((x * x).mean(-1).reshape([-1, 1]) + 1e-5))
        return x

    with patch.object(a2c.engines.paddle, "forward", normalizing), patch.object(a2c.policy, "forward", normalizing):
        yield


@contextmanager
def drifting() -> Iterator[None]:
    """Networks change with the statistics of observations, as they did here before, and do elsewhere."""

    def merge(books: Any, rollout: Any, layers: Any, theta: Any) -> None:
        observed = rollout.observed[:-1].reshape(rollout.reward.size, -1)
        merge_rows(observed, *books.observations)

    update = Learner._update

    def drifting_update(self: Any, rate: float) -> Any:
        with patch.object(a2c.learner, "renormalize", merge):
            return update(self, rate)

    with patch.object(Learner, "_update", drifting_update):
        yield


@contextmanager
def held(steps: int) -> Iterator[None]:
    """Statistics of observations hold still after so many steps; until then, networks change with them."""
    update = Learner._update
    with drifting():
        drifting_update = Learner._update

    def holding_update(self: Any, rate: float) -> Any:
        if self.steps < steps:
            return drifting_update(self, rate)
        with patch.object(a2c.learner, "renormalize"):
            return update(self, rate)

    with patch.object(Learner, "_update", holding_update):
        yield


@contextmanager
def scaled_values() -> Iterator[None]:
    """When the scale of rewards moves, the critic's last layer changes so that values stay what they are in rewards.

    Reference: van Hasselt et al., "Learning values across many orders of magnitude" (2016), section 2.2.
    """
    update = Learner._update

    def scaling_update(self: Any, rate: float) -> Any:
        seen, variance = float(self._books.scaled.seen[0]), float(self._books.scaled.variance[0])
        row = update(self, rate)
        if seen:
            views, last = self._engine.views(self._engine.theta), len(self._config.hidden_sizes)
            for name in ("weight", "bias"):
                views[f"critic.{last}.{name}"][...] *= np.float32(np.sqrt(variance / self._books.scaled.variance[0]))
            self._engine.follow()
        return row

    with patch.object(Learner, "_update", scaling_update):
        yield


SWITCHES: dict[str, Callable[..., AbstractContextManager[None]]] = {
    "averaged": averaged,
    "critic_of": critic_of,
    "normalized_targets": normalized_targets,
    "critic_passes": critic_passes,
    "layer_norm": layer_norm,
    "drifting": drifting,
    "held": held,
    "scaled_values": scaled_values,
}


def switched(switch: list[Any] | None) -> AbstractContextManager[None]:
    """What a trial says: the name of a switch and its arguments; None: a2c as it is."""
    return nullcontext() if switch is None else SWITCHES[switch[0]](*switch[1:])
