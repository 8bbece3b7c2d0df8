"""The families that an extra brings: what is registered trains, is evaluated, resumed and recorded."""

import contextlib
import re

import gymnasium
import pytest

import a2c
from a2c.commands.record import record
from a2c.envs.make import make_env
from a2c.run import checkpoint

with contextlib.suppress(ImportError):
    import ale_py  # noqa: F401
with contextlib.suppress(ImportError):
    import minigrid  # noqa: F401

GAMES = [f"ALE/{name}-v5" for name in (
    "Pong", "Breakout", "Seaquest", "SpaceInvaders", "BeamRider", "Enduro", "Qbert", "MsPacman", "Asteroids",
    "Freeway", "MontezumaRevenge", "Tennis", "Venture",
)] + ["PongNoFrameskip-v4"]  # fmt: skip
GRIDS = sorted(env_id for env_id in gymnasium.registry if env_id.startswith(("MiniGrid-", "BabyAI-")))
QUICK = re.compile(
    r"ALE/(Pong|Breakout)|MiniGrid-(DoorKey-5x5|KeyCorridorS3R1|MemoryS7|Dynamic-Obstacles-5x5)|BabyAI-GoToObj-"
)
"""What is trained on in every run of the tests; the rest takes an hour."""


def walk(env_id, folder, **settings):
    """Trains with the settings that a name alone gets, evaluates, trains further and records."""
    settings |= {"final_eval_episodes": 1, "eval_episodes": 1, "eval_every_steps": 0, "max_episode_steps": 300}
    steps = settings.pop("steps", 2_000)
    run = a2c.train(env_id, run_dir=str(folder), total_steps=steps, **settings)
    assert run.summary["evaluation"]["episodes"] == 1
    assert run.summary["exact"] is True
    assert len(run.evaluate(1).returns) == 1
    further = a2c.resume(run.path, total_steps=2 * steps)
    assert further.summary["exact"] or further.summary["inexact_because"]
    assert record(further, folder / "episode.gif", max_steps=3).path.exists()
    return run


def skip_where_it_cannot_be_made(env_id):
    """Some of MiniGrid's need files that its wheel has not."""
    try:
        env = make_env(env_id)
    except a2c.UserError as error:
        pytest.skip(str(error))
    try:
        env.reset(seed=0)
    except FileNotFoundError as error:
        pytest.skip(f"its wheel lacks {error.filename}")
    finally:
        env.close()


@pytest.mark.parametrize("env_id", [name for name in GAMES if QUICK.match(name)])
def test_a_game_trains_with_the_preset_of_all_games(env_id, tmp_path):
    skip_where_it_cannot_be_made(env_id)
    run = walk(env_id, tmp_path, steps=240, num_envs=3)
    assert run.config.frame_stack == 4


@pytest.mark.parametrize("env_id", ["ALE/Pong-v5", "ALE/Freeway-v5"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_game_goes_on_from_its_middle_to_the_same_bits(env_id, workers, tmp_path):
    """Sticky actions and all: two runs of one seed, one of them in two parts and with other workers."""
    settings = {"schedule": "constant", "num_envs": 2, "eval_every_steps": 0, "final_eval_episodes": 0}
    whole = a2c.train(env_id, run_dir=str(tmp_path / "whole"), total_steps=400, num_workers=0, **settings)
    part = a2c.train(env_id, run_dir=str(tmp_path / "part"), total_steps=200, num_workers=workers, **settings)
    resumed = a2c.resume(part, total_steps=400)
    assert resumed.summary["exact"] is True
    arrays = [checkpoint.newest(run.path / "checkpoints").arrays for run in (whole, resumed)]
    assert all((array == arrays[1][name]).all() for name, array in arrays[0].items())


@pytest.mark.parametrize("env_id", [name for name in GRIDS if QUICK.match(name)])
def test_a_grid_trains_by_its_name_and_its_mission_is_read(env_id, tmp_path):
    run = walk(env_id, tmp_path)
    assert run.config.text_words == 16


@pytest.mark.learning
@pytest.mark.parametrize("env_id", [*GAMES, *GRIDS])
@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_all_of_them_do_so_for_2000_steps(env_id, tmp_path):
    skip_where_it_cannot_be_made(env_id)
    walk(env_id, tmp_path)
