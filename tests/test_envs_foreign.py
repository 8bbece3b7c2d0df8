"""Somebody else's vector environments: what is learnt from them, what cannot be replayed, what is refused."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

import a2c
from a2c.envs.foreign import ForeignStepper, make_vector_env, traits_of
from a2c.envs.values import Feedback
from a2c.envs.vector import Envs
from a2c.learner import Learner

LENGTH = 5


class Counts(gymnasium.Env):
    """Shows the episode's step, and whose turn it is; ends after five steps, or is cut off where its number is odd."""

    observation_space = spaces.Box(0, 100, (2,), np.float32)
    action_space = spaces.Discrete(3, start=1)
    made = 0

    def __init__(self, number=0):
        self.number = number

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {"lives": 2}

    def _seen(self):
        return np.array([self.steps, self.number], np.float32)

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        over = self.steps == LENGTH
        odd = self.number % 2 == 1
        return self._seen(), float(action), over and not odd, over and odd, {"lives": 2 - (self.steps >= 3)}


def sync(mode, num_envs=2):
    return SyncVectorEnv([lambda n=n: Counts(n) for n in range(num_envs)], autoreset_mode=mode)


class Indexed(VectorEnv):
    """Like EnvPool's: `reset` takes no seed, but the indices of some, and returns their observations alone."""

    def __init__(self, num_envs):
        self._inner = sync(AutoresetMode.DISABLED, num_envs)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = Counts.observation_space, Counts.action_space
        self.observation_space, self.action_space = self._inner.observation_space, self._inner.action_space
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def reset(self, env_id=None):
        if env_id is None:
            return self._inner.reset()
        mask = np.isin(np.arange(self.num_envs), env_id)
        obs, _ = self._inner.reset(options={"reset_mask": mask})
        return obs[mask], {"lives": np.full(len(env_id), 2)}

    def step(self, action):
        return self._inner.step(action)

    def close(self, **_):
        self._inner.close()


def same_step(num_envs):
    return sync(AutoresetMode.SAME_STEP, num_envs)


def disabled(num_envs):
    return sync(AutoresetMode.DISABLED, num_envs)


MAKERS = {"same step": same_step, "mask": disabled, "indices": Indexed}


def envs_of(make, num_envs=2, notes_lives=False):
    made = make_vector_env(make, {}, num_envs)
    return Envs(traits_of(made), ForeignStepper(made, 7, Feedback(notes_lives=notes_lives)))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_last_observation_and_the_first_of_the_next_episode_come_with_the_same_step(make):
    envs = envs_of(make)
    assert envs.begin().tolist() == [[0, 0], [0, 1]]
    for t in range(1, 3 * LENGTH + 1):
        step = envs.advance(np.array([1, 3]))
        over = t % LENGTH == 0
        assert step.obs[:, 0].tolist() == [t % LENGTH] * 2
        assert step.next_obs[:, 0].tolist() == [LENGTH if over else t % LENGTH] * 2
        assert step.reward.tolist() == [1, 3]
        assert (step.terminated.tolist(), step.truncated.tolist()) == ([over, False], [False, over])
    assert envs.episodes.tolist() == [3, 3]
    envs.close()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_rollout_of_theirs_is_the_same_as_one_of_single_environments(make):
    config = a2c.Config("Counts", num_envs=2, rollout_length=13, hidden_sizes=(8,))
    numbers = iter(range(2))
    own = a2c.make_envs(lambda: Counts(next(numbers)), 2, vectorization="local")
    theirs = envs_of(make)
    learners = [Learner(config, envs) for envs in (own, theirs)]
    rows = [learner.update(2) for learner in learners]
    np.testing.assert_array_equal(*rows)
    parameters = [learner.policy().parameters for learner in learners]
    for name, array in parameters[0].items():
        np.testing.assert_array_equal(array, parameters[1][name])
    own.close()
    theirs.close()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_lost_life_is_noted_if_asked_for(make):
    envs = envs_of(make, notes_lives=True)
    envs.begin()
    lost = [envs.advance(np.array([1, 1])).lost_life.tolist() for _ in range(2 * LENGTH)]
    assert [t for t, both in enumerate(lost) if any(both)] == [2, 7]
    envs.close()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_run_trains_evaluates_and_goes_on_with_new_episodes_and_says_so(quick, make):
    settings = quick | {"vectorization": "vector", "final_eval_episodes": 4}
    run = a2c.train(make, **settings)
    assert run.summary["evaluation"]["mean_length"] == LENGTH
    assert run.summary["exact"] is True
    assert run.evaluate(3, env=make).lengths == [LENGTH] * 3
    with pytest.warns(UserWarning, match="cannot replay episodes"):
        further = a2c.resume(run, env=make, total_steps=512)
    assert further.summary["steps"] == 512
    assert further.summary["exact"] is False


