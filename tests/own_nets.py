"""Layers of a user's own: such as can be trained, and such as cannot."""

import numpy as np
import paddle
from paddle.nn import functional


class Torso(paddle.nn.Layer):
    """What our own networks have with hidden_sizes (7, 5) and tanh."""

    def __init__(self, num_inputs):
        super().__init__()
        self.first = paddle.nn.Linear(num_inputs, 7)
        self.second = paddle.nn.Linear(7, 5)

    def forward(self, inputs):
        return paddle.tanh(self.second(paddle.tanh(self.first(inputs))))


class Residual(paddle.nn.Layer):
    """What nothing of ours is like; its numbers are drawn in every way there is."""

    def __init__(self, num_inputs):
        super().__init__()
        self.enter = paddle.nn.Linear(num_inputs, 8)
        self.blocks = paddle.nn.LayerList([paddle.nn.Linear(8, 8) for _ in range(2)])
        self.norm = paddle.nn.LayerNorm(8)
        drawn = np.random.rand(8).astype(np.float32)  # noqa: NPY002 - as many would
        self.scale = paddle.create_parameter([8], "float32", default_initializer=paddle.nn.initializer.Assign(drawn))
        self.register_buffer("waves", paddle.randn([8]))

    def forward(self, inputs):
        x = self.enter(inputs)
        for block in self.blocks:
            x = x + functional.silu(block(self.norm(x)))
        return x * self.scale + paddle.sin(x * self.waves)


class Eye(paddle.nn.Layer):
    """Convolutions for an image, beside numbers."""

    def __init__(self, num_inputs, image):
        super().__init__()
        channels, lines, columns = image
        self.look = paddle.nn.Conv2D(channels, 4, 5, stride=4)
        size = ((lines - 5) // 4 + 1) * ((columns - 5) // 4 + 1) * 4
        self.join = paddle.nn.Linear(num_inputs + size, 6)

    def forward(self, inputs, image):
        seen = functional.silu(self.look(image)).reshape([0, -1])
        return functional.silu(self.join(paddle.concat([inputs, seen], 1)))


class Frozen(paddle.nn.Layer):
    """A part that is not trained, and statistics that stay as they are."""

    def __init__(self, num_inputs):
        super().__init__()
        self.fixed = paddle.nn.Linear(num_inputs, 6)
        self.fixed.weight.stop_gradient = True
        self.norm = paddle.nn.BatchNorm1D(6)
        self.norm.eval()
        self.free = paddle.nn.Linear(6, 6)

    def forward(self, inputs):
        return paddle.tanh(self.free(self.norm(self.fixed(inputs))))


class Tied(Torso):
    """The same parameter under two names."""

    def __init__(self, num_inputs):
        super().__init__(num_inputs)
        self.again = self.second


class _Wrong(Torso):
    """What follows differs from Torso in what is wrong with it."""


class RaisesWhenMade(_Wrong):
    def __init__(self, num_inputs):
        raise KeyError("units")


class RaisesInForward(_Wrong):
    def forward(self, inputs):
        return self.first(paddle.zeros([3, 99]))


class Normalizing(_Wrong):
    def __init__(self, num_inputs):
        super().__init__(num_inputs)
        self.norm = paddle.nn.BatchNorm1D(5)

    def forward(self, inputs):
        return self.norm(super().forward(inputs))


class Dropping(_Wrong):
    def __init__(self, num_inputs):
        super().__init__(num_inputs)
        self.dropout = paddle.nn.Dropout(0.5)

    def forward(self, inputs):
        return self.dropout(super().forward(inputs))


class Flat(_Wrong):
    def forward(self, inputs):
        return super().forward(inputs).sum(1)


class Pair(_Wrong):
    def forward(self, inputs):
        return super().forward(inputs), inputs


class Double(_Wrong):
    def __init__(self, num_inputs):
        super().__init__(num_inputs)
        self.shift = self.create_parameter([5], dtype="float64")

    def forward(self, inputs):
        return super().forward(inputs) + self.shift.astype("float32")


class GivesDouble(_Wrong):
    def forward(self, inputs):
        return super().forward(inputs).astype("float64")


class Counting(_Wrong):
    def __init__(self, num_inputs):
        super().__init__(num_inputs)
        self.register_buffer("order", paddle.arange(num_inputs))


class Unused(_Wrong):
    def __init__(self, num_inputs):
        super().__init__(num_inputs)
        self.third = paddle.nn.Linear(5, 5)


class Mixing(_Wrong):
    def forward(self, inputs):
        return super().forward(inputs - inputs.mean(0))


class Drawn(_Wrong):
    def __init__(self, num_inputs):
        super().__init__(num_inputs)
        self.noise = paddle.randn([5])

    def forward(self, inputs):
        return super().forward(inputs) + self.noise


class NoLayer:
    def __init__(self, num_inputs):
        pass


_ONE = []


def the_same(num_inputs):
    _ONE.append(Torso(num_inputs))
    return _ONE[0]


A_NUMBER = 3


class Twice(paddle.autograd.PyLayer):
    """2 x, whose gradient comes without a graph: there are no second derivatives."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return paddle.to_tensor(gradient.numpy() * 2)


class OnceDifferentiable(Torso):
    def forward(self, inputs):
        return Twice.apply(super().forward(inputs))


class RaisesLater(Torso):
    """Goes wrong after it was tried."""

    def forward(self, inputs):
        if inputs.shape[0] > 3:
            raise ValueError("too many rows")
        return super().forward(inputs)
