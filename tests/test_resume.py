"""A run that goes on from a checkpoint ends in the bits of one that never stopped."""

import itertools
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

import a2c
from a2c.cli import main
from a2c.errors import EnvError, NumbersError, UserError, WorkerError
from a2c.evaluation import Evaluator
from a2c.run import checkpoint, versions
from a2c.run.folder import Run
from a2c.signals import StopSignals

EXACT = [
    {},
    {"vectorization": "local", "normalize_observations": True, "normalize_returns": True},
    {"normalize_observations": True, "normalize_returns": True, "schedule": "linear"},
    {"vectorization": "local", "engine": "paddle", "optimizer": "rmsprop"},
    {"engine": "paddle"},
    {"collect": "ahead", "normalize_observations": True},
    {"collect": "ahead", "vectorization": "local", "engine": "paddle"},
    {"critic": "baseline"},
    {"critic": "none", "vectorization": "local"},
]


def settings(quick, **others):
    return quick | {"total_steps": 800, "log_every_steps": 48, "eval_every_steps": 200, "eval_episodes": 2} | others


def content(run):
    """Everything that must be the same: arrays, best policy, metrics and summary without times."""
    arrays = checkpoint.newest(run.path / "checkpoints").arrays
    rows = [{name: value for name, value in row.items() if name != "steps_per_second"} for row in run.metrics()]
    apart = ("train_seconds", "eval_seconds", "seconds", "steps_per_second", "events")
    summary = {name: value for name, value in run.summary.items() if name not in apart}
    policy = [(run.path / "policy" / name).read_bytes() for name in ("policy.safetensors", "policy.json")]
    path = run.path / "evaluation.json"
    episodes = path.read_bytes() if path.exists() else b""
    return {name: array.tobytes() for name, array in arrays.items()}, rows, summary, policy, episodes


@pytest.fixture(autouse=True)
def _this_process_stays(monkeypatch):
    """What signals do after a run is saved, tests/test_signals.py asks."""
    monkeypatch.setattr("a2c.training.pass_on", lambda number, saved_in: None)


def stop_after(monkeypatch, calls, number=signal.SIGTERM):
    """Lets a run be stopped, as by a signal, the so-manieth time it asks."""
    asked = []

    def check(self, original=StopSignals.check):
        asked.append(1)
        if len(asked) == calls:
            self.received = number
        original(self)

    monkeypatch.setattr(StopSignals, "check", check)


def interrupted(monkeypatch, config, calls, env="CartPole-v1"):
    with monkeypatch.context() as patch:
        stop_after(patch, calls)
        run = a2c.train(env, **config)
    assert run.stopped_by == signal.SIGTERM
    return run


@pytest.mark.parametrize("others", EXACT)
@pytest.mark.parametrize("calls", [1, 4, 30, 90])
def test_a_stopped_run_goes_on_to_the_same_bits(quick, monkeypatch, others, calls):
    # Where a call makes many updates the run asks less often; some of these are in the middle of an evaluation.
    config = settings(quick, **others)
    whole = a2c.train("CartPole-v1", **config)
    run = interrupted(monkeypatch, config, calls)
    assert run.summary["steps"] < 800 or calls == 90
    resumed = a2c.resume(run.path)
    assert content(resumed) == content(whole)
    assert resumed.summary["exact"] is True
    assert resumed.summary["events"] == {"resumes": 1}


def test_a_run_ends_when_an_evaluation_reaches_stop_at_return_and_may_go_on(quick, monkeypatch):
    config = settings(quick, eval_episodes=3)
    whole = a2c.train("CartPole-v1", **config)
    returns = {row["steps"]: row["evaluation_return"] for row in whole.metrics() if "evaluation_return" in row}
    wanted = sorted(returns.values())[1]  # All but the worst reach it.
    first = min(steps for steps, value in returns.items() if value >= wanted)
    stopped = a2c.train("CartPole-v1", stop_at_return=wanted, **config)
    assert stopped.summary["steps"] == first < whole.summary["steps"]
    assert stopped.is_finished
    before = content(stopped)
    assert content(a2c.resume(stopped.path)) == before
    assert content(a2c.resume(stopped.path, total_steps=10_000)) == before
    # Killed on the way, and in the evaluation that reaches it.
    for calls in (2, 8, 12):
        run = interrupted(monkeypatch, config | {"stop_at_return": wanted}, calls)
        assert content(a2c.resume(run.path)) == before
    further = a2c.resume(stopped.path, stop_at_return=1e6, total_steps=800)
    assert content(further) == content(whole)


