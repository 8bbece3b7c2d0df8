"""Environments are brought back to their state by replay: in a new worker, and from a saved state."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fragile
import gymnasium
import numpy as np
import pytest

from a2c.envs import make_envs
from a2c.envs.history import History
from a2c.errors import EnvError, WorkerError
from a2c.randomness import episode_seed

linux = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")


def play(envs, steps, rng, before_step=lambda t: None):
    """Everything that some random steps bring, as bytes."""
    seen = []
    for t in range(steps):
        before_step(t)
        step = envs.advance(np.asarray(rng.integers(0, 2, envs.num_envs) + envs.single_action_space.start))
        seen.append(b"".join(array.tobytes() for array in step))
    return seen


def undisturbed(env_id, steps, num_envs=4, **kwargs):
    envs = make_envs(env_id, num_envs, vectorization="local", seed=3, env_kwargs=kwargs)
    first = envs.begin().tobytes()
    seen = play(envs, steps, np.random.default_rng(0))
    envs.close()
    return [first, *seen]


def with_workers(env_id, steps, before_step=lambda envs, t: None, isolate=False, timeout=60.0, **kwargs):
    envs = make_envs(
        env_id, 4, vectorization="workers", num_workers=2, isolate_envs=isolate, seed=3,
        env_timeout_seconds=timeout, env_kwargs=kwargs,
    )  # fmt: skip
    try:
        first = envs.begin().tobytes()
        seen = play(envs, steps, np.random.default_rng(0), lambda t: before_step(envs, t))
        return [first, *seen], envs.take_events()
    finally:
        envs.close()


def kill_worker(envs, number, how=signal.SIGKILL):
    os.kill(envs.stepper._workers[number]._process.pid, how)


@linux
@pytest.mark.parametrize("env_id", ["CartPole-v1", "fragile:Walk-v0"])
@pytest.mark.parametrize("isolate", [False, True])
def test_a_killed_worker_is_replaced_and_the_bits_are_the_same(env_id, isolate):
    kills = {0: 0, 1: 1, 60: 0, 61: 0, 250: 1}
    seen, events = with_workers(
        env_id, 300, lambda envs, t: kill_worker(envs, kills[t]) if t in kills else None, isolate=isolate
    )
    assert seen == undisturbed(env_id, 300)
    assert [event.kind for event in events] == ["worker_restarts"] * len(kills)
    assert "was killed by SIGKILL" in events[0].details


@linux
@pytest.mark.parametrize("spins", [False, True])
def test_a_dead_worker_is_noticed_by_spinning_and_by_sleeping(monkeypatch, spins):
    monkeypatch.setattr("a2c.envs.pool.may_spin", lambda workers: spins)
    kills = {5: 1, 40: 0}
    seen, events = with_workers(
        "CartPole-v1", 60, lambda envs, t: kill_worker(envs, kills[t]) if t in kills else None, isolate=True
    )
    assert seen == undisturbed("CartPole-v1", 60)
    assert len(events) == 2


@linux
@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL, 0])
def test_a_worker_that_its_environment_takes_down_or_hangs_is_replaced(tmp_path, how):
    kwargs = {"tombs": str(tmp_path), "how": int(how)}
    seen, events = with_workers("fragile:Mortal-v0", 30, isolate=True, timeout=0.5, **kwargs)
    assert seen == undisturbed("fragile:Mortal-v0", 30, **kwargs)
    assert len(events) == len(os.listdir(tmp_path)) == 1
    assert ("gave no answer for 0.5 s" if how == 0 else signal.Signals(how).name) in events[0].details


@linux
def test_a_worker_that_dies_at_the_same_step_again_and_again_is_named(tmp_path):
    with pytest.raises(WorkerError) as raised:
        with_workers("fragile:Mortal-v0", 30, isolate=True, tombs=str(tmp_path), deaths=100, at=7)
    assert len(os.listdir(tmp_path)) >= 3
    n = raised.value.env_index
    assert (
        f"3 workers were lost there, at environment {n}, episode 0, episode seed {episode_seed(3, n, 0)}, step 7"
        in (str(raised.value))
    )


@linux
def test_a_worker_stopped_for_a_moment_goes_on_and_for_long_is_replaced():
    def stop(envs, t):
        if t == 10:
            kill_worker(envs, 0, signal.SIGSTOP)

    seen, events = with_workers("CartPole-v1", 30, stop, timeout=0.5)
    assert seen == undisturbed("CartPole-v1", 30)
    assert len(events) == 1


@linux
def test_attributes_that_were_set_are_set_in_the_new_worker_too():
    envs = make_envs("CartPole-v1", 2, vectorization="workers", num_workers=1, seed=3)
    envs.begin()
    envs.set_attr("length", [0.5, 0.7])
    kill_worker(envs, 0)
    assert envs.get_attr("length") == (0.5, 0.7)
    envs.close()


@linux
def test_a_worker_killed_during_a_reset_with_seeds_and_options_is_replaced():
    envs = make_envs("CartPole-v1", 2, vectorization="workers", num_workers=1, seed=3)
    envs.begin()
    kill_worker(envs, 0)
    obs, _ = envs.reset(seed=[7, 8], options={"low": -0.01, "high": 0.01})
    kill_worker(envs, 0)
    again, *_ = envs.step(np.array([0, 1]))
    envs.close()
    there = make_envs("CartPole-v1", 2, vectorization="local", seed=3)
    there.begin()
    assert there.reset(seed=[7, 8], options={"low": -0.01, "high": 0.01})[0].tobytes() == obs.tobytes()
    assert there.step(np.array([0, 1]))[0].tobytes() == again.tobytes()
    there.close()


@linux
@pytest.mark.parametrize("begun", [0, 1, 2])
def test_a_worker_killed_between_another_seed_and_its_first_reset_begins_with_that_seed(begun):
    envs = make_envs("CartPole-v1", 4, vectorization="workers", num_workers=2, isolate_envs=True, seed=3)
    for _ in range(begun):
        envs.begin()
    envs.stepper.begin_anew(8)
    kill_worker(envs, 0)
    begin_again = [envs.begin().tobytes()]
    kill_worker(envs, 1)  # Its episode is gone through again, from the same seed.
    seen = begin_again + play(envs, 60, np.random.default_rng(0))
    kinds = [event.kind for event in envs.take_events()]
    envs.close()
    there = make_envs("CartPole-v1", 4, vectorization="local", seed=8)
    assert seen == [there.begin().tobytes(), *play(there, 60, np.random.default_rng(0))]
    assert kinds == ["worker_restarts"] * 2
    there.close()


@linux
def test_an_environment_that_does_not_replay_is_truncated_at_its_last_observation():
    envs = make_envs("fragile:Unseeded-v0", 2, vectorization="workers", num_workers=1, seed=3)
    envs.begin()
    for _ in range(5):
        before = envs.advance(np.array([3, 4])).obs.copy()
    kill_worker(envs, 0)
    step = envs.advance(np.array([3, 4]))
    assert step.truncated.tolist() == [False, True]
    assert not step.terminated.any()
    assert step.reward[1] == 0
    assert step.next_obs[1].tobytes() == before[1].tobytes()
    assert step.obs[1].tobytes() != before[1].tobytes()
    assert envs.episodes.tolist() == [0, 1]
    kinds = [event.kind for event in envs.take_events()]
    assert kinds == ["worker_restarts", "episodes_lost"]
    for _ in range(3):  # and goes on
        assert not envs.advance(np.array([3, 4])).truncated.any()
    envs.close()


@linux
def test_an_environment_that_remembers_earlier_episodes_is_found_out_though_it_replays():
    envs = make_envs("fragile:Remembers-v0", 2, vectorization="workers", num_workers=1, seed=3)
    envs.begin()
    for _ in range(5):
        envs.advance(np.array([3, 4]))
    kill_worker(envs, 0)  # In its first episode: the replay comes to the same observation.
    step = envs.advance(np.array([3, 4]))
    assert step.truncated.tolist() == [False, True]
    assert (
        "its observation differs after the same 1 steps with another episode between" in envs.take_events()[1].details
    )
    envs.close()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "fragile:Walk-v0"])
@pytest.mark.parametrize("layout", [{"vectorization": "local"}, {"vectorization": "workers", "num_workers": 2}])
def test_a_state_restored_elsewhere_goes_on_to_the_same_bits(env_id, layout):
    envs = make_envs(env_id, 4, vectorization="local", seed=3)
    envs.begin()
    rng = np.random.default_rng(0)
    play(envs, 137, rng)
    envs.mark()
    state, obs, after = envs.state(), envs.obs.copy(), rng.bit_generator.state
    expected = play(envs, 100, rng)
    assert all(np.array_equal(array, envs.state()[name]) for name, array in state.items())  # still as of the mark
    envs.close()
    others = make_envs(env_id, 4, seed=3, **layout)
    others.begin()
    assert not others.restore(state, obs).any()
    rng.bit_generator.state = after
    assert play(others, 100, rng) == expected
    others.close()


def test_a_restored_environment_that_does_not_replay_begins_its_next_episode():
    envs = make_envs("fragile:Unseeded-v0", 3, vectorization="local", seed=3)
    envs.begin()
    play(envs, 10, np.random.default_rng(0))
    envs.mark()
    lost = envs.restore(envs.state(), envs.obs.copy())
    assert lost.all()
    assert envs.episodes.tolist() == [1, 1, 1]
    assert (
        "its observation differs after the same 1 steps with another episode between" in envs.take_events()[0].details
    )
    envs.close()


def test_a_compiled_environment_gives_its_state_without_replay():
    envs = make_envs("CartPole-v1", 4, vectorization="compiled", seed=3)
    envs.begin()
    rng = np.random.default_rng(0)
    play(envs, 137, rng)
    state, obs, after = envs.state(), envs.obs.copy(), rng.bit_generator.state
    expected = play(envs, 100, rng)
    others = make_envs("CartPole-v1", 4, vectorization="compiled", seed=3)
    others.begin()
    others.restore(state, obs)
    rng.bit_generator.state = after
    assert play(others, 100, rng) == expected


@pytest.mark.parametrize("vectorization", ["local", "compiled"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state | {"episode": state["episode"][:1]},
        lambda state: state | {"episode": state["episode"] - 100},
        lambda state: state | {"episode": state["episode"].astype(np.float64)},
        lambda state: {name: array for name, array in state.items() if name != "episode"},
        lambda state: (
            state | {"actions": state["actions"][:-1]} if "actions" in state else state | {"key": -state["key"]}
        ),
    ],
)
def test_a_state_that_cannot_be_is_refused(vectorization, damage):
    envs = make_envs("CartPole-v1", 4, vectorization=vectorization, seed=3)
    envs.begin()
    play(envs, 5, np.random.default_rng(0))
    envs.mark()
    with pytest.raises((KeyError, ValueError)):
        envs.restore(damage(envs.state()), envs.obs.copy())
    envs.close()


def test_the_history_stores_only_what_the_mark_and_episodes_under_way_need():
    history = History(2, gymnasium.spaces.Discrete(300, start=-5), seed=0)
    history.begin(0)
    history.begin(1)
    rng = np.random.default_rng(0)
    taken = rng.integers(-5, 295, (5000, 2))
    begun = [0, 0]
    for t, action in enumerate(taken):
        history.append(action)
        for n in (0, 1):
            if rng.random() < (0.02, 0.002)[n]:
                history.begin(n)
                begun[n] = t + 1
        if t % 700 == 0:
            history.mark()
            marked = [taken[begun[n] : t + 1, n].tolist() for n in (0, 1)]
        for n in (0, 1):
            recording = history.recording(n)
            assert recording.actions.tolist() == taken[begun[n] : t + 1, n].tolist()
            assert recording.actions.dtype == np.int64
        state = history.state()
        parts = np.split(state["actions"], np.cumsum(state["length"])[:-1])
        assert [part.tolist() for part in parts] == marked
    assert len(history._actions) <= 8192
    assert history._actions.itemsize < 8


def test_without_a_mark_the_history_stores_what_episodes_under_way_need():
    history = History(2, gymnasium.spaces.Discrete(2), seed=0)
    for t in range(100_000):
        if t % 90 == 0:
            history.begin(t // 90 % 2)
        history.append(np.array([t % 2, 1]))
    assert len(history._actions) <= 512
    assert history.state()["length"].tolist() == [len(history.recording(n).actions) for n in (0, 1)]


def test_a_long_episode_takes_a_byte_an_action():
    history = History(1, gymnasium.spaces.Discrete(4), seed=0)
    history.begin(0)
    for _ in range(30_000):
        history.append(np.array([3]))
    history.mark()
    assert history._actions.nbytes <= 2 * 32_768
    assert history.state()["actions"].nbytes == 30_000


def test_what_raises_in_a_replay_that_did_not_before_does_not_replay():
    class Moody(fragile.Walk):
        raises = False

        def step(self, action):
            if Moody.raises and self.steps == 3:
                raise RuntimeError("not today")
            return super().step(action)

    envs = make_envs(Moody, 1, vectorization="local", seed=3)
    envs.begin()
    play(envs, 10, np.random.default_rng(0))
    envs.mark()
    Moody.raises = True
    assert envs.restore(envs.state(), envs.obs.copy()).all()
    with pytest.raises(EnvError, match="not today"):
        play(envs, 10, np.random.default_rng(0))
    envs.close()


SCRIPT = """
import ctypes, os, sys, time
import gymnasium, numpy as np
import a2c

