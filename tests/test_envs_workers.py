"""Seeded episodes, the same bits from any layout, and environments that raise, hang or die."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from faulty import Faulty

import a2c
from a2c.randomness import episode_seed

LAYOUTS = [
    {"num_workers": 0},
    {"num_workers": 1},
    {"num_workers": 2},
    {"num_workers": 3},
    {"num_workers": 2, "isolate_envs": True},
    {"num_workers": 1, "isolate_envs": True},
]


def stepped(env_id, steps, **layout):
    """Everything that some random steps gave, as bytes."""
    envs = a2c.make_envs(env_id, 5, seed=3, **layout)
    rng = np.random.default_rng(0)
    seen = [envs.begin().tobytes()]
    for _ in range(steps):
        if isinstance(envs.single_action_space, gymnasium.spaces.Discrete):
            action = rng.integers(0, envs.single_action_space.n, 5)
        else:
            action = rng.uniform(-1, 1, (5, *envs.single_action_space.shape)).astype(np.float32)
        seen += [array.tobytes() for array in envs.advance(action)]
    envs.close()
    return b"".join(seen)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_the_layout_never_changes_the_bits(env_id):
    results = {stepped(env_id, 250, **layout) for layout in LAYOUTS}
    assert len(results) == 1


def test_waiting_without_spinning_gives_the_same_bits(monkeypatch):
    spinning = stepped("CartPole-v1", 100, num_workers=1)
    monkeypatch.setattr("a2c.envs.pool.may_spin", lambda num_workers: False)
    assert stepped("CartPole-v1", 100, num_workers=1) == spinning


def test_waiting_by_sleeping_gives_the_same_bits(monkeypatch):
    # The parent falls asleep at once here, and the worker whenever the parent is slow.
    spinning = stepped("CartPole-v1", 100, num_workers=1)
    monkeypatch.setattr("a2c.envs.workers.SPIN_SECONDS", 0.0)
    monkeypatch.setattr("a2c.envs.pool.may_spin", lambda num_workers: True)
    assert stepped("CartPole-v1", 100, num_workers=1) == spinning


def test_a_worker_that_fell_asleep_wakes_for_the_next_step():
    envs = a2c.make_envs("CartPole-v1", 2, num_workers=1)
    envs.begin()
    for _ in range(3):
        time.sleep(0.05)
        assert envs.advance(np.array([0, 1])).reward.tolist() == [1, 1]
    envs.close()


def test_episodes_start_as_their_seeds_say():
    envs = a2c.make_envs("CartPole-v1", 3, seed=9, num_workers=1)
    assert envs.begin()[2].tolist() == gymnasium.make("CartPole-v1").reset(seed=episode_seed(9, 2, 0))[0].tolist()
    assert envs.begin()[2].tolist() == gymnasium.make("CartPole-v1").reset(seed=episode_seed(9, 2, 1))[0].tolist()
    envs.close()


def test_other_seeds_give_other_episodes():
    assert len({episode_seed(seed, i, k) for seed in range(10) for i in range(10) for k in range(100)}) == 10_000
    assert 0 <= episode_seed(2**63 - 1, 10**6, 10**9) < 2**31


def test_callables_reach_the_workers_by_value():
    secret = 0.25
    envs = a2c.make_envs(lambda: Tagged(secret), 2, num_workers=1)
    assert envs.begin().tolist() == [[0.25], [0.25]]
    envs.close()


class Tagged(gymnasium.Env):
    def __init__(self, tag):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._tag = tag

    def reset(self, *, seed=None, options=None):
        return np.array([self._tag], np.float32), {}

    def step(self, action):
        return np.array([self._tag], np.float32), 0.0, False, False, {}


def test_an_environment_may_keep_the_action_it_was_given():
    envs = a2c.make_envs(Remembering, 2)
    envs.begin()
    envs.advance(np.full((2, 1), 0.5, np.float32))
    assert envs.advance(np.full((2, 1), 0.75, np.float32)).reward.tolist() == [0.25, 0.25]
    envs.close()


class Remembering(Tagged):
    """Pays the change of its action."""

    def __init__(self):
        super().__init__(0.0)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self._last = np.zeros(1, np.float32)

    def step(self, action):
        reward = float(action[0] - self._last[0])
        self._last = action
        return np.zeros(1, np.float32), reward, False, False, {}


# -- environments that go wrong --

HERE = "A2C_TEST_SPARED"
"""Environments in the process of this variable's number are spared."""


