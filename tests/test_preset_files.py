"""Presets in files: what they set, where it is said that they did, and what is no preset."""

import dataclasses
import json

import pytest

import a2c
from a2c.cli import main
from a2c.config import Config
from a2c.errors import UserError
from a2c.preset_files import preset_of, read_preset, write_preset
from a2c.presets import configure, fit_beside_preset, origins
from a2c.run.folder import Run

GOOD = """
# a comment
environment = "CartPole-v1"

[settings]
gamma = 0.9
hidden_sizes = [8, 8]
max_grad_norm = "none"
num_envs = 2
rollout_length = 4
total_steps = 64
eval_every_steps = 0
final_eval_episodes = 2
"""


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    return path


def test_a_file_says_settings_and_what_they_are_for(preset):
    found = read_preset(str(preset))
    assert found.environment == "CartPole-v1"
    assert found.settings["hidden_sizes"] == (8, 8)
    assert found.settings["max_grad_norm"] is None


def test_a_preset_that_is_written_gives_the_same_settings_again(tmp_path):
    config = Config(
        "CartPole-v1", gamma=0.9876, hidden_sizes=(8,), max_grad_norm=None, actor_step="natural", natural_max_step=10.0,
        learning_rate=1e-5, normalize_returns=True, env_kwargs={"a": [1, {"b": "c"}]}, seed=5, total_steps=1234,
    )  # fmt: skip
    path = tmp_path / "new.toml"
    write_preset(path, config, "two\nlines")
    assert path.read_text().startswith("# two\n# lines\n")
    found = read_preset(str(path))
    again = configure("CartPole-v1", str(path), {}, fit_beside_preset("CartPole-v1", str(path), {}))
    assert found.settings == preset_of(config)
    assert again == dataclasses.replace(config, seed=0)  # Which run of many it is, no preset says.


def test_training_takes_a_preset_from_a_file_says_so_and_goes_on_without_it(preset, tmp_path):
    words = ["train", "CartPole-v1", "--preset", str(preset), "--gamma", "0.8", "--no-pictures"]
    assert main([*words, "--run-dir", str(tmp_path / "runs")]) == 0
    (path,) = (tmp_path / "runs" / "CartPole-v1").iterdir()
    run = Run(path)
    assert (run.config.hidden_sizes, run.config.gamma, run.config.max_grad_norm) == ((8, 8), 0.8, None)
    settings_from = json.loads(run.config_path.read_text())["origins"]
    assert settings_from["hidden_sizes"] == f"preset {preset}"
    assert (settings_from["gamma"], settings_from["learning_rate"]) == ("chosen", "default")
    preset.unlink()
    assert a2c.resume(run, total_steps=128).summary["steps"] == 128


def test_python_takes_it_as_a_path(preset, tmp_path):
    run = a2c.train("CartPole-v1", preset=preset, run_dir=tmp_path, seed=3)
    assert run.config.rollout_length == 4
    assert run.config == configure("CartPole-v1", str(preset), {"run_dir": str(tmp_path), "seed": 3})
    assert set(origins(run.config, str(preset)).values()) == {f"preset {preset}", "default", "chosen"}


def test_a_file_for_another_environment_is_told_of(preset, tmp_path):
    with pytest.warns(UserWarning, match="was made for 'CartPole-v1', and this is 'Acrobot-v1'"):
        a2c.train("Acrobot-v1", preset=preset, run_dir=tmp_path, final_eval_episodes=0)


def test_a_setting_that_the_file_chose_and_has_no_effect_is_no_reason_to_stop(preset, tmp_path):
    preset.write_text(GOOD + "natural_kl = 0.5\n")
    assert a2c.train("CartPole-v1", preset=preset, run_dir=tmp_path).config.natural_kl == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gamma = ", "mine.toml is not TOML"),
        ("\udcff", "mine.toml is not TOML"),
        ("gamma = 0.9", "mine.toml has 'gamma'; a preset has only environment and .settings.; settings stand below"),
        ("name = 'x'", "mine.toml has 'name'; a preset has only environment and .settings.$"),
        ("environment = 5", "mine.toml has 5 for environment; it must be an environment's name"),
        ("settings = 5", "mine.toml has 5 for settings; it must be a table"),
        ("[settings]\ngama = 0.9", "mine.toml: unknown setting 'gama'; did you mean 'gamma'?"),
        ("[settings]\ngamma = 1.5", "mine.toml: gamma is 1.5; it must be between 0 and 1"),
        ("[settings]\ngamma = nan", "mine.toml: gamma is nan; it must be finite"),
        ("[settings]\ngamma = 1979-05-27", "mine.toml: gamma is datetime.*; it must be a number"),
        ("[settings]\ngamma = 'none'", "mine.toml: gamma is 'none'; it must be a number"),
        ("[settings]\nhidden_sizes = [[8]]", "mine.toml: hidden_sizes is"),
        ("[settings]\nseed = 3", "mine.toml: seed cannot be set in a preset; give it on the command line"),
        ("[settings]\nenv_id = 'x'", "mine.toml: env_id cannot be set in a preset"),
        ("[settings]\nlr = 3", "mine.toml: unknown setting 'lr'; there is no 'lr'; here it is 'learning_rate'"),
    ],
)
def test_what_is_no_preset_gets_one_sentence(preset, capsys, text, message):
    preset.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=message):
        configure("CartPole-v1", str(preset), {})
    assert main(["train", "CartPole-v1", "--preset", str(preset)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_missing_and_a_name_that_is_none_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nowhere\.toml is missing"):
        configure("CartPole-v1", "nowhere.toml", {})
    with pytest.raises(UserError, match=r"unknown preset 'nowhere'; there are auto, none, .*; or it is a file's"):
        configure("CartPole-v1", "nowhere", {})
    with pytest.raises(UserError, match="is not a regular file"):
        configure("CartPole-v1", f"{tmp_path}/", {})
