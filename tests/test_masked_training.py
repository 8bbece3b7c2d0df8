"""Whole runs on environments that raise on any disallowed action: nothing that acts in a run may take one."""

import shutil

import forbidding
import gymnasium
import numpy as np
import pytest
from forbidding import CASES, LENGTH, making
from gymnasium import spaces

import a2c
from a2c.commands.record import record
from a2c.errors import EnvError
from a2c.learner import Learner, Update
from a2c.run import checkpoint


def settings(quick, **others):
    evaluated = {"eval_every_steps": 512, "eval_episodes": 2, "final_eval_episodes": 4, "eval_greedy": False}
    return quick | {"total_steps": 1024, "num_envs": 4, "vectorization": "local"} | evaluated | others


def arrays_of(run):
    arrays = checkpoint.newest(run.path / "checkpoints").arrays
    return {name: array.tobytes() for name, array in arrays.items()}


def play(policy, env, greedy):
    """An episode of a policy that is told the mask as an environment's user would tell it."""
    obs, info = env.reset(seed=3)
    for _ in range(LENGTH):
        mask = env.action_masks() if hasattr(env, "action_masks") else info.get("action_mask")
        obs, _, _, _, info = env.step(policy.act(obs, greedy=greedy, action_mask=mask))


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_masks_are_obeyed_in_training_and_evaluation_and_by_whoever_acts(quick, case, tmp_path):
    make = making(case)
    run = a2c.train(make, **settings(quick))
    assert run.summary["steps"] == 1024
    assert run.summary["evaluation"]["episodes"] == 4
    assert run.summary["events"] == {}
    for greedy in (True, False):
        assert run.evaluate(episodes=3, greedy=greedy, env=make).lengths == [LENGTH] * 3
        play(a2c.load(run.path), make(), greedy)
        video = record(run, tmp_path / "episode.gif", greedy=greedy, env=make)
        assert video.path.exists()


@pytest.mark.parametrize("case", CASES[::2], ids=" ".join)
def test_masks_come_from_workers_as_from_this_process(quick, case):
    runs = [
        a2c.train(making(case), **settings(quick, vectorization=where, num_workers=count))
        for where, count in (("local", 0), ("workers", 1))
    ]
    assert arrays_of(runs[0]) == arrays_of(runs[1])


