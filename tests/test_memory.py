"""Policies that remember: what a step makes of the last one, in both engines alike, exactly, and learnt from."""

import numpy as np
import pytest
from engine_cases import Case, finite_differences
from generated import ACTIONS, OBSERVATIONS
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engines_parity import Pair, check

NUMBERS = spaces.Box(-1, 1, (5,))
MIXED = spaces.Dict(a=spaces.Discrete(5), b=spaces.Box(-1, 1, (3,)), c=spaces.MultiBinary(2))


# -- the engines --


@pytest.mark.parametrize("hidden_sizes", [(), (7,), (16, 33)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (9, 5), (33, 40), (256, 1)], ids=str)
def test_gradients_of_both_engines_agree(shape, hidden_sizes):
    check(Pair(spaces.Discrete(5), shape, hidden_sizes=hidden_sizes, memory_size=16, num_threads=2))


@settings(max_examples=40)
@given(
    observations=OBSERVATIONS,
    actions=ACTIONS,
    memory_size=st.sampled_from((16, 48)),
    seed=st.integers(0, 2**32 - 1),
)
def test_engines_agree_on_every_pair_of_spaces(observations, actions, memory_size, seed):
    check(Pair(actions, (5, 3), seed=seed, observations=observations, masked=True, memory_size=memory_size))


def test_gradients_through_images_and_memory_agree():
    space = spaces.Dict(a=spaces.Discrete(5), camera=spaces.Box(0, 255, (36, 36), np.uint8))
    check(Pair(spaces.Discrete(3), (6, 3), observations=space, memory_size=16))


@pytest.mark.parametrize("observations", [NUMBERS, MIXED], ids=["numbers", "mixed"])
def test_the_gradient_is_that_of_finite_differences(observations):
    case = Case(
        "compiled", observations, spaces.Discrete(3), (6, 3), hidden_sizes=(5,), entropy_coef=0.1, memory_size=16
    )
    assert case.rollout.terminated.any()
    assert case.rollout.truncated.any()
    gradient, _ = case.gradient()
    for name, expected in finite_differences(case).items():
        np.testing.assert_allclose(gradient[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)
