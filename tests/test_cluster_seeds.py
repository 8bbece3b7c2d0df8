"""`--seeds K --cluster`: each seed is trained as a whole elsewhere, and its folder is here, as without a cluster."""

import contextlib
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster_here import MachinesHere

import a2c
from a2c.cli import main
from a2c.run import checkpoint, parcel
from a2c.run.folder import Run
from a2c.seeds.places import Share, share_of
from faults.compare import differences
from faults.places import members, wait_until

SETTINGS = [
    *["--preset", "none", "--num-envs", "2", "--rollout-length", "4", "--hidden-sizes", "8", "--no-pictures"],
    *["--eval-every-steps", "256", "--eval-episodes", "2", "--final-eval-episodes", "3", "--total-steps", "512"],
]
ENVIRONMENTS = """
import os, time, gymnasium
from fragile import Walk

class Slowly(Walk):
    def step(self, action):
        time.sleep(0.002)
        return super().step(action)

class Raising(Walk):
    def step(self, action):
        if self.steps == 150:
            raise RuntimeError("as it was asked to")
        return super().step(action)

class Crashing(Slowly):
    def step(self, action):
        if os.path.exists("crashes") and self.steps == 100:
            os.remove("crashes")
            os.kill(os.getpid(), 11)
        return super().step(action)

for kind in (Slowly, Raising, Crashing):
    gymnasium.register(f"{kind.__name__}-v0", entry_point=kind)
"""
LONG = ["--total-steps", "1200", "--save-every-seconds", "0", "--keep-policy-at", "400", "--eval-every-steps", "0"]