@pytest.mark.parametrize("env", ["CartPole-v1", "fragile:Walk-v0"])
def test_a_run_may_change_where_it_runs(quick, monkeypatch, env):
    config = settings(quick, vectorization="local", env_timeout_seconds=20.0)
    whole = a2c.train(env, **config)
    run = interrupted(monkeypatch, config, 40, env)
    resumed = a2c.resume(run, env=env, num_threads=2, keep_checkpoints=1, save_every_seconds=0.0)
    assert content(resumed) == content(whole)
    assert Run(run.path).config.keep_checkpoints == 1


def test_it_may_go_on_in_workers(quick, monkeypatch):
    config = settings(quick, vectorization="workers", num_workers=1)
    whole = a2c.train("CartPole-v1", **config)
    run = interrupted(monkeypatch, config, 40)
    resumed = a2c.resume(run, num_workers=2, isolate_envs=True)
    first, second = content(resumed), content(whole)
    for summary in (first[2], second[2]):
        del summary["vectorization"]
    assert first == second


def test_when_checkpoints_are_written_changes_nothing(quick):
    config = settings(quick, vectorization="local")
    runs = [a2c.train("CartPole-v1", **config | {"save_every_seconds": seconds}) for seconds in (0.0, 1000.0)]
    assert content(runs[0]) == content(runs[1])


def test_every_checkpoint_goes_on_to_the_same_bits(quick, tmp_path):
    config = settings(
        quick, vectorization="local", save_every_seconds=0.0, keep_checkpoints=1000, normalize_returns=True
    )
    whole = a2c.train("CartPole-v1", **config)
    names = sorted(path.name for path in (whole.path / "checkpoints").iterdir())
    assert len(names) == 101
    for name in names[::17]:
        copy = tmp_path / name
        shutil.copytree(whole.path, copy)
        (copy / "summary.json").unlink()
        for other in names[names.index(name) + 1 :]:
            shutil.rmtree(copy / "checkpoints" / other)
        assert content(a2c.resume(copy)) == content(whole)


def test_a_state_that_is_infinite_goes_on_too(quick, tmp_path):
    config = settings(quick, save_every_seconds=0.0, keep_checkpoints=1000)
    whole = a2c.train("compiled_envs:NEAREST", **config)
    cut = tmp_path / "cut"
    shutil.copytree(whole.path, cut)
    for path in sorted((cut / "checkpoints").iterdir())[1:]:
        shutil.rmtree(path)
    (cut / "summary.json").unlink()
    saved = checkpoint.newest(cut / "checkpoints")
    assert np.isinf(saved.arrays["collector.envs.state"]).any()
    assert content(a2c.resume(cut, env="compiled_envs:NEAREST")) == content(whole)


def test_a_finished_run_is_left_as_it_is(quick):
    run = a2c.train("CartPole-v1", **settings(quick))
    before = (run.path / "summary.json").stat().st_mtime_ns
    assert a2c.resume(run.path).summary["steps"] == 800
    assert (run.path / "summary.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(("schedule", "exact"), [("constant", True), ("exponential", True), ("linear", False)])
def test_a_finished_run_can_be_trained_further(quick, schedule, exact):
    config = settings(quick, schedule=schedule, eval_every_steps=0)
    longer = a2c.train("CartPole-v1", **config | {"total_steps": 1200})
    run = a2c.train("CartPole-v1", **config)
    further = a2c.resume(run.path, total_steps=1200)
    assert further.summary["steps"] == 1200
    assert further.summary["exact"] is exact
    assert (content(further)[0] == content(longer)[0]) is exact
    if exact:
        assert content(further) == content(longer)
    else:
        assert "linear schedule depends on it" in further.summary["inexact_because"][0]
    assert further.config.total_steps == 1200


def test_one_that_was_stopped_in_its_last_evaluation_is_trained_further_to_the_same_bits(quick, monkeypatch):
    # Neither the row of the last steps nor the policy kept for want of a better one is of the longer run.
    config = settings(quick, eval_every_steps=0, log_every_steps=56, final_eval_episodes=1, keep_checkpoints=1)
    longer = a2c.train("CartPole-v1", **config | {"total_steps": 1200})

    def evaluate(self, policy, episodes, greedy, index, check, *args, original=Evaluator.evaluate):
        if index == 0:  # The last ones'.
            check.__self__.received = signal.SIGTERM
        return original(self, policy, episodes, greedy, index, check, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "evaluate", evaluate)
        run = a2c.train("CartPole-v1", **config)
    assert (run.summary["steps"], run.metrics()[-1]["steps"]) == (800, 800)
    assert not run.is_finished
    again = a2c.resume(run.path)
    assert again.is_finished
    assert content(a2c.resume(again, total_steps=1200)) == content(longer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.1}, "learning_rate decides results"),
        ({"total_steps": 100}, "total_steps is 100, but the run has made"),
        ({"nonsense": 1}, "unknown setting 'nonsense'"),
        ({"num_workers": 1}, "trains on the compiled form of CartPole-v1, which has no workers"),
    ],
)
def test_what_cannot_change_is_refused(quick, monkeypatch, changes, message):
    run = interrupted(monkeypatch, settings(quick, save_every_seconds=0.0), 5)
    with pytest.raises(UserError, match=message):
        a2c.resume(run, **changes)
    assert a2c.resume(run).summary["exact"] is True  # nothing was lost