class Stuck(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (1,)), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {{}}

    def step(self, action):
        {hang}
        return np.zeros(1, np.float32), 0.0, False, False, {{}}

envs = a2c.make_envs(Stuck, 2, vectorization="workers", num_workers=2, isolate_envs=True)
envs.begin()
print("ready", flush=True)
envs.advance(np.zeros(2, np.int64))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "hang", ["pass", "time.sleep(1000)", "ctypes.PyDLL(None).sleep(1000)"], ids=["idle", "in Python", "holding the GIL"]
)
def test_workers_of_a_killed_parent_leave_and_leave_nothing(tmp_path, hang):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(hang=hang) + "\ntime.sleep(1000)"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    process.kill()
    process.wait()
    process.stdout.close()
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up and (group(process.pid) or os.listdir(tmp_path)):
        time.sleep(0.05)
    assert group(process.pid) == []
    if os.listdir(tmp_path):  # None of its workers could, or was quick enough; the next start does.
        make_there = "import a2c; a2c.make_envs('CartPole-v1', 2, num_workers=1).close()"
        subprocess.run([sys.executable, "-c", make_there], env={**os.environ, "TMPDIR": str(tmp_path)}, check=True)
    assert os.listdir(tmp_path) == []


def group(leader):
    """Processes of a session, but for those that are dead and not yet fetched."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(status.parent.name)
    return found


NESTED = """
import multiprocessing, os, signal
import numpy as np
import a2c
from a2c.envs.leftovers import sweep_temporary_folders

