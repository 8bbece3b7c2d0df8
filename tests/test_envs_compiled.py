"""Compiled environments behind Gymnasium's interfaces: the same numbers one at a time, side by side and in workers."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import numba
import numpy as np
import pytest
from compiled_envs import COUNTDOWN, DICE, DRIFT, drift
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import a2c
from a2c.envs.make import make_env
from a2c.envs.sources import compiled_form
from a2c.envs.vector import Step
from a2c.randomness import episode_seed

HERE = Path(__file__).parent

# -- what Gymnasium documents for vector environments --


def sync():
    return SyncVectorEnv([COUNTDOWN] * 4, autoreset_mode=AutoresetMode.SAME_STEP)


def ours(**settings):
    return lambda: a2c.make_envs(COUNTDOWN, 4, **settings)


LAYOUTS = {
    "SyncVectorEnv": sync,
    "compiled": ours(),
    "local": ours(vectorization="local"),
    "1 worker": ours(num_workers=1),
}


@pytest.fixture(params=LAYOUTS)
def envs(request):
    envs = LAYOUTS[request.param]()
    yield envs
    envs.close()


def test_spaces_are_batches_of_the_single_ones(envs):
    assert envs.num_envs == 4
    assert envs.single_observation_space == COUNTDOWN.observation_space
    assert envs.single_action_space == COUNTDOWN.action_space
    assert envs.observation_space.shape == (4, 2)
    assert isinstance(envs.action_space, gymnasium.spaces.MultiDiscrete)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP


def test_types_and_shapes_of_reset_and_step(envs):
    obs, infos = envs.reset(seed=0)
    assert obs in envs.observation_space
    assert isinstance(infos, dict)
    obs, reward, terminated, truncated, infos = envs.step(envs.action_space.sample())
    assert obs in envs.observation_space
    assert (reward.dtype, reward.shape) == (np.float64, (4,))
    assert (terminated.dtype, terminated.shape) == (np.bool_, (4,))
    assert (truncated.dtype, truncated.shape) == (np.bool_, (4,))
    assert isinstance(infos, dict)


def test_a_seed_is_counted_up_over_the_environments(envs):
    obs, _ = envs.reset(seed=5)
    for i in range(4):
        assert obs[i].tolist() == COUNTDOWN().reset(seed=5 + i)[0].tolist()
    assert len(set(obs[:, 0])) > 1


def test_a_list_of_seeds_gives_each_its_own(envs):
    obs, _ = envs.reset(seed=[3, 3, 9, 3])
    assert obs[0].tolist() == obs[1].tolist() == obs[3].tolist() == COUNTDOWN().reset(seed=3)[0].tolist()
    assert obs[2].tolist() == COUNTDOWN().reset(seed=9)[0].tolist()


def test_a_list_of_the_wrong_length_is_refused(envs):
    with pytest.raises(ValueError, match=r"3"):
        envs.reset(seed=[1, 2, 3])


def test_the_same_seed_gives_the_same_episode(envs):
    actions = np.random.default_rng(0).integers(0, 2, (2, 4))
    runs = []
    for _ in range(2):
        obs, _ = envs.reset(seed=11)
        runs.append([obs, *(part for action in actions for part in envs.step(action)[:4])])
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_end_resets_in_the_same_step_and_keeps_the_final_observation(envs):
    first, _ = envs.reset(seed=0)
    actions = np.array([0, 1, 0, 1])
    for _ in range(2):
        _, _, terminated, truncated, infos = envs.step(actions)
        assert not (terminated | truncated).any()
        assert "final_obs" not in infos
    obs, reward, terminated, truncated, infos = envs.step(actions)
    assert reward.tolist() == [0, 1, 0, 1]
    assert terminated.tolist() == [False, True, False, True]
    assert truncated.tolist() == [True] * 4
    assert obs[:, 1].tolist() == [0, 0, 0, 0]  # of the next episode
    assert (obs[:, 0] != first[:, 0]).any()
    assert infos["_final_obs"].tolist() == [True] * 4
    assert [final.tolist() for final in infos["final_obs"]] == [[number, 3] for number in first[:, 0]]
    # The action after an end counts: the new episode is one step old.
    obs, *_ = envs.step(actions)
    assert obs[:, 1].tolist() == [1, 1, 1, 1]


def test_arrays_that_were_handed_out_do_not_change(envs):
    kept = [envs.reset(seed=0)[0]]
    for _ in range(4):
        *arrays, infos = envs.step(np.array([0, 1, 0, 1]))
        kept += [*arrays, *infos.get("final_obs", [])]
    copies = [array.copy() for array in kept]
    for _ in range(4):
        envs.step(np.array([1, 1, 0, 0]))
    for array, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_closing_twice_is_fine(envs):
    envs.reset(seed=0)
    envs.close()
    envs.close()
    assert envs.closed


def test_gymnasiums_wrappers_take_them(envs):
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
    wrapped.reset(seed=0)
    for _ in range(3):
        *_, infos = wrapped.step(np.ones(4, np.int64))
    assert infos["episode"]["r"].tolist() == [3, 3, 3, 3]
    assert infos["episode"]["l"].tolist() == [3, 3, 3, 3]


def test_only_what_ended_has_a_final_observation():
    envs = a2c.make_envs(DRIFT, 8)
    envs.reset(seed=0)
    for _ in range(100):
        before, (obs, _, ended, _, infos) = envs.stepper.arrays.obs.copy(), envs.step(np.zeros((8, 3)))
        if ended.any():
            break
    assert ended.any()
    assert not ended.all()
    assert infos["_final_obs"].tolist() == ended.tolist()
    for i in range(8):
        if ended[i]:
            assert np.abs(infos["final_obs"][i] - before[i]).max() < 0.5
        else:
            assert infos["final_obs"][i] is None
            assert np.abs(obs[i] - before[i]).max() < 0.5


# -- the same numbers everywhere --


def stepped(env, steps=120, num_envs=5, **settings):
    """All that some steps gave, from a2c's face."""
    envs = a2c.make_envs(env, num_envs, seed=3, **settings)
    rng = np.random.default_rng(0)
    seen = [[envs.begin().copy()]]
    for _ in range(steps):
        if isinstance(envs.single_action_space, gymnasium.spaces.Discrete):
            space = envs.single_action_space
            action = space.start + rng.integers(0, space.n, 5)[:num_envs]
        else:
            action = rng.uniform(-2, 1, (5, *envs.single_action_space.shape)).astype(np.float32)[:num_envs]
        seen.append(Step(*(array.copy() for array in envs.advance(action))))
    seen.append([envs.begin().copy()])  # Episodes that are broken off, too, count.
    envs.close()
    return seen


