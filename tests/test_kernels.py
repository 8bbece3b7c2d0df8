"""The kernels against NumPy: products, activations, heads, optimizers, random numbers, statistics, threads."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import gymnasium
import numpy as np
import pytest
import scipy.special
import scipy.stats
from engine_cases import Case

from a2c import randomness
from a2c.kernels import heads, lanes, narrow, optimizer, passes, random, rollout, simd, statistics
from a2c.kernels.compiler import compiled
from a2c.kernels.lanes import LANES
from a2c.kernels.threads import Crew, meet
from a2c.kernels.vectors import flat, numbers, tanh
from a2c.model.factors import Actions
from a2c.moments import EPSILON, Moments
from a2c.returns import gae
from a2c.team import Team

# -- products --


AS_IT_IS = (lanes.AS_IT_IS, np.zeros(1, np.float32), 0, 0)


def floats(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def products(rows, inner, vectors, transposed, init):
    """A product on pieces of larger arrays by `matmul`: C, what it must be, how far it may be off, and what is around.

    Args:
        rows: Of A.
        inner: Columns of A.
        vectors: Width of B, in vectors.
        transposed: A is stored by columns.
        init: "zeros" and "rows" start from a matrix, "row" from one row for all, "C" from C itself.
    """
    rng = np.random.default_rng(rows * 1000 + inner * 10 + vectors)
    width, stride, start = vectors * LANES, vectors * LANES + 3, 5
    a = floats(rng, inner, rows + 2) if transposed else floats(rng, rows, inner + 2)
    b, c = floats(rng, inner + 1, stride), floats(rng, rows + 1, stride)
    other = floats(rng, rows + 1, stride) if init == "rows" else np.zeros((rows + 1, stride), np.float32)
    flat_a, flat_b, flat_c, flat_init = (
        np.concatenate([np.full(start, np.nan, np.float32), array.ravel()]) for array in (a, b, c, other)
    )
    row = floats(rng, width)
    a_row, a_k = (1, rows + 2) if transposed else (inner + 2, 1)
    begins = {"zeros": (flat_init, start, stride), "rows": (flat_init, start, stride), "row": (row, 0, 0)}
    begins["C"] = (flat_c, start, stride)
    first = {"zeros": other, "rows": other, "C": c.copy(), "row": np.tile(row, (rows, 1))}[init][:rows, :width]
    before = flat_c.copy()
    simd.matmul(
        flat_a, start, a_row, a_k, flat_b, start, stride, *begins[init], flat_c, start, stride,
        rows, inner, width, lanes.AS_IT_IS, row, 0, 0,
    )  # fmt: skip
    left = (a.T[:rows] if transposed else a[:, :inner]).astype(np.float64)
    right = b[:inner, :width].astype(np.float64)
    inside = np.zeros((rows + 1, stride), bool)
    inside[:rows, :width] = True
    expected = first + left @ right
    size = np.abs(first) + np.abs(left) @ np.abs(right)
    result = flat_c[start:].reshape(rows + 1, stride)
    untouched = flat_c[start:][~inside.ravel()].tobytes() == before[start:][~inside.ravel()].tobytes()
    return result[:rows, :width], expected, (inner + 1) * 2.0**-24 * size, untouched and np.isnan(flat_c[:start]).all()


@pytest.mark.parametrize("init", ["zeros", "rows", "row", "C"])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_every_size_are_those_of_numpy(transposed, init):
    for rows, inner, vectors in itertools.product([1, 2, 3, 4, 5, 8, 11, 33], [0, 1, 2, 7, 33], [1, 2, 3, 4, 5, 9]):
        result, expected, error, untouched = products(rows, inner, vectors, transposed, init)
        assert (np.abs(result - expected) <= error).all(), (rows, inner, vectors)
        assert untouched, (rows, inner, vectors)


def test_a_matrix_of_ones_by_strides_of_zero_sums_rows():
    b, one = floats(np.random.default_rng(0), 33, 2 * LANES), np.ones(1, np.float32)
    total = np.full(2 * LANES, 7, np.float32)
    simd.matmul(one, 0, 0, 0, b.ravel(), 0, 2 * LANES, total, 0, 0, total, 0, 0, 1, 33, 2 * LANES, *AS_IT_IS)
    np.testing.assert_allclose(total, 7 + b.sum(0), rtol=1e-5, atol=1e-5)


def test_a_row_of_a_product_does_not_depend_on_how_many_are_computed_together():
    rng, rows, inner, width = np.random.default_rng(0), 13, 50, 7 * LANES
    a, b, bias = floats(rng, rows, inner), floats(rng, inner, width).ravel(), floats(rng, width)

    def product(first, count):
        c = np.zeros(count * width, np.float32)
        simd.matmul(
            a.ravel(), first * inner, inner, 1, b, 0, width, bias, 0, 0, c, 0, width, count, inner, width, *AS_IT_IS
        )
        return c.reshape(count, width)

    whole = product(0, rows)
    for first in range(rows):
        for count in range(1, rows - first + 1):
            np.testing.assert_array_equal(product(first, count), whole[first : first + count])


def finished(finish, total, f):
    """What `finish` makes of a product by NumPy."""
    match finish:
        case lanes.RECTIFIED:
            return np.where(total < 0, np.float32(0), total)
        case lanes.TIMES_RELU_DERIVATIVE:
            return np.where(f > 0, total, np.float32(0))
        case lanes.TIMES_TANH_DERIVATIVE:
            return total * (1 - f * f)
        case _:
            return total


@pytest.mark.parametrize(
    "finish", [lanes.AS_IT_IS, lanes.RECTIFIED, lanes.TIMES_RELU_DERIVATIVE, lanes.TIMES_TANH_DERIVATIVE]
)
def test_products_are_finished_by_activations_and_their_derivatives(finish):
    rng = np.random.default_rng(0)
    for rows, vectors in itertools.product([1, 4, 7], [1, 4, 6]):
        width, inner, stride = vectors * LANES, 9, vectors * LANES + 3
        a, b = floats(rng, rows, inner), floats(rng, inner, width)
        b[:, 0] = np.nan  # stays, whatever is done with it, unless it is multiplied by nothing
        f, zeros, c = (
            np.tanh(floats(rng, rows, stride)),
            np.zeros(width, np.float32),
            np.zeros(rows * width, np.float32),
        )
        arguments = (a.ravel(), 0, inner, 1, b.ravel(), 0, width, zeros, 0, 0, c, 0, width, rows, inner, width)
        simd.matmul(*arguments, lanes.AS_IT_IS, zeros, 0, 0)
        expected = finished(finish, c.copy().reshape(rows, width), f[:, :width])
        simd.matmul(*arguments, finish, np.concatenate([zeros[:2], f.ravel()]), 2, stride)
        np.testing.assert_array_equal(c.reshape(rows, width), expected)


def test_sums_of_products_of_every_length_are_those_of_numpy():
    rng = np.random.default_rng(0)
    a, b = floats(rng, 7 * (20 * LANES + 9)), floats(rng, 20 * LANES + 9)
    for n, a0, b0, rows in itertools.product(range(0, 19 * LANES, LANES), [0, 9], [0, 5], [1, 3, 4, 6]):
        c = np.full(2 + 3 * rows, 7, np.float32)
        simd.dots(a, a0, 19 * LANES, b, b0, n, np.float32(0.5), c, 2, 3, rows)
        for i in range(rows):
            start = a0 + i * 19 * LANES
            x, y = a[start : start + n].astype(np.float64), b[b0 : b0 + n].astype(np.float64)
            error = (n + 1) * 2.0**-24 * (0.5 + np.abs(x * y).sum())
            assert abs(c[2 + 3 * i] - (0.5 + (x * y).sum())) <= error
        assert np.delete(c, range(2, 2 + 3 * rows, 3)).tolist() == [7] * (2 + 2 * rows)


def test_a_sum_of_products_does_not_depend_on_how_many_are_computed_together():
    rng, n = np.random.default_rng(0), 11 * LANES
    a, b = floats(rng, 9 * n), floats(rng, n)
    whole, single = np.zeros(9, np.float32), np.zeros(1, np.float32)
    simd.dots(a, 0, n, b, 0, n, np.float32(0.1), whole, 0, 1, 9)
    for i in range(9):
        simd.dots(a, i * n, n, b, 0, n, np.float32(0.1), single, 0, 1, 1)
        assert single[0] == whole[i]


@pytest.mark.parametrize("is_tanh", [False, True])
def test_going_back_through_a_head_gives_the_sums_of_separate_products_to_the_bit(is_tanh):
    rng = np.random.default_rng(0)
    derivative = lanes.TIMES_TANH_DERIVATIVE if is_tanh else lanes.TIMES_RELU_DERIVATIVE
    zeros, one = np.zeros(9 * LANES, np.float32), np.ones(1, np.float32)
    for outputs, rows, vectors in itertools.product([1, 2, 3, 4], [1, 4, 33], [1, 2, 3, 4, 7, 9]):
        row, stride = vectors * LANES, vectors * LANES + 3
        x, w, dy = np.tanh(floats(rng, rows * row)), floats(rng, outputs * row), floats(rng, rows * outputs)
        x = x if is_tanh else np.maximum(x, 0)
        g, dx = floats(rng, 5 + (outputs + 1) * row), np.full(2 + rows * stride, 7, np.float32)
        expected_g, expected_dx = g.copy(), dx.copy()
        weights, biases = 5, 5 + outputs * row
        separately = {
            "dW": (dy, 0, 1, outputs, x, 0, row, *(expected_g, weights, row) * 2, outputs, rows, row, *AS_IT_IS),
            "dz": (
                dy, 0, outputs, 1, w, 0, row, zeros, 0, 0, expected_dx, 2, stride, rows, outputs, row,
                derivative, x, 0, row,
            ),
            "db": (one, 0, 0, 0, expected_dx, 2, stride, *(expected_g, biases, 0) * 2, 1, rows, row, *AS_IT_IS),
        }  # fmt: skip
        for arguments in separately.values():
            simd.matmul(*arguments)
        first = LANES * (vectors // 2)  # Some of the columns, then the rest.
        for start, columns in ((0, first), (first, row - first)):
            narrow.back_through_head(
                x, start, row, dy, 0, w, start, g, weights + start, biases + start, dx, 2 + start, stride,
                rows, columns, outputs, is_tanh,
            )  # fmt: skip
        assert (g.tobytes(), dx.tobytes()) == (expected_g.tobytes(), expected_dx.tobytes()), (outputs, rows, vectors)


def test_transposes_of_every_size_are_those_of_numpy():
    rng = np.random.default_rng(0)
    for rows, columns in itertools.product(
        [0, 1, 7, LANES, 2 * LANES + 5, 64], [1, 9, LANES, 3 * LANES, 5 * LANES + 1]
    ):
        a, b = floats(rng, rows, columns + 3), np.full(2 + (columns + 1) * (rows + 5), 7, np.float32)
        simd.transpose(a.ravel(), 0, columns + 3, b, 2, rows + 5, rows, columns)
        expected = np.full((columns + 1, rows + 5), 7, np.float32)
        expected[:columns, :rows] = a[:, :columns].T
        assert b.tobytes() == np.concatenate([b[:2], expected.ravel()]).tobytes(), (rows, columns)


@compiled
def flat_pieces(array, first):
    whole, piece = flat(array), flat(array[first])
    piece[0] = 7
    return whole.size, whole.shape[0], whole.strides[0], piece.size, whole[first * piece.size], whole[-1]


def test_an_array_as_one_row_is_a_view_of_all_its_numbers():
    for shape in [(4, 5), (2, 3, 4), (3, 1, 2, 2)]:
        array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
        inner = array[0].size
        assert flat_pieces(array, 1) == (array.size, array.size, 8, inner, 7.0, array.ravel()[-1])
        assert array.ravel()[inner] == 7


def test_numbers_begin_a_line_of_the_cache():
    for count in (1, 7, 1000):
        found = [numbers(count) for _ in range(20)]
        assert {one.__array_interface__["data"][0] % 64 for one in found} == {0}
        assert {(one.shape, one.dtype, one.any()) for one in found} == {((count,), np.dtype(np.float32), False)}


@pytest.mark.parametrize("hidden_sizes", [(), (33, 7), (256,)], ids=str)
def test_every_layer_begins_a_line_of_the_cache(hidden_sizes):
    space = gymnasium.spaces.Box(-1, 1, (3,))
    case = Case("compiled", space, gymnasium.spaces.Discrete(3), (5, 3), hidden_sizes=hidden_sizes)
    network = passes.network_for(case.architecture, 7, 7)
    starts = [network.layers[:, place] for place in (passes.WEIGHT, passes.BIAS, passes.Y)]
    assert not np.any(np.concatenate(starts) % LANES)


def test_the_square_norm_is_the_sum_of_squares():
    x, out = floats(np.random.default_rng(0), 1024), np.zeros(1, np.float32)
    for start, stop in [(0, 1024), (512, 512 + 2 * LANES)]:
        optimizer.square_norm(x, start, stop, out)
        assert out[0] == pytest.approx(np.sum(x[start:stop].astype(np.float64) ** 2), rel=1e-6)


# -- activations --


def test_tanh_is_off_by_at_most_one_in_a_million_wherever_there_are_floats():
    # Every 2,053rd bit pattern: all exponents, both signs, denormals and kinds of NaN among them.
    x = np.concatenate(
        [
            np.arange(0, 2**32, 2053, np.uint32).view(np.float32),
            np.float32([0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38]),
            np.linspace(-9, 9, 10**6, dtype=np.float32),
        ]
    )
    y = x.copy()
    with np.errstate(invalid="ignore"):
        expected = np.tanh(x.astype(np.float64))
    tanh(y)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    whole = ~np.isnan(x)
    assert np.abs(y[whole] - expected[whole]).max() <= 1e-6
    assert np.abs(y[whole]).max() <= 1
    assert (np.signbit(y[whole]) == np.signbit(x[whole])).all()
    small = whole & (np.abs(x) < 1e-3) & (np.abs(x) > 1e-37)
    np.testing.assert_allclose(y[small], expected[small], rtol=1e-6)


def test_a_tanh_does_not_depend_on_what_is_computed_with_it():
    x = 3 * floats(np.random.default_rng(0), 200)
    whole = x.copy()
    tanh(whole)
    for start, stop in [(0, 1), (1, 2), (3, 50), (7, 8 + LANES), (0, 199), (100, 200)]:
        part = x[start:stop].copy()
        tanh(part)
        np.testing.assert_array_equal(part, whole[start:stop])


# -- heads --


ALL = np.zeros(0, np.uint8), -1
"""The mask that allows everything, and where it starts."""


def categorical(logits, action, advantage, entropy_coef):
    """-A log pi(a) - c H, in float64."""
    p = np.exp(logits - logits.max())
    log_p = logits - logits.max() - np.log(p.sum())
    return -advantage * log_p[action] + entropy_coef * np.sum(np.exp(log_p) * log_p)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 33])
def test_the_gradient_of_a_discrete_head_is_that_of_its_loss(n):
    rng = np.random.default_rng(n)
    logits, advantage, action = floats(rng, n), np.float32(1.5), int(rng.integers(n))
    out = np.full(n + 4, 9, np.float32)
    padded = np.concatenate([np.full(3, 9, np.float32), logits])
    log_prob, entropy = heads.differentiate_categorical(
        padded, 3, n, action, *ALL, advantage, np.float32(0.3), np.float32(0.25), out, 2
    )
    double = logits.astype(np.float64)
    expected = [
        (categorical(double + step, action, 1.5, 0.3) - categorical(double - step, action, 1.5, 0.3)) / 2e-6
        for step in 1e-6 * np.eye(n)
    ]
    np.testing.assert_allclose(out[2 : n + 2], 0.25 * np.array(expected), rtol=1e-4, atol=1e-6)
    assert out[:2].tolist() + out[n + 2 :].tolist() == [9, 9, 9, 9]
    assert log_prob == pytest.approx(-categorical(double, action, 1, 0), abs=1e-5)
    assert entropy == pytest.approx(-categorical(double, action, 0, 1), abs=1e-5)


def test_logits_far_apart_are_no_trouble():
    logits, out = np.float32([3e4, -3e4, 0]), np.zeros(3, np.float32)
    log_prob, entropy = heads.differentiate_categorical(
        logits, 0, 3, 1, *ALL, np.float32(1), np.float32(0.1), np.float32(1), out, 0
    )
    assert (log_prob, entropy) == (-6e4, 0)
    assert out.tolist() == [1, -1, 0]
    for uniform in (0, 0.5, 1 - 2.0**-24):
        assert heads.sample_categorical(logits, 0, 3, np.float32(uniform), *ALL) == 0


@pytest.mark.parametrize("n", [1, 2, 3, 5, 33])
def test_discrete_actions_come_as_often_as_their_probabilities_say(n):
    rng = np.random.default_rng(n)
    logits = floats(rng, n + 2)
    uniform = (np.arange(20_000, dtype=np.float32) + np.float32(0.5)) / np.float32(20_000)
    actions = np.array([heads.sample_categorical(logits, 1, n, u, *ALL) for u in uniform])
    probability = np.exp(logits[1 : n + 1].astype(np.float64))
    probability /= probability.sum()
    np.testing.assert_allclose(np.bincount(actions, minlength=n) / 20_000, probability, rtol=0, atol=2e-4)
    assert (np.diff(actions) >= 0).all()
    ends = [heads.sample_categorical(logits, 1, n, np.float32(u), *ALL) for u in (0, 1 - 2.0**-24)]
    assert ends == [0, n - 1]


def test_discrete_actions_are_those_of_the_policy_in_numpy():
    rng, actions = np.random.default_rng(0), Actions(gymnasium.spaces.Discrete(5))
    logits, noise = floats(rng, 2000, 5), rng.random((2000, 1), dtype=np.float32)
    ours = [heads.sample_categorical(row, 0, 5, u, *ALL) for row, (u,) in zip(logits, noise, strict=True)]
    theirs = actions.sample(logits, np.zeros(0, np.float32), noise)[:, 0]
    assert np.mean(ours == theirs) > 0.999  # but for rounding at a boundary


def gaussian(mean, log_std, action, advantage, entropy_coef):
    """-A log pi(a) - c H, in float64."""
    log_prob = scipy.stats.norm(mean, np.exp(log_std)).logpdf(action).sum()
    return -advantage * log_prob - entropy_coef * scipy.stats.norm(mean, np.exp(log_std)).entropy().sum()


@pytest.mark.parametrize("n", [1, 2, 5, 33])
def test_the_gradient_of_a_continuous_head_is_that_of_its_loss(n):
    rng = np.random.default_rng(n)
    mean, theta, noise = floats(rng, 3, n + 3)
    action = np.zeros(n + 5, np.float32)
    heads.sample_gaussian(mean, 1, theta, 2, n, noise, 3, action, 4)
    double_mean, double_std = mean[1 : n + 1].astype(np.float64), theta[2 : n + 2].astype(np.float64)
    drawn = action[4 : n + 4].astype(np.float64)
    np.testing.assert_allclose(drawn, double_mean + np.exp(double_std) * noise[3 : n + 3], rtol=1e-5, atol=1e-6)

    out, gradient = np.full(n + 2, 9, np.float32), np.full(n + 3, 2, np.float32)
    log_prob, entropy = heads.differentiate_gaussian(
        mean, 1, theta, 2, n, action, 4, np.float32(1.5), np.float32(0.3), np.float32(0.25), out, 1, gradient, 2
    )
    for analytic, moves_mean in ((out[1 : n + 1], True), (gradient[2 : n + 2] - 2, False)):
        expected = []
        for step in 1e-6 * np.eye(n):
            sides = [
                gaussian(double_mean + s * moves_mean, double_std + s * (not moves_mean), drawn, 1.5, 0.3)
                for s in (step, -step)
            ]
            expected.append(0.25 * (sides[0] - sides[1]) / 2e-6)
        np.testing.assert_allclose(analytic, expected, rtol=2e-4, atol=1e-5)
    assert (out[0], out[-1], gradient[:2].tolist(), gradient[-1]) == (9, 9, [2, 2], 2)
    assert log_prob == pytest.approx(-gaussian(double_mean, double_std, drawn, 1, 0), rel=1e-5, abs=1e-4)
    assert entropy == pytest.approx(-gaussian(double_mean, double_std, drawn, 0, 1), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("n", [2, 5, 33])
def test_a_masked_discrete_head_is_one_of_the_choices_that_are_left(n):
    rng = np.random.default_rng(n)
    logits, mask = floats(rng, n), (rng.random(n + 2) < 0.5).astype(np.uint8)
    mask[n // 2 + 2] = 1
    left = np.flatnonzero(mask[2:])
    for place, action in enumerate(left.tolist()):
        out, fewer = np.full(n, 9, np.float32), np.full(len(left), 9, np.float32)
        numbers = np.float32(1.5), np.float32(0.3), np.float32(0.25)
        masked = heads.differentiate_categorical(logits, 0, n, action, mask, 2, *numbers, out, 0)
        alone = heads.differentiate_categorical(logits[left], 0, len(left), place, *ALL, *numbers, fewer, 0)
        assert masked == alone
        np.testing.assert_array_equal(out[left], fewer)
        assert not np.delete(out, left).any()
    for u in (np.arange(1000, dtype=np.float32) + np.float32(0.5)) / np.float32(1000):
        sampled = heads.sample_categorical(logits, 0, n, u, mask, 2)
        assert sampled == left[heads.sample_categorical(logits[left], 0, len(left), u, *ALL)]


def bernoulli(logits, bits, advantage, entropy_coef):
    """-A log pi(a) - c H, in float64."""
    distribution = scipy.stats.bernoulli(scipy.special.expit(logits))
    return -advantage * distribution.logpmf(bits).sum() - entropy_coef * distribution.entropy().sum()


@pytest.mark.parametrize("n", [1, 2, 5, 33])
def test_the_gradient_of_a_head_of_bits_is_that_of_its_loss(n):
    rng = np.random.default_rng(n)
    logits, bits = floats(rng, n + 1), rng.integers(0, 2, n)
    action, out = np.append(9, bits).astype(np.float32), np.full(n + 3, 9, np.float32)
    log_prob, entropy = heads.differentiate_bernoulli(
        logits, 1, n, action, 1, *ALL, np.float32(1.5), np.float32(0.3), np.float32(0.25), out, 2
    )
    double = logits[1:].astype(np.float64)
    expected = [
        (bernoulli(double + step, bits, 1.5, 0.3) - bernoulli(double - step, bits, 1.5, 0.3)) / 2e-6
        for step in 1e-6 * np.eye(n)
    ]
    np.testing.assert_allclose(out[2 : n + 2], 0.25 * np.array(expected), rtol=1e-4, atol=1e-6)
    assert out[:2].tolist() + out[n + 2 :].tolist() == [9, 9, 9]
    assert log_prob == pytest.approx(-bernoulli(double, bits, 1, 0), rel=1e-5, abs=1e-5)
    assert entropy == pytest.approx(-bernoulli(double, bits, 0, 1), rel=1e-5, abs=1e-5)


def test_logits_of_bits_far_from_zero_are_no_trouble():
    logits, out = np.float32([3e4, -3e4, 3e4]), np.zeros(3, np.float32)
    log_prob, entropy = heads.differentiate_bernoulli(
        logits, 0, 3, np.float32([1, 0, 0]), 0, *ALL, np.float32(1), np.float32(0.1), np.float32(1), out, 0
    )
    assert (log_prob, entropy, out.tolist()) == (-3e4, 0, [0, 0, 1])
    for uniform in (0.5, 1 - 2.0**-24):
        heads.sample_bernoulli(logits, 0, 3, np.full(3, uniform, np.float32), 0, *ALL, out, 0)
        assert out.tolist() == [1, 0, 1]


# -- optimizers --


def rule(is_adam, beta1=0.9, beta2=0.99, epsilon=1e-5, size=100, limit=math.inf):
    zeros, blocks = np.zeros((2, size), np.float32), -(-size // optimizer.NORM_BLOCK)
    return optimizer.Optimizer(
        is_adam, beta1, beta2, epsilon, limit, *zeros, np.zeros(1, np.int64), np.zeros(blocks, np.float32), np.zeros(1)
    )


@pytest.mark.parametrize("is_adam", [True, False])
def test_optimizers_follow_their_papers_step_by_step(is_adam):
    rng = np.random.default_rng(0)
    ours, theta = rule(is_adam), floats(rng, 100)
    step = optimizer.adam if is_adam else optimizer.rmsprop
    expected, m, v = theta.astype(np.float64), np.zeros(100), np.zeros(100)
    for t in range(1, 30):
        gradient = floats(rng, 100)
        g = 0.5 * gradient.astype(np.float64)
        # In two parts, as threads do it.
        step(ours, theta, gradient, 0, 37, 0.5, 0.01)
        step(ours, theta, gradient, 37, 100, 0.5, 0.01)
        ours.updates[0] += 1
        v = 0.99 * v + 0.01 * g**2
        if is_adam:
            m = 0.9 * m + 0.1 * g
            expected -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-5)
        else:
            expected -= 0.01 * g / np.sqrt(v + 1e-5)
        np.testing.assert_allclose(theta, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.second, v, rtol=1e-4)


@pytest.mark.parametrize("is_adam", [True, False])
def test_moments_of_a_parameter_without_gradient_become_zero_before_arithmetic_becomes_slow(is_adam):
    ours, theta = rule(is_adam), np.ones(100, np.float32)
    step = optimizer.adam if is_adam else optimizer.rmsprop
    step(ours, theta, np.full(100, 1e-3, np.float32), 0, 100, 1.0, 0.01)
    smallest = np.inf
    for _ in range(10_000):
        ours.updates[0] += 1
        step(ours, theta, np.zeros(100, np.float32), 0, 100, 1.0, 0.01)
        for moment in (ours.first, ours.second):
            smallest = min([smallest, *np.abs(moment[moment != 0])])
    assert smallest > np.finfo(np.float32).tiny
    assert not ours.second.any()
    assert not ours.first.any()
    assert np.isfinite(theta).all()


@pytest.mark.parametrize("limit", [math.inf, 1e3, 0.1])
@pytest.mark.parametrize("is_adam", [True, False])
def test_a_step_clips_by_the_global_norm_whoever_takes_it(is_adam, limit):
    rng, size = np.random.default_rng(0), 3 * optimizer.NORM_BLOCK + 5 * LANES
    start, gradient = floats(rng, 2, size)
    norm = np.sqrt(np.sum(gradient.astype(np.float64) ** 2))
    results = []
    for threads in (1, 2, 3):
        ours, theta = rule(is_adam, size=size, limit=limit), start.copy()
        assert Team(threads).run(optimizer.step, ours, theta, gradient, 0.01)
        assert ours.norm[0] == pytest.approx(norm, rel=1e-6)
        assert ours.updates.tolist() == [1]
        results.append((theta.tobytes(), ours.first.tobytes(), ours.second.tobytes(), ours.norm[0]))
    assert results == results[:1] * 3
    by_hand, theta = rule(is_adam, size=size), start.copy()
    scale = min(1.0, limit / ours.norm[0])
    (optimizer.adam if is_adam else optimizer.rmsprop)(by_hand, theta, gradient, 0, size, scale, 0.01)
    assert theta.tobytes() == results[0][0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])  # the last one is infinite once squared
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    size = 2 * optimizer.NORM_BLOCK
    for threads in (1, 2):
        ours, theta, gradient = rule(True, size=size), np.ones(size, np.float32), np.ones(size, np.float32)
        gradient[-1] = bad
        assert not Team(threads).run(optimizer.step, ours, theta, gradient, 0.01)
        assert (theta == 1).all()
        for array in (ours.first, ours.second, ours.updates):
            assert not array.any()


# -- random numbers --

KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_numbers_of_its_authors(counter, key, expected):
    given = [np.uint32(int(word, 16)) for word in f"{counter} {key}".split()]
    assert [f"{word:08x}" for word in random.philox(*given)] == expected.split()


def drawn(kind, n, seed=3, stream=2, counter=5, first=0):
    """Numbers first..first+n-1 of a set."""
    if kind == "doubles":
        out = np.zeros(first + n)
        random.doubles(seed, stream, counter, out)
        return out[first:]
    out = np.full(n + 4, 9, np.float32)
    {"uniforms": random.uniforms, "normals": random.normals}[kind](seed, stream, counter, first, out, 3, n)
    assert out[[0, 1, 2, -1]].tolist() == [9, 9, 9, 9]
    return out[3:-1]


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
@pytest.mark.parametrize("kind", ["uniforms", "normals", "doubles"])
def test_random_numbers_are_distributed_as_they_say(kind, seed):
    n = 200_000
    x = drawn(kind, n, seed)
    distribution = scipy.stats.norm if kind == "normals" else scipy.stats.uniform
    deviation = distribution.std()
    assert abs(x.mean(dtype=np.float64) - distribution.mean()) < 4 * deviation / np.sqrt(n)
    assert x.var(dtype=np.float64) == pytest.approx(deviation**2, rel=0.02)
    assert scipy.stats.kstest(x, distribution.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / np.sqrt(n)
    assert abs(np.corrcoef(x[:-2], x[2:])[0, 1]) < 4 / np.sqrt(n)
    if kind == "normals":
        assert 4 < np.abs(x).max() < 6.7  # sqrt(2 * 32 * log(2)) is the largest there can be
    else:
        assert 0 <= x.min() < 1e-4
        assert 1 - 1e-4 < x.max() < 1
        grid = x * 2.0 ** (24 if kind == "uniforms" else 53)
        np.testing.assert_array_equal(grid, np.round(grid))


@pytest.mark.parametrize("kind", ["uniforms", "normals", "doubles"])
def test_any_part_of_a_set_is_drawn_alone_to_the_same_bits(kind):
    whole = drawn(kind, 40)
    for first, stop in itertools.combinations(range(41), 2):
        np.testing.assert_array_equal(drawn(kind, stop - first, first=first), whole[first:stop])
    assert drawn(kind, 0).tolist() == []


@pytest.mark.parametrize("kind", ["uniforms", "normals", "doubles"])
def test_other_seeds_streams_and_counters_give_other_numbers(kind):
    base = {"seed": 3, "stream": 2, "counter": 5}
    others = [
        *({"seed": seed} for seed in (0, 2, 4, 3 + 2**32, 3 + 2**62)),
        *({"stream": stream} for stream in (0, 1, 3, 5, 2**15 - 1)),
        *({"counter": counter} for counter in (0, 4, 6, 5 + 2**32, 5 + 2**47)),
    ]
    sets = [drawn(kind, 1000, **base | other) for other in ({}, *others)]
    for one, another in itertools.combinations(sets, 2):
        assert abs(np.corrcoef(one, another)[0, 1]) < 0.16
        assert np.isin(one, another).sum() <= 3  # of 2**24 numbers, two sets of 1,000 share 0.06 on average


def test_sets_do_not_run_into_each_other():
    # A set has 2**32 blocks of four words to itself: none of the next one's comes up at the end of this one.
    last = 2**32 - 8
    ends = {drawn("uniforms", 8, first=last).tobytes(), drawn("uniforms", 8, counter=6).tobytes()}
    assert len(ends | {drawn("uniforms", 8).tobytes()}) == 3


def test_episode_seeds_of_kernels_are_those_of_python():
    words = [0, 1, 2, 1000, 2**31, 2**40]
    for seed in (0, 1, 12345, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1):
        for env_index, episode in itertools.product([*words, -1, -7], words):
            expected = randomness.episode_seed(seed, env_index, episode)
            assert random.episode_seed(seed, env_index, episode) == expected


# -- statistics --


@pytest.fixture
def steps():
    """Rewards and values [T, N] with terminations, truncations, and both at once."""
    rng = np.random.default_rng(0)
    shape = (50, 4)
    terminated, truncated = rng.random((2, *shape)) < 0.1
    terminated[7, 1] = truncated[7, 1] = True
    return rng.normal(size=shape), *floats(rng, 2, *shape), terminated, truncated


@pytest.mark.parametrize(("gamma", "lam"), [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0), (0.0, 0.5)])
def test_advantages_are_those_of_a_loop_in_python(steps, gamma, lam):
    reward, value, next_value, terminated, truncated = steps
    expected = np.zeros(reward.shape)
    for n in range(reward.shape[1]):
        following = 0.0
        for t in reversed(range(len(reward))):
            bootstrap = 0.0 if terminated[t, n] else gamma * float(next_value[t, n])
            following *= 0.0 if terminated[t, n] or truncated[t, n] else gamma * lam
            following += reward[t, n] + bootstrap - float(value[t, n])
            expected[t, n] = following
    advantage, returns = np.full((2, *reward.shape), 9, np.float32)
    statistics.gae(*steps, gamma, lam, advantage, returns, 1, 3)  # two columns of four
    np.testing.assert_allclose(advantage[:, 1:3], expected[:, 1:3], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(returns[:, 1:3], (expected + value)[:, 1:3], rtol=1e-6, atol=1e-6)
    assert (advantage[:, [0, 3]] == 9).all()
    assert (returns[:, [0, 3]] == 9).all()


def test_standardizing_is_that_of_numpy():
    x = 3 + 5 * floats(np.random.default_rng(0), 1000)
    expected = (x.astype(np.float64) - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
    statistics.standardize(x, True)
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)


def test_what_is_only_shifted_keeps_its_scale():
    x = floats(np.random.default_rng(0), 1000) + 3
    expected = x.astype(np.float64) - x.mean(dtype=np.float64)
    statistics.standardize(x, False)
    np.testing.assert_allclose(x, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_running_moments_are_those_of_numpy(dtype):
    x = np.random.default_rng(0).normal([5, -1e3, 0], [1, 1e-2, 10], (100, 3)).astype(dtype)
    count, mean, variance = np.zeros(1), np.zeros(3), np.ones(3)
    for part in (x[:1], x[1:7], x[7:]):
        statistics.merge_rows(part, count, mean, variance)
    assert count.tolist() == [100]
    np.testing.assert_allclose(mean, x.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(variance, x.var(0, dtype=np.float64), rtol=1e-9)


def test_normalizing_is_that_of_numpy_and_keeps_a_nan():
    x = 20 * np.random.default_rng(0).normal(size=(30, 3))
    x[3, 1] = np.nan
    moments = Moments(np.ones(1), np.array([1.0, 2.0, -3.0]), np.array([2.0, 9.0, 0.0]))
    out = np.full((30, 5), 9, np.float32)  # two columns more than there are real numbers
    rollout.see(True, moments, x, out, 1, 29)
    expected = np.clip((x - moments.mean) / np.sqrt(moments.variance + EPSILON), -10, 10).astype(np.float32)
    np.testing.assert_array_equal(out[1:29, :3], expected[1:29])
    assert {-10, 10} <= set(out[:, 0])
    assert (out[[0, 29]] == 9).all()
    assert (out[:, 3:] == 9).all()


def test_discounted_sums_and_scaled_rewards_are_those_of_a_loop_in_python(steps):
    reward, _, _, terminated, truncated = steps
    running, out = np.arange(4.0), np.zeros(reward.shape)
    sums, expected = np.arange(4.0), []
    for r, done in zip(reward, terminated | truncated, strict=True):
        sums = r + 0.9 * sums
        expected.append(sums)
        sums = np.where(done, 0, sums)
    statistics.discounted(reward, terminated, truncated, 0.9, running, out)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    np.testing.assert_allclose(running, sums, rtol=1e-12)
    statistics.scale_rewards(reward, 1e-3, out)
    np.testing.assert_array_equal(out, np.clip(reward / np.sqrt(1e-3 + EPSILON), -10, 10))
    assert {-10.0, 10.0} <= set(out.ravel())
    statistics.scale_rewards(np.full((1, 1), np.nan), 1.0, out[:1, :1])
    assert math.isnan(out[0, 0])


def test_episodes_are_counted_as_a_loop_in_python_does(steps):
    reward, _, _, terminated, truncated = steps
    returns, lengths = np.ones(4), np.full(4, 2)
    totals, taken, ended = np.ones(4), np.full(4, 2), []
    for r, done in zip(reward, terminated | truncated, strict=True):
        totals, taken = totals + r, taken + 1
        ended += list(zip(totals[done], taken[done], strict=True))
        totals, taken = np.where(done, 0, totals), np.where(done, 0, taken)
    number, return_sum, length_sum = statistics.count_episodes(reward, terminated, truncated, returns, lengths)
    assert number == len(ended)
    assert return_sum == pytest.approx(sum(total for total, _ in ended))
    assert length_sum == sum(length for _, length in ended)
    np.testing.assert_allclose(returns, totals, rtol=1e-12)
    np.testing.assert_array_equal(lengths, taken)


# -- threads --


@compiled
def rounds(thread, crew, places, turns):
    """Writes, meets, looks at what the others wrote, meets; returns how often something was not there."""
    wrong = 0
    for turn in range(turns):
        places[thread] = turn
        meet(crew)
        for other in range(crew.threads):
            if places[other] != turn:
                wrong += 1
        meet(crew)
    return wrong


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_that_meet_see_what_all_have_done(threads):
    crew, places = Crew(threads, np.zeros(1, np.int64)), np.full(threads, -1)
    rounds(0, crew, places, 0)  # compiled before there are several
    with ThreadPoolExecutor(threads) as pool:
        results = [pool.submit(rounds, thread, crew, places, 200) for thread in range(threads)]
        assert [result.result() for result in results] == [0] * threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_team_runs_a_kernel_on_every_thread(threads):
    team, places = Team(threads), np.full(threads, -1)
    assert team.crew.threads == threads
    for turns in (1, 200):
        assert team.run(rounds, places, turns) == 0
        assert places.tolist() == [turns - 1] * threads


REALS, LOOKED_UP = (
    gymnasium.spaces.Box(-1, 1, (5,)),
    gymnasium.spaces.Tuple([gymnasium.spaces.Box(-1, 1, (3,)), gymnasium.spaces.MultiDiscrete([4, 7])]),
)
DISCRETE, CONTINUOUS = gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-1, 1, (5,))
MIXED = gymnasium.spaces.Tuple([DISCRETE, CONTINUOUS, gymnasium.spaces.MultiBinary(2)])


def stepped(observation_space, action_space, masked, **settings):
    """The state of a compiled engine after some updates on made-up rollouts."""
    case = Case("compiled", observation_space, action_space, (9, 70), masked=masked, hidden_sizes=(33, 7), **settings)
    rng, metrics = np.random.default_rng(0), []
    for _ in range(5):
        data, no = case.rollout, np.zeros((9, 70), bool)
        case.fill(rng)
        case.act()
        case.draw_actions(rng)
        value = data.value[:-1].copy()
        data.advantage[...], data.returns[...] = gae(rng.normal(size=no.shape), value, value, no, no, 0.9, 0.8)
        metrics.append(case.update(1e-2))
    return {name: array.tobytes() for name, array in case.state().items()}, metrics, case.engine.name


@pytest.mark.parametrize(
    ("observations", "actions", "masked"),
    [(REALS, DISCRETE, False), (REALS, CONTINUOUS, False), (LOOKED_UP, MIXED, True)],
    ids=["discrete", "continuous", "mixed"],
)
def test_no_bit_depends_on_how_many_threads_compute_nor_on_whether_outputs_are_kept(
    monkeypatch, observations, actions, masked
):
    one, metrics, name = stepped(observations, actions, masked, num_threads=1)
    assert name == "compiled, 1 thread"
    for threads, kept in [(2, None), (3, None), (4, None), (1, 0), (3, 0), (1, 2**40)]:
        if kept is not None:
            monkeypatch.setattr(passes, "KEPT_BYTES", kept)
        other, other_metrics, name = stepped(observations, actions, masked, num_threads=threads)
        assert name == f"compiled, {threads} thread{'s' if threads > 1 else ''}"
        assert other == one
        assert other_metrics == metrics
