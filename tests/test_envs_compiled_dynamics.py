"""The compiled environments against Gymnasium's own: the same states, observations, rewards and ends, step by step."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.utils import seeding

from a2c.envs.compiled import acrobot, cartpole, mountain_car, pendulum
from a2c.envs.compiled.form import CompiledEnv

STEPS = 10_000


def cartpole_state(rng):
    return rng.uniform(-1, 1, 4) * [2.4, 3, 0.21, 3]


def acrobot_state(rng):
    # Angles that are wrapped more than once, and speeds at their limits.
    return rng.uniform(-1, 1, 4) * [10, 10, 4 * math.pi, 9 * math.pi]


def car_state(rng):
    return np.array([rng.uniform(-1.2, 0.6), rng.uniform(-0.07, 0.07)])


def continuous_car_state(rng):
    if rng.random() < 0.5:  # As after a reset: not yet in single precision.
        return np.array([*car_state(rng), 0.0])
    return np.array([*car_state(rng).astype(np.float32), 1.0])


def pendulum_state(rng):
    return rng.uniform(-1, 1, 2) * [20, 8]


def wraps(i):
    """The angle jumped against the way in which it turned before and after."""

    def happened(before, action, after, terminated):
        turned = np.sign(before[i + 2]) == np.sign(after[i + 2]) == -np.sign(after[i] - before[i])
        return turned and abs(before[i]) <= math.pi

    return happened


CARTPOLE_EVENTS = {
    "off the track to the left": lambda before, action, after, terminated: terminated and after[0] < -2.4,
    "off the track to the right": lambda before, action, after, terminated: terminated and after[0] > 2.4,
    "fallen to the left": lambda before, action, after, terminated: terminated and after[2] < -0.2,
    "fallen to the right": lambda before, action, after, terminated: terminated and after[2] > 0.2,
}

ACROBOT_EVENTS = {
    "first angle wrapped": wraps(0),
    "second angle wrapped": wraps(1),
    "wrapped more than once": lambda before, action, after, terminated: abs(before[0]) > 3 * math.pi,
    "slowest first speed": lambda before, action, after, terminated: after[2] == -4 * math.pi,
    "fastest first speed": lambda before, action, after, terminated: after[2] == 4 * math.pi,
    "slowest second speed": lambda before, action, after, terminated: after[3] == -9 * math.pi,
    "fastest second speed": lambda before, action, after, terminated: after[3] == 9 * math.pi,
    "high enough": lambda before, action, after, terminated: terminated,
}


def car_events(number):
    """What may happen to either car, whose limits are held in a type of number."""
    return {
        "wall on the left": lambda before, action, after, terminated: after[0] == number(-1.2) and after[1] == 0,
        "end on the right": lambda before, action, after, terminated: after[0] == number(0.6),
        "fastest to the left": lambda before, action, after, terminated: after[1] == number(-0.07),
        "fastest to the right": lambda before, action, after, terminated: after[1] == number(0.07),
        "goal": lambda before, action, after, terminated: terminated,
        "beyond the goal": lambda before, action, after, terminated: before[0] > 0.5 and not terminated,
    }


CONTINUOUS_CAR_EVENTS = {
    **car_events(np.float32),
    "wall at a first step": lambda before, action, after, terminated: before[2] == 0 and after[0] == np.float32(-1.2),
    "goal at a first step": lambda before, action, after, terminated: before[2] == 0 and terminated,
    "bounded on the left": lambda before, action, after, terminated: action[0] < -1,
    "bounded on the right": lambda before, action, after, terminated: action[0] > 1,
    "not bounded": lambda before, action, after, terminated: abs(action[0]) < 1,
    "just at the bound": lambda before, action, after, terminated: abs(action[0]) == 1,
}

PENDULUM_EVENTS = {
    "more than one turn up": lambda before, action, after, terminated: after[0] > 3 * math.pi,
    "more than one turn down": lambda before, action, after, terminated: after[0] < -3 * math.pi,
    "fastest down": lambda before, action, after, terminated: after[1] == -8,
    "fastest up": lambda before, action, after, terminated: after[1] == 8,
    "bounded below": lambda before, action, after, terminated: action[0] < -2,
    "bounded above": lambda before, action, after, terminated: action[0] > 2,
}


@dataclass(frozen=True)
class Problem:
    """A compiled environment and what to compare it in."""

    env: CompiledEnv
    functions: tuple[Callable, Callable, Callable]  # reset, step, observe
    randoms: int  # Uniforms for a reset.
    reset_low: list[float]
    reset_high: list[float]
    draw: Callable  # Any state, from a wider range than resets give.
    events: dict[str, Callable]  # What must have been met.
    first_obs_ulp: int = 0  # How far a first observation may be from Gymnasium's.


CARTPOLE = (cartpole.reset, cartpole.step, cartpole.observe)
ACROBOT = (acrobot.reset, acrobot.step, acrobot.observe)
CAR = (mountain_car.reset, mountain_car.step, mountain_car.observe)
CONTINUOUS_CAR = (mountain_car.reset_continuous, mountain_car.step_continuous, mountain_car.observe)
PENDULUM = (pendulum.reset, pendulum.step, pendulum.observe)

PROBLEMS = {
    "CartPole-v0": Problem(cartpole.CARTPOLE_V0, CARTPOLE, 4, [-0.05] * 4, [0.05] * 4, cartpole_state, CARTPOLE_EVENTS),
    "CartPole-v1": Problem(cartpole.CARTPOLE_V1, CARTPOLE, 4, [-0.05] * 4, [0.05] * 4, cartpole_state, CARTPOLE_EVENTS),
    "Acrobot-v1": Problem(acrobot.ACROBOT_V1, ACROBOT, 4, [-0.1] * 4, [0.1] * 4, acrobot_state, ACROBOT_EVENTS, 2),
    "MountainCar-v0": Problem(
        mountain_car.MOUNTAIN_CAR_V0, CAR, 1, [-0.6, 0], [-0.4, 0], car_state, car_events(np.float64)
    ),
    "MountainCarContinuous-v0": Problem(
        mountain_car.MOUNTAIN_CAR_CONTINUOUS_V0,
        CONTINUOUS_CAR,
        1,
        [-0.6, 0],
        [-0.4, 0],
        continuous_car_state,
        CONTINUOUS_CAR_EVENTS,
    ),
    "Pendulum-v1": Problem(
        pendulum.PENDULUM_V1, PENDULUM, 2, [-math.pi, -1], [math.pi, 1], pendulum_state, PENDULUM_EVENTS
    ),
}

# With Python's numbers NumPy 1 makes double precision of the actions of these two, NumPy 2 leaves them in single.
NEED_NUMPY_2 = {"MountainCarContinuous-v0", "Pendulum-v1"}


@functools.cache
def machine_code(function):
    return numba.njit(function)


def gymnasiums(env_id):
    """Gymnasium's environment without wrappers, which warns that CartPole-v0 is old."""
    return gymnasium.spec(env_id).make(disable_env_checker=True).unwrapped