@pytest.mark.parametrize(("first", "then"), [("compiled", "paddle"), ("paddle", "compiled")])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_another_engine_goes_on_and_says_that_this_is_not_exact(quick, monkeypatch, first, then, optimizer):
    config = settings(quick, vectorization="local", engine=first, optimizer=optimizer, total_steps=200)
    whole = a2c.train("CartPole-v1", **config)
    run = interrupted(monkeypatch, config, 8)
    resumed = a2c.resume(run, engine=then)
    assert resumed.summary["exact"] is False
    assert any(f"engine is {then}" in reason for reason in resumed.summary["inexact_because"])
    final = [checkpoint.newest(r.path / "checkpoints").arrays["actor.0.weight"] for r in (whole, resumed)]
    np.testing.assert_allclose(*final, atol=1e-4)


def test_a_checkpoint_of_another_version_goes_on_and_says_so(quick, monkeypatch):
    run = interrupted(monkeypatch, settings(quick), 3)
    monkeypatch.setattr(versions, "processor", lambda: "abacus")
    resumed = a2c.resume(run)
    assert resumed.summary["exact"] is False
    assert "processor is abacus, it was" in resumed.summary["inexact_because"][0]


def test_an_environment_that_does_not_replay_is_named_and_the_run_goes_on(quick, monkeypatch):
    run = interrupted(monkeypatch, settings(quick), 40, env="fragile:Unseeded-v0")
    with pytest.warns(UserWarning, match="does not replay: its observation differs"):
        resumed = a2c.resume(run, env="fragile:Unseeded-v0")
    assert resumed.summary["steps"] == 800
    assert resumed.summary["exact"] is False
    assert "fragile:Unseeded-v0: environment 0 does not replay" in resumed.summary["inexact_because"][0]
    assert resumed.summary["events"] == {"resumes": 1, "episodes_lost": 2}


@pytest.mark.filterwarnings("error")
def test_a_warning_that_raises_loses_nothing(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    tombs = tmp_path / "tombs"
    tombs.mkdir()
    kwargs = {"tombs": str(tombs), "at": 50}
    config = settings(quick, isolate_envs=True, num_workers=1, env_kwargs=kwargs, log_every_steps=8)
    with pytest.raises(UserWarning, match="a new worker replaces it"):
        a2c.train("fragile:Mortal-v0", **config)
    (path,) = Path(quick["run_dir"]).glob("*/*")
    run = a2c.resume(path, env="fragile:Mortal-v0")
    assert content(run) == content(a2c.train("fragile:Mortal-v0", **config))  # The one death is died.
    assert run.summary["events"] == {"worker_restarts": 1, "failures": 1, "resumes": 1}


def test_a_module_is_imported_only_if_the_user_says_so(quick, monkeypatch, capsys, tmp_path):
    run = interrupted(monkeypatch, settings(quick), 40, env="fragile:Walk-v0")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody else"))  # Who has said nothing of this run.
    assert main(["resume", str(run.path)]) == 2
    assert "if you trust it, add --env fragile:Walk-v0" in capsys.readouterr().err
    assert main(["resume", str(run.path), "--env", "fragile:Walk-v0", "--no-pictures"]) == 0


def test_a_damaged_newest_checkpoint_is_passed_over(quick, monkeypatch):
    config = settings(quick, vectorization="local", save_every_seconds=0.0)
    whole = a2c.train("CartPole-v1", **config)
    run = interrupted(monkeypatch, config, 40)
    newest = checkpoint.newest(run.path / "checkpoints").path
    (newest / "state.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped a newer checkpoint"):
        resumed = a2c.resume(run)
    assert content(resumed) == content(whole)


def test_a_run_without_a_checkpoint_begins_at_the_start_with_a_warning(quick, monkeypatch):
    config = settings(quick)
    whole = a2c.train("CartPole-v1", **config)
    run = interrupted(monkeypatch, config, 3)
    shutil.rmtree(run.path / "checkpoints")
    with pytest.warns(UserWarning, match="has no checkpoint yet; it starts from step 0"):
        assert content(a2c.resume(run)) == content(whole)


def test_settings_that_were_edited_are_refused(quick, monkeypatch):
    run = interrupted(monkeypatch, settings(quick), 3)
    values = json.loads(run.config_path.read_text())
    values["config"]["gamma"] = 0.5
    run.config_path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"has other settings than .* was made with"):
        a2c.resume(run.path)


