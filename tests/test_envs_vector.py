"""What Gymnasium documents for vector environments: one suite for its SyncVectorEnv and for ours, wherever they run."""

import os
import threading

import gymnasium
import numpy as np
import pytest
from countdown import Countdown
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import a2c


class ReusesItsArray(Countdown):
    """Returns the same array every time, as some environments do (SyncVectorEnv then loses the final observation)."""

    def _seen(self):
        return self._obs


def sync():
    return SyncVectorEnv([Countdown] * 4, autoreset_mode=AutoresetMode.SAME_STEP)


def ours(**settings):
    return lambda: a2c.make_envs(Countdown, 4, **settings)


LAYOUTS = {
    "SyncVectorEnv": sync,
    "local": ours(vectorization="local"),
    "1 worker": ours(num_workers=1),
    "3 workers": ours(num_workers=3),
    "2 workers, isolated": ours(num_workers=2, isolate_envs=True),
}


@pytest.fixture(params=LAYOUTS)
def envs(request):
    envs = LAYOUTS[request.param]()
    yield envs
    envs.close()


def test_spaces_are_batches_of_the_single_ones(envs):
    assert envs.num_envs == 4
    assert envs.single_observation_space.shape == (3,)
    assert envs.observation_space.shape == (4, 3)
    assert isinstance(envs.single_action_space, gymnasium.spaces.Discrete)
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
        assert obs[i].tolist() == Countdown().reset(seed=5 + i)[0].tolist()


def test_a_list_of_seeds_gives_each_its_own(envs):
    obs, _ = envs.reset(seed=[3, 3, 9, 3])
    assert obs[0].tolist() == obs[1].tolist() == obs[3].tolist() == Countdown().reset(seed=3)[0].tolist()
    assert obs[2].tolist() == Countdown().reset(seed=9)[0].tolist()


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


def test_options_reach_the_environments(envs):
    obs, _ = envs.reset(seed=0, options={"third": 8})
    assert obs[:, 2].tolist() == [8, 8, 8, 8]


def test_a_mask_resets_only_some(envs):
    first, _ = envs.reset(seed=0)
    stepped, *_ = envs.step(np.zeros(4, np.int64))
    obs, _ = envs.reset(seed=0, options={"reset_mask": np.array([True, False, False, True])})
    assert obs[0].tolist() == first[0].tolist()
    assert obs[3].tolist() == first[3].tolist()
    assert obs[1].tolist() == stepped[1].tolist()


def test_a_mask_that_names_nobody_is_refused(envs):
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        envs.reset(options={"reset_mask": np.zeros(4, bool)})


def test_an_end_resets_in_the_same_step_and_keeps_the_final_observation(envs):
    envs.reset(seed=0)
    actions = np.array([0, 1, 0, 1])
    for _ in range(2):
        _, _, terminated, truncated, infos = envs.step(actions)
        assert not (terminated | truncated).any()
        assert "final_obs" not in infos
    obs, reward, terminated, truncated, infos = envs.step(actions)
    assert reward.tolist() == [0, 1, 0, 1]
    assert terminated.tolist() == [False, True, False, True]
    assert truncated.tolist() == [True, False, True, False]
    assert obs[:, 1].tolist() == [0, 0, 0, 0]  # of the next episode
    assert infos["_final_obs"].tolist() == [True] * 4
    assert [final[1] for final in infos["final_obs"]] == [3, 3, 3, 3]
    assert infos["final_info"]["phase"].tolist() == ["step"] * 4
    assert infos["phase"].tolist() == ["reset"] * 4
    # The action after an end counts: the new episode is one step old.
    obs, *_ = envs.step(actions)
    assert obs[:, 1].tolist() == [1, 1, 1, 1]


def test_only_what_ended_has_a_final_observation(envs):
    envs.reset(seed=0)
    envs.set_attr("speed", [3, 1, 1, 1])
    _, _, terminated, truncated, infos = envs.step(np.zeros(4, np.int64))
    assert (terminated | truncated).tolist() == [True, False, False, False]
    assert infos["_final_obs"].tolist() == [True, False, False, False]
    assert infos["final_obs"][1] is None


def test_arrays_that_were_handed_out_do_not_change(envs):
    obs, _ = envs.reset(seed=0)
    before = obs.copy()
    stepped, reward, *_ = envs.step(np.ones(4, np.int64))
    kept = stepped.copy(), reward.copy()
    envs.step(np.zeros(4, np.int64))
    np.testing.assert_array_equal(obs, before)
    np.testing.assert_array_equal(stepped, kept[0])
    np.testing.assert_array_equal(reward, kept[1])


