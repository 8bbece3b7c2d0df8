"""The space of a study: ranges, choices, conditions, and files that are refused."""

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2c.config import Config
from a2c.errors import UserError
from a2c.tuning.space import SHIPPED, read_space

NATURAL = Config("any", actor_step="natural")
PLAIN = Config("any")


def space_of(tmp_path, text, actions="choices"):
    path = tmp_path / "space.toml"
    path.write_text(text)
    return read_space(path, actions)


def drawn(space, base, seed=0):
    """What a trial of a study that draws at random gets."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    trial = study.ask()
    return space.settings(base, trial), trial


@pytest.mark.parametrize("base", [NATURAL, PLAIN], ids=["natural", "plain"])
@pytest.mark.parametrize("actions", ["real", "choices"])
def test_whatever_our_space_gives_is_a_config_and_comes_back_from_its_parameters(base, actions):
    space = read_space(SHIPPED, actions)
    for seed in range(50):
        settings, trial = drawn(space, base, seed)
        config = Config("any", **{"actor_step": base.actor_step, **settings})
        again = space.settings(base, optuna.trial.FixedTrial(trial.params))
        assert again == settings
        known = space.parameters(config)
        assert {name for name in settings if name not in known} == set()
        for name, value in known.items():  # To the digits that are kept.
            assert value == trial.params[name] or value == pytest.approx(trial.params[name], rel=0.06, abs=0.01), name


def test_what_belongs_to_another_step_or_other_actions_is_not_searched():
    natural, _ = drawn(read_space(SHIPPED, "choices"), NATURAL)
    plain, _ = drawn(read_space(SHIPPED, "real"), PLAIN)
    assert {"natural_kl", "critic_epochs"} < natural.keys()
    assert not {"learning_rate", "initial_log_std"} & natural.keys()
    assert {"learning_rate", "initial_log_std"} < plain.keys()
    assert not {"natural_kl", "natural_max_step"} & plain.keys()
    assert natural["rollout_length"] in (32, 64, 128, 256, 512, 1024)
    assert plain["rollout_length"] in (4, 8, 16, 32, 64, 128)


def test_a_condition_holds_for_what_the_trial_itself_has(tmp_path):
    space = space_of(
        tmp_path,
        """
        [[setting]]
        name = "optimizer"
        choices = ["adam", "rmsprop"]
        [[setting]]
        name = "rmsprop_decay"
        low = 0.9
        high = 0.99
        when = { optimizer = "rmsprop", actor_step = ["gradient", "natural"] }
        """,
    )
    found = [drawn(space, PLAIN, seed)[0] for seed in range(20)]
    assert {settings["optimizer"] for settings in found} == {"adam", "rmsprop"}
    for settings in found:
        assert ("rmsprop_decay" in settings) == (settings["optimizer"] == "rmsprop")
    assert space.reachable(PLAIN) == ["optimizer", "rmsprop_decay"]
    assert space.parameters(PLAIN) == {"optimizer": '"adam"'}


def test_settings_of_the_command_line_are_left_out():
    assert "gamma" not in drawn(read_space(SHIPPED, "real").without({"gamma"}), PLAIN)[0]


@given(
    ends=st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)).filter(lambda ends: ends[0] * 1.01 < ends[1]),
    scale=st.sampled_from(["linear", "log"]),
    at=st.integers(0, 1000),
)
def test_values_stay_within_the_range(tmp_path_factory, ends, scale, at):
    text = f'[[setting]]\nname = "learning_rate"\nlow = {ends[0]!r}\nhigh = {ends[1]!r}\nscale = "{scale}"'
    space = space_of(tmp_path_factory.mktemp("space"), text)
    value = drawn(space, PLAIN, at)[0]["learning_rate"]
    assert ends[0] <= value <= ends[1]


def test_a_complement_is_as_often_in_each_decade_below_one(tmp_path):
    space = space_of(tmp_path, '[[setting]]\nname = "gamma"\nlow = 0.9\nhigh = 0.9999\nscale = "complement"')
    values = [drawn(space, PLAIN, seed)[0]["gamma"] for seed in range(300)]
    assert all(0.9 <= value <= 0.9999 for value in values)
    decades = [math.floor(-math.log10(1 - value) + 1e-9) for value in values]
    assert all(70 < decades.count(decade) < 130 for decade in (1, 2, 3))
    assert all(len(str(value)) <= 7 for value in values)  # 0.99912


def test_default_values_outside_the_space_are_not_parameters(tmp_path):
    space = space_of(
        tmp_path,
        """
        [[setting]]
        name = "gamma"
        low = 0.995
        high = 0.999
        [[setting]]
        name = "rollout_length"
        low = 5
        high = 40
        scale = "doubling"
        [[setting]]
        name = "max_grad_norm"
        choices = [0.5, "none"]
        """,
    )
    assert space.parameters(PLAIN) == {"max_grad_norm": "0.5"}
    assert space.parameters(Config("any", max_grad_norm=None, rollout_length=20, gamma=0.997)) == {
        "gamma": 0.997, "rollout_length": 2, "max_grad_norm": "null",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no ..setting..; a space must be a list of them"),
        ("setting = 5", "has no ..setting.."),
        ("setting = [5]", "setting 1: it is 5; it must be a table"),
        ("gamma = [0.9, 0.99]", "has 'gamma'; a space must be a list of ..setting.."),
        ("[[setting]]\nlow = 1", "setting 1: it has no name"),
        ("[[setting]]\nname = 'gama'", r"setting 1 \(gama\): there is no setting 'gama'; did you mean gamma\?"),
        (
            "[[setting]]\nname = 'seed'\nchoices = [1, 2]",
            "seed cannot be searched, as trials that differ in it cannot be",
        ),
        ("[[setting]]\nname = 'gamma'", "it has neither choices nor a range; it must have choices, or low and high"),
        ("[[setting]]\nname = 'gamma'\nlow = 0.9\nchoices = [0.9, 1.0]", "it has both choices and a range"),
        ("[[setting]]\nname = 'gamma'\nlow = 0.9", "high is missing"),
        ("[[setting]]\nname = 'gamma'\nlow = 0.9\nhigh = 1.1", "gamma is 1.1; it must be between 0 and 1"),
        ("[[setting]]\nname = 'gamma'\nlow = 0.9\nhigh = 0.9", "low is 0.9 and high 0.9; low must be less"),
        ("[[setting]]\nname = 'gamma'\nlow = 'a'\nhigh = 0.9", "low is 'a'; it must be a number"),
        ("[[setting]]\nname = 'gamma'\nlow = 0.0\nhigh = 0.9\nscale = 'log'", "with scale 'log' it must be above 0"),
        (
            "[[setting]]\nname = 'gamma'\nlow = 0.1\nhigh = 0.9\nscale = 'lin'",
            "scale is 'lin'; it must be linear, log, ",
        ),
        ("[[setting]]\nname = 'gamma'\nlow = 0.1\nhigh = 1.0\nscale = 'complement'", "at least 0 and below 1"),
        ("[[setting]]\nname = 'num_envs'\nlow = 3\nhigh = 10\nscale = 'doubling'", "high must be low times 2"),
        ("[[setting]]\nname = 'num_envs'\nlow = 1.5\nhigh = 8", "num_envs is 1.5; it must be a whole number"),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9]", "they must be a list of at least two values"),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9, 0.9]", "each must be there only once"),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9, 'none']", "gamma is 'none'; it must be a number"),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9, 1.0]\nscale = 'log'", "it has a scale beside choices"),
        ("[[setting]]\nname = 'gamma'\nchioces = [0.9, 1.0]", r"it has 'chioces'; did you mean choices\?"),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9, 1.0]\nwhen = 5", "when is 5; it must be a table"),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9, 1.0]\nwhen = {gama = 1}", "when asks for 'gama'; it must be a"),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9, 1.0]\nwhen = {gamma = 0.9}", "when asks for gamma itself"),
        (
            "[[setting]]\nname = 'gamma'\nchoices = [0.9, 1.0]\nwhen = {actions = 'bits'}",
            "when asks for actions 'bits'",
        ),
        ("[[setting]]\nname = 'gamma'\nchoices = [0.9, 1.0]\nwhen = {optimizer = 'sgd'}", "optimizer is 'sgd'"),
        (
            "[[setting]]\nname = 'gamma'\nchoices = [0.9, 1.0]\nwhen = {optimizer = 'adam'}\n"
            "[[setting]]\nname = 'optimizer'\nchoices = ['adam', 'rmsprop']",
            r"setting 2 \(optimizer\): move it above gamma, whose `when` asks for it",
        ),
    ],
)
def test_a_wrong_space_file_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as raised:
        space_of(tmp_path, text)
    assert "\n" not in str(raised.value)
    assert "space.toml" in str(raised.value)
