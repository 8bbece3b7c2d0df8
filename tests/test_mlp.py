"""Initial values and the NumPy forward pass."""

import numpy as np
import pytest

from a2c.mlp import Architecture, forward, initial_parameters

WIDE = Architecture(obs_size=4, hidden_sizes=(300, 20), activation="tanh", head_size=2, log_std_size=2)


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


def test_orthogonal_weights_are_orthonormal_times_their_gain():
    parameters = initial_parameters(WIDE, "orthogonal", -0.5, seed=0)
    for name, gain in [("actor.1.weight", np.sqrt(2)), ("actor.2.weight", 0.01), ("critic.2.weight", 1.0)]:
        weight = parameters[name] / gain  # tall: orthonormal columns
        np.testing.assert_allclose(weight.T @ weight, np.eye(weight.shape[1]), atol=1e-5)
    wide = parameters["actor.0.weight"] / np.sqrt(2)  # wide: orthonormal rows
    np.testing.assert_allclose(wide @ wide.T, np.eye(4), atol=1e-5)


def test_xavier_weights_have_variance_two_over_fan_in_plus_fan_out():
    weight = initial_parameters(WIDE, "xavier", 0.0, seed=0)["actor.1.weight"]
    assert weight.var() == pytest.approx(2 / 320, rel=0.05)
    assert weight.mean() == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("how", ["orthogonal", "xavier"])
def test_biases_start_at_zero_and_log_std_where_it_is_told(how):
    parameters = initial_parameters(WIDE, how, -0.5, seed=0)
    assert all(not array.any() for name, array in parameters.items() if name.endswith("bias"))
    assert parameters["log_std"].tolist() == [-0.5, -0.5]
    assert all(array.dtype == np.float32 for array in parameters.values())


def test_the_seed_decides_and_no_two_matrices_are_alike():
    first, again, other = (initial_parameters(WIDE, "xavier", 0, seed) for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["actor.0.weight"] != other["actor.0.weight"]).any()
    assert (first["actor.0.weight"] != first["critic.0.weight"]).any()


def test_forward_is_layer_after_layer_with_no_activation_at_the_end():
    parameters = {
        "actor.0.weight": np.array([[1.0, -1.0]]),
        "actor.0.bias": np.array([0.0, 0.5]),
        "actor.1.weight": np.array([[2.0], [4.0]]),
        "actor.1.bias": np.array([-10.0]),
    }
    # relu(3, -3 + 0.5) = (3, 0) -> 6 - 10;  relu(-1, 1.5) = (0, 1.5) -> 6 - 10
    assert forward(parameters, "actor", "relu", np.array([[3.0], [-1.0]])).tolist() == [[-4.0], [-4.0]]