def test_call_reaches_every_environment_in_order(envs):
    envs.reset(seed=0)
    assert envs.call("reset_task") == (7, 7, 7, 7)
    assert envs.call("reset_task", task=2) == (2, 2, 2, 2)


def test_attributes_are_read_and_set(envs):
    envs.reset(seed=0)
    assert envs.get_attr("speed") == (1, 1, 1, 1)
    envs.set_attr("speed", 2)
    assert envs.get_attr("speed") == (2, 2, 2, 2)
    envs.set_attr("speed", [1, 2, 3, 4])
    assert envs.get_attr("speed") == (1, 2, 3, 4)
    with pytest.raises(ValueError, match="3"):
        envs.set_attr("speed", [1, 2, 3])


def test_an_unknown_attribute_is_an_attribute_error(envs):
    with pytest.raises(AttributeError, match="no_such_thing"):
        envs.call("no_such_thing")
    # And nothing is out of step afterwards.
    assert envs.call("reset_task", 3) == (3, 3, 3, 3)


def test_seeds_and_generators_are_each_environments_own(envs):
    envs.reset(seed=4)
    assert tuple(envs.np_random_seed) == (4, 5, 6, 7)
    assert all(isinstance(rng, np.random.Generator) for rng in envs.np_random)


def test_render_gives_a_frame_each(envs):
    envs.reset(seed=0)
    frames = envs.render()
    assert len(frames) == 4
    assert all(frame.shape == (2, 2, 3) for frame in frames)


def test_closing_twice_is_fine(envs):
    envs.reset(seed=0)
    envs.close()
    envs.close()
    assert envs.closed


# -- what only ours have --


@pytest.fixture(params=[name for name in LAYOUTS if name != "SyncVectorEnv"])
def our_envs(request):
    envs = LAYOUTS[request.param]()
    yield envs
    envs.close()


def test_both_faces_agree(our_envs):
    actions = np.random.default_rng(0).integers(0, 2, (9, 4))
    our_envs.reset(seed=1)
    gymnasiums = [our_envs.step(action) for action in actions]
    again = LAYOUTS["local"]()
    again.reset(seed=1)
    for action, (obs, reward, terminated, truncated, infos) in zip(actions, gymnasiums, strict=True):
        step = again.advance(action)
        np.testing.assert_array_equal(step.obs, obs)
        np.testing.assert_array_equal(step.reward, reward)
        np.testing.assert_array_equal(step.terminated, terminated)
        np.testing.assert_array_equal(step.truncated, truncated)
        for i in range(4):
            expected = infos["final_obs"][i] if (terminated | truncated)[i] else obs[i]
            np.testing.assert_array_equal(step.next_obs[i], expected)
    again.close()


def test_step_async_and_step_wait_make_a_step(our_envs):
    our_envs.reset(seed=0)
    our_envs.step_async(np.zeros(4, np.int64))
    with pytest.raises(gymnasium.error.AlreadyPendingCallError, match="step_wait"):
        our_envs.step_async(np.zeros(4, np.int64))
    with pytest.raises(gymnasium.error.AlreadyPendingCallError, match="step_wait"):
        our_envs.call("reset_task")
    obs, *_ = our_envs.step_wait()
    assert obs[:, 1].tolist() == [1, 1, 1, 1]
    with pytest.raises(gymnasium.error.NoAsyncCallError, match="step_async"):
        our_envs.step_wait()


def test_actions_of_the_wrong_shape_are_refused(our_envs):
    our_envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        our_envs.step(np.zeros(3, np.int64))


def test_use_after_close_is_refused(our_envs):
    our_envs.close()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="after close"):
        our_envs.begin()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="after close"):
        our_envs.step(np.zeros(4, np.int64))


class Abrupt(Countdown):
    """Is interrupted in its second step, as by Ctrl-C."""

    def step(self, action):
        if self._obs[1] == 1:
            raise KeyboardInterrupt
        return super().step(action)


@pytest.mark.parametrize("spins", [True, False])
def test_an_interrupt_never_leaves_an_old_answer_to_be_taken_for_a_new_one(monkeypatch, spins):
    monkeypatch.setattr("a2c.envs.pool.may_spin", lambda num_workers: spins)
    here = os.getpid()
    envs = a2c.make_envs(lambda: Abrupt() if os.getpid() == here else Countdown(), 2, num_workers=1)
    envs.reset(seed=0)
    envs.step(np.zeros(2, np.int64))
    with pytest.raises(KeyboardInterrupt):
        envs.step(np.zeros(2, np.int64))
    with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="lost or interrupted"):
        envs.reset(seed=0)
    envs.close()


