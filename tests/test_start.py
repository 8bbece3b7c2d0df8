"""Runs that start from the parameters of another."""

import hashlib
import json
import shutil

import numpy as np
import paddle_tutorial
import pytest
from safetensors.numpy import load_file, save_file

import a2c
from a2c.cli import main
from a2c.errors import UserError
from a2c.exports.layer import paddle
from a2c.files import read_arrays

OBS = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)

STILL = {"learning_rate": 1e-30}  # Parameters after an update are those before it.


def train(quick, **settings):
    return a2c.train("CartPole-v1", **quick | settings)


def final(run):
    return a2c.load(run, "final").parameters


def newest_state(run):
    return read_arrays(max((run.path / "checkpoints").glob("step_*")) / "state.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("vectorization", ["compiled", "local"])
def test_a_run_starts_with_the_best_policy_of_another(quick, engine, vectorization):
    first = train(quick, normalize_observations=True)
    settings = STILL | {"engine": engine, "vectorization": vectorization, "normalize_observations": True}
    second = train(quick, start_from=first, seed=5, total_steps=8, **settings)
    assert same(final(second), a2c.load(first).parameters)
    counts = [float(newest_state(run)["normalizer.count"][0]) for run in (first, second)]
    assert counts[1] == counts[0] + 8


def test_what_was_taken_is_in_config_json(quick, tmp_path):
    first = train(quick)
    taken = first.path / "policy" / "policy.safetensors"
    second = train(quick, start_from=first)
    config = json.loads(second.config_path.read_text())["config"]
    assert config["start_from"] == str(first.path)
    assert config["start_from_sha256"] == hashlib.sha256(taken.read_bytes()).hexdigest()


def test_the_same_file_gives_the_same_bits_and_resuming_does_not_need_it(quick):
    first = train(quick, total_steps=64)
    settings = {"start_from": str(first.path), "total_steps": 512, "seed": 3}
    whole, again = train(quick, **settings), train(quick, **settings)
    assert same(newest_state(whole), newest_state(again))
    other = train(quick, total_steps=512, seed=3)
    assert not same(final(whole), final(other))
    half = train(quick, **settings | {"total_steps": 256})
    shutil.rmtree(first.path)
    assert same(newest_state(a2c.resume(half, total_steps=512)), newest_state(whole))


def test_a_run_that_never_came_to_a_checkpoint_wants_the_very_file_it_began_with(quick):
    first, other = train(quick, total_steps=64), train(quick, total_steps=64, seed=9)
    second = train(quick, start_from=first)
    shutil.rmtree(second.path / "checkpoints")
    policy = first.path / "policy" / "policy.safetensors"
    kept = policy.read_bytes()
    policy.write_bytes((other.path / "policy" / "policy.safetensors").read_bytes())
    with (
        pytest.warns(UserWarning, match="no checkpoint yet"),
        pytest.raises(UserError, match="must be the one that the settings"),
    ):
        a2c.resume(second, total_steps=512)
    policy.write_bytes(kept)
    with pytest.warns(UserWarning, match="no checkpoint yet"):
        resumed = a2c.resume(second, total_steps=512)
    assert same(final(resumed), final(train(quick, start_from=first, total_steps=512)))


def test_a_checkpoint_is_a_start_too_with_statistics_and_all(quick):
    first = train(quick, normalize_observations=True)
    checkpoint = max((first.path / "checkpoints").glob("step_*"))
    settings = STILL | {"normalize_observations": True, "total_steps": 8}
    assert same(final(train(quick, start_from=str(checkpoint), **settings)), final(first))
    assert same(final(train(quick, start_from=str(checkpoint / "state.safetensors"), **settings)), final(first))


def test_the_tutorials_own_parameters_start_a_run(quick, tmp_path):
    paddle.seed(1)
    network = paddle_tutorial.ActorCritic(4, 2, 16)
    paddle.save(network.state_dict(), str(tmp_path / "model.pdparams"))
    # The two lines of docs/paddle.md:
    state = paddle.load(str(tmp_path / "model.pdparams"))
    save_file({name: tensor.numpy() for name, tensor in state.items()}, tmp_path / "model.safetensors")
    settings = {"hidden_sizes": (16,), "activation": "relu", "total_steps": 8, **STILL}
    run = train(quick, start_from=str(tmp_path / "model.safetensors"), **settings)
    probabilities, value = network(paddle.to_tensor(OBS))
    policy = a2c.load(run)
    assert policy.act(OBS).tolist() == probabilities.numpy().argmax(-1).tolist()
    np.testing.assert_allclose(policy.value(OBS), value.numpy()[:, 0], rtol=1e-5, atol=1e-6)


def test_a_seed_of_the_command_line_is_found_again_by_what_the_file_holds(quick, tmp_path, capsys):
    first, other = train(quick), train(quick, seed=7)
    words = ["train", "CartPole-v1", "--preset", "none", "--num-envs", "2", "--rollout-length", "4", "--no-pictures"]
    words += ["--hidden-sizes", "8", "--total-steps", "16", "--eval-every-steps", "0", "--final-eval-episodes", "0"]
    words += ["--run-dir", str(tmp_path / "others"), "--start-from", str(first.path), "--resume"]

    def made():
        assert main(words) == 0
        return len(list((tmp_path / "others").rglob("config.json")))

    assert (made(), made()) == (1, 1)
    shutil.copytree(other.path / "policy", first.path / "policy", dirs_exist_ok=True)
    assert made() == 2


def changed(arrays, **changes):
    return {name: value for name, value in {**arrays, **changes}.items() if value is not None}


CRITIC = [f"critic.{layer}.{kind}" for layer in (0, 1) for kind in ("weight", "bias")]
MISFITS = {
    "another width": (
        {"hidden_sizes": (9,)},
        {},
        "actor.0.weight has shape (4, 8); this run's networks have hidden_sizes 9",
    ),
    "more layers": ({"hidden_sizes": (8, 8)}, {}, "has no 'actor.2.bias'"),
    "fewer layers": ({"hidden_sizes": ()}, {}, "also has 'actor.1.bias'"),
    "no critic": ({}, dict.fromkeys(CRITIC), "has no 'critic.0.bias'"),
    "half a critic": ({}, {"critic.1.bias": None}, "has no 'critic.1.bias'"),
    "not finite": ({}, {"critic.1.bias": np.array([np.inf], np.float32)}, "critic.1.bias is not all finite"),
    "whole numbers": ({}, {"critic.1.bias": np.array([1])}, "critic.1.bias is not all finite real numbers"),
    "too large for float32": ({}, {"critic.1.bias": np.array([1e39])}, "critic.1.bias is not all finite"),
    "no statistics": ({"normalize_observations": True}, {}, "which has no statistics of observations"),
    "statistics": ({}, {"normalizer.mean": np.zeros(4)}, "normalize_observations is False, and start_from is"),
    "half of them": ({"normalize_observations": True}, {"normalizer.mean": np.zeros(4)}, "do not fit: 'count'"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_parameters_of_other_networks_are_refused_by_name(quick, tmp_path, kind):
    settings, changes, sentence = MISFITS[kind]
    arrays = load_file(train(quick).path / "policy" / "policy.safetensors")
    save_file(changed(arrays, **changes), tmp_path / "x.safetensors")
    before = list(tmp_path.rglob("config.json"))
    with pytest.raises(UserError) as error:
        train(quick, start_from=str(tmp_path / "x.safetensors"), **settings)
    assert sentence in str(error.value)
    assert str(tmp_path / "x.safetensors") in str(error.value)
    assert list(tmp_path.rglob("config.json")) == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "nowhere is missing"),
        ("x.pdparams", "a pickle, which can run code and is not read; docs/paddle.md shows the two lines"),
        ("folder", "a folder without a policy; it must be a run or a .safetensors file"),
        ("damaged.safetensors", "is not a whole safetensors file"),
    ],
)
def test_what_is_no_start_gets_a_sentence(quick, tmp_path, capsys, name, sentence):
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.pdparams").write_bytes(b"\x80\x04.")
    (tmp_path / "damaged.safetensors").write_bytes(b"damaged")
    words = ["train", "CartPole-v1", "--start-from", str(tmp_path / name), "--run-dir", str(tmp_path / "runs")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert [line for line in said.splitlines() if not line.startswith("compiling")] == [said.splitlines()[-1]]
    assert not (tmp_path / "runs").exists()


def test_runs_of_0_3_keep_their_identity():
    """It is in their checkpoints: one that changes is another run, and cannot go on."""
    assert "start_from" in a2c.Config("CartPole-v1").to_json()
    of_0_3 = a2c.Config("CartPole-v1", final_eval_episodes=100)  # What its config.json says.
    assert of_0_3.identity() == "1a0353035b680278e7c47b0e0622dcd9985d114688d11ced52b732f088777a98"
    assert a2c.Config("CartPole-v1", start_from="x").identity() != a2c.Config("CartPole-v1").identity()