def random_action(space, rng):
    """Any action, also outside the bounds and on them."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return int(rng.integers(space.n))
    if rng.random() < 0.05:
        return space.high * rng.choice(np.float32([-1, 1]))
    return rng.uniform(1.5 * space.low, 1.5 * space.high).astype(np.float32)


def copied(problem, state, env):
    """Puts our state into Gymnasium's environment, in the type in which it keeps it."""
    env.reset()
    if problem.functions is CONTINUOUS_CAR:
        env.state = state[:2].astype(np.float32) if state[2] else state[:2].copy()
    else:
        env.state = state.copy()


@pytest.mark.parametrize("env_id", PROBLEMS)
@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
def test_every_step_is_gymnasiums(env_id):
    if env_id in NEED_NUMPY_2 and np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("rounds as Gymnasium does with NumPy 2")
    problem = PROBLEMS[env_id]
    reset, step, observe = map(machine_code, problem.functions)
    theirs = gymnasiums(env_id)
    rng = np.random.default_rng(0)
    obs = np.zeros(theirs.observation_space.shape, np.float32)
    none = np.zeros(0)
    met = set()
    state, left = None, 0
    for _ in range(STEPS):
        if left == 0:
            if rng.random() < 0.02:  # A whole episode; else a few steps from anywhere.
                state, left = np.full(problem.env.state_size, np.nan), problem.env.max_episode_steps
                reset(state, rng.random(problem.randoms))
            else:
                state, left = problem.draw(rng), 5
            copied(problem, state, theirs)
        action = random_action(theirs.action_space, rng)
        before = state.copy()
        reward, terminated = step(state, action, none)
        observe(state, obs)
        their_obs, their_reward, their_terminated, _, _ = theirs.step(action)

        size = len(theirs.state)
        np.testing.assert_allclose(state[:size], theirs.state, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(obs, their_obs, strict=True)
        assert reward == their_reward
        assert terminated == their_terminated
        met |= {name for name, happened in problem.events.items() if happened(before, action, state, terminated)}
        left = 0 if terminated else left - 1
    assert met == set(problem.events)


@pytest.mark.parametrize("env_id", PROBLEMS)
@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
def test_a_reset_from_the_same_uniforms_is_gymnasiums(env_id):
    problem = PROBLEMS[env_id]
    reset, _, observe = map(machine_code, problem.functions)
    theirs = gymnasiums(env_id)
    state = np.full(problem.env.state_size, np.nan)
    obs = np.zeros(theirs.observation_space.shape, np.float32)
    for seed in range(500):
        their_obs, _ = theirs.reset(seed=seed)
        reset(state, seeding.np_random(seed)[0].random(problem.randoms))
        observe(state, obs)
        np.testing.assert_array_equal(state[: len(theirs.state)], theirs.state)
        np.testing.assert_array_max_ulp(obs, their_obs, problem.first_obs_ulp)


@pytest.mark.parametrize("env_id", PROBLEMS)
def test_a_reset_fills_its_range(env_id):
    problem = PROBLEMS[env_id]
    reset = machine_code(problem.functions[0])
    state = np.full(problem.env.state_size, np.nan)
    rng = np.random.default_rng(0)
    uniforms = rng.random((2000, problem.randoms))
    uniforms[0], uniforms[1] = 0, np.nextafter(1, 0)
    states = []
    for random in uniforms:
        reset(state, random)
        states.append(state[: len(problem.reset_low)].copy())
    np.testing.assert_allclose(np.min(states, axis=0), problem.reset_low, rtol=1e-7)
    np.testing.assert_allclose(np.max(states, axis=0), problem.reset_high, rtol=1e-7)


@pytest.mark.parametrize("env_id", PROBLEMS)
@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
def test_what_it_declares_is_gymnasiums(env_id):
    env, theirs = PROBLEMS[env_id].env, gymnasiums(env_id)
    assert env.name == env_id
    assert env.observation_space == theirs.observation_space
    assert env.action_space == theirs.action_space
    assert env.max_episode_steps == gymnasium.spec(env_id).max_episode_steps
    assert env.reset_randoms == PROBLEMS[env_id].randoms
    assert env.step_randoms == 0
