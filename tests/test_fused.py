"""Whole updates in one call: the same bits as step by step, whatever the threads, the grouping and the process."""

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from compiled_envs import COUNTDOWN, DICE, DRIFT, drift, souring

import a2c
from a2c.envs.sources import compiled_form
from a2c.learner import Learner, Update
from a2c.run import checkpoint

ENVS = {
    "DICE": DICE,
    "COUNTDOWN": COUNTDOWN,
    "DRIFT": DRIFT,
    "DRIFT of 7 steps": drift(max_episode_steps=7),
    "CartPole-v1": compiled_form("CartPole-v1"),
    "Acrobot-v1": compiled_form("Acrobot-v1"),
    "MountainCarContinuous-v0": compiled_form("MountainCarContinuous-v0"),
    "Pendulum-v1": compiled_form("Pendulum-v1"),
}


def learner_for(env, vectorization, **settings):
    chosen = {"num_envs": 6, "rollout_length": 5, "hidden_sizes": (16,), "learning_rate": 1e-2, **settings}
    config = a2c.Config("none", engine="compiled", **chosen)
    return Learner(config, a2c.make_envs(env, config.num_envs, vectorization=vectorization, seed=config.seed))


def trained(env, vectorization, updates=30, at_once=None, **settings):
    """Everything of a learner after some updates, as bytes, and what each update said of itself."""
    learner = learner_for(env, vectorization, **settings)
    assert learner.is_fused == (vectorization == "compiled")
    at_once = at_once or [updates]
    rows = [learner.update(count) for count in at_once]
    assert learner.updates == sum(at_once)
    assert learner.steps == sum(at_once) * settings.get("num_envs", 6) * settings.get("rollout_length", 5)
    # Where environments stand is told differently: by their state, and by what led there.
    state = {name: array.tobytes() for name, array in learner.state().items() if ".envs." not in name}
    return state, np.concatenate(rows)


def check(env, **settings):
    """Fused training and training step by step are the same, and went somewhere; returns what updates said."""
    fused, rows = trained(env, "compiled", **settings)
    stepped, their_rows = trained(env, "local", **settings)
    assert fused.keys() == stepped.keys()
    assert [name for name in fused if fused[name] != stepped[name]] == []
    np.testing.assert_array_equal(rows, their_rows)
    assert np.isfinite(rows).all()
    return rows


@pytest.mark.parametrize("normalizes", list(itertools.product([False, True], repeat=3)), ids=str)
@pytest.mark.parametrize("env", ["DICE", "DRIFT of 7 steps"])
def test_fused_training_is_training_step_by_step_to_the_bit(env, normalizes):
    names = ("normalize_observations", "normalize_returns", "normalize_advantage")
    rows = check(ENVS[env], **dict(zip(names, normalizes, strict=True)))
    assert rows[:, Update._fields.index("episodes")].sum() > 50


