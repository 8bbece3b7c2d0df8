"""Both engines: gradients against finite differences, optimizers against their papers, state that continues."""

import dataclasses
import sys

import gymnasium
import numpy as np
import pytest
from a2c.distributions import distribution_for
from a2c.mlp import forward, initial_parameters

import a2c
from a2c.engines import choose_engine
from a2c.exports.layer import ActorCritic, paddle
from a2c.policy import architecture_for
from a2c.rollout import Rollout

T, N, OBS = 4, 3, 5
DISCRETE = gymnasium.spaces.Discrete(3)
CONTINUOUS = gymnasium.spaces.Box(-1, 1, (2,), np.float32)


@pytest.fixture(params=["compiled", "paddle"])
def engine(request):
    return request.param


class Case:
    """An engine, and a rollout for it."""

    def __init__(self, engine, space, seed=0, **settings):
        settings = {"hidden_sizes": (7,), "num_envs": N, "rollout_length": T, **settings}
        self.config = a2c.Config("none", engine=engine, **settings)
        self.distribution = distribution_for(space)
        self.architecture = architecture_for(
            (OBS,), self.config.hidden_sizes, self.config.activation, self.distribution
        )
        self.initial = initial_parameters(self.architecture, "xavier", -0.5, seed)
        self.engine = self.new_engine()
        rng = np.random.default_rng(seed)
        self.obs = rng.normal(size=(T, N, OBS)).astype(np.float32)
        self.noise = self.distribution.draw_noise(rng, (T, N))
        action, value = self.act()
        no = np.zeros((T, N), bool)
        self.rollout = Rollout(self.obs, action, np.zeros((T, N)), no, no, value, value)
        self.advantage, self.returns = rng.normal(size=(2, T, N)).astype(np.float32)

    def new_engine(self):
        return choose_engine(self.config, self.architecture, self.distribution, self.initial)[0]

    def act(self):
        """Actions and values at every step, [T, N, ...]."""
        acted = [self.engine.act(self.obs[t], self.noise[t], t) for t in range(T)]
        return tuple(np.stack(parts) for parts in zip(*acted, strict=True))

    def update(self, rate=1e-3):
        """A step on the actions of the first parameters, but the values of those that are there now."""
        _, value = self.act()
        return self.engine.update(self.rollout._replace(value=value), self.advantage, self.returns, rate)

    def loss(self, parameters):
        """The loss of the design, in float64 NumPy, independent of the engine."""
        double = {name: array.astype(np.float64) for name, array in parameters.items()}
        head = forward(double, "actor", self.config.activation, self.obs.astype(np.float64))
        params = (head, double["log_std"]) if "log_std" in double else (head,)
        value = forward(double, "critic", self.config.activation, self.obs.astype(np.float64))[..., 0]
        log_prob, entropy = self.distribution.log_prob_and_entropy(np, params, self.rollout.action)
        policy_loss = -np.mean(self.advantage * log_prob)
        value_loss = np.mean((self.returns - value) ** 2)
        return policy_loss + self.config.value_coef * value_loss - self.config.entropy_coef * np.mean(entropy)


def finite_differences(case):
    gradients = {}
    for name, array in case.initial.items():
        gradients[name] = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = {key: value.astype(np.float64) for key, value in case.initial.items()}
                moved[name][index] += step
                sides.append(case.loss(moved))
            gradients[name][index] = (sides[0] - sides[1]) / 2e-5
    return gradients


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("space", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
@pytest.mark.parametrize("hidden_sizes", [(), (7,), (6, 5)])
def test_gradients_equal_finite_differences(engine, space, activation, hidden_sizes):
    case = Case(
        engine,
        space,
        hidden_sizes=hidden_sizes,
        activation=activation,
        entropy_coef=0.3,
        max_grad_norm=None,
        adam_beta1=0.0,
    )
    expected = finite_differences(case)
    metrics = case.update(rate=1e-12)
    assert metrics.loss == pytest.approx(case.loss(case.initial), rel=1e-5)
    # Adam with beta1 = 0 remembers the last gradient itself as its first moment.
    state = case.engine.state()
    for name, gradient in expected.items():
        np.testing.assert_allclose(state[f"optimizer.moment1.{name}"], gradient, rtol=2e-3, atol=2e-5)
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in expected.values()))
    assert metrics.grad_norm == pytest.approx(norm, rel=1e-4)


def test_gradients_are_clipped_to_the_global_norm_and_reported_unclipped(engine):
    free, clipped = (Case(engine, DISCRETE, max_grad_norm=limit, adam_beta1=0.0) for limit in (None, 0.1))
    norms = [case.update().grad_norm for case in (free, clipped)]
    assert norms[0] == norms[1] > 0.1
    for name in free.initial:
        key = f"optimizer.moment1.{name}"
        expected = free.engine.state()[key] * (0.1 / norms[0])
        np.testing.assert_allclose(clipped.engine.state()[key], expected, rtol=1e-5, atol=1e-9)


def test_a_small_gradient_is_not_scaled_up(engine):
    small, free = (Case(engine, DISCRETE, max_grad_norm=limit, adam_beta1=0.0) for limit in (1e6, None))
    small.update(), free.update()
    for name, array in free.engine.state().items():
        np.testing.assert_array_equal(small.engine.state()[name], array)


