"""Settings: what is refused, with which words; presets; the round trip through JSON."""

import dataclasses
import json

import numpy as np
import pytest

import a2c
from a2c.fitting import FITTED
from a2c.presets import PRESETS, check_have_effect, configure, origins


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_envs": 0}, r"num_envs is 0; it must be a whole number from 1 to 1,000,000"),
        ({"num_envs": 2.5}, r"num_envs is 2.5; it must be a whole number"),
        ({"num_envs": True}, r"num_envs is True; it must be a whole number"),
        ({"total_steps": -5}, r"total_steps is -5"),
        ({"gamma": 1.5}, r"gamma is 1.5; it must be between 0 and 1"),
        ({"gae_lambda": float("nan")}, r"gae_lambda is nan; it must be finite"),
        ({"learning_rate": 0}, r"learning_rate is 0; it must be above 0"),
        ({"learning_rate": float("inf")}, r"learning_rate is inf; it must be finite"),
        ({"learning_rate": "fast"}, r"learning_rate is 'fast'; it must be a number"),
        ({"max_grad_norm": 0.0}, r"max_grad_norm is 0.0; it must be above 0"),
        ({"adam_beta1": 1.0}, r"adam_beta1 is 1.0; it must be at least 0 and below 1"),
        ({"hidden_sizes": (64, 0)}, r"hidden_sizes is \(64, 0\); it must be whole numbers from 1 to 100,000"),
        ({"hidden_sizes": 64}, r"hidden_sizes is 64; it must be a list of items, each a whole number"),
        ({"optimizer": "sgd"}, r"optimizer is 'sgd'; it must be 'adam' or 'rmsprop'"),
        ({"log": ("stone",)}, r"log is \('stone',\)"),
        ({"env_kwargs": {"x": float("nan")}}, r"env_kwargs is .*; it must be a value that JSON can hold"),
        ({"env_kwargs": {"x": object()}}, r"env_kwargs is .*; it must be a value that JSON can hold"),
        ({"env_kwargs": [1]}, r"env_kwargs is \[1\]; it must be a JSON object"),
        ({"seed": -1}, r"seed is -1; it must be a whole number from 0"),
        ({"num_workers": "many"}, r"num_workers is 'many'; it must be a whole number or 'auto'"),
        ({"vectorization": "local", "num_workers": 2}, r"'local', which has no workers"),
        ({"vectorization": "workers", "num_workers": 0}, r"num_workers is 0 but workers are asked for"),
        ({"isolate_envs": True, "num_workers": 0}, r"num_workers is 0 but workers are asked for"),
        ({"run_dir": " "}, r"run_dir is ' '; it must be a name"),
    ],
)
def test_a_bad_setting_is_refused_with_its_value_and_what_would_be_right(settings, sentence):
    with pytest.raises(a2c.UserError, match=sentence):
        a2c.Config("CartPole-v1", **settings)


def test_settings_cannot_be_changed_after_they_were_checked():
    with pytest.raises(dataclasses.FrozenInstanceError):
        a2c.Config("CartPole-v1").seed = 3


def test_a_choice_against_the_preset_is_a_choice_even_where_it_is_the_default():
    config = configure("Swimmer-v5", "auto", {"gae_lambda": a2c.Config("X").gae_lambda})
    origin = origins(config, "auto")
    assert origin["gae_lambda"] == "chosen"
    assert origin["gamma"] == "preset Swimmer-v5"


def test_lists_are_taken_where_tuples_are_kept():
    assert configure("X", "none", {"hidden_sizes": [3, 4]}).hidden_sizes == (3, 4)


def test_settings_survive_json():
    config = a2c.Config("X", env_kwargs={"a": [1]}, hidden_sizes=(3, 4), log=("visualdl",), max_grad_norm=None)
    assert a2c.Config.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "must be a JSON object, not list"),
        ({}, "needs env_id"),
        ({"env_id": "X", "gama": 0.9}, "unknown setting 'gama'; did you mean 'gamma'"),
        ({"env_id": 3}, "env_id is 3; it must be a string"),
    ],
)
def test_json_that_is_no_config_is_refused(values, sentence):
    with pytest.raises(a2c.UserError, match=sentence):
        a2c.Config.from_json(values)


def test_updates_cover_the_total_steps():
    assert a2c.Config("X", num_envs=8, rollout_length=8, total_steps=65).num_updates == 2
    assert a2c.Config("X", num_envs=8, rollout_length=8, total_steps=64).num_updates == 1


