"""A network of one's own, a `paddle.nn.Layer`: the numbers of ours where it is like ours; what of it is refused."""

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import gymnasium
import numpy as np
import own_nets
import paddle
import pytest
from engine_cases import Case, distance
from gymnasium import spaces
from test_images import BrightHalf
from test_resume import content

import a2c
import a2c.start
from a2c.cli import main
from a2c.commands.export import export
from a2c.engines import first_layers
from a2c.engines.choice import choose_engine, team_for
from a2c.envs.make import envs_for
from a2c.errors import UserError
from a2c.exports.description import description_of, flat
from a2c.learner import Learner
from a2c.model.architecture import architecture_for
from a2c.model.own import is_own, name_of
from a2c.policy import Policy
from a2c.presets import configure
from a2c.run import checkpoint

TORSO = "own_nets:Torso"
OBSERVED = spaces.Box(-1, 1, (5,))
MIXED = spaces.Dict(a=spaces.Discrete(4), b=spaces.Box(-1, 1, (3,)), c=spaces.MultiBinary(2))
CAMERA = spaces.Box(0, 255, (36, 40, 3), np.uint8)
ACTED = {
    "choices": spaces.Discrete(4),
    "numbers": spaces.Box(-1, 1, (3,)),
    "both": spaces.Tuple([spaces.MultiDiscrete([3, 5]), spaces.Box(-1, 1, (2,)), spaces.MultiBinary(2)]),
}


def like_ours(name):
    """What an array of Torso, or what is behind it, is called in our own networks with hidden_sizes (7, 5)."""
    network, _, rest = name.partition(".")
    if rest.startswith("layer."):
        _, layer, array = rest.split(".")
        return f"{network}.{('first', 'second').index(layer)}.{array}"
    return name if network == "log_std" else f"{network}.2.{rest.removeprefix('0.')}"


def mimicked(parameters, architecture):
    """Ours, as those of networks with Torso."""
    return {name: parameters[like_ours(name)] for name in architecture.shapes()}


class Twin:
    """Our compiled engine with a rollout, and an engine with Torso and the same parameters."""

    def __init__(self, observed, acted, engine="compiled", **settings):
        settings = {"entropy_coef": 0.3, **settings}
        self.ours = Case(engine, observed, acted, (6, 4), hidden_sizes=(7, 5), activation="tanh", **settings)
        config = dataclasses.replace(self.ours.config, engine="paddle", network=TORSO)
        architecture = architecture_for(observed, acted, (), "relu", True, TORSO, config.memory_size)
        self.engine = choose_engine(config, architecture, 0, team_for(config, architecture))
        for name, view in self.engine.views(self.engine.theta).items():
            view[...] = self.ours.initial[like_ours(name) if name.count(".") > 1 or "memory" not in name else name]
        self.engine.follow()

    def flat(self, named):
        laid_out = np.zeros_like(self.engine.theta)
        for name, view in self.engine.views(laid_out).items():
            view[...] = named[like_ours(name)]
        return laid_out

    def named(self, laid_out):
        return {like_ours(name): view.copy() for name, view in self.engine.views(laid_out).items()}


