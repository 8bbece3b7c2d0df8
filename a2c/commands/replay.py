"""`a2c replay RUN`: takes the steps again that led to a failure, with one environment in one process."""

from __future__ import annotations

import dataclasses
import faulthandler
import sys
from typing import Annotated

import numpy as np
import tyro

from a2c.envs.episode import close
from a2c.envs.make import make_env
from a2c.errors import UserError, shown
from a2c.run import Run


@dataclasses.dataclass(frozen=True)
class Replay:
    """Take the steps again that led to an environment's failure: one environment, in one process, no training."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder, which has failure.json."""
    env: str | None = None
    """Make this environment instead of the one the run names; needed where that would import a module."""

    def run(self) -> int:
        """Returns the exit code; what the environment raises is raised, and what ends the process ends it."""
        run = Run(self.folder)
        failure = run.failure()
        env = make_env(run.environment(self.env), run.config.env_kwargs)
        actions, space = failure.actions, env.action_space
        if actions.shape[1:] != space.shape or actions.dtype != space.dtype:
            raise UserError(
                f"{run.path / 'failure.safetensors'} has actions {actions.dtype} {actions.shape[1:]}, "
                f"{run.config.env_id} takes {space.dtype} {space.shape}; they must be the same"
            )
        for action in actions:
            if not space.contains(action):
                raise UserError(f"failure.safetensors has an action {shown(action)}; {run.config.env_id} takes {space}")
        if not faulthandler.is_enabled() and sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)  # Where the process dies, Python's stack is printed.
        print(
            f"environment {failure.env_index}, episode {failure.episode}: reset with seed {failure.episode_seed}, "
            f"then {len(actions)} steps",
            file=sys.stderr,
        )
        try:
            obs, _ = env.reset(seed=failure.episode_seed)
            for number, action in enumerate(actions.copy(), 1):
                print(f"\rstep {number}", end="", file=sys.stderr, flush=True)
                obs, reward, terminated, truncated, _ = env.step(action)
                if not (np.isfinite(obs).all() and np.isfinite(float(reward))):
                    print(f"\nstep {number} gave reward {reward}, observation {obs}")
                    return 1
                if terminated or truncated:
                    print(f"\nthe episode ended at step {number}")
                    return 0
        finally:
            print(file=sys.stderr)
            close(env)
        print(f"no failure in {len(actions)} steps; the last observation is {obs}")
        return 0
