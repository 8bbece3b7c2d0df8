"""The interface of an engine: it evaluates the networks on the inputs of a rollout and differentiates the loss."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.gradient import Model
from a2c.model.architecture import Architecture, Parameters
from a2c.rollout import Rollout

Floats = NDArray[np.float32]


class Metrics(NamedTuple):
    """Metrics of an update: means over the T x N steps of its rollout, before the optimizer's step."""

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
    """1 - Var(G - V) / Var(G): how much of the returns' variance the critic explains."""


class Engine(Protocol):
    """Holds the networks' parameters and computes outputs, values and gradients.

    Attributes:
        theta: Every parameter, in one flat array. Call `follow` after writing to it.
        name: The engine in words, for the screen and the log.
    """

    theta: Floats
    name: str

    @property
    def machine_code(self) -> Model | None:
        """The same engine as arguments of compiled functions (`a2c.kernels`); None if it has no such form."""
        ...

    def forward(self, rollout: Rollout, t: int) -> None:
        """Evaluates actor and critic on the inputs of step t and the memory's state `carry[t]`.

        Writes `outputs[t]`, `value[t]` and `carry[t + 1]`; for t = T only `value[T]`.
        """
        ...

    def value(self, inputs: NDArray[np.float32], pixels: NDArray[np.uint8], carry: NDArray[np.float32]) -> Floats:
        """Evaluates the critic: inputs [B, D], pixels [B, P] and memory states [B, H] -> values [B]."""
        ...

    def gradient(self, rollout: Rollout) -> tuple[Floats, Metrics]:
        """The gradient of the loss, laid out as theta, and the metrics. It depends on theta and the rollout only.

            loss = -mean(A * log pi(a|s)) + value_coef * mean((G - V)^2) - entropy_coef * mean(H)

        Without a critic (`Config.critic` "none") value_coef counts as 0.

        With memory, the gradient flows back through all steps to `carry[0]`, which counts as a constant. `grad_norm` in
        the metrics is 0 here: the optimizer computes it.
        """
        ...

    def fisher(self, rollout: Rollout, direction: Floats) -> Floats:
        """F v: the product of a vector with the Fisher matrix of the policy, both laid out as theta.

            F = mean over rows of J^T M J

        J is the derivative of the actor's outputs and of log_std, M is as in `a2c.model.factors.fisher_at_outputs`. The
        critic's part of v counts as 0.
        """
        ...

    def critic_gradient(self, rollout: Rollout, rows: NDArray[np.int64]) -> Floats:
        """The gradient of mean((G - V)^2) over the given rows of the rollout, laid out as theta; 0 for the actor.

        Args:
            rollout: With returns.
            rows: Indices t * N + n.
        """
        ...

    def follow(self) -> None:
        """Updates everything that is derived from theta; to be called after theta has changed."""
        ...

    def prepare(self, rollout: Rollout) -> None:
        """Does beforehand what would slow down the first update: compiling, for example."""
        ...

    def views(self, flat: Floats) -> Parameters:
        """The named arrays of the parameters, as views of `flat`, which is laid out as theta."""
        ...


def first_layers(engine: Engine, architecture: Architecture) -> NDArray[np.int64]:
    """Where in theta the layers that see inputs lie, as `a2c.kernels.rollout.renormalize` takes it: [layers, 5].

    Layers inside a user's own layer are not listed, as it may do anything with its inputs.
    """
    views, origin, size = engine.views(engine.theta), engine.theta.ctypes.data, engine.theta.itemsize
    rows = []
    for name in architecture.groups:
        weight, bias = views[name], views[name.replace("weight", "bias")]
        start, first_bias = ((array.ctypes.data - origin) // size for array in (weight, bias))
        rows.append([start, *(stride // size for stride in weight.strides), first_bias, len(bias)])
    return np.array(rows, np.int64).reshape(-1, 5)
