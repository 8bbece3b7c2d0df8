"""Distributions over actions against SciPy, in NumPy, in Paddle and in machine code; and what environments get."""

import gymnasium
import numpy as np
import paddle
import pytest
import scipy.special
import scipy.stats
from engine_cases import random_masks
from generated import ACTIONS, real_boxes, whole_boxes
from gymnasium import spaces
from hypothesis import example, given, settings
from hypothesis import strategies as st

from a2c.kernels import heads
from a2c.kernels.compiler import compiled
from a2c.kernels.rollout import choose
from a2c.model.architecture import factors_of
from a2c.model.factors import Actions, log_prob_and_entropy
from a2c.spaces import value_of


@compiled
def differentiate(factors, log_std, outputs, l0, action, a0, mask, m0, advantage, entropy_coef, out, gradient):
    """`heads.differentiate`, which is a part of what calls it."""
    return heads.differentiate(
        factors, log_std, outputs, l0, action, a0, mask, m0, advantage, entropy_coef, np.float32(1), out, 0, gradient, 0
    )


RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(50, 4)) * 3
MEAN, LOG_STD = RNG.normal(size=(50, 3)), np.array([-1.0, 0.0, 0.5])
NO_STD = np.zeros(0, np.float32)
LARGEST_UNIFORM = np.nextafter(np.float32(1), np.float32(0))


def gaussian(low=-1.0, high=1.0, size=3):
    return Actions(spaces.Box(low, high, (size,), np.float32))


def categorical(n):
    return Actions(spaces.Discrete(n))


@pytest.fixture(params=["numpy", "paddle"])
def arrays(request):
    """The array module, and a conversion into it."""
    return (np, np.asarray) if request.param == "numpy" else (paddle, paddle.to_tensor)


def of(arrays, actions, outputs, action, log_std=None, mask=None):
    """log pi(a) and the entropy, as NumPy arrays."""
    xp, to = arrays
    log_std = to(np.zeros(0) if log_std is None else log_std)
    given_mask = None if mask is None else to(mask)
    both = log_prob_and_entropy(xp, actions.factors, to(outputs), log_std, to(action), given_mask)
    return tuple(np.asarray(one) for one in both)


# -- against SciPy --


def test_categorical_log_prob_equals_scipys_log_softmax(arrays):
    action = RNG.integers(0, 4, 50)
    ours, _ = of(arrays, categorical(4), LOGITS, action[:, None].astype(np.float64))
    expected = scipy.special.log_softmax(LOGITS, -1)[np.arange(50), action]
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_categorical_entropy_equals_scipys(arrays):
    _, ours = of(arrays, categorical(4), LOGITS, np.zeros((50, 1)))
    np.testing.assert_allclose(ours, scipy.stats.entropy(scipy.special.softmax(LOGITS, -1), axis=-1), rtol=1e-9)


def test_gaussian_log_prob_equals_scipys(arrays):
    action = RNG.normal(size=(50, 3))
    ours, _ = of(arrays, gaussian(), MEAN, action, LOG_STD)
    expected = scipy.stats.norm(MEAN, np.exp(LOG_STD)).logpdf(action).sum(-1)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_gaussian_entropy_equals_scipys(arrays):
    _, ours = of(arrays, gaussian(), MEAN, MEAN, LOG_STD)
    assert ours.shape == (50,)
    np.testing.assert_allclose(ours, scipy.stats.norm(0, np.exp(LOG_STD)).entropy().sum(), rtol=1e-9)


def test_bernoulli_log_prob_and_entropy_equal_scipys(arrays):
    bits = RNG.integers(0, 2, LOGITS.shape)
    log_prob, entropy = of(arrays, Actions(spaces.MultiBinary(4)), LOGITS, bits.astype(np.float64))
    distribution = scipy.stats.bernoulli(scipy.special.expit(LOGITS))
    np.testing.assert_allclose(log_prob, distribution.logpmf(bits).sum(-1), rtol=1e-9)
    np.testing.assert_allclose(entropy, distribution.entropy().sum(-1), rtol=1e-9)


