"""Every environment that Gymnasium registers trains, is resumed and acts, or is refused in one sentence."""

import functools
import re

import gymnasium
import pytest

import a2c
from a2c.commands.record import record
from a2c.envs.make import make_env

ALL = sorted(
    env_id
    for env_id, spec in gymnasium.registry.items()  # Other tests register theirs, too.
    if str(spec.entry_point or spec.vector_entry_point).startswith(("gymnasium.", "shimmy", "None"))
)
QUICK = re.compile(
    r"(CartPole|MountainCar|Acrobot|Pendulum|Blackjack|FrozenLake|CliffWalking|Taxi|tabular/|phys2d/|GymV"
    r"|LunarLander-|HalfCheetah-v5|Ant-v5|Humanoid-v5|InvertedPendulum-v4|Hopper-v3)"
)
"""What is trained on in every run of the tests, as far as it is installed; the rest takes minutes."""


@functools.cache
def refusal(env_id):
    """Why there is no such environment here; empty where there is one."""
    try:
        make_env(env_id).close()
    except a2c.UserError as error:
        return str(error)
    return ""


def says_why(sentence):
    return "\n" not in sentence and 20 < len(sentence) < 400 and "Traceback" not in sentence


def walk(env_id, folder, steps):
    """Trains, evaluates, trains further and records."""
    settings = {"final_eval_episodes": 1, "eval_episodes": 2, "eval_every_steps": steps, "max_episode_steps": 300}
    run = a2c.train(env_id, run_dir=str(folder), total_steps=steps, preset="none", **settings)
    assert run.summary["steps"] >= steps
    assert run.summary["evaluation"]["episodes"] > 0
    assert len(run.evaluate(2).returns) == 2
    further = a2c.resume(run.path, total_steps=2 * steps)
    assert further.summary["steps"] >= 2 * steps
    assert further.summary["exact"] or further.summary["inexact_because"]
    assert recorded(further, folder / "episode.gif")


def recorded(run, path):
    """Whether a film was made, or a sentence says why not: it draws nothing, or there is no display."""
    try:
        return record(run, path, max_steps=5).path.exists()
    except a2c.UserError as error:
        return says_why(str(error))


@pytest.mark.parametrize("env_id", ALL)
def test_what_cannot_be_made_is_refused_in_one_sentence_that_says_what_would_be_right(env_id):
    sentence = refusal(env_id)
    if sentence:
        assert says_why(sentence)
        assert re.search(r"pip install|newest version|shimmy:", sentence), sentence
        with pytest.raises(a2c.UserError, match=re.escape(sentence)):
            a2c.train(env_id)


def test_nothing_that_needs_no_other_package_is_refused():
    plain = re.compile(r"gymnasium\.envs\.(classic_control|toy_text)\.")
    assert [name for name in ALL if plain.match(str(gymnasium.spec(name).entry_point)) and refusal(name)] == []


@pytest.mark.parametrize("env_id", [name for name in ALL if QUICK.match(name)])
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # Of the environment that a newer version replaces.
def test_it_trains_is_evaluated_resumed_and_recorded(env_id, tmp_path):
    if refusal(env_id):
        pytest.skip(refusal(env_id))
    slow = gymnasium.spec(env_id).entry_point.startswith(("gymnasium.envs.mujoco", "gymnasium.envs.box2d"))
    walk(env_id, tmp_path, 160 if slow else 2_000)


@pytest.mark.learning
@pytest.mark.parametrize("env_id", ALL)
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_it_does_so_for_2000_steps(env_id, tmp_path):
    if refusal(env_id):
        pytest.skip(refusal(env_id))
    walk(env_id, tmp_path, 2_000)