def test_two_processes_do_not_train_the_same_run(quick, monkeypatch):
    run = interrupted(monkeypatch, settings(quick), 3)
    with run.locked(), pytest.raises(UserError, match="is being trained by another process"):
        a2c.resume(run.path)


def test_what_a_killed_process_left_unfinished_is_removed(quick, monkeypatch):
    run = interrupted(monkeypatch, settings(quick), 3)
    (run.path / "checkpoints" / ".unfinished-step_000000800-1").mkdir()
    (run.path / ".summary.json.unfinished-1").write_text("{")
    (run.path / "policy" / ".policy.json.unfinished-1").write_text("{")
    a2c.resume(run)
    left = [path for path in run.path.rglob("*") if path.name.startswith(".")]
    assert left == []


@pytest.mark.parametrize("writer", ["visualdl", "tensorboard"])
def test_curves_go_on_without_doubled_points(quick, monkeypatch, writer):
    def points(run):
        if writer == "visualdl":
            from visualdl import LogReader

            (file,) = (run.path / "visualdl").iterdir()
            return [(item.id, item.value) for item in LogReader(file_path=str(file)).get_data("scalar", "loss/loss")]
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(run.path / "tensorboard"))
        events.Reload()
        return [(item.step, item.tensor_proto.float_val[0]) for item in events.Tensors("loss/loss")]

    config = settings(quick, log=(writer,), vectorization="local", save_every_seconds=0.0)
    whole = a2c.train("CartPole-v1", **config)
    run = a2c.train("CartPole-v1", **config)
    (run.path / "summary.json").unlink()  # as if killed after the last rows, before they came into a checkpoint
    for folder in sorted((run.path / "checkpoints").iterdir())[1:]:
        shutil.rmtree(folder)
    resumed = a2c.resume(run)
    steps = [step for step, _ in points(resumed)]
    assert len(steps) == len(set(steps)) > 5
    assert points(resumed) == points(whole)


@pytest.mark.parametrize("name", ["checkpoints", "policy", "metrics.jsonl", "events.jsonl"])
def test_nothing_is_written_through_a_link(quick, monkeypatch, tmp_path, name):
    run = interrupted(monkeypatch, settings(quick), 3)
    outside = tmp_path / "outside"
    if (run.path / name).exists():
        shutil.move(run.path / name, outside)
    else:
        outside.write_text("")
    (run.path / name).symlink_to(outside)
    before = {path: path.stat().st_mtime_ns for path in [outside, *outside.rglob("*")]}
    with pytest.raises(UserError, match=r"symbolic link|not a regular file"):
        a2c.resume(run)
    assert {path: path.stat().st_mtime_ns for path in [outside, *outside.rglob("*")]} == before


def test_train_resume_goes_on_with_the_newest_run_of_these_settings(quick, monkeypatch, capsys):
    config = settings(quick)
    whole = a2c.train("CartPole-v1", **config)
    shutil.move(whole.path, whole.path.with_name("elsewhere"))
    words = ["train", "CartPole-v1", "--preset", "none", "--no-pictures", "--resume", "--json"]
    flags = {name: value for name, value in config.items() if name != "preset"}
    for name, value in flags.items():
        words += [f"--{name.replace('_', '-')}", *([str(value)] if not isinstance(value, tuple) else map(str, value))]
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        assert main(words) == 143
    first = json.loads(capsys.readouterr().out)["runs"][0]
    assert main(words) == 0
    second = json.loads(capsys.readouterr().out)["runs"][0]
    assert second["run"] == first["run"]
    assert content(Run(second["run"])) == content(Run(whole.path.with_name("elsewhere")))
    assert main(words) == 0  # finished: left as it is
    assert json.loads(capsys.readouterr().out)["runs"][0]["events"] == {"resumes": 1}
    assert main([*words, "--seed", "5"]) == 0  # another run
    assert json.loads(capsys.readouterr().out)["runs"][0]["run"] != first["run"]