MIXED = spaces.Dict(
    choices=spaces.MultiDiscrete([[2, 3], [4, 1]]),
    reals=spaces.Box(-1, 1, (2,)),
    bits=spaces.MultiBinary(2),
    one=spaces.Discrete(5),
    more=spaces.Tuple([spaces.Box(-1, 1, ())]),
)


def scipys(factor, outputs, log_std, action, mask):
    """log pi(a) and the entropy of one factor, each [B]."""
    own = outputs[:, factor.output : factor.output + factor.outputs]
    taken = action[:, factor.column : factor.column + factor.columns]
    rows = np.arange(len(own))
    if factor.kind == "gaussian":
        distribution = scipy.stats.norm(own, np.exp(log_std[factor.log_std : factor.log_std + factor.columns]))
        return distribution.logpdf(taken).sum(-1), (distribution.entropy() + 0 * own).sum(-1)
    if factor.kind == "categorical":
        allowed = np.ones(own.shape, bool) if mask is None else mask[:, factor.mask : factor.mask + factor.outputs] == 1
        p = scipy.special.softmax(np.where(allowed, own, -np.inf), -1)  # renormalised over what is allowed
        return np.log(p[rows, taken[:, 0].astype(int)]), scipy.stats.entropy(p, axis=-1)
    p = scipy.special.expit(own)
    if mask is not None:
        pairs = mask[:, factor.mask : factor.mask + 2 * factor.outputs].reshape(len(own), -1, 2)
        p = np.where(pairs[..., 0] == 0, 1.0, np.where(pairs[..., 1] == 0, 0.0, p))
    distribution = scipy.stats.bernoulli(p)
    return distribution.logpmf(taken.astype(int)).sum(-1), np.nan_to_num(distribution.entropy()).sum(-1)


