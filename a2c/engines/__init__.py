"""What differentiates: the networks forward on the inputs of a rollout, and the gradient of its loss."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.gradient import Model
from a2c.model.architecture import Architecture, Parameters
from a2c.rollout import Rollout

Floats = NDArray[np.float32]


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
    """Holds the networks' parameters, and differentiates.

    Attributes:
        theta: Every parameter, flat. Whoever writes to it calls `follow`.
        name: What it is, in words.
    """

    theta: Floats
    name: str

    @property
    def machine_code(self) -> Model | None:
        """What machine code may call instead; None: there is none."""
        ...

    def forward(self, rollout: Rollout, t: int) -> None:
        """Actor and critic on the inputs of step t and what is remembered of those before, `carry[t]`.

        Writes `outputs[t]`, `value[t]` and `carry[t + 1]`; for t = T the value alone.
        """
        ...

    def value(self, inputs: NDArray[np.float32], pixels: NDArray[np.uint8], carry: NDArray[np.float32]) -> Floats:
        """The critic: rows of inputs [B, D], of pixels [B, P], and of what is remembered [B, H] -> [B]."""
        ...

    def gradient(self, rollout: Rollout) -> tuple[Floats, Metrics]:
        """Of the loss, in the parameters, laid out as theta: a function of theta and the rollout alone.

            loss = -mean(A * log pi(a|s)) + value_coef * mean((G - V)^2) - entropy_coef * mean(H)

        Without a critic (`Config.critic` "none") value_coef counts as 0.

        What is remembered counts as a function of the parameters, through all steps from `carry[0]` on. The norm in the
        metrics is 0: the optimizer knows it.
        """
        ...

    def fisher(self, rollout: Rollout, direction: Floats) -> Floats:
        """F v: the product of a vector with the Fisher matrix of the policy, both laid out as theta.

            F = mean over rows of J^T M J, J the derivative of the actor's outputs and log_std, M as in
            `a2c.model.factors.fisher_at_outputs`

        What v has for the critic counts as 0.
        """
        ...

    def critic_gradient(self, rollout: Rollout, rows: NDArray[np.int64]) -> Floats:
        """The gradient of mean((G - V)^2) over some rows, t * N + n, of the rollout; 0 for the actor."""
        ...

    def follow(self) -> None:
        """Takes note that theta has changed."""
        ...

    def prepare(self, rollout: Rollout) -> None:
        """Does what would make the first update take longer: compiles, say."""
        ...

    def views(self, flat: Floats) -> Parameters:
        """The named arrays of the parameters, as views of an array laid out as theta."""
        ...


def first_layers(engine: Engine, architecture: Architecture) -> NDArray[np.int64]:
    """[layers, 5] where layers that see inputs lie in theta, as `a2c.kernels.rollout.renormalize` wants it.

    Those within a layer of the user's own nobody knows: what it makes of its inputs may be anything.
    """
    views, origin, size = engine.views(engine.theta), engine.theta.ctypes.data, engine.theta.itemsize
    rows = []
    for name in architecture.groups:
        weight, bias = views[name], views[name.replace("weight", "bias")]
        start, first_bias = ((array.ctypes.data - origin) // size for array in (weight, bias))
        rows.append([start, *(stride // size for stride in weight.strides), first_bias, len(bias)])
    return np.array(rows, np.int64).reshape(-1, 5)
