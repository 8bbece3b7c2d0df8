"""Images go through convolutions, in both engines alike, exactly, and learnt from."""

import json

import gymnasium
import numpy as np
import pytest
from engine_cases import Case, distance
from generated import rows_of as generated_rows
from gymnasium import spaces
from test_engines_parity import Pair, check

import a2c
from a2c.commands.export import write_pdparams
from a2c.errors import UserError
from a2c.model.architecture import architecture_for, leaves_of
from a2c.model.blocks import features_of, initial_parameters
from a2c.model.images import NATURE, image_network, size_after
from a2c.model.inputs import inputs_of
from a2c.policy import Policy

CAMERA = spaces.Box(0, 255, (40, 37, 3), np.uint8)
SIGHTS = {
    "grey": spaces.Box(0, 255, (36, 36), np.uint8),
    "in colour": CAMERA,
    "channels first": spaces.Box(0, 255, (4, 36, 44), np.uint8),
    "three in colour": spaces.Box(0, 255, (3, 36, 40, 3), np.uint8),
    "two, channels first": spaces.Box(0, 255, (2, 3, 37, 36), np.uint8),
    "beside all else": spaces.Dict(a=spaces.Discrete(5), b=spaces.Box(-1, 1, (3,)), camera=CAMERA),
}
TWO = spaces.Dict(left=CAMERA, right=SIGHTS["grey"])


class BrightHalf(gymnasium.Env):
    """The bright half of an image says which action is right."""

    observation_space = CAMERA
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action):
        reward = float(action == self._right)
        self._steps += 1
        return self._next(), reward, False, self._steps == 10, {}

    def _next(self):
        self._right = int(self.np_random.integers(2))
        image = self.np_random.integers(0, 128, CAMERA.shape, dtype=np.uint8)
        image[:, 18 * self._right : 18 * self._right + 18] += 100
        return image


SETTINGS = {
    "preset": "none",
    "num_envs": 4,
    "rollout_length": 5,
    "hidden_sizes": (),
    "learning_rate": 3e-4,
    "final_eval_episodes": 2,
}


# -- which are images --


def test_what_goes_through_convolutions_and_what_does_not():
    kinds = {
        (84, 84, 4): "pixels",
        (4, 84, 84): "pixels",
        (84, 84): "pixels",
        (36, 36): "pixels",
        (210, 160, 3): "pixels",
        (240, 320, 3): "scaled",
        (35, 84, 3): "scaled",
        (7, 7, 3): "real",
        (2, 84, 84, 3): "pixels",
        (2, 3, 84, 84): "pixels",
        (84, 84, 84, 3): "real",
    }
    for shape, kind in kinds.items():
        (leaf,) = leaves_of(spaces.Box(0, 255, shape, np.uint8), True)
        assert leaf.kind == kind, shape
    assert leaves_of(CAMERA, True, "mlp")[0].kind == "scaled"
    assert leaves_of(spaces.Box(0, 1, (84, 84, 4)), True)[0].kind == "real"
    assert [leaf.image for leaf in leaves_of(SIGHTS["channels first"], True)] == [(4, 36, 44, 1)]


def test_images_have_rows_of_their_own():
    architecture = architecture_for(SIGHTS["beside all else"], spaces.Discrete(2), (), "tanh", True)
    assert (architecture.num_inputs, architecture.num_pixels, architecture.num_features) == (4, 40 * 37 * 3, 512)
    shapes = architecture.shapes()
    assert shapes["actor.0.weight"] == (3 + 512 + 5, 2)
    assert shapes["image.0.0.weight"] == (8, 8, 3, 32)
    assert shapes["image.0.3.weight"] == (np.prod(size_after((40, 37), NATURE.convolutions)) * 64, 512)


def test_convolutions_are_refused_where_there_is_no_image_for_them():
    with pytest.raises(UserError, match="network is 'nature', and observations have no image of bytes"):
        architecture_for(spaces.Box(0, 255, (7, 7, 3), np.uint8), spaces.Discrete(2), (), "tanh", True, "nature")
    with pytest.raises(UserError, match="no image of bytes with 36 x 36 to about 200 x 200 pixels"):
        a2c.train("CartPole-v1", total_steps=100, network="nature")