def test_the_tutorial_preset_is_the_tutorial():
    config = configure("CartPole-v0", "tutorial", {})
    assert (config.num_envs, config.rollout_length, config.total_steps) == (8, 8, 20_000 * 8)
    assert (config.hidden_sizes, config.activation, config.initialization) == ((256,), "relu", "xavier")
    assert (config.optimizer, config.learning_rate, config.schedule) == ("adam", 1e-3, "exponential")
    assert (config.decay_factor, config.decay_every_steps) == (0.92, 2_000 * 8)
    assert (config.gamma, config.gae_lambda, config.value_coef) == (0.99, 1.0, 0.5)
    assert config.entropy_coef == pytest.approx(0.01 * 8)
    assert (config.eval_every_steps, config.eval_episodes, config.eval_greedy) == (100 * 8, 2, False)
    assert {config.normalize_observations, config.normalize_returns, config.normalize_advantage} == {False}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name):
    assert configure("X", name, {}).env_id == "X"


def test_what_is_chosen_goes_before_the_preset_and_the_preset_before_the_default():
    config = configure("CartPole-v0", "tutorial", {"gamma": 0.5})
    assert (config.gamma, config.gae_lambda, config.rmsprop_decay) == (0.5, 1.0, 0.99)
    origin = origins(config, "tutorial")
    assert (origin["gamma"], origin["gae_lambda"], origin["rmsprop_decay"]) == ("chosen", "preset tutorial", "default")
    assert origin["env_id"] == "chosen"


def test_a_preset_named_like_the_environment_is_used_unless_declined():
    assert configure("CartPole-v1", "auto", {}) != configure("CartPole-v1", "none", {})
    assert configure("Unheard-v0", "auto", {}) == a2c.Config("Unheard-v0")


def test_an_unknown_preset_or_setting_is_refused():
    with pytest.raises(a2c.UserError, match="unknown preset 'quick'; there are auto, none, tutorial"):
        configure("CartPole-v1", "quick", {})
    with pytest.raises(a2c.UserError, match="unknown setting 'num_env'; did you mean 'num_envs'"):
        configure("CartPole-v1", "none", {"num_env": 3})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"actor_step": "natural", "learning_rate": 0.01},
            r"learning_rate is 0.01, which has no effect where actor_step is 'natural' \(chosen\); drop it, or choose "
            r"actor_step 'gradient' too",
        ),
        ({"critic_epochs": 3}, r"critic_epochs is 3, .* actor_step is 'gradient' \(default\).* 'natural' too"),
        ({"natural_kl": 0.5}, r"natural_kl is 0.5, .* choose actor_step 'natural' too"),
        ({"optimizer": "rmsprop", "adam_beta1": 0.5}, r"adam_beta1 is 0.5, .* choose optimizer 'adam' too"),
        ({"rmsprop_decay": 0.5}, r"rmsprop_decay is 0.5, .* optimizer is 'adam' \(default\)"),
        ({"schedule": "linear", "decay_factor": 0.5}, r"decay_factor is 0.5, .* choose schedule 'exponential' too"),
        ({"critic": "baseline", "gae_lambda": 0.5}, r"gae_lambda is 0.5, .* choose critic 'bootstrap' too"),
        (
            {"critic": "none", "value_coef": 0.1},
            r"value_coef is 0.1, .* critic is 'none' \(chosen\).* critic 'bootstrap' or 'baseline' too",
        ),
        ({"final_learning_rate": 1e-4}, r"final_learning_rate is 0.0001, .* choose schedule 'linear' too"),
    ],
)
def test_what_was_chosen_and_has_no_effect_is_refused(settings, sentence):
    config = a2c.Config("X", **settings)
    with pytest.raises(a2c.UserError, match=sentence):
        check_have_effect(config, origins(config, "none"))


@pytest.mark.parametrize(
    "settings",
    [
        {"actor_step": "natural", "natural_kl": 0.5, "critic_epochs": 3},
        {"actor_step": "natural", "schedule": "linear", "learning_rate": 0.01, "final_learning_rate": 0.001},
        {"optimizer": "rmsprop", "rmsprop_decay": 0.5, "learning_rate": 0.01},
        {"schedule": "exponential", "decay_factor": 0.5},
    ],
)
def test_what_has_an_effect_is_not(settings):
    config = a2c.Config("X", **settings)
    check_have_effect(config, origins(config, "none"))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_choose_nothing_that_has_no_effect(preset):
    config = configure("X", preset, {})
    check_have_effect(config, dict.fromkeys(PRESETS[preset], "chosen") | {"actor_step": FITTED, "schedule": FITTED})


@pytest.mark.parametrize("weights", [(1, 0.5), [1, 0.5], np.array([1.0, 0.5])], ids=repr)
def test_a_list_may_be_any_row_of_numbers(weights):
    assert a2c.Config("Any-v0", reward_weights=weights).reward_weights == (1.0, 0.5)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("1,0.5", "reward_weights is '1,0.5'; it must be a list of items, each a number, or None"),
        ([1.0, None], r"reward_weights is \(1.0, None\); it must be a list of items, each a number, or None"),
        ((1.0, float("nan")), r"reward_weights is \(1.0, nan\); every one must be finite"),
    ],
)
def test_a_list_of_anything_else_is_refused(weights, says):
    with pytest.raises(a2c.UserError, match=says):
        a2c.Config("Any-v0", reward_weights=weights)
