"""What decides episodes: seeds of resets, spaces that are sampled, and generators that no seed reaches."""

import random

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import a2c
from a2c.envs import history
from a2c.envs.compiled.cartpole import CARTPOLE_V1 as CARTPOLE
from a2c.envs.seeding import Spaces, Watch
from a2c.randomness import episode_seed

ACTIONS = np.random.default_rng(0).integers(0, 2, (60, 3))


class Sampler(gymnasium.Env):
    """Observes what it samples: from its spaces (`how` "spaces"), or from a generator of the whole process."""

    observation_space = Box(0, 1, (2,), np.float32)
    action_space = Discrete(1000)

    def __init__(self, how="spaces"):
        self._how = how

    def reset(self, *, seed=None, options=None):
        self._t = 0
        return self._obs(), {}

    def step(self, action):
        self._t += 1
        return self._obs(), 1.0, self._t == 4, False, {}

    def _obs(self):
        match self._how:
            case "spaces":
                drawn = [self.action_space.sample() / 1000, self.observation_space.sample()[1]]
            case "random":
                drawn = [random.random(), 0]
            case "np.random":
                drawn = [np.random.rand(), 0]  # noqa: NPY002 - that is the point
            case "np_random":
                drawn = [self.np_random.random(), 0]
        return np.array(drawn, np.float32)


def envs(kind, **settings):
    if kind == "compiled":
        return a2c.make_envs(CARTPOLE, 3, vectorization="compiled", **settings)
    return a2c.make_envs(CARTPOLE, 3, num_workers=int(kind[0]), vectorization="workers" if kind != "0" else "local",
                         **settings)  # fmt: skip


def observed_in(vector, seed, steps=60):
    observed = [vector.reset(seed=seed)[0]]
    for action in ACTIONS[:steps]:
        observed.append(vector.step(action)[0])
    return np.array(observed)


@pytest.mark.parametrize("kind", ["0", "2", "compiled"])
def test_everything_after_a_reset_follows_from_its_seed(kind):
    first, second = envs(kind, seed=1), envs(kind, seed=2)
    try:
        once, again = observed_in(first, 7), observed_in(first, 7)
        assert (once == again).all()
        assert (once == observed_in(second, 7)).all()  # Whatever seed they were made with.
        other = observed_in(second, 8)
        assert (once[-1] != other[-1]).any()
        assert (observed_in(first, [7, 8, 9]) == once).all()
    finally:
        first.close()
        second.close()


def test_every_layout_gives_the_same_episodes_after_a_seeded_reset():
    observed = []
    for kind in ("0", "1", "2", "compiled"):
        vector = envs(kind)
        observed.append(observed_in(vector, 7))
        vector.reset()
        observed[-1] = np.concatenate([observed[-1], [vector.step(ACTIONS[0])[0]]])
        vector.close()
    for others in observed[1:]:
        assert (others == observed[0]).all()


def test_a_reset_of_some_leaves_the_others_to_their_seeds():
    vector = envs("0", seed=1)
    expected = observed_in(vector, 7, steps=20)
    vector.reset(seed=7)
    vector.reset(seed=99, options={"reset_mask": np.array([False, True, False])})
    for t, action in enumerate(ACTIONS[:20]):
        obs = vector.step(action)[0]
        assert (obs[[0, 2]] == expected[t + 1][[0, 2]]).all()
    vector.close()


def test_a_worker_that_is_replaced_goes_on_with_the_seeds_of_the_reset():
    vector = envs("2", seed=1)
    expected = observed_in(vector, 7)
    vector.reset(seed=7)
    for t, action in enumerate(ACTIONS):
        if t in (5, 40):
            vector.stepper._workers[1]._process.kill()
        assert (vector.step(action)[0] == expected[t + 1]).all()
    vector.close()


@pytest.mark.parametrize("seed", [-1, 2**63, "7", 1.5, [1, 2, "3"]], ids=str)
@pytest.mark.parametrize("kind", ["0", "compiled"])
def test_a_wrong_seed_is_refused(kind, seed):
    vector = envs(kind)
    with pytest.raises(ValueError, match="seed is"):
        vector.reset(seed=seed)
    vector.close()