def drawn(space, rows, masked, seed=0):
    """Outputs, log_std, a mask or None, and actions that may be."""
    actions, rng = Actions(space), np.random.default_rng(seed)
    outputs = 3 * rng.normal(size=(rows, sum(factor.outputs for factor in actions.factors))).astype(np.float32)
    log_std = rng.normal(size=sum(f.columns for f in actions.factors if f.kind == "gaussian")).astype(np.float32) / 2
    mask = random_masks(rng, actions.factors, actions.num_masks, rows) if masked else None
    action = actions.sample(outputs, log_std, actions.draw_noise(rng, rows), mask)
    return actions, outputs, log_std, mask, action


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("space", [spaces.Discrete(4), spaces.MultiBinary(3), MIXED], ids=["choice", "bits", "mixed"])
def test_factors_add_up_to_scipys_and_masks_renormalise(arrays, space, masked):
    actions, *numbers, mask, action = drawn(space, 200, masked)
    outputs, log_std, action = (array.astype(np.float64) for array in (*numbers, action))
    log_prob, entropy = of(arrays, actions, outputs, action, log_std, mask)
    expected = [scipys(factor, outputs, log_std, action, mask) for factor in actions.factors]
    np.testing.assert_allclose(log_prob, sum(one for one, _ in expected), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(entropy, sum(one for _, one in expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@settings(max_examples=60)
@given(space=ACTIONS, seed=st.integers(0, 2**32 - 1))
def test_machine_code_has_the_same_log_probability_and_entropy(masked, space, seed):
    actions, outputs, log_std, mask, action = drawn(space, 8, masked, seed)
    doubles = (array.astype(np.float64) for array in (outputs, log_std, action))
    expected = log_prob_and_entropy(np, actions.factors, *doubles, mask)
    for row, (*_, log_prob, entropy) in enumerate(differentiated(actions, outputs, log_std, mask, action)):
        np.testing.assert_allclose(log_prob, expected[0][row], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(entropy, expected[1][row], rtol=1e-4, atol=1e-4)


def differentiated(actions, outputs, log_std, mask, action, advantage=1.5, entropy_coef=0.3):
    """By row, what machine code gives: dL/doutputs, dL/dlog_std, log pi(a) and the entropy."""
    table = heads.table_of(actions.factors, 0 if mask is None else actions.num_masks)
    flat_mask = np.zeros(0, np.uint8) if mask is None else mask.reshape(-1)
    for row in range(len(outputs)):
        out, gradient = np.full(outputs.shape[1], 9, np.float32), np.zeros(len(log_std), np.float32)
        numbers = differentiate(
            table, log_std, outputs.reshape(-1), row * outputs.shape[1], action.reshape(-1), row * action.shape[1],
            flat_mask, row * actions.num_masks, np.float32(advantage), np.float32(entropy_coef), out, gradient,
        )  # fmt: skip
        yield out, gradient, *numbers


@pytest.mark.parametrize("masked", [False, True])
def test_machine_code_has_the_gradient_of_paddle(masked):
    actions, outputs, log_std, mask, action = drawn(MIXED, 50, masked)
    gradient, log_std_gradient = paddle_gradient(actions, outputs, log_std, mask, action)
    ours = list(differentiated(actions, outputs, log_std, mask, action))
    np.testing.assert_allclose([row[0] for row in ours], gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sum(row[1] for row in ours), log_std_gradient, rtol=1e-4, atol=1e-4)


def paddle_gradient(actions, outputs, log_std, mask, action, advantage=1.5, entropy_coef=0.3):
    tensors = [paddle.to_tensor(array, stop_gradient=False) for array in (outputs, log_std)]
    given_mask = None if mask is None else paddle.to_tensor(mask)
    log_prob, entropy = log_prob_and_entropy(paddle, actions.factors, *tensors, paddle.to_tensor(action), given_mask)
    paddle.sum(-advantage * log_prob - entropy_coef * entropy).backward()
    return tuple(np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy() for tensor in tensors)


def test_log_prob_survives_logits_that_would_overflow(arrays):
    ours, _ = of(arrays, categorical(2), np.array([[1e4, 0.0]]), np.array([[1.0]]))
    assert ours.tolist() == [-1e4]
    ours, entropy = of(arrays, Actions(spaces.MultiBinary(2)), np.array([[1e4, -1e4]]), np.array([[0.0, 1.0]]))
    assert (ours.tolist(), entropy.tolist()) == ([-2e4], [0.0])


# -- samples --


def test_categorical_samples_are_the_inverse_of_the_cumulative_distribution():
    logits = np.log(np.array([[0.2, 0.5, 0.3]], np.float32)).repeat(5, 0)
    noise = np.array([0.0, 0.19, 0.21, 0.69, 0.71], np.float32)
    assert categorical(3).sample(logits, NO_STD, noise[:, None])[:, 0].tolist() == [0, 0, 1, 1, 2]


def test_a_bit_is_one_for_the_highest_uniforms():
    logits = np.log(np.array([[0.3 / 0.7]], np.float32)).repeat(4, 0)  # one with probability 0.3
    noise = np.array([[0.0], [0.69], [0.71], [LARGEST_UNIFORM]], np.float32)
    assert Actions(spaces.MultiBinary(1)).sample(logits, NO_STD, noise)[:, 0].tolist() == [0, 0, 1, 1]


def test_the_largest_noise_still_gives_an_action():
    noise = np.full((1000, 1), LARGEST_UNIFORM)
    logits = RNG.normal(size=(1000, 7)).astype(np.float32)
    assert categorical(7).sample(logits, NO_STD, noise).max() <= 6


def test_categorical_samples_have_the_right_frequencies():
    p = np.array([0.1, 0.6, 0.3])
    actions = categorical(3)
    noise = actions.draw_noise(np.random.default_rng(1), 100_000)
    action = actions.sample(np.log(p).astype(np.float32)[None].repeat(100_000, 0), NO_STD, noise)[:, 0].astype(int)
    assert scipy.stats.chisquare(np.bincount(action), p * 100_000).pvalue > 1e-3


def test_masked_samples_have_the_frequencies_of_the_rest():
    p, rows = np.array([0.1, 0.6, 0.3]), 100_000
    actions = Actions(spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(1)]))
    outputs = np.log([*p, 0.2 / 0.8]).astype(np.float32)[None].repeat(rows, 0)
    mask = np.array([[1, 0, 1, 1, 1]], np.uint8).repeat(rows, 0)
    action = actions.sample(outputs, NO_STD, actions.draw_noise(np.random.default_rng(1), rows), mask).astype(int)
    counts = np.bincount(action[:, 0])
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[[0, 2]], np.array([0.25, 0.75]) * rows).pvalue > 1e-3
    assert scipy.stats.binomtest(int(action[:, 1].sum()), rows, 0.2).pvalue > 1e-3


def test_gaussian_samples_have_the_right_moments():
    actions = gaussian()
    noise = actions.draw_noise(np.random.default_rng(1), 100_000)
    action = actions.sample(np.full((100_000, 3), 0.5, np.float32), LOG_STD.astype(np.float32), noise)
    np.testing.assert_allclose(action.mean(0), 0.5, atol=0.02)
    np.testing.assert_allclose(action.std(0), np.exp(LOG_STD), rtol=0.02)


def test_modes_are_the_most_probable_actions():
    assert categorical(3).mode(np.array([[0.0, 2.0, 1.0]])).tolist() == [[1]]
    np.testing.assert_array_equal(gaussian().mode(MEAN), MEAN.astype(np.float32))
    assert Actions(spaces.MultiBinary(2)).mode(np.array([[-0.1, 0.1]])).tolist() == [[0, 1]]


# -- masks --


def by_numpy(actions, outputs, log_std, noise, mask):
    return actions.sample(outputs, log_std, noise, mask)


def by_machine_code(actions, outputs, log_std, noise, mask):
    action = np.full(noise.shape, np.nan, np.float32)
    table = heads.table_of(actions.factors, 0 if mask is None else actions.num_masks)
    given_mask = np.ones((len(noise), 0), np.uint8) if mask is None else mask
    choose(table, log_std, outputs, noise, given_mask, action, 0, len(noise))
    return action


def is_allowed(actions, action, mask):
    """Where nothing is chosen that is masked, [B]."""
    allowed = np.ones(len(action), bool)
    for factor in actions.factors:
        if factor.kind == "gaussian":
            continue
        for n in range(factor.columns):
            choice = action[:, factor.column + n].astype(int)
            most = 2 if factor.kind == "bernoulli" else factor.outputs
            assert ((choice >= 0) & (choice < most)).all()
            allowed &= mask[np.arange(len(action)), factor.mask + most * n + choice] == 1
    return allowed


@pytest.mark.parametrize("sample", [by_numpy, by_machine_code])
@settings(max_examples=60)
@given(space=ACTIONS, seed=st.integers(0, 2**32 - 1), scale=st.sampled_from((0.0, 1.0, 100.0, 1e4)))
def test_what_is_masked_is_never_chosen(sample, space, seed, scale):
    actions, rng, rows = Actions(space), np.random.default_rng(seed), 16
    outputs = (scale * rng.normal(size=(rows, sum(f.outputs for f in actions.factors)))).astype(np.float32)
    log_std = np.zeros(actions.num_columns, np.float32)
    mask = random_masks(rng, actions.factors, actions.num_masks, rows)
    noise = actions.draw_noise(rng, rows)
    noise[:4], noise[4:8] = 0, LARGEST_UNIFORM
    assert is_allowed(actions, sample(actions, outputs, log_std, noise, mask), mask).all()
    assert is_allowed(actions, actions.mode(outputs, mask), mask).all()


@pytest.mark.parametrize("sample", [by_numpy, by_machine_code])
@pytest.mark.parametrize("noise", [0.0, 0.5, LARGEST_UNIFORM])
@pytest.mark.parametrize("logit", [-1e4, -100.0, 0.0, 100.0, 1e4])
def test_a_single_choice_that_is_left_is_made(sample, noise, logit):
    actions = Actions(spaces.Tuple([spaces.Discrete(4), spaces.MultiBinary(2)]))
    for choice in range(4):
        outputs = np.array([[*(logit * (np.arange(4) - choice)), -logit, logit]], np.float32)
        mask = np.array([[*(np.arange(4) == choice), 0, 1, 1, 0]], np.uint8)  # and the bits 1 and 0
        action = sample(actions, outputs, NO_STD, np.full((1, 3), noise, np.float32), mask)
        assert action.tolist() == actions.mode(outputs, mask).tolist() == [[choice, 1, 0]]


def test_the_mode_is_the_most_probable_of_what_is_allowed():
    outputs = np.array([[3.0, 2.0, 1.0, 5.0, -5.0]], np.float32)
    actions = Actions(spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(2)]))
    assert actions.mode(outputs).tolist() == [[0, 1, 0]]
    assert actions.mode(outputs, np.array([[0, 1, 1, 1, 0, 0, 1]], np.uint8)).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("way", ["Paddle", "machine code"])