@pytest.mark.parametrize("sight", [CAMERA, spaces.Box(-1, 1, (3,))], ids=["as numbers", "numbers"])
def test_a_critic_without_convolutions_cannot_have_its_own(sight):
    with pytest.raises(UserError, match="share_torso is False, and no image of these observations goes through"):
        architecture_for(sight, spaces.Discrete(2), (), "tanh", True, "mlp", share_torso=False)
    with pytest.raises(UserError, match="goes through our convolutions"):  # A layer of one's own shares nothing.
        architecture_for(sight, spaces.Discrete(2), (), "tanh", True, "own_nets:Eye", share_torso=False)
    with pytest.raises(UserError, match="which are all that can be shared; leave it out"):
        a2c.train("CartPole-v1", total_steps=100, share_torso=False)
    with pytest.raises(UserError, match="critic is 'none' and share_torso False"):
        a2c.Config("CartPole-v1", critic="none", share_torso=False)


@pytest.mark.parametrize("memory_size", [0, 16])
def test_a_critic_may_have_convolutions_of_its_own(memory_size):
    """They have the same shapes and other values; those of all else are what they are with shared ones."""
    sight = SIGHTS["beside all else"]
    shared, apart = (
        architecture_for(sight, spaces.Discrete(2), (7,), "tanh", True, "auto", memory_size, share)
        for share in (True, False)
    )
    assert apart.input_size == shared.input_size
    before, now = (initial_parameters(one, "orthogonal", 0.0, 5) for one in (shared, apart))
    assert now.keys() - before.keys() == {f"critic.{name}" for name in before if name.startswith("image.")}
    for name, array in before.items():
        np.testing.assert_array_equal(now[name], array)
        if name.startswith("image."):
            assert now[f"critic.{name}"].shape == array.shape
            assert (now[f"critic.{name}"] != array).any() or name.endswith("bias")