@pytest.mark.parametrize("env", [DRIFT, drift(max_episode_steps=7), DICE, COUNTDOWN], ids=lambda env: env.name)
def test_numbers_are_the_same_in_machine_code_here_and_in_workers(env):
    compiled = stepped(env)
    assert sum((step.terminated | step.truncated).sum() for step in compiled[1:-1]) > 10
    for settings in ({"vectorization": "local"}, {"num_workers": 1}, {"num_workers": 1, "isolate_envs": True}):
        for ours, theirs in zip(compiled, stepped(env, **settings), strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_classic_control_in_compiled_form_is_also_an_ordinary_environment(env_id):
    compiled = stepped(env_id, vectorization="compiled")
    for ours, theirs in zip(compiled, stepped(compiled_form(env_id), vectorization="local"), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_an_environment_does_not_depend_on_the_number_of_others():
    few, many = stepped(DRIFT, num_envs=3), stepped(DRIFT, num_envs=5)
    for ours, theirs in zip(few, many, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other[:3])


def test_both_faces_agree():
    ours, theirs = a2c.make_envs(DRIFT, 4), a2c.make_envs(DRIFT, 4)
    ours.reset(seed=1), theirs.reset(seed=1)
    rng, ended = np.random.default_rng(0), 0
    for _ in range(100):
        action = rng.uniform(-2, 1, (4, 3)).astype(np.float32)
        step, (obs, reward, terminated, truncated, infos) = ours.advance(action), theirs.step(action)
        np.testing.assert_array_equal(step.obs, obs)
        np.testing.assert_array_equal(step.reward, reward)
        np.testing.assert_array_equal(step.terminated, terminated)
        np.testing.assert_array_equal(step.truncated, truncated)
        for i in range(4):
            final = infos["final_obs"][i] if terminated[i] or truncated[i] else obs[i]
            np.testing.assert_array_equal(step.next_obs[i], final)
        ended += terminated.sum()
    assert ended > 3


def test_episodes_start_as_their_seeds_say():
    envs = a2c.make_envs(DRIFT, 3, seed=9)
    for episode in range(2):
        obs = envs.begin()
        for i in range(3):
            assert obs[i].tolist() == DRIFT().reset(seed=episode_seed(9, i, episode))[0].tolist()
    other = a2c.make_envs(DRIFT, 3, seed=10).begin()
    assert (other != obs).all()


def test_random_numbers_of_steps_are_new_in_every_step_and_episode():
    envs, seen = a2c.make_envs(DICE, 6), []
    envs.begin()
    for _ in range(60):
        seen.append(envs.advance(np.full(6, 5)).obs[:, :3].copy())
    shown = np.concatenate(seen).sum(0)
    np.testing.assert_allclose(shown, 120, atol=40)  # 360 throws of a die with three sides
    assert len({row.tobytes() for row in np.array(seen).transpose(1, 0, 2)}) == 6


# -- as an ordinary environment --


@pytest.mark.filterwarnings("ignore:.*we recommend using a symmetric and normalized space")
@pytest.mark.parametrize("env", [COUNTDOWN, DRIFT, DICE], ids=lambda env: env.name)
def test_gymnasiums_checker_is_content(env):
    check_env(env(), skip_render_check=True)


def test_resets_without_a_seed_go_on_from_the_last_one():
    first, again = DRIFT(), DRIFT()
    starts = [
        [env.reset(seed=4)[0].tolist(), env.reset()[0].tolist(), env.reset()[0].tolist()] for env in (first, again)
    ]
    assert starts[0] == starts[1]
    assert len({str(start) for start in starts[0]}) == 3
    assert DRIFT().reset()[0].tolist() != DRIFT().reset()[0].tolist()


def test_its_state_can_be_read_and_written():
    env = DRIFT()
    env.reset(seed=0)
    env.state[:] = 4, -2, 8
    obs, *_ = env.step(np.zeros(3, np.float32))
    assert env.state.shape == (3,)
    np.testing.assert_allclose(env.state, [3.6, -1.8, 7.2], atol=0.1)
    np.testing.assert_array_equal(obs[0], env.state.astype(np.float32))


def test_it_may_be_registered_and_made_by_its_id():
    gymnasium.register("Drift-v0", entry_point=DRIFT)
    try:
        assert gymnasium.make("Drift-v0").reset(seed=2)[0].tolist() == DRIFT().reset(seed=2)[0].tolist()
        envs = a2c.make_envs("Drift-v0", 2)
        assert envs.begin().shape == (2, 2, 3)
        envs.close()
    finally:
        del gymnasium.registry["Drift-v0"]


def test_a_pickled_declaration_is_the_same_environment():
    again = pickle.loads(pickle.dumps(DICE))
    for ours, theirs in zip(stepped(DICE, steps=20), stepped(again, steps=20), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    for name in ("name", "observation_space", "action_space", "max_episode_steps", "state_size", "step_randoms"):
        assert getattr(again, name) == getattr(DICE, name)


# -- constants and helpers --


def shifting(a, b):
    """An environment whose reward tells the numbers it was made with."""

    def reset(state, random):
        state[0] = a

    def step(state, action, random):
        return 1000.0 * a + b, False

    def observe(state, obs):
        obs[0] = state[0]

    return a2c.CompiledEnv(
        "Shifting",
        reset,
        step,
        observe,
        state_size=1,
        observation_space=gymnasium.spaces.Box(-1000, 1000, (1,)),
        action_space=gymnasium.spaces.Discrete(2),
        max_episode_steps=5,
    )


def told(env):
    """What the first observation and the first reward are."""
    envs = a2c.make_envs(env, 1)
    return envs.begin()[0, 0], envs.advance(np.zeros(1, np.int64)).reward[0]


def test_environments_that_close_over_other_numbers_are_other_environments():
    for a, b in [(1, 2), (1, 3), (2, 2), (1.0, 2), (1, 2), (0.5, 2)]:
        assert told(shifting(a, b)) == (a, 1000 * a + b)


def test_environments_whose_numbers_have_the_same_digits_in_a_row_are_other_environments():
    assert told(shifting(1, 23)) == (1, 1023)
    assert told(shifting(12, 3)) == (12, 12003)


MODULE = """
import gymnasium, numba
import a2c
import numbers_of_it
from helpers_of_it import helper

def reset(state, random):
    state[0] = 0.0

def step(state, action, random):
    return helper(state[0]) + {constant}, False

def observe(state, obs):
    obs[0] = state[0]

ENV = a2c.CompiledEnv(
    "Own", reset, step, observe, state_size=1, max_episode_steps=5,
    observation_space=gymnasium.spaces.Box(-9, 9, (1,)), action_space=gymnasium.spaces.Discrete(2),
)
"""

HELPERS = """
import numba

@numba.njit
def helper(x):
    return x + {number}
"""


def run(folder, *words, **variables):
    """Standard output and standard error of a Python process that finds the modules of a folder."""
    done = subprocess.run(
        [sys.executable, *words],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(Path(a2c.__file__).parents[1])]),
            **variables,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def first_reward(folder, module):
    """Of `module:ENV`, in a process that keeps machine code in the folder and shares it with no other test."""
    script = f"import a2c, numpy as np\nenvs = a2c.make_envs('{module}:ENV', 1)\nenvs.begin()\n"
    script += "print(envs.advance(np.zeros(1, np.int64)).reward[0])\n"
    return float(run(folder, "-c", script, NUMBA_CACHE_DIR=str(folder / "kept"))[0])


def rewards_after_edits(folder, constant, edits):
    """First rewards of `own:ENV` in a process each, after writing these numbers to its other two files."""
    (folder / "own.py").write_text(MODULE.format(constant=constant))
    rewards = []
    for helpers, numbers in edits:
        (folder / "helpers_of_it.py").write_text(HELPERS.format(number=helpers))
        (folder / "numbers_of_it.py").write_text(f"NUMBER = {numbers}\n")
        rewards.append(first_reward(folder, "own"))
    return rewards


def test_what_was_compiled_before_a_helper_in_another_file_changed_is_not_used(tmp_path):
    assert rewards_after_edits(tmp_path, "0.5", [(1.0, 0.0), (2.0, 0.0)]) == [1.5, 2.5]


def test_what_was_compiled_before_a_constant_of_another_module_changed_is_not_used(tmp_path):
    assert rewards_after_edits(tmp_path, "numbers_of_it.NUMBER", [(0.0, 1.0), (0.0, 2.0)]) == [1.0, 2.0]


def test_a_module_may_be_renamed_after_it_was_compiled(tmp_path):
    (tmp_path / "numbers_of_it.py").write_text("")
    (tmp_path / "helpers_of_it.py").write_text(HELPERS.format(number=1.0))
    (tmp_path / "old.py").write_text(MODULE.format(constant="0.5"))
    assert first_reward(tmp_path, "old") == 1.5
    (tmp_path / "old.py").rename(tmp_path / "new.py")
    assert first_reward(tmp_path, "new") == 1.5


def test_functions_may_make_arrays_and_their_memory_is_given_back():
    def reset(state, random):
        state[:] = random

    def step(state, action, random):
        many = np.ones(10_000) * state[0]
        many[:2] = state[:2] + np.array([0.0, 1.0])
        return many[:3].sum(), False

    def observe(state, obs):
        obs[:] = np.sqrt(state)

    env = a2c.CompiledEnv(**RIGHT | {"reset": reset, "step": step, "observe": observe, "state_size": 2})
    envs = a2c.make_envs(env, 4)
    state = envs.begin().astype(np.float64) ** 2
    for _ in range(100):
        step = envs.advance(np.zeros(4, np.int64))
    np.testing.assert_allclose(step.reward, 2 * state[:, 0] + state[:, 1] + 1, rtol=1e-6)
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        envs.advance(np.zeros(4, np.int64))
    # In kilobytes, or bytes on a Mac. Kept, these would be 640 megabytes.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // (
        1024 if sys.platform == "darwin" else 1
    ) < 2**16


# -- names --


def test_a_name_with_its_module_finds_it():
    assert compiled_form("compiled_envs:DRIFT") is DRIFT
    assert compiled_form("compiled_envs:drift") is None
    assert make_env("compiled_envs:DRIFT").reset(seed=1)[0].shape == (2, 3)
    envs = a2c.make_envs("compiled_envs:DRIFT", 2)
    assert envs.stepper.machine_code
    assert envs.placement == "compiled"
    local = a2c.make_envs("compiled_envs:DRIFT", 2, num_workers=1)
    assert not local.stepper.machine_code
    assert local.begin().tolist() == envs.begin().tolist()
    local.close()


def test_training_on_a_name_with_its_module_works_from_the_shell(tmp_path):
    flags = "--preset none --total-steps 512 --num-envs 4 --eval-every-steps 256 --eval-episodes 2 --json --no-pictures"
    out, said = run(
        HERE, "-m", "a2c", "train", "compiled_envs:DICE", *flags.split(), "--final-eval-episodes", "2",
        "--run-dir", str(tmp_path),
    )  # fmt: skip
    (summary,) = json.loads(out)["runs"]
    assert (summary["env_id"], summary["vectorization"], summary["steps"]) == ("compiled_envs:DICE", "compiled", 512)
    assert "Traceback" not in said
    out, _ = run(HERE, "-m", "a2c", "evaluate", summary["run"], "--env", "compiled_envs:DICE", "--episodes", "2")
    assert "over 2 greedy episodes" in out


def test_training_takes_the_environment_itself(quick):
    run = a2c.train(DRIFT, **quick | {"final_eval_episodes": 2})
    assert (run.config.env_id, run.summary["vectorization"]) == ("Drift", "compiled")
    assert a2c.load(run).act(np.zeros((2, 3))).shape == (3,)
    assert run.evaluate(episodes=2, env=DRIFT).mean < 0
    local = a2c.train(DRIFT, **quick | {"vectorization": "local", "final_eval_episodes": 2})
    assert local.summary["evaluation"] == run.summary["evaluation"]


# -- mistakes --

RIGHT = {
    "name": "Own",
    "reset": lambda state, random: None,
    "step": lambda state, action, random: (0, False),
    "observe": lambda state, obs: None,
    "state_size": 3,
    "observation_space": gymnasium.spaces.Box(-1, 1, (2,)),
    "action_space": gymnasium.spaces.Discrete(2),
    "max_episode_steps": None,
}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"reset": lambda state: None}, r"reset of Own is .*; it must be a function reset\(state, random\)"),
        ({"step": lambda state, action: None}, r"it must be a function step\(state, action, random\)"),
        ({"observe": lambda state, obs, more: None}, r"it must be a function observe\(state, obs\)"),
        ({"observe": print}, "observe of Own is <built-in function print>"),
        ({"observe": None}, "observe of Own is None"),
        ({"observation_space": gymnasium.spaces.Discrete(3)}, r"observation_space of Own is Discrete\(3\)"),
        ({"observation_space": gymnasium.spaces.Box(-1, 1, (2,), np.float64)}, "it must be a float32 Box"),
        ({"observation_space": None}, "observation_space of Own is None; it must be a float32 Box"),
        ({"action_space": gymnasium.spaces.Box(-1, 1, (2,), np.float64)}, "a Box must be float32 with one dimension"),
        ({"action_space": gymnasium.spaces.Box(-1, 1, (2, 2))}, "a Box must be float32 with one dimension"),
        ({"action_space": gymnasium.spaces.MultiBinary(2)}, "it must be a Discrete or a float32 Box"),
        ({"state_size": 0}, "state_size of Own is 0; it must be a whole number of at least 1"),
        ({"state_size": -1}, "state_size of Own is -1; it must be a whole number of at least 1"),
        ({"state_size": 1.5}, "state_size of Own is 1.5"),
        ({"reset_randoms": -1}, "reset_randoms of Own is -1; it must be a whole number of at least 0"),
        ({"step_randoms": -2}, "step_randoms of Own is -2; it must be a whole number of at least 0"),
        ({"max_episode_steps": -1}, "max_episode_steps of Own is -1; it must be a whole number of at least 1"),
        ({"max_episode_steps": 2.5}, "max_episode_steps of Own is 2.5; it must be a whole number of at least 1"),
        ({"max_episode_steps": 0}, "max_episode_steps of Own is 0; it must be a whole number of at least 1"),
    ],
)
def test_a_declaration_that_cannot_be_gets_one_sentence(wrong, sentence):
    a2c.CompiledEnv(**RIGHT)
    with pytest.raises(a2c.UserError, match=sentence) as caught:
        a2c.CompiledEnv(**RIGHT | wrong)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_compiled_is_an_error_of_its_name_at_first_use():
    def step(state, action, random):
        return state.no_such_thing, False

    env = a2c.CompiledEnv(**RIGHT | {"step": step, "name": "Wrong"})
    for use in (env, lambda: a2c.make_envs(env, 2), lambda: a2c.make_envs(env, 2, vectorization="local")):
        with pytest.raises(a2c.UserError, match=r"Wrong cannot be compiled: .*no_such_thing"):
            use()