@pytest.fixture
def spared_here(monkeypatch):
    monkeypatch.setenv(HERE, str(os.getpid()))


@pytest.mark.parametrize("how", ["raise", "unpicklable"])
@pytest.mark.parametrize(("phase", "step"), [("construction", 0), ("reset", 0), ("step", 3)])
@pytest.mark.parametrize("isolate", [False, True])
def test_an_error_in_a_worker_is_reported_with_where_it_happened(spared_here, phase, step, how, isolate):
    def run():
        envs = a2c.make_envs(
            Faulty,
            4,
            env_kwargs={"phase": phase, "how": how, "spares": HERE},
            num_workers=2,
            isolate_envs=isolate,
            seed=5,
        )
        try:
            envs.begin()
            for _ in range(10):
                envs.advance(np.zeros(4, np.int64))
        finally:
            envs.close()

    with pytest.raises(a2c.EnvError) as caught:
        run()
    error = caught.value
    first = 0 if isolate else 1
    assert (error.env_index, error.phase, error.step) == (first, phase, step)
    if phase != "construction":
        assert (error.episode, error.episode_seed) == (0, episode_seed(5, first, 0))
    wrong = "cannot be pickled" if how == "unpicklable" else f"the {phase} went wrong"
    assert "Traceback" in str(error)
    assert ("Unpicklable" if how == "unpicklable" else wrong) in str(error)
    assert f"environment {first} raised in {phase}" in str(error)


def test_an_error_in_our_own_share_is_reported_alike():
    envs = a2c.make_envs(Faulty, 3, seed=5)
    envs.begin()
    with pytest.raises(a2c.EnvError, match=rf"environment 0 raised in step .*{episode_seed(5, 0, 0)}, step 3"):
        for _ in range(10):
            envs.advance(np.zeros(3, np.int64))
    envs.close()


def test_after_an_error_the_environments_can_be_reset_and_used_again(spared_here):
    envs = a2c.make_envs(Faulty, 2, env_kwargs={"spares": HERE}, num_workers=1)
    envs.begin()
    with pytest.raises(a2c.EnvError, match="the step went wrong"):
        for _ in range(10):
            envs.advance(np.zeros(2, np.int64))
    assert envs.begin().tolist() == [[0, 0], [0, 0]]
    envs.close()


def test_a_killed_worker_is_named(spared_here):
    envs = a2c.make_envs(Faulty, 4, env_kwargs={"how": "die", "spares": HERE}, num_workers=1)
    envs.begin()
    with pytest.raises(a2c.WorkerError, match=r"worker 0 \(environments 2 to 3\) was killed by SIGKILL"):
        for _ in range(10):
            envs.advance(np.zeros(4, np.int64))
    envs.close()


def test_a_worker_that_dies_while_it_starts_is_named(spared_here):
    settings = {"phase": "construction", "how": "die", "spares": HERE}
    with pytest.raises(a2c.WorkerError, match=r"worker 0 \(environment 1\) was killed by SIGKILL"):
        a2c.make_envs(Faulty, 2, env_kwargs=settings, num_workers=1)


def test_a_hanging_worker_is_given_up_after_the_timeout(spared_here):
    envs = a2c.make_envs(Faulty, 2, env_kwargs={"how": "hang", "spares": HERE}, num_workers=1, env_timeout_seconds=0.5)
    envs.begin()
    with pytest.raises(a2c.WorkerError, match=r"worker 0 .* no answer for 0.5 s"):
        for _ in range(10):
            envs.advance(np.zeros(2, np.int64))
    envs.close()


