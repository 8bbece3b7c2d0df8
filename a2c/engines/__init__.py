"""What computes: acting on observations, and one gradient step from a rollout."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.distributions import Distribution
from a2c.errors import UserError
from a2c.machine import cores
from a2c.mlp import Architecture, Parameters
from a2c.rollout import Rollout
from a2c.signals import interrupts_held

Arrays = dict[str, NDArray[Any]]


class Metrics(NamedTuple):
    """What an update says of itself; means over the T x N block, before the step."""

    loss: float
    """policy_loss + value_coef * value_loss - entropy_coef * entropy."""
    policy_loss: float
    """-mean(A * log pi(a|s))."""
    value_loss: float
    """mean((G - V)^2)."""
    entropy: float
    """mean(H), in nats."""
    grad_norm: float
    """Global norm of the gradient before clipping."""
    explained_variance: float
    """Of the critic, 1 - Var(G - V) / Var(G)."""


class Engine(Protocol):
    """Holds the networks and the optimizer."""

    def act(
        self, obs: NDArray[np.float32], noise: NDArray[np.float32], slot: int
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Actions and values: obs [N, ...], noise [N, ...] -> action [N, ...], value [N].

        `slot` is the time step within the rollout, under which an engine may keep what `update` needs again.
        """
        ...

    def value(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The critic: obs [B, ...] -> [B]."""
        ...

    def update(
        self, rollout: Rollout, advantage: NDArray[np.float32], returns: NDArray[np.float32], learning_rate: float
    ) -> Metrics:
        """One gradient step on a rollout; advantage and returns are [T, N].

        Raises:
            FloatingPointError: The gradient is not finite; nothing has changed.
        """
        ...

    def parameters(self) -> Parameters:
        """Copies of the networks' parameters, in their portable names and shapes."""
        ...

    def state(self) -> Arrays:
        """Copies of parameters and optimizer moments, from which `restore` continues to the same bits."""
        ...

    def restore(self, state: Arrays) -> None:
        """Continues from a `state()`."""
        ...


def choose_engine(
    config: Config, architecture: Architecture, distribution: Distribution, parameters: Parameters
) -> tuple[Engine, str]:
    """The engine for a run, and a line that says which it is and why.

    Raises:
        UserError: Paddle is asked for and not installed, or the device is not there.
    """
    if config.engine == "compiled" and config.device != "cpu":
        raise UserError(f"engine is 'compiled', which has no device {config.device!r}; use engine 'paddle' for that")
    if config.engine == "compiled" or (config.engine == "auto" and config.device == "cpu"):
        from a2c.engines.compiled import CompiledEngine

        threads = cores() if config.num_threads == "auto" else config.num_threads
        engine = CompiledEngine(config, architecture, distribution, parameters, threads)
        busy = engine.work.threads
        return engine, f"compiled, {busy} thread{'s' if busy > 1 else ''}"
    with interrupts_held():
        try:
            from a2c.engines.paddle import PaddleEngine  # Importing Paddle takes over a second.
        except ModuleNotFoundError as error:
            why = "engine is 'paddle'" if config.engine == "paddle" else f"device is {config.device!r}"
            raise UserError(f"{why}, and PaddlePaddle is not installed; pip install 'a2c[paddle]'") from error
    because = "" if config.engine == "paddle" else ", because of its device"
    return PaddleEngine(config, architecture, distribution, parameters), f"paddle on {config.device}{because}"
