"""studies/original.py: the tutorial's program and its faults are what Paddle makes of them."""

import itertools

import numpy as np
import paddle_tutorial
import pytest
from engine_cases import distance

from a2c.exports.layer import paddle
from studies import original
from studies.notebook import notebooks
from studies.original import VARIANTS, Faults, Rollout
from studies.original_page import ENGLISH, table, with_tables

NAMES = {"0": "0", "1": "2"}
"""The layers of the study, and where they are in the tutorial's Sequential."""


def parameters_and_rollout(seed=0):
    rng = np.random.default_rng(seed)
    parameters = original.initial_parameters(rng)
    for name, array in parameters.items():
        if name.endswith("bias"):
            array[...] = rng.normal(size=array.shape)
    done = rng.random((8, 8)) < 0.2
    rollout = Rollout(
        rng.normal(size=(8, 8, 4)).astype(np.float32),
        rng.integers(2, size=(8, 8)),
        rng.normal(size=(8, 8)).astype(np.float32),
        done,
        (done * rng.normal(size=(8, 8))).astype(np.float32),
        rng.normal(size=8).astype(np.float32),
    )
    return parameters, rollout


def network_with(parameters):
    network = paddle_tutorial.ActorCritic(4, 2, original.HIDDEN)
    named = (name.split(".") for name in parameters)
    network.set_state_dict({f"{net}.{NAMES[i]}.{kind}": parameters[f"{net}.{i}.{kind}"] for net, i, kind in named})
    return network


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("squashes", [False, True])
def test_the_gradient_with_and_without_each_fault_is_paddles(mixes, squashes):
    parameters, rollout = parameters_and_rollout()
    network = network_with(parameters)
    returns = original.returns(rollout)
    paddle_tutorial.loss(network, rollout.obs, rollout.action, returns, mixes, squashes).backward()
    theirs = {}
    for name, tensor in network.named_parameters():
        net, layer, kind = name.split(".")
        theirs[f"{net}.{int(layer) // 2}.{kind}"] = tensor.grad.numpy()
    ours = original.gradient(parameters, rollout, Faults(mixes_environments=mixes, squashes_entropy=squashes))
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        assert distance(gradient, theirs[name]) < 1e-5, name


def test_every_switch_of_the_loss_changes_the_gradient_of_the_actor_alone():
    parameters, rollout = parameters_and_rollout()
    found = [
        original.gradient(parameters, rollout, Faults(*flags)) for flags in itertools.product([False, True], [0, 1])
    ]
    for one, other in itertools.combinations(found, 2):
        assert distance(one["actor.0.weight"], other["actor.0.weight"]) > 1e-3
        np.testing.assert_array_equal(one["critic.0.weight"], other["critic.0.weight"])


def test_paddle_samples_from_the_softmax_of_the_probabilities_it_is_given():
    paddle.seed(0)
    distribution = paddle.distribution.Categorical(paddle.to_tensor([[0.99, 0.01]]))
    share = float(distribution.sample([20_000]).astype("float32").mean())
    q = original.softmax(np.array([[0.99, 0.01]]))[0, 1]
    assert q == pytest.approx(1 / (1 + np.exp(0.98)))
    assert share == pytest.approx(q, abs=0.01)  # 0.27, not 0.01


def test_squashed_actions_are_sampled_from_the_softmax_of_the_probabilities():
    parameters, _ = parameters_and_rollout()
    obs = np.random.default_rng(1).normal(size=(1, 4)).astype(np.float32)
    p = original.softmax(original.forward(parameters, "actor", obs)[1])
    uniform, many = np.linspace(0, 1, 1000, endpoint=False), np.repeat(obs, 1000, 0)
    for faults, expected in ((Faults(), p), (Faults(squashes_actions=True), original.softmax(p))):
        assert original.chosen(parameters, many, faults, uniform).mean() == pytest.approx(expected[0, 1], abs=2e-3)


def test_adam_steps_as_paddle_does():
    parameters, rollout = parameters_and_rollout()
    network = network_with(parameters)
    optimizer = paddle.optimizer.Adam(1e-3, parameters=network.parameters())
    adam = original.Adam(parameters)
    for _ in range(3):
        paddle_tutorial.loss(network, rollout.obs, rollout.action, original.returns(rollout)).backward()
        optimizer.step()
        optimizer.clear_grad()
        adam.step(parameters, original.gradient(parameters, rollout, VARIANTS["the first three"]), 1e-3)
    theirs = network_with(parameters).state_dict()
    for name, tensor in network.state_dict().items():
        np.testing.assert_allclose(theirs[name].numpy(), tensor.numpy(), atol=2e-5)


