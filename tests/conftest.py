"""Shared by all tests: settings of quick runs, and a check that tests leave no process behind."""

import multiprocessing
import os
import shutil
import signal
import threading
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

from benchmarks.browser import chromium, launched

with warnings.catch_warnings():
    # Paddle's imports give deprecation warnings, which are errors in our tests.
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401

# The same examples every time, without a time limit, and without a database of failed examples.
settings.register_profile("house", derandomize=True, deadline=None, database=None)
settings.load_profile("house")

MEMORY, ROOM = Path("/dev/shm"), 2 << 30
"""A file system in memory, and the free bytes that it must have: all tests together need about half a gigabyte."""


def pytest_configure():
    """Lets signals through that a shell told us to ignore, and puts temporary folders into memory if there is room.

    After `nohup`, or in the background of a script, hang-ups or Ctrl-C are ignored by every process that follows, and
    the processes of tests are sent both.

    A run waits for the disk two dozen times however short it is, so that a power cut loses nothing, and no test can cut
    the power. Those of kills and full disks have folders elsewhere (`faults.places`).
    """
    if threading.current_thread() is threading.main_thread():
        for name, default in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, default)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(autouse=True)
def _no_process_is_left_behind():
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_remembered(tmp_path_factory):
    """The user's consent to imports is stored in his home; tests use a temporary folder instead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def browser():
    """Chromium, which takes a second to start: once for the tests of a file."""
    if chromium() is None:
        pytest.skip("there is no Chromium here; apt-get install chromium")
    pytest.importorskip("playwright", reason="pip install playwright")
    with launched() as started:
        yield started


@pytest.fixture
def quick(tmp_path):
    """Settings of a short run in the test's temporary folder."""
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
