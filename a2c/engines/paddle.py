"""The Paddle engine: the forward pass of `a2c.model` on any device that Paddle knows, and its automatic gradient."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.engines import Floats, Metrics
from a2c.errors import UserError
from a2c.kernels.simd import LANES
from a2c.model.architecture import NETWORKS, Architecture, Network, Parameters
from a2c.model.blocks import features_of, forward, joined, remember
from a2c.model.factors import fisher_at_outputs, log_prob_and_entropy
from a2c.returns import explained_variance
from a2c.rollout import Rollout

with warnings.catch_warnings():
    # Importing Paddle warns that ccache, which only compiles Paddle's own C++ extensions, is missing.
    warnings.simplefilter("ignore")
    import paddle

Images = dict[Network, Any]
"""What each network sees of images, a tensor [B, F]; None where there are none. Where they share it, it is the same."""


class PaddleEngine:
    """An Engine that differentiates with Paddle."""

    def __init__(self, config: Config, architecture: Architecture) -> None:
        """Lays out the parameters.

        Args:
            config: Loss weights, device.
            architecture: Of the networks.

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
        self._config, self._architecture = config, architecture
        self._shapes = architecture.shapes()
        self._sizes = [int(np.prod(shape)) for shape in self._shapes.values()]
        size = sum(self._sizes)
        self.theta = np.zeros(-(-size // LANES) * LANES, np.float32)  # The optimizer's kernels take whole vectors.
        images = len(architecture.images)
        why = "its device" if config.device != "cpu" else f"{images} images"
        because = "" if config.engine == "paddle" else f", because of {why}"
        self.name = f"paddle on {config.device}{because}"
        self.follow()

    @property
    def machine_code(self) -> None:
        """There is none."""

    def prepare(self, rollout: Rollout) -> None:
        """There is nothing to do."""

    def forward(self, rollout: Rollout, t: int) -> None:
        """Actor and critic on the inputs of step t; nothing is kept."""
        with paddle.no_grad():
            inputs, images = paddle.to_tensor(rollout.inputs[t]), self._images(rollout.pixels[t])
            remembered = self._remember(inputs, images["actor"], paddle.to_tensor(rollout.carry[t]))
            if t < len(rollout.outputs):
                if remembered is not None:
                    rollout.carry[t + 1] = remembered.numpy()
                rollout.outputs[t] = self._network("actor", inputs, images, remembered).numpy()
            rollout.value[t] = self._network("critic", inputs, images, remembered).numpy()[:, 0]

    def value(self, inputs: NDArray[np.float32], pixels: NDArray[np.uint8], carry: NDArray[np.float32]) -> Floats:
        """The critic."""
        with paddle.no_grad():
            seen, images = paddle.to_tensor(inputs), self._images(pixels)
            remembered = self._remember(seen, images["actor"], paddle.to_tensor(carry))
            value: Floats = self._network("critic", seen, images, remembered).numpy()[:, 0]
            return value

    def gradient(self, rollout: Rollout) -> tuple[Floats, Metrics]:
        """Of the loss that `Engine` gives, by running the networks again.

        Raises:
            ValueError: log pi, A, V and G do not share one shape (broadcasting them would mix environments).

        Reference: Mnih et al., "Asynchronous methods for deep reinforcement learning" (2016), section 4, in the
            synchronous form.
        """
        config, rows = self._config, rollout.reward.size
        inputs, action, mask = (
            paddle.to_tensor(array.reshape(rows, array.shape[2]))
            for array in (rollout.inputs[:-1], rollout.action, rollout.mask[:-1])
        )
        advantage, returns = paddle.to_tensor(rollout.advantage.ravel()), paddle.to_tensor(rollout.returns.ravel())
        images = self._images(rollout.pixels[:-1].reshape(rows, -1))
        remembered = self._remember_all(rollout, inputs, images["actor"])
        outputs = self._network("actor", inputs, images, remembered)
        value = self._network("critic", inputs, images, remembered)[:, 0]
        log_prob, entropies = log_prob_and_entropy(
            paddle, self._architecture.factors, outputs, self._parameters.get("log_std"), action,
            mask if mask.shape[1] else None,
        )  # fmt: skip
        shapes = [tuple(tensor.shape) for tensor in (log_prob, advantage, value, returns)]
        if len(set(shapes)) > 1:
            raise ValueError(f"log-probability, advantage, value and returns differ in shape: {shapes}")

        policy_loss = -paddle.mean(advantage * log_prob)
        value_loss = paddle.mean((returns - value) ** 2)
        entropy = paddle.mean(entropies)
        loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy

        gradient = self._gradient_of(loss)
        with np.errstate(invalid="ignore"):  # What is not finite, the norm of the gradient tells.
            explained = explained_variance(rollout.value[:-1], rollout.returns)
        return gradient, Metrics(float(loss), float(policy_loss), float(value_loss), float(entropy), 0.0, explained)

    def fisher(self, rollout: Rollout, direction: Floats) -> Floats:
        """J^T M J v. J v is the derivative of u^T J v in u, whatever u is, which takes differentiating twice."""
        rows, size = rollout.reward.size, sum(self._sizes)
        inputs = paddle.to_tensor(rollout.inputs[:-1].reshape(rows, -1))
        mask = paddle.to_tensor(rollout.mask[:-1].reshape(rows, -1)) if rollout.mask.shape[2] else None
        v = paddle.to_tensor(direction[:size])
        outputs = self._network("actor", inputs, self._images(rollout.pixels[:-1].reshape(rows, -1)), None)
        u = paddle.zeros_like(outputs)
        u.stop_gradient = False
        (backward,) = paddle.grad(outputs, self._tensor, u, create_graph=True)
        (tangent,) = paddle.grad(paddle.sum(backward * v), u, retain_graph=True)
        log_std = self._parameters.get("log_std")
        weights = fisher_at_outputs(paddle, self._architecture.factors, outputs, log_std, tangent, mask) / rows
        (result,) = paddle.grad(outputs, self._tensor, weights.detach())
        product = np.zeros_like(self.theta)
        product[:size] = result.numpy()
        if log_std is not None:
            self.views(product)["log_std"][...] += 2 * self.views(direction)["log_std"]
        self._spread()
        return product

    def critic_gradient(self, rollout: Rollout, rows: NDArray[np.int64]) -> Floats:
        """Of the critic's mean squared error on some rows of the rollout."""
        inputs = rollout.inputs[:-1].reshape(rollout.reward.size, -1)[rows]
        pixels = rollout.pixels[:-1].reshape(rollout.reward.size, -1)[rows]
        value = self._network("critic", paddle.to_tensor(inputs), self._images(pixels), None)[:, 0]
        return self._gradient_of(paddle.mean((paddle.to_tensor(rollout.returns.ravel()[rows]) - value) ** 2))

    def follow(self) -> None:
        """Takes the parameters over to the device."""
        self._tensor: Any = paddle.to_tensor(self.theta[: sum(self._sizes)])
        self._tensor.stop_gradient = False
        self._spread()

    def views(self, flat: Floats) -> Parameters:
        """The named arrays, as views of a flat one."""
        ends = np.cumsum(self._sizes)
        pieces = np.split(flat[: ends[-1]], ends[:-1])
        return {name: piece.reshape(shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)}

    def _network(self, network: Network, inputs: Any, images: Images, remembered: Any) -> Any:
        features = joined(paddle, images[network], remembered)
        return forward(paddle, self._architecture, network, self._parameters, inputs, features)

    def _images(self, pixels: NDArray[np.uint8]) -> Images:
        """Features of rows of pixels [B, P]."""
        if not pixels.shape[1]:
            return {"actor": None, "critic": None}
        given, networks = paddle.to_tensor(pixels), NETWORKS[:1] if self._architecture.share_torso else NETWORKS
        seen = [features_of(paddle, self._architecture, network, self._parameters, given) for network in networks]
        return {"actor": seen[0], "critic": seen[-1]}

    def _remember(self, inputs: Any, features: Any, carry: Any) -> Any:
        """What is remembered then [B, H]; None where there is no memory."""
        if not self._architecture.memory_size:
            return None
        return remember(paddle, self._architecture, self._parameters, inputs, features, carry)

    def _remember_all(self, rollout: Rollout, inputs: Any, features: Any) -> Any:
        """What is remembered after each step of a rollout, from `carry[0]` on: [T N, H]; None without memory."""
        if not self._architecture.memory_size:
            return None
        length, num_envs = rollout.reward.shape
        goes_on = paddle.to_tensor((~(rollout.terminated | rollout.truncated)).astype(np.float32))
        carry, remembered = paddle.to_tensor(rollout.carry[0]), []
        for t in range(length):
            rows = slice(t * num_envs, (t + 1) * num_envs)
            remembered.append(self._remember(inputs[rows], None if features is None else features[rows], carry))
            carry = remembered[-1] * goes_on[t][:, None]
        return paddle.concat(remembered, 0)

    def _gradient_of(self, loss: Any) -> Floats:
        """The gradient of a loss in the parameters, laid out as theta."""
        loss.backward()
        gradient = np.zeros_like(self.theta)
        gradient[: sum(self._sizes)] = self._tensor.grad.numpy()
        self._spread()
        return gradient

    def _spread(self) -> None:
        """Makes tensors of the parameters, parts of one through which the gradient flows into a flat array."""
        self._tensor.clear_grad()
        pieces = paddle.split(self._tensor, self._sizes)
        self._parameters = {
            name: piece.reshape(shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }
