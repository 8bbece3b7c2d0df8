"""The presets reach what is promised of them. Minutes: `make learning`."""

import pytest

import a2c


def trained(env, tmp_path, **settings):
    return a2c.train(env, run_dir=str(tmp_path), **settings).summary


@pytest.mark.learning
@pytest.mark.parametrize("seed", range(3))
def test_cartpole_is_solved_by_its_preset(tmp_path, seed):
    assert trained("CartPole-v1", tmp_path, seed=seed)["evaluation"]["mean"] >= 475


@pytest.mark.learning
def test_the_tutorial_solves_cartpole_v0_for_four_seeds_of_five(tmp_path):
    means = [trained("CartPole-v0", tmp_path, preset="tutorial", seed=seed)["evaluation"]["mean"] for seed in range(5)]
    assert sum(mean >= 195 for mean in means) >= 4


@pytest.mark.learning
@pytest.mark.parametrize("seed", range(3))
def test_pendulum_swings_up_with_its_preset(tmp_path, seed):
    assert trained("Pendulum-v1", tmp_path, seed=seed)["evaluation"]["mean"] > -300


@pytest.mark.learning
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("env", "reached"), [("Acrobot-v1", -90), ("MountainCar-v0", -110), ("MountainCarContinuous-v0", 88)]
)
def test_the_final_policy_is_good_too(env, reached, tmp_path, seed):
    assert trained(env, tmp_path, seed=seed)["final_evaluation"]["mean"] > reached