@pytest.fixture
def called(capsys, tmp_path, monkeypatch):
    """Runs `a2c train` on a cluster, or without one; gives exit code, standard output and standard error."""
    (tmp_path / "spread_envs.py").write_text(ENVIRONMENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def call(env, *words, cluster=None):
        capsys.readouterr()
        where = ["--cluster", "local"] if cluster is not None else []
        if cluster is not None:
            monkeypatch.setattr("a2c.seeds.remote.Cluster", lambda address: cluster)
        code = main(["train", env, *SETTINGS, *where, *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def runs_in(folder):
    return {Run(path.parent).config.seed: path.parent for path in Path(folder).rglob("config.json")}


def names_in(run):
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*"))


def stored(run):
    """config.json without what may differ between two runs."""
    values = json.loads((run / "config.json").read_text())
    return {name: value for name, value in values["config"].items() if name != "run_dir"}, values["origins"]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("CartPole-v1", ["--log", "tensorboard"]),
        ("spread_envs:Slowly-v0", [*LONG, "--normalize-observations", "--num-workers", "1"]),
    ],
)
def test_every_seed_has_the_bits_and_the_folder_of_its_run_without_a_cluster(called, tmp_path, env, words):
    code, out, err = called(env, *words, "--seeds", 2, "--seed", 5, "--run-dir", "there", cluster=MachinesHere())
    assert code == 0, err
    there = runs_in(tmp_path / "there")
    assert sorted(there) == [5, 6]
    assert called(env, *words, "--seeds", 2, "--seed", 5, "--run-dir", "here")[0] == 0
    for seed, run in runs_in(tmp_path / "here").items():
        assert differences(run, there[seed]) == []
        if "--log" not in words:  # Its files have random names.
            assert names_in(there[seed]) == names_in(run)
        assert stored(there[seed]) == stored(run)
        assert json.loads((there[seed] / "config.json").read_text())["config"]["run_dir"] == "there"
        assert there[seed].name in out
        assert f"run {there[seed]}\n" in err
    if "--log" in words:
        assert all(list((run / "tensorboard").iterdir()) for run in there.values())
    # Its user may go on with it, as with one that was trained here.
    assert a2c.resume(there[5], total_steps=2400).summary["steps"] == 2400


def test_an_actor_that_is_lost_costs_no_bits_and_is_named(called, tmp_path):
    def is_under_way():
        return any(int(path.parent.name[5:14]) >= 400 for path in (tmp_path / "there").rglob("manifest.json"))

    cluster = MachinesHere(deaths=(1, 2), counted="take", when=is_under_way)
    words = ["spread_envs:Slowly-v0", *LONG, "--seeds", 2]
    code, _, err = called(*words, "--run-dir", "there", cluster=cluster)
    assert code == 0, err
    assert err.count("was lost: its process has died; it goes on in another after ") == 2
    called(*words, "--run-dir", "here")
    there = runs_in(tmp_path / "there")
    for seed, run in runs_in(tmp_path / "here").items():
        assert differences(run, there[seed]) == []
    counts = [run.events.count() for run in map(Run, there.values())]
    assert sum(found.get("worker_restarts", 0) for found in counts) == 2
    # One that is lost before its first message has not told that it went on.
    assert sum(found.get("resumes", 0) for found in counts) in (1, 2)


def test_a_seed_whose_actors_are_lost_again_and_again_is_given_up_and_can_be_resumed(called, tmp_path):
    cluster = MachinesHere(deaths=(1, 2, 3), counted="begin")
    code, _, err = called("CartPole-v1", "--seeds", 2, "--jobs", 1, "--run-dir", "there", cluster=cluster)
    assert code == 1
    assert "seed 0: its actor on " in err
    assert "3 actors were lost there" in err
    assert sorted(runs_in(tmp_path / "there")) == [1]
    assert called("CartPole-v1", "--seeds", 2, "--resume", "--run-dir", "there", cluster=MachinesHere())[0] == 0
    assert sorted(runs_in(tmp_path / "there")) == [0, 1]


def test_errors_are_those_of_a_run_without_a_cluster_with_steps_to_replay(called, tmp_path, capsys):
    said = {}
    for name, cluster in (("there", MachinesHere()), ("here", None)):
        code, out, err = called(
            "spread_envs:Raising-v0", "--seeds", 2, "--jobs", 1, "--run-dir", name, "--json", cluster=cluster
        )
        assert code == 1
        assert len(json.loads(out)["failures"]) == 2
        said[name] = [line for line in err.splitlines() if "raised in step" in line or "as it was" in line]
        for run in runs_in(tmp_path / name).values():
            said[name] = [line.replace(str(run), "RUN") for line in said[name]]
        for run in runs_in(tmp_path / name).values():
            assert f"a2c replay {run}" in err
            assert main(["replay", str(run), "--env", "spread_envs:Raising-v0"]) == 1
            assert "as it was asked to" in capsys.readouterr().err
    assert said["there"] == said["here"] != []


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_process_that_crashes_there_is_no_lost_actor(called, tmp_path):
    (tmp_path / "crashes").touch()
    words = ["spread_envs:Crashing-v0", "--seeds", 2, "--jobs", 1, "--vectorization", "local", "--run-dir", "there"]
    code, _, err = called(*words, cluster=MachinesHere())
    assert code == 1
    assert "seed 0: its process ended by SIGSEGV; `a2c resume " in err
    assert called(*words, "--resume", cluster=MachinesHere())[0] == 0


def test_a_run_can_start_from_a_file_that_is_only_here(called, tmp_path):
    called("CartPole-v1", "--run-dir", "first")
    (first,) = runs_in(tmp_path / "first").values()
    words = ["CartPole-v1", "--start-from", first, "--seeds", 2]
    assert called(*words, "--run-dir", "there", cluster=MachinesHere())[0] == 0
    assert called(*words, "--run-dir", "here")[0] == 0
    there = runs_in(tmp_path / "there")
    for seed, run in runs_in(tmp_path / "here").items():
        assert differences(run, there[seed]) == []
        assert stored(there[seed]) == stored(run)


def test_files_that_cannot_be_written_here_wait_while_training_goes_on(called, tmp_path, monkeypatch):
    calls = itertools.count()

    def write(folder, found):
        if next(calls) in (1, 2):
            raise a2c.UserError(f"cannot write {folder}: No space left on device")
        parcel.write(folder, found)

    monkeypatch.setattr("a2c.seeds.remote.write", write)
    words = ["spread_envs:Slowly-v0", *LONG, "--seeds", 2, "--jobs", 1]
    code, _, err = called(*words, "--run-dir", "there", cluster=MachinesHere())
    assert code == 0, err
    assert err.count("No space left on device; training goes on, and they are written when that is possible") == 1
    for run in runs_in(tmp_path / "there").values():
        assert checkpoint.newest(run / "checkpoints").counters["steps"] == Run(run).summary["steps"] == 1200
        assert [row["steps"] for row in Run(run).metrics()][-1] == 1200
    assert len(runs_in(tmp_path / "there")) == 2


def test_wrong_settings_are_reported_once(called, tmp_path):
    code, _, err = called(
        "CartPole-v1", "--seeds", 9, "--jobs", 2, "--env-kwargs", '{"nonsense": 1}', cluster=MachinesHere()
    )
    assert code == 2
    assert err.startswith("a2c: CartPole-v1 does not take env_kwargs")
    assert err.count("\n") == 1
    assert not runs_in(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-actors", "2"], "num_actors is 2, and cluster is 'local', where a seed has one actor; --jobs says"),
        (["--device", "gpu"], "device is 'gpu', and cluster is 'local', whose actors compute on CPUs"),
        (["--log", "mlflow"], "log has 'mlflow', which stores nothing in a run's folder"),
    ],
)
def test_what_is_not_possible_is_a_sentence(called, words, message):
    code, _, err = called("CartPole-v1", "--seeds", 2, *words, cluster=MachinesHere())
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_actors_get_what_there_is():
    assert share_of([4.0, 2.0], 2, "auto", 100) == (3, Share(2, 2.0))
    assert share_of([8.0], 1, "auto", 2) == (2, Share(4, 4.0))
    assert share_of([2.0], 10_000, "auto", 5) == (1, Share(2, 2.0))
    assert share_of([2.0], 1, 5, 5) == (5, Share(1, 1 / 3))


