"""Initial values and the forward pass, in NumPy and in Paddle."""

import numpy as np
import paddle
import pytest
from gymnasium import spaces

from a2c.model.architecture import Architecture, Factor, Leaf, architecture_for
from a2c.model.blocks import forward, initial_parameters

WIDE = Architecture(
    (Leaf("", "real", 0, 4),), (Factor("gaussian", 0, 2, 0, 2, log_std=0),), hidden_sizes=(300, 20), activation="tanh"
)
LOOK_UPS = architecture_for(
    spaces.Tuple([spaces.Discrete(5), spaces.Box(-1, 1, (3,)), spaces.MultiDiscrete([2, 40])]),
    spaces.Discrete(3), (16,), "tanh", True,
)  # fmt: skip


@pytest.fixture(params=["numpy", "paddle"])
def arrays(request):
    """The array module, and a conversion into it."""
    return (np, np.asarray) if request.param == "numpy" else (paddle, paddle.to_tensor)


def test_names_and_shapes_are_the_portable_ones():
    assert WIDE.shapes() == {
        "actor.0.weight": (4, 300),
        "actor.0.bias": (300,),
        "actor.1.weight": (300, 20),
        "actor.1.bias": (20,),
        "actor.2.weight": (20, 2),
        "actor.2.bias": (2,),
        "critic.0.weight": (4, 300),
        "critic.0.bias": (300,),
        "critic.1.weight": (300, 20),
        "critic.1.bias": (20,),
        "critic.2.weight": (20, 1),
        "critic.2.bias": (1,),
        "log_std": (2,),
    }


def test_first_weights_have_a_row_for_every_real_number_and_every_choice():
    assert (LOOK_UPS.num_floats, LOOK_UPS.choices, LOOK_UPS.num_inputs, LOOK_UPS.input_size) == (3, (5, 2, 40), 6, 50)
    assert LOOK_UPS.shapes()["actor.0.weight"] == LOOK_UPS.shapes()["critic.0.weight"] == (50, 16)
    assert "log_std" not in LOOK_UPS.shapes()


def test_orthogonal_weights_are_orthonormal_times_their_gain():
    parameters = initial_parameters(WIDE, "orthogonal", -0.5, seed=0)
    for name, gain in [("actor.1.weight", np.sqrt(2)), ("actor.2.weight", 0.01), ("critic.2.weight", 1.0)]:
        weight = parameters[name] / gain  # tall: orthonormal columns
        np.testing.assert_allclose(weight.T @ weight, np.eye(weight.shape[1]), atol=1e-5)
    wide = parameters["actor.0.weight"] / np.sqrt(2)  # wide: orthonormal rows
    np.testing.assert_allclose(wide @ wide.T, np.eye(4), atol=1e-5)


def test_rows_that_are_looked_up_are_orthogonal_in_their_group_and_as_long_as_that_of_one_number():
    weight = initial_parameters(LOOK_UPS, "orthogonal", 0.0, seed=0)["actor.0.weight"] / np.sqrt(2)
    for first, rows in [(0, 3), (3, 5), (8, 2)]:  # Groups of no more rows than outputs: orthonormal rows.
        group = weight[first : first + rows]
        np.testing.assert_allclose(group @ group.T, np.eye(rows), atol=1e-5)
    tall = weight[10:]  # 40 rows of 16: orthogonal columns, and rows of length 1 on average
    np.testing.assert_allclose(tall.T @ tall, np.eye(16) * 40 / 16, atol=1e-5)
    assert np.mean(np.sum(tall**2, axis=1)) == pytest.approx(1, rel=1e-5)


def test_xavier_weights_have_variance_two_over_fan_in_plus_fan_out():
    weight = initial_parameters(WIDE, "xavier", 0.0, seed=0)["actor.1.weight"]
    assert weight.var() == pytest.approx(2 / 320, rel=0.05)
    assert weight.mean() == pytest.approx(0, abs=0.005)