@pytest.mark.parametrize("vectorization", ["auto", "compiled", "local"])
def test_arguments_are_refused(vectorization):
    with pytest.raises(a2c.UserError, match=r"env_kwargs .*\{'mass': 1\}"):
        a2c.make_envs(DRIFT, 2, env_kwargs={"mass": 1}, vectorization=vectorization)


def test_what_has_no_compiled_form_is_refused_with_what_has():
    for env, name in (
        ("Taxi-v3", "Taxi-v3"),
        (gymnasium.Env, "Env"),
        ("compiled_envs:NOTHING", "compiled_envs:NOTHING"),
    ):
        with pytest.raises(a2c.UserError, match=rf"{name} has no compiled form; only CartPole-v0, .* a2c\.CompiledEnv"):
            a2c.make_envs(env, 2, vectorization="compiled")
    with pytest.raises(a2c.UserError, match="vectorization is 'compiled', which has no workers"):
        a2c.make_envs(DRIFT, 2, vectorization="compiled", num_workers=1)


def test_make_envs_takes_gymnasiums_own_classic_control_by_default():
    envs = a2c.make_envs("CartPole-v1", 2, vectorization="auto", num_workers=0)
    assert not envs.stepper.machine_code
    envs.close()
    assert a2c.make_envs("CartPole-v1", 2, vectorization="compiled").stepper.machine_code


