"""A network that runs bring themselves."""

from __future__ import annotations

import warnings
from typing import Any

with warnings.catch_warnings():
    # Importing Paddle warns that ccache, which only compiles Paddle's own C++ extensions, is missing.
    warnings.simplefilter("ignore")
    import paddle


class Residual(paddle.nn.Layer):  # type: ignore[misc]  # Paddle ships no types
    """Layers with shortcuts around them, and a buffer whose numbers are drawn."""

    def __init__(self, num_inputs: int) -> None:
        super().__init__()
        self.enter = paddle.nn.Linear(num_inputs, 16)
        self.blocks = paddle.nn.LayerList([paddle.nn.Linear(16, 16) for _ in range(2)])
        self.norm = paddle.nn.LayerNorm(16)
        self.register_buffer("waves", paddle.randn([16]))

    def forward(self, inputs: Any) -> Any:
        """[B, num_inputs] -> [B, 16]."""
        x = self.enter(inputs)
        for block in self.blocks:
            x = x + paddle.nn.functional.silu(block(self.norm(x)))
        return x + paddle.sin(x * self.waves)
