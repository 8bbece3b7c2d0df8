"""Policies that a run saves after given steps: exactly those asked for, whatever happens to the run."""

import shutil
import signal

import pytest

import a2c
from a2c.cli import main
from a2c.errors import UserError
from a2c.run import kept
from a2c.run.folder import Run
from a2c.signals import StopSignals

AT = (0, 1, 100, 500, 800)
STEPS = [0, 8, 104, 504, 800]
"""An update has 8 steps."""


def settings(quick, **others):
    return quick | {"total_steps": 800, "save_every_seconds": 0.0, "keep_policy_at": AT} | others


def content(run):
    return {
        steps: [(path / name).read_bytes() for name in ("policy.safetensors", "policy.json")]
        for steps, path in kept.kept(run.path).items()
    }


def parameters(policy):
    return {name: array.tobytes() for name, array in policy.parameters.items()}


@pytest.mark.parametrize("others", [{}, {"vectorization": "local"}, {"engine": "paddle", "vectorization": "local"}])
def test_a_saved_policy_is_the_final_one_of_a_run_that_ends_there(quick, others):
    run = a2c.train("CartPole-v1", **settings(quick, **others))
    assert run.kept_policies == STEPS
    for asked, steps in zip(AT[1:], STEPS[1:], strict=True):
        short = a2c.train("CartPole-v1", **settings(quick, total_steps=steps, keep_policy_at=(), **others))
        assert parameters(run.policy(asked)) == parameters(run.policy(steps)) == parameters(short.policy("final"))
    assert parameters(run.policy(0)) != parameters(run.policy(1))


def test_saving_policies_changes_no_result(quick):
    runs = [a2c.train("CartPole-v1", **settings(quick, keep_policy_at=at)) for at in ((), AT)]
    assert parameters(runs[0].policy("final")) == parameters(runs[1].policy("final"))
    assert runs[0].config.identity() == runs[1].config.identity()
    assert runs[0].kept_policies == []
    assert not (runs[0].path / "policies").exists()


@pytest.mark.parametrize("calls", [1, 2, 3, 30, 70])
def test_a_run_that_was_stopped_and_goes_on_saves_the_same_policies(quick, monkeypatch, calls):
    monkeypatch.setattr("a2c.training.pass_on", lambda number, saved_in: None)
    config = settings(quick, vectorization="local", normalize_observations=True)
    whole = a2c.train("CartPole-v1", **config)
    asked = []

    def check(self, original=StopSignals.check):
        asked.append(1)
        if len(asked) == calls:
            self.received = signal.SIGTERM
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "check", check)
        run = a2c.train("CartPole-v1", **config)
    assert content(run) != content(whole)
    assert content(a2c.resume(run)) == content(whole)


def test_policies_after_the_checkpoint_that_a_run_goes_on_from_are_removed(quick):
    run = a2c.train("CartPole-v1", **settings(quick, keep_checkpoints=1000))
    for path in (run.path / "checkpoints").iterdir():
        if int(path.name.split("_")[1]) > 104:
            shutil.rmtree(path)
    (run.path / "summary.json").unlink()
    again = a2c.resume(run, keep_policy_at=(0, 100, 300))
    assert again.kept_policies == [0, 8, 104, 304]


def test_a_policy_that_is_asked_for_too_late_is_warned_of(quick):
    run = a2c.train("CartPole-v1", **settings(quick, keep_policy_at=()))
    with pytest.warns(
        UserWarning,
        match="the policy after 104, 504 steps was never saved, and the run goes on from 800",
    ):
        further = a2c.resume(run, total_steps=1000, keep_policy_at=(100, 500, 900))
    assert further.kept_policies == [904]


def test_a_policy_that_cannot_be_written_comes_with_the_next_checkpoint(quick, monkeypatch):
    written, config = [], settings(quick, vectorization="local")
    whole = a2c.train("CartPole-v1", **config)

    def write_bytes(path, data, original=kept.files.write_bytes):
        if path.parent.name == "step_000000104" and len(written) < 2:
            written.append(path)
            raise UserError(f"cannot write {path}: No space left on device")
        original(path, data)

    monkeypatch.setattr(kept.files, "write_bytes", write_bytes)
    with pytest.warns(UserWarning, match="No space left on device"):
        run = a2c.train("CartPole-v1", **config)
    assert len(written) == 2
    assert content(run) == content(whole)


def test_verbs_take_saved_policies_by_their_steps(quick, capsys, tmp_path):
    run = a2c.train("CartPole-v1", **settings(quick))
    assert main(["evaluate", str(run.path), "--which", "1e2", "--episodes", "2"]) == 0
    assert capsys.readouterr().out.startswith("policy after 104 steps: ")
    assert main(["export", str(run.path), "--to", "pdparams", "--which", "104", "--out", str(tmp_path / "x")]) == 0
    mean = a2c.load(run, 500).parameters["actor.0.weight"].mean()
    assert mean == run.policy(504).parameters["actor.0.weight"].mean()


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (7, "has no policy after 7 steps; it has those after 0, 8, 104"),
        (90, "has no policy after 90 steps; it has those after 0, 8, 104, 504, 800"),
        (-1, "which is -1; it must be 'best', 'final', or steps after which the run saved its policy"),
        (True, "which is True; it must be"),
        ("last", "which is 'last'; it must be"),
    ],
)
def test_a_policy_that_was_not_saved_is_named(quick, which, message):
    run = a2c.train("CartPole-v1", **settings(quick))
    with pytest.raises(UserError, match=message):
        run.policy(which)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ((801,), r"keep_policy_at has 801, and training ends after 800 steps; it must be at most that"),
        ((-1,), r"keep_policy_at is \(-1,\); it must be whole numbers of steps"),
        ((0.5,), r"keep_policy_at is \(0.5,\); it must be a list of items, each a whole number"),
    ],
)
def test_steps_beyond_the_end_of_a_run_are_refused(quick, at, message):
    with pytest.raises(UserError, match=message):
        a2c.train("CartPole-v1", **settings(quick, keep_policy_at=at))


def test_a_foreign_folder_is_left_alone(quick, tmp_path):
    run = a2c.train("CartPole-v1", **settings(quick))
    mine = run.path / "policies" / "step_mine"
    mine.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run.path / "policies" / "step_999999999").symlink_to(elsewhere)
    assert Run(run.path).kept_policies == STEPS
    kept.cut_back(run.path, -1)
    assert Run(run.path).kept_policies == []
    assert mine.is_dir()
    assert elsewhere.is_dir()
    shutil.rmtree(run.path / "policies")
    (run.path / "policies").symlink_to(elsewhere)
    with pytest.raises(UserError, match="policies is a symbolic link"):
        run.policy(8)