@pytest.mark.parametrize("acted", ACTED.values(), ids=ACTED)
@pytest.mark.parametrize("observed", [OBSERVED, MIXED], ids=["numbers", "mixed"])
def test_a_layer_like_ours_gives_the_numbers_and_gradients_of_our_own_engine(observed, acted):
    twin = Twin(observed, acted)
    rollout = twin.ours.rollout
    outputs, value = rollout.outputs.copy(), rollout.value.copy()
    for t in range(7):
        twin.engine.forward(rollout, t)
    np.testing.assert_allclose(rollout.outputs, outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rollout.value, value, rtol=1e-5, atol=1e-6)
    log_std = twin.ours.initial.get("log_std", np.zeros(0, np.float32))
    actions = [twin.ours.actions.sample(o[0], log_std, rollout.noise[0])
               for o in (outputs, rollout.outputs)]  # fmt: skip
    np.testing.assert_allclose(*actions, rtol=1e-5, atol=1e-6)
    (theirs, metrics), (ours, expected) = twin.engine.gradient(rollout), twin.ours.gradient()
    assert distance(twin.named(theirs), {name: ours[name] for name in twin.named(theirs)}) < 1e-5
    np.testing.assert_allclose(metrics, expected, rtol=1e-4, atol=1e-5)
    successors = rollout.inputs[1, ::-1].copy()
    none = np.zeros((4, 0), np.uint8), np.zeros((4, 0), np.float32)
    np.testing.assert_allclose(twin.engine.value(successors, *none), twin.ours.value(successors), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("acted", ACTED.values(), ids=ACTED)
def test_natural_steps_through_it_are_those_of_our_own_engine(acted):
    twin = Twin(OBSERVED, acted, actor_step="natural")
    rng = np.random.default_rng(3)
    vector = {name: rng.normal(size=array.shape).astype(np.float32) for name, array in twin.ours.initial.items()}
    rollout = twin.ours.rollout
    theirs = twin.named(twin.engine.fisher(rollout, twin.flat(vector)))
    ours_flat = np.zeros_like(twin.ours.engine.theta)
    for name, view in twin.ours.engine.views(ours_flat).items():
        view[...] = vector[name]
    ours = twin.ours.named(twin.ours.engine.fisher(rollout, ours_flat))
    assert distance(theirs, {name: ours[name] for name in theirs}) < 1e-4
    rows = np.array([3, 17, 5])
    critics = [case.named(case_engine.critic_gradient(rollout, rows)) for case, case_engine in
               ((twin, twin.engine), (twin.ours, twin.ours.engine))]  # fmt: skip
    assert distance(critics[0], {name: critics[1][name] for name in critics[0]}) < 1e-5


@pytest.mark.parametrize("actor_step", ["gradient", "natural"])
def test_it_is_trained_to_the_bits_of_ours_on_paddle_from_the_same_parameters(actor_step):
    settings = {
        "engine": "paddle", "num_envs": 4, "rollout_length": 16, "actor_step": actor_step, "hidden_sizes": (7, 5),
        "normalize_returns": True, "vectorization": "local",
    }  # fmt: skip
    rows, arrays = [], []
    for network in ("auto", TORSO):
        config = a2c.Config("CartPole-v1", network=network, **settings)
        with contextlib.closing(envs_for(config, "CartPole-v1", False)) as envs:
            learner = Learner(config, envs)
            if network == "auto":
                start = learner._parameters()
            else:
                learner._set_parameters(mimicked(start, learner._architecture))
            rows.append(learner.update(5))
            arrays.append(learner._parameters())
    np.testing.assert_array_equal(*rows)
    for name, array in arrays[1].items():
        np.testing.assert_array_equal(array, arrays[0][like_ours(name)], err_msg=name)


@pytest.mark.parametrize(
    ("network", "observed"), [("own_nets:Residual", MIXED), ("own_nets:Eye", CAMERA), ("own_nets:Eye", "beside")]
)
def test_gradients_are_the_slopes_of_the_loss(network, observed):
    if observed == "beside":
        observed = spaces.Dict(a=spaces.Discrete(3), eye=spaces.Box(0, 255, (3, 36, 38), np.uint8))
    acted, shape = ACTED["both"], (6, 4)
    # For its random actions and targets.
    ours = Case("paddle", observed, acted, shape, network="mlp", entropy_coef=0.3)
    config = dataclasses.replace(ours.config, network=network)
    architecture = architecture_for(observed, acted, (), "tanh", True, network)
    engine = choose_engine(config, architecture, 0, team_for(config, architecture))
    parameters, rng = a2c.start.drawn(config, architecture), np.random.default_rng(5)
    for name, view in engine.views(engine.theta).items():
        view[...] = parameters[name] + rng.normal(size=view.shape) * (0.1 if name.startswith(("actor.0", "log")) else 0)
    engine.follow()
    images = architecture.num_pixels
    rollout = ours.rollout._replace(
        inputs=ours.rollout.inputs[..., : architecture.num_inputs].copy(),
        pixels=rng.integers(256, size=(7, 4, images)).astype(np.uint8),
    )
    if architecture.choices:
        rollout.inputs[..., -1] = rng.integers(3, size=(7, 4))
    start, (gradient, _) = engine.theta.copy(), engine.gradient(rollout)
    assert np.linalg.norm(gradient) > 0.1
    for name, array in engine.views(gradient).items():
        size = np.linalg.norm(array)
        if name.endswith("waves"):  # A buffer: it is no part of what is learnt.
            assert size == 0
            continue
        assert size > 0, name
        losses = []
        for step in (1e-2, -1e-2):
            engine.theta[...] = start
            engine.views(engine.theta)[name][...] += step * array / size
            engine.follow()
            losses.append(engine.gradient(rollout)[1].loss)
        assert (losses[0] - losses[1]) / 2e-2 == pytest.approx(size, rel=2e-2, abs=2e-3), name


def drawn(seed=0, network="own_nets:Residual"):
    config = a2c.Config("none", network=network, seed=seed)
    return a2c.start.drawn(config, architecture_for(OBSERVED, ACTED["numbers"], (), "tanh", True, network))


def test_initial_parameters_follow_from_the_seed_whatever_else_the_process_does():
    first = drawn()
    paddle.seed(5)
    np.random.seed(6)  # noqa: NPY002
    random.seed(7)
    paddle.set_default_dtype("float64")
    before = paddle.get_rng_state()[0].current_seed(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    try:
        again = drawn()
        assert paddle.get_default_dtype() == "float64"
    finally:
        paddle.set_default_dtype("float32")
    after = paddle.get_rng_state()[0].current_seed(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert before == after
    assert list(first) == list(again)
    for name, array in first.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, again[name])
    assert not np.array_equal(first["actor.layer.enter.weight"], first["critic.layer.enter.weight"])
    for name in ("actor.layer.enter.weight", "actor.layer.scale", "actor.layer.waves"):
        assert not np.array_equal(first[name], drawn(seed=1)[name])


def test_what_is_seen_is_numbers_then_choices_one_by_one_and_images_beside():
    seen = spaces.Dict(a=spaces.Discrete(4, start=2), eye=spaces.Box(0, 255, (2, 36, 38), np.uint8), b=OBSERVED)
    architecture = architecture_for(seen, ACTED["choices"], (), "tanh", False, "own_nets:Eye")
    assert architecture.own.num_inputs == 5 + 4
    assert architecture.own.images == ((2, 36, 38),)
    rng = np.random.default_rng(0)
    parameters = drawn_for(architecture)
    policy = Policy("x", seen, ACTED["choices"], architecture, parameters, None)
    obs = {"a": 4, "eye": rng.integers(256, size=(2, 36, 38)).astype(np.uint8), "b": rng.random(5).astype(np.float32)}
    layer = own_nets.Eye(9, (2, 36, 38))
    layer.set_state_dict({n: paddle.to_tensor(parameters[f"actor.layer.{n}"]) for n, _ in architecture.own.arrays})
    numbers = np.array([[*obs["b"], 0, 0, 1, 0]], np.float32)
    features = layer(paddle.to_tensor(numbers), paddle.to_tensor(obs["eye"][None].astype(np.float32) / 255)).numpy()
    logits = features @ parameters["actor.0.weight"] + parameters["actor.0.bias"]
    rows, _ = policy._rows(obs)
    np.testing.assert_allclose(policy._network("actor", rows, None)[0], logits, rtol=1e-5, atol=1e-7)
    assert policy.act(obs) == logits.argmax()


def drawn_for(architecture):
    config = a2c.Config("none", network=architecture.network)
    parameters, rng = a2c.start.drawn(config, architecture), np.random.default_rng(1)
    parameters["actor.0.weight"] = rng.normal(size=parameters["actor.0.weight"].shape).astype(np.float32)
    return parameters


def test_it_may_have_frozen_parts_and_parameters_with_two_names(quick):
    run = a2c.train("CartPole-v1", network=own_nets.Frozen, **without_sizes(quick))
    after = checkpoint.newest(run.checkpoints).arrays
    observed = gymnasium.make("CartPole-v1").observation_space
    architecture = architecture_for(observed, spaces.Discrete(2), (), "tanh", False, "own_nets:Frozen")
    before = a2c.start.drawn(run.config, architecture)
    for network in ("actor", "critic"):
        for name in ("fixed.weight", "norm._mean", "norm._variance"):
            np.testing.assert_array_equal(after[f"{network}.layer.{name}"], before[f"{network}.layer.{name}"])
        for name in ("fixed.bias", "norm.weight", "free.weight"):
            assert not np.array_equal(after[f"{network}.layer.{name}"], before[f"{network}.layer.{name}"])
    tied = architecture_for(OBSERVED, ACTED["choices"], (), "tanh", False, "own_nets:Tied")
    assert tied.own.arrays == architecture_for(OBSERVED, ACTED["choices"], (), "tanh", False, TORSO).own.arrays


def test_statistics_move_under_it_as_nobody_knows_its_first_layer(quick):
    config = a2c.Config("CartPole-v1", **(without_sizes(quick, "preset") | {"network": TORSO, "memory_size": 16}))
    with contextlib.closing(envs_for(config, "CartPole-v1", True)) as envs:
        learner = Learner(config, envs)
    assert first_layers(learner._engine, learner._architecture).shape == (1, 5)  # That of the memory.
    config = dataclasses.replace(config, memory_size=0)
    with contextlib.closing(envs_for(config, "CartPole-v1", True)) as envs:
        learner = Learner(config, envs)
    assert first_layers(learner._engine, learner._architecture).shape == (0, 5)


def without_sizes(quick, *more):
    return {name: value for name, value in quick.items() if name not in ("hidden_sizes", *more)}


@pytest.mark.parametrize(
    ("settings", "env"),
    [
        ({"network": TORSO}, "CartPole-v1"),
        ({"network": "own_nets:Residual", "normalize_observations": True, "normalize_returns": True}, "Pendulum-v1"),
        ({"network": TORSO, "memory_size": 16}, "CartPole-v1"),
        ({"network": TORSO, "actor_step": "natural"}, "Pendulum-v1"),
        ({"network": "own_nets:Eye"}, BrightHalf),
    ],
    ids=["plain", "normalised", "memory", "natural", "image"],
)
def test_a_run_that_was_interrupted_goes_on_to_the_same_bits(quick, settings, env):
    settings = without_sizes(quick) | settings | {"total_steps": 160, "log_every_steps": 16, "eval_every_steps": 64}
    whole = a2c.train(env, **settings)
    training = a2c.Training(env, **settings)
    for row in training:
        if row["steps"] >= 80:
            break
    resumed = a2c.resume(training.run, env=None if isinstance(env, str) else env)
    assert resumed.summary["exact"]
    assert content(resumed) == content(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_run_that_was_killed_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    shutil.copy(own_nets.__file__, tmp_path / "mine.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path != os.path.dirname(__file__)))
    words = ["train", "CartPole-v1", "--network", "mine:Residual", "--preset", "none", "--total-steps", "6000",
             "--eval-every-steps", "2000", "--eval-episodes", "2", "--final-eval-episodes", "2", "--no-pictures",
             "--save-every-seconds", "0.05"]  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "a2c"]
    subprocess.run([*command, *words, "--run-dir", "whole"], check=True, capture_output=True)
    process = subprocess.Popen([*command, *words, "--run-dir", "killed"], stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("killed/*/*/checkpoints/step_*/manifest.json")):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (killed,) = tmp_path.glob("killed/*/*")
    assert not (killed / "summary.json").exists()
    subprocess.run([*command, "resume", str(killed), "--no-pictures"], check=True, capture_output=True)
    (whole,) = tmp_path.glob("whole/*/*")
    assert content(a2c.Run(killed)) == content(a2c.Run(whole))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of CartPole with Residual."""
    return a2c.train(
        "CartPole-v1", network=own_nets.Residual, preset="none", run_dir=str(tmp_path_factory.mktemp("runs")),
        total_steps=2_048, num_envs=4, rollout_length=16, eval_every_steps=0, final_eval_episodes=2,
    )  # fmt: skip


def test_its_arrays_are_named_as_its_state_dict_names_them(trained):
    arrays = checkpoint.newest(trained.checkpoints).arrays
    names = own_nets.Residual(4).state_dict()
    for network in ("actor", "critic"):
        for name, tensor in names.items():
            assert list(arrays[f"{network}.layer.{name}"].shape) == tensor.shape
        assert arrays[f"{network}.0.weight"].shape[0] == 8
    description = json.loads((trained.path / "policy" / "policy.json").read_text())
    assert description["network"] == "own_nets:Residual"
    assert description["hidden_sizes"] == []
    assert trained.config.network == "own_nets:Residual"


def test_a_policy_with_it_acts_evaluates_and_shows_itself(trained):
    policy = a2c.load(trained.path)
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    batch = policy.act(obs)
    assert [policy.act(row) for row in obs] == batch.tolist()
    actions, state = policy.predict(obs, deterministic=True)
    assert state is None
    np.testing.assert_array_equal(actions, batch)
    assert policy.value(policy._rows(obs)[0]).shape == (50,)
    assert trained.evaluate(episodes=2).returns == a2c.Run(trained.path).evaluate(episodes=2).returns
    assert trained.evaluate(episodes=2, which="final").lengths
    assert "own_nets:Residual, which gives 8 features" in policy._repr_html_()
    assert "CartPole-v1" in trained._repr_html_()


def test_a_copy_of_a_policy_in_a_loop_stays_as_it_was(quick):
    training = a2c.Training("CartPole-v1", network=TORSO, **without_sizes(quick, "total_steps"), total_steps=64,
                            log_every_steps=8)  # fmt: skip
    obs = np.ones((1, 4))
    for row in training:
        if row["steps"] == 8:
            policy = training.policy
            before = policy.value(obs)
    np.testing.assert_array_equal(policy.value(obs), before)
    assert not np.array_equal(a2c.load(training.run, "final").value(obs), before)


def test_the_verbs_know_it(trained, capsys, tmp_path):
    run = str(trained.path)
    assert main(["evaluate", run, "--episodes", "2"]) == 0
    assert main(["record", run, "--max-steps", "5", "--to", str(tmp_path / "film.gif")]) == 0
    assert main(["plot", run, "--to", str(tmp_path / "curve.png")]) == 0
    assert main(["report", run, "--to", str(tmp_path / "report.html")]) == 0
    assert "own_nets:Residual" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "film.gif").stat().st_size > 0
    capsys.readouterr()
    for to in ("onnx", "c", "html", "numpy"):
        assert main(["export", run, "--to", to]) == 2
        assert f"--to {to} has no layers but ours, and this policy goes through own_nets:Residual" in (
            capsys.readouterr().err
        )


def test_parameters_exported_for_paddle_go_into_a_layer_and_say_the_same(trained, tmp_path):
    from a2c.exports.layer import ActorCritic

    policy = trained.policy()
    export(policy, "pdparams", tmp_path / "policy.pdparams")
    network = ActorCritic(policy.architecture)
    missing, unexpected = network.set_state_dict(paddle.load(str(tmp_path / "policy.pdparams")))
    assert (missing, unexpected) == ([], [])
    obs = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    (logits,), value = network(paddle.to_tensor(obs))
    np.testing.assert_allclose(value.numpy(), policy.value(obs), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(logits.numpy().argmax(1), policy.act(obs))


@pytest.mark.parametrize(
    ("network", "observed", "settings"),
    [
        ("own_nets:Residual", OBSERVED, {}),
        ("own_nets:Residual", MIXED, {}),
        ("own_nets:Residual", spaces.MultiDiscrete([3, 4], start=[1, 2]), {"memory_size": 16}),
        ("own_nets:Eye", CAMERA, {}),
        ("own_nets:Eye", spaces.Dict(eye=spaces.Box(0, 255, (2, 36, 38), np.uint8), a=spaces.Discrete(3)), {}),
    ],
    ids=["numbers", "mixed", "choices, memory", "image", "image and choices"],
)
def test_paddles_inference_model_has_it(network, observed, settings, tmp_path):
    import generated

    architecture = architecture_for(observed, ACTED["both"], (), "tanh", False, network, settings.get("memory_size", 0))
    policy = Policy("x", observed, ACTED["both"], architecture, drawn_for(architecture), None)
    export(policy, "paddle", tmp_path / "policy.json")
    program = paddle.jit.load(str(tmp_path / "policy"))
    rows = generated.rows_of(observed, 50, 1)
    description = description_of(policy)
    given = [flat(observed, rows).astype(description.obs_type)]
    given += [np.ones((1, description.num_masks), np.bool_)] if description.num_masks else []
    given += [policy.begin(50)] if settings else []
    action, *_, outputs = (tensor.numpy() for tensor in program(*map(paddle.to_tensor, given)))
    np.testing.assert_allclose(outputs, policy._network("actor", rows, None)[0], rtol=1e-5, atol=1e-5)
    expected = flat(ACTED["both"], policy.act_batch(rows, None)[0])
    np.testing.assert_allclose(action.astype(np.float64), expected, atol=1e-5)


WRONG = {
    "RaisesWhenMade": r"raised KeyError: 'units' when it was called as RaisesWhenMade\(5\) \(own_nets.py, line \d+\)",
    "RaisesInForward": r"raised ValueError: .* in forward, given \[3, 5\] \(own_nets.py, line \d+\)",
    "Normalizing": "changes 'norm._mean' in forward, as BatchNorm does",
    "Dropping": "gives other features at the second call with the same inputs, as Dropout does",
    "Flat": r"gives float32 \[3\] for 3 rows of inputs; it must give one tensor of float32 \[3, F\]",
    "Pair": r"gives \(Tensor.*; it must give one tensor",
    "Double": "has the parameter 'shift' of float64; it must be float32",
    "GivesDouble": r"gives float64 \[3, 5\]",
    "Counting": "has the buffer 'order' of int64; it must be float32, or not persistable",
    "Unused": "has the parameter 'third.weight', and its features do not depend on it",
    "Mixing": "gives other features for a row alone than for the same row among others",
    "Drawn": "has numbers that its state_dict lacks",
    "NoLayer": "makes <.*NoLayer object.*>; it must make a paddle.nn.Layer",
    "the_same": "gives the same layer twice",
    "A_NUMBER": "which is 3; it must be a class",
    "Missing": "own_nets has no Missing",
}


@pytest.mark.filterwarnings("ignore:When training, we now always track")
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_trained_is_refused_in_a_sentence(name):
    with pytest.raises(UserError, match=WRONG[name]) as raised:
        architecture_for(OBSERVED, ACTED["choices"], (), "tanh", True, f"own_nets:{name}")
    assert "\n" not in str(raised.value)


def test_a_layer_that_raises_later_ends_the_run_in_a_sentence(quick, capsys):
    with pytest.raises(
        UserError, match=r"own_nets:RaisesLater raised ValueError: too many rows in forward, given \[8, 4\]"
    ):
        a2c.train("CartPole-v1", network=own_nets.RaisesLater, **without_sizes(quick))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Residual", "has none for layer_norm"),
        ("OnceDifferentiable", "has none for something in it"),
    ],
)
def test_natural_steps_are_refused_where_there_are_no_second_derivatives(name, why, quick):
    settings = without_sizes(quick) | {"actor_step": "natural"}
    with pytest.raises(
        UserError, match=rf"actor_step is 'natural'.*own_nets:{name}', and Paddle {why}; use actor_step"
    ):
        a2c.train("CartPole-v1", network=f"own_nets:{name}", **settings)


def test_second_derivatives_that_are_wrong_are_found(monkeypatch):
    from a2c.model import own_layers

    own = architecture_for(OBSERVED, ACTED["choices"], (), "tanh", True, TORSO).own
    own_layers.OwnNetworks(own).check_second_derivatives()
    right = own_layers._tangent
    monkeypatch.setattr(own_layers, "_tangent", lambda *given: right(*given) * 1.3)
    with pytest.raises(UserError, match="has wrong ones for something in it"):
        own_layers.OwnNetworks(own).check_second_derivatives()


def test_auto_chooses_paddle_and_says_why_and_the_compiled_engine_is_refused(quick, capsys):
    words = ["train", "CartPole-v1", "--network", TORSO, "--total-steps", "64", "--preset", "none", "--no-pictures"]
    words += ["--run-dir", quick["run_dir"], "--final-eval-episodes", "0", "--eval-every-steps", "0"]
    assert main(words) == 0
    assert "engine paddle on cpu, because of network own_nets:Torso" in capsys.readouterr().err
    assert main([*words, "--engine", "compiled"]) == 2
    assert "cannot compute network 'own_nets:Torso', a layer of PaddlePaddle; use engine" in capsys.readouterr().err
    assert main([*words, "--engine", "paddle", "--hidden-sizes", "32"]) == 2
    assert "hidden_sizes is (32,), which has no effect where network is 'own_nets:Torso'" in capsys.readouterr().err


def test_presets_and_fits_decide_all_but_its_layers():
    config = configure("CartPole-v1", "auto", {"network": TORSO})
    assert (config.actor_step, config.natural_kl) == ("natural", 0.02)
    fit = a2c.fitting.fit(CAMERA, ACTED["choices"], a2c.fitting.Asked(network="own_nets:Eye")).values
    assert fit["learning_rate"] == 3e-4
    assert not {"network", "hidden_sizes"} & fit.keys()


def test_a_preset_of_somebody_elses_does_not_choose_what_is_imported(tmp_path):
    path = tmp_path / "preset.toml"
    path.write_text('environment = "CartPole-v1"\n[settings]\nnetwork = "hostile:Layer"\n')
    with pytest.raises(UserError, match=r"names a network in a module of its own, hostile:Layer; .* --network hostile"):
        configure("CartPole-v1", str(path), {})
    assert configure("CartPole-v1", str(path), {"network": TORSO}).network == TORSO


def test_memory_before_it_works_and_beside_images_is_refused(quick):
    with pytest.raises(UserError, match="memory_size is 16 and network 'own_nets:Eye', which takes images as they are"):
        a2c.train(BrightHalf, network=own_nets.Eye, memory_size=16, **without_sizes(quick))
    policy = a2c.train("CartPole-v1", network=TORSO, memory_size=16, **without_sizes(quick)).policy()
    assert policy.architecture.own.num_inputs == 4 + 16
    _, carry = policy.act(np.ones((1, 4)), carry=policy.begin(1))
    assert carry.any()


def test_a_run_of_somebody_elses_imports_nothing_before_one_says_so(trained, tmp_path, capsys):
    copy = shutil.copytree(trained.path, tmp_path / "copy")
    values = json.loads((copy / "config.json").read_text())
    values["config"]["network"] = "hostile:Layer"
    (copy / "config.json").write_text(json.dumps(values))
    for use in (a2c.load, lambda run: a2c.Run(run).evaluate(episodes=1), a2c.resume):
        with pytest.raises(UserError, match=r"a network in a module of its own, hostile:Layer; .* --network hostile"):
            use(copy)
    assert "hostile" not in sys.modules
    shutil.rmtree(copy)
    shutil.copytree(trained.path, copy)
    assert main(["evaluate", str(copy), "--episodes", "1"]) == 2
    assert main(["evaluate", str(copy), "--episodes", "1", "--network", "own_nets:Torso"]) == 2
    assert "was trained with network 'own_nets:Residual', not 'own_nets:Torso'" in capsys.readouterr().err
    assert a2c.load(copy, network=own_nets.Residual).act(np.zeros(4)) in (0, 1)
    assert main(["evaluate", str(copy), "--episodes", "1"]) == 0  # Said once.
    assert a2c.Run(copy).command("resume").endswith("--network own_nets:Residual")


def test_a_policy_that_names_another_layer_than_its_run_is_refused(trained, tmp_path):
    copy = shutil.copytree(trained.path, tmp_path / "copy")
    path = copy / "policy" / "policy.json"
    path.write_text(path.read_text().replace("own_nets:Residual", "hostile:Layer"))
    with pytest.raises(UserError, match="hostile:Layer, and it may import own_nets:Residual"):
        a2c.load(copy, network="own_nets:Residual")
    with pytest.raises(UserError, match="and it may import nothing"):
        Policy.load(copy / "policy")


def test_what_changed_since_is_told_in_a_sentence(trained, monkeypatch):
    monkeypatch.setattr(own_nets.Residual, "forward", lambda self, inputs: self.enter(inputs) * self.scale)
    with pytest.raises(UserError, match=r"has the parameter 'blocks\.0\.weight', and its features do not depend"):
        a2c.load(trained)
    monkeypatch.undo()
    before = own_nets.Residual.forward
    monkeypatch.setattr(own_nets.Residual, "forward", lambda self, inputs: before(self, inputs) * 2)
    with pytest.raises(UserError, match="gives other features for the same inputs than when this was saved: its code"):
        a2c.load(trained)
    with pytest.raises(UserError, match=r"does not fit this run: .* its code has changed"):
        a2c.resume(trained, total_steps=4_096)
    monkeypatch.setattr(own_nets, "Residual", own_nets.Torso)
    with pytest.raises(UserError, match=r"lacks the array 'actor.layer.first.weight'"):
        a2c.load(trained)
    monkeypatch.delattr(own_nets, "Residual")
    with pytest.raises(UserError, match="own_nets has no Residual"):
        a2c.load(trained)


def test_where_paddle_or_the_module_is_missing_it_is_said(trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "a2c.model.own_layers", None)
    assert main(["evaluate", str(trained.path)]) == 2
    assert "network is 'own_nets:Residual', which needs PaddlePaddle, and that is not installed" in (
        capsys.readouterr().err
    )
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "own_nets", None)
    assert main(["evaluate", str(trained.path)]) == 2
    assert "cannot import the module of network 'own_nets:Residual'" in capsys.readouterr().err


def test_a_class_that_nobody_finds_again_is_refused(quick):
    class Local(own_nets.Torso):
        pass

    with pytest.raises(UserError, match="resumed or evaluated; define it at the top level of a module"):
        a2c.train("CartPole-v1", network=Local, **without_sizes(quick))
    assert name_of(own_nets.Torso) == TORSO
    with pytest.raises(UserError, match="network is 3"):
        a2c.Config("CartPole-v1", network=3)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (TORSO, True),
        ("a.b:C.D", True),
        ("a:b:C", False),
        ("a b:C", False),
        ("1a:C", False),
        (":C", False),
        ("a:", False),
    ],
)
def test_names_of_layers_are_told_from_other_networks(name, own):
    assert is_own(name) == own


def test_a_run_starts_from_the_parameters_of_another(trained, quick):
    run = a2c.train("CartPole-v1", network=own_nets.Residual, start_from=trained, **without_sizes(quick))
    assert run.summary["steps"] == 256
    with pytest.raises(UserError, match="this run's networks have network own_nets:Torso"):
        a2c.train("CartPole-v1", network=own_nets.Torso, start_from=trained, **without_sizes(quick))