@pytest.mark.parametrize("env", ENVS)
def test_fused_training_is_training_step_by_step_in_every_environment(env):
    check(ENVS[env], updates=60, normalize_observations=True, normalize_returns=True, rollout_length=16)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "rmsprop", "entropy_coef": 0.01},
        {"activation": "relu", "hidden_sizes": (33, 7, 20)},
        {"hidden_sizes": ()},
        {"hidden_sizes": (256, 256), "num_envs": 40},
        {"num_envs": 1},
        {"rollout_length": 1},
        {"num_envs": 1, "rollout_length": 1},
        {"num_envs": 70, "rollout_length": 9},
        {"num_envs": 7, "rollout_length": 100},
        {"schedule": "linear", "total_steps": 30 * 30},
        {"schedule": "exponential", "decay_every_steps": 100},
        {"max_grad_norm": None},
        {"gamma": 0.5, "gae_lambda": 0.3, "value_coef": 0.1},
        {"seed": 2**63 - 1},
        {"critic": "baseline", "rollout_length": 40},
        {"critic": "none", "rollout_length": 40, "normalize_returns": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("env", ["DICE", "DRIFT"])
def test_fused_training_is_training_step_by_step_with_every_setting(env, settings):
    check(ENVS[env], **{"normalize_observations": True} | settings)


def test_actions_are_scaled_to_boxes_of_every_kind_alike():
    def step(state, action, random):
        state[0] = action[0] + 2 * action[1] + 3 * action[2] + 4 * action[3]
        return 0.01 * state[0], False

    def observe(state, obs):
        obs[0] = 0.01 * state[0]

    inf = np.inf
    env = a2c.CompiledEnv(
        "Boxes",
        lambda state, random: None,
        step,
        observe,
        state_size=1,
        observation_space=gymnasium.spaces.Box(-inf, inf, (1,)),
        action_space=gymnasium.spaces.Box(np.float32([-2, 0.1, -inf, -inf]), np.float32([0.3, inf, -0.7, inf])),
        max_episode_steps=9,
    )
    check(env, initial_log_std=1.0)


def test_continuous_actions_outside_their_box_are_clipped():
    def step(state, action, random):
        state[0] = max(state[0], abs(action[0]))
        return state[0], False

    env = a2c.CompiledEnv(
        "Clipped",
        lambda state, random: None,
        step,
        lambda state, obs: None,
        state_size=1,
        observation_space=gymnasium.spaces.Box(-1, 1, (1,)),
        action_space=gymnasium.spaces.Box(-0.5, 0.5, (1,)),
        max_episode_steps=None,
    )
    envs = a2c.make_envs(env, 4)
    learner = Learner(a2c.Config("none", num_envs=4, rollout_length=5, initial_log_std=2.0), envs)
    learner.update(20)
    assert envs.stepper.arrays.state.ravel().tolist() == [0.5] * 4


# -- what must not change a bit --


@pytest.mark.parametrize("env", ["DICE", "Pendulum-v1"])
def test_no_bit_depends_on_the_number_of_threads(env):
    settings = {"num_envs": 50, "rollout_length": 17, "hidden_sizes": (33, 7), "updates": 20}
    settings |= {"normalize_observations": True, "normalize_returns": True, "normalize_advantage": True}
    one, rows = trained(ENVS[env], "compiled", num_threads=1, **settings)
    for threads in (2, 3, 6):
        other, other_rows = trained(ENVS[env], "compiled", num_threads=threads, **settings)
        assert other == one
        np.testing.assert_array_equal(other_rows, rows)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("env", ["CartPole-v1", "DRIFT"])
def test_no_bit_depends_on_how_updates_are_grouped_into_calls(env, threads):
    settings = {"num_envs": 32, "rollout_length": 16, "normalize_observations": True, "num_threads": threads}
    settings |= {"schedule": "linear", "total_steps": 12 * 512}
    together, rows = trained(ENVS[env], "compiled", at_once=[12], **settings)
    for at_once in ([1] * 12, [5, 7], [1, 10, 1]):
        apart, their_rows = trained(ENVS[env], "compiled", at_once=at_once, **settings)
        assert apart == together
        np.testing.assert_array_equal(their_rows, rows)


def fingerprint(threads):
    """A hash of a learner after some updates."""
    state, rows = trained(
        DICE, "compiled", num_envs=33, rollout_length=16, num_threads=threads, normalize_observations=True
    )
    sha = hashlib.sha256(rows.tobytes())
    for name in sorted(state):
        sha.update(name.encode() + state[name])
    return sha.hexdigest()


def test_no_bit_depends_on_the_process():
    script = "import sys, test_fused\nprint(test_fused.fingerprint(int(sys.argv[1])))"
    folder = Path(__file__).parent
    said = [
        subprocess.run(
            [sys.executable, "-c", script, threads], cwd=folder, capture_output=True, text=True, timeout=120, check=True
        ).stdout.strip()
        for threads in ("1", "2")
    ]
    assert said == [fingerprint(1)] * 2


def test_another_seed_gives_another_run():
    states = [trained(DICE, "compiled", seed=seed)[0] for seed in (1, 2)]
    assert states[0]["actor.0.weight"] != states[1]["actor.0.weight"]
    assert states[0]["collector.obs"] != states[1]["collector.obs"]


def test_two_learners_in_one_process_do_not_share_anything():
    alone, _ = trained(DICE, "compiled")
    first, second = (learner_for(DICE, "compiled") for _ in range(2))
    for _ in range(10):
        first.update(3), second.update(2)
    assert {name: array.tobytes() for name, array in first.state().items() if ".envs." not in name} == alone
    second.update(10)
    assert {name: array.tobytes() for name, array in second.state().items() if ".envs." not in name} == alone


# -- what an update says --


def test_an_update_says_what_it_did():
    learner = learner_for(COUNTDOWN, "compiled", entropy_coef=0.1)
    rows = learner.update(9)
    assert rows.shape == (9, len(Update._fields))
    assert rows.dtype == np.float64
    updates = [Update(*row) for row in rows]
    for update in updates:
        total = update.policy_loss + 0.5 * update.value_loss - 0.1 * update.entropy
        assert update.loss == pytest.approx(total, rel=1e-6)
        assert 0 < update.entropy <= np.log(2) * (1 + 1e-6)
        assert update.grad_norm > 0
        assert update.learning_rate == 1e-2
        assert update.length_sum == 3 * update.episodes
        assert 0 <= update.return_sum <= update.length_sum
    # Six environments, episodes of 3 steps, 5 steps to an update.
    assert [update.episodes for update in updates] == [6, 12, 12, 6, 12, 12, 6, 12, 12]


def test_it_learns():
    settings = {"num_envs": 8, "rollout_length": 16, "hidden_sizes": (32, 32), "learning_rate": 3e-3}
    learner = learner_for("CartPole-v1", "compiled", **settings)
    early, _, late = (Update(*learner.update(count).sum(0)) for count in (10, 100, 300))
    assert early.length_sum / early.episodes < 40
    assert late.length_sum / late.episodes > 120


# -- what goes wrong --


def ended(learner, count):
    """What calls of so many updates gave until one raised, and what that said."""
    rows = [np.zeros((0, len(Update._fields)))]
    with pytest.raises(a2c.UserError) as caught:
        for _ in range(1000):
            rows.append(learner.update(count))
    return np.concatenate(rows), str(caught.value)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("settings", [{}, {"normalize_returns": True, "normalize_advantage": True}], ids=str)
@pytest.mark.parametrize("what", ["reward", "observation"])
def test_what_is_not_finite_ends_training_with_the_last_good_update(what, settings, threads):
    settings |= {"num_envs": 32, "rollout_length": 8, "normalize_observations": what == "observation"}
    env = souring(30, what)  # step 30 is the sixth of the fourth update
    good, good_rows = trained(env, "compiled", updates=3, num_threads=threads, **settings)
    sentences = set()
    for vectorization, count in (("compiled", 20), ("compiled", 2), ("compiled", 1), ("local", 1)):
        learner = learner_for(env, vectorization, num_threads=threads, **settings)
        rows, sentence = ended(learner, count)
        np.testing.assert_array_equal(rows, good_rows)
        sentences.add(sentence)
        assert (learner.updates, learner.steps) == (3, 3 * 256)
        state = learner.state()
        assert all(state[name].tobytes() == array for name, array in good.items())
        assert all(array.dtype.kind != "f" or np.isfinite(array).all() for array in state.values())
    (sentence,) = sentences
    assert sentence.startswith(
        f"after 768 steps environment 0 gave {'an observation of [' if what != 'reward' else 'a reward of nan'}"
    )


def test_a_first_update_that_is_not_finite_changes_nothing_and_there_is_no_other():
    learner = learner_for(souring(2, "reward"), "compiled")
    before = learner.policy().parameters
    for _ in range(2):
        with pytest.raises(a2c.UserError, match="after 0 steps environment 0 gave a reward of nan"):
            learner.update(10)
    assert learner.updates == 0
    for name, array in learner.policy().parameters.items():
        np.testing.assert_array_equal(array, before[name])


def test_a_learning_rate_that_is_too_high_is_named():
    learner = learner_for("Pendulum-v1", "compiled", learning_rate=1e30)
    rows, sentence = ended(learner, 1000)
    assert sentence.startswith(f"training diverged after {30 * len(rows)} steps: ")
    assert "lower learning_rate (1e+30)" in sentence
    assert 0 < learner.updates == len(rows) < 1000
    assert np.isfinite(learner.policy().parameters["actor.0.weight"]).all()


@pytest.mark.parametrize(("log_every_steps", "rows"), [(256, [256, 512, 768]), (300, [512, 768]), (5000, [768])])
def test_a_run_that_goes_wrong_keeps_what_was_good(quick, log_every_steps, rows):
    settings = {"num_envs": 32, "rollout_length": 8, "total_steps": 20 * 256, "log_every_steps": log_every_steps}
    with pytest.raises(a2c.UserError, match="after 768 steps environment 0 gave a reward of nan"):
        a2c.train(souring(30, "reward"), **quick | settings)
    run = a2c.Run(next((Path(quick["run_dir"]) / "Souring").iterdir()))
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["step_000000000", "step_000000768"]
    assert [row["steps"] for row in run.metrics()] == rows


# -- from the shell --


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_fused_run_with_everything_saved(tmp_path, number, code):
    flags = "--preset none --total-steps 10000000000 --eval-every-steps 0 --num-envs 64 --no-pictures --num-threads 2"
    process = subprocess.Popen(
        [sys.executable, "-m", "a2c", "train", "CartPole-v1", *flags.split(), "--run-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: process.poll() is not None or list(tmp_path.glob("*/*/metrics.jsonl")))
        time.sleep(0.5)  # Somewhere in the middle of a call.
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert "Traceback" not in said
    assert "stopped by" in said
    run = a2c.Run(next((tmp_path / "CartPole-v1").iterdir()))
    summary = run.summary
    assert (summary["stopped_by"], summary["vectorization"]) == (number.name, "compiled")
    assert summary["engine"] == "compiled, 2 threads"
    assert checkpoint.newest(run.path / "checkpoints").counters["steps"] == summary["steps"]
    assert run.metrics()[-1]["steps"] == summary["steps"] == summary["updates"] * 512
    assert run.policy("final").parameters.keys() == run.policy("best").parameters.keys()