def test_of_what_is_looked_up_a_choice_counts_as_one_input():
    architecture = architecture_for(spaces.MultiDiscrete([500, 300]), spaces.Discrete(2), (64,), "tanh", True)
    weight = initial_parameters(architecture, "xavier", 0.0, seed=0)["critic.0.weight"]
    assert weight.shape == (800, 64)
    assert weight.var() == pytest.approx(2 / (2 + 64), rel=0.05)


@pytest.mark.parametrize("how", ["orthogonal", "xavier"])
def test_biases_start_at_zero_and_log_std_where_it_is_told(how):
    parameters = initial_parameters(WIDE, how, -0.5, seed=0)
    assert all(not array.any() for name, array in parameters.items() if name.endswith("bias"))
    assert parameters["log_std"].tolist() == [-0.5, -0.5]
    assert all(array.dtype == np.float32 for array in parameters.values())


@pytest.mark.parametrize("architecture", [WIDE, LOOK_UPS], ids=["numbers", "look-ups"])
@pytest.mark.parametrize("how", ["orthogonal", "xavier"])
def test_the_seed_decides_and_no_two_matrices_are_alike(how, architecture):
    first, again, other = (initial_parameters(architecture, how, 0, seed) for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["actor.0.weight"] != other["actor.0.weight"]).any()
    assert (first["actor.0.weight"] != first["critic.0.weight"]).any()


def small(space, hidden_sizes, activation):
    return architecture_for(space, spaces.Discrete(1), hidden_sizes, activation, True)


def test_forward_is_layer_after_layer_with_no_activation_at_the_end(arrays):
    xp, to = arrays
    parameters = {
        "actor.0.weight": to(np.array([[1.0, -1.0]])),
        "actor.0.bias": to(np.array([0.0, 0.5])),
        "actor.1.weight": to(np.array([[2.0], [4.0]])),
        "actor.1.bias": to(np.array([-10.0])),
    }
    # relu(3, -3 + 0.5) = (3, 0) -> 6 - 10;  relu(-1, 1.5) = (0, 1.5) -> 6 - 10
    architecture = small(spaces.Box(-1, 1, (1,)), (2,), "relu")
    result = forward(xp, architecture, "actor", parameters, to(np.array([[3.0], [-1.0]])))
    assert result.tolist() == [[-4.0], [-4.0]]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("hidden_sizes", [(), (4,), (4, 3)])
@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3, start=7),
        spaces.MultiDiscrete([[2, 3], [1, 4]]),
        spaces.Dict(a=spaces.Discrete(4), b=spaces.Box(-1, 1, (2,)), c=spaces.MultiDiscrete([3, 2], start=[5, -1])),
    ],
    ids=str,
)
def test_looking_up_is_the_product_with_one_hot_vectors(arrays, space, hidden_sizes, activation):
    xp, to = arrays
    architecture, rng = small(space, hidden_sizes, activation), np.random.default_rng(0)
    parameters = {name: rng.normal(size=shape) for name, shape in architecture.shapes().items()}
    floats = rng.normal(size=(50, architecture.num_floats))
    choices = [rng.integers(n, size=50) for n in architecture.choices]
    x = np.concatenate(
        [floats, *(np.eye(n)[choice] for n, choice in zip(architecture.choices, choices, strict=True))], 1
    )
    for layer in range(len(hidden_sizes) + 1):
        x = x @ parameters[f"critic.{layer}.weight"] + parameters[f"critic.{layer}.bias"]
        if layer < len(hidden_sizes):
            x = np.tanh(x) if activation == "tanh" else np.maximum(x, 0)
    inputs = np.column_stack([floats, *choices])
    result = forward(xp, architecture, "critic", {name: to(array) for name, array in parameters.items()}, to(inputs))
    assert tuple(result.shape) == (50, 1)
    np.testing.assert_allclose(np.asarray(result), x, rtol=1e-9, atol=1e-12)
