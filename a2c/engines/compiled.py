"""The compiled engine: kernels for the CPU. Activations that `forward` computes are reused for the gradient."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.engines import Floats, Metrics
from a2c.kernels.compiler import prepare
from a2c.kernels.critic import critic_gradient
from a2c.kernels.fisher import fisher
from a2c.kernels.gradient import Loss, Model, divide, follow, forward_step, gradient, values_of, work_for
from a2c.kernels.heads import table_of
from a2c.kernels.layout import Bound
from a2c.kernels.machine_code import program, source
from a2c.kernels.passes import BLOCK_ROWS, network_for, views
from a2c.kernels.threads import Crew
from a2c.model.architecture import Architecture, Parameters
from a2c.rollout import Rollout
from a2c.team import Team


class CompiledEngine:
    """An Engine made of compiled kernels."""

    def __init__(self, config: Config, architecture: Architecture, num_masks: int, team: Team) -> None:
        """Lays out the network.

        Args:
            config: Loss weights, sizes of a rollout.
            architecture: Of the networks.
            num_masks: K, the columns of action masks.
            team: The threads that compute gradients; results do not depend on their number.
        """
        self._architecture, self._team, self._is_natural = architecture, team, config.actor_step == "natural"
        bounds, room = divide(
            config.num_envs, config.rollout_length, architecture.num_parameters, len(architecture.images)
        )
        # After the rollout's inputs come the N of row T, then room for minibatches of the critic.
        spare = (len(bounds) - 1) * BLOCK_ROWS if self._is_natural else 0
        inputs = config.steps_per_update + config.num_envs + spare
        network = network_for(architecture, inputs, (len(bounds) - 1) * room, len(bounds) - 1)
        work = work_for(network, bounds, room, config.rollout_length, team.crew.threads)
        loss = Loss(table_of(architecture.factors, num_masks), config.value_weight, config.entropy_coef)
        # Without images, waking threads takes longer than evaluating the networks.
        self._actors = Team(1) if network.torso is None else team
        self.theta = network.theta
        self._model = Model(network, loss, work)
        threads = team.crew.threads
        self.name = f"compiled, {threads} thread{'s' if threads > 1 else ''}"

    @property
    def machine_code(self) -> Model:
        """Network, loss and working memory."""
        return self._model

    def forward(self, rollout: Rollout, t: int) -> None:
        """Evaluates actor and critic on the inputs of step t."""
        network, _, work = self._model
        self._actors.run(forward_step, network, work, t, rollout)

    def value(self, inputs: NDArray[np.float32], pixels: NDArray[np.uint8], carry: NDArray[np.float32]) -> Floats:
        """Evaluates the critic: [B, D], [B, P], [B, H] -> [B]."""
        value = np.empty(len(inputs), np.float32)
        network, _, work = self._model
        values_of(
            network,
            work,
            np.ascontiguousarray(inputs),
            np.ascontiguousarray(pixels),
            np.ascontiguousarray(carry),
            value,
        )
        return value

    def gradient(self, rollout: Rollout) -> tuple[Floats, Metrics]:
        """The gradient of the loss that `Engine` defines, and the metrics.

        Raises:
            ValueError: A, V or G is not [T, N] as this engine was made for; its kernels would read past their ends.
        """
        shape = (len(self._model.work.stamps) - 1, int(self._model.work.chunks[-1]))
        shapes = [array.shape for array in (rollout.value[:-1], rollout.advantage, rollout.returns)]
        if shapes != [shape] * 3:
            raise ValueError(f"value, advantage and returns differ in shape from {shape}: {shapes}")
        metrics = np.zeros(len(Metrics._fields))
        self._team.run(gradient, self._model, rollout, metrics)
        return self._model.work.gradients[: len(self.theta)], Metrics(*metrics.tolist())

    def fisher(self, rollout: Rollout, direction: Floats) -> Floats:
        """F v, exactly: J v by a forward pass of tangents, M times that, then J^T times that by a backward pass."""
        product = np.empty_like(self.theta)
        self._team.run(fisher, self._model, rollout, direction, product)
        return product

    def critic_gradient(self, rollout: Rollout, rows: NDArray[np.int64]) -> Floats:
        """The gradient of the critic's mean squared error on some rows of the rollout."""
        self._team.run(critic_gradient, self._model, rollout, rows, 0, len(rows))
        return self._model.work.gradients[: len(self.theta)]

    def follow(self) -> None:
        """Transposes the weights that `backward` reads, and marks the stored activations as outdated."""
        self._team.run(self._follow)

    def _follow(self, thread: int, crew: Crew) -> None:
        self._following[thread]()

    @functools.cached_property
    def _following(self) -> list[Bound]:
        """`follow` on every thread, as a program of its own: it is all that fused updates need of this engine."""
        crew = self._team.crew
        function = program(follow=source(follow, 0, crew, self._model))["follow"]
        return [function.bound(thread, crew, self._model) for thread in range(crew.threads)]

    def views(self, flat: Floats) -> Parameters:
        """The named arrays, as views of a flat one."""
        return views(self._model.network, flat, self._architecture)

    def prepare(self, rollout: Rollout) -> None:
        """Compiles the kernels of step-by-step training, or loads them from disk, so that the first update is fast."""
        network, _, work = self._model
        prepare(forward_step, 0, self._team.crew, network, work, 0, rollout)
        prepare(values_of, network, work, rollout.inputs[0], rollout.pixels[0], rollout.carry[0], rollout.value[0])
        prepare(gradient, 0, self._team.crew, self._model, rollout, np.zeros(len(Metrics._fields)))
        if self._is_natural:
            rows = np.zeros(rollout.reward.size, np.int64)
            prepare(fisher, 0, self._team.crew, self._model, rollout, self.theta, self.theta)
            prepare(critic_gradient, 0, self._team.crew, self._model, rollout, rows, 0, 0)
