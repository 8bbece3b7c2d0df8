"""What a run may import: what its user has said on this machine, and nothing that its folder says."""

import json
import shutil

import pytest

import a2c
from a2c import consent

ENV = "fragile:Walk-v0"


@pytest.fixture
def run(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return a2c.train(ENV, **quick)


def test_who_trained_a_run_need_not_name_its_module_again(run):
    assert len(run.evaluate(episodes=2).returns) == 2
    assert len(a2c.Run(run.path).evaluate(episodes=2).returns) == 2
    assert a2c.resume(run.path, total_steps=512).summary["steps"] == 512


def test_a_run_that_was_moved_copied_or_replaced_is_asked_for_again(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "copy")
    with pytest.raises(a2c.UserError, match="if you trust it, add --env fragile:Walk-v0"):
        a2c.Run(copy).evaluate(episodes=2)
    a2c.Run(copy).evaluate(episodes=2, env=ENV)
    a2c.Run(copy).evaluate(episodes=2)  # Said once.
    other = shutil.copytree(run.path, tmp_path / "other")
    shutil.rmtree(copy)
    other.rename(copy)  # Somebody else's, in its place.
    with pytest.raises(a2c.UserError, match="if you trust it, add --env"):
        a2c.Run(copy).evaluate(episodes=2)


def test_who_is_asked_is_told_what_the_environment_is_given(run):
    values = json.loads(run.config_path.read_text())
    values["config"] |= {"env_id": "shimmy:GymV26Environment-v0", "env_kwargs": {"env_id": "hostile:Env-v0"}}
    run.config_path.write_text(json.dumps(values))
    with pytest.raises(a2c.UserError, match=r"with {'env_id': 'hostile:Env-v0'}, and importing it runs its code"):
        a2c.Run(run.path).environment()


def test_a_folder_that_names_another_module_than_was_agreed_to_is_asked_for(run):
    values = json.loads(run.config_path.read_text())
    values["config"]["env_id"] = "faulty:Faulty-v0"
    run.config_path.write_text(json.dumps(values))
    with pytest.raises(a2c.UserError, match="if you trust it, add --env faulty:Faulty-v0"):
        a2c.Run(run.path).environment()


def test_saying_that_another_environment_be_used_agrees_to_nothing(run, tmp_path):
    copy = a2c.Run(shutil.copytree(run.path, tmp_path / "copy"))
    assert copy.environment("CartPole-v1") == "CartPole-v1"
    with pytest.raises(a2c.UserError, match="if you trust it, add --env"):
        copy.environment()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 3}'])
def test_a_damaged_memory_is_none(run, tmp_path, content):
    (tmp_path / "state" / "a2c" / "imports.json").write_text(content)
    with pytest.raises(a2c.UserError, match="if you trust it, add --env"):
        run.environment()
    assert run.environment(ENV) == ENV
    assert run.environment() == ENV


def test_where_nothing_can_be_kept_it_is_said_every_time(quick, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    run = a2c.train(ENV, **quick)
    assert run.environment(ENV) == ENV
    with pytest.raises(a2c.UserError, match="if you trust it, add --env"):
        run.environment()


def test_it_is_kept_for_its_user_alone(run, tmp_path):
    assert (tmp_path / "state" / "a2c").stat().st_mode & 0o077 == 0
    assert consent.is_remembered(run.path, ENV)