def test_helpers_compiled_by_numba_are_taken_and_only_plain_functions_declared():
    @numba.njit
    def compiled_already(state, random):
        state[0] = 1

    with pytest.raises(a2c.UserError, match="reset of Own is CPUDispatcher"):
        a2c.CompiledEnv(**RIGHT | {"reset": compiled_already})

    def reset(state, random):
        compiled_already(state, random)

    def observe(state, obs):
        obs[0] = state[0]

    assert a2c.CompiledEnv(**RIGHT | {"reset": reset, "observe": observe})().reset(seed=0)[0].tolist() == [1, 0]


# -- what goes wrong --


def failing(after):
    """An environment whose step raises at the step after so many."""

    def reset(state, random):
        state[0] = 0.0

    def step(state, action, random):
        state[0] += 1.0
        if state[0] > after:
            raise ValueError("too far")
        return 1.0, False

    def observe(state, obs):
        obs[0] = state[0]

    return a2c.CompiledEnv(
        "Failing",
        reset,
        step,
        observe,
        state_size=1,
        observation_space=gymnasium.spaces.Box(-9, 9, (1,)),
        action_space=gymnasium.spaces.Discrete(2),
        max_episode_steps=None,
    )


def test_an_exception_in_machine_code_is_an_error_of_its_environment():
    envs = a2c.make_envs(failing(3), 2)
    envs.begin()
    for _ in range(3):
        envs.advance(np.zeros(2, np.int64))
    with pytest.raises(a2c.EnvError, match="environment 0 raised in step") as caught:
        envs.advance(np.zeros(2, np.int64))
    assert (caught.value.episode, caught.value.step) == (0, 4)
    assert caught.value.episode_seed == envs.stepper.arrays.key[0]