def test_an_observation_of_another_shape_than_its_space_is_an_error():
    class Wrong(Tagged):
        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {}

    envs = a2c.make_envs(lambda: Wrong(0.0), 1)
    with pytest.raises(a2c.EnvError, match=r"shape \(2,\), its space says \(1,\)"):
        envs.begin()
    envs.close()


class Assisted(gymnasium.Wrapper):
    """Starts a program, and ends it when it is closed."""

    def __init__(self):
        super().__init__(gymnasium.make("CartPole-v1"))
        self._program = subprocess.Popen(["sleep", "1000"])

    def pid(self):
        return self._program.pid

    def close(self):
        self._program.terminate()
        self._program.wait()
        super().close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_programs_that_an_environment_starts_hear_signals():
    envs = a2c.make_envs(Assisted, 1, vectorization="workers", isolate_envs=True, seed=3)
    (pid,) = envs.call("pid")
    envs.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_environments_that_nobody_closed_end_with_their_owner():
    envs = a2c.make_envs("CartPole-v1", 2, num_workers=1)
    process = envs.stepper._workers[0]._process
    del envs
    process.join(5)
    assert not process.is_alive()


# -- whole processes: nothing may be left behind --


def abandoned():
    """Shared memory that no living process has mapped: other tests, in other processes, may have some of their own."""
    there = {path.name for path in Path("/dev/shm").glob("*") if not path.is_dir()}
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):  # Of a process that has just ended.
            there -= {
                word.removeprefix("/dev/shm/") for word in maps.read_text().split() if word.startswith("/dev/shm/")
            }
    return there