GRID = spaces.Box(0, 255, (7, 7, 3), np.uint8)
NETWORKS = {  # by what is asked for: of which image, and the shape of the units' weights
    "small": (GRID, (4 * 4 * 64, 64)),
    "16x3s,32": (GRID, (7 * 7 * 16, 32)),
    "16x5/2s,32x4/3s,16x2,48": (CAMERA, (6 * 6 * 16, 48)),
    "32x5/3,16x2,48": (CAMERA, (11 * 10 * 16, 48)),
    "32x8/4,64x4/2,64x3,256": (SIGHTS["beside all else"], (64, 256)),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_other_convolutions_may_be_asked_for(network):
    sight, units = NETWORKS[network]
    architecture = architecture_for(sight, spaces.Discrete(2), (), "tanh", True, network)
    shapes = architecture.shapes()
    assert shapes[f"image.0.{len(architecture.image_network.convolutions)}.weight"] == units
    assert architecture.num_features == units[1]
    assert image_network(architecture.image_network.text) == architecture.image_network


@pytest.mark.parametrize("text", ["nature", "small", "16x3s,64", "16x5/4s,32x1,1024"])
def test_what_is_asked_for_is_written_as_it_is_read(text):
    assert image_network(text).text == text
    assert image_network("32x8/4,64x4/2,64x3/1,512").text == "nature"


@pytest.mark.parametrize(
    "text",
    [
        *("", "large", "512", "32x8/4", "32x8/4,", ",512", "33x8/4,512", "32x8/4,500", "32x8/9,512"),
        *("32x0,512", "0x3,512", "32x8/0,512", "32x8/4;512", "32X8,512", "-32x8,512", "32x8,512,64x3", "8192x3,64"),
        ",".join(["16x1"] * 9 + ["64"]),
    ],
)
def test_what_no_image_can_go_through_is_refused(text):
    assert image_network(text) is None
    with pytest.raises(UserError, match="it must be auto, mlp, nature, small, or convolutions and the units after"):
        a2c.Config("CartPole-v1", network=text)


def test_an_image_must_be_as_large_as_the_windows():
    a2c.Config("CartPole-v1", network="16x8,64")
    with pytest.raises(UserError, match="a size that its windows fit into"):
        architecture_for(GRID, spaces.Discrete(2), (), "tanh", True, "16x8,64")
    with pytest.raises(UserError, match="a size that its windows fit into"):
        architecture_for(GRID, spaces.Discrete(2), (), "tanh", True, "16x5,16x4,64")
    architecture_for(GRID, spaces.Discrete(2), (), "tanh", True, "16x5,16x3,64")


def test_bytes_of_small_images_are_kinds_and_those_of_large_ones_brightness():
    leaves = [architecture_for(s, spaces.Discrete(2), (), "tanh", True, "16x3,64").images[0] for s in (GRID, CAMERA)]
    assert [leaf.divisor for leaf in leaves] == [16.0, 255.0]


# -- the engines --

TOGETHER_AND_APART = [
    pytest.param({}, id="shared"),
    pytest.param({"share_torso": False}, id="apart"),
    pytest.param({"share_torso": False, "memory_size": 16}, id="apart, with memory"),
]


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_of_both_engines_agree_through_other_convolutions(network):
    check(Pair(spaces.Discrete(5), (4, 3), observations=NETWORKS[network][0], hidden_sizes=(7,), network=network))


@pytest.mark.parametrize("network", NETWORKS)
def test_a_policy_with_other_convolutions_is_saved_and_read(network, tmp_path):
    sight, _ = NETWORKS[network]
    architecture = architecture_for(sight, spaces.Discrete(3), (7,), "tanh", False, network)
    parameters = initial_parameters(architecture, "orthogonal", 0.0, 5)
    policy = Policy("an environment", sight, spaces.Discrete(3), architecture, parameters, None)
    for name, content in policy.to_files().items():
        (tmp_path / name).write_bytes(content)
    sight.seed(3)
    obs = sight.sample()
    again = Policy.load(tmp_path)
    assert again.architecture == architecture
    assert again.act(obs) == policy.act(obs)


@pytest.mark.parametrize("hidden_sizes", [(), (7,), (16, 33)], ids=str)
@pytest.mark.parametrize("sight", SIGHTS)
def test_gradients_of_both_engines_agree(sight, hidden_sizes):
    check(Pair(spaces.Discrete(5), (4, 3), observations=SIGHTS[sight], hidden_sizes=hidden_sizes))


@pytest.mark.parametrize("shape", [(1, 1), (9, 5), (3, 50)], ids=str)
@pytest.mark.parametrize("apart", TOGETHER_AND_APART)
def test_gradients_of_rollouts_of_every_size_agree(shape, apart):
    actions = spaces.Dict(a=spaces.Discrete(5), b=spaces.Box(-1, 1, (3,)), c=spaces.MultiBinary(2))
    chosen = {"masked": True, "num_threads": 2, "activation": "relu", **apart}
    check(Pair(actions, shape, observations=SIGHTS["beside all else"], **chosen))


@pytest.mark.parametrize("hidden_sizes", [(), (16, 33)], ids=str)
@pytest.mark.parametrize("memory_size", [0, 16])
@pytest.mark.parametrize("sight", SIGHTS)
def test_gradients_of_both_engines_agree_where_the_critic_has_its_own_convolutions(sight, memory_size, hidden_sizes):
    chosen = {"share_torso": False, "memory_size": memory_size, "hidden_sizes": hidden_sizes}
    check(Pair(spaces.Discrete(5), (4, 3), observations=SIGHTS[sight], **chosen))


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_two_equal_torsos_say_what_a_shared_one_says_and_their_gradients_are_its_two_parts(engine):
    sight, actions = SIGHTS["beside all else"], spaces.Discrete(4)
    shared, apart = (
        Case(engine, sight, actions, (4, 3), hidden_sizes=(7,), entropy_coef=0.1, share_torso=share)
        for share in (True, False)
    )
    same = shared.initial | {f"critic.{name}": array for name, array in shared.initial.items() if "image" in name}
    apart.set_parameters(same)
    for name in ("inputs", "pixels", "action", "advantage", "returns"):
        getattr(apart.rollout, name)[...] = getattr(shared.rollout, name)
    apart.act()
    for name in ("outputs", "value"):
        np.testing.assert_allclose(getattr(apart.rollout, name), getattr(shared.rollout, name), rtol=1e-6, atol=1e-6)
    (whole, _), (parts, _) = shared.gradient(), apart.gradient()
    for name, array in whole.items():
        sum_of_parts = parts[name] + parts[f"critic.{name}"] if name.startswith("image.") else parts[name]
        assert distance(sum_of_parts, array) < 1e-6, name
        assert not name.startswith("image.") or distance(parts[name], array) > 0.1, name


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("memory_size", [0, 16])
def test_what_the_critic_learns_moves_its_own_convolutions_and_the_actors_through_memory_alone(engine, memory_size):
    chosen = {"share_torso": False, "memory_size": memory_size, "entropy_coef": 0.0}
    case = Case(engine, SIGHTS["grey"], spaces.Discrete(4), (4, 3), **chosen)
    case.rollout.advantage[...] = 0
    gradient = case.gradient()[0]
    assert gradient["critic.image.0.0.weight"].any()
    assert gradient["image.0.0.weight"].any() == (memory_size > 0)
    other = Case(engine, SIGHTS["grey"], spaces.Discrete(4), (4, 3), value_coef=0.0, **chosen)
    gradient = other.gradient()[0]
    assert gradient["image.0.0.weight"].any()
    assert not gradient["critic.image.0.0.weight"].any()


FEW = {"share_torso": False, "network": "16x8/4,32x3/2s,48"}


@pytest.mark.parametrize("chosen", [{}, FEW, {**FEW, "memory_size": 16}], ids=["shared", "apart", "apart, with memory"])
def test_the_gradient_is_that_of_finite_differences(chosen):
    """With memory, the critic sees its own features beside what both remember of the actor's."""
    case = Case("compiled", SIGHTS["grey"], spaces.Discrete(3), (3, 2), hidden_sizes=(5,), entropy_coef=0.1, **chosen)
    if case.config.memory_size:
        case.rollout.terminated[...] = case.rollout.truncated[...] = False
        case.rollout.terminated[1, 0] = case.rollout.truncated[0, 1] = True
        case.act()
    gradient, _ = case.gradient()
    rng = np.random.default_rng(0)
    for name, array in case.initial.items():
        for _ in range(6):
            index = tuple(rng.integers(size) for size in array.shape)
            sides = []
            for step in (1e-6, -1e-6):
                moved = {key: value.astype(np.float64) for key, value in case.initial.items()}
                moved[name][index] += step
                sides.append(case.loss(moved))
            assert gradient[name][index] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-5), name