@pytest.mark.parametrize("vectorization", ["local", "workers"])
@pytest.mark.parametrize("case", CASES[::6], ids=" ".join)
def test_a_run_with_masks_goes_on_from_its_middle_to_the_same_bits(quick, case, vectorization, tmp_path):
    config = settings(
        quick, rollout_length=64, save_every_seconds=0.0, keep_checkpoints=100, vectorization=vectorization
    )
    make = making(case)
    whole = a2c.train(make, **config)
    names = sorted(path.name for path in (whole.path / "checkpoints").iterdir())
    copy = tmp_path / "copy"
    shutil.copytree(whole.path, copy)
    (copy / "summary.json").unlink()
    for name in names[len(names) // 2 :]:
        shutil.rmtree(copy / "checkpoints" / name)
    resumed = a2c.resume(copy, env=make)
    assert resumed.summary["exact"] is True
    assert arrays_of(resumed) == arrays_of(whole)


@pytest.mark.parametrize("action", forbidding.ACTIONS)
def test_without_its_mask_such_an_environment_raises(quick, action):
    class Silent(forbidding.Forbidding):
        def _info(self):
            return {}

    with pytest.raises(EnvError, match="ForbiddenError"):
        a2c.train(lambda: Silent(action), **settings(quick))


def first_entropy(engine, **parts):
    config = a2c.Config("forbidding", num_envs=4, rollout_length=64, hidden_sizes=(8,), engine=engine)
    envs = a2c.make_envs(making(("discrete", "flat", "info"), **parts), 4, vectorization="local")
    row = Update(*Learner(config, envs).update()[0])
    envs.close()
    return row.entropy


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("left", [1, 2, 5])
def test_entropy_is_over_what_is_allowed(engine, left):
    # A policy starts near uniform.
    assert first_entropy(engine, left=left) == pytest.approx(np.log(left), abs=1e-3)


OBSERVED = [case for case in CASES if case[2] == "observation"]


@pytest.mark.parametrize("case", OBSERVED, ids=" ".join)
@pytest.mark.parametrize("count", [2, 3])
def test_a_batch_of_observations_with_their_masks_is_acted_on(quick, case, count):
    make = making(case)
    policy = a2c.load(a2c.train(make, **settings(quick, total_steps=64)).path)
    vector = gymnasium.vector.SyncVectorEnv([make] * count)
    batch, _ = vector.reset(seed=0)
    for greedy in (True, False) * 5:
        batch, *_ = vector.step(policy.act(batch, greedy=greedy))
    vector.close()


class OnlyItsMask(gymnasium.Env):
    """Observes which actions are allowed, and nothing else."""

    observation_space = spaces.Dict(action_mask=spaces.MultiBinary(4))
    action_space = spaces.Discrete(4)
    mask = np.array([0, 1, 1, 0], np.int8)

    def reset(self, *, seed=None, options=None):
        return {"action_mask": self.mask}, {}

    def step(self, action):
        assert self.mask[action]
        return {"action_mask": self.mask}, 1.0, False, True, {}


def test_a_mask_that_is_all_that_is_observed_is_obeyed_by_the_policy(quick):
    policy = a2c.load(a2c.train(OnlyItsMask, **settings(quick, total_steps=64)).path)
    obs = {"action_mask": OnlyItsMask.mask}
    assert {policy.act(obs, greedy=False) for _ in range(60)} == {1, 2}
    assert set(policy.act({"action_mask": np.stack([OnlyItsMask.mask] * 60)}, greedy=False).tolist()) == {1, 2}


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        (1, "got action_mask 1 for 3 observations; it must be a list of masks"),
        (np.array(1), "it must be a list of masks"),
        ([[1, 0, 1, 1]], "got 1 action masks for 3 observations; there must be one for each"),
    ],
)
def test_masks_that_do_not_fit_a_batch_are_refused(quick, masks, says):
    policy = a2c.load(a2c.train(OnlyItsMask, **settings(quick, total_steps=64)).path)
    batch = {"action_mask": np.stack([OnlyItsMask.mask] * 3)}
    with pytest.raises(a2c.UserError, match=says):
        policy.act(batch, action_mask=masks)


def test_an_empty_batch_is_acted_on(quick):
    policy = a2c.load(a2c.train(OnlyItsMask, **settings(quick, total_steps=64)).path)
    assert policy.act({"action_mask": np.zeros((0, 4), np.int8)}).shape == (0,)


class Misplaced(OnlyItsMask):
    """Observes a number, and has `action_masks` that is none of a method without arguments."""

    observation_space = spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}


class AnArray(Misplaced):
    action_masks = np.ones(4)


class NeedsAPlayer(Misplaced):
    def action_masks(self, player):
        return self.mask


class Forgets(OnlyItsMask):
    observation_space = spaces.Dict(x=spaces.Discrete(2), action_mask=spaces.MultiBinary(4))

    def reset(self, *, seed=None, options=None):
        return {"x": 0, "action_mask": self.mask}, {}

    def step(self, action):
        return {"x": 0}, 1.0, False, False, {}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (AnArray, r"has action_masks that is array\(\[1., 1., 1., 1.\]\); it must be a method"),
        (NeedsAPlayer, "has a method action_masks that takes arguments .*'player'.*; it must take none"),
        (Forgets, "gave an observation without 'action_mask', which its space has; in step"),
    ],
)
def test_masks_that_are_not_where_they_are_promised_are_named(quick, make, says):
    with pytest.raises(EnvError, match=says) as refused:
        a2c.train(make, **settings(quick, total_steps=64))
    assert "Traceback" not in str(refused.value)
