"""`--seeds K` over the cores: each seed as it would be alone; errors and crashes reported; signals passed to all."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import a2c
from a2c.cli import main
from a2c.config import Config
from a2c.machine import cores
from a2c.run.folder import Run
from a2c.seeds.aggregate import aggregates
from a2c.seeds.child import in_words
from a2c.seeds.one import Job
from a2c.seeds.places import processes_for
from faults.compare import differences
from faults.places import Place, members, wait_until

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes through /proc")

SETTINGS = [
    *["--preset", "none", "--num-envs", "2", "--rollout-length", "4", "--hidden-sizes", "8", "--no-pictures"],
    *["--eval-every-steps", "256", "--eval-episodes", "2", "--final-eval-episodes", "3"],
]
SHORT = ["--total-steps", "512"]
LONG = ["--total-steps", "100000000", "--save-every-seconds", "0.2", "--eval-every-steps", "0"]


@pytest.fixture
def called(capsys, tmp_path):
    """Runs `a2c train` there; gives exit code, standard output and standard error."""

    def call(env, *words):
        capsys.readouterr()
        code = main(["train", env, *SETTINGS, "--run-dir", str(tmp_path), *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def runs_in(folder):
    return {Run(path.parent).config.seed: path.parent for path in Path(folder).rglob("config.json")}


@contextlib.contextmanager
def a_place():
    place = Place()
    try:
        yield place
    finally:
        place.remove()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("CartPole-v1", []),
        ("CartPole-v1", ["--vectorization", "local", "--normalize-observations"]),
        ("CartPole-v1", ["--num-envs", "3", "--isolate-envs"]),
        ("CartPole-v1", ["--num-envs", "3", "--num-workers", "1"]),
        ("Pendulum-v1", ["--normalize-returns", "--actor-step", "natural"]),
        ("countdown:Countdown", []),
    ],
)
def test_every_seed_has_the_bits_of_its_run_alone(called, tmp_path, env, words, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    code, _, _ = called(env, *SHORT, *words, "--seeds", 3, "--seed", 5, "--run-dir", tmp_path / "several")
    assert code == 0
    several = runs_in(tmp_path / "several")
    assert sorted(several) == [5, 6, 7]
    for seed, run in several.items():
        code, _, _ = called(env, *SHORT, *words, "--seed", seed, "--run-dir", tmp_path / "alone")
        assert code == 0
        assert differences(runs_in(tmp_path / "alone")[seed], run) == []


def test_the_paddle_engine_has_the_bits_of_its_runs_alone(called, tmp_path):
    pytest.importorskip("paddle", reason="PaddlePaddle is not installed")
    words = ["--engine", "paddle", "--total-steps", "64"]
    assert called("CartPole-v1", *words, "--seeds", 2, "--run-dir", tmp_path / "several")[0] == 0
    for seed, run in runs_in(tmp_path / "several").items():
        called("CartPole-v1", *words, "--seed", seed, "--run-dir", tmp_path / "alone")
        assert differences(runs_in(tmp_path / "alone")[seed], run) == []


def test_json_is_one_object_with_what_the_seeds_come_to_together(called):
    code, out, _ = called("CartPole-v1", *SHORT, "--seeds", 3, "--json")
    found = json.loads(out)
    assert code == 0
    assert [run["seed"] for run in found["runs"]] == [0, 1, 2]
    assert found["failures"] == []
    means = [run["final_evaluation"]["mean"] for run in found["runs"]]
    of_final = found["aggregate"]["final_evaluation"]
    assert of_final["runs"] == 3
    assert (of_final["lowest"], of_final["highest"]) == (min(means), max(means))
    assert of_final["interquartile_mean"]["point"] == pytest.approx(np.mean(means))
    assert of_final["interquartile_mean"]["low"] >= min(means)


def test_the_aggregate_is_that_of_the_finished_runs_that_were_evaluated():
    def summary(mean, stopped_by=None):
        return {"stopped_by": stopped_by, "evaluation": {"mean": mean}}

    means = [1.0, 2.0, 4.0, 8.0, 100.0]
    others = [summary(None), summary(7.0, "SIGINT"), {"stopped_by": None}]
    found = aggregates([*map(summary, means), *others])
    assert set(found) == {"evaluation"}
    one = found["evaluation"]
    assert (one.runs, one.lowest, one.highest) == (5, 1.0, 100.0)
    assert one.interquartile_mean.point == pytest.approx(scipy.stats.trim_mean(means, 0.25))
    assert aggregates([]) == {}
    assert aggregates(others) == {}


def test_a_picture_has_the_curves_of_all_seeds(called, tmp_path):
    code, out, _ = called("CartPole-v1", *SHORT, "--seeds", 2, "--pictures")
    assert code == 0
    (picture,) = tmp_path.rglob("*.png")
    assert picture.name.endswith("-seeds0-1.png")
    assert f"curves  {picture}" in out
    assert not list(tmp_path.rglob("*.gif"))


def test_resume_goes_on_with_unfinished_runs_and_leaves_finished_ones(called, tmp_path):
    called("CartPole-v1", *SHORT, "--seed", 1)
    (before,) = runs_in(tmp_path).values()
    summary = (before / "summary.json").read_bytes()
    code, _, _ = called("CartPole-v1", *SHORT, "--seeds", 3, "--resume")
    assert code == 0
    assert sorted(runs_in(tmp_path)) == [0, 1, 2]
    assert runs_in(tmp_path)[1] == before
    assert (before / "summary.json").read_bytes() == summary


# -- what goes wrong --

ENVIRONMENTS = """
import os
import gymnasium

