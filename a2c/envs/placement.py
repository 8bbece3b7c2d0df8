"""Decides where environments run: in this process, in workers (and how many), or as machine code."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import gymnasium
import numpy as np

from a2c.envs.construction import EnvSource
from a2c.envs.sources import compiled_form
from a2c.envs.wrapping import Wrapping
from a2c.errors import UserError
from a2c.machine import cores

if TYPE_CHECKING:
    from a2c.config import Config  # Only then: worker processes import this package and do not need the command line.

Vectorization = Literal["auto", "compiled", "local", "workers", "vector"]

_WORTH_A_WORKER_SECONDS = 60e-6
"""If a step of all environments takes longer than this, a worker makes training faster by a quarter or more
(`benchmarks/placement.py`). Below, it gains less, and a worker takes half a second to start."""


class Placement(NamedTuple):
    """Where N environments run. Except for "compiled" and "vector", that changes no number."""

    vectorization: Vectorization = "auto"
    num_workers: int | Literal["auto"] = "auto"
    isolate_envs: bool = False
    """Every environment in a worker. By default this process steps a share itself."""
    env_timeout_seconds: float = 60.0
    """A worker is replaced if an environment in it makes no progress for this long."""

    @classmethod
    def of(cls, config: Config) -> Placement:
        """From a run's settings."""
        return cls(config.vectorization, config.num_workers, config.isolate_envs, config.env_timeout_seconds)


def is_compiled(config: Config, env: EnvSource) -> bool:
    """Whether a new run trains on the compiled form: if there is one, and no setting needs ordinary environments.

    Raises:
        UserError: The environment's module cannot be imported.
    """
    if config.vectorization != "auto":
        return config.vectorization == "compiled"
    if config.is_elsewhere or config.env_kwargs or Wrapping.of(config) != Wrapping() or config.terminal_on_life_loss:
        return False
    if config.log_info:  # A compiled form has no info.
        return False
    return compiled_form(env) is not None


def stays_compiled(was_compiled: bool, config: Config, run: str) -> bool:
    """Whether a resumed run trains on the compiled form: as it began, since resets draw other numbers there.

    Args:
        was_compiled: Whether it began with the compiled form.
        config: The settings now.
        run: Its folder, for the error.

    Raises:
        UserError: The settings ask for the other form.
    """
    if was_compiled and (config.is_elsewhere or config.vectorization not in ("auto", "compiled")):
        raise UserError(
            f"{run} trains on the compiled form of {config.env_id}, which has no workers, no actors on a "
            "cluster and no other vectorization; leave out isolate_envs, num_workers, cluster and vectorization to "
            "resume it"
        )
    if not was_compiled and config.vectorization == "compiled":
        raise UserError(
            f"{run} does not train on the compiled form of {config.env_id}; leave out vectorization to resume it"
        )
    return was_compiled


def choose_workers(probe: gymnasium.Env[Any, Any], num_envs: int, placement: Placement) -> tuple[int, bool]:
    """The number of workers, and whether the probe was stepped to find out.

    Raises:
        UserError: That many workers are impossible.
    """
    vectorization, num_workers, isolate_envs, _ = placement
    at_most = num_envs if isolate_envs else num_envs - 1  # Every process has at least one environment.
    may_have = not multiprocessing.current_process().daemon
    if not may_have and (isolate_envs or vectorization == "workers" or num_workers not in ("auto", 0)):
        raise UserError(
            "workers are asked for in a daemonic process of multiprocessing, which may start none; set num_workers 0 "
            "to step all environments here, or start this process with Process(daemon=False)"
        )
    if num_workers != "auto":
        if num_workers > at_most:
            raise UserError(
                f"num_workers is {num_workers}; with {num_envs} environments it must be at most {at_most}"
                + ("" if isolate_envs else " (this process steps a share, too)")
            )
        return num_workers, False
    if vectorization == "local" or (num_envs == 1 and not isolate_envs and vectorization == "auto"):
        return 0, False
    wanted = isolate_envs or vectorization == "workers"
    if wanted and not at_most:
        raise UserError(
            "vectorization is 'workers' with 1 environment, which this process steps itself; set isolate_envs to put "
            "it in a worker"
        )
    spare = min(at_most, cores() if isolate_envs else max(1, cores() - 1))
    if wanted or cores() == 1 or not may_have:
        return (spare if wanted else 0), False
    return (spare if _seconds_per_step(probe) * num_envs >= _WORTH_A_WORKER_SECONDS else 0), True


def _seconds_per_step(env: gymnasium.Env[Any, Any]) -> float:
    """Median time of a step with random actions; 0 if the environment raises (it will again, and be reported then)."""
    seconds: list[float] = []
    with contextlib.suppress(Exception):
        env.action_space.seed(0)
        env.reset(seed=0)
        stop = time.perf_counter() + 0.05
        while time.perf_counter() < stop and len(seconds) < 200:
            action = env.action_space.sample()
            start = time.perf_counter()
            _, _, terminated, truncated, _ = env.step(action)
            seconds.append(time.perf_counter() - start)
            if terminated or truncated:
                env.reset()
    return float(np.median(seconds)) if seconds else 0.0