def test_an_endless_episode_under_another_library_stores_few_actions(monkeypatch):
    monkeypatch.setattr(history, "UNMARKED_BYTES", 1000)
    endless = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    class Endless(gymnasium.Env):
        observation_space, action_space = endless, endless

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {}

        def step(self, action):
            return np.zeros(2, np.float32), 0.0, False, False, {}

    vector = a2c.make_envs(Endless, 2, vectorization="local")
    vector.reset(seed=0)
    for _ in range(3000):
        vector.step(np.zeros((2, 2), np.float32))
    assert vector.stepper._history._actions.nbytes < 5000
    vector.close()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_what_spaces_sample_follows_from_the_episodes_seed(workers):
    vector = a2c.make_envs(Sampler, 3, num_workers=workers, seed=3)
    observed = [vector.begin().copy()]
    for _ in range(9):
        observed.append(vector.advance(np.zeros(3, np.int64)).obs.copy())
    vector.close()
    fresh = Sampler()
    fresh.action_space, fresh.observation_space = Discrete(1000), Box(0, 1, (2,), np.float32)
    for n in range(3):
        for episode in range(2):
            Spaces(fresh).seed(episode_seed(3, n, episode))
            assert (fresh.reset()[0] == observed[4 * episode][n]).all()
            assert (fresh.step(0)[0] == observed[4 * episode + 1][n]).all()
    assert len(np.unique(np.array(observed)[:, :, 1])) == 30  # No two environments share what they draw.


NUMBERS = Box(0, 1, (2,), np.float32)
"""One object, which several environments are given."""


class WithAModulesSpace(Sampler):
    def __init__(self):
        super().__init__()
        self.action_space, self.observation_space = Discrete(1000), NUMBERS


class WithAModulesSpaceAsAPart(gymnasium.Wrapper):
    """Observes what it samples from a part of its own space."""

    def __init__(self):
        super().__init__(Sampler("np_random"))
        self.observation_space = gymnasium.spaces.Dict({"drawn": NUMBERS})

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), self.env.reset(seed=seed, options=options)[1]

    def step(self, action):
        return self.observation_space.sample(), *self.env.step(action)[1:]


@pytest.mark.parametrize("make", [WithAModulesSpace, WithAModulesSpaceAsAPart])
def test_samples_from_a_shared_space_are_the_same_in_every_layout(make):
    drawn = []
    for workers in (0, 1, 2):
        vector = a2c.make_envs(make, 3, num_workers=workers, seed=3)
        rows = [vector.begin().copy(), *(vector.advance(np.zeros(3, np.int64)).obs.copy() for _ in range(9))]
        rows = np.array(rows)
        drawn.append(rows if rows.dtype.names is None else rows[rows.dtype.names[0]])
        vector.close()
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] == drawn[2]).all()
    assert len(np.unique(drawn[0][:, :, 1])) == 30  # No two environments share what they draw.


def test_spaces_of_wrappers_and_in_other_spaces_are_seeded():
    env = gymnasium.wrappers.TransformAction(Sampler(), lambda action: action, Box(-1, 1, (2,), np.float32))
    env.unwrapped.observation_space = gymnasium.spaces.Dict({"a": Discrete(1000), "b": Box(0, 1, (3,))})
    drawn, spaces = [], Spaces(env)
    for seed in (1, 1, 2):
        spaces.seed(seed)
        inner = env.observation_space.sample()
        drawn.append((env.action_space.sample().tolist(), env.unwrapped.action_space.sample(), inner["b"].tolist()))
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("how", "name"), [("random", "Python's random"), ("np.random", "NumPy's np.random"), ("np_random", None)]
)
def test_a_run_whose_environments_draw_from_generators_of_the_process_is_not_exact(quick, how, name, workers):
    settings = quick | {"env_kwargs": {"how": how}, "num_workers": workers, "final_eval_episodes": 2}
    if name is None:
        assert a2c.train(Sampler, **settings).summary["exact"]
        return
    with pytest.warns(UserWarning, match=f"environments draw from {name}, which episode seeds do not reach") as said:
        run = a2c.train(Sampler, **settings)
    assert len(said) == 1
    assert not run.summary["exact"]
    (reason,) = run.summary["inexact_because"]
    assert name in reason
    assert run.summary["events"] == {"foreign_randomness": 1}


def test_looking_for_foreign_chance_becomes_rare():
    watch = Watch()
    due = [step for step in range(1, 5000) if watch.is_due()]
    assert due == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3072, 4096]


