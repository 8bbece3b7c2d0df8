"""The Paddle engine: the forward pass of `a2c.model` on any device that Paddle supports, differentiated by Paddle."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.engines import Floats, Metrics
from a2c.errors import UserError
from a2c.kernels.lanes import LANES
from a2c.model import NETWORKS, Network
from a2c.model.architecture import Architecture, Parameters, name_in
from a2c.model.blocks import features_of, forward, given, joined, remember
from a2c.model.factors import fisher_at_outputs, log_prob_and_entropy
from a2c.model.own_layers import OwnNetworks
from a2c.returns import explained_variance
from a2c.rollout import Rollout

with warnings.catch_warnings():
    # Importing Paddle warns that ccache, which only compiles Paddle's own C++ extensions, is missing.
    warnings.simplefilter("ignore")
    import paddle

Images = Mapping[Network, Any]
"""Features of images for each network: a tensor [B, F], or None without images. A shared torso gives both the same."""

_NO_IMAGES: Images = MappingProxyType({"actor": None, "critic": None})


class Seen(NamedTuple):
    """The inputs of the networks for some rows, as tensors."""

    inputs: Any  # [B, D]
    pixels: Any  # [B, P]; None if there are none
    images: Images = _NO_IMAGES
    remembered: Any = None  # [B, H] output of the memory; None without memory


class PaddleEngine:
    """An Engine that differentiates with Paddle."""

    def __init__(self, config: Config, architecture: Architecture) -> None:
        """Lays out the parameters.

        Args:
            config: Loss weights, device.
            architecture: Of the networks.

        Raises:
            UserError: Paddle cannot use the device, or the user's own layer cannot be trained with these settings.
        """
        # Paddle's own handler would print a stack dump when a user interrupts a run.
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
        self._own = None if architecture.own is None else OwnNetworks(architecture.own)
        if self._own is not None and config.actor_step == "natural":
            self._own.check_second_derivatives()
        # Our parameters are parts of one tensor; a user's own layer holds its parameters itself.
        self._shapes_of_ours = architecture.shapes_of_ours()
        places = self._places()
        self._place_of_ours: Any = np.concatenate([places[name] for name in self._shapes_of_ours])
        self._of_own = [(places[name], tensor) for name, tensor in self._held().items()]
        if self._own is None:
            self._place_of_ours = slice(0, size)  # A slice is faster than an index array.
        images = len(architecture.images)
        why = "its device" if config.device != "cpu" else f"{images} images"
        if architecture.own is not None:
            why = f"network {architecture.own.name}"
        because = "" if config.engine == "paddle" else f", because of {why}"
        self.name = f"paddle on {config.device}{because}"
        self.follow()

    @property
    def machine_code(self) -> None:
        """None: machine code cannot call Paddle."""

    def prepare(self, rollout: Rollout) -> None:
        """Does nothing: Paddle needs no preparation."""

    def forward(self, rollout: Rollout, t: int) -> None:
        """Evaluates actor and critic on the inputs of step t; `gradient` evaluates them again."""
        with paddle.no_grad():
            seen = self._see(rollout.inputs[t], rollout.pixels[t])
            seen = self._remembering(seen, paddle.to_tensor(rollout.carry[t]))
            if t < len(rollout.outputs):
                if seen.remembered is not None:
                    rollout.carry[t + 1] = seen.remembered.numpy()
                rollout.outputs[t] = self._network("actor", seen).numpy()
            rollout.value[t] = self._network("critic", seen).numpy()[:, 0]

    def value(self, inputs: NDArray[np.float32], pixels: NDArray[np.uint8], carry: NDArray[np.float32]) -> Floats:
        """Evaluates the critic: [B, D], [B, P], [B, H] -> [B]."""
        with paddle.no_grad():
            seen = self._remembering(self._see(inputs, pixels), paddle.to_tensor(carry))
            value: Floats = self._network("critic", seen).numpy()[:, 0]
            return value

    def gradient(self, rollout: Rollout) -> tuple[Floats, Metrics]:
        """The gradient of the loss that `Engine` defines, and the metrics. It runs the networks again.

        Raises:
            ValueError: log pi, A, V and G do not share one shape (broadcasting them would mix environments).

        Reference: Mnih et al., "Asynchronous methods for deep reinforcement learning" (2016), section 4, in the
            synchronous form.
        """
        config, rows = self._config, rollout.reward.size
        action, mask = (
            paddle.to_tensor(array.reshape(rows, array.shape[2])) for array in (rollout.action, rollout.mask[:-1])
        )
        advantage, returns = paddle.to_tensor(rollout.advantage.ravel()), paddle.to_tensor(rollout.returns.ravel())
        seen = self._see_all(rollout)
        if rollout.carry.shape[2]:
            seen = seen._replace(remembered=self._remember_all(rollout, seen))
        outputs = self._network("actor", seen)
        value = self._network("critic", seen)[:, 0]
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
        loss = policy_loss + config.value_weight * value_loss - config.entropy_coef * entropy

        gradient = self._gradient_of(loss)
        with np.errstate(invalid="ignore"):  # The norm of the gradient already shows whether all was finite.
            explained = explained_variance(rollout.value[:-1], rollout.returns)
        return gradient, Metrics(float(loss), float(policy_loss), float(value_loss), float(entropy), 0.0, explained)

    def fisher(self, rollout: Rollout, direction: Floats) -> Floats:
        """F v = mean of J^T M J v. J v is the derivative of u^T J v in u, for any u: Paddle differentiates twice."""
        rows = rollout.reward.size
        mask = paddle.to_tensor(rollout.mask[:-1].reshape(rows, -1)) if rollout.mask.shape[2] else None
        leaves = self._leaves()
        tensors = [leaf for _, leaf in leaves]
        outputs = self._network("actor", self._see_all(rollout))
        u = paddle.zeros_like(outputs)
        u.stop_gradient = False
        backward = paddle.grad(outputs, tensors, u, create_graph=True, allow_unused=True)
        products = [
            paddle.sum(gradient * paddle.to_tensor(direction[place].reshape(gradient.shape)))
            for (place, _), gradient in zip(leaves, backward, strict=True)
            if gradient is not None
        ]
        (tangent,) = paddle.grad(sum(products[1:], products[0]), u, retain_graph=True)
        log_std = self._parameters.get("log_std")
        weights = fisher_at_outputs(paddle, self._architecture.factors, outputs, log_std, tangent, mask) / rows
        product = self._flat(paddle.grad(outputs, tensors, weights.detach(), allow_unused=True))
        if log_std is not None:
            self.views(product)["log_std"][...] += 2 * self.views(direction)["log_std"]
        self._spread()
        return product

    def critic_gradient(self, rollout: Rollout, rows: NDArray[np.int64]) -> Floats:
        """The gradient of the critic's mean squared error on some rows of the rollout."""
        inputs = rollout.inputs[:-1].reshape(rollout.reward.size, -1)[rows]
        pixels = rollout.pixels[:-1].reshape(rollout.reward.size, -1)[rows]
        value = self._network("critic", self._see(inputs, pixels))[:, 0]
        return self._gradient_of(paddle.mean((paddle.to_tensor(rollout.returns.ravel()[rows]) - value) ** 2))

    def follow(self) -> None:
        """Copies theta to the device."""
        self._tensor: Any = paddle.to_tensor(self.theta[self._place_of_ours])
        self._tensor.stop_gradient = False
        self._spread()
        for place, tensor in self._of_own:
            tensor.set_value(self.theta[place].reshape(tensor.shape))

    def views(self, flat: Floats) -> Parameters:
        """The named arrays, as views of a flat one."""
        ends = np.cumsum(self._sizes)
        pieces = np.split(flat[: ends[-1]], ends[:-1])
        return {name: piece.reshape(shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)}

    def _network(self, network: Network, seen: Seen) -> Any:
        features = joined(paddle, seen.images[network], seen.remembered)
        if self._own is not None:
            shown = given(paddle, self._architecture, seen.inputs, features, seen.pixels)
            features = self._own.features(network, shown)
        return forward(paddle, self._architecture, network, self._parameters, seen.inputs, features)

    def _see(self, inputs: NDArray[np.float32], pixels: NDArray[np.uint8]) -> Seen:
        """Inputs [B, D] and pixels [B, P] as tensors, with the features of images if our convolutions compute them."""
        if not pixels.shape[1]:
            return Seen(paddle.to_tensor(inputs), None)
        seen = Seen(paddle.to_tensor(inputs), paddle.to_tensor(pixels))
        return seen if self._own is not None else seen._replace(images=self._images(seen.pixels))

    def _see_all(self, rollout: Rollout) -> Seen:
        """The same for the T N steps of a rollout."""
        rows = rollout.reward.size
        return self._see(rollout.inputs[:-1].reshape(rows, -1), rollout.pixels[:-1].reshape(rows, -1))

    def _images(self, pixels: Any) -> Images:
        """Features of images for each network, from pixels [B, P] (bytes)."""
        networks = NETWORKS[:1] if self._architecture.share_torso else NETWORKS
        found = [features_of(paddle, self._architecture, network, self._parameters, pixels) for network in networks]
        return {"actor": found[0], "critic": found[-1]}

    def _remembering(self, seen: Seen, carry: Any) -> Seen:
        """The same rows with the memory's new state; carry [B, H] is its state before."""
        if not self._architecture.memory_size:
            return seen
        return seen._replace(remembered=self._remember(seen.inputs, seen.images["actor"], carry))

    def _remember(self, inputs: Any, features: Any, carry: Any) -> Any:
        return remember(paddle, self._architecture, self._parameters, inputs, features, carry)

    def _remember_all(self, rollout: Rollout, seen: Seen) -> Any:
        """The memory's state after each step of a rollout, computed from `carry[0]` on: [T N, H]."""
        length, num_envs = rollout.reward.shape
        goes_on = paddle.to_tensor((~(rollout.terminated | rollout.truncated)).astype(np.float32))
        carry, remembered = paddle.to_tensor(rollout.carry[0]), []
        for t in range(length):
            rows = slice(t * num_envs, (t + 1) * num_envs)
            images = seen.images["actor"]
            remembered.append(self._remember(seen.inputs[rows], None if images is None else images[rows], carry))
            carry = remembered[-1] * goes_on[t][:, None]
        return paddle.concat(remembered, 0)

    def _gradient_of(self, loss: Any) -> Floats:
        """The gradient of a loss in the parameters, laid out as theta."""
        gradient = self._flat(paddle.grad(loss, [leaf for _, leaf in self._leaves()], allow_unused=True))
        self._spread()
        return gradient

    def _places(self) -> dict[str, NDArray[np.int64]]:
        """The indices in theta of each array's numbers."""
        ends = np.cumsum(self._sizes)
        spans = zip(self._shapes, ends - self._sizes, ends, strict=True)
        return {name: np.arange(start, end) for name, start, end in spans}

    def _held(self) -> dict[str, Any]:
        """The tensors that the user's own layers hold, by the arrays' names in theta."""
        if self._own is None:
            return {}
        return {
            name_in(network, name): tensor
            for network in NETWORKS
            for name, tensor in self._own.tensors(network).items()
        }

    def _leaves(self) -> list[tuple[Any, Any]]:
        """The tensors that gradients are taken with respect to, each after its place in theta."""
        own = ((place, tensor) for place, tensor in self._of_own if not tensor.stop_gradient)
        return [(self._place_of_ours, self._tensor), *own]

    def _flat(self, gradients: Iterable[Any]) -> Floats:
        """The gradients of the leaves, laid out as theta; 0 for a tensor without gradient."""
        flat = np.zeros_like(self.theta)
        for (place, _), gradient in zip(self._leaves(), gradients, strict=True):
            if gradient is not None:
                flat[place] = gradient.numpy().ravel()
        return flat

    def _spread(self) -> None:
        """Makes a tensor of each of our parameters: parts of one flat tensor, whose gradient therefore is flat, too."""
        shapes = self._shapes_of_ours
        pieces = paddle.split(self._tensor, [int(np.prod(shape)) for shape in shapes.values()])
        self._parameters = {
            name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
        }
