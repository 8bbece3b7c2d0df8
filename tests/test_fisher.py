"""Products with the Fisher matrix: against finite differences of the KL divergence, and engine against engine."""

import numpy as np
import pytest
from divergence import distributions, divergence
from engine_cases import Case, distance
from generated import ACTIONS, OBSERVATIONS
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engines_parity import SPACES

BOX = spaces.Box(-1, 1, (5,))


def case_of(engine, action_space, masked=False, observations=BOX, shape=(4, 3), seed=0, **chosen):
    return Case(engine, observations, action_space, shape, masked, seed, **{"hidden_sizes": (7, 6), **chosen})


def direction_of(case, seed=1):
    """The same random vector in whichever layout the engine has; 0 for the critic."""
    flat, rng = np.zeros_like(case.engine.theta), np.random.default_rng(seed)
    for name, view in case.engine.views(flat).items():
        drawn = rng.normal(size=view.shape)
        if not name.startswith("critic"):
            view[...] = drawn
    return flat


def in_float64(case):
    return {name: array.astype(np.float64) for name, array in case.initial.items()}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_v_fisher_v_is_the_curvature_of_the_divergence(space, activation, masked):
    case = case_of("compiled", space, masked, activation=activation)
    direction = direction_of(case)
    product = case.engine.fisher(case.rollout, direction).astype(np.float64)
    middle, named = in_float64(case), case.named(direction)
    old, h = distributions(case, middle), 1e-4
    sides = [
        divergence(case, old, distributions(case, {k: middle[k] + s * h * named[k] for k in middle})) for s in (1, -1)
    ]
    assert float(direction @ product) == pytest.approx(sum(sides) / h**2, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(observations=OBSERVATIONS, actions=ACTIONS, masked=st.booleans(), seed=st.integers(0, 2**31))
def test_both_engines_have_the_same_products(observations, actions, masked, seed):
    ours, theirs = (case_of(engine, actions, masked, observations, (4, 3), seed) for engine in ("compiled", "paddle"))
    products = [case.named(case.engine.fisher(case.rollout, direction_of(case))) for case in (ours, theirs)]
    assert all(not array.any() for name, array in products[0].items() if name.startswith("critic"))
    assert distance(products[0], products[1]) < 1e-5


@pytest.mark.parametrize("shape", [(64, 8), (256, 8), (16, 40)])
def test_any_number_of_threads_gives_the_same_bits(shape):
    found = []
    for threads in (1, 2, 3):
        case = case_of("compiled", SPACES["all kinds"], shape=shape, hidden_sizes=(64, 64), num_threads=threads)
        found.append(case.engine.fisher(case.rollout, direction_of(case)))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_what_was_not_kept_is_computed_again():
    case = case_of("compiled", SPACES["4 actions"])
    kept = case.engine.fisher(case.rollout, direction_of(case))
    case.begin()
    assert (case.engine.fisher(case.rollout, direction_of(case)) == kept).all()