@settings(max_examples=30)
@given(space=ACTIONS, seed=st.integers(0, 2**32 - 1))
def test_no_gradient_flows_into_what_is_masked(way, space, seed):
    actions, outputs, log_std, mask, action = drawn(space, 8, True, seed)
    if way == "Paddle":
        gradient, _ = paddle_gradient(actions, outputs, np.append(log_std, np.float32(0)), mask, action)
    else:
        gradient = np.array([row[0] for row in differentiated(actions, outputs, log_std, mask, action)])
    assert np.isfinite(gradient).all()
    for factor in actions.factors:
        own = gradient[:, factor.output : factor.output + factor.outputs]
        if factor.kind == "categorical":
            assert not own[mask[:, factor.mask : factor.mask + factor.outputs] == 0].any()
        elif factor.kind == "bernoulli":
            pairs = mask[:, factor.mask : factor.mask + 2 * factor.outputs].reshape(len(own), -1, 2)
            assert not own[~pairs.all(-1)].any()


def test_a_mask_that_forbids_nothing_changes_nothing():
    actions, outputs, log_std, _, action = drawn(MIXED, 50, False)
    mask, noise = np.ones((50, actions.num_masks), np.uint8), actions.draw_noise(np.random.default_rng(1), 50)
    for sample in (by_numpy, by_machine_code):
        with_mask, without = (sample(actions, outputs, log_std, noise, given_mask) for given_mask in (mask, None))
        np.testing.assert_array_equal(with_mask, without)
    np.testing.assert_array_equal(actions.mode(outputs, mask), actions.mode(outputs))
    for one, other in zip(
        differentiated(actions, outputs, log_std, mask, action),
        differentiated(actions, outputs, log_std, None, action), strict=True,
    ):  # fmt: skip
        for number, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(number, same)


