"""Adam and RMSprop on the flat array of an engine's parameters, with clipping of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.kernels import optimizer as kernels
from a2c.kernels.compiler import prepare
from a2c.kernels.vectors import numbers
from a2c.model.architecture import Parameters
from a2c.team import Team

Floats = NDArray[np.float32]
Views = Callable[[Floats], Parameters]
"""The named arrays of the parameters, as views of a flat array."""


class Optimizer:
    """Takes steps down gradients, and owns the moments.

    Attributes:
        arrays: The settings and moments, for the kernels.
    """

    def __init__(self, config: Config, size: int, views: Views, team: Team) -> None:
        """Before its first step.

        Args:
            config: Says which optimizer, and has its settings.
            size: Length of the flat array.
            views: Gives the named parameters in it.
            team: The threads that compute.
        """
        self._views, self._team = views, team
        is_adam = config.optimizer == "adam"
        self.arrays = kernels.Optimizer(
            is_adam,
            config.adam_beta1 if is_adam else 0.0,
            config.adam_beta2 if is_adam else config.rmsprop_decay,
            config.adam_epsilon if is_adam else config.rmsprop_epsilon,
            math.inf if config.max_grad_norm is None else config.max_grad_norm,
            numbers(size),
            numbers(size),
            np.zeros(1, np.int64),
            np.zeros(-(-size // kernels.NORM_BLOCK), np.float32),
            np.zeros(1),
        )
        names = ("moment1", "moment2") if is_adam else (None, "mean_square")
        self._remembered = {
            name: flat for name, flat in zip(names, (self.arrays.first, self.arrays.second), strict=True) if name
        }

    def step(self, theta: Floats, gradient: Floats, rate: float) -> float:
        """Changes theta by one step, after clipping the gradient by its global norm, once.

        Returns:
            The norm before clipping.

        Raises:
            FloatingPointError: The gradient is not finite; theta and the moments are unchanged.
        """
        is_finite = self._team.run(kernels.step, self.arrays, theta, gradient, rate)
        norm = float(self.arrays.norm[0])
        if not is_finite:
            raise FloatingPointError(f"the norm of the gradient is {norm}")
        return norm

    def prepare(self, theta: Floats) -> None:
        """Compiles a step, or loads it from disk, so that the first one is not slower."""
        prepare(kernels.step, 0, self._team.crew, self.arrays, theta, theta, 0.0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the moments, as `<moment>.<parameter>`, and the number of updates."""
        arrays: dict[str, NDArray[Any]] = {
            f"{kind}.{name}": view.copy()
            for kind, flat in self._remembered.items()
            for name, view in self._views(flat).items()
        }
        return arrays | {"updates": self.arrays.updates.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Continues from a `state()`.

        Raises:
            KeyError: The state lacks an array, for instance because it is another optimizer's.
        """
        for kind, flat in self._remembered.items():
            for name, view in self._views(flat).items():
                view[...] = state[f"{kind}.{name}"]
        self.arrays.updates[...] = state["updates"]
