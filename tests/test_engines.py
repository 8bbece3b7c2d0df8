"""Both engines: gradients against finite differences, optimizers against their papers, state that continues."""

import dataclasses
import sys

import gymnasium
import numpy as np
import pytest
from engine_cases import Case, finite_differences, random_masks
from gymnasium import spaces

import a2c
from a2c.engines.choice import choose_engine, team_for
from a2c.exports.layer import ActorCritic, paddle
from a2c.kernels.heads import table_of
from a2c.kernels.rollout import choose
from a2c.model.blocks import forward

T, N, OBS = 4, 3, 5
DISCRETE = gymnasium.spaces.Discrete(3)
CONTINUOUS = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
REALS = gymnasium.spaces.Box(-1, 1, (OBS,), np.float32)
LOOKED_UP = gymnasium.spaces.Dict(
    place=spaces.Discrete(6, start=3), speed=spaces.Box(-1, 1, (2,)), cards=spaces.MultiDiscrete([2, 5])
)
MIXED = spaces.Tuple([spaces.MultiDiscrete([3, 2]), spaces.Box(-1, 1, (2,)), spaces.MultiBinary(3), spaces.Discrete(4)])


@pytest.fixture(params=["compiled", "paddle"])
def engine(request):
    return request.param


def case_of(engine, action_space, observation_space=REALS, **settings):
    return Case(engine, observation_space, action_space, (T, N), **settings)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("space", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
@pytest.mark.parametrize("hidden_sizes", [(), (7,), (6, 5)])
def test_gradients_equal_finite_differences(engine, space, activation, hidden_sizes):
    check_gradient(case_of(engine, space, hidden_sizes=hidden_sizes, activation=activation, entropy_coef=0.3))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("observations", [LOOKED_UP, spaces.MultiDiscrete([[4, 1], [3, 2]])], ids=["some", "only"])
@pytest.mark.parametrize("hidden_sizes", [(), (7,), (6, 5)])
def test_gradients_through_look_ups_masks_and_mixed_factors_equal_finite_differences(
    engine, hidden_sizes, observations, masked
):
    check_gradient(
        case_of(
            engine, MIXED, observations, masked=masked, hidden_sizes=hidden_sizes, activation="tanh", entropy_coef=0.3
        )
    )


def check_gradient(case):
    expected = finite_differences(case)
    gradient, metrics = case.gradient()
    assert metrics.loss == pytest.approx(case.loss(case.initial), rel=1e-5)
    assert gradient.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(gradient[name], array, rtol=2e-3, atol=2e-5)
    norm = np.sqrt(sum(np.sum(array**2) for array in expected.values()))
    assert case.update(rate=1e-12).grad_norm == pytest.approx(norm, rel=1e-4)


def test_the_first_moment_of_adam_without_beta1_is_the_gradient(engine):
    case = case_of(engine, CONTINUOUS, max_grad_norm=None, adam_beta1=0.0)
    gradient, _ = case.gradient()
    case.update(rate=1e-12)
    for name, array in gradient.items():
        np.testing.assert_allclose(case.optimizer.state()[f"moment1.{name}"], array, rtol=1e-6, atol=1e-9)


def test_gradients_are_clipped_to_the_global_norm_and_reported_unclipped(engine):
    free, clipped = (case_of(engine, DISCRETE, max_grad_norm=limit, adam_beta1=0.0) for limit in (None, 0.1))
    norms = [case.update().grad_norm for case in (free, clipped)]
    assert norms[0] == norms[1] > 0.1
    for name in free.initial:
        key = f"optimizer.moment1.{name}"
        expected = free.state()[key] * (0.1 / norms[0])
        np.testing.assert_allclose(clipped.state()[key], expected, rtol=1e-5, atol=1e-9)


def test_a_small_gradient_is_not_scaled_up(engine):
    small, free = (case_of(engine, DISCRETE, max_grad_norm=limit, adam_beta1=0.0) for limit in (1e6, None))
    small.update(), free.update()
    for name, array in free.state().items():
        np.testing.assert_array_equal(small.state()[name], array)


def test_adam_is_adam_with_epsilon_outside_the_root(engine):
    case = case_of(engine, DISCRETE, max_grad_norm=None, adam_epsilon=1e-3)
    gradient = finite_differences(case)
    case.update(rate=0.01)
    for name, before in case.initial.items():
        g = gradient[name]
        # After one step both bias-corrected moments are the gradient's own: m = g, v = g^2. Where Paddle puts
        # epsilon relative to the bias correction shows here: sqrt(v_corrected) + epsilon / sqrt(1 - beta2) or epsilon.
        moved = before - case.parameters()[name]
        np.testing.assert_allclose(moved, 0.01 * g / (np.abs(g) + 1e-3), rtol=2e-2, atol=1e-6)


def test_rmsprop_has_epsilon_inside_the_root(engine):
    case = case_of(engine, DISCRETE, max_grad_norm=None, optimizer="rmsprop", rmsprop_epsilon=1e-3, rmsprop_decay=0.9)
    gradient = finite_differences(case)
    case.update(rate=0.01)
    for name, before in case.initial.items():
        g = gradient[name]
        moved = before - case.parameters()[name]
        np.testing.assert_allclose(moved, 0.01 * g / np.sqrt(0.1 * g**2 + 1e-3), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_restored_engine_continues_to_the_same_bits(engine, optimizer):
    case = case_of(engine, CONTINUOUS, optimizer=optimizer)
    for _ in range(3):
        case.update()
    state = case.state()
    case.update()
    straight = case.state()
    case.begin()
    case.restore(state)
    case.update()
    again = case.state()
    assert again.keys() == straight.keys()
    for name, array in straight.items():
        np.testing.assert_array_equal(again[name], array)


def test_a_state_of_another_optimizer_is_refused(engine):
    adam, rmsprop = case_of(engine, DISCRETE), case_of(engine, DISCRETE, optimizer="rmsprop")
    adam.update(), rmsprop.update()
    with pytest.raises(KeyError, match="mean_square"):
        rmsprop.optimizer.restore(adam.optimizer.state())


@pytest.mark.parametrize("observations", [REALS, LOOKED_UP], ids=["real", "looked up"])
def test_the_forward_pass_equals_that_of_numpy(engine, observations):
    case = case_of(engine, CONTINUOUS, observations, hidden_sizes=(6, 5))
    rollout, last = case.rollout, case.rollout.outputs[-1].copy()
    for t in range(T + 1):
        inputs = rollout.inputs[t]
        case.engine.forward(rollout, t)
        value = forward(np, case.architecture, "critic", case.initial, inputs)[:, 0]
        np.testing.assert_allclose(rollout.value[t], value, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(rollout.value[t], case.value(inputs))
        if t < T:
            outputs = forward(np, case.architecture, "actor", case.initial, inputs)
            np.testing.assert_allclose(rollout.outputs[t], outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rollout.outputs[-1], last)  # Of row T there are no outputs.


def test_actions_follow_the_noise(engine):
    case = case_of(engine, DISCRETE)
    factors, mask = table_of(case.actions.factors, 0), np.ones((N, 0), np.uint8)
    chosen = []
    for uniform in (0, 0.999999):
        action = np.zeros((N, 1), np.float32)
        noise = np.full((N, 1), uniform, np.float32)
        choose(factors, np.zeros(0, np.float32), case.rollout.outputs[0], noise, mask, action, 0, N)
        chosen.append(action[:, 0].tolist())
    assert chosen == [[0, 0, 0], [2, 2, 2]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_refused_and_changes_nothing(engine, bad):
    case = case_of(engine, DISCRETE)
    case.update()
    before = case.state()
    case.rollout.returns[...] = bad
    with pytest.raises(FloatingPointError, match="norm of the gradient is"):
        case.update()
    for name, array in before.items():
        np.testing.assert_array_equal(case.state()[name], array)


def test_the_learning_rate_given_is_the_one_used(engine):
    still, moving = case_of(engine, DISCRETE), case_of(engine, DISCRETE)
    still.update(rate=0.0), moving.update(rate=0.1)
    for name, before in still.initial.items():
        np.testing.assert_array_equal(still.parameters()[name], before)
    assert any((moving.parameters()[name] != before).any() for name, before in moving.initial.items())


def test_two_engines_in_one_process_do_not_share_anything(engine):
    first, second = case_of(engine, DISCRETE), case_of(engine, DISCRETE)
    before = second.parameters()
    first.update(rate=0.1)
    for name, array in before.items():
        np.testing.assert_array_equal(second.parameters()[name], array)


def test_acting_again_does_not_change_what_an_update_does(engine):
    plain, busy = (case_of(engine, DISCRETE) for _ in range(2))
    plain.update()
    busy.act()
    for t in range(T):  # As at a truncation, or where a rollout ends.
        busy.value(busy.rollout.inputs[t][:2] + 1)
    busy.update()
    for name, array in plain.state().items():
        np.testing.assert_array_equal(busy.state()[name], array)


def test_values_of_more_observations_than_there_is_room_for_are_computed_in_parts(engine):
    case = case_of(engine, DISCRETE)
    obs = np.random.default_rng(1).normal(size=(5 * N + 2, OBS)).astype(np.float32)
    value = forward(np, case.architecture, "critic", case.initial, obs)[:, 0]
    np.testing.assert_allclose(case.value(obs), value, rtol=1e-5, atol=1e-6)


# -- the gradient is a function of theta and the rollout alone --


def fresh(case):
    """The gradient of an engine that has done nothing before, of the same theta and rollout."""
    other = Case.__new__(Case)
    other.__dict__.update(vars(case))
    other.begin(case.parameters())
    return other.gradient()


def check_as_of_a_fresh_engine(case):
    (gradient, metrics), (expected, their_metrics) = case.gradient(), fresh(case)
    assert metrics == their_metrics
    for name, array in expected.items():
        np.testing.assert_array_equal(gradient[name], array)


CHANGES = {
    "nothing": lambda case, rng: None,
    "every input": lambda case, rng: case.fill(rng),
    "one number of one input": lambda case, rng: case.rollout.inputs[2, 1].__setitem__(0, 9),
    "one choice of one input": lambda case, rng: case.rollout.inputs[1, 2].__setitem__(3, 4),
    "an input that is not a number": lambda case, rng: case.rollout.inputs[2, 1].__setitem__(0, np.nan),
    "the last input, which no action was taken on": lambda case, rng: case.rollout.inputs[T].__iadd__(1),
    "actions": lambda case, rng: case.draw_actions(rng),
    "masks": lambda case, rng: case.rollout.mask.__setitem__(..., 1),
    "targets": lambda case, rng: case.rollout.returns.__iadd__(1),
    "parameters": lambda case, rng: case.set_parameters({name: 0.5 * array for name, array in case.initial.items()}),
    "parameters and back": lambda case, rng: [
        case.set_parameters({name: factor * array for name, array in case.initial.items()}) for factor in (0.5, 1.0)
    ],
    "values asked for": lambda case, rng: case.value(case.rollout.inputs[0] * 0 + 1),
    "a step forward again, with other inputs that are then put back": lambda case, rng: forward_and_back(case),
    "a step forward again, with other parameters": lambda case, rng: [
        case.set_parameters({name: 0.5 * array for name, array in case.initial.items()}),
        case.engine.forward(case.rollout, 1),
    ],
}  # fmt: skip


def forward_and_back(case):
    before = case.rollout.inputs[1].copy()
    case.rollout.inputs[1] = case.rollout.inputs[2]
    case.engine.forward(case.rollout, 1)
    case.rollout.inputs[1] = before


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_a_gradient_is_that_of_a_fresh_engine_whatever_was_computed_before(monkeypatch, engine, change, kept):
    if not kept:
        monkeypatch.setattr("a2c.kernels.passes.KEPT_BYTES", 0)
    case = case_of(engine, MIXED, LOOKED_UP, masked=True, hidden_sizes=(6, 5))
    case.act()
    CHANGES[change](case, np.random.default_rng(5))
    with np.errstate(invalid="ignore"):
        if "not a number" in change:
            (gradient, _), (expected, _) = case.gradient(), fresh(case)
            for name, array in expected.items():
                np.testing.assert_array_equal(gradient[name], array)
            case.rollout.inputs[2, 1, 0] = 0.5  # And no trace of it stays.
        check_as_of_a_fresh_engine(case)
    check_as_of_a_fresh_engine(case)  # Asked for again, it is the same.


def test_a_gradient_without_any_forward_is_that_after_it(engine):
    case = case_of(engine, MIXED, LOOKED_UP, masked=True)
    value, outputs = case.rollout.value.copy(), case.rollout.outputs.copy()
    case.begin()
    without, _ = case.gradient()
    np.testing.assert_array_equal(case.rollout.value, value)  # It writes nothing into the rollout.
    np.testing.assert_array_equal(case.rollout.outputs, outputs)
    case.act()
    after, _ = case.gradient()
    for name, array in without.items():
        np.testing.assert_array_equal(after[name], array)


def test_no_gradient_flows_into_what_is_masked(engine):
    """Parameters of choices that are never allowed: the columns of the last layer."""
    space = spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(2)])
    case = case_of(engine, space, masked=True, entropy_coef=0.3)
    mask = random_masks(np.random.default_rng(0), case.actions.factors, case.num_masks, (T + 1) * N)
    mask[:, 1] = 0  # the second choice
    mask[:, [0, 2]] = 1
    mask[:, 3:5] = 0, 1  # the first bit is always 1
    mask[:, 5:7] = 1
    case.rollout.mask[...] = mask.reshape(T + 1, N, -1)
    case.draw_actions(np.random.default_rng(1))
    gradient, _ = case.gradient()
    for name in ("actor.1.weight", "actor.1.bias"):
        assert not gradient[name][..., [1, 3]].any(), name
        assert gradient[name][..., [0, 2, 4]].all(), name


# -- which engine --


def chosen(**settings):
    case = case_of("auto", DISCRETE)
    config = dataclasses.replace(case.config, **settings)
    engine = choose_engine(config, case.architecture, 0, team_for(config, case.architecture))
    return engine, engine.name


def test_on_the_cpu_kernels_compute_unless_paddle_is_asked_for():
    compiled, line = chosen(num_threads=1)
    assert (type(compiled).__name__, line) == ("CompiledEngine", "compiled, 1 thread")
    paddles, line = chosen(engine="paddle")
    assert (type(paddles).__name__, line) == ("PaddleEngine", "paddle on cpu")


def test_there_are_no_more_threads_than_have_something_to_do():
    assert chosen(num_threads=4)[1] == "compiled, 1 thread"
    assert chosen(num_threads=4, num_envs=64, rollout_length=5)[1] == "compiled, 2 threads"
    assert chosen(num_threads=4, num_envs=64, rollout_length=8)[1] == "compiled, 4 threads"


def test_another_device_than_the_cpu_is_paddles():
    with pytest.raises(a2c.UserError, match="no device 'abacus'"):
        chosen(device="abacus")
    with pytest.raises(a2c.UserError, match="engine is 'compiled', which has no device 'gpu'; use engine 'paddle'"):
        chosen(engine="compiled", device="gpu")


@pytest.mark.parametrize(
    ("settings", "reason"), [({"engine": "paddle"}, "engine is 'paddle'"), ({"device": "gpu"}, "device is 'gpu'")]
)
def test_where_paddle_is_not_installed_a_sentence_says_so(monkeypatch, settings, reason):
    monkeypatch.setitem(sys.modules, "a2c.engines.paddle", None)
    with pytest.raises(a2c.UserError, match=f"{reason}, and PaddlePaddle is not installed; pip install"):
        chosen(**settings)


def test_values_and_returns_of_different_shape_are_refused(engine):
    case = case_of(engine, DISCRETE)
    with pytest.raises(ValueError, match="differ in shape"):
        case.engine.gradient(case.rollout._replace(returns=np.ascontiguousarray(case.rollout.returns[:, :1])))


# -- only Paddle's --


def test_the_shipped_layer_is_the_network_of_the_policy():
    case = case_of("paddle", CONTINUOUS)
    network = ActorCritic(case.architecture)
    missing, unexpected = network.set_state_dict(case.initial)
    assert (list(missing), list(unexpected)) == ([], [])
    obs = case.rollout.inputs[0]
    (mean, log_std), value = network(paddle.to_tensor(obs))
    expected = forward(np, case.architecture, "actor", case.initial, obs)
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(log_std.numpy(), case.initial["log_std"])
    assert value.shape == [N]