def test_an_id_has_its_own_vector_environment(quick):
    gymnasium.register("Counts-v0", entry_point=Counts, vector_entry_point=lambda num_envs: same_step(num_envs))
    try:
        run = a2c.train("Counts-v0", **quick | {"vectorization": "vector", "final_eval_episodes": 2})
    finally:
        del gymnasium.registry["Counts-v0"]
    assert run.summary["evaluation"]["mean_length"] == LENGTH
    with pytest.raises(a2c.UserError, match="cannot change between vector and the others"):
        a2c.resume(run, env=Counts, total_steps=512, vectorization="local")


def test_an_id_that_has_nothing_else_is_evaluated_on_that(quick):
    gymnasium.register("Many-v0", vector_entry_point=lambda num_envs: same_step(num_envs))
    try:
        run = a2c.train("Many-v0", **quick | {"vectorization": "vector", "final_eval_episodes": 2})
        with pytest.raises(a2c.UserError, match="set vectorization 'vector'"):
            a2c.make_envs("Many-v0", 2)
    finally:
        del gymnasium.registry["Many-v0"]
    assert run.summary["evaluation"]["mean_length"] == LENGTH


def test_what_fits_is_asked_of_the_vector_environment(quick):
    settings = {name: quick[name] for name in ("run_dir", "total_steps", "num_envs", "final_eval_episodes")}
    run = a2c.train(same_step, **settings, eval_every_steps=0, vectorization="vector")
    assert run.config.actor_step == "natural"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        ("CartPole-v1", r"CartPoleVectorEnv has autoreset_mode NextStep, in which a step .* ignores its action"),
        (lambda num_envs: sync(AutoresetMode.NEXT_STEP, num_envs), "make it with autoreset_mode SAME_STEP or DISABLED"),
        ("Pendulum-v1", "Pendulum-v1 has no vector environment of its own"),
        (Counts, "made a Counts; it must make a gymnasium.vector.VectorEnv"),
        (lambda: same_step(3), "made 3 environments, but num_envs is 2"),
    ],
)
def test_an_unusable_vector_environment_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(a2c.UserError, match=sentence):
        a2c.make_envs(make, 2, vectorization="vector")


def test_their_environments_cannot_be_wrapped():
    with pytest.raises(
        a2c.UserError, match=r"frame_stack is 2; leave it out, as the environments in .* cannot be wrapped"
    ):
        a2c.make_envs(same_step, 2, vectorization="vector", frame_stack=2)
    with pytest.raises(a2c.UserError, match="vectorization is 'vector', which has no workers"):
        a2c.make_envs(same_step, 2, vectorization="vector", num_workers=1)


class Raises(Indexed):
    """Goes wrong in its third step."""

    steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps == 3:
            raise ZeroDivisionError("in C++")
        return super().step(action)


def test_what_they_raise_ends_a_run_as_an_environments_error_does(quick):
    with pytest.raises(a2c.EnvError, match="ZeroDivisionError: in C"):
        a2c.train(Raises, **quick, vectorization="vector")


def test_ale_pys_own_vector_environment_is_stepped_as_it_was_made(quick):
    vector_env = pytest.importorskip("ale_py.vector_env")

    def pongs(num_envs, seed):
        assert seed == 0
        return vector_env.AtariVectorEnv("pong", num_envs=num_envs, autoreset_mode="SameStep", reward_clipping=False)

    run = a2c.train(pongs, **quick | {"total_steps": 80, "hidden_sizes": (), "vectorization": "vector"})
    assert run.summary["steps"] == 80


def test_lives_of_running_episodes_stay_when_others_begin():
    def counting(num_envs):
        envs = disabled(num_envs)
        envs.envs[0].steps = -1

        def early(action, step=envs.envs[0].step):
            obs, reward, *_, info = step(action)
            return obs, reward, envs.envs[0].steps == 2, False, info

        envs.envs[0].step = early
        return envs

    envs = envs_of(counting, notes_lives=True)
    envs.begin()
    lost = [envs.advance(np.array([1, 1])).lost_life.tolist() for _ in range(4)]
    assert [both[1] for both in lost] == [False, False, True, False]
    envs.close()


class Masked(Counts):
    """Says in its observations what may be done."""

    observation_space = spaces.Dict(x=Counts.observation_space, action_mask=spaces.MultiBinary(3))

    def _seen(self):
        return {"x": super()._seen(), "action_mask": np.array([1, 0, 1], np.int8)}


def test_masks_are_refused_as_they_would_be_ignored():
    def make(num_envs):
        return SyncVectorEnv([Masked] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)

    with pytest.raises(
        a2c.UserError, match=r"somebody else's .* gives the action_mask in observations, which would be ignored"
    ):
        a2c.make_envs(make, 2, vectorization="vector")
