"""A name is not an environment: what is registered under it is."""

import dataclasses
import importlib

import gymnasium
import numpy as np
import pytest
from compiled_envs import COUNTDOWN
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv

import a2c
from a2c.commands.benchmark import contestants_for
from a2c.envs.compiled.classic import CLASSIC_CONTROL, is_gymnasiums_own
from a2c.envs.sources import compiled_form
from a2c.presets import PRESETS, configure, preset_values

PENDULUM = "gymnasium.envs.classic_control:PendulumEnv"


class OtherReward(PendulumEnv):
    def step(self, action):
        obs, _, *ends = super().step(action)
        return obs, 1.0, *ends


def reward_wrapper(env):
    return gymnasium.wrappers.TransformReward(env, lambda reward: -reward)


REGISTRATIONS = {
    "another time limit": {"entry_point": PENDULUM, "max_episode_steps": 20},
    "no time limit": {"entry_point": PENDULUM},
    "another class": {"entry_point": OtherReward, "max_episode_steps": 200},
    "another class of the same name": {
        "entry_point": type("PendulumEnv", (PendulumEnv,), {}),
        "max_episode_steps": 200,
    },
    "other arguments": {"entry_point": PENDULUM, "max_episode_steps": 200, "kwargs": {"g": 1.0}},
    "a function": {"entry_point": lambda **kwargs: PendulumEnv(**kwargs), "max_episode_steps": 200},
    "a wrapper": {
        "entry_point": PENDULUM,
        "max_episode_steps": 200,
        "additional_wrappers": (gymnasium.wrappers.RecordEpisodeStatistics.wrapper_spec(),),
    },
    "what cannot be imported": {"entry_point": "no_such_module:Env", "max_episode_steps": 200},
}


@pytest.fixture
def register():
    """Registers an id anew, until the end of the test."""
    before = dict(gymnasium.registry)

    def again(env_id, **registration):
        gymnasium.registry.pop(env_id, None)
        gymnasium.register(env_id, **registration)

    yield again
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


@pytest.mark.parametrize("env_id", CLASSIC_CONTROL)
def test_gymnasiums_own_registrations_have_a_compiled_form_with_the_same_limit(env_id):
    assert is_gymnasiums_own(env_id)
    assert compiled_form(env_id).max_episode_steps == gymnasium.spec(env_id).max_episode_steps


@pytest.mark.parametrize("what", REGISTRATIONS)
def test_an_id_that_was_registered_again_has_neither_compiled_form_nor_preset(register, what):
    register("Pendulum-v1", **REGISTRATIONS[what])
    assert compiled_form("Pendulum-v1") is None
    assert configure("Pendulum-v1", "auto", {}) == a2c.Config("Pendulum-v1")
    with pytest.raises(a2c.UserError, match="which was registered again with something else, has no compi"):
        a2c.make_envs("Pendulum-v1", 1, vectorization="compiled")


@pytest.mark.parametrize(
    "same",
    [{"entry_point": PendulumEnv}, {"entry_point": PENDULUM}, {"entry_point": PENDULUM, "reward_threshold": -1.0}],
    ids=str,
)
def test_one_that_was_registered_as_it_was_is_still_the_same(register, same):
    register("Pendulum-v1", max_episode_steps=200, **same)
    assert is_gymnasiums_own("Pendulum-v1")


@pytest.mark.parametrize("env_id", sorted(set(PRESETS) - {"tutorial", "atari"} - set(CLASSIC_CONTROL)))
def test_presets_are_for_what_gymnasium_registers(register, env_id):
    spec = gymnasium.spec(env_id)
    same = {"entry_point": spec.entry_point, "kwargs": spec.kwargs, "max_episode_steps": spec.max_episode_steps}
    assert preset_values(env_id, "auto") == PRESETS[env_id]
    register(env_id, **same)
    assert preset_values(env_id, "auto") == PRESETS[env_id]
    for other in ({"entry_point": PENDULUM}, {"kwargs": {"render_mode": None}}, {"max_episode_steps": 7}):
        register(env_id, **same | other)
        assert preset_values(env_id, "auto") == {}


def test_training_and_evaluation_run_what_is_registered(quick, register):
    register("Pendulum-v1", entry_point=PENDULUM, max_episode_steps=20)
    run = a2c.train("Pendulum-v1", **quick | {"preset": "auto", "final_eval_episodes": 2, "num_workers": 0})
    assert run.summary["vectorization"] == "in this process"
    lengths = {row["episode_length"] for row in run.metrics() if "episode_length" in row}
    assert lengths == {20.0}
    assert run.summary["evaluation"]["mean_length"] == 20.0


