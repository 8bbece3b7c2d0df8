"""`a2c tune --cluster`: trials and the comparison are made elsewhere, to the same bits; the study is here."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_here import MachinesHere

from a2c.cli import main
from a2c.run.folder import Run
from faults.compare import differences

SMALL = "--preset none --hidden-sizes 8 --num-envs 2 --total-steps 256 --eval-episodes 1 --final-eval-episodes 2"
TUNE = f"tune CartPole-v1 {SMALL} --seeds 2 --confirm-seeds 1 --unseen-seeds 2 --json"


@pytest.fixture
def tuned(capsys, tmp_path, monkeypatch):
    """Runs `a2c tune` with a study of that name, on a cluster or without one; gives the exit code and what was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def call(name, *words, cluster=None, command=TUNE):
        if cluster is not None:
            monkeypatch.setattr("a2c.seeds.remote.Cluster", lambda address: cluster)
            words = (*words, "--cluster", "local")
        code = main([*command.split(), "--study", name, *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def ended(out):
    """What must be the same of trials, wherever they are made."""
    names = ("settings", "value", "looks", "returns", "state")
    return [[trial[name] for name in names] for trial in json.loads(out)["trials"] if trial["state"] != "failed"]


def test_a_study_on_a_cluster_makes_the_trials_and_runs_of_one_process_though_actors_are_lost(tuned, tmp_path):
    cluster = MachinesHere(deaths=(2, 6), counted="go_on")  # In the middle of the default, and of its further seeds.
    code, out, err = tuned("there", "--trials", 4, "--jobs", 1, cluster=cluster)
    assert code == 0, err
    assert err.count("was lost: its process has died; the trial goes on in another after look 2 of 4") == 2
    code, alone, _ = tuned("here", "--trials", 4)
    assert code == 0
    assert ended(out) == ended(alone)
    assert json.loads(out)["verdict"] == json.loads(alone)["verdict"]
    assert (tmp_path / "there" / "preset.toml").read_text() == (tmp_path / "here" / "preset.toml").read_text()
    for path in (tmp_path / "here" / "unseen").rglob("config.json"):
        (run,) = (
            one.parent
            for one in (tmp_path / "there" / "unseen").rglob("config.json")
            if one.parent.parent.parent.name == path.parent.parent.parent.name
            and Run(one.parent).config.seed == Run(path.parent).config.seed
        )
        assert differences(path.parent, run) == []
        assert json.loads((run / "config.json").read_text())["config"]["cluster"] == "none"
    # The same study goes on without a cluster, and the other way round.
    code, out, _ = tuned("there", "--trials", 5)
    assert code == 0
    code, alone, _ = tuned("here", "--trials", 5, "--jobs", 1, cluster=MachinesHere())
    assert (code, ended(out)) == (0, ended(alone))


def test_as_many_trials_are_made_at_a_time_as_the_cluster_has_cpus(tuned):
    cluster = MachinesHere()
    code, out, err = tuned("there", "--trials", 5, "--unseen-seeds", 0, cluster=cluster)
    assert code == 0, err
    assert len(cluster.rooms) == cluster.cpus
    assert len(ended(out)) >= 5
    assert not cluster._living  # All actors were ended.


def test_actors_that_are_lost_again_and_again_end_the_study_which_can_go_on(tuned):
    cluster = MachinesHere(deaths=(1, 2, 3), counted="measure")
    code, _, err = tuned("there", "--trials", 2, "--jobs", 1, cluster=cluster)
    assert code == 1
    assert "3 actors were lost in this trial" in err
    assert tuned("there", "--trials", 2, "--jobs", 1, cluster=MachinesHere())[0] == 0


def test_an_environment_that_raises_ends_the_study_with_that_error(tuned):
    command = TUNE.replace("CartPole-v1", "faulty:Faulty-v0")
    for jobs in (1, 2):
        code, _, err = tuned(f"there{jobs}", "--trials", 3, "--jobs", jobs, cluster=MachinesHere(), command=command)
        assert code == 1
        assert "RuntimeError: the step went wrong" in err


def test_settings_with_which_numbers_diverge_are_no_end(tuned, tmp_path):
    space = tmp_path / "space.toml"
    space.write_text('[[setting]]\nname = "learning_rate"\nlow = 1e20\nhigh = 1e30\nscale = "log"')
    command = TUNE.replace("CartPole-v1", "Pendulum-v1")
    results = []
    for cluster in (MachinesHere(), None):
        name = "here" if cluster is None else "there"
        code, out, err = tuned(name, "--trials", 3, "--jobs", 1, "--space", space, cluster=cluster, command=command)
        assert code == 0, err
        results.append([(trial["state"], trial["why"]) for trial in json.loads(out)["trials"]])
    assert results[0] == results[1]
    assert "training diverged" in results[0][1][1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-actors", "2"], "num_actors is 2, and cluster is 'local', where a trial has one actor; --jobs says"),
        (["--device", "gpu"], "device is 'gpu', and cluster is 'local', whose actors compute on CPUs"),
        (["--jobs", "0"], "jobs is 0; it must be from 1 to 1,000"),
    ],
)
def test_what_is_not_possible_is_a_sentence(tuned, tmp_path, words, message):
    code, _, err = tuned("there", *words, cluster=MachinesHere())
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "there").exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_with_ray_a_study_makes_the_trials_of_one_process(tuned, tmp_path):
    code, alone, _ = tuned("here", "--trials", 3)
    assert code == 0
    words = [*TUNE.split(), "--study", "there", "--trials", "3", "--jobs", "1", "--cluster", "local"]
    done = subprocess.run(
        [sys.executable, "-m", "a2c", *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ended(done.stdout) == ended(alone)
