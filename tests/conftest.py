"""Shared by all tests: a place for runs, and a watch on what tests leave behind."""

import multiprocessing
import warnings

import pytest
from hypothesis import settings

with warnings.catch_warnings():
    # Paddle's own imports use what Python has deprecated; ours must not.
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401

# The same examples every time, however long one takes, and no folder of what failed once.
settings.register_profile("house", derandomize=True, deadline=None, database=None)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _no_process_is_left_behind():
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_remembered(tmp_path_factory):
    """What may be imported is kept among a user's files: tests have some of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def quick(tmp_path):
    """Settings of a run that takes a moment and stays in the test's folder."""
    return {
        "preset": "none",
        "run_dir": str(tmp_path / "runs"),
        "total_steps": 256,
        "num_envs": 2,
        "rollout_length": 4,
        "hidden_sizes": (8,),
        "eval_every_steps": 0,
        "eval_episodes": 1,
        "final_eval_episodes": 0,
    }
