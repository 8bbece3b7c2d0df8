"""NaturalStep: one actor step of a given KL divergence along the natural gradient, then passes of the critic."""

from __future__ import annotations

import math

import numpy as np

from a2c.config import Config
from a2c.engines import Engine, Floats, Metrics
from a2c.kernels.compiler import prepare
from a2c.kernels.critic import Passes, shuffle
from a2c.kernels.natural import Natural, advance, begin, dot, finish
from a2c.kernels.vectors import numbers
from a2c.optimizers import Optimizer
from a2c.rollout import Rollout


class NaturalStep:
    """How an update moves the parameters if `actor_step` is "natural".

    Attributes:
        natural: Arrays and constants of the actor's step.
        passes: Arrays and constants of the critic's passes.
    """

    def __init__(self, config: Config, engine: Engine) -> None:
        """Allocates what steps need.

        Args:
            config: The settings: step length, number of passes.
            engine: Its parameters are moved.
        """
        self._seed = config.seed
        theta, rows = engine.theta, config.steps_per_update
        is_critics = np.zeros_like(theta)
        for name, view in engine.views(is_critics).items():
            view[...] = name.startswith("critic")
        places = np.flatnonzero(is_critics)
        ascent, direction, product, residual, solution = (numbers(len(theta)) for _ in range(5))
        self.natural = Natural(
            config.natural_kl, math.inf if config.natural_max_step is None else config.natural_max_step,
            config.natural_damping, config.natural_products,
            int(places[0]), int(places[-1]) + 1,
            ascent, direction, product, residual, solution, np.zeros(1), np.zeros(1, np.int64),
        )  # fmt: skip
        self.passes = Passes(
            config.critic_epochs, min(config.critic_minibatch, rows), config.critic_learning_rate,
            np.zeros(rows, np.int64), np.zeros(rows, np.float32),
        )  # fmt: skip

    def prepare(self, theta: Floats) -> None:
        """Compiles what a step needs, or loads it from disk, so that the first step is not slower."""
        prepare(dot, theta, theta)
        prepare(begin, self.natural, theta)
        prepare(advance, self.natural)
        prepare(finish, self.natural, theta, 0.0)
        prepare(shuffle, self.passes, 0, 0, 0)

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps per update, the same in both engines."""
        return self.passes.epochs * -(-len(self.passes.order) // self.passes.minibatch)

    def learn(self, engine: Engine, optimizer: Optimizer, rollout: Rollout, update: int, scale: float) -> Metrics:
        """Moves actor and critic. `a2c.kernels.loop.learn_naturally` does the same in machine code.

        Args:
            engine: Computes gradients.
            optimizer: Takes the critic's steps.
            rollout: With advantages and returns.
            update: Number of the update, from 0; the shuffles depend on it.
            scale: The schedule's factor on step length and learning rate.

        Returns:
            The metrics before the step; grad_norm is that of the whole gradient.

        Raises:
            FloatingPointError: A gradient or a step is not finite; parameters are as they were.
        """
        natural, passes, before = self.natural, self.passes, engine.theta.copy()
        gradient, metrics = engine.gradient(rollout)
        norm = math.sqrt(dot(gradient, gradient))
        begin(natural, gradient)
        for _ in range(natural.products):
            natural.product[...] = engine.fisher(rollout, natural.direction)
            if not advance(natural):
                break
        if not finish(natural, engine.theta, scale):
            raise FloatingPointError("its natural step is not finite")
        engine.follow()
        try:
            for epoch in range(passes.epochs):
                shuffle(passes, self._seed, update, epoch)
                for first in range(0, len(passes.order), passes.minibatch):
                    gradient = engine.critic_gradient(rollout, passes.order[first : first + passes.minibatch])
                    optimizer.step(engine.theta, gradient, passes.rate * scale)
                    engine.follow()
        except FloatingPointError:
            engine.theta[...] = before
            engine.follow()
            raise
        return metrics._replace(grad_norm=norm)
