"""Settings that follow from an environment's spaces."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

import a2c
from a2c.errors import UserError
from a2c.fitting import Asked, fit, fit_to, lines
from a2c.presets import PRESETS, configure, fit_beside_preset, origins


@pytest.mark.parametrize(
    "space", [Discrete(500), MultiDiscrete([3, 4]), Tuple([Discrete(32), Discrete(11)]), Dict(a=Discrete(2))], ids=str
)
def test_where_all_that_is_seen_are_choices_more_is_tried(space):
    values = fit(space, Discrete(2)).values
    assert (values["learning_rate"], values["entropy_coef"]) == (3e-3, 0.05)
    assert values["normalize_observations"] is False


@pytest.mark.parametrize(
    "space", [Box(-1, 1, (4,)), MultiBinary(3), Tuple([Discrete(3), Box(-1, 1, (1,))]), Box(0, 255, (8,), np.uint8)],
    ids=str,
)  # fmt: skip
def test_where_there_are_numbers_it_is_the_default(space):
    assert not {"learning_rate", "entropy_coef"} & set(fit(space, Discrete(2)).values)


@pytest.mark.parametrize(
    ("space", "actor_step"),
    [
        (Box(-1, 1, (64,)), "natural"),
        (Dict(a=Discrete(4), b=Box(-1, 1, (2, 3))), "natural"),
        (MultiBinary(5), "natural"),
        (Box(-1, 1, (65,)), "gradient"),
        (Box(0, 255, (84, 84, 3), np.uint8), "gradient"),
        (Discrete(5), "gradient"),
    ],
    ids=str,
)
def test_steps_are_natural_where_inputs_are_few_and_not_only_choices(space, actor_step):
    config = configure("Mine-v0", "none", {}, fit(space, Discrete(2)))
    assert config.actor_step == actor_step
    assert (config.natural_max_step is not None) == (actor_step == "natural")


@pytest.mark.parametrize("chosen", [{"learning_rate": 1e-3}, {"actor_step": "gradient"}], ids=str)
def test_steps_are_plain_where_something_was_chosen_that_only_these_have(chosen):
    found = fit_to("CartPole-v1", chosen)
    assert found == fit(Box(-1, 1, (4,)), Discrete(2), Asked("gradient"))
    assert (found.values["rollout_length"], "actor_step" in found.values) == (16, False)
    assert fit_to("CartPole-v1", {"gamma": 0.9}).values["actor_step"] == "natural"


@pytest.mark.parametrize(
    ("env_id", "preset", "actor_step", "rollout_length"),
    [
        ("CartPole-v1", "auto", "gradient", 16),
        ("MountainCarContinuous-v0", "auto", "gradient", 16),
        ("FrozenLake-v1", "auto", "natural", 128),
        ("CartPole-v1", "tutorial", "natural", 128),
        ("CartPole-v1", "tutorial", "gradient", 8),
        ("Pendulum-v1", "auto", "natural", 512),
        ("CartPole-v1", "none", "natural", a2c.Config.rollout_length),
    ],
)
def test_with_another_step_than_the_presets_comes_a_rollout_for_it(env_id, preset, actor_step, rollout_length):
    chosen = {"actor_step": actor_step}
    found = fit_beside_preset(env_id, preset, chosen)
    config = configure(env_id, preset, chosen, found)
    assert (config.actor_step, config.rollout_length) == (actor_step, rollout_length)
    told = origins(config, preset, found)
    assert ("the preset is for actor_step" in told["rollout_length"]) == bool(found.values)
    assert preset == "none" or told["total_steps"].startswith("preset")
    assert configure(env_id, preset, chosen | {"rollout_length": 32}, found).rollout_length == 32


@pytest.mark.parametrize("preset", PRESETS)
def test_a_bound_on_the_natural_step_goes_with_advantages_as_they_are(preset):
    chosen = {"actor_step": "natural"}
    config = configure("Pendulum-v1", preset, chosen, fit_beside_preset("Pendulum-v1", preset, chosen))
    assert config.natural_max_step is None or not config.normalize_advantage


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "FrozenLake8x8-v1", "Blackjack-v1"])
def test_presets_of_tables_differ_from_what_fits_them_in_a_few_settings(env_id):
    fitted = configure(env_id, "none", fit_to(env_id, {}).values)
    preset = a2c.Config(env_id, **PRESETS[env_id])
    apart = {"total_steps", "eval_every_steps", "eval_episodes", "final_eval_episodes"}
    differ = {name for name in PRESETS[env_id] if getattr(preset, name) != getattr(fitted, name)} - apart
    assert differ <= {"entropy_coef", "gamma", "num_envs"}


def test_every_setting_that_was_fitted_has_a_reason():
    camera = Box(0, 255, (84, 84, 3), np.uint8)
    for found in (
        fit_to("Taxi-v4", {}),
        fit_to("CartPole-v1", {}),
        fit(camera, Discrete(2)),
        fit(Dict(a=camera, b=Discrete(3)), Discrete(2)),
    ):
        assert set(found.values) == set(found.reasons)


def test_images_go_through_convolutions_unless_they_are_to_be_numbers():
    camera = Box(0, 255, (84, 84, 3), np.uint8)
    alone, beside = fit(camera, Discrete(2)).values, fit(Dict(a=camera, b=Box(-1, 1, (3,))), Discrete(2)).values
    assert (alone["network"], alone["hidden_sizes"], alone["normalize_observations"]) == ("nature", (), False)
    assert (beside["network"], beside["hidden_sizes"], beside["normalize_observations"]) == ("nature", (64, 64), True)
    assert "network" not in fit(camera, Discrete(2), Asked(network="mlp")).values
    config = configure("Mine-v0", "none", {}, fit(camera, Discrete(2)))
    assert "hidden_sizes none: the features" in "\n".join(
        lines(config, origins(config, "none", fit(camera, Discrete(2))))
    )


@pytest.mark.parametrize(
    ("shape", "width"), [((64,), 64), ((512,), 128), ((30, 84, 3), 256), ((12, 12, 294), 128), ((480, 640, 3), 64)]
)
def test_wide_observations_get_wide_layers_until_these_have_too_many_weights(shape, width):
    assert fit(Box(0, 255, shape, np.uint8), Discrete(2)).values["hidden_sizes"] == (width, width)


def test_much_is_tried_where_actions_are_real_numbers():
    space = Box(-1, 1, (4,))
    assert fit(space, Box(-1, 1, (2,))).values["initial_log_std"] == 0
    assert "initial_log_std" not in fit(space, Discrete(2)).values
    assert "initial_log_std" not in fit(space, Box(-1, 1, (2,)), Asked("gradient")).values


def test_steps_have_no_bound_but_their_divergence_where_there_is_much_to_move():
    found = fit(Box(-1, 1, (11,)), Box(-1, 1, (3,)))
    assert (found.values["natural_max_step"], found.values["normalize_advantage"]) == (None, True)
    for space, actions in ((Box(-1, 1, (10,)), Box(-1, 1, (3,))), (Box(-1, 1, (11,)), Discrete(3))):
        values = fit(space, actions).values
        assert (values["natural_max_step"], values["normalize_advantage"]) == (10.0, False)


@pytest.mark.parametrize("preset", ["auto", "tutorial"])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1", "Taxi-v4", "Pendulum-v1"])
def test_a_policy_that_remembers_takes_plain_steps_on_longer_rollouts(env_id, preset):
    chosen = {"memory_size": 32}
    found = fit_beside_preset(env_id, preset, chosen)
    config = configure(env_id, preset, chosen, found)
    assert (config.actor_step, config.rollout_length) == ("gradient", 32)
    assert origins(config, preset, found)["rollout_length"].startswith("fitted: ")
    assert fit_beside_preset(env_id, preset, chosen | {"memory_size": 0}) == fit_beside_preset(env_id, preset, {})


def test_images_that_are_remembered_have_longer_rollouts():
    camera = Box(0, 255, (84, 84, 3), np.uint8)
    lengths = [
        fit(camera, Discrete(2), Asked(remembers=remembers)).values["rollout_length"] for remembers in (False, True)
    ]
    assert lengths == [8, 16]


def test_where_a_step_was_chosen_it_is_not_what_fits():
    found = fit_beside_preset("FrozenLake-v1", "auto", {"actor_step": "natural"})
    assert "actor_step" not in found.values
    with pytest.raises(UserError, match="memory_size is "):
        a2c.train("CartPole-v1", memory_size=np.array([16, 32]))