class Odd(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observation_space.sample() * 0, {}

    def step(self, action):
        self.steps += 1
        self.befall()
        return self.observation_space.sample() * 0, 1.0, self.steps == 10, False, {}

class Fails(Odd):
    def befall(self):
        if os.path.exists("fails") and self.steps == 5:
            print("printed before it failed")
            os.remove("fails")
            raise RuntimeError("as it was asked to")

class Crashes(Odd):
    def befall(self):
        if os.path.exists("crashes") and self.steps == 5:
            os.remove("crashes")
            os.kill(os.getpid(), 11)

class Talks(Odd):
    def befall(self):
        if self.steps == 5:
            os.write(1, b"said by machine code\\n")
            print("said by Python")
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A folder with environments of its own, which commands are run in."""
    (tmp_path / "odd_envs.py").write_text(ENVIRONMENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("odd_envs", None)


@pytest.mark.usefixtures("odd")
def test_a_seed_whose_environment_fails_does_not_touch_the_others(called, tmp_path):
    (tmp_path / "fails").touch()
    code, out, err = called("odd_envs:Fails", *SHORT, "--vectorization", "local", "--seeds", 3, "--jobs", 1, "--json")
    assert code == 1
    found = json.loads(out)
    (failed,) = found["failures"]
    assert (failed["seed"], [run["seed"] for run in found["runs"]]) == (0, [1, 2])
    assert "RuntimeError: as it was asked to" in err
    assert "seed 0: printed before it failed" in err
    assert found["aggregate"]["final_evaluation"]["runs"] == 2
    # It was a fault of the moment: with --resume the seed comes to its end.
    code, out, _ = called("odd_envs:Fails", *SHORT, "--vectorization", "local", "--seeds", 3, "--resume", "--json")
    assert (code, [run["seed"] for run in json.loads(out)["runs"]]) == (0, [0, 1, 2])


@pytest.mark.usefixtures("odd")
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_process_that_crashes_is_warned_of_and_replaced(called, tmp_path):
    (tmp_path / "crashes").touch()
    code, out, err = called("odd_envs:Crashes", *SHORT, "--vectorization", "local", "--seeds", 3, "--jobs", 1)
    assert code == 1
    assert "seed 0: its process ended by SIGSEGV; `a2c resume " in err
    assert "0   its process ended by SIGSEGV" in out
    finished = [seed for seed, run in runs_in(tmp_path).items() if (run / "summary.json").exists()]
    assert sorted(finished) == [1, 2]
    code, _, _ = called("odd_envs:Crashes", *SHORT, "--vectorization", "local", "--seeds", 3, "--resume")
    assert code == 0


@pytest.mark.usefixtures("odd")
def test_what_environments_print_is_no_part_of_the_json(called):
    code, out, err = called("odd_envs:Talks", *SHORT, "--seeds", 2, "--json")
    assert code == 0
    assert len(json.loads(out)["runs"]) == 2
    assert "seed 1: said by machine code" in err
    assert "seed 1: said by Python" in err


def test_wrong_settings_are_reported_once_and_no_further_seed_begins(called, tmp_path):
    code, _, err = called("CartPole-v1", *SHORT, "--seeds", 9, "--env-kwargs", '{"nonsense": 1}')
    assert code == 2
    assert err.startswith("a2c: CartPole-v1 does not take env_kwargs")
    assert err.count("\n") == 1
    assert not runs_in(tmp_path)


@pytest.mark.parametrize("jobs", [0, -1, 1001])
def test_jobs_are_at_least_one(called, jobs):
    code, _, err = called("CartPole-v1", *SHORT, "--seeds", 2, "--jobs", jobs)
    assert (code, err.count("\n")) == (2, 1)
    assert f"jobs is {jobs}; it must be from 1 to 1,000, or auto" in err


def test_how_many_have_room():
    config = Config("CartPole-v1")
    assert processes_for(config, 1) == 1
    assert processes_for(config, 10_000) == cores()
    for settings in ({"num_threads": 10_000}, {"num_workers": 3, "num_envs": 4, "vectorization": "workers"}):
        wanted = max(1, cores() // (settings.get("num_threads", 0) or 4))
        assert processes_for(Config("CartPole-v1", **settings), 10_000) == wanted


def test_a_job_is_the_same_at_the_other_end_of_a_pipe():
    job = Job(Config("CartPole-v1", hidden_sizes=(3, 4), env_kwargs={"a": [1]}), {"seed": "default"}, True)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_how_a_process_ended_in_words():
    assert in_words(3) == "with exit code 3"
    assert in_words(-9) == "by SIGKILL"
    assert in_words(-200) == "by signal 200"


# -- signals --


def begun(folder):
    """Whether two seeds have a checkpoint; one of them may have two already."""
    return len({path.parent for path in folder.rglob("step_*")}) >= 2


def children(process):
    return [pid for pid, parent in members(process.pid).items() if parent == process.pid]


@linux_only
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_seeds_and_each_can_be_resumed(number, code):
    with a_place() as place:
        words = ["train", "CartPole-v1", *SETTINGS, *LONG, "--seeds", "3", "--jobs", "2", "--run-dir", str(place.runs)]
        process = place.start(*words)
        assert wait_until(lambda: begun(place.runs), process)
        process.send_signal(number)
        assert process.wait(60) == code
        assert f"stopped by {number.name}; the same command with --resume continues all seeds" in place.said
        assert place.leftovers() == []
        stopped = runs_in(place.runs)
        assert sorted(stopped) == [0, 1]
        for run in stopped.values():
            summary = json.loads((run / "summary.json").read_text())
            assert summary["stopped_by"] == number.name
            goes_on = a2c.resume(run, total_steps=summary["steps"] + 8)
            assert goes_on.summary["steps"] == summary["steps"] + 8


@linux_only
def test_a_second_signal_ends_all_at_once():
    with a_place() as place:
        slow = ["--total-steps", "64", "--env-kwargs", '{"seconds": 1000}', "--vectorization", "local"]
        (place.folder / "slow_envs.py").write_text(
            "import time\nfrom gymnasium.envs.classic_control import CartPoleEnv\n"
            "class Slow(CartPoleEnv):\n"
            "    def __init__(self, seconds, render_mode=None):\n        super().__init__()\n        self.s = seconds\n"
            "    def step(self, action):\n        time.sleep(self.s)\n        return super().step(action)\n"
        )
        words = [*SETTINGS, *slow, "--num-workers", "0", "--seeds", "2", "--run-dir", str(place.runs)]
        process = place.start("train", "slow_envs:Slow", *words)
        assert wait_until(lambda: begun(place.runs), process)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None, "an update is under way"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert place.leftovers() == []


@linux_only
def test_the_processes_leave_with_a_parent_that_is_killed():
    with a_place() as place:
        words = ["train", "CartPole-v1", *SETTINGS, *LONG, "--seeds", "2", "--run-dir", str(place.runs)]
        process = place.start(*words)
        assert wait_until(lambda: begun(place.runs), process)
        assert len(children(process)) == min(2, cores())
        process.kill()
        process.wait()
        assert place.leftovers() == []


@linux_only
def test_all_stop_and_go_on_together(tmp_path):
    words = ["train", "CartPole-v1", *SETTINGS, *LONG, "--seeds", "2", "--run-dir", str(tmp_path), "--quiet"]
    # A group of its own, as a shell makes it; one that leads its session could not be stopped so.
    process = subprocess.Popen([sys.executable, "-m", "a2c", *words], preexec_fn=os.setpgrp, stdout=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: begun(tmp_path), process)
        parents = members(os.getsid(process.pid))
        everyone = [process.pid, *(pid for pid, parent in parents.items() if parent == process.pid)]

        def states():
            found = []
            for pid in everyone:
                with contextlib.suppress(FileNotFoundError):  # No seed's: a helper, such as uname, ends soon.
                    found.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
            return found

        count = 1 + min(2, cores())
        process.send_signal(signal.SIGTSTP)
        assert soon(lambda: states() == ["T"] * count)
        process.send_signal(signal.SIGCONT)
        assert soon(lambda: "T" not in states())
        assert len(states()) == count
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()


def soon(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@linux_only
def test_a_terminals_interrupt_reaches_everybody_once(tmp_path):
    """The terminal sends it to a whole group of processes; one that had it twice would end at once, unsaved."""
    words = ["train", "CartPole-v1", *SETTINGS, *LONG, "--seeds", "2", "--run-dir", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "a2c", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    with process:
        assert wait_until(lambda: begun(tmp_path), process)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert all((run / "summary.json").exists() for run in runs_in(tmp_path).values())
    shutil.rmtree(tmp_path)