# -- what environments get --


def columns_for(data, actions):
    """An action [1, C]: any that may be chosen, real numbers however large."""
    action = np.zeros((1, actions.num_columns), np.float32)
    for factor in actions.factors:
        for column in range(factor.column, factor.column + factor.columns):
            match factor.kind:
                case "gaussian":
                    numbers = st.floats(-3, 3, width=32) | st.floats(width=32, allow_nan=False, allow_infinity=False)
                case "categorical":
                    numbers = st.integers(0, factor.outputs - 1)
                case "bernoulli":
                    numbers = st.integers(0, 1)
            action[0, column] = data.draw(numbers)
    return action


WIDE = [
    spaces.Box(np.iinfo(dtype).min, np.iinfo(dtype).max, (1,), dtype)
    for dtype in (np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64)
]


@settings(max_examples=400)
@given(space=st.one_of(ACTIONS, whole_boxes(), real_boxes()), data=st.data())
def test_environments_get_what_their_space_contains(space, data):
    actions = Actions(space)
    with np.errstate(over="ignore"):  # float16 has an infinity where float32 has none.
        rows = actions.to_rows(columns_for(data, actions))
    assert rows.shape[0] == 1
    assert space.contains(value_of(space)(rows[0])), (space, rows)


@pytest.mark.parametrize("space", WIDE, ids=str)
@pytest.mark.parametrize("number", [-3e38, -1e20, -1.5, -1, 0, 1, 1.5, 1e20, 3e38])
def test_the_whole_range_of_a_type_is_within_reach_of_no_overflow(space, number):
    (row,) = Actions(space).to_rows(np.array([[number]], np.float32))
    assert row in space
    assert row.dtype == space.dtype
    if abs(number) > 1e18:  # The end of the range, up to what a double holds of it.
        limits = np.iinfo(space.dtype)
        end = limits.max if number > 0 else limits.min
        assert abs(int(row[0]) - end) <= 2**11