def test_a_request_that_cannot_be_sent_reaches_nobody():
    envs = a2c.make_envs(Countdown, 3, num_workers=2)
    with pytest.raises(TypeError, match="pickle"):
        envs.set_attr("speed", [1, 2, threading.Lock()])
    assert envs.get_attr("speed") == (1, 1, 1)
    envs.close()


def test_an_environment_that_raises_when_closed_is_a_warning():
    class Clinging(Countdown):
        def close(self):
            raise RuntimeError("it will not go")

    envs = a2c.make_envs(Clinging, 2, num_workers=1)
    with pytest.warns(UserWarning, match="closing an environment raised RuntimeError: it will not go"):
        envs.close()


def test_a_step_that_changes_the_shape_of_observations_is_an_error():
    class Shrinking(Countdown):
        def step(self, action):
            obs, *rest = super().step(action)
            return obs[:1], *rest

    envs = a2c.make_envs(Shrinking, 1)
    envs.begin()
    with pytest.raises(a2c.EnvError, match=r"shape \(1,\), its space says \(3,\)"):
        envs.advance(np.zeros(1, np.int64))
    envs.close()


def test_an_environment_that_exits_is_an_error_with_a_report():
    class Exiting(Countdown):
        def step(self, action):
            raise SystemExit(0)

    for workers in (0, 1):
        envs = a2c.make_envs(Exiting, 2, num_workers=workers)
        envs.begin()
        with pytest.raises(a2c.EnvError, match="environment 0 raised in step"):
            envs.advance(np.zeros(2, np.int64))
        envs.close()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_workers": -1}, "num_workers is -1"),
        ({"vectorization": "bogus"}, "vectorization is 'bogus'"),
        ({"vectorization": "local", "num_workers": 1}, "'local', which has no workers"),
        ({"isolate_envs": True, "num_workers": 0}, "num_workers is 0 but workers are asked for"),
        ({"env_timeout_seconds": -1.0}, "env_timeout_seconds is -1.0"),
        ({"num_workers": 4}, "num_workers is 4; with 4 environments it must be at most 3"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(a2c.UserError, match=sentence):
        a2c.make_envs(Countdown, 4, **settings)


@pytest.mark.parametrize(("microseconds", "workers"), [(10, 0), (29, 0), (31, 1), (1000, 1)])
def test_auto_takes_a_worker_if_one_was_measured_to_pay(monkeypatch, microseconds, workers):
    # benchmarks/placement.py: from 60 us on for a step of all environments.
    monkeypatch.setattr("a2c.envs.placement.cores", lambda: 2)
    monkeypatch.setattr("a2c.envs.placement._seconds_per_step", lambda env: microseconds * 1e-6)
    envs = a2c.make_envs(Countdown, 2)
    assert envs.num_workers == workers
    envs.close()


def test_one_environment_needs_no_worker():
    with pytest.raises(a2c.UserError, match="with 1 environment"):
        a2c.make_envs(Countdown, 1, vectorization="workers")
    envs = a2c.make_envs(Countdown, 1, isolate_envs=True)
    assert envs.num_workers == 1
    envs.close()


def test_closing_between_step_async_and_step_wait_is_fine(our_envs):
    our_envs.reset(seed=0)
    our_envs.step_async(np.zeros(4, np.int64))
    our_envs.close()
    assert our_envs.closed


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_environment_may_reuse_its_array(num_workers):
    envs = a2c.make_envs(ReusesItsArray, 4, num_workers=num_workers)
    envs.begin()
    for _ in range(3):
        step = envs.advance(np.ones(4, np.int64))
    assert step.next_obs[:, 1].tolist() == [3, 3, 3, 3]
    assert step.obs[:, 1].tolist() == [0, 0, 0, 0]
    envs.close()


def test_gymnasiums_wrappers_take_our_envs(our_envs):
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(our_envs)
    wrapped.reset(seed=0)
    for _ in range(3):
        *_, infos = wrapped.step(np.ones(4, np.int64))
    assert infos["episode"]["r"].tolist() == [3, 3, 3, 3]
    assert infos["episode"]["l"].tolist() == [3, 3, 3, 3]