def make_there():
    a2c.make_envs("CartPole-v1", 2, num_workers=1).close()

if __name__ == "__main__":
    envs = a2c.make_envs("CartPole-v1", 2, num_workers=1)
    envs.begin()
    child = multiprocessing.get_context("spawn").Process(target=make_there)
    child.start()
    child.join()
    sweep_temporary_folders()
    os.kill(envs.stepper._workers[0]._process.pid, signal.SIGKILL)
    envs.advance(np.array([0, 1]))  # The worker's replacement meets there.
    print([event.kind for event in envs.take_events()], child.exitcode)
    envs.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such lock there")
def test_a_process_of_multiprocessings_leaves_the_folder_of_its_parent(tmp_path):
    (tmp_path / "nested.py").write_text(NESTED)
    ended = subprocess.run(
        [sys.executable, tmp_path / "nested.py"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr) == ("['worker_restarts'] 0\n", "")
    assert os.listdir(tmp_path) == ["nested.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such lock there")
def test_folders_of_the_living_are_left_alone(tmp_path, monkeypatch):
    script = "import a2c, sys; e = a2c.make_envs('CartPole-v1', 2, num_workers=1); print('ready', flush=True); input()"
    living = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    living.stdout.readline()
    (tmp_path / "pymp-strange").mkdir()  # of another program
    make_there = "import a2c; a2c.make_envs('CartPole-v1', 2, num_workers=1).close()"
    subprocess.run([sys.executable, "-c", make_there], env={**os.environ, "TMPDIR": str(tmp_path)}, check=True)
    assert len(os.listdir(tmp_path)) == 2
    living.communicate(b"\n", timeout=20)  # It ends, though nobody closed its environments.
    assert living.returncode == 0
    assert os.listdir(tmp_path) == ["pymp-strange"]
