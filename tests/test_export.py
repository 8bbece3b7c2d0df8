"""Parameters on their way to Paddle: into the tutorial's own layer, and into ours."""

import numpy as np
import paddle_tutorial
import pytest

import a2c
from a2c.cli import main
from a2c.exports.layer import ActorCritic, paddle
from a2c.model.blocks import numbered


def trained(quick, **settings):
    return a2c.train("CartPole-v1", **quick | {"hidden_sizes": (16,), "activation": "relu", **settings})


def exported(run, tmp_path):
    path = tmp_path / "policy.pdparams"
    assert main(["export", str(run.path), "--to", "pdparams", "--out", str(path)]) == 0
    return paddle.load(str(path))


OBS = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


def test_a_tutorial_run_goes_into_the_tutorials_own_layer(quick, tmp_path):
    run = trained(quick)
    network = paddle_tutorial.ActorCritic(4, 2, 16)
    missing, unexpected = network.set_state_dict(exported(run, tmp_path))
    assert (list(missing), list(unexpected)) == ([], [])
    probabilities, value = network(paddle.to_tensor(OBS))
    policy = a2c.load(run)
    assert probabilities.numpy().argmax(-1).tolist() == policy.act(OBS).tolist()
    hidden = np.maximum(OBS @ policy.parameters["actor.0.weight"] + policy.parameters["actor.0.bias"], 0)
    odds = np.exp(hidden @ policy.parameters["actor.1.weight"] + policy.parameters["actor.1.bias"])
    np.testing.assert_allclose(probabilities.numpy(), odds / odds.sum(-1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(value.numpy()[:, 0], policy.value(OBS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden_sizes", [(8,), (8, 6, 5)])
def test_both_kinds_of_names_go_into_our_layer(quick, tmp_path, hidden_sizes):
    run = trained(quick, hidden_sizes=hidden_sizes)
    policy = a2c.load(run)
    for state in (exported(run, tmp_path), policy.parameters):  # 0.3 exported the latter names.
        network = ActorCritic(policy.architecture)
        missing, unexpected = network.set_state_dict(state)
        assert (list(missing), list(unexpected)) == ([], [])
        np.testing.assert_allclose(
            network.value(paddle.to_tensor(OBS)).numpy(), policy.value(OBS), rtol=1e-5, atol=1e-6
        )


def test_layers_are_numbered_in_their_order_and_other_names_stay():
    names = [
        "actor.0.weight",
        "actor.10.bias",
        "actor.9.weight",
        "critic.3.weight",
        "log_std",
        "normalizer.mean",
        "actor.x",
    ]
    assert list(numbered(dict.fromkeys(names), by=2)) == [
        *[
            "actor.0.weight",
            "actor.4.bias",
            "actor.2.weight",
            "critic.0.weight",
            "log_std",
            "normalizer.mean",
            "actor.x",
        ]
    ]
    parameters = dict.fromkeys(["actor.0.bias", "actor.1.bias", "actor.2.bias"])
    assert numbered(numbered(parameters, by=2), by=1) == parameters
