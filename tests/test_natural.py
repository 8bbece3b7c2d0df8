"""The natural step: against the closed form, the divergence it is to have, engine against engine, and bit for bit."""

import numpy as np
import pytest
from divergence import distributions, divergence
from engine_cases import Case, distance
from gymnasium import spaces
from test_engines_parity import SPACES

import a2c
from a2c.learner import Learner
from a2c.natural import NaturalStep

BOX = spaces.Box(-1, 1, (5,))


def case_of(engine, action_space, masked=False, shape=(8, 6), seed=0, **chosen):
    chosen = {"hidden_sizes": (7,), "actor_step": "natural", "entropy_coef": 0.1, **chosen}
    return Case(engine, BOX, action_space, shape, masked, seed, **chosen)


def learn(case, update=0, scale=1.0):
    """Parameters after the natural step and the critic's passes."""
    step = NaturalStep(case.config, case.engine)
    step.learn(case.engine, case.optimizer, case.rollout, update, scale)
    return case.parameters()


def double(parameters):
    return {name: array.astype(np.float64) for name, array in parameters.items()}


def jacobian(case, h=1e-5):
    """[rows * O, P] of the actor's outputs in its parameters, by finite differences in float64."""
    columns = []
    for name, array in case.initial.items():
        if name.startswith("critic"):
            continue
        for index in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = double(case.initial)
                moved[name][index] += sign * h
                logits = np.log(distributions(case, moved)[0][:, 0])
                sides.append(logits)
            columns.append((sides[0] - sides[1]).ravel() / (2 * h))
    return np.array(columns).T


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_of_a_linear_softmax_the_step_is_the_closed_form(engine):
    case = case_of(engine, spaces.Discrete(3), hidden_sizes=(), natural_products=40, critic_epochs=1)
    rows = case.rollout.reward.size
    # With d log p = J dtheta, the Fisher matrix is the mean over rows and choices of p J J^T.
    p = distributions(case, double(case.initial))[0][:, 0]
    slopes = jacobian(case).reshape(rows, 3, -1)
    fisher = np.einsum("rc,rcp,rcq->pq", p, slopes, slopes) / rows
    gradient = case.named(case.engine.gradient(case.rollout)[0])
    g = -np.concatenate([gradient[name].ravel() for name in gradient if name.startswith("actor")]).astype(np.float64)
    x = np.linalg.solve(fisher + case.config.natural_damping * np.eye(len(g)), g)
    expected = x * np.sqrt(2 * case.config.natural_kl / (x @ fisher @ x))
    after = learn(case)
    moved = np.concatenate([(after[n] - case.initial[n]).ravel() for n in after if n.startswith("actor")])
    np.testing.assert_allclose(moved, expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_step_moves_the_policy_by_the_divergence_that_was_asked_for(space, masked):
    case = case_of("compiled", space, masked, shape=(32, 16), natural_kl=0.003, critic_epochs=1)
    old = distributions(case, double(case.initial))
    new = distributions(case, double(learn(case)))
    assert divergence(case, old, new) == pytest.approx(0.003, rel=0.1)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_both_engines_take_the_same_step(space, masked):
    found = [learn(case_of(engine, space, masked, natural_damping=0.3)) for engine in ("compiled", "paddle")]
    assert distance(*found) < 1e-4


def test_the_schedule_scales_the_divergence():
    case = case_of("compiled", SPACES["4 actions"], shape=(32, 16), natural_kl=0.01, critic_epochs=1)
    old = distributions(case, double(case.initial))
    new = distributions(case, double(learn(case, scale=0.25)))
    assert divergence(case, old, new) == pytest.approx(0.0025, rel=0.1)


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_a_step_is_no_longer_than_its_bound(engine):
    x, free, bound = (
        learn(case_of(engine, SPACES["4 actions"], critic_epochs=1, natural_kl=kl, natural_max_step=longest))
        for kl, longest in [(1e6, 1e-3), (1e-4, None), (1e-4, 1e3)]
    )
    initial = case_of(engine, SPACES["4 actions"]).initial
    actors = [name for name in initial if name.startswith("actor")]
    assert all((free[name] == bound[name]).all() for name in actors)
    short, long = (
        np.concatenate([(after[name] - initial[name]).ravel().astype(np.float64) for name in actors])
        for after in (
            x,
            learn(case_of(engine, SPACES["4 actions"], critic_epochs=1, natural_kl=1e6, natural_max_step=2e-3)),
        )
    )
    np.testing.assert_allclose(long, 2 * short, rtol=1e-2, atol=1e-6)
    assert np.linalg.norm(short) > 1e-5


def test_without_anything_to_gain_the_policy_stays():
    case = case_of("compiled", SPACES["4 choices"], entropy_coef=0.0)
    case.rollout.advantage[...] = 0
    after = learn(case)
    assert all((after[name] == case.initial[name]).all() for name in after if not name.startswith("critic"))
    assert any((after[name] != case.initial[name]).any() for name in after if name.startswith("critic"))


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_that_is_not_finite_is_not_taken(engine, bad):
    case = case_of(engine, SPACES["4 actions"])
    case.rollout.advantage[1, 2] = bad
    with pytest.raises(FloatingPointError):
        learn(case)
    assert all((array == case.initial[name]).all() for name, array in case.parameters().items())


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_where_the_critic_fails_the_actor_has_not_moved(engine):
    case = case_of(engine, SPACES["4 actions"])
    case.rollout.returns[1, 2] = np.inf
    with pytest.raises(FloatingPointError):
        learn(case)
    assert all((array == case.initial[name]).all() for name, array in case.parameters().items())


def test_the_critic_comes_closer_to_the_returns_with_every_pass():
    losses = []
    for epochs in (1, 4, 16):
        case = case_of("compiled", SPACES["4 choices"], critic_epochs=epochs, critic_minibatch=16)
        learn(case)
        case.act()
        losses.append(float(np.mean((case.rollout.value[:-1] - case.rollout.returns) ** 2)))
    assert losses[0] > losses[1] > losses[2]


# -- the learner --


def config(**chosen):
    settings = {"num_envs": 6, "rollout_length": 40, "actor_step": "natural", "hidden_sizes": (16,), "num_threads": 1}
    return a2c.Config("CartPole-v1", **{**settings, "critic_minibatch": 100, **chosen})


def learner_of(vectorization="compiled", **chosen):
    settings = config(**chosen)
    return Learner(settings, a2c.make_envs("CartPole-v1", settings.num_envs, vectorization=vectorization))


def same(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize("vectorization", ["compiled", "local"])
def test_advantages_are_shifted_to_mean_zero_and_keep_their_scale(vectorization):
    plain, natural = learner_of(vectorization, actor_step="gradient"), learner_of(vectorization)
    plain.update(1)
    natural.update(1)
    advantage = plain._rollout.advantage
    assert advantage.mean() > 1  # Every step pays 1, which no critic knows yet.
    np.testing.assert_allclose(natural._rollout.advantage, advantage - advantage.mean(), atol=1e-4)


def test_any_number_of_threads_gives_the_same_bits():
    found = []
    for threads in (1, 2, 3):
        learner = learner_of(num_threads=threads, num_envs=64, rollout_length=16)
        learner.update(3)
        found.append(learner.state())
    assert same(found[0], found[1])
    assert same(found[0], found[2])


def test_one_call_for_many_updates_and_one_for_each_do_the_same_as_step_by_step():
    many, each, stepwise = learner_of(), learner_of(), learner_of()
    stepwise._fused = None
    rows = many.update(4)
    singles = np.concatenate([each.update() for _ in range(4)])
    assert (rows == singles).all()
    assert same(many.state(), each.state())
    np.testing.assert_array_equal(rows, np.concatenate([stepwise.update() for _ in range(4)]))
    assert same(many.state(), stepwise.state())


@pytest.mark.parametrize("vectorization", ["compiled", "local"])
def test_a_state_goes_on_to_the_same_bits(vectorization):
    whole, first, second = (learner_of(vectorization) for _ in range(3))
    whole.update(5)
    first.update(2)
    second.restore(first.state(), 2)
    second.update(3)
    assert same(whole.state(), second.state())