def test_the_callers_own_use_of_those_generators_is_none_of_our_business(quick):
    random.random()
    np.random.rand()  # noqa: NPY002 - that is the point
    assert a2c.train("CartPole-v1", **quick | {"vectorization": "local"}).summary["exact"]


ODD_ACTIONS = {
    "fractions": ([0.9, 0.0, 1.0], "must be whole numbers"),
    "NaN": ([np.nan, 0, 1], "must be whole numbers"),
    "too large": ([0, 5, 1], "the action of environment 1 is 5; it must be from 0 to 1"),
    "negative": ([0, 1, -1], "the action of environment 2 is -1"),
    "too few": ([0, 1], "must be whole numbers \\(3,\\)"),
    "one for all": (1, "must be an array"),
    "None": (None, "must be an array"),
    "text": (["0", "1", "0"], "must be whole numbers"),
    "ragged": ([[0], [1, 2], 0], "must be an array of shape"),
}


@pytest.mark.parametrize("kind", ["0", "2", "compiled"])
def test_actions_that_are_none_are_refused_before_anything_is_done(kind):
    vector = envs(kind)
    with pytest.raises(gymnasium.error.ResetNeeded):
        vector.step(np.zeros(3, np.int64))
    before = vector.reset(seed=0)[0]
    for actions, sentence in ODD_ACTIONS.values():
        with pytest.raises((ValueError, TypeError), match=sentence):
            vector.step(actions)
    after = vector.step(np.array([0, 1, 0], np.uint8))[0]
    assert (before != after).any()
    vector.close()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        vector.step(np.zeros(3, np.int64))
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        vector.reset()


@pytest.mark.parametrize("kind", ["0", "compiled"])
def test_little_things_that_others_look_for(kind):
    vector = envs(kind)
    assert len(vector) == 3
    assert vector.autoreset_mode is vector.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    vector.reset(seed=0)
    with pytest.raises(gymnasium.error.NoAsyncCallError):
        vector.step_wait()
    vector.step_async(np.zeros(3, np.int64))
    with pytest.raises(gymnasium.error.AlreadyPendingCallError):
        vector.step_async(np.zeros(3, np.int64))
    assert len(vector.step_wait()) == 5
    states = vector.get_attr("state")
    assert len(states) == 3
    vector.set_attr("state", [np.full_like(states[0], n) for n in range(3)])
    assert [state[0] for state in vector.call("state")] == [0, 1, 2]
    with pytest.raises(AttributeError):
        vector.call("no_such_method")
    with pytest.raises(ValueError, match="2 values for 3 environments"):
        vector.set_attr("state", [1, 2])
    vector.close()


def test_gymnasiums_wrappers_go_around_compiled_environments():
    vector = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs("compiled"))
    vector.reset(seed=0)
    infos = [vector.step(action)[4] for action in ACTIONS]
    assert any("episode" in info for info in infos)
    vector.close()


class PassesNoSeedOn(gymnasium.Env):
    """Draws from its own generators alone, and tells none of them its seed."""

    observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self.np_random.normal(size=2).clip(-9, 9), {}

    def step(self, action):
        self.steps += 1
        return self.np_random.normal(size=2).clip(-9, 9), 0.0, False, self.steps >= 3, {}


def test_an_environment_that_does_not_pass_its_seed_on_is_seeded_all_the_same():
    observed = []
    for layout in ({"vectorization": "local"}, {"num_workers": 2}):
        envs = a2c.make_envs(PassesNoSeedOn, 3, seed=5, **layout)
        observed.append(np.array([envs.begin().copy(), *(envs.advance(np.zeros(3, int)).obs.copy() for _ in range(8))]))
        envs.close()
    np.testing.assert_array_equal(*observed)
    assert len(np.unique(observed[0])) == observed[0].size  # other numbers in each environment and each episode


def test_workers_do_not_draw_the_same_numbers_from_the_generators_of_their_processes():
    class Draws(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float64)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.array([random.random(), np.random.rand()]), {}  # noqa: NPY002 - what is tested

    twice = []
    for _ in range(2):
        envs = a2c.make_envs(Draws, 3, num_workers=3, isolate_envs=True)
        twice.append(envs.begin().copy())
        envs.close()
    assert len(np.unique(twice[0])) == 6
    np.testing.assert_array_equal(*twice)