# -- parcels --


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", ".hidden", "policy/.x", "a//b", "checkpoints/x", "a\\b", ""])
def test_no_file_is_written_outside_a_run(tmp_path, name):
    there = tmp_path / "run"
    there.mkdir()
    for wrong in (
        parcel.Parcel([parcel.Piece(name, 0, b"")], {}, []),
        parcel.Parcel([], {name: {"manifest.json": b"{}"}}, []),
        parcel.Parcel([], {"step_000000008": {name: b"", "manifest.json": b"{}"}}, []),
        parcel.Parcel([], {}, [name]),
    ):
        with pytest.raises(a2c.UserError):
            parcel.write(there, wrong)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_nothing_is_written_through_a_link(tmp_path):
    there, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    for name in ("policy", "checkpoints"):
        (there / name).symlink_to(elsewhere)
    with pytest.raises(a2c.UserError, match="symbolic link"):
        parcel.write(there, parcel.Parcel([parcel.Piece("policy/policy.json", 0, b"{}")], {}, []))
    with pytest.raises(a2c.UserError, match="symbolic link"):
        parcel.write(there, parcel.Parcel([], {"step_000000008": {"manifest.json": b"{}"}}, []))
    assert list(elsewhere.iterdir()) == []


def test_a_copy_follows_whatever_happens_in_a_folder(tmp_path):
    run, copy = tmp_path / "run", tmp_path / "copy"
    for folder in (run, copy):
        folder.mkdir()
    outgoing = parcel.Outgoing(run)

    def bring():
        found = outgoing.parcel()
        parcel.write(copy, found)
        assert names_in(copy) == names_in(run)
        assert all(
            (copy / name).read_bytes() == (run / name).read_bytes() for name in names_in(run) if (run / name).is_file()
        )
        return found

    (run / "metrics.jsonl").write_bytes(b"a\n")
    checkpoint.save(run / "checkpoints", {}, {"steps": 8, "updates": 1}, keep=1)
    bring()
    (run / "metrics.jsonl").write_bytes(b"a\nbc\n")
    checkpoint.save(run / "checkpoints", {}, {"steps": 16, "updates": 2}, keep=1)
    (run / "policy").mkdir()
    (run / "policy" / "policy.json").write_bytes(b"{}")
    found = bring()
    assert found.pieces[0] == parcel.Piece("metrics.jsonl", 2, b"bc\n")
    assert found.gone == ["checkpoints/step_000000008"]
    (run / "metrics.jsonl").write_bytes(b"a\nxy\nz\n")  # Cut back, and longer than before.
    (run / "policy" / "policy.json").write_bytes(b"{ }")
    assert bring().pieces[0] == parcel.Piece("metrics.jsonl", 0, b"a\nxy\nz\n")
    (run / "metrics.jsonl").write_bytes(b"a\n")
    (run / "policy" / "policy.json").unlink()
    bring()
    assert not outgoing.parcel()