def test_the_benchmark_does_not_train_on_the_compiled_form_of_another_environment(register):
    register("Pendulum-v1", entry_point=PENDULUM, max_episode_steps=20)
    contestants = contestants_for(a2c.Config("Pendulum-v1", num_envs=1))
    for contestant in contestants.values():
        contestant.close()
    assert list(contestants) == ["random actions, this process", "training, this process"]


def test_a_callable_gets_no_preset_whatever_it_is_called(quick):
    def tutorial():
        return gymnasium.wrappers.TimeLimit(CartPoleEnv(), 20)

    tutorial.__qualname__ = "tutorial"
    chosen = {name: value for name, value in quick.items() if name != "preset"}
    run = a2c.train(tutorial, **chosen)
    assert run.config.entropy_coef == 0.0
    assert run.config.log == ()

    tutorial.__qualname__ = "Pendulum-v1"
    assert a2c.train(tutorial, **chosen).config.gamma == 0.99


def test_an_id_called_like_a_preset_gets_no_preset(register):
    register("tutorial", entry_point=PENDULUM)
    assert configure("tutorial", "auto", {}) == a2c.Config("tutorial")


@pytest.mark.filterwarnings("ignore:.*out of date")  # CartPole-v0 is, Gymnasium's own as well
@pytest.mark.parametrize("env_id", CLASSIC_CONTROL)
def test_compiled_environments_are_registered_with_gymnasium(env_id):
    assert compiled_form(f"a2c/{env_id}") is compiled_form(env_id)
    assert configure(f"a2c/{env_id}", "auto", {}) == dataclasses.replace(
        configure(env_id, "auto", {}), env_id=f"a2c/{env_id}"
    )
    ours, theirs = gymnasium.spec(f"a2c/{env_id}"), gymnasium.spec(env_id)
    assert (ours.max_episode_steps, ours.reward_threshold) == (theirs.max_episode_steps, theirs.reward_threshold)
    assert gymnasium.envs.registration.EnvSpec.from_json(ours.to_json()) == ours
    one = gymnasium.make(ours, disable_env_checker=True)
    many = gymnasium.make_vec(f"a2c/{env_id}", 3)
    alone, beside = one.reset(seed=5)[0], many.reset(seed=4)[0][1]  # environment i of many has the seed 4 + i
    action = one.action_space.sample()
    np.testing.assert_array_equal(alone, beside)
    np.testing.assert_array_equal(one.step(action)[0], many.step(np.stack([action] * 3))[0][1])
    assert many.num_envs == 3
    assert many.spec is not None
    many.close()


def test_many_compiled_environments_begin_otherwise_every_time_if_no_seed_is_given():
    first, second = (gymnasium.make_vec("a2c/CartPole-v1", 2) for _ in range(2))
    assert (first.reset()[0] != second.reset()[0]).all()


def test_many_compiled_environments_take_no_arguments_and_no_other_limit():
    with pytest.raises(a2c.UserError, match=r"gravity.*takes none"):
        gymnasium.make_vec("a2c/CartPole-v1", 2, gravity=3.0)
    with pytest.raises(a2c.UserError, match=r"max_episode_steps is 7; .* the fixed limit 500"):
        gymnasium.make_vec("a2c/CartPole-v1", 2, max_episode_steps=7)
    with pytest.raises(AttributeError, match="NOTHING"):
        importlib.import_module("a2c.envs.compiled.many").NOTHING  # noqa: B018


def test_an_id_registered_with_a_compiled_environment_trains_in_machine_code(quick, register):
    register("Countdown-v0", entry_point=COUNTDOWN)
    register("CountdownAsText-v0", entry_point="compiled_envs:COUNTDOWN", max_episode_steps=COUNTDOWN.max_episode_steps)
    run = a2c.train("Countdown-v0", **quick)
    assert run.is_compiled
    assert compiled_form("CountdownAsText-v0") is COUNTDOWN
    for other in ({"max_episode_steps": COUNTDOWN.max_episode_steps + 1}, {"kwargs": {"a": 1}}):
        register("Countdown-v0", entry_point=COUNTDOWN, **other)
        assert compiled_form("Countdown-v0") is None


def test_an_id_of_ours_that_was_registered_again_is_what_is_registered(register):
    register("a2c/Pendulum-v1", entry_point=PENDULUM, max_episode_steps=20)
    assert compiled_form("a2c/Pendulum-v1") is None
    assert configure("a2c/Pendulum-v1", "auto", {}) == a2c.Config("a2c/Pendulum-v1")