@pytest.mark.parametrize("change", ["nothing", "a pixel", "an input", "parameters", "values asked for"])
@pytest.mark.parametrize("apart", TOGETHER_AND_APART)
def test_the_gradient_is_a_function_of_parameters_and_rollout_alone(change, apart):
    sight = SIGHTS["beside all else"]
    case, fresh = (Case("compiled", sight, spaces.Discrete(3), (5, 9), hidden_sizes=(7,), **apart) for _ in range(2))
    fresh_rollout = fresh.rollout
    match change:
        case "a pixel":
            for rollout in (case.rollout, fresh_rollout):
                rollout.pixels[2, 3, 1234] ^= 255
        case "an input":
            for rollout in (case.rollout, fresh_rollout):
                rollout.inputs[2, 3, 1] += 1
        case "parameters":
            for one in (case, fresh):
                one.set_parameters({name: array / 2 for name, array in case.initial.items()})
        case "values asked for":
            case.engine.value(case.rollout.inputs[0], case.rollout.pixels[0] ^ 255, case.rollout.carry[0])
    fresh.begin(case.parameters())
    ours, theirs = case.gradient()[0], fresh.gradient()[0]
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


@pytest.mark.parametrize("apart", TOGETHER_AND_APART)
def test_any_number_of_threads_gives_the_same_bits(apart):
    one, two = (
        Case("compiled", CAMERA, spaces.Discrete(3), (5, 16), hidden_sizes=(), num_threads=threads, **apart)
        for threads in (1, 2)
    )
    assert "2 threads" in two.engine.name
    for _ in range(2):
        one.update(), two.update()
    for name, array in one.state().items():
        np.testing.assert_array_equal(two.state()[name], array)