def test_a_run_cannot_change_its_kind_of_environments(quick, monkeypatch):
    """In compiled form or Gymnasium's own: resets draw other numbers."""
    config = settings(quick, num_envs=2)
    compiled = a2c.train("CartPole-v1", **config)
    own = a2c.train("CartPole-v1", num_workers=1, **config)
    words = ["train", "CartPole-v1", "--preset", "none", "--no-pictures", "--resume"]
    for name, value in config.items():
        if name != "preset":
            words += [f"--{name.replace('_', '-')}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    for others, run in [([], compiled), (["--vectorization", "local"], own), (["--isolate-envs"], own)]:
        before = sorted(run.path.parent.iterdir())
        assert main([*words, *others]) == 0
        assert sorted(run.path.parent.iterdir()) == before
    more = {"total_steps": 1200, "num_workers": "auto"}
    assert content(a2c.resume(own.path, **more)) == content(
        a2c.train("CartPole-v1", vectorization="local", **config | {"total_steps": 1200})
    )
    with pytest.raises(UserError, match="does not train on the compiled form"):
        a2c.resume(own.path, total_steps=1600, vectorization="compiled")


@pytest.mark.parametrize(("env_id", "flag"), [("fragile:Walk-v0", " --env fragile:Walk-v0"), ("CartPole-v1", "")])
def test_the_command_that_goes_on_can_be_pasted(quick, monkeypatch, capsys, env_id, flag):
    words = [
        "train",
        env_id,
        "--preset",
        "none",
        "--no-pictures",
        "--total-steps",
        "400",
        "--run-dir",
        quick["run_dir"],
    ]
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        assert main(words) == 143
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert f"stopped by SIGTERM; `a2c resume {path}{flag}` continues it" in capsys.readouterr().err
    assert main(["resume", str(path), "--no-pictures", *flag.split()]) == 0


def test_events_follow_one_that_was_cut_by_a_crash(quick):
    run = a2c.train("CartPole-v1", **settings(quick))
    run.events.add("resumes", 8, "")
    path = run.path / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    run.events.add("worker_restarts", 16, "")
    run.events.add("worker_restarts", 24, "")
    assert run.events.count() == {"worker_restarts": 2}


# -- what ends a run --


def test_a_full_disk_is_reported_and_training_goes_on(quick, monkeypatch):
    config = settings(quick, vectorization="local", save_every_seconds=0.0)
    whole = a2c.train("CartPole-v1", **config)
    original, calls = checkpoint.save, []

    def save(*args, **kwargs):
        calls.append(1)
        if 3 < len(calls) < 90:
            raise UserError("cannot write checkpoint: No space left on device")
        return original(*args, **kwargs)

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.warns(UserWarning, match="No space left on device; training goes on"):
        run = a2c.train("CartPole-v1", **config)
    assert run.summary["events"] == {"failed_saves": 86}
    assert content(run) == content(whole)


def test_if_the_last_checkpoint_cannot_be_written_the_rest_is(quick, monkeypatch):
    config = settings(quick, eval_every_steps=0)

    def save(folder, arrays, counters, *others, original=checkpoint.save):
        if counters["steps"] == 800:
            raise UserError("cannot write checkpoint: No space left on device")
        return original(folder, arrays, counters, *others)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save)
        with pytest.raises(UserError, match="No space"), pytest.warns(UserWarning, match="is not saved: cannot write"):
            a2c.train("CartPole-v1", **config)
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert (path / "policy" / "policy.safetensors").exists()
    assert content(a2c.resume(path)) == content(a2c.train("CartPole-v1", **config))


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("log", [[], ["tensorboard", "visualdl"]])
def test_while_no_file_can_be_written_everything_waits(quick, log):
    config = settings(quick, vectorization="local", save_every_seconds=0.0)
    whole = a2c.train("CartPole-v1", **config)
    script = f"""if True:
        import resource, a2c, a2c.run.session
        calls, update = [], a2c.run.session.Session.update
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        def counted(self, count):
            calls.append(1)
            if len(calls) in (20, 60):  # Evaluations, rows and checkpoints are due meanwhile.
                resource.setrlimit(resource.RLIMIT_FSIZE, (1, unlimited[1]) if len(calls) == 20 else unlimited)
            return update(self, count)
        a2c.run.session.Session.update = counted
        print(a2c.train("CartPole-v1", **{config | {"log": log}!r}).path)
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    run = Run(ended.stdout.splitlines()[-1])  # VisualDL says there what it could not write.
    for what in ("metrics.jsonl/the rows", "metrics.jsonl/earlier checkpoints", "policy.safetensors/the policy"):
        name, then = what.split("/")
        assert f"{name}: File too large; training goes on, and {then}" in ended.stderr
    # TensorBoard's own thread prints one.
    assert log or "Traceback" not in ended.stderr
    # The events themselves waited, too.
    assert run.summary["events"]["failed_saves"] >= 3
    assert len((run.path / "events.jsonl").read_text().splitlines()) == sum(run.summary["events"].values())
    assert content(run)[:3] == content(whole)[:3]


@pytest.mark.parametrize("vectorization", ["local", "workers"])
def test_an_error_leaves_a_checkpoint_and_its_steps_can_be_replayed(quick, vectorization, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    layout = {"vectorization": vectorization} | ({"num_workers": 1} if vectorization == "workers" else {})
    with pytest.raises(EnvError):
        a2c.train("faulty:Faulty-v0", **settings(quick, **layout, env_kwargs={"after": 70}))
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert checkpoint.newest(path / "checkpoints").counters["steps"] == 136
    assert main(["replay", str(path), "--env", "faulty:Faulty-v0"]) == 0  # its count is of all episodes: no failure
    assert "no failure in 20 steps" in capsys.readouterr().out
    failed = Run(path).failed_episode()
    assert (failed.env_index, failed.episode, len(failed.actions)) == (0, 1, 20)


def test_deaths_at_the_same_step_end_the_run_and_resuming_loses_nothing(quick, tmp_path, monkeypatch):
    tombs = tmp_path / "tombs"
    tombs.mkdir()
    kwargs = {"tombs": str(tombs), "deaths": 3, "at": 50}
    config = settings(quick, isolate_envs=True, num_workers=1, env_kwargs=kwargs, num_envs=2)
    with pytest.warns(UserWarning, match="a new worker replaces it"), pytest.raises(WorkerError) as raised:
        a2c.train("fragile:Mortal-v0", **config)
    assert "3 workers were lost there, at environment" in str(raised.value)
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert checkpoint.newest(path / "checkpoints").counters["steps"] == 96
    failed = Run(path).failed_episode()
    assert (failed.episode, len(failed.actions)) == (0, 50)
    # With its three deaths died, it lives.
    resumed = a2c.resume(path, env="fragile:Mortal-v0")
    whole = a2c.train("fragile:Mortal-v0", **config)
    assert content(resumed)[0] == content(whole)[0]
    assert content(resumed)[1] == content(whole)[1]


def replay(path, env, **variables):
    command = [sys.executable, "-m", "a2c", "replay", str(path), "--env", env]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_replay_reproduces_what_kills_a_process(quick, tmp_path, monkeypatch):
    kwargs = {"tombs": str(tmp_path), "deaths": 100, "at": 50, "how": int(signal.SIGSEGV)}
    with pytest.warns(UserWarning, match="SIGSEGV"), pytest.raises(WorkerError):
        a2c.train("fragile:Mortal-v0", **settings(quick, isolate_envs=True, num_workers=1, env_kwargs=kwargs))
    (path,) = Path(quick["run_dir"]).glob("*/*")
    died = replay(path, "fragile:Mortal-v0")
    assert died.returncode == -signal.SIGSEGV
    assert "step 50" in died.stderr
    assert 'fragile.py", line' in died.stderr  # faulthandler's stack


def test_replay_sees_what_training_refuses(quick, capsys):
    with pytest.raises(EnvError, match="shape"):
        a2c.train("fragile:Misshapen-v0", **settings(quick, vectorization="local"))
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert main(["replay", str(path), "--env", "fragile:Misshapen-v0"]) == 1
    assert "gave an observation of shape (1,), its space says (2,); in step" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("env", "kwargs", "outcome", "step", "code"),
    [
        ("faulty:Faulty-v0", {"after": 10}, "raised", 10, 1),
        ("faulty:Faulty-v0", {"phase": "reward"}, "not finite", 1, 1),
        ("fragile:Misshapen-v0", {}, "invalid", 1, 1),
        ("faulty:Faulty-v0", {"after": 70}, "no failure", 20, 0),
    ],
)
def test_replay_says_what_it_found_in_one_object(quick, capsys, env, kwargs, outcome, step, code):
    with pytest.raises((EnvError, NumbersError)):
        a2c.train(env, **settings(quick, vectorization="local", env_kwargs=kwargs))
    (path,) = Path(quick["run_dir"]).glob("*/*")
    failed = Run(path).failed_episode()
    capsys.readouterr()
    assert main(["replay", str(path), "--env", env, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["step"], found["recorded_steps"]) == (outcome, step, len(failed.actions))
    assert (found["run"], found["env_index"], found["episode"]) == (str(path), failed.env_index, failed.episode)
    assert found["episode_seed"] == failed.episode_seed
    assert found["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_replay_of_a_hang_shows_at_which_line_it_is_interrupted(quick, tmp_path):
    kwargs = {"tombs": str(tmp_path), "deaths": 100, "at": 50, "how": 0}
    config = settings(quick, isolate_envs=True, num_workers=1, env_kwargs=kwargs, env_timeout_seconds=0.5)
    with pytest.warns(UserWarning, match="gave no answer"), pytest.raises(WorkerError):
        a2c.train("fragile:Mortal-v0", **config)
    (path,) = Path(quick["run_dir"]).glob("*/*")
    process = subprocess.Popen(
        [sys.executable, "-m", "a2c", "replay", str(path), "--env", "fragile:Mortal-v0", "--json"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell lets what runs in its background ignore this signal, tests included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        said = b""
        while b"step 50" not in said:
            more = process.stderr.read1()
            assert more, said
            said += more
        time.sleep(0.5)  # for the step to begin
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=60)
    finally:
        process.kill()  # or it hangs for ever
        process.wait()
    assert process.returncode == 130
    assert b"fragile.py" in rest
    assert (json.loads(out)["outcome"], json.loads(out)["step"]) == ("interrupted", 50)


def test_everything_is_in_workers_if_environments_are_isolated(quick, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    config = settings(quick, final_eval_episodes=3)
    run = a2c.train("fragile:Shy-v0", **config | {"isolate_envs": True, "num_workers": 1})
    assert run.summary["evaluation"] == a2c.train("fragile:Walk-v0", **config).summary["evaluation"]


@pytest.mark.skipif(sys.platform == "win32", reason="looks for processes")
def test_a_hang_in_this_process_is_reported_and_ends_it_checkpointed(quick, tmp_path):
    tombs = tmp_path / "tombs"
    tombs.mkdir()
    kwargs = {"tombs": str(tombs), "at": 50, "how": 0}
    config = settings(quick, vectorization="local", env_kwargs=kwargs, env_timeout_seconds=1.0)
    script = f"import a2c; a2c.train('fragile:Mortal-v0', **{config!r})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "environment 0, which this process steps itself, did not return" in ended.stderr
    assert "episode 0, episode seed" in ended.stderr
    assert "step 50" in ended.stderr
    assert "a2c replay" in ended.stderr
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert checkpoint.newest(path / "checkpoints").counters["steps"] == 96
    resumed = a2c.resume(path, env="fragile:Mortal-v0")  # The one death is died.
    assert content(resumed)[:2] == content(a2c.train("fragile:Mortal-v0", **config))[:2]


@pytest.mark.skipif(sys.platform == "win32", reason="looks for processes")
def test_a_hang_ends_the_process_even_if_the_error_cannot_be_printed(quick, tmp_path):
    tombs = tmp_path / "tombs"
    tombs.mkdir()
    kwargs = {"tombs": str(tombs), "at": 50, "how": 0}
    config = settings(quick, vectorization="local", env_kwargs=kwargs, env_timeout_seconds=1.0)
    train = f"a2c.train('fragile:Mortal-v0', **{config!r})"
    # Ended here: Python's own end, which cannot tell of an error, has another code now and then.
    script = f"import a2c, os\ntry: {train}\nexcept a2c.WorkerError: os._exit(7)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE)
    process.stderr.close()
    assert process.wait(60) == 7
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert checkpoint.newest(path / "checkpoints").counters["steps"] == 96


@pytest.mark.skipif(sys.platform == "win32", reason="looks for processes")
def test_a_hang_in_an_evaluation_is_reported_too(quick, tmp_path):
    config = settings(quick, vectorization="local", env_kwargs={"spared": 2}, env_timeout_seconds=1.0)
    script = f"import a2c; a2c.train('fragile:Late-v0', **{config!r})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "environment 0, which this process steps itself, did not return in an evaluation" in ended.stderr
    assert "step 5" in ended.stderr
    (path,) = Path(quick["run_dir"]).glob("*/*")
    saved = checkpoint.newest(path / "checkpoints")
    assert saved.counters["steps"] == config["eval_every_steps"]
    assert len(Run(path).failed_episode().actions) == 5


@pytest.mark.parametrize("layout", [{"vectorization": "local"}, {"isolate_envs": True, "num_workers": 1}])
@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("obs", float("nan"), "gave an observation of ["),
        ("obs", float("inf"), "inf]"),
        ("cut", float("nan"), "a last observation of its episode that is not finite"),
        ("reward", -float("inf"), "gave a reward of -inf"),
    ],
)
def test_numbers_that_are_not_finite_stop_the_run_before_anything_is_learnt(
    quick, monkeypatch, layout, where, value, said
):
    monkeypatch.setitem(quick, "normalize_observations", True)
    from fragile import Poisoned

    with pytest.raises(NumbersError) as raised:
        a2c.train(lambda: Poisoned(where, value), **settings(quick, **layout, total_steps=100))
    message = str(raised.value)
    assert said in message
    assert "after 8 steps environment 0 gave" in message
    assert "episode 0, episode seed" in message
    (path,) = Path(quick["run_dir"]).glob("*/*")
    saved = checkpoint.newest(path / "checkpoints")
    assert saved.counters["steps"] == 8
    assert all(np.isfinite(array).all() for array in saved.arrays.values())
    from a2c import files

    assert files.read_arrays(path / "failed_rollout.safetensors")["obs"].shape == (4, 2, 2)
    events = [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "failures"
    # The same steps lead there again.
    failed, env = Run(path).failed_episode(), Poisoned(where, value)
    env.reset(seed=failed.episode_seed)
    seen = [env.step(action) for action in failed.actions]
    assert all(np.isfinite(obs).all() and np.isfinite(reward) for obs, reward, *_ in seen[:-1])
    assert not (np.isfinite(seen[-1][0]).all() and np.isfinite(seen[-1][1]))


def test_in_evaluations_they_are_reported_and_training_goes_on(quick, capsys):
    config = settings(quick, vectorization="local", env_kwargs={"spared": fragile_made() + 2, "how": "nan"})
    with pytest.warns(UserWarning, match=r"environment 0 gave an observation of \[nan, nan\] during evaluation"):
        run = a2c.train("fragile:Late-v0", **config)
    assert run.summary["steps"] == config["total_steps"]
    assert run.summary["events"]["failed_evaluations"] >= 2
    assert len(run.failed_episode().actions) == 5
    assert main(["replay", str(run.path), "--env", "fragile:Late-v0"]) == 1
    assert "step 5 gave reward" in capsys.readouterr().out


def fragile_made():
    """How many of these were made in this process."""
    from fragile import Late

    Late._instances, copy = itertools.tee(Late._instances)
    return next(copy)


def test_in_compiled_environments_too(quick):
    from compiled_envs import POISONED

    with pytest.raises(NumbersError, match=r"environment \d gave an observation of \["):
        a2c.train(POISONED, **settings(quick))
    (path,) = Path(quick["run_dir"]).glob("*/*")
    saved = checkpoint.newest(path / "checkpoints")
    assert all(np.isfinite(array).all() for array in saved.arrays.values())
    assert (path / "failed_rollout.safetensors").is_file()


def test_a_gradient_that_is_not_finite_leaves_the_earlier_checkpoint(quick):
    config = settings(quick, learning_rate=1e30, vectorization="local", max_grad_norm=None)
    with pytest.raises(NumbersError, match="training diverged"):
        a2c.train("CartPole-v1", **config)
    (path,) = Path(quick["run_dir"]).glob("*/*")
    assert checkpoint.newest(path / "checkpoints").counters["steps"] == 0
    assert (path / "failed_rollout.safetensors").is_file()
