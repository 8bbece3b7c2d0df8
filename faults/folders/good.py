"""Good runs, of which copies are damaged."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

import a2c
from a2c.errors import EnvError


class WornOutError(Exception):
    """What an environment raised by itself."""


class FailingEnv(CartPoleEnv):
    """CartPole that raises WornOutError at its 41st step."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._steps_left = 40

    def step(self, action: Any) -> Any:
        if not self._steps_left:
            raise WornOutError("worn out")
        self._steps_left -= 1
        return super().step(action)


def make_good_runs(folder: Path) -> dict[str, Path]:
    """Trains one run of each kind: compiled, Gymnasium's own, continuous actions, ended by an environment's error."""
    settings: dict[str, Any] = {
        "preset": "none",
        "run_dir": "runs",
        "num_envs": 2,
        "rollout_length": 4,
        "total_steps": 256,
        "hidden_sizes": (4,),
        "normalize_observations": True,
        "normalize_returns": True,
        "eval_every_steps": 64,
        "eval_episodes": 1,
        "final_eval_episodes": 2,
        "log_every_steps": 32,
        "save_every_seconds": 0.0,
    }
    gymnasium.register("Failing-v0", FailingEnv, max_episode_steps=500)
    runs = {}
    # Times are written into files: they come from a clock that is the same in every process.
    clock = mock.patch("time.perf_counter", side_effect=(tick / 1024 for tick in itertools.count()))
    with inside(folder), clock:
        runs["compiled"] = a2c.train("CartPole-v1", **settings).path
        runs["local"] = a2c.train("CartPole-v1", vectorization="local", **settings).path
        runs["pendulum"] = a2c.train("Pendulum-v1", **settings | {"eval_every_steps": 0}).path
        with contextlib.suppress(EnvError):
            a2c.train("Failing-v0", vectorization="local", **settings)
        runs["failed"] = next(Path("runs/Failing-v0").iterdir())
    for name, path in runs.items():
        (folder / path).rename(folder / name)
    shutil.rmtree(folder / "runs")
    return {name: folder / name for name in runs}


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