def test_adam_is_adam_with_epsilon_outside_the_root(engine):
    case = Case(engine, DISCRETE, max_grad_norm=None, adam_epsilon=1e-3)
    gradient = finite_differences(case)
    case.update(rate=0.01)
    for name, before in case.initial.items():
        g = gradient[name]
        # After one step both bias-corrected moments are the gradient's own: m = g, v = g^2. Where Paddle puts
        # epsilon relative to the bias correction shows here: sqrt(v_corrected) + epsilon / sqrt(1 - beta2) or epsilon.
        moved = before - case.engine.parameters()[name]
        np.testing.assert_allclose(moved, 0.01 * g / (np.abs(g) + 1e-3), rtol=2e-2, atol=1e-6)


def test_rmsprop_has_epsilon_inside_the_root(engine):
    case = Case(engine, DISCRETE, max_grad_norm=None, optimizer="rmsprop", rmsprop_epsilon=1e-3, rmsprop_decay=0.9)
    gradient = finite_differences(case)
    case.update(rate=0.01)
    for name, before in case.initial.items():
        g = gradient[name]
        moved = before - case.engine.parameters()[name]
        np.testing.assert_allclose(moved, 0.01 * g / np.sqrt(0.1 * g**2 + 1e-3), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_restored_engine_continues_to_the_same_bits(engine, optimizer):
    case = Case(engine, CONTINUOUS, optimizer=optimizer)
    for _ in range(3):
        case.update()
    state = case.engine.state()
    case.update()
    straight = case.engine.state()
    case.engine = case.new_engine()
    case.engine.restore(state)
    case.update()
    again = case.engine.state()
    assert again.keys() == straight.keys()
    for name, array in straight.items():
        np.testing.assert_array_equal(again[name], array)


def test_a_state_of_another_optimizer_is_refused(engine):
    adam, rmsprop = Case(engine, DISCRETE), Case(engine, DISCRETE, optimizer="rmsprop")
    adam.update(), rmsprop.update()
    with pytest.raises(KeyError, match="mean_square"):
        rmsprop.engine.restore(adam.engine.state())


def test_acting_equals_the_numpy_forward_pass(engine):
    case = Case(engine, CONTINUOUS, hidden_sizes=(6, 5))
    obs = case.obs[0]
    noise = np.zeros((N, 2), np.float32)
    action, value = case.engine.act(obs, noise, 0)
    np.testing.assert_allclose(action, forward(case.initial, "actor", "tanh", obs), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value, forward(case.initial, "critic", "tanh", obs)[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(value, case.engine.value(obs))


def test_actions_follow_the_noise(engine):
    case = Case(engine, DISCRETE)
    low, _ = case.engine.act(case.obs[0], np.zeros(N, np.float32), 0)
    high, _ = case.engine.act(case.obs[0], np.full(N, 0.999999, np.float32), 0)
    assert low.tolist() == [0, 0, 0]
    assert high.tolist() == [2, 2, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_refused_and_changes_nothing(engine, bad):
    case = Case(engine, DISCRETE)
    case.update()
    before = case.engine.state()
    case.returns = np.full_like(case.returns, bad)
    with pytest.raises(FloatingPointError, match="norm of the gradient is"):
        case.update()
    for name, array in before.items():
        np.testing.assert_array_equal(case.engine.state()[name], array)


def test_the_learning_rate_given_is_the_one_used(engine):
    still, moving = Case(engine, DISCRETE), Case(engine, DISCRETE)
    still.update(rate=0.0), moving.update(rate=0.1)
    for name, before in still.initial.items():
        np.testing.assert_array_equal(still.engine.parameters()[name], before)
    assert any((moving.engine.parameters()[name] != before).any() for name, before in moving.initial.items())


def test_two_engines_in_one_process_do_not_share_anything(engine):
    first, second = Case(engine, DISCRETE), Case(engine, DISCRETE)
    before = second.engine.parameters()
    first.update(rate=0.1)
    for name, array in before.items():
        np.testing.assert_array_equal(second.engine.parameters()[name], array)


def test_acting_again_does_not_change_what_an_update_does(engine):
    plain, busy = (Case(engine, DISCRETE) for _ in range(2))
    plain.update()
    busy.act()
    for t in range(T):  # As at a truncation, or where a rollout ends.
        busy.engine.value(busy.obs[t][:2] + 1)
    busy.update()
    for name, array in plain.engine.state().items():
        np.testing.assert_array_equal(busy.engine.state()[name], array)


def test_values_of_more_observations_than_there_is_room_for_are_computed_in_parts(engine):
    case = Case(engine, DISCRETE)
    obs = np.random.default_rng(1).normal(size=(5 * N + 2, OBS)).astype(np.float32)
    value = forward(case.initial, "critic", "tanh", obs)[:, 0]
    np.testing.assert_allclose(case.engine.value(obs), value, rtol=1e-5, atol=1e-6)


# -- which engine --


def chosen(**settings):
    case = Case("auto", DISCRETE)
    case.config = dataclasses.replace(case.config, **settings)
    return choose_engine(case.config, case.architecture, case.distribution, case.initial)


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


# -- only Paddle's --


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_values_and_returns_of_different_shape_are_refused(engine):
    case = Case(engine, DISCRETE)
    with pytest.raises(ValueError, match="differ in shape"):
        case.engine.update(case.rollout, case.advantage, case.returns[:, :1], 1e-3)


def test_the_shipped_layer_is_the_network_of_the_policy():
    case = Case("paddle", CONTINUOUS)
    network = ActorCritic(case.architecture)
    missing, unexpected = network.set_state_dict(case.initial)
    assert (list(missing), list(unexpected)) == ([], [])
    (mean, log_std), value = network(paddle.to_tensor(case.obs[0]))
    np.testing.assert_allclose(mean.numpy(), forward(case.initial, "actor", "tanh", case.obs[0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(log_std.numpy(), case.initial["log_std"])
    assert value.shape == [N]
