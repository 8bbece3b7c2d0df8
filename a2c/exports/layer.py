"""The actor-critic as a `paddle.nn.Layer`, for Paddle users.

Load a `.pdparams` file of `a2c export` with `set_state_dict(paddle.load(file))`. Its arrays have the names that the
PaddlePaddle tutorial's layer gives them (its actor and critic are `paddle.nn.Sequential`), so that layer loads it, too.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

with warnings.catch_warnings():
    # Importing Paddle warns that ccache, which only compiles Paddle's own C++ extensions, is missing.
    warnings.simplefilter("ignore")
    import paddle

from a2c.model import Activation
from a2c.model.architecture import Architecture
from a2c.model.blocks import numbered
from a2c.model.own_layers import OwnNetworks

__all__ = ["MLP", "ActorCritic", "Headed", "paddle"]


def _linear(inputs: int, outputs: int) -> Any:
    """A linear layer in float32, whatever Paddle's default type is."""
    default = paddle.get_default_dtype()
    paddle.set_default_dtype("float32")
    try:
        return paddle.nn.Linear(inputs, outputs)
    finally:
        paddle.set_default_dtype(default)


class MLP(paddle.nn.Layer):  # type: ignore[misc]  # Paddle ships no types
    """Fully connected layers with an activation between them; sublayers are named "0", "2", ..., as in a Sequential."""

    def __init__(self, sizes: Sequence[int], activation: Activation) -> None:
        """Layers of widths sizes[0] -> sizes[1] -> ... -> sizes[-1]."""
        super().__init__(dtype="float32")
        linears = [_linear(a, b) for a, b in itertools.pairwise(sizes)]
        for index, linear in enumerate(linears):
            self.add_sublayer(str(2 * index), linear)
        # Looking up a parameter in a Layer costs a tenth of a small matrix product, so they are looked up once.
        self._parameters_of_layers = [(linear.weight, linear.bias) for linear in linears]
        self._activation = {"relu": paddle.nn.functional.relu, "tanh": paddle.tanh}[activation]

    def forward(self, inputs: Any) -> Any:
        """[B, sizes[0]] -> [B, sizes[-1]]."""
        # addmm(bias, x, W) costs a third of calling the linear layer, which matters for as few as 8 rows.
        *hidden, (weight, bias) = self._parameters_of_layers
        for hidden_weight, hidden_bias in hidden:
            inputs = self._activation(paddle.addmm(hidden_bias, inputs, hidden_weight))
        return paddle.addmm(bias, inputs, weight)


class Headed(paddle.nn.Layer):  # type: ignore[misc]  # Paddle ships no types
    """The user's own layer, "layer", and the linear layer that takes its features, "0"."""

    def __init__(self, layer: Any, features: int, outputs: int) -> None:
        """Puts a linear layer, [features, outputs], after the given one."""
        super().__init__(dtype="float32")
        self.layer = layer
        self.add_sublayer("0", _linear(features, outputs))

    def forward(self, *inputs: Any) -> Any:
        """The arguments of the user's own layer -> [B, outputs]."""
        return self._sub_layers["0"](self.layer(*inputs))


class ActorCritic(paddle.nn.Layer):  # type: ignore[misc]  # Paddle ships no types
    """Separate actor and critic. If actions are continuous, `log_std` [A] is a parameter of its own.

    Images are possible only with the user's own layer; they are passed after `obs`.
    """

    def __init__(self, architecture: Architecture) -> None:
        """Makes networks of these sizes, with Paddle's initial values."""
        super().__init__()
        sizes = (architecture.input_size, *architecture.hidden_sizes)
        if architecture.own is None:
            self.actor = MLP((*sizes, architecture.num_outputs), architecture.activation)
            self.critic = MLP((*sizes, 1), architecture.activation)
        else:
            layers = OwnNetworks(architecture.own).layers
            self.actor = Headed(layers["actor"], architecture.own.features, architecture.num_outputs)
            self.critic = Headed(layers["critic"], architecture.own.features, 1)
        if architecture.log_std_size:
            self.log_std = self.create_parameter([architecture.log_std_size], dtype="float32")
        self._has_log_std = architecture.log_std_size > 0

    def set_state_dict(self, state_dict: Mapping[str, Any], use_structured_name: bool = True) -> Any:
        """Loads parameters by the names of a Sequential, or by those of `a2c.model.architecture`."""
        return super().set_state_dict(numbered(state_dict, by=2), use_structured_name)

    def policy(self, obs: Any, *images: Any) -> tuple[Any, ...]:
        """The distribution's parameters: (logits [B, O],) or (mean [B, O], log_std [A])."""
        head = self.actor(obs, *images)
        return (head, self.log_std) if self._has_log_std else (head,)

    def value(self, obs: Any, *images: Any) -> Any:
        """V(s): [B, input_size] -> [B]."""
        return self.critic(obs, *images).squeeze(-1)

    def forward(self, obs: Any, *images: Any) -> tuple[tuple[Any, ...], Any]:
        """The distribution's parameters and the values [B] of observations [B, input_size]."""
        return self.policy(obs, *images), self.value(obs, *images)