def test_returns_of_an_episode_that_was_cut_go_on_and_those_of_a_death_do_not():
    one = np.ones((2, 2), np.float32)
    done = np.array([[True, True], [False, False]])
    final_value = np.array([[10.0, 0.0], [0.0, 0.0]], np.float32)  # The first episode was cut, the second one died.
    rollout = Rollout(np.zeros((2, 2, 4), np.float32), np.zeros((2, 2), int), one, done, final_value, 10 * one[0])
    # 1 + 0.99 * 10 after a cut, 1 after a death; at the end of the rollout 1 + 0.99 * 10.
    np.testing.assert_allclose(original.returns(rollout), [[10.9, 1.0], [10.9, 10.9]], rtol=1e-6)


def test_variants_of_a_seed_begin_alike_and_come_apart_by_the_switch_alone():
    ends = {name: original.train("CartPole-v0", faults, 0, total_steps=640) for name, faults in VARIANTS.items()}
    again = original.train("CartPole-v0", Faults(), 0, total_steps=640)
    np.testing.assert_array_equal(ends["corrected"][0]["actor.0.weight"], again[0]["actor.0.weight"])
    # No episode reaches its limit in 80 steps, so the third switch changes nothing yet; the first two do.
    np.testing.assert_array_equal(again[0]["actor.0.weight"], ends["limits as deaths"][0]["actor.0.weight"])
    for name in ("mixed environments", "squashed entropy", "squashed actions"):
        assert (ends[name][0]["actor.0.weight"] != again[0]["actor.0.weight"]).any()
        assert ends[name][1].value[:5] == again[1].value[:5] or name == "squashed actions"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mixed_environments_lead_most_seeds_to_one_action_everywhere_at_first(seed):
    shares = {}
    for variant in ("corrected", "mixed environments"):
        parameters, episodes, _ = original.train("CartPole-v0", VARIANTS[variant], seed, total_steps=24_000)
        obs = np.random.default_rng(0).uniform(-0.1, 0.1, (200, 4)).astype(np.float32)
        p = original.softmax(original.forward(parameters, "actor", obs)[1])
        shares[variant] = max(p.mean(0)), np.mean(episodes.value[-50:])
    assert shares["mixed environments"][0] > 0.9
    assert shares["mixed environments"][1] < 12  # what always the same action brings
    assert shares["corrected"][0] < 0.7
    assert shares["corrected"][1] > 50


# -- what came of it --


@pytest.mark.parametrize("page", notebooks(), ids=lambda page: page.name)
def test_the_tables_of_the_tutorial_are_those_of_the_committed_results(page):
    text = page.read_text(encoding="utf-8")
    assert with_tables(text, page) == text, "python -m studies.original_page writes them again"


def test_a_row_counts_what_was_solved_and_compares_with_the_corrected_program(monkeypatch):
    def row(variant, seed, curve, solved):
        last = {"sampled": 150.0, "greedy": 200.0, "value": 80.0}
        return {"env": "CartPole-v0", "variant": variant, "seed": seed, "solved_after": solved, "curve": curve, **last}

    curves = {"corrected": [100.0, None, 200.0]}
    rows = [
        row(variant, seed, curves.get(variant, [40.0, 60.0, 50.0]), 640 if seed < 3 else None)
        for variant in VARIANTS
        for seed in range(20)
    ]
    monkeypatch.setattr("studies.original_page.saved", lambda: rows)
    lines = table("CartPole-v0", ENGLISH).splitlines()
    cells = "150 (150 to 150) | 200 (200 to 200) | 80 (80 to 80) |"
    assert lines[2] == f"| the corrected program | 3 of 20 seeds | 150 (150 to 150) |  | {cells}"
    assert lines[3].endswith(f"| 3 of 20 seeds | 50 (50 to 50) | 100 (100 to 100) | {cells}")
    rows.pop()
    with pytest.raises(SystemExit, match="all four: 19 seeds of 20"):
        table("CartPole-v0", ENGLISH)