@pytest.mark.parametrize("share", [True, False])
def test_several_images_are_left_to_paddle(share):
    case = Case("auto", TWO, spaces.Discrete(2), (2, 2), share_torso=share)
    assert case.engine.name.startswith("paddle on cpu")
    gradient = case.gradient()[0]
    images = [name for name in gradient if "image." in name and name.endswith(".0.weight")]
    assert len(images) == (2 if share else 4)
    assert all(gradient[name].any() for name in images)
    with pytest.raises(UserError, match="'compiled', which takes one image, and these observations have 2"):
        Case("compiled", TWO, spaces.Discrete(2), (2, 2))


@pytest.mark.parametrize("engine", ["auto", "compiled", "paddle"])
def test_natural_steps_through_convolutions_are_refused(engine):
    with pytest.raises(UserError, match="actor_step is 'natural', which does not work with images"):
        Case(engine, CAMERA, spaces.Discrete(2), (2, 2), actor_step="natural")


def test_convolutions_of_numpy_are_those_of_paddle():
    paddle = pytest.importorskip("paddle")
    case = Case("compiled", SIGHTS["channels first"], spaces.Discrete(2), (1, 2))
    pixels = case.rollout.pixels[0]
    images = paddle.to_tensor(pixels.reshape(2, 4, 36, 44).astype(np.float32) / 255)
    for layer, convolution in enumerate(NATURE.convolutions):
        weight, bias = (case.initial[f"image.0.{layer}.{name}"] for name in ("weight", "bias"))
        images = paddle.nn.functional.relu(
            paddle.nn.functional.conv2d(
                images, paddle.to_tensor(weight.transpose(3, 2, 0, 1)), paddle.to_tensor(bias), convolution.stride
            )
        )
    flat = images.numpy().transpose(0, 2, 3, 1).reshape(2, -1)  # Pixel by pixel, as the layer behind takes it.
    features = np.maximum(flat @ case.initial["image.0.3.weight"] + case.initial["image.0.3.bias"], 0)
    np.testing.assert_allclose(
        features_of(np, case.architecture, "actor", case.initial, pixels), features, rtol=1e-4, atol=1e-5
    )


# -- training --


def trained(folder, **settings):
    return a2c.train(BrightHalf, **{"total_steps": 400, "run_dir": str(folder), **SETTINGS, **settings})


def final(run):
    return run.policy("final").parameters


@pytest.mark.parametrize("apart", TOGETHER_AND_APART)
def test_workers_and_threads_change_no_bit(tmp_path, apart):
    expected = final(trained(tmp_path / "a", vectorization="local", num_threads=1, **apart))
    for settings in ({"num_workers": 2}, {"isolate_envs": True, "num_workers": 1, "num_threads": 2}):
        for name, array in final(trained(tmp_path / "b", **settings, **apart)).items():
            np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("apart", TOGETHER_AND_APART)
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, apart):
    expected = trained(tmp_path / "whole", vectorization="local", **apart)
    short = trained(tmp_path / "parts", vectorization="local", total_steps=200, **apart)
    whole = a2c.resume(short, total_steps=400, env=BrightHalf)
    for name, array in final(expected).items():
        np.testing.assert_array_equal(final(whole)[name], array)


@pytest.mark.parametrize("share", [True, False])
def test_an_image_is_learnt_from_and_the_policy_goes_with_it(tmp_path, share):
    chosen = {"total_steps": 4000, "num_envs": 8, "final_eval_episodes": 20, "share_torso": share}
    run = trained(tmp_path, vectorization="local", **chosen)
    assert run.summary["final_evaluation"]["mean"] > 9
    policy = Policy.load(run.path / "policy")
    env = BrightHalf()
    obs, _ = env.reset(seed=3)
    assert policy.act(obs) == env._right
    batch = np.stack([obs, obs[:, ::-1]])
    assert policy.act(batch).tolist() == [env._right, 1 - env._right]
    assert policy.value(obs[None]).shape == (1,)


