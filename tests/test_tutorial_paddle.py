"""examples/tutorial_paddle.py: the page of Paddle does what our engines do."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from engine_cases import distance

import a2c
from a2c.exports.layer import paddle
from a2c.learner import Learner
from a2c.returns import gae

PATH = Path(__file__).parent.parent / "examples" / "tutorial_paddle.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("tutorial_paddle", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours_with_rollout(engine, example, env_id="CartPole-v0"):
    """A learner of ours with the example's settings, and its rollout after some updates."""
    config = a2c.Config(
        env_id, engine=engine, num_envs=example.NUM_ENVS, rollout_length=example.LENGTH, gamma=example.GAMMA,
        gae_lambda=example.LAMBDA, value_coef=example.VALUE_COEF, entropy_coef=example.ENTROPY_COEF,
        max_grad_norm=None, hidden_sizes=(256,), activation="relu", initialization="xavier",
        learning_rate=example.RATE, max_episode_steps=20,
    )  # fmt: skip
    envs = a2c.make_envs(env_id, config.num_envs, vectorization="local", max_episode_steps=20, seed=0)
    learner = Learner(config, envs, may_fuse=False)
    for _ in range(20):
        learner.collect()
        learner.learn()
    rollout = learner.collect()
    while not (rollout.truncated.any() and rollout.terminated.any()):
        learner.learn()
        rollout = learner.collect()
    return learner, rollout


def same_network(example, parameters):
    """The example's network with parameters of ours: its layers of weights are 0 and 2, ours 0 and 1."""
    model = example.ActorCritic(4, 2)
    names = {name: name.replace(".1.", ".2.") for name in parameters}
    model.set_state_dict({names[name]: array for name, array in parameters.items()})
    return model, names


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_its_gradients_are_those_of_our_engine_on_the_same_rollout(example, engine):
    learner, data = ours_with_rollout(engine, example)
    model, names = same_network(example, learner.policy().parameters)
    rollout = example.Rollout(
        data.inputs[:-1], data.action[..., 0].astype(int), data.reward, data.value[:-1], data.next_value,
        data.terminated, data.truncated,
    )  # fmt: skip
    advantage, returns = example.advantages_and_returns(rollout)
    expected = gae(
        data.reward, data.value[:-1], data.next_value, data.terminated, data.truncated, example.GAMMA, example.LAMBDA
    )
    np.testing.assert_allclose(advantage, expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(returns, expected[1], rtol=1e-5, atol=1e-5)
    loss = example.loss_of(model, rollout, *expected)
    loss.backward()
    theirs = {name: tensor.grad.numpy() for name, tensor in model.named_parameters()}
    data.advantage[...], data.returns[...] = expected
    flat, metrics = learner._engine.gradient(data)
    ours = {names[name]: view for name, view in learner._engine.views(flat).items()}
    assert float(loss) == pytest.approx(metrics.loss, rel=1e-5)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        assert distance(gradient, theirs[name]) < 1e-5, name


def test_what_it_collects_is_valued_from_the_true_successors(example):
    envs = a2c.make_envs("CartPole-v0", 8, vectorization="local", max_episode_steps=20, seed=3)
    paddle.seed(3)
    model = example.ActorCritic(4, 2)
    obs, _ = envs.reset(seed=3)
    seen = set()
    for _ in range(12):
        rollout, obs = example.collect(envs, model, obs)
        value = example.predict(model, rollout.obs.reshape(-1, 4))[1].numpy().reshape(8, 8)
        np.testing.assert_allclose(rollout.value, value, rtol=1e-4, atol=1e-5)
        goes_on = ~(rollout.terminated | rollout.truncated)
        np.testing.assert_allclose(rollout.next_value[:-1][goes_on[:-1]], rollout.value[1:][goes_on[:-1]])
        for t, n in zip(*np.nonzero(rollout.truncated[:-1] & ~rollout.terminated[:-1]), strict=True):
            # The last observation of an episode follows from the state acted on; the value acted on next is another's.
            assert rollout.next_value[t, n] != rollout.value[t + 1, n]
            assert abs(rollout.next_value[t, n] - rollout.value[t, n]) < 0.5
            seen.add("truncated")
    envs.close()
    assert seen


def test_it_refuses_to_mix_environments(example):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(4, 8, 8)).astype(np.float32)
    flags = np.zeros((2, 8, 8), bool)
    rollout = example.Rollout(rng.normal(size=(8, 8, 4)), rng.integers(2, size=(8, 8)), *arrays[:3], *flags)
    model = example.ActorCritic(4, 2)
    model.forward = lambda obs: (model.actor(obs), model.critic(obs))  # [B, 1] where [B] is right
    with pytest.raises(AssertionError):
        example.loss_of(model, rollout, arrays[0], arrays[1])


def test_the_same_seed_leads_to_the_same_parameters_and_it_learns_a_little(example):
    reports = []
    (one, finished), (other, _) = (example.train(seed=1, total_steps=20_000, report=reports.append) for _ in range(2))
    for name, tensor in one.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), other.state_dict()[name].numpy())
    assert reports
    assert np.mean(finished[-50:]) > 1.4 * np.mean(finished[:50])
