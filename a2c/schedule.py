"""Pure functions of the number of steps: the learning rate, and whether something is due. No state to save."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config


def learning_rate(config: Config, steps: int) -> float:
    """The learning rate of the update that starts after `steps` agent steps.

        constant      learning_rate
        linear        from learning_rate at step 0 to final_learning_rate at total_steps
        exponential   learning_rate * decay_factor ** floor(steps / decay_every_steps)

    Args:
        config: The run's settings.
        steps: Agent steps over all environments before this update, at least 0.

    Example:
        >>> config = Config("CartPole-v1", schedule="exponential", learning_rate=1.0, decay_factor=0.5,
        ...                 decay_every_steps=100)
        >>> [learning_rate(config, steps) for steps in (0, 99, 100, 250)]
        [1.0, 1.0, 0.5, 0.25]
    """
    match config.schedule:
        case "constant":
            return config.learning_rate
        case "linear":
            remaining = max(0.0, 1.0 - steps / config.total_steps)
            return config.final_learning_rate + remaining * (config.learning_rate - config.final_learning_rate)
        case "exponential":
            return config.learning_rate * config.decay_factor ** (steps // config.decay_every_steps)


def rates(config: Config, steps: int) -> tuple[float, float]:
    """The learning rate that the metrics show for the update after `steps`, and the rate that its step uses.

    A gradient step uses the learning rate. A natural step uses the schedule's factor, relative to its start: it scales
    `natural_kl` and `critic_learning_rate`.
    """
    rate = learning_rate(config, steps)
    if config.actor_step == "gradient":
        return rate, rate
    scale = rate / config.learning_rate
    return config.critic_learning_rate * scale, scale


Steps = TypeVar("Steps", int, NDArray[np.int64])


def is_due(every_steps: int, steps: Steps, steps_per_update: int) -> Any:
    """Whether the update that ended at `steps` passed a multiple of `every_steps`; never if that is 0.

    Example:
        >>> [is_due(100, steps, 64) for steps in (64, 128, 192, 256)]
        [False, True, False, True]
    """
    return every_steps > 0 and steps // every_steps > (steps - steps_per_update) // every_steps