@pytest.mark.parametrize("apart", TOGETHER_AND_APART)
@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_a_policy_computes_what_training_did(engine, apart):
    sight, actions = SIGHTS["beside all else"], spaces.Discrete(4)
    case = Case(engine, sight, actions, (3, 6), hidden_sizes=(9,), normalize_observations=False, **apart)
    policy = Policy("an environment", sight, actions, case.architecture, case.parameters(), None)
    rows = generated_rows(sight, 6)
    inputs, pixels = inputs_of(case.architecture, rows, None)
    for t in range(3):
        case.rollout.inputs[t], case.rollout.pixels[t] = inputs, pixels
        case.engine.forward(case.rollout, t)
        outputs, carry = policy._network("actor", rows, case.rollout.carry[t])
        np.testing.assert_allclose(case.rollout.outputs[t], outputs, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(case.rollout.carry[t + 1], carry, rtol=1e-4, atol=1e-5)
        value = policy.value(rows, case.rollout.carry[t])
        np.testing.assert_allclose(case.rollout.value[t], value, rtol=1e-4, atol=1e-5)
        again = case.engine.value(inputs, pixels, case.rollout.carry[t])
        np.testing.assert_allclose(again, value, rtol=1e-4, atol=1e-5)


def test_a_policy_of_before_shares_and_one_that_does_not_know_is_refused(tmp_path):
    parameters = {}
    for share in (True, False):
        architecture = architecture_for(CAMERA, spaces.Discrete(3), (), "tanh", True, share_torso=share)
        parameters[share] = initial_parameters(architecture, "orthogonal", 0.0, 5)
        policy = Policy("an environment", CAMERA, spaces.Discrete(3), architecture, parameters[share], None)
        folder = tmp_path / str(share)
        folder.mkdir()
        for name, content in policy.to_files().items():
            (folder / name).write_bytes(content)
        assert Policy.load(folder).architecture == architecture
        assert ("convolutions of their own" in policy._repr_html_()) != share
    description = json.loads((tmp_path / "True" / "policy.json").read_text())
    del description["share_torso"]
    (tmp_path / "True" / "policy.json").write_text(json.dumps(description))
    assert Policy.load(tmp_path / "True").architecture.share_torso
    for wrong, sentence in ((False, r"lacks the array 'critic\.image\.0\.0\.weight'"), (0, "must be true or false")):
        (tmp_path / "True" / "policy.json").write_text(json.dumps(description | {"share_torso": wrong}))
        with pytest.raises(UserError, match=sentence):
            Policy.load(tmp_path / "True")


def test_a_run_starts_from_a_critic_with_convolutions_of_its_own_and_from_no_other(tmp_path):
    quick = {"total_steps": 20, "vectorization": "local"}
    first = trained(tmp_path / "a", share_torso=False, **quick)
    second = trained(tmp_path / "b", share_torso=False, start_from=str(first.path), learning_rate=1e-12, **quick)
    for name, array in first.policy("best").parameters.items():
        np.testing.assert_allclose(final(second)[name], array, atol=1e-6)
    with pytest.raises(UserError, match=r"also has 'critic\.image\.0\.0\.bias'"):
        trained(tmp_path / "c", start_from=str(first.path), **quick)
    with pytest.raises(UserError, match=r"has no 'critic\.image\.0\.0\.bias'.* share_torso False"):
        shared = trained(tmp_path / "d", **quick)
        trained(tmp_path / "e", share_torso=False, start_from=str(shared.path), **quick)


def test_images_can_be_taken_as_numbers(tmp_path):
    with pytest.warns(
        UserWarning, match=r"observations are images \(40, 37, 3\), and the network sees them as numbers"
    ):
        run = trained(tmp_path, network="mlp", hidden_sizes=(8,), vectorization="local")
    assert "image.0.0.weight" not in final(run)
    with pytest.raises(UserError, match="--to pdparams cannot hold the convolutions"):
        write_pdparams(trained(tmp_path, vectorization="local").policy("final"), tmp_path / "x")