def children_of(group):
    """Processes of a process group, by /proc."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def training(tmp_path):
    """Starts `a2c train` in a process group of its own; afterwards nothing of it may be left."""
    if not sys.platform.startswith("linux"):
        pytest.skip("looks into /proc")
    before, started = abandoned(), []

    def start(env_id, *flags):
        command = [sys.executable, "-m", "a2c", "train", env_id, "--preset", "none", "--no-pictures", *flags]
        process = subprocess.Popen(
            [*command, "--run-dir", str(tmp_path / "runs"), "--num-envs", "4", "--num-workers", "2"],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.wait(30)
        wait_until(lambda: not children_of(process.pid))  # noqa: B023 - waited for at once
    wait_until(lambda: abandoned() <= before)  # What is just being unlinked counts for a moment.


def runs_in(tmp_path):
    # Not rglob: it fails where a folder that it looks into is gone by then, as those of checkpoints in the making are.
    return [path.parent for path in (tmp_path / "runs").glob("*/*/config.json")]


@pytest.mark.parametrize("phase", ["construction", "reset", "step"])
def test_training_on_an_environment_that_raises_ends_with_a_report(training, tmp_path, phase):
    kwargs = json.dumps({"phase": phase, "after": 30})
    process = training("faulty:Faulty-v0", "--env-kwargs", kwargs, "--rollout-length", "4")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" in said
    assert f"RuntimeError: the {phase} went wrong" in said
    assert f"raised in {phase}" in said
    if phase == "step":
        assert f"episode seed {episode_seed(0, 0, 0)}, step 30" in said
        assert a2c.Run(runs_in(tmp_path)[0]).policy("final").parameters["actor.0.weight"].shape == (2, 64)
        assert sorted(path.name for path in (runs_in(tmp_path)[0] / "checkpoints").iterdir())[-1:] == ["step_000000112"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_everything_saved(training, tmp_path, number, code):
    process = training("CartPole-v1", "--total-steps", "100000000", "--eval-every-steps", "0")
    wait_until(lambda: any(run.joinpath("metrics.jsonl").exists() for run in runs_in(tmp_path)))
    time.sleep(0.5)
    # As a terminal does it, or a job system: the signal goes to every process of the group.
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in said
    run = a2c.Run(runs_in(tmp_path)[0])
    assert run.summary["stopped_by"] == number.name
    assert run.policy("final").parameters.keys() == run.policy("best").parameters.keys()


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.4, 0.7])
def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(training, seconds):
    # Somewhere among the imports, the start of the fork server and the workers, and the loading of machine code.
    process = training("CartPole-v1", "--total-steps", "100000000", "--eval-every-steps", "0")
    # Before our first line runs, Python's own start-up may print or swallow an interrupt.
    wait_until(lambda: "_multiarray_umath" in Path(f"/proc/{process.pid}/maps").read_text())
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    # Where the interrupt came in code that is a string (dataclasses, named tuples), Python remembers it, though
    # it was caught, and ends by the signal itself in the end. A shell makes 130 of both.
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in said


def test_killing_a_worker_is_reported_and_counted_and_training_goes_on(training, tmp_path):
    process = training("CartPole-v1", "--total-steps", "60000", "--eval-every-steps", "0", "--final-eval-episodes", "1")
    wait_until(lambda: any(run.joinpath("metrics.jsonl").exists() for run in runs_in(tmp_path)))
    time.sleep(0.3)
    os.kill(_worker_of(process.pid), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "was killed by SIGKILL without an error message; a new worker replaces it" in said
    summary = a2c.Run(runs_in(tmp_path)[0]).summary
    assert (summary["exact"], summary["events"]) == (True, {"worker_restarts": 1})


def test_killing_the_parent_ends_the_workers(training, tmp_path):
    process = training("CartPole-v1", "--total-steps", "100000000", "--eval-every-steps", "0")
    wait_until(lambda: any(run.joinpath("metrics.jsonl").exists() for run in runs_in(tmp_path)))
    time.sleep(0.5)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL  # and, as after every test here, nothing of it is left


def _worker_of(group):
    """A worker is the child of the fork server, itself a child of the trainer."""
    parents = {}
    for pid in children_of(group):
        parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return next(pid for pid, parent in parents.items() if parents.get(parent) == group)


def test_a_script_without_a_main_guard_may_use_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import a2c, gymnasium, numpy as np\n"
        "print('once')\n"
        "class Mine(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)\n"
        "    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None): return np.zeros(1, np.float32), {}\n"
        "    def step(self, action): return np.ones(1, np.float32), 1.0, False, False, {}\n"
        "envs = a2c.make_envs(Mine, 2, num_workers=1)\n"
        "envs.begin()\n"
        "print(envs.advance(np.array([0, 1])).obs.tolist())\n"
        "envs.close()\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("once\n[[1.0], [1.0]]\n", "")


def test_workers_import_neither_paddle_nor_the_trainer():
    envs = a2c.make_envs(Imports, 2, num_workers=1, isolate_envs=True)
    for modules in envs.call("modules"):
        assert "a2c.envs.worker_process" in modules
        assert not {"paddle", "numba", "a2c.training", "a2c.learner", "tyro", "matplotlib"} & modules
    envs.close()


class Imports(Tagged):
    def __init__(self):
        super().__init__(0.0)

    def modules(self):
        return set(sys.modules)


def test_a_signal_during_evaluation_ends_the_run(training, tmp_path):
    # Episodes are so long that the signal finds it evaluating.
    length = ["--max-episode-steps", "190000"]  # Without any limit they would soon be given up.
    process = training("faulty:Endless-v0", "--total-steps", "64", "--rollout-length", "4", *length)
    wait_until(lambda: any(run.joinpath("metrics.jsonl").exists() for run in runs_in(tmp_path)))
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    run = a2c.Run(runs_in(tmp_path)[0])
    assert run.summary["stopped_by"] == "SIGINT"
    assert run.policy() is not None


def test_a_run_that_diverges_says_so_and_keeps_what_was_good(training, tmp_path):
    process = training("Pendulum-v1", "--total-steps", "100000", "--learning-rate", "1e30", "--eval-every-steps", "0")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in said
    assert "training diverged after" in said
    assert "lower learning_rate (1e+30)" in said
    assert list((runs_in(tmp_path)[0] / "checkpoints").glob("step_*"))


def test_a_reward_that_is_not_a_number_is_named(training, tmp_path):
    kwargs = json.dumps({"phase": "reward"})
    process = training("faulty:Faulty-v0", "--env-kwargs", kwargs, "--eval-every-steps", "0")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1  # As for everything that is the environment's.
    assert "gave a reward of nan" in said
