"""Products over windows against NumPy, and convolutions made of them against Paddle's."""

import itertools

import numpy as np
import paddle
import pytest

from a2c.kernels import conv, lanes
from a2c.kernels.conv import convolutions_for
from a2c.kernels.lanes import LANES
from a2c.kernels.vectors import padded
from a2c.kernels.windows import product
from a2c.model.images import NATURE, Convolution, reach


def floats(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


# -- products over windows --


def windows(rows, lines, inner, vectors, added, finish):
    """A product over windows that overlap, its results scattered: c, what it must be, and how far it may be off."""
    rng = np.random.default_rng(rows * 100 + lines * 10 + inner)
    width = vectors * LANES
    a, b, f = floats(rng, 300), floats(rng, lines * inner * width + 7), floats(rng, 2 * rows * width)
    c = np.full((2 * rows + 1) * width, np.nan, np.float32)
    starts, places = rng.integers(0, 50, rows), rng.permutation(2 * rows)[:rows] * width
    for place in places:
        c[place : place + width] = floats(rng, width)
    bias = floats(rng, width)
    first = np.stack([c[place : place + width] if added else bias for place in places]).astype(np.float64)
    tables = np.concatenate([starts, places, places]).astype(np.int64)
    plan = [0, 40, 2, inner * width, width, int(added), rows, 2 * rows, rows, lines, inner, width, finish]
    tables, at = np.concatenate([tables, plan]).astype(np.int64), len(tables)
    before = c.copy()
    product(tables, at, a, 3, b, 7, c if added else bias, 0, c, 0, f, 0)
    grid = 3 + starts[:, None, None] + 40 * np.arange(lines)[:, None] + 2 * np.arange(inner)
    left = a[grid].reshape(rows, -1).astype(np.float64)
    right = b[7:].reshape(-1, width).astype(np.float64)
    total, size = first + left @ right, np.abs(first) + np.abs(left) @ np.abs(right)
    value = np.stack([f[place : place + width] for place in places]).astype(np.float64)
    expected = {
        lanes.AS_IT_IS: total,
        lanes.RECTIFIED: np.maximum(total, 0),
        lanes.TIMES_RELU_DERIVATIVE: total * (value > 0),
        lanes.TIMES_TANH_DERIVATIVE: total * (1 - value**2),
    }[finish]
    touched = np.zeros(len(c), bool)
    for place in places:
        touched[place : place + width] = True
    assert c[~touched].tobytes() == before[~touched].tobytes()
    result = np.stack([c[place : place + width] for place in places])
    return result, expected, (lines * inner + 4) * 2.0**-24 * size * np.maximum(1, value**2)


@pytest.mark.parametrize("finish", range(4))
@pytest.mark.parametrize("added", [False, True])
def test_products_over_windows_are_those_of_numpy(added, finish):
    for rows, (lines, inner), vectors in itertools.product(
        [1, 3, 4, 7, 8, 9, 17], [(0, 3), (1, 1), (2, 5), (3, 8)], [1, 2, 3, 4, 5, 7, 9]
    ):
        result, expected, error = windows(rows, lines, inner, vectors, added, finish)
        assert (np.abs(result - expected) <= error).all(), (rows, lines, inner, vectors)


# -- convolutions --

CASES = {
    "NatureCNN": ((84, 84), 4, NATURE.convolutions, False),
    "NatureCNN, tanh": ((84, 84), 4, NATURE.convolutions, True),
    "cells of MiniGrid": ((7, 7), 3, [Convolution(16, 2, 1), Convolution(32, 2, 1), Convolution(64, 2, 1)], False),
    "same, not square": ((7, 9), 3, [Convolution(16, 3, 1, "same"), Convolution(20, 3, 2, "same")], False),
    "same, wide strides": ((13, 10), 1, [Convolution(7, 5, 3, "same"), Convolution(33, 3, 2, "same")], True),
    "kernels below their stride": ((10, 11), 2, [Convolution(8, 3, 2), Convolution(8, 2, 3)], False),
    "single pixels": ((12, 12), 2, [Convolution(8, 1, 1), Convolution(8, 1, 2), Convolution(100, 3, 1, "same")], False),
    "one layer": ((9, 9), 5, [Convolution(24, 4, 2)], False),
    "whole images": ((4, 6), 2, [Convolution(8, 4, 1), Convolution(8, 1, 1)], False),
}


class Layers:
    """Convolutions with parameters, and an image that has been through them; Paddle may repeat it."""

    def __init__(self, size, channels, layers, is_tanh, seed=0):
        rng = np.random.default_rng(seed)
        self.layers, self.is_tanh = layers, is_tanh
        self.laid_out = convolutions_for(size, channels, layers, is_tanh, first=5)
        self.theta = np.zeros(5 + self.laid_out.parameters, np.float32)
        self.weights = []
        for layer, weight, bias in zip(layers, *self.views(self.theta, channels), strict=True):
            weight[...] = floats(rng, *weight.shape) / np.sqrt(weight[..., 0].size)
            bias[...] = floats(rng, layer.filters)
            self.weights.append((weight.copy(), bias.copy()))
        self.channels = channels
        self.pixels = floats(rng, *size, channels)
        self.image = np.zeros(self.laid_out.image, np.float32)
        for y, line in enumerate(self.pixels):
            start = self.laid_out.image_at + y * self.laid_out.image_line
            self.image[start : start + line.size] = line.ravel()
        self.room = np.zeros(self.laid_out.room, np.float32)
        conv.forward(self.laid_out, self.theta, self.image, 0, self.room, 0)

    def views(self, flat, channels):
        """Weights [k, k, C, O] and biases [O] of each layer in an array laid out as theta."""
        weights, biases, stored = [], [], channels
        for layer, row in zip(self.layers, self.laid_out.layers, strict=True):
            o = layer.filters
            whole = flat[row[conv.WEIGHT] : row[conv.BIAS]].reshape(layer.kernel, layer.kernel, stored, padded(o))
            weights.append(whole[:, :, :channels, :o])
            biases.append(flat[row[conv.BIAS] : row[conv.BIAS] + o])
            channels, stored = o, padded(o)
        return weights, biases

    @property
    def outputs(self):
        """[lines, columns, O] of the last layer."""
        return self.room[self.laid_out.room - self.laid_out.outputs :].reshape(*self.out_size(), -1)

    def out_size(self):
        size = self.pixels.shape[:2]
        for layer in self.layers:
            size = tuple(reach(along, layer)[0] for along in size)
        return size

    def gradient(self, dy, times=1):
        """Of sum(dy * outputs), by our kernels, so many times one upon the other."""
        laid_out = self.laid_out
        values = self.outputs[..., : dy.shape[2]]
        before_f = dy * ((1 - values**2) if self.is_tanh else values > 0)
        last = laid_out.layers[-1]
        gradients, gradient = np.zeros(laid_out.gradients, np.float32), np.zeros_like(self.theta)
        line = laid_out.tables[last[conv.WEIGHTS] + 3]
        for y, x in np.ndindex(*dy.shape[:2]):
            start = last[conv.DY_INSIDE] + y * line + x * padded(dy.shape[2])
            gradients[start : start + dy.shape[2]] = before_f[y, x]
        turned = np.zeros(laid_out.turned, np.float32)
        conv.turn(laid_out, self.theta, turned)
        zeros, one = np.zeros(128, np.float32), np.ones(1, np.float32)
        for _ in range(times):
            conv.backward(laid_out, turned, self.image, 0, self.room, 0, gradients, 0, gradient, 0, zeros, one)
        return gradient

    def by_paddle(self, dy):
        """Outputs, and the gradients of sum(dy * outputs) in weights and biases."""
        tensors = []
        x = paddle.to_tensor(self.pixels[None])
        for layer, (weight, bias) in zip(self.layers, self.weights, strict=True):
            w, b = paddle.to_tensor(weight.transpose(3, 2, 0, 1)), paddle.to_tensor(bias)
            w.stop_gradient = b.stop_gradient = False
            tensors += [w, b]
            x = paddle.nn.functional.conv2d(
                x, w, b, stride=layer.stride, padding=layer.padding.upper(), data_format="NHWC"
            )
            x = paddle.tanh(x) if self.is_tanh else paddle.nn.functional.relu(x)
        (x[0] * paddle.to_tensor(dy)).sum().backward()
        gradients = [tensor.grad.numpy() for tensor in tensors]
        return x.numpy()[0], [w.transpose(2, 3, 1, 0) for w in gradients[::2]], gradients[1::2]


def close(ours, theirs):
    return np.abs(ours - theirs).max() <= 3e-6 * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize("name", CASES)
def test_convolutions_and_their_gradients_are_paddles(name):
    layers = Layers(*CASES[name])
    dy = floats(np.random.default_rng(1), *layers.out_size(), layers.layers[-1].filters)
    outputs, weights, biases = layers.by_paddle(dy)
    assert close(layers.outputs[..., : dy.shape[2]], outputs)
    assert not layers.outputs[..., dy.shape[2] :].any()
    gradient = layers.gradient(dy)
    for ours, theirs in zip(layers.views(gradient, layers.channels), (weights, biases), strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            assert close(mine, other)
    for view in itertools.chain(*layers.views(gradient, layers.channels)):
        view[...] = 0
    assert not gradient.any()  # Nor is anything added to what only fills up vectors.


def test_the_gradient_is_that_of_differences():
    layers = Layers((8, 8), 2, [Convolution(4, 3, 2), Convolution(3, 2, 1, "same")], True)
    rng = np.random.default_rng(2)
    dy = floats(rng, *layers.out_size(), 3)
    gradient = layers.gradient(dy).astype(np.float64)

    def loss(weights):
        x = layers.pixels.astype(np.float64)
        for layer, (weight, bias) in zip(layers.layers, weights, strict=True):
            paddings = [reach(along, layer)[1:] for along in x.shape[:2]]
            x = np.pad(x, [*paddings, (0, 0)])
            views = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), (0, 1))
            seen = views[:: layer.stride, :: layer.stride]
            x = np.tanh(np.einsum("yxcij,ijco->yxo", seen, weight) + bias)
        return (x * dy).sum()

    weights = [(w.astype(np.float64), b.astype(np.float64)) for w, b in layers.weights]
    ours = list(zip(*layers.views(gradient, 2), strict=True))
    for number, part in itertools.product(range(2), range(2)):
        array = weights[number][part]
        for index in [tuple(rng.integers(0, along) for along in array.shape) for _ in range(10)]:
            values = []
            for change in (1e-5, -1e-5):
                array[index] += change
                values.append(loss(weights))
                array[index] -= change
            assert abs((values[0] - values[1]) / 2e-5 - ours[number][part][index]) < 1e-5


def test_a_gradient_is_added_to_what_is_there():
    layers = Layers((9, 9), 3, [Convolution(8, 3, 1)], False)
    dy = np.ones((*layers.out_size(), 8), np.float32)
    once = layers.gradient(dy)
    assert once.any()
    assert close(layers.gradient(dy, times=2), 2 * once)


@pytest.mark.parametrize(
    ("size", "convolution", "expected"),
    [
        (84, Convolution(1, 8, 4), (20, 0, 0)),
        (9, Convolution(1, 3, 1), (7, 0, 0)),
        (7, Convolution(1, 2, 1, "same"), (7, 0, 1)),
        (9, Convolution(1, 3, 2, "same"), (5, 1, 1)),
        (10, Convolution(1, 3, 2, "same"), (5, 0, 1)),
        (5, Convolution(1, 1, 3, "same"), (2, 0, 0)),
    ],
)
def test_windows_along_a_size(size, convolution, expected):
    assert reach(size, convolution) == expected


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match=r"8 x 8 pixels does not fit \(7, 7\)"):
        convolutions_for((7, 7), 3, [Convolution(8, 8, 4)])