# -- with Ray --


with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture
def started(tmp_path):
    """Starts `a2c train` of three seeds on a cluster, in a session of its own."""
    (tmp_path / "spread_envs.py").write_text(ENVIRONMENTS)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parent), *sys.path])
    leaders = []

    def start(*words):
        where = ["--seeds", "3", "--cluster", "local", "--run-dir", "there"]
        process = subprocess.Popen(
            [sys.executable, "-m", "a2c", "train", "spread_envs:Slowly-v0", *SETTINGS, *LONG, *where, *words],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        leaders.append(process)
        return process

    yield start
    for leader in leaders:
        for pid in members(leader.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        leader.communicate()


def hosts(session):
    """Processes of actors in a session."""
    return [pid for pid in members(session) if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::Host")]


def has_checkpoints(tmp_path, steps):
    return any(int(path.parent.name[5:14]) >= steps for path in (tmp_path / "there").glob("*/*/*/*/manifest.json"))


@with_ray
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes through /proc")
def test_with_ray_an_actor_is_killed_then_the_driver_and_the_seeds_go_on_to_the_same_bits(called, started, tmp_path):
    process = started()
    assert wait_until(lambda: has_checkpoints(tmp_path, 200), process, 0.2)
    os.kill(hosts(process.pid)[0], signal.SIGKILL)
    assert wait_until(lambda: has_checkpoints(tmp_path, 800), process, 0.2)
    os.killpg(process.pid, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert "was lost: " in said
    assert "it goes on in another after " in said
    process = started("--resume")
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert called("spread_envs:Slowly-v0", *LONG, "--seeds", 3, "--run-dir", "here")[0] == 0
    there = runs_in(tmp_path / "there")
    for seed, run in runs_in(tmp_path / "here").items():
        assert differences(run, there[seed]) == []
        assert names_in(there[seed])[0] == "checkpoints"


@with_ray
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes through /proc")
def test_with_ray_an_interrupt_saves_all_seeds_and_leaves_nobody_behind(started, tmp_path):
    process = started("--total-steps", "1000000")
    assert wait_until(lambda: has_checkpoints(tmp_path, 200), process, 0.2)
    os.killpg(process.pid, signal.SIGINT)  # As a terminal does it: to every process of the group.
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "stopped by SIGINT; the same command with --resume continues all seeds" in said
    begun = runs_in(tmp_path / "there")
    assert begun
    for run in begun.values():
        assert json.loads((run / "summary.json").read_text())["stopped_by"] == "SIGINT"
        assert checkpoint.newest(run / "checkpoints").counters["steps"] == Run(run).summary["steps"]
    deadline = time.monotonic() + 30
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not members(process.pid)
