"""The Paddle engine: gradients by PaddlePaddle, on any device it knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.distributions import Distribution
from a2c.engines import Arrays, Metrics
from a2c.engines.networks import ActorCritic, paddle
from a2c.errors import UserError
from a2c.mlp import Architecture, Parameters, numbered
from a2c.returns import explained_variance
from a2c.rollout import Rollout

_OPTIMIZER_PREFIX = "optimizer."

_OWN_ARRAYS: dict[str, Callable[[Config, int], float]] = {
    "beta1_pow_acc": lambda config, updates: config.adam_beta1 ** (updates + 1),
    "beta2_pow_acc": lambda config, updates: config.adam_beta2 ** (updates + 1),
    "momentum": lambda config, updates: 0.0,
    "mean_grad": lambda config, updates: 0.0,
}
"""What Paddle's optimizers keep beside the moments, after so many updates; other engines have no such arrays."""


class PaddleEngine:
    """An Engine that differentiates with Paddle."""

    def __init__(
        self, config: Config, architecture: Architecture, distribution: Distribution, parameters: Parameters
    ) -> None:
        """Builds networks and optimizer.

        Args:
            config: Loss weights, optimizer, device.
            architecture: Sizes of the networks.
            distribution: Of the actions.
            parameters: Where the networks start.

        Raises:
            UserError: The device is not there.
        """
        # Paddle's own handler would turn the interrupt of a run into a stack dump.
        paddle.disable_signal_handler()
        try:
            paddle.set_device(config.device)
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(f"Paddle has no device {config.device!r} here: {reason}") from error
        self._config = config
        self._distribution = distribution
        # Optimizer moments are keyed by generated names, which the guard makes the same in every run.
        with paddle.utils.unique_name.guard():
            self._network = ActorCritic(architecture)
            self._named_parameters = numbered(dict(self._network.named_parameters()), by=1)
            self._optimizer = _optimizer(config, list(self._named_parameters.values()))
        self._set_parameters(parameters)

    def act(
        self, obs: NDArray[np.float32], noise: NDArray[np.float32], slot: int
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Actions and values; nothing is kept, `update` runs the networks again to differentiate them."""
        with paddle.no_grad():
            params, value = self._network(self._observations(obs))
            return self._distribution.sample(tuple(p.numpy() for p in params), noise), value.numpy()

    def value(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The critic."""
        with paddle.no_grad():
            value: NDArray[np.float32] = self._network.value(self._observations(obs)).numpy()
            return value

    def update(
        self, rollout: Rollout, advantage: NDArray[np.float32], returns: NDArray[np.float32], learning_rate: float
    ) -> Metrics:
        """One step down the gradient of

            loss = -mean(A * log pi(a|s)) + value_coef * mean((G - V)^2) - entropy_coef * mean(H)

        Raises:
            ValueError: log pi, A, V and G do not share one shape (broadcasting them would mix environments).
            FloatingPointError: The gradient is not finite; parameters and optimizer stay as they were.

        Reference: Mnih et al., "Asynchronous methods for deep reinforcement learning" (2016), section 4, in the
            synchronous form.
        """
        config, rows = self._config, advantage.size
        params, value = self._network(self._observations(rollout.obs.reshape(rows, -1)))
        action = paddle.to_tensor(rollout.action.reshape(rows, *rollout.action.shape[2:]))
        target, weight = paddle.to_tensor(returns.ravel()), paddle.to_tensor(advantage.ravel())
        log_prob, entropies = self._distribution.log_prob_and_entropy(paddle, params, action)
        shapes = [tuple(tensor.shape) for tensor in (log_prob, weight, value, target)]
        if len(set(shapes)) > 1:
            raise ValueError(f"log-probability, advantage, value and returns differ in shape: {shapes}")

        policy_loss = -paddle.mean(weight * log_prob)
        value_loss = paddle.mean((target - value) ** 2)
        entropy = paddle.mean(entropies)
        loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy

        loss.backward()
        grad_norm = self._clip_gradients()
        if not math.isfinite(grad_norm):
            self._optimizer.clear_grad(set_to_zero=False)
            raise FloatingPointError(f"the norm of the gradient is {grad_norm}")
        self._optimizer.set_lr(learning_rate)
        self._optimizer.step()
        self._optimizer.clear_grad(set_to_zero=False)
        explained = explained_variance(rollout.value, returns)
        return Metrics(float(loss), float(policy_loss), float(value_loss), float(entropy), grad_norm, explained)

    def parameters(self) -> Parameters:
        """Copies of the networks' parameters."""
        return {name: parameter.numpy() for name, parameter in self._named_parameters.items()}

    def state(self) -> Arrays:
        """Parameters, and the optimizer's arrays as `optimizer.<array>.<parameter>`."""
        arrays: Arrays = dict(self.parameters())
        for key, array in self._optimizer_arrays().items():
            arrays[key] = array.numpy()
        return arrays

    def restore(self, state: Arrays) -> None:
        """Continues from a `state()`, of this engine or (not to the bit) of another.

        Raises:
            KeyError: The state lacks an array, or holds one of another optimizer.
        """
        moments = {key: array for key, array in state.items() if key.startswith(_OPTIMIZER_PREFIX)}
        updates = int(moments.pop("optimizer.updates", np.zeros(1))[0])
        if moments:
            # Paddle makes an optimizer's arrays in its first step; one without gradient moves nothing else.
            for parameter in self._named_parameters.values():
                (parameter.sum() * 0.0).backward()
            self._optimizer.step()
            self._optimizer.clear_grad(set_to_zero=False)
            arrays = self._optimizer_arrays()
            known = {key.split(".")[1] for key in arrays}
            foreign = [key for key in moments if key.split(".")[1] not in known]
            if foreign:
                raise KeyError(f"the state holds {foreign[0]}; this optimizer has {sorted(known)}")
            for key, array in arrays.items():
                kind = key.split(".")[1]
                if key in moments:
                    array.set_value(moments[key].reshape(array.shape))
                elif kind in _OWN_ARRAYS:
                    array.set_value(np.full(array.shape, _OWN_ARRAYS[kind](self._config, updates), np.float32))
                else:
                    raise KeyError(key)
        self._set_parameters(state)

    def _optimizer_arrays(self) -> dict[str, Any]:
        """The optimizer's tensors under portable names. Paddle's are `<generated name>_<array>_<number>`."""
        names = {parameter.name: name for name, parameter in self._named_parameters.items()}
        arrays = {}
        for key, array in self._optimizer.state_dict().items():
            generated = next(name for name in names if key.startswith(f"{name}_"))
            kind = key.removeprefix(f"{generated}_").rpartition("_")[0]
            arrays[f"{_OPTIMIZER_PREFIX}{kind}.{names[generated]}"] = array
        return arrays

    def _observations(self, obs: NDArray[np.float32]) -> Any:
        return paddle.to_tensor(obs.reshape(len(obs), -1))

    def _set_parameters(self, parameters: Arrays) -> None:
        for name, parameter in self._named_parameters.items():
            parameter.set_value(parameters[name])

    def _clip_gradients(self) -> float:
        """Scales the gradients down to `max_grad_norm`, all by one factor; returns the norm they had."""
        gradients = [parameter.grad for parameter in self._named_parameters.values()]
        # In NumPy: on the CPU this takes a fifth of the time of the same sums in Paddle.
        flat = [gradient.numpy().ravel() for gradient in gradients]
        norm = float(np.sqrt(sum(float(np.dot(g, g)) for g in flat)))
        limit = self._config.max_grad_norm
        if limit is not None and norm > limit:
            with paddle.no_grad():
                for gradient in gradients:
                    gradient.scale_(limit / norm)
        return norm


def _optimizer(config: Config, parameters: list[Any]) -> Any:
    match config.optimizer:
        case "adam":
            return paddle.optimizer.Adam(
                config.learning_rate,
                beta1=config.adam_beta1,
                beta2=config.adam_beta2,
                epsilon=config.adam_epsilon,
                parameters=parameters,
                use_multi_tensor=True,  # all parameters in one call
            )
        case "rmsprop":
            return paddle.optimizer.RMSProp(
                config.learning_rate, rho=config.rmsprop_decay, epsilon=config.rmsprop_epsilon, parameters=parameters
            )