@pytest.mark.parametrize("bounds", [(2**53 + 1, 2**53 + 1), (-(2**63) + 1, 2**63 - 3), (2**62 + 1, 2**62 + 3)])
def test_bounds_that_a_double_does_not_hold_are_kept(bounds):
    space = spaces.Box(*(np.array([bound], np.int64) for bound in bounds), (1,), np.int64)
    for number in (-3e38, -1.0, 0.0, 1.0, 3e38):
        (row,) = Actions(space).to_rows(np.array([[number]], np.float32))
        assert row in space, (number, row)


def test_whole_numbers_are_the_nearest():
    actions = Actions(spaces.Box(0, 10, (4,), np.int32))  # 0 is 5, and 1 is 5 more
    assert actions.to_rows(np.array([[-1, 0.09, 0.11, 0.91]], np.float32)).tolist() == [[0, 5, 6, 10]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_number_of_a_type_is_no_bound(dtype):
    largest = np.finfo(dtype).max
    actions = Actions(spaces.Box(-largest, largest, (2,), dtype))
    assert actions.to_rows(np.array([[-3, 0.5]], np.float32)).tolist() == [[-3, 0.5]]
    half = Actions(spaces.Box(dtype(5), largest, (1,), dtype))
    assert half.to_rows(np.array([[-3], [0.5]], np.float32)).tolist() == [[5], [5.5]]


def test_discrete_actions_are_numbered_as_the_environment_does():
    actions = Actions(spaces.Discrete(3, start=5))
    assert actions.to_rows(np.array([[0], [2]], np.float32)).tolist() == [5, 7]
    actions = Actions(spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [-1, 7]]))
    assert actions.to_rows(np.array([[1, 0, 3, 4]], np.float32)).tolist() == [[[2, 0], [2, 11]]]


def test_a_bounded_box_spans_minus_one_to_one():
    action = gaussian(-2, 6).to_rows(np.array([[-1, 0, 1], [-9, 0.5, 9]], np.float32))
    assert action.tolist() == [[-2, 2, 6], [-2, 4, 6]]


def test_an_unbounded_box_is_not_scaled_and_a_half_bounded_one_starts_at_its_bound():
    low, high = np.array([-np.inf, 5, -np.inf], np.float32), np.array([np.inf, np.inf, 9], np.float32)
    actions = Actions(spaces.Box(low, high))
    assert actions.to_rows(np.array([[-50, -1, -1], [2, 2, 2]], np.float32)).tolist() == [[-50, 5, 8], [2, 7, 9]]


def test_a_box_of_float64_gets_actions_that_it_contains():
    space = spaces.Box(-0.1, 0.1, (3,), np.float64)
    action = Actions(space).to_rows(np.array([[-9, 0, 9]], np.float32))
    assert action.dtype == np.float64
    assert action[0] in space


def test_actions_take_the_shape_of_their_box():
    actions = Actions(spaces.Box(-1, 1, (2, 3), np.float32))
    assert sum(factor.outputs for factor in actions.factors) == actions.num_columns == 6
    assert actions.to_rows(np.zeros((4, 6), np.float32)).shape == (4, 2, 3)


@example(spaces.MultiBinary(3))
@settings(max_examples=50)
@given(ACTIONS)
def test_factors_divide_outputs_columns_and_masks_without_gap_or_overlap(space):
    factors = factors_of(space)
    output = column = mask = log_std = 0
    for factor in factors:
        assert (factor.output, factor.column) == (output, column)
        output, column = output + factor.outputs, column + factor.columns
        if factor.kind == "gaussian":
            assert (factor.mask, factor.log_std) == (-1, log_std)
            log_std += factor.columns
        else:
            assert (factor.mask, factor.log_std) == (mask, -1)
            mask += factor.outputs * (2 if factor.kind == "bernoulli" else 1)
    actions = Actions(space)
    assert (actions.num_columns, actions.num_masks) == (column, mask)


@pytest.mark.parametrize(
    "space",
    [spaces.Text(3), spaces.Sequence(spaces.Discrete(2)), spaces.Box(0, 1, (2,), np.bool_), spaces.Tuple([])],
    ids=str,
)
def test_a_space_without_distribution_is_refused(space):
    with pytest.raises(TypeError, match="no distribution for"):
        Actions(space)


def test_the_discrete_space_of_gymnasium_is_one_factor():
    assert [factor.kind for factor in factors_of(gymnasium.make("CartPole-v1").action_space)] == ["categorical"]