def test_an_exception_in_a_fused_run_ends_it_with_the_updates_before(quick):
    with pytest.raises(a2c.EnvError, match="set vectorization 'local' to see it") as caught:
        a2c.train(failing(10), **quick | {"log_every_steps": 8})
    assert caught.value.step == 11
    run = a2c.Run(next((Path(quick["run_dir"]) / "Failing").iterdir()))
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["step_000000000", "step_000000016"]
    assert [row["steps"] for row in run.metrics()] == [8, 16]
    with pytest.raises(a2c.EnvError, match="ValueError: too far"):
        a2c.train(failing(10), **quick | {"vectorization": "local"})


@pytest.mark.parametrize(
    ("actions", "problem"),
    [
        (np.zeros((), np.int64), "the actions are int64 ()"),
        (np.zeros(3, np.int64), "the actions are int64 (3,)"),
        (np.array([0.0, 7.9]), "the actions are float64 (2,)"),
    ],
    ids=str,
)
def test_actions_of_another_shape_or_kind_are_refused(actions, problem):
    envs = a2c.make_envs(failing(3), 2)
    envs.begin()
    with pytest.raises(ValueError, match=re.escape(problem)):
        envs.advance(actions)


def test_a_masked_reset_begins_only_those_episodes():
    envs = a2c.make_envs(failing(9), 3)
    envs.reset(seed=1)
    envs.advance(np.zeros(3, np.int64))
    obs, _ = envs.reset(options={"reset_mask": np.array([True, False, True])})
    assert obs[:, 0].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="it must be an array of 3 bools"):
        envs.reset(options={"reset_mask": [True, False, True]})
    with pytest.raises(ValueError, match="seed is 9223372036854775808; it must be from 0"):
        envs.reset(seed=(0, 1, 2**63))


def test_seeds_are_those_of_the_reset_and_generators_as_an_ordinary_environments():
    envs = a2c.make_envs(COUNTDOWN, 3, seed=0)
    envs.reset(seed=4)
    envs.reset()
    assert envs.np_random_seed == (4, 5, 6)
    assert [one.random() for one in envs.np_random] == [np.random.default_rng(seed).random() for seed in (4, 5, 6)]
    envs.reset(seed=[None, 9, None])
    assert envs.np_random_seed == (4, 9, 6)
    envs.close(terminate=True)


def test_an_attribute_that_nothing_would_read_is_not_set_in_silence():
    envs = a2c.make_envs("CartPole-v1", 2, vectorization="compiled")
    envs.reset(seed=0)
    with pytest.raises(AttributeError, match="no attribute 'gravity', as its dynamics are fixed"):
        envs.set_attr("gravity", 20.0)
    envs.set_attr("state", [np.zeros(4), np.ones(4)])
    assert [state.tolist() for state in envs.get_attr("state")] == [[0.0] * 4, [1.0] * 4]
    with pytest.raises(NotImplementedError, match="cannot be drawn; set vectorization 'local'"):
        envs.render()
